-- Only of books that have nothing archived: bring it back first.
DO $$
BEGIN
    IF EXISTS (SELECT FROM journal.archived) THEN
        RAISE EXCEPTION 'ranges are archived: bring them back first';
    END IF;
END
$$;
DROP FUNCTION journal.take_back(bigint, bigint), journal.put_back(bigint, bigint, bigint[]),
    journal.make_back(bigint, bigint), journal.let_go(bigint, bigint, bigint, bytea, text),
    journal.left_by(bigint, bigint, bigint), journal.part_name(bigint, bigint);
CREATE OR REPLACE VIEW journal.balance AS
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
DROP TABLE journal.standing, journal.archived;
