-- What every replica has to hear of, numbered without gaps in the order of the commits.
CREATE TABLE changes (
    number INTEGER NOT NULL PRIMARY KEY,
    what TEXT NOT NULL,
    key TEXT NOT NULL
) STRICT;
