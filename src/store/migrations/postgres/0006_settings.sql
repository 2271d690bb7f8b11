-- The provisioning settings that administrators gave at run time; the newest holds, the others are what held before.
CREATE TABLE settings (
    version BIGINT NOT NULL PRIMARY KEY,
    -- [provisioning] as JSON, without defaults.
    section TEXT NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);
