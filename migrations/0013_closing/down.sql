DROP TABLE journal.closing;
