ALTER TABLE payment_intent DROP CONSTRAINT payment_intent_look, DROP COLUMN look_at;
COMMENT ON COLUMN payment_intent.post_until IS 'Until when it is posted. After that it never is, which the journal says when somebody asks.';
