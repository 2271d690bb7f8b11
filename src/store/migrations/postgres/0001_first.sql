-- Times are whole seconds since 1970-01-01T00:00:00Z. Ids that come from us are hyphenated UUIDs; hashes are
-- 32 bytes. `ordinal` is the order of recording: "the oldest" never depends on anybody's clock.

CREATE TABLE logins (
    ordinal BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state BYTEA NOT NULL UNIQUE,
    browser BYTEA NOT NULL,
    idp TEXT NOT NULL,
    -- Emptied when the login is taken.
    nonce TEXT NOT NULL,
    pkce_verifier TEXT NOT NULL,
    return_to TEXT NOT NULL,
    begun_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- 1 once taken: kept until it expires, so that a second answer is known for what it is.
    taken BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX logins_by_browser ON logins (browser, taken, ordinal);
CREATE INDEX logins_by_end ON logins (expires_at);

CREATE TABLE parked (
    ordinal BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id BYTEA NOT NULL UNIQUE,
    sealed BYTEA NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX parked_by_end ON parked (expires_at);

CREATE TABLE sessions (
    ordinal BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash BYTEA NOT NULL UNIQUE,
    -- NULL: a session without account.
    member TEXT,
    idp TEXT NOT NULL,
    subject TEXT NOT NULL,
    idp_session TEXT,
    -- JSON, without the logout hint.
    content TEXT NOT NULL,
    logout_hint BYTEA,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_by_member ON sessions (member, ordinal);
CREATE INDEX sessions_by_identity ON sessions (idp, subject, idp_session);
CREATE INDEX sessions_by_end ON sessions (expires_at);
CREATE INDEX sessions_by_activity ON sessions (last_seen_at);

CREATE TABLE members (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL UNIQUE,
    username TEXT NOT NULL,
    email TEXT,
    origin TEXT NOT NULL,
    status TEXT NOT NULL,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    last_login_at BIGINT NOT NULL
);

CREATE TABLE identities (
    idp TEXT NOT NULL,
    subject TEXT NOT NULL,
    member TEXT NOT NULL REFERENCES members (id) ON DELETE CASCADE,
    -- Its place among the member's identities.
    place BIGINT NOT NULL,
    PRIMARY KEY (idp, subject)
);
CREATE INDEX identities_by_member ON identities (member, place);

-- Members in the making (PROVISIONING.md F9). A row outlives its lease for the sake of the intent.
CREATE TABLE creations (
    idp TEXT NOT NULL,
    subject TEXT NOT NULL,
    holder BIGINT,
    held_until BIGINT,
    -- The username that was about to be created when this was written.
    intent TEXT,
    PRIMARY KEY (idp, subject)
);

CREATE TABLE keys (
    id TEXT NOT NULL PRIMARY KEY,
    purpose TEXT NOT NULL,
    -- The key that this one succeeds; empty for the first. One successor each: replicas agree through this.
    predecessor TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    published_at BIGINT NOT NULL,
    active_at BIGINT NOT NULL,
    retired_at BIGINT NOT NULL,
    UNIQUE (purpose, predecessor)
);

CREATE TABLE documents (
    name TEXT NOT NULL PRIMARY KEY,
    body BYTEA NOT NULL,
    fetched_at BIGINT NOT NULL
);

-- A list as one parameter, as SQLite has it: `WHERE name IN (SELECT value FROM json_each($1))`.
CREATE FUNCTION json_each(list TEXT) RETURNS TABLE (key BIGINT, value TEXT) LANGUAGE sql IMMUTABLE AS
    'SELECT place - 1, item FROM json_array_elements_text(list::json) WITH ORDINALITY AS one (item, place)';
