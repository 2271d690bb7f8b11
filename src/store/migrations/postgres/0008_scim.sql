-- What SCIM clients keep here. Ids are ours.
CREATE TABLE scim_resources (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    revision BIGINT NOT NULL,
    -- JSON.
    body TEXT NOT NULL,
    -- Folded; of users only.
    user_name TEXT UNIQUE,
    external_id TEXT,
    email TEXT,
    display_name TEXT,
    -- Folded.
    display_key TEXT,
    created_at BIGINT NOT NULL,
    modified_at BIGINT NOT NULL
);
CREATE INDEX scim_by_kind ON scim_resources (kind, id);
CREATE INDEX scim_by_email ON scim_resources (email, kind);
CREATE INDEX scim_by_external_id ON scim_resources (external_id, kind);
CREATE INDEX scim_by_display_key ON scim_resources (display_key, kind);

CREATE TABLE scim_members (
    group_id TEXT NOT NULL REFERENCES scim_resources (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES scim_resources (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX scim_members_by_user ON scim_members (user_id, group_id);
