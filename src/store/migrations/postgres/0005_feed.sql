-- What every replica has to hear of, numbered without gaps in the order of the commits.
CREATE TABLE changes (
    number BIGINT NOT NULL PRIMARY KEY,
    what TEXT NOT NULL,
    key TEXT NOT NULL
);

-- Whoever ends a session, and however. The lock is that of `families::CHANGES`.
CREATE FUNCTION note_ended_sessions() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT FROM ended) THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('narthex ' || TG_TABLE_SCHEMA || ' changes ', 0));
        INSERT INTO changes (number, what, key)
        SELECT (SELECT COALESCE(MAX(number), 0) FROM changes) + row_number() OVER (), 'session', encode(hash, 'hex')
        FROM ended;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER note_ended_sessions AFTER DELETE ON sessions
    REFERENCING OLD TABLE AS ended FOR EACH STATEMENT EXECUTE FUNCTION note_ended_sessions();

-- Replicas that listen look at once instead of at their next look.
CREATE FUNCTION tell_of_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('narthex_changes', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER tell_of_changes AFTER INSERT ON changes
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_changes();

-- As SQLite has it.
CREATE FUNCTION unhex(digits TEXT) RETURNS BYTEA LANGUAGE sql IMMUTABLE AS 'SELECT decode(digits, ''hex'')';
