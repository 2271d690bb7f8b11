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
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    -- Whose first sign-in consumed it.
    claimed_idp TEXT,
    claimed_subject TEXT,
    claimed_at BIGINT,
    -- Whom it led to.
    member TEXT,
    revoked_at BIGINT,
    sends BIGINT NOT NULL,
    sent_at BIGINT
);
CREATE INDEX invites_by_address ON invites (address);
