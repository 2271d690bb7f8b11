-- Who changed an invite beside who made it: a JSON list of names (PROVISIONING.md F6).
ALTER TABLE invites ADD COLUMN changed_by TEXT NOT NULL DEFAULT '[]';
-- People who came to the admin API by an identity provider (S5): what their last sign-in gave them, and by which rule.
CREATE TABLE console_people (
    idp TEXT NOT NULL,
    subject TEXT NOT NULL,
    label TEXT NOT NULL,
    role TEXT NOT NULL,
    rule TEXT NOT NULL,
    signed_in_at INTEGER NOT NULL,
    PRIMARY KEY (idp, subject)
) STRICT;
-- Their sessions, which are none of the application's.
CREATE TABLE console_sessions (
    hash BLOB NOT NULL PRIMARY KEY,
    idp TEXT NOT NULL,
    subject TEXT NOT NULL,
    label TEXT NOT NULL,
    role TEXT NOT NULL,
    rule TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX console_sessions_by_person ON console_sessions (idp, subject);
