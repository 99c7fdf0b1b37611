DROP TABLE journal.restored;
DROP TABLE journal.former_fork;
