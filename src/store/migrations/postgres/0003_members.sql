-- Members whose account went (its id is the application's to give again), with what narthex gave and lent to it, and
-- who works on it.
ALTER TABLE members ALTER COLUMN account DROP NOT NULL;
ALTER TABLE members ADD COLUMN account_state TEXT NOT NULL DEFAULT 'present';
ALTER TABLE members ALTER COLUMN account_state DROP DEFAULT;
ALTER TABLE members ADD COLUMN ephemeral_until BIGINT;
-- What is to be done with the account, and is not done yet.
ALTER TABLE members ADD COLUMN leaving TEXT;
-- JSON, as is `borrowed`.
ALTER TABLE members ADD COLUMN ledger TEXT NOT NULL DEFAULT '{}';
ALTER TABLE members ALTER COLUMN ledger DROP DEFAULT;
ALTER TABLE members ADD COLUMN borrowed TEXT NOT NULL DEFAULT '{}';
ALTER TABLE members ALTER COLUMN borrowed DROP DEFAULT;
ALTER TABLE members ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
ALTER TABLE members ALTER COLUMN revision DROP DEFAULT;
-- Who works on the account, and until when nobody else does.
ALTER TABLE members ADD COLUMN holder BIGINT;
ALTER TABLE members ADD COLUMN held_until BIGINT;
-- A sign-in was let through and has no session yet.
ALTER TABLE members ADD COLUMN landing_until BIGINT;
CREATE INDEX members_by_login ON members (last_login_at);
CREATE INDEX members_blocked ON members (email) WHERE status = 'blocked';

-- Work that no browser waits for (PROVISIONING.md E2).
CREATE TABLE jobs (
    key TEXT NOT NULL PRIMARY KEY,
    -- JSON.
    task TEXT NOT NULL,
    member TEXT,
    due_at BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    holder BIGINT,
    held_until BIGINT,
    -- Grows whenever it is put or hastened: who worked on it meanwhile does not take that back.
    ticket BIGINT NOT NULL
);
CREATE INDEX jobs_by_due ON jobs (state, due_at, key);
CREATE INDEX jobs_by_member ON jobs (member);

-- Removals of the last hour, by second (PROVISIONING.md G3). The row of second 0 is the lock.
CREATE TABLE removals (
    at BIGINT NOT NULL PRIMARY KEY,
    removed BIGINT NOT NULL
);
