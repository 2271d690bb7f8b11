-- The address that an administrator came with: whoever is blocked by it is so in the admin API too (G6).
ALTER TABLE console_people ADD COLUMN email TEXT;
ALTER TABLE console_sessions ADD COLUMN email TEXT;
-- Of these it is not known; their people sign in anew.
DELETE FROM console_sessions;
