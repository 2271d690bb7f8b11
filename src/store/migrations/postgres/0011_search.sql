-- What administrators search by. Folded by the database, so that no writer can forget it; ASCII only and in the order
-- of bytes, the same in every database.
ALTER TABLE members ADD COLUMN email_folded TEXT COLLATE "C"
    GENERATED ALWAYS AS (lower(email COLLATE "C")) STORED;
ALTER TABLE members ADD COLUMN username_folded TEXT COLLATE "C"
    GENERATED ALWAYS AS (lower(username COLLATE "C")) STORED;
CREATE INDEX members_by_email ON members (email_folded, id);
CREATE INDEX members_by_username ON members (username_folded, id);
CREATE INDEX sessions_by_identity ON sessions (idp, subject, ordinal);
