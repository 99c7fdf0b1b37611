-- Who was at which merchant, so that staff of a shop sees the shop's customers and nobody else; and glass that was broken.

CREATE TABLE customer_merchant (
    tenant   bigint NOT NULL,
    customer uuid   NOT NULL,
    merchant uuid   NOT NULL,
    PRIMARY KEY (tenant, customer, merchant)
);
COMMENT ON TABLE customer_merchant IS 'Whom each customer has paid, kept by the follower "card"; can be built again from seq 1.';
-- Of those before, the last is known; the others are there again with the next payment.
INSERT INTO customer_merchant SELECT tenant, customer, last_merchant FROM customer_card;
GRANT SELECT, INSERT ON customer_merchant TO tessera_app;
SELECT guard_tenant('customer_merchant', 'tenant');

CREATE TABLE break_glass (
    tenant    bigint      NOT NULL,
    id        uuid        NOT NULL,
    operator  uuid        NOT NULL,
    customer  uuid        NOT NULL,
    reason    bytea       NOT NULL,
    opened_at timestamptz NOT NULL,
    closes_at timestamptz NOT NULL CHECK (closes_at > opened_at),
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, operator) REFERENCES operator (tenant, id),
    FOREIGN KEY (tenant, customer) REFERENCES customer (tenant, id)
);
CREATE INDEX break_glass_of_operator ON break_glass (tenant, operator, closes_at);
COMMENT ON TABLE break_glass IS 'An operator looks at one customer in an emergency, for an hour. The customer sees it.';
COMMENT ON COLUMN break_glass.reason IS 'In words, sealed by the customer''s key.';
GRANT SELECT, INSERT ON break_glass TO tessera_app;
SELECT guard_tenant('break_glass', 'tenant');
