DROP TABLE journal.parked;
