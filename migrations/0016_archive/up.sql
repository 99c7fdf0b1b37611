-- Archival (docs/adr/0010): the transfers of a closed range leave the database for a file. What reads still need of them
-- stays: which ranges left, and how each account they touched stood after its last row there. Records, keys, claims,
-- companions, links, places, hashes and heads stay as they are.

SET LOCAL lock_timeout = '5s';

-- Ranges whose transfers are in a file. Every statement that reads transfers of the past reads this table too, so that a
-- row which is not there is never taken for one that never was; and whoever takes rows away locks it against them.
CREATE TABLE journal.archived (
    journal     bigint      NOT NULL,
    first_seq   bigint      NOT NULL,
    last_seq    bigint      NOT NULL,
    rows        bigint      NOT NULL CHECK (rows >= 0),
    -- Of the file, up to its last line, which says it too.
    sha256      bytea       NOT NULL CHECK (octet_length(sha256) = 32),
    file        text        NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (journal, first_seq),
    CHECK (first_seq > 0 AND first_seq <= last_seq)
);

-- How an account stood after the last of its rows in an archived range. `upto` is that row's place, as in journal.places.
CREATE TABLE journal.standing (
    journal bigint NOT NULL,
    account bigint NOT NULL,
    upto    bigint NOT NULL,
    balance bigint NOT NULL,
    held    bigint NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (journal, account, upto)
);

GRANT SELECT ON journal.archived, journal.standing TO tessera_app;

-- As in 0012; rows that are archived are told by what they left.
CREATE OR REPLACE VIEW journal.balance AS
WITH closed AS NOT MATERIALIZED (
    SELECT h.journal, coalesce((SELECT max(p.last_seq) FROM journal.part p
        WHERE p.journal = h.journal AND p.closed_at IS NOT NULL), -9223372036854775808) AS upto
    FROM journal.head h
)
SELECT a.journal, a.id, a.public_id, a.asset, a.owner, a.floor, a.ceiling, a.debits_frozen, a.credits_frozen,
       coalesce(CASE WHEN t.debit = a.id THEN t.debit_balance ELSE t.credit_balance END, s.balance, 0) AS balance,
       coalesce(CASE WHEN t.debit = a.id THEN t.debit_held ELSE t.credit_held END, s.held, 0) AS held,
       coalesce(CASE WHEN t.debit = a.id THEN t.debit_version ELSE t.credit_version END, s.version, 0) AS version
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
LEFT JOIN journal.transfer t ON t.journal = newest.journal AND t.seq = newest.seq AND t.leg = newest.leg
LEFT JOIN journal.standing s ON s.journal = newest.journal AND s.account = newest.account
    AND s.upto = (newest.seq << 20 | newest.leg);

-- The name of a journal's partition of a range, as make_room gives it.
CREATE FUNCTION journal.part_name(p_journal bigint, p_first bigint) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'transfer_' || p_first || '_of_' || replace(p_journal::text, '-', 'm')
$$;

-- What each account stood at after its last row of a partition.
CREATE FUNCTION journal.left_by(p_journal bigint, p_first bigint, p_last bigint) RETURNS SETOF journal.standing
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET work_mem = '128MB' AS $$
    SELECT DISTINCT ON (account) p_journal, account, place, balance, held, version FROM (
        SELECT debit AS account, (seq << 20) | leg AS place, debit_balance AS balance, debit_held AS held, debit_version AS version
        FROM journal.transfer WHERE journal = p_journal AND seq BETWEEN p_first AND p_last
        UNION ALL
        SELECT credit, (seq << 20) | leg, credit_balance, credit_held, credit_version
        FROM journal.transfer WHERE journal = p_journal AND seq BETWEEN p_first AND p_last
    ) sides ORDER BY account, place DESC
$$;

