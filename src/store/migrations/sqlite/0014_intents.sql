-- When a creation was intended: long after that, an account of its name may be anybody's. NULL: before this was noted.
ALTER TABLE creations ADD COLUMN intended_at INTEGER;
-- The verified address that an identity came with last (PROVISIONING.md G6); NULL: none yet.
ALTER TABLE identities ADD COLUMN email TEXT;
