-- Members whose account went (its id is the application's to give again), with what narthex gave and lent to it, and
-- who works on it. SQLite cannot drop a NOT NULL, so both tables are made anew, the referring one first.
CREATE TABLE members_now (
    id TEXT NOT NULL PRIMARY KEY,
    -- NULL once narthex deleted it.
    account TEXT UNIQUE,
    account_state TEXT NOT NULL,
    username TEXT NOT NULL,
    email TEXT,
    origin TEXT NOT NULL,
    status TEXT NOT NULL,
    ephemeral_until INTEGER,
    -- What is to be done with the account, and is not done yet.
    leaving TEXT,
    -- JSON, as is `borrowed`.
    ledger TEXT NOT NULL,
    borrowed TEXT NOT NULL,
    generation INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    last_login_at INTEGER NOT NULL,
    -- Who works on the account, and until when nobody else does.
    holder INTEGER,
    held_until INTEGER,
    -- A sign-in was let through and has no session yet.
    landing_until INTEGER
) STRICT;
INSERT INTO members_now (id, account, account_state, username, email, origin, status, ledger, borrowed,
    generation, revision, created_at, last_login_at)
SELECT id, account, 'present', username, email, origin, status, '{}', '{}', generation, 0, created_at,
    last_login_at FROM members;
CREATE TABLE identities_now (
    idp TEXT NOT NULL,
    subject TEXT NOT NULL,
    member TEXT NOT NULL REFERENCES members_now (id) ON DELETE CASCADE,
    -- Its place among the member's identities.
    place INTEGER NOT NULL,
    PRIMARY KEY (idp, subject)
) STRICT;
INSERT INTO identities_now (idp, subject, member, place) SELECT idp, subject, member, place FROM identities;
DROP TABLE identities;
DROP TABLE members;
ALTER TABLE members_now RENAME TO members;
ALTER TABLE identities_now RENAME TO identities;
CREATE INDEX identities_by_member ON identities (member, place);
CREATE INDEX members_by_login ON members (last_login_at);
CREATE INDEX members_blocked ON members (email) WHERE status = 'blocked';

-- Work that no browser waits for (PROVISIONING.md E2).
CREATE TABLE jobs (
    key TEXT NOT NULL PRIMARY KEY,
    -- JSON.
    task TEXT NOT NULL,
    member TEXT,
    due_at INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    holder INTEGER,
    held_until INTEGER,
    -- Grows whenever it is put or hastened: who worked on it meanwhile does not take that back.
    ticket INTEGER NOT NULL
) STRICT;
CREATE INDEX jobs_by_due ON jobs (state, due_at, key);
CREATE INDEX jobs_by_member ON jobs (member);

-- Removals of the last hour, by second (PROVISIONING.md G3). The row of second 0 is the lock.
CREATE TABLE removals (
    at INTEGER NOT NULL PRIMARY KEY,
    removed INTEGER NOT NULL
) STRICT;
