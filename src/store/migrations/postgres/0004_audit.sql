-- The audit log: chains of entries, each with the hash of the one before (docs/adr/0007). Nothing here is ever
-- updated or dropped but what audit_parts says of people who are erased.
CREATE TABLE audit_entries (
    chain TEXT NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    event TEXT NOT NULL,
    -- Empty: nobody's.
    member TEXT NOT NULL,
    -- JSON.
    body TEXT NOT NULL,
    -- Of what audit_parts says; NULL where nothing was ever said.
    actor_digest BYTEA,
    about_digest BYTEA,
    previous BYTEA NOT NULL,
    hash BYTEA NOT NULL,
    PRIMARY KEY (chain, seq)
);
CREATE INDEX audit_entries_by_time ON audit_entries (at, chain, seq);

CREATE TABLE audit_parts (
    chain TEXT NOT NULL,
    seq BIGINT NOT NULL,
    -- actor, about
    role TEXT NOT NULL,
    -- Whose it is; empty where that is not known.
    member TEXT NOT NULL,
    idp TEXT NOT NULL,
    subject TEXT NOT NULL,
    salt BYTEA NOT NULL,
    -- JSON.
    said TEXT NOT NULL,
    PRIMARY KEY (chain, seq, role)
);
CREATE INDEX audit_parts_by_member ON audit_parts (member);
CREATE INDEX audit_parts_by_identity ON audit_parts (subject, idp);

CREATE TABLE audit_heads (
    chain TEXT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    hash BYTEA NOT NULL
);

-- Up to where another chain has noted this one. Beside audit_heads, so that a process locks no head but its own.
CREATE TABLE audit_links (
    chain TEXT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL
);
