SET LOCAL lock_timeout = '5s';

DROP INDEX journal.hold_ending;
DROP INDEX journal.lot_ending;
CREATE INDEX hold_ending ON journal.hold (journal, expires_us) WHERE remaining > 0;
CREATE INDEX lot_ending  ON journal.lot (journal, expires_us) WHERE remaining > held;
