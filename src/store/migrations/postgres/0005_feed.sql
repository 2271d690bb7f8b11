-- What every replica has to hear of, numbered without gaps in the order of the commits.
CREATE TABLE changes (
    number BIGINT NOT NULL PRIMARY KEY,
    what TEXT NOT NULL,
    key TEXT NOT NULL
);

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
