-- Times are whole seconds since 1970-01-01T00:00:00Z. Ids that come from us are hyphenated UUIDs; hashes are
-- 32 bytes. `ordinal` is the order of recording: "the oldest" never depends on anybody's clock.

CREATE TABLE logins (
    ordinal INTEGER PRIMARY KEY AUTOINCREMENT,
    state BLOB NOT NULL UNIQUE,
    browser BLOB NOT NULL,
    idp TEXT NOT NULL,
    -- Emptied when the login is taken.
    nonce TEXT NOT NULL,
    pkce_verifier TEXT NOT NULL,
    return_to TEXT NOT NULL,
    begun_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    -- 1 once taken: kept until it expires, so that a second answer is known for what it is.
    taken INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX logins_by_browser ON logins (browser, taken, ordinal);
CREATE INDEX logins_by_end ON logins (expires_at);

CREATE TABLE parked (
    ordinal INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    sealed BLOB NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX parked_by_end ON parked (expires_at);

CREATE TABLE sessions (
    ordinal INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    -- NULL: a session without account.
    member TEXT,
    idp TEXT NOT NULL,
    subject TEXT NOT NULL,
    idp_session TEXT,
    -- JSON, without the logout hint.
    content TEXT NOT NULL,
    logout_hint BLOB,
    created_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
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
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    last_login_at INTEGER NOT NULL
) STRICT;

CREATE TABLE identities (
    idp TEXT NOT NULL,
    subject TEXT NOT NULL,
    member TEXT NOT NULL REFERENCES members (id) ON DELETE CASCADE,
    -- Its place among the member's identities.
    place INTEGER NOT NULL,
    PRIMARY KEY (idp, subject)
) STRICT;
CREATE INDEX identities_by_member ON identities (member, place);

-- Members in the making (PROVISIONING.md F9). A row outlives its lease for the sake of the intent.
CREATE TABLE creations (
    idp TEXT NOT NULL,
    subject TEXT NOT NULL,
    holder INTEGER,
    held_until INTEGER,
    -- The username that was about to be created when this was written.
    intent TEXT,
    PRIMARY KEY (idp, subject)
) STRICT;

CREATE TABLE keys (
    id TEXT NOT NULL PRIMARY KEY,
    purpose TEXT NOT NULL,
    -- The key that this one succeeds; empty for the first. One successor each: replicas agree through this.
    predecessor TEXT NOT NULL,
    sealed BLOB NOT NULL,
    published_at INTEGER NOT NULL,
    active_at INTEGER NOT NULL,
    retired_at INTEGER NOT NULL,
    UNIQUE (purpose, predecessor)
) STRICT;

CREATE TABLE documents (
    name TEXT NOT NULL PRIMARY KEY,
    body BLOB NOT NULL,
    fetched_at INTEGER NOT NULL
) STRICT;
