-- What a provider calls a person at logout; sessions from before are found by nobody's logout.
ALTER TABLE sessions ADD COLUMN logout_name TEXT NOT NULL DEFAULT '';
DROP INDEX sessions_by_identity;
CREATE INDEX sessions_by_logout_name ON sessions (idp, logout_name, idp_session);

-- What may be used once (SAML Profiles 2.0, 4.1.4.5): digests, until they are of no use any more.
CREATE TABLE used (
    digest BYTEA NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX used_by_end ON used (expires_at);

-- The latest refused sign-ins, for `narthex explain --error`.
CREATE TABLE refusals (
    ordinal BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    error_id TEXT NOT NULL UNIQUE,
    -- JSON.
    record TEXT NOT NULL
);
