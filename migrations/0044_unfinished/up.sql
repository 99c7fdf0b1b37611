-- Own payments that were agreed to are brought to their end by the house, whoever asks or not: each is looked at once after its
-- agreement, and again until the journal says what became of it.

ALTER TABLE payment_intent
    ADD COLUMN look_at timestamptz,
    ADD CONSTRAINT payment_intent_look CHECK (look_at IS NULL OR agreed_at IS NOT NULL);
COMMENT ON COLUMN payment_intent.look_at IS 'When the house looks what became of it; while it does, when another node may. None once the journal has said.';
COMMENT ON COLUMN payment_intent.post_until IS 'Until when it is posted. After that it never is, which the journal says once the house or somebody asks.';
-- Those agreed to before now were nobody's to look at.
UPDATE payment_intent SET look_at = post_until WHERE agreed_at IS NOT NULL;
CREATE INDEX payment_intent_unfinished ON payment_intent (tenant, look_at) WHERE look_at IS NOT NULL;

GRANT UPDATE (look_at) ON payment_intent TO tessera_app;
SELECT guard_tenant('payment_intent', 'tenant');
