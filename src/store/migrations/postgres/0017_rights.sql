-- Rights that concern no single member, over all processes: who has one, and until when.
CREATE TABLE rights (
    name TEXT NOT NULL PRIMARY KEY,
    holder BIGINT NOT NULL,
    held_until BIGINT NOT NULL
);
