-- Rights that concern no single member, over all processes: who has one, and until when.
CREATE TABLE rights (
    name TEXT NOT NULL PRIMARY KEY,
    holder BIGINT NOT NULL,
    held_until BIGINT NOT NULL
);

-- The addresses of identities as migration 11 has those of members: who was blocked is found by either, however many are.
ALTER TABLE identities ADD COLUMN email_folded TEXT COLLATE "C"
    GENERATED ALWAYS AS (lower(email COLLATE "C")) STORED;
CREATE INDEX identities_by_email ON identities (email_folded, member);
DROP INDEX members_blocked;
