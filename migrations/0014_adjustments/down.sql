DROP INDEX journal.hold_of_account;
DROP TABLE adjustment;
