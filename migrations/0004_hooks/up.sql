-- Hooks: who is told what, and what became of it. A follower of the journal writes events and deliveries in the
-- transaction that moves its cursor. No foreign keys between the hot tables: each would cost a look-up and a lock per
-- row, and what is deleted goes with all the rows that name it.

CREATE TABLE hook_endpoint (
    tenant          bigint      NOT NULL REFERENCES tenant (id),
    id              uuid        NOT NULL,
    url             text        NOT NULL CHECK (octet_length(url) BETWEEN 1 AND 2048),
    event_types     text[]      NOT NULL CHECK (cardinality(event_types) > 0 AND array_position(event_types, NULL) IS NULL),
    secret          bytea       NOT NULL CHECK (octet_length(secret) BETWEEN 24 AND 64),
    old_secrets     bytea[]     NOT NULL DEFAULT '{}',
    old_until       timestamptz[] NOT NULL DEFAULT '{}',
    ordered_skip    smallint    CHECK (ordered_skip BETWEEN 1 AND 10),
    since_seq       bigint      NOT NULL,
    created_at      timestamptz NOT NULL,
    failing_since   timestamptz,
    failing_told    smallint    NOT NULL DEFAULT 0,
    disabled_at     timestamptz,
    disabled_reason text,
    PRIMARY KEY (tenant, id),
    CHECK (cardinality(old_secrets) = cardinality(old_until) AND cardinality(old_secrets) <= 4),
    CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL))
);
COMMENT ON TABLE hook_endpoint IS 'Where hooks go. Never deleted, only disabled, so that its deliveries stay readable.';
COMMENT ON COLUMN hook_endpoint.event_types IS 'The types it is told; * is all of them.';
COMMENT ON COLUMN hook_endpoint.secret IS 'Signs what is sent. As it is: signing needs it whole at every attempt.';
COMMENT ON COLUMN hook_endpoint.old_secrets IS 'Secrets that were replaced and still sign, newest first, each until its old_until.';
COMMENT ON COLUMN hook_endpoint.ordered_skip IS 'For an ordered endpoint: attempts at one event before the next of its subject goes; null: not ordered.';
COMMENT ON COLUMN hook_endpoint.failing_since IS 'The first failure since the last success; null while the last attempt succeeded.';
COMMENT ON COLUMN hook_endpoint.failing_told IS 'How many of the notices of this failing were given.';
COMMENT ON COLUMN hook_endpoint.since_seq IS 'The journal''s head when it was added or enabled again: it is told what comes after.';
COMMENT ON COLUMN hook_endpoint.disabled_reason IS 'requested; gone: the receiver answered 410; failing: nothing but failures for days.';

-- One body per event, however many endpoints are told it; not copied when a delivery's state changes.
CREATE TABLE hook_event (
    tenant     bigint      NOT NULL,
    seq        bigint      NOT NULL,
    ordinal    integer     NOT NULL,
    id         uuid        NOT NULL,
    kind       text        NOT NULL,
    body       bytea       NOT NULL,
    created_at timestamptz NOT NULL,
    depth      smallint    NOT NULL DEFAULT 0 CHECK (depth BETWEEN 0 AND 8),
    PRIMARY KEY (tenant, seq, ordinal)
);
COMMENT ON TABLE hook_event IS 'CloudEvents bodies as they are sent, byte for byte, for as long as a delivery may need them.';
COMMENT ON COLUMN hook_event.ordinal IS 'Which of the events of the journal''s record seq, from 0; from 5000 on, what was said of endpoints when seq was the head.';
COMMENT ON COLUMN hook_event.depth IS 'How many hooks led to it, each by a call back to us.';

