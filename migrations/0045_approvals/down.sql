DROP TABLE four_eyes_policy;
DROP INDEX four_eyes_asked;
ALTER TABLE four_eyes DROP CONSTRAINT four_eyes_decision, DROP COLUMN body, DROP COLUMN asked_by, DROP COLUMN decided_by,
    DROP COLUMN is_approved;
COMMENT ON COLUMN four_eyes.fingerprint IS 'SHA-256 of all that was asked for: what is confirmed is what was asked.';
