-- Messages to administrators and to invited people, until they are sent or given up.
CREATE TABLE outbox (
    id TEXT NOT NULL PRIMARY KEY,
    -- email, webhook
    channel TEXT NOT NULL,
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    written_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    -- Who is sending it, and until when nobody else may; 0: nobody.
    holder BIGINT NOT NULL DEFAULT 0,
    held_until BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX outbox_by_time ON outbox (due_at);