CREATE TABLE hook_delivery (
    tenant   bigint      NOT NULL,
    endpoint uuid        NOT NULL,
    seq      bigint      NOT NULL,
    ordinal  integer     NOT NULL,
    status   smallint    NOT NULL DEFAULT 0 CHECK (status BETWEEN 0 AND 3),
    attempts integer     NOT NULL DEFAULT 0,
    next_at  timestamptz,
    replayed integer,
    turn     bigint,
    PRIMARY KEY (tenant, endpoint, seq, ordinal),
    CHECK ((status = 0) = (next_at IS NOT NULL))
);
COMMENT ON COLUMN hook_delivery.status IS '0 pending, 1 delivered, 2 failed (every attempt made), 3 gone (the endpoint was disabled first).';
COMMENT ON COLUMN hook_delivery.next_at IS 'When the poller may take it. A node that has it in memory moves this ahead of itself; after a crash it comes due.';
COMMENT ON COLUMN hook_delivery.replayed IS 'Attempts made before it was last replayed; null when it never was.';
COMMENT ON COLUMN hook_delivery.turn IS 'At an ordered endpoint, the subject as a number: what is pending of it goes one by one. Who waits for its turn has the year 9999 for next_at.';
-- By lane: 0 first attempts, 1 retries, 2 replays, so that none of them hides what is due in another.
CREATE INDEX hook_delivery_due ON hook_delivery
    (tenant, endpoint, (CASE WHEN replayed IS NOT NULL THEN 2 WHEN attempts > 0 THEN 1 ELSE 0 END), next_at) WHERE status = 0;
CREATE INDEX hook_delivery_turn ON hook_delivery (tenant, endpoint, turn, seq, ordinal) WHERE status = 0 AND turn IS NOT NULL;
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

CREATE TABLE hook_replay (
    tenant         bigint      NOT NULL,
    id             uuid        NOT NULL,
    endpoint       uuid        NOT NULL,
    from_seq       bigint      NOT NULL,
    from_ordinal   integer     NOT NULL,
    cursor_seq     bigint      NOT NULL,
    cursor_ordinal integer     NOT NULL,
    upto_seq       bigint      NOT NULL,
    upto_ordinal   integer     NOT NULL,
    kinds          text[],
    statuses       smallint[],
    names          text[],
    examined       bigint      NOT NULL DEFAULT 0,
    replayed       bigint      NOT NULL DEFAULT 0,
    created_at     timestamptz NOT NULL,
    ended_at       timestamptz,
    is_cancelled   boolean     NOT NULL DEFAULT false,
    PRIMARY KEY (tenant, id)
);
COMMENT ON TABLE hook_replay IS 'Orders to tell an endpoint again. The leader walks the deliveries from the cursor on, a page at a time.';
COMMENT ON COLUMN hook_replay.from_seq IS 'The first delivery it is about, with from_ordinal; upto_seq and upto_ordinal: the last.';
COMMENT ON COLUMN hook_replay.cursor_seq IS 'The last delivery looked at, with cursor_ordinal.';
COMMENT ON COLUMN hook_replay.names IS 'Event ids or webhook ids; null: whatever the id.';
CREATE INDEX hook_replay_unfinished ON hook_replay (tenant, endpoint) WHERE ended_at IS NULL;
CREATE INDEX hook_replay_endpoint ON hook_replay (tenant, endpoint, id);

-- Dead rows come as fast as deliveries do: the due index must not fill up with them.
ALTER TABLE hook_delivery SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

GRANT SELECT, INSERT ON hook_endpoint, hook_event, hook_delivery, hook_attempt, hook_replay TO tessera_app;
GRANT UPDATE (secret, old_secrets, old_until, since_seq, failing_since, failing_told, disabled_at, disabled_reason)
    ON hook_endpoint TO tessera_app;
GRANT UPDATE (depth) ON hook_event TO tessera_app;
GRANT UPDATE (status, attempts, next_at, replayed) ON hook_delivery TO tessera_app;
GRANT UPDATE (cursor_seq, cursor_ordinal, examined, replayed, ended_at, is_cancelled) ON hook_replay TO tessera_app;
-- What is older than the retention is deleted; the journal, which it was made from, stays.
GRANT DELETE ON hook_event, hook_delivery, hook_attempt, hook_replay TO tessera_app;
