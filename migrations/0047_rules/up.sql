-- Rules of strong authentication are asked for with a date. One that has not begun may be withdrawn: who switches a rule off
-- wants it off, also where another was approved for later. What began stays as it was.

ALTER TABLE sca_policy ADD COLUMN withdrawn_at timestamptz CHECK (withdrawn_at < valid_from);
ALTER TABLE sca_exemption_rule ADD COLUMN withdrawn_at timestamptz CHECK (withdrawn_at < valid_from);
COMMENT ON COLUMN sca_policy.withdrawn_at IS 'When it was taken back, before it began: it never counts.';
COMMENT ON COLUMN sca_exemption_rule.withdrawn_at IS 'When it was taken back, before it began: it never counts.';
GRANT UPDATE (withdrawn_at) ON sca_policy, sca_exemption_rule TO tessera_app;
SELECT guard_tenant('sca_policy', 'tenant');
SELECT guard_tenant('sca_exemption_rule', 'tenant');

-- What a key asked for that has been ended nobody approves: of keys, a request may know that much and never their hash.
GRANT SELECT (tenant, client, scopes, revoked_at) ON api_key TO tessera_tenant;

ALTER TABLE four_eyes ADD COLUMN withdrawn_at timestamptz,
    ADD CONSTRAINT four_eyes_withdrawn CHECK (withdrawn_at IS NULL OR decided_at IS NULL);
COMMENT ON COLUMN four_eyes.withdrawn_at IS 'When whoever asked took it back: nobody decides it any more.';
GRANT UPDATE (withdrawn_at) ON four_eyes TO tessera_app;
SELECT guard_tenant('four_eyes', 'tenant');
