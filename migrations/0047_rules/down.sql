-- First the rights: a column that is dropped keeps them, and who guards the table again would grant them on.
REVOKE UPDATE (withdrawn_at) ON sca_policy, sca_exemption_rule, four_eyes FROM tessera_app, tessera_tenant;
ALTER TABLE four_eyes DROP CONSTRAINT four_eyes_withdrawn, DROP COLUMN withdrawn_at;
REVOKE SELECT (tenant, client, scopes, revoked_at) ON api_key FROM tessera_tenant;
-- What was withdrawn would count again.
DELETE FROM sca_policy WHERE withdrawn_at IS NOT NULL;
DELETE FROM sca_exemption_rule WHERE withdrawn_at IS NOT NULL;
ALTER TABLE sca_policy DROP COLUMN withdrawn_at;
ALTER TABLE sca_exemption_rule DROP COLUMN withdrawn_at;
