-- The latest sign-ins with what they did, for `narthex explain`.
CREATE TABLE told_logins (
    ordinal BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    idp TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- JSON.
    record TEXT NOT NULL
);
CREATE INDEX told_logins_by_identity ON told_logins (idp, subject);

-- Shadow mode (PROVISIONING.md M6): what each person's latest sign-in would have done. Identities are in the order of
-- their bytes, whatever the database's language.
CREATE TABLE shadow_outcomes (
    idp TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    -- JSON.
    record TEXT NOT NULL,
    PRIMARY KEY (idp, subject)
);
