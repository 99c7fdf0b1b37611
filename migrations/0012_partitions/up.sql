-- Transfers by ranges of seq (docs/adr/0007). The table there was becomes the first range, shared by all journals, its
-- history indexed row by row. Every later range has one partition for each journal that has come so far, without those
-- two indexes; when a range is full, what it has of each account's history is written down at once. No row moves.
--
-- DDL belongs to the owner. The app role asks for it by two functions, which decide by the rows alone what is due.

SET LOCAL lock_timeout = '10s';

DROP VIEW journal.balance;
ALTER TABLE journal.transfer RENAME TO transfer_0;
ALTER INDEX journal.transfer_pkey RENAME TO transfer_0_pkey;
-- By place, not by version: a balance at a seq is one probe on each side then, and (seq, leg) is unique already.
CREATE INDEX transfer_0_debit ON journal.transfer_0 (journal, debit, seq, leg);
CREATE INDEX transfer_0_credit ON journal.transfer_0 (journal, credit, seq, leg);
DROP INDEX journal.transfer_debit_history, journal.transfer_credit_history;

CREATE TABLE journal.transfer (LIKE journal.transfer_0 INCLUDING CONSTRAINTS, PRIMARY KEY (journal, seq, leg))
    PARTITION BY RANGE (seq);

-- The ranges there are, for all journals.
CREATE TABLE journal.range (
    first_seq bigint PRIMARY KEY,
    last_seq  bigint NOT NULL UNIQUE,
    CHECK (first_seq < last_seq)
);

-- The partitions a journal has, and since when they are closed. One that has never left the first range has no row.
CREATE TABLE journal.part (
    journal   bigint NOT NULL,
    first_seq bigint NOT NULL,
    last_seq  bigint NOT NULL,
    closed_at timestamptz,
    PRIMARY KEY (journal, first_seq)
);

-- Where an account's rows are in closed ranges: their places in order, 128 at most, each seq and leg in one number
-- (seq * 2^20 + leg). A fifth of what two indexes take; the place of any row, and so any balance, is one or two probes
-- away however many ranges there are. A chunk never spans ranges, and `upto` is its last place.
CREATE TABLE journal.places (
    journal bigint   NOT NULL,
    account bigint   NOT NULL,
    upto    bigint   NOT NULL,
    places  bigint[] NOT NULL,
    PRIMARY KEY (journal, account, upto)
);

-- One row: how many seqs the ranges have that are made from now on. A node holds the places of what lies in open ranges
-- in memory, 16 bytes for each transfer; each range is a table for each large journal, and every one costs planning.
CREATE TABLE journal.layout (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    records bigint  NOT NULL CHECK (records BETWEEN 100 AND 100000000)
);
INSERT INTO journal.layout (records) VALUES (1048576);

-- The first range ends well past what there is: nodes of the release before write it while they last.
DO $$
DECLARE
    past  bigint := greatest((SELECT max(seq) FROM journal.head), (SELECT max(seq) FROM journal.transfer_0), 0);
    ends  bigint := 131072 * (1 + (past + 65536) / 131072);
BEGIN
    INSERT INTO journal.range (first_seq, last_seq) VALUES (0, ends - 1);
    EXECUTE format('ALTER TABLE journal.transfer ATTACH PARTITION journal.transfer_0 FOR VALUES FROM (MINVALUE) TO (%s)', ends);
END
$$;

