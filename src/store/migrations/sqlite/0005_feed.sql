-- What every replica has to hear of, numbered without gaps in the order of the commits.
CREATE TABLE changes (
    number INTEGER NOT NULL PRIMARY KEY,
    what TEXT NOT NULL,
    key TEXT NOT NULL
) STRICT;

-- Whoever ends a session, and however.
CREATE TRIGGER note_ended_session AFTER DELETE ON sessions BEGIN
    INSERT INTO changes (number, what, key)
    SELECT COALESCE(MAX(number), 0) + 1, 'session', lower(hex(OLD.hash)) FROM changes;
END;
