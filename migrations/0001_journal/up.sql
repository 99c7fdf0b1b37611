-- The journal. Rows of record, transfer, batch, key, claim and companion are written once and never change: the app
-- role may not update or delete them. Head, watermark, lease, account checkpoints and follower cursors are the only
-- mutable rows. The journal (one per tenant) leads every key.
--
-- Times here are bigint microseconds since 1970 (UTC): the journal hashes them and binds them as flat arrays.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tessera_app') THEN
        CREATE ROLE tessera_app NOLOGIN;
    END IF;
END
$$;

-- So that a node, which may change no table, can see whether its database is as new as itself.
GRANT SELECT ON __diesel_schema_migrations TO tessera_app;

CREATE SCHEMA journal;
GRANT USAGE ON SCHEMA journal TO tessera_app;

-- One row per journal: the write fence. A batch commits through this row under the epoch it was decided in.
CREATE TABLE journal.head (
    journal         bigint PRIMARY KEY,
    fork            uuid    NOT NULL,
    version         integer NOT NULL,
    epoch           bigint  NOT NULL DEFAULT 0,
    seq             bigint  NOT NULL DEFAULT 0,
    last_us         bigint  NOT NULL DEFAULT 0,
    clock_offset_us bigint  NOT NULL DEFAULT 0,
    sandbox         boolean NOT NULL,
    digest          bytea   NOT NULL DEFAULT '\x'
) WITH (fillfactor = 50);

-- How far the account checkpoints are exact. Apart from the head, so that moving it never waits for a batch.
CREATE TABLE journal.watermark (
    journal bigint PRIMARY KEY,
    epoch   bigint NOT NULL DEFAULT 0,
    seq     bigint NOT NULL DEFAULT 0
);

-- Who leads a slot. No batch touches this row.
CREATE TABLE journal.lease (
    slot           integer PRIMARY KEY,
    holder         uuid          NOT NULL,
    address        text          NOT NULL,
    epoch          bigint        NOT NULL,
    expires_at     timestamptz   NOT NULL,
    session_pids   integer[]     NOT NULL,
    session_starts timestamptz[] NOT NULL
);

CREATE TABLE journal.asset (
    journal bigint   NOT NULL,
    id      integer  NOT NULL,
    code    text     NOT NULL,
    scale   smallint NOT NULL CHECK (scale BETWEEN 0 AND 6),
    PRIMARY KEY (journal, id),
    UNIQUE (journal, code)
);

-- id = the seq of the record that opened it. Rules are kept in step with the account's event records.
CREATE TABLE journal.account (
    journal            bigint  NOT NULL,
    id                 bigint  NOT NULL,
    public_id          uuid    NOT NULL,
    asset              integer NOT NULL,
    normal_side        integer NOT NULL,
    owner              uuid,
    floor              bigint,
    ceiling            bigint,
    debits_frozen      boolean NOT NULL DEFAULT false,
    credits_frozen     boolean NOT NULL DEFAULT false,
    checkpoint_balance bigint  NOT NULL DEFAULT 0,
    checkpoint_held    bigint  NOT NULL DEFAULT 0,
    checkpoint_version bigint  NOT NULL DEFAULT 0,
    PRIMARY KEY (journal, id),
    UNIQUE (journal, public_id),
    CHECK (floor IS NULL OR checkpoint_version = 0 OR checkpoint_balance - checkpoint_held >= floor)
) WITH (fillfactor = 70);

CREATE TABLE journal.record (
    journal      bigint  NOT NULL,
    seq          bigint  NOT NULL,
    kind         integer NOT NULL,
    id           uuid    NOT NULL,
    recorded_us  bigint  NOT NULL,
    effective_us bigint  NOT NULL,
    body         bytea   NOT NULL,
    meta         bytea   NOT NULL,
    PRIMARY KEY (journal, seq)
);

