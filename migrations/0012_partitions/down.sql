-- Only of books that never left the first range: no row moves.
DROP VIEW journal.balance;
DROP FUNCTION journal.make_room(bigint), journal.close_range(bigint);
DROP TABLE journal.dated, journal.dated_day, journal.places, journal.part, journal.range, journal.layout;
DROP INDEX journal.batch_by_time;
ALTER INDEX journal.record_pkey RESET (fillfactor);
ALTER TABLE journal.transfer DETACH PARTITION journal.transfer_0;
DROP TABLE journal.transfer;
ALTER TABLE journal.transfer_0 RENAME TO transfer;
ALTER INDEX journal.transfer_0_pkey RENAME TO transfer_pkey;
DROP INDEX journal.transfer_0_debit, journal.transfer_0_credit;
CREATE UNIQUE INDEX transfer_debit_history  ON journal.transfer (journal, debit, debit_version);
CREATE UNIQUE INDEX transfer_credit_history ON journal.transfer (journal, credit, credit_version);
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
GRANT SELECT ON journal.balance TO tessera_app;
