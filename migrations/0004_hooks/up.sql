-- Hooks: who is told what, and what became of it. A follower of the journal writes events and deliveries in the
-- transaction that moves its cursor. No foreign keys between the hot tables: each would cost a look-up and a lock per
-- row, and nothing here is ever deleted while a row that names it stays.

CREATE TABLE hook_endpoint (
    tenant          bigint      NOT NULL REFERENCES tenant (id),
    id              uuid        NOT NULL,
    url             text        NOT NULL CHECK (octet_length(url) BETWEEN 1 AND 2048),
    event_types     text[]      NOT NULL CHECK (cardinality(event_types) > 0 AND array_position(event_types, NULL) IS NULL),
    secret          bytea       NOT NULL CHECK (octet_length(secret) BETWEEN 24 AND 64),
    since_seq       bigint      NOT NULL,
    created_at      timestamptz NOT NULL,
    disabled_at     timestamptz,
    disabled_reason text,
    PRIMARY KEY (tenant, id),
    CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL))
);
COMMENT ON TABLE hook_endpoint IS 'Where hooks go. Never deleted, only disabled, so that its deliveries stay readable.';
COMMENT ON COLUMN hook_endpoint.event_types IS 'The types it is told; * is all of them.';
COMMENT ON COLUMN hook_endpoint.secret IS 'Signs what is sent. As it is: signing needs it whole at every attempt.';
COMMENT ON COLUMN hook_endpoint.since_seq IS 'The journal''s head when it was added: it is told what comes after.';
COMMENT ON COLUMN hook_endpoint.disabled_reason IS 'requested, or gone: the receiver answered 410.';

-- One body per event, however many endpoints are told it; not copied when a delivery's state changes.
CREATE TABLE hook_event (
    tenant     bigint      NOT NULL,
    seq        bigint      NOT NULL,
    ordinal    integer     NOT NULL,
    id         uuid        NOT NULL,
    kind       text        NOT NULL,
    body       bytea       NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, seq, ordinal)
);
COMMENT ON TABLE hook_event IS 'CloudEvents bodies as they are sent, byte for byte, for as long as a delivery may need them.';
COMMENT ON COLUMN hook_event.ordinal IS 'Which of the events of the journal''s record seq, from 0.';

CREATE TABLE hook_delivery (
    tenant   bigint      NOT NULL,
    endpoint uuid        NOT NULL,
    seq      bigint      NOT NULL,
    ordinal  integer     NOT NULL,
    status   smallint    NOT NULL DEFAULT 0 CHECK (status BETWEEN 0 AND 3),
    attempts integer     NOT NULL DEFAULT 0,
    next_at  timestamptz,
    PRIMARY KEY (tenant, endpoint, seq, ordinal),
    CHECK ((status = 0) = (next_at IS NOT NULL))
);
COMMENT ON COLUMN hook_delivery.status IS '0 pending, 1 delivered, 2 failed (every attempt made), 3 gone (the endpoint was disabled first).';
COMMENT ON COLUMN hook_delivery.next_at IS 'When the poller may take it. A node that has it in memory moves this ahead of itself; after a crash it comes due.';
CREATE INDEX hook_delivery_due ON hook_delivery (tenant, endpoint, next_at) WHERE status = 0;
-- For the listing of what went wrong, which is rare among what went well.
CREATE INDEX hook_delivery_undelivered ON hook_delivery (tenant, endpoint, status, seq, ordinal) WHERE status IN (2, 3);

CREATE TABLE hook_attempt (
    tenant      bigint      NOT NULL,
    endpoint    uuid        NOT NULL,
    seq         bigint      NOT NULL,
    ordinal     integer     NOT NULL,
    attempt     integer     NOT NULL,
    at          timestamptz NOT NULL,
    status      integer,
    reason      text,
    duration_ms integer     NOT NULL,
    response    text,
    PRIMARY KEY (tenant, endpoint, seq, ordinal, attempt)
);
COMMENT ON TABLE hook_attempt IS 'Every attempt made, counted from 1.';
COMMENT ON COLUMN hook_attempt.status IS 'The HTTP status of the answer; null when none came.';
COMMENT ON COLUMN hook_attempt.reason IS 'Why it failed, by its stable name; null when it was delivered.';
COMMENT ON COLUMN hook_attempt.response IS 'The beginning of the answer to an attempt that failed, at most 20,000 bytes.';

-- Dead rows come as fast as deliveries do: the due index must not fill up with them.
ALTER TABLE hook_delivery SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

GRANT SELECT, INSERT ON hook_endpoint, hook_event, hook_delivery, hook_attempt TO tessera_app;
GRANT UPDATE (disabled_at, disabled_reason) ON hook_endpoint TO tessera_app;
GRANT UPDATE (status, attempts, next_at) ON hook_delivery TO tessera_app;