-- Each side carries balance, held and version after the row: an account is its own dense history.
CREATE TABLE journal.transfer (
    journal        bigint  NOT NULL,
    seq            bigint  NOT NULL,
    leg            integer NOT NULL,
    kind           integer NOT NULL,
    asset          integer NOT NULL,
    debit          bigint  NOT NULL,
    credit         bigint  NOT NULL,
    amount         bigint  NOT NULL CHECK (amount > 0),
    debit_balance  bigint  NOT NULL,
    debit_held     bigint  NOT NULL,
    debit_version  bigint  NOT NULL,
    credit_balance bigint  NOT NULL,
    credit_held    bigint  NOT NULL,
    credit_version bigint  NOT NULL,
    PRIMARY KEY (journal, seq, leg),
    CHECK (debit <> credit)
);
CREATE UNIQUE INDEX transfer_debit_history  ON journal.transfer (journal, debit, debit_version);
CREATE UNIQUE INDEX transfer_credit_history ON journal.transfer (journal, credit, credit_version);

-- One row per commit. The digest chains SHA-256 over the canonical bytes of the batch's records to the one before.
CREATE TABLE journal.batch (
    journal      bigint  NOT NULL,
    last_seq     bigint  NOT NULL,
    first_seq    bigint  NOT NULL,
    epoch        bigint  NOT NULL,
    version      integer NOT NULL,
    recorded_us  bigint  NOT NULL,
    digest       bytea   NOT NULL,
    PRIMARY KEY (journal, last_seq)
);

-- Idempotency keys, for ever.
CREATE TABLE journal.key (
    journal     bigint NOT NULL,
    scope       bigint NOT NULL,
    key         uuid   NOT NULL,
    fingerprint uuid   NOT NULL,
    seq         bigint NOT NULL,
    PRIMARY KEY (journal, scope, key)
);

-- What can happen once, ever.
CREATE TABLE journal.claim (
    journal bigint NOT NULL,
    claim   uuid   NOT NULL,
    seq     bigint NOT NULL,
    PRIMARY KEY (journal, claim)
);

-- Bytes of the slices, written in the same commit as the record they belong to. Keys are the slices' own and meant to
-- be unique; seq is in the key so that a repeated one can fail nobody's batch.
CREATE TABLE journal.companion (
    journal bigint  NOT NULL,
    kind    integer NOT NULL,
    key     uuid    NOT NULL,
    seq     bigint  NOT NULL,
    place   integer NOT NULL,
    body    bytea   NOT NULL,
    PRIMARY KEY (journal, kind, key, seq)
);
CREATE INDEX companion_in_order ON journal.companion (journal, seq);

-- Cursors of whoever follows the journal. A cursor moves in the transaction of its effect.
CREATE TABLE journal.follower (
    journal bigint NOT NULL,
    name    text   NOT NULL,
    fork    uuid   NOT NULL,
    epoch   bigint NOT NULL DEFAULT 0,
    seq     bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (journal, name)
);