-- Lets a range go that its file holds whole: notes it and what it leaves, and drops its rows, all or nothing. The locks that
-- keep others waiting are taken last. Of the journal's tables only the partition and the range it is part of are locked:
-- whoever writes is in another. False when others read the past all the time: then nothing must be committed. For the
-- owner alone.
CREATE FUNCTION journal.let_go(p_journal bigint, p_first bigint, p_rows bigint, p_sha256 bytea, p_file text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    leaving journal.part;
    found_rows bigint;
BEGIN
    SELECT p.* INTO leaving FROM journal.part p
    WHERE p.journal = p_journal AND p.first_seq = p_first AND p.first_seq > 0 AND p.closed_at IS NOT NULL FOR UPDATE;
    IF NOT FOUND OR EXISTS (SELECT FROM journal.archived WHERE journal = p_journal AND first_seq = p_first) THEN
        RAISE EXCEPTION 'the range from seq % of journal % is not closed, or archived already', p_first, p_journal;
    END IF;
    -- The sealer and the follower of dates read transfers, so they must have been here; whoever else follows has passed too.
    IF EXISTS (SELECT FROM journal.follower f WHERE f.journal = p_journal AND f.seq < leaving.last_seq)
        OR (SELECT count(*) FROM journal.follower f WHERE f.journal = p_journal AND f.name IN ('proof', 'dated')) < 2
        OR EXISTS (SELECT FROM journal.parked k WHERE k.journal = p_journal AND k.seq <= leaving.last_seq)
        OR NOT EXISTS (SELECT FROM journal.watermark w WHERE w.journal = p_journal AND w.seq >= leaving.last_seq) THEN
        RAISE EXCEPTION 'not everybody has passed the range from seq % of journal %', p_first, p_journal;
    END IF;
    SELECT count(*) INTO found_rows FROM journal.transfer
    WHERE journal = p_journal AND seq BETWEEN leaving.first_seq AND leaving.last_seq;
    IF found_rows <> p_rows THEN
        RAISE EXCEPTION 'the range from seq % of journal % has % rows, its file %', p_first, p_journal, found_rows, p_rows;
    END IF;
    INSERT INTO journal.standing SELECT * FROM journal.left_by(p_journal, leaving.first_seq, leaving.last_seq);
    INSERT INTO journal.archived (journal, first_seq, last_seq, rows, sha256, file)
    VALUES (p_journal, leaving.first_seq, leaving.last_seq, p_rows, p_sha256, p_file);
    -- Who waits for a lock has all who come later wait behind it: a quarter of a second (lock_timeout), then they go first.
    FOR try IN 1..40 LOOP
        BEGIN
            LOCK TABLE journal.archived IN ACCESS EXCLUSIVE MODE;
            EXECUTE format('DROP TABLE journal.%I', journal.part_name(p_journal, p_first));
            RETURN true;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            PERFORM pg_sleep(0.5);
        END;
    END LOOP;
    RETURN false;
END
$$;

-- Bringing a range back, in one transaction: its partition, not attached yet; its rows, some at a time; then all of it in its
-- place, if it is what was let go. For the owner alone.
CREATE FUNCTION journal.make_back(p_journal bigint, p_first bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM journal.archived WHERE journal = p_journal AND first_seq = p_first FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the range from seq % of journal % is not archived', p_first, p_journal;
    END IF;
    EXECUTE format('CREATE TABLE journal.%I (LIKE journal.transfer INCLUDING CONSTRAINTS, '
        'PRIMARY KEY (journal, seq, leg) WITH (fillfactor = 100))', journal.part_name(p_journal, p_first));
END
$$;

CREATE FUNCTION journal.put_back(p_journal bigint, p_first bigint, p_columns bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Thirteen columns, one after the other.
    EXECUTE format('INSERT INTO journal.%I (journal, seq, leg, kind, asset, debit, credit, amount, debit_balance, debit_held, '
        'debit_version, credit_balance, credit_held, credit_version) '
        'SELECT $1, c[1 + n], c[1 + n + m]::integer, c[1 + n + 2 * m]::integer, c[1 + n + 3 * m]::integer, c[1 + n + 4 * m], '
        'c[1 + n + 5 * m], c[1 + n + 6 * m], c[1 + n + 7 * m], c[1 + n + 8 * m], c[1 + n + 9 * m], c[1 + n + 10 * m], '
        'c[1 + n + 11 * m], c[1 + n + 12 * m] '
        'FROM (SELECT $2 AS c, cardinality($2) / 13 AS m) a, generate_series(0, m - 1) AS n',
        journal.part_name(p_journal, p_first)) USING p_journal, p_columns;
END
$$;

CREATE FUNCTION journal.take_back(p_journal bigint, p_first bigint) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    noted journal.archived;
BEGIN
    SELECT a.* INTO STRICT noted FROM journal.archived a WHERE journal = p_journal AND first_seq = p_first;
    EXECUTE format('ALTER TABLE journal.%I ATTACH PARTITION journal.%I FOR VALUES IN (%s)',
        'transfer_' || p_first, journal.part_name(p_journal, p_first), p_journal);
    IF EXISTS ((SELECT * FROM journal.left_by(p_journal, noted.first_seq, noted.last_seq) EXCEPT
            SELECT * FROM journal.standing WHERE journal = p_journal)
        UNION ALL (SELECT * FROM journal.standing
            WHERE journal = p_journal AND upto >> 20 BETWEEN noted.first_seq AND noted.last_seq EXCEPT
            SELECT * FROM journal.left_by(p_journal, noted.first_seq, noted.last_seq))) THEN
        RAISE EXCEPTION 'the rows from seq % of journal % do not leave its accounts as was noted', p_first, p_journal;
    END IF;
    DELETE FROM journal.standing
    WHERE journal = p_journal AND upto >> 20 BETWEEN noted.first_seq AND noted.last_seq;
    DELETE FROM journal.archived WHERE journal = p_journal AND first_seq = p_first;
    FOR try IN 1..40 LOOP
        BEGIN
            LOCK TABLE journal.archived IN ACCESS EXCLUSIVE MODE;
            RETURN true;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            PERFORM pg_sleep(0.5);
        END;
    END LOOP;
    RETURN false;
END
$$;

REVOKE ALL ON FUNCTION journal.part_name(bigint, bigint), journal.left_by(bigint, bigint, bigint),
    journal.let_go(bigint, bigint, bigint, bytea, text), journal.make_back(bigint, bigint),
    journal.put_back(bigint, bigint, bigint[]), journal.take_back(bigint, bigint) FROM PUBLIC;
