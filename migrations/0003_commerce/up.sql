-- Who pays, who is paid, what they earn. Money is not here: it is in the journal. No personal data is here either.

CREATE TABLE customer (
    tenant     bigint      NOT NULL REFERENCES tenant (id),
    id         uuid        NOT NULL,
    reference  text        NOT NULL CHECK (reference <> ''),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, reference)
);
COMMENT ON TABLE customer IS 'A customer of the tenant, by the tenant''s own opaque reference.';

CREATE TABLE person_secret (
    tenant   bigint NOT NULL,
    customer uuid   NOT NULL,
    secret   bytea  NOT NULL CHECK (octet_length(secret) = 32),
    PRIMARY KEY (tenant, customer),
    FOREIGN KEY (tenant, customer) REFERENCES customer (tenant, id)
);
COMMENT ON TABLE person_secret IS 'Salts the commitments to a person''s facts. Deleting the row makes them unopenable and leaves the books whole.';

CREATE TABLE merchant (
    tenant     bigint      NOT NULL REFERENCES tenant (id),
    id         uuid        NOT NULL,
    reference  text        NOT NULL CHECK (reference <> ''),
    name       text        NOT NULL CHECK (name <> ''),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, reference)
);
COMMENT ON TABLE merchant IS 'Who is paid: shops, later billers.';

CREATE TABLE programme (
    tenant     bigint      NOT NULL REFERENCES tenant (id),
    id         uuid        NOT NULL,
    code       text        NOT NULL CHECK (code ~ '^[a-z0-9]{1,20}$'),
    name       text        NOT NULL CHECK (name <> ''),
    asset      integer     NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, code)
);
COMMENT ON TABLE programme IS 'A loyalty programme: its points are the asset PTS:<code> of the journal.';

CREATE TABLE campaign (
    tenant     bigint      NOT NULL REFERENCES tenant (id),
    id         uuid        NOT NULL,
    programme  uuid        NOT NULL,
    name       text        NOT NULL CHECK (name <> ''),
    merchant   uuid,
    starts_at  timestamptz,
    ends_at    timestamptz,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, programme) REFERENCES programme (tenant, id),
    FOREIGN KEY (tenant, merchant) REFERENCES merchant (tenant, id),
    CHECK (starts_at < ends_at)
);
COMMENT ON TABLE campaign IS 'What pays rewards: two budget accounts of the journal (money, points), floor 0. A pause freezes their debits there.';

CREATE TABLE reward_rule (
    tenant            bigint      NOT NULL,
    campaign          uuid        NOT NULL,
    version           integer     NOT NULL,
    cashback_bps      integer     NOT NULL CHECK (cashback_bps BETWEEN 0 AND 10000),
    cashback_cap      bigint      CHECK (cashback_cap > 0),
    points_per_unit   bigint      NOT NULL CHECK (points_per_unit BETWEEN 0 AND 1000000),
    created_at        timestamptz NOT NULL,
    PRIMARY KEY (tenant, campaign, version),
    FOREIGN KEY (tenant, campaign) REFERENCES campaign (tenant, id)
);
COMMENT ON TABLE reward_rule IS 'Versions of a campaign''s rule. A published version never changes; the highest one decides.';

CREATE TABLE customer_card (
    tenant            bigint      NOT NULL,
    customer          uuid        NOT NULL,
    payments          bigint      NOT NULL,
    paid_minor        bigint      NOT NULL,
    last_payment      uuid        NOT NULL,
    last_merchant     uuid        NOT NULL,
    last_amount_minor bigint      NOT NULL,
    last_at           timestamptz NOT NULL,
    PRIMARY KEY (tenant, customer)
) WITH (fillfactor = 50); -- A busy customer's row changes many times a second: it should find room on its own page.
COMMENT ON TABLE customer_card IS 'What the journal says of a customer''s payments, kept by the follower "card"; can be built again from seq 1.';

GRANT SELECT, INSERT ON customer, merchant, programme, campaign, reward_rule TO tessera_app;
GRANT SELECT, INSERT, DELETE ON person_secret TO tessera_app;
GRANT SELECT, INSERT, UPDATE ON customer_card TO tessera_app;
