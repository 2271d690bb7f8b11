-- Invites (PROVISIONING.md F6).
CREATE TABLE invites (
    id TEXT NOT NULL PRIMARY KEY,
    -- In the one spelling that addresses are compared in.
    address TEXT NOT NULL,
    -- NULL: by any identity provider.
    idp TEXT,
    -- JSON: address as written, entitlements, where they come from.
    terms TEXT NOT NULL,
    invited_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    -- Whose first sign-in consumed it.
    claimed_idp TEXT,
    claimed_subject TEXT,
    claimed_at INTEGER,
    -- Whom it led to.
    member TEXT,
    revoked_at INTEGER,
    sends INTEGER NOT NULL,
    sent_at INTEGER
) STRICT;
CREATE INDEX invites_by_address ON invites (address);
