-- What administrators search by. Folded by the database, so that no writer can forget it; ASCII only, the same in
-- every database.
ALTER TABLE members ADD COLUMN email_folded TEXT GENERATED ALWAYS AS (lower(email)) VIRTUAL;
ALTER TABLE members ADD COLUMN username_folded TEXT GENERATED ALWAYS AS (lower(username)) VIRTUAL;
CREATE INDEX members_by_email ON members (email_folded, id);
CREATE INDEX members_by_username ON members (username_folded, id);
CREATE INDEX sessions_by_identity ON sessions (idp, subject, ordinal);