-- Makes what a journal will soon write into: a range for all when there is none, and its own partition of it. The next
-- one is made when the head has passed the middle of the last, so nobody can have more made than that. Tells the last
-- seq there is room for. All or nothing; asked again it goes on.
CREATE FUNCTION journal.make_room(p_journal bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head_seq bigint;
    latest   journal.range;
    coming   journal.range;
    of_range text;
    of_part  text;
BEGIN
    SELECT seq INTO head_seq FROM journal.head WHERE journal = p_journal;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there are no books of journal %', p_journal;
    END IF;
    -- One maker at a time, of all journals: ranges are common. Nobody else takes this lock; readers pass.
    LOCK TABLE journal.range IN SHARE ROW EXCLUSIVE MODE;
    SELECT r.* INTO latest FROM journal.range r
    WHERE first_seq = coalesce((SELECT max(first_seq) FROM journal.part WHERE journal = p_journal), 0);
    WHILE head_seq >= latest.first_seq + (latest.last_seq - latest.first_seq) / 2 LOOP
        IF latest.first_seq = 0 THEN
            INSERT INTO journal.part (journal, first_seq, last_seq) VALUES (p_journal, 0, latest.last_seq);
        END IF;
        SELECT r.* INTO coming FROM journal.range r WHERE first_seq = latest.last_seq + 1;
        of_range := 'transfer_' || (latest.last_seq + 1);
        IF NOT FOUND THEN
            INSERT INTO journal.range (first_seq, last_seq)
                SELECT latest.last_seq + 1, latest.last_seq + records FROM journal.layout RETURNING * INTO coming;
            -- Made, then attached: only this way nobody who writes has to wait.
            EXECUTE format('CREATE TABLE journal.%I (LIKE journal.transfer INCLUDING CONSTRAINTS INCLUDING INDEXES) '
                'PARTITION BY LIST (journal)', of_range);
            EXECUTE format('ALTER TABLE journal.transfer ATTACH PARTITION journal.%I FOR VALUES FROM (%s) TO (%s)',
                of_range, coming.first_seq, coming.last_seq + 1);
        END IF;
        of_part := of_range || '_of_' || replace(p_journal::text, '-', 'm');
        -- Rows come in the order of the key, at its end: its pages are left full.
        EXECUTE format('CREATE TABLE journal.%I (LIKE journal.transfer INCLUDING CONSTRAINTS, '
            'PRIMARY KEY (journal, seq, leg) WITH (fillfactor = 100))', of_part);
        EXECUTE format('ALTER TABLE journal.%I ATTACH PARTITION journal.%I FOR VALUES IN (%s)', of_range, of_part, p_journal);
        INSERT INTO journal.part (journal, first_seq, last_seq) VALUES (p_journal, coming.first_seq, coming.last_seq);
        latest := coming;
    END LOOP;
    RETURN latest.last_seq;
END
$$;

-- Closes the earliest range that the head has left: writes down where every account's rows in it are. Tells the last seq of
-- it, or nothing when there is none. All or nothing; asked again it goes on.
CREATE FUNCTION journal.close_range(p_journal bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET work_mem = '128MB' SET max_parallel_workers_per_gather = 0 AS $$
DECLARE
    ending journal.part;
BEGIN
    SELECT p.* INTO ending FROM journal.part p JOIN journal.head h ON h.journal = p.journal
    WHERE p.journal = p_journal AND p.closed_at IS NULL AND p.last_seq <= h.seq
    ORDER BY p.first_seq LIMIT 1 FOR UPDATE OF p;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO journal.places (journal, account, upto, places)
    SELECT p_journal, account, max(place), array_agg(place ORDER BY place) FROM (
        SELECT account, place, (row_number() OVER (PARTITION BY account ORDER BY place) - 1) / 128 AS chunk FROM (
            SELECT debit AS account, (seq << 20) | leg AS place
            FROM journal.transfer WHERE journal = p_journal AND seq BETWEEN ending.first_seq AND ending.last_seq
            UNION ALL
            SELECT credit, (seq << 20) | leg
            FROM journal.transfer WHERE journal = p_journal AND seq BETWEEN ending.first_seq AND ending.last_seq
        ) sides
    ) numbered GROUP BY account, chunk;
    UPDATE journal.part SET closed_at = clock_timestamp() WHERE journal = p_journal AND first_seq = ending.first_seq;
    RETURN ending.last_seq;
END
$$;

REVOKE ALL ON FUNCTION journal.make_room(bigint), journal.close_range(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION journal.make_room(bigint), journal.close_range(bigint) TO tessera_app;

-- An account as it truly stands: as its newest row left it. For people: asked for all accounts it reads every range that is
-- not closed, for one account (by id) less.
CREATE VIEW journal.balance AS
WITH closed AS NOT MATERIALIZED (
    SELECT h.journal, coalesce((SELECT max(p.last_seq) FROM journal.part p
        WHERE p.journal = h.journal AND p.closed_at IS NOT NULL), -9223372036854775808) AS upto
    FROM journal.head h
)
SELECT a.journal, a.id, a.public_id, a.asset, a.owner, a.floor, a.ceiling, a.debits_frozen, a.credits_frozen,
       coalesce(CASE WHEN t.debit = a.id THEN t.debit_balance ELSE t.credit_balance END, 0) AS balance,
       coalesce(CASE WHEN t.debit = a.id THEN t.debit_held ELSE t.credit_held END, 0) AS held,
       coalesce(CASE WHEN t.debit = a.id THEN t.debit_version ELSE t.credit_version END, 0) AS version
FROM journal.account a
LEFT JOIN (
    SELECT DISTINCT ON (journal, account) journal, account, seq, leg FROM (
        SELECT journal, account, upto >> 20 AS seq, (upto & 1048575)::integer AS leg FROM journal.places
        UNION ALL
        SELECT t.journal, t.debit, t.seq, t.leg
        FROM closed c JOIN journal.transfer t ON t.journal = c.journal AND t.seq > c.upto
        UNION ALL
        SELECT t.journal, t.credit, t.seq, t.leg
        FROM closed c JOIN journal.transfer t ON t.journal = c.journal AND t.seq > c.upto
    ) sides ORDER BY journal, account, seq DESC, leg DESC
) newest ON newest.journal = a.journal AND newest.account = a.id
LEFT JOIN journal.transfer t ON t.journal = newest.journal AND t.seq = newest.seq AND t.leg = newest.leg;

-- Rows come in the order of this key too.
ALTER INDEX journal.record_pkey SET (fillfactor = 100);

-- When a seq was recorded: what a date means in seqs.
CREATE INDEX batch_by_time ON journal.batch (journal, recorded_us, last_seq);

-- Rows that count on another day than they were recorded, kept by a follower (`dated`): each with the sum of all of this
-- account so far, in the order of the journal, and per account and day their net.
CREATE TABLE journal.dated (
    journal      bigint  NOT NULL,
    account      bigint  NOT NULL,
    seq          bigint  NOT NULL,
    leg          integer NOT NULL,
    effective_us bigint  NOT NULL,
    change       bigint  NOT NULL,
    sum          bigint  NOT NULL,
    PRIMARY KEY (journal, account, seq, leg)
);
CREATE INDEX dated_by_day ON journal.dated (journal, account, effective_us);
CREATE TABLE journal.dated_day (
    journal bigint NOT NULL,
    account bigint NOT NULL,
    day     bigint NOT NULL,
    net     bigint NOT NULL,
    PRIMARY KEY (journal, account, day)
) WITH (fillfactor = 80);

GRANT SELECT ON journal.transfer, journal.range, journal.part, journal.places, journal.layout, journal.balance,
    journal.dated, journal.dated_day TO tessera_app;
GRANT INSERT ON journal.transfer, journal.dated, journal.dated_day TO tessera_app;
GRANT UPDATE (net) ON journal.dated_day TO tessera_app;
