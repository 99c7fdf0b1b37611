DROP TABLE four_eyes;
ALTER TABLE adjustment DROP COLUMN proposed_eyes, DROP COLUMN decided_eyes;
