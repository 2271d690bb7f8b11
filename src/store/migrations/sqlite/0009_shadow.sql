-- The latest sign-ins with what they did, for `narthex explain`.
CREATE TABLE told_logins (
    ordinal INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    idp TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- JSON.
    record TEXT NOT NULL
) STRICT;
CREATE INDEX told_logins_by_identity ON told_logins (idp, subject);

-- Shadow mode (PROVISIONING.md M6): what each person's latest sign-in would have done.
CREATE TABLE shadow_outcomes (
    idp TEXT NOT NULL,
    subject TEXT NOT NULL,
    at INTEGER NOT NULL,
    -- JSON.
    record TEXT NOT NULL,
    PRIMARY KEY (idp, subject)
) STRICT, WITHOUT ROWID;
