ALTER TABLE api_key DROP COLUMN created_by;
DELETE FROM refresh_token r USING session s WHERE s.tenant = r.tenant AND s.id = r.session AND s.operator IS NOT NULL;
DELETE FROM session WHERE operator IS NOT NULL;
ALTER TABLE session DROP CONSTRAINT session_revoked_for_check, ADD CHECK (revoked_for BETWEEN 0 AND 4);
ALTER TABLE session
    DROP CONSTRAINT session_holder,
    DROP COLUMN operator,
    DROP COLUMN strict,
    ALTER COLUMN person SET NOT NULL,
    ALTER COLUMN device SET NOT NULL;
DROP TABLE operator_invitation, operator_role, operator;
