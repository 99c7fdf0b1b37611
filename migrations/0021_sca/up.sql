-- Strong customer authentication: what was approved and how it is known, who failed too often, and what may go without.

CREATE TABLE sca_evidence (
    tenant      bigint      NOT NULL REFERENCES tenant (id),
    payment_id  uuid        NOT NULL,
    person      uuid        NOT NULL,
    file        bytea       NOT NULL,
    digest      bytea       NOT NULL CHECK (octet_length(digest) = 32),
    approved_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, payment_id)
);
COMMENT ON TABLE sca_evidence IS 'How it is known that a payer approved a payment. One a payment, and for good.';
COMMENT ON COLUMN sca_evidence.file IS 'The evidence as one JSON file, kept as its keeper seals it: it names the payee.';
COMMENT ON COLUMN sca_evidence.digest IS 'SHA-256 of the file itself.';

CREATE TABLE sca_failure (
    tenant        bigint      NOT NULL REFERENCES tenant (id),
    person        uuid        NOT NULL,
    consecutive   int         NOT NULL DEFAULT 0 CHECK (consecutive BETWEEN 0 AND 4),
    blocks        int         NOT NULL DEFAULT 0 CHECK (blocks BETWEEN 0 AND 3),
    blocked_until timestamptz,
    PRIMARY KEY (tenant, person),
    CHECK (blocked_until IS NULL OR blocks > 0)
);
COMMENT ON TABLE sca_failure IS 'Failed approvals in a row. Its row is locked while somebody''s approval is judged, so that none is miscounted.';
COMMENT ON COLUMN sca_failure.consecutive IS 'Since the last success or block; the fifth makes a block.';
COMMENT ON COLUMN sca_failure.blocks IS 'Since the last success: 15 minutes, 30 minutes, and the third has no end but to prove anew who one is.';

CREATE TABLE sca_policy (
    tenant            bigint      NOT NULL REFERENCES tenant (id),
    currency          text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    valid_from        timestamptz NOT NULL,
    synced_max_minor  bigint      NOT NULL CHECK (synced_max_minor >= 0),
    PRIMARY KEY (tenant, currency, valid_from)
);
COMMENT ON TABLE sca_policy IS 'Up to what amount a passkey that may be synced suffices alone. Without a row: never.';

CREATE TABLE sca_exemption_rule (
    tenant          bigint      NOT NULL REFERENCES tenant (id),
    article         text        NOT NULL CHECK (article IN ('rts-16')),
    currency        text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    valid_from      timestamptz NOT NULL,
    enabled         boolean     NOT NULL,
    most_minor      bigint      NOT NULL CHECK (most_minor > 0),
    most_uses       int         CHECK (most_uses > 0),
    most_total_minor bigint     CHECK (most_total_minor > 0),
    PRIMARY KEY (tenant, article, currency, valid_from),
    -- One kind of counter, not both: EBA Q&A 2018_4225.
    CHECK (num_nonnulls(most_uses, most_total_minor) = 1)
);
COMMENT ON TABLE sca_exemption_rule IS 'What may go without strong authentication, by article of Regulation (EU) 2018/389. Without a row: nothing.';

CREATE TABLE sca_exemption_counter (
    tenant        bigint NOT NULL REFERENCES tenant (id),
    payer_account uuid   NOT NULL,
    article       text   NOT NULL,
    currency      text   NOT NULL,
    round         bigint NOT NULL DEFAULT 0,
    uses          int    NOT NULL DEFAULT 0 CHECK (uses >= 0),
    total_minor   bigint NOT NULL DEFAULT 0 CHECK (total_minor >= 0),
    PRIMARY KEY (tenant, payer_account, article, currency)
);
COMMENT ON COLUMN sca_exemption_counter.round IS 'Grows with each strong authentication, which sets the counters to zero.';

CREATE TABLE sca_exemption_use (
    tenant        bigint      NOT NULL REFERENCES tenant (id),
    payment_id    uuid        NOT NULL,
    payer_account uuid        NOT NULL,
    article       text        NOT NULL,
    currency      text        NOT NULL,
    amount_minor  bigint      NOT NULL CHECK (amount_minor > 0),
    rule_from     timestamptz NOT NULL,
    round         bigint      NOT NULL,
    status        text        NOT NULL DEFAULT 'taken' CHECK (status IN ('taken', 'executed', 'released')),
    taken_at      timestamptz NOT NULL,
    settled_at    timestamptz,
    PRIMARY KEY (tenant, payment_id),
    CHECK ((status = 'taken') = (settled_at IS NULL))
);
COMMENT ON COLUMN sca_exemption_use.status IS 'taken: counts until it is known; executed: counts; released: was not paid, and does not (EBA Q&A 2018_4230).';

GRANT SELECT, INSERT ON sca_evidence, sca_policy, sca_exemption_rule TO tessera_app;
GRANT SELECT, INSERT, UPDATE (consecutive, blocks, blocked_until) ON sca_failure TO tessera_app;
GRANT SELECT, INSERT, UPDATE (round, uses, total_minor) ON sca_exemption_counter TO tessera_app;
GRANT SELECT, INSERT, UPDATE (status, settled_at) ON sca_exemption_use TO tessera_app;
