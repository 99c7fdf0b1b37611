-- What persons want to pay of their own, and how they agreed to it. What became of it is not here: it is in the journal, under
-- the payment's id.

CREATE TABLE payment_intent (
    tenant         bigint      NOT NULL REFERENCES tenant (id),
    id             uuid        NOT NULL,
    person         uuid        NOT NULL,
    request        uuid        NOT NULL,
    fingerprint    uuid        NOT NULL,
    merchant       uuid        NOT NULL,
    payee_name     text        NOT NULL CHECK (payee_name <> ''),
    amount_minor   bigint      NOT NULL CHECK (amount_minor > 0),
    reference      text        CHECK (reference <> ''),
    asked_at       timestamptz NOT NULL,
    execution_date date        NOT NULL,
    offer          uuid,
    offered_until  timestamptz,
    agreed_at      timestamptz,
    evidence       bytea       CHECK (octet_length(evidence) = 32),
    article        text        CHECK (article <> ''),
    post_until     timestamptz,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, person, request),
    FOREIGN KEY (tenant, person) REFERENCES person (tenant, id),
    FOREIGN KEY (tenant, merchant) REFERENCES merchant (tenant, id),
    CHECK ((offer IS NULL) = (offered_until IS NULL)),
    CHECK ((agreed_at IS NULL) = (post_until IS NULL)),
    -- Approved, or exempted by an article: one of the two, and then for good.
    CHECK (num_nonnulls(evidence, article) = num_nonnulls(agreed_at))
);
CREATE INDEX payment_intent_of ON payment_intent (tenant, person, id);
COMMENT ON TABLE payment_intent IS 'What is approved and what is posted are both made of one row, which nobody changes but for its agreement.';
COMMENT ON COLUMN payment_intent.request IS 'The person''s Idempotency-Key, with the fingerprint of what was asked under it.';
COMMENT ON COLUMN payment_intent.payee_name IS 'The merchant''s name as it was shown.';
COMMENT ON COLUMN payment_intent.asked_at IS 'When it was asked, by the tenant''s clock.';
COMMENT ON COLUMN payment_intent.offer IS 'The challenge that asks for its approval: the last one.';
COMMENT ON COLUMN payment_intent.evidence IS 'SHA-256 of the evidence that it was approved: the journal''s record names it too.';
COMMENT ON COLUMN payment_intent.article IS 'Under which article of Regulation (EU) 2018/389 it goes without approval.';
COMMENT ON COLUMN payment_intent.post_until IS 'Until when it is posted. After that it never is, which the journal says when somebody asks.';

GRANT SELECT, INSERT, UPDATE (offer, offered_until, agreed_at, evidence, article, post_until) ON payment_intent TO tessera_app;
SELECT guard_tenant('payment_intent', 'tenant');
