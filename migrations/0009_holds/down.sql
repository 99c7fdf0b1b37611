DROP FUNCTION journal.post(bigint, bigint, bigint, bigint, integer, bigint, bigint, bytea,
    bigint[], uuid[], uuid[], bigint[], uuid[], bigint[], integer[], uuid[], bigint[], bytea[], bytea[],
    bigint[], integer[], integer[], integer[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[],
    bigint[], bigint[], bigint[], bigint[], uuid[], integer[], integer[], uuid[], bigint[], bigint[],
    integer[], uuid[], bigint[], integer[], integer[], integer[], uuid[], bigint[], integer[], bytea[]);
DROP FUNCTION journal.rows(bigint, bigint, bigint, bigint,
    bigint[], uuid[], uuid[], bigint[], uuid[], bigint[], integer[], uuid[], bigint[], bytea[], bytea[],
    bigint[], integer[], integer[], integer[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[],
    bigint[], bigint[], bigint[], bigint[], uuid[], integer[], integer[], uuid[], bigint[], bigint[],
    integer[], uuid[], bigint[], integer[], integer[], integer[], uuid[], bigint[], integer[], bytea[]);
DROP FUNCTION journal.state;
DROP TABLE journal.lot;
DROP TABLE journal.hold;
DROP TABLE journal.link;
ALTER TABLE journal.account DROP CONSTRAINT account_checkpoint_held_check;
ALTER TABLE journal.account
    DROP COLUMN closed, DROP COLUMN nature, DROP COLUMN counterpart, DROP COLUMN nature_minor, DROP COLUMN period,
    DROP COLUMN calendar, DROP COLUMN period_us;
ALTER TABLE journal.account
    ADD CHECK (floor IS NULL OR checkpoint_version = 0 OR checkpoint_balance - checkpoint_held >= floor) NOT VALID;