-- The rows of a batch. Planned once per session; only a freeze looks a row up. The arrays of a table are equally long and
-- are read in step: unnest() in the list, not in FROM, where PostgreSQL would first store each of them.
CREATE FUNCTION journal.rows(
    p_journal bigint, p_first bigint, p_last bigint, p_now bigint,
    k_scope bigint[], k_key uuid[], k_fingerprint uuid[], k_seq bigint[],
    c_claim uuid[], c_seq bigint[],
    r_kind integer[], r_id uuid[], r_effective bigint[], r_body bytea[], r_meta bytea[],
    t_seq bigint[], t_leg integer[], t_kind integer[], t_asset integer[], t_debit bigint[], t_credit bigint[],
    t_amount bigint[], t_debit_balance bigint[], t_debit_held bigint[], t_debit_version bigint[],
    t_credit_balance bigint[], t_credit_held bigint[], t_credit_version bigint[],
    a_id bigint[], a_public_id uuid[], a_asset integer[], a_side integer[], a_owner uuid[],
    a_floor bigint[], a_ceiling bigint[],
    f_id bigint[], f_debits integer[], f_credits integer[],
    x_kind integer[], x_key uuid[], x_seq bigint[], x_place integer[], x_body bytea[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO journal.record (journal, seq, kind, id, recorded_us, effective_us, body, meta)
    SELECT p_journal, generate_series(p_first, p_last), unnest(r_kind), unnest(r_id), p_now, unnest(r_effective),
        unnest(r_body), unnest(r_meta);
    IF cardinality(k_key) > 0 THEN
        INSERT INTO journal.key (journal, scope, key, fingerprint, seq)
        SELECT p_journal, unnest(k_scope), unnest(k_key), unnest(k_fingerprint), unnest(k_seq);
    END IF;
    IF cardinality(t_seq) > 0 THEN
        INSERT INTO journal.transfer (journal, seq, leg, kind, asset, debit, credit, amount,
            debit_balance, debit_held, debit_version, credit_balance, credit_held, credit_version)
        SELECT p_journal, unnest(t_seq), unnest(t_leg), unnest(t_kind), unnest(t_asset), unnest(t_debit),
            unnest(t_credit), unnest(t_amount), unnest(t_debit_balance), unnest(t_debit_held), unnest(t_debit_version),
            unnest(t_credit_balance), unnest(t_credit_held), unnest(t_credit_version);
    END IF;
    IF cardinality(c_claim) > 0 THEN
        INSERT INTO journal.claim (journal, claim, seq) SELECT p_journal, unnest(c_claim), unnest(c_seq);
    END IF;
    IF cardinality(a_id) > 0 THEN
        INSERT INTO journal.account (journal, id, public_id, asset, normal_side, owner, floor, ceiling)
        SELECT p_journal, unnest(a_id), unnest(a_public_id), unnest(a_asset), unnest(a_side), unnest(a_owner),
            unnest(a_floor), unnest(a_ceiling);
    END IF;
    IF cardinality(f_id) > 0 THEN
        FOR place IN 1 .. cardinality(f_id) LOOP
            UPDATE journal.account SET debits_frozen = f_debits[place] = 1, credits_frozen = f_credits[place] = 1
            WHERE journal = p_journal AND id = f_id[place];
        END LOOP;
    END IF;
    IF cardinality(x_key) > 0 THEN
        INSERT INTO journal.companion (journal, kind, key, seq, place, body)
        SELECT p_journal, unnest(x_kind), unnest(x_key), unnest(x_seq), unnest(x_place), unnest(x_body);
    END IF;
END
$$;

-- The fence: moves the head from the batch's first seq to its last under the batch's epoch, or fails the whole.
CREATE FUNCTION journal.head(
    p_journal bigint, p_epoch bigint, p_first bigint, p_last bigint, p_version integer,
    p_now bigint, p_offset bigint, p_digest bytea
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    stands journal.head; -- Not "found": that name would hide what NOT FOUND looks at.
BEGIN
    -- The head first: a late batch must meet the fence, not a batch row of the same last seq.
    UPDATE journal.head SET seq = p_last, last_us = p_now, clock_offset_us = p_offset, digest = p_digest
    WHERE journal = p_journal AND epoch = p_epoch AND seq = p_first - 1 AND version = p_version;
    IF NOT FOUND THEN
        SELECT * INTO stands FROM journal.head WHERE journal = p_journal;
        RAISE EXCEPTION 'fenced: head is at epoch % seq %, batch is of epoch % from seq %',
            stands.epoch, stands.seq, p_epoch, p_first USING ERRCODE = 'TS001';
    END IF;
    INSERT INTO journal.batch (journal, last_seq, first_seq, epoch, version, recorded_us, digest)
    VALUES (p_journal, p_last, p_first, p_epoch, p_version, p_now, p_digest);
END
$$;

-- A batch: one call, one commit. The first argument is the journal, which is what a sharded deployment routes by.
CREATE FUNCTION journal.post(
    p_journal bigint, p_epoch bigint, p_first bigint, p_last bigint, p_version integer,
    p_now bigint, p_offset bigint, p_digest bytea,
    k_scope bigint[], k_key uuid[], k_fingerprint uuid[], k_seq bigint[],
    c_claim uuid[], c_seq bigint[],
    r_kind integer[], r_id uuid[], r_effective bigint[], r_body bytea[], r_meta bytea[],
    t_seq bigint[], t_leg integer[], t_kind integer[], t_asset integer[], t_debit bigint[], t_credit bigint[],
    t_amount bigint[], t_debit_balance bigint[], t_debit_held bigint[], t_debit_version bigint[],
    t_credit_balance bigint[], t_credit_held bigint[], t_credit_version bigint[],
    a_id bigint[], a_public_id uuid[], a_asset integer[], a_side integer[], a_owner uuid[],
    a_floor bigint[], a_ceiling bigint[],
    f_id bigint[], f_debits integer[], f_credits integer[],
    x_kind integer[], x_key uuid[], x_seq bigint[], x_place integer[], x_body bytea[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM journal.head(p_journal, p_epoch, p_first, p_last, p_version, p_now, p_offset, p_digest);
    PERFORM journal.rows(p_journal, p_first, p_last, p_now, k_scope, k_key, k_fingerprint, k_seq, c_claim, c_seq,
        r_kind, r_id, r_effective, r_body, r_meta,
        t_seq, t_leg, t_kind, t_asset, t_debit, t_credit, t_amount, t_debit_balance, t_debit_held, t_debit_version,
        t_credit_balance, t_credit_held, t_credit_version,
        a_id, a_public_id, a_asset, a_side, a_owner, a_floor, a_ceiling, f_id, f_debits, f_credits,
        x_kind, x_key, x_seq, x_place, x_body);
END
$$;

-- Refreshes checkpoints. A value at a version is a fact, so a late or repeated call changes nothing. One row at a time:
-- joined to an array, the planner may read every account for each of its elements, and an update has no LATERAL.
CREATE FUNCTION journal.checkpoint(
    p_journal bigint, p_id bigint[], p_balance bigint[], p_held bigint[], p_version bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR place IN 1 .. cardinality(p_id) LOOP
        UPDATE journal.account SET checkpoint_balance = p_balance[place], checkpoint_held = p_held[place],
            checkpoint_version = p_version[place]
        WHERE journal = p_journal AND id = p_id[place] AND checkpoint_version < p_version[place];
    END LOOP;
END
$$;

-- An account as it truly stands: as its newest row, on either side, left it; one without rows stands at zero.
CREATE VIEW journal.balance AS
SELECT a.journal, a.id, a.public_id, a.asset, a.owner, a.floor, a.ceiling, a.debits_frozen, a.credits_frozen,
       coalesce(newest.balance, 0) AS balance, coalesce(newest.held, 0) AS held, coalesce(newest.version, 0) AS version
FROM journal.account a
LEFT JOIN LATERAL (
    SELECT * FROM (
        (SELECT debit_balance AS balance, debit_held AS held, debit_version AS version FROM journal.transfer t
         WHERE t.journal = a.journal AND t.debit = a.id ORDER BY t.debit_version DESC LIMIT 1)
        UNION ALL
        (SELECT credit_balance, credit_held, credit_version FROM journal.transfer t
         WHERE t.journal = a.journal AND t.credit = a.id ORDER BY t.credit_version DESC LIMIT 1)
    ) sides ORDER BY version DESC LIMIT 1
) newest ON true;

GRANT SELECT ON ALL TABLES IN SCHEMA journal TO tessera_app;
GRANT INSERT ON journal.head, journal.watermark, journal.lease, journal.asset, journal.account, journal.record,
    journal.transfer, journal.batch, journal.key, journal.claim, journal.companion, journal.follower TO tessera_app;
GRANT UPDATE ON journal.head, journal.watermark, journal.lease, journal.follower TO tessera_app;
GRANT UPDATE (debits_frozen, credits_frozen, checkpoint_balance, checkpoint_held, checkpoint_version)
    ON journal.account TO tessera_app;
