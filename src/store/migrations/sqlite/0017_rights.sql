-- Rights that concern no single member, over all processes: who has one, and until when.
CREATE TABLE rights (
    name TEXT NOT NULL PRIMARY KEY,
    holder INTEGER NOT NULL,
    held_until INTEGER NOT NULL
) STRICT;
