-- Sign-ins that wait for an administrator (PROVISIONING.md F7, F8), and what was decided on them.
CREATE TABLE cases (
    id TEXT NOT NULL PRIMARY KEY,
    -- Who asks.
    idp TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- About which account, by the application's own id.
    account TEXT NOT NULL,
    -- JSON: what a decision is about beside that.
    facts TEXT NOT NULL,
    -- waiting, linked, denied, used
    standing TEXT NOT NULL,
    decided_by TEXT,
    decided_at BIGINT,
    opened_at BIGINT NOT NULL,
    asked_at BIGINT NOT NULL,
    -- NULL: it stays.
    expires_at BIGINT,
    -- Whom it led to.
    led_to TEXT,
    revision BIGINT NOT NULL,
    UNIQUE (idp, subject, account)
);
CREATE INDEX cases_by_standing ON cases (standing, id);
CREATE INDEX cases_by_end ON cases (expires_at);
