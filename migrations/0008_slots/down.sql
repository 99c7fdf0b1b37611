DROP TABLE journal.node;
DELETE FROM journal.lease WHERE slot > 0;
GRANT INSERT ON journal.lease TO tessera_app;
