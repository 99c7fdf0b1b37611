-- What ends next in a journal is asked by whoever sweeps; what ends next on an account by every batch that touches it. Both
-- want open holds by `expires_us`, and a planner may take the index of the one for the other: with no statistics both cost
-- the same, and once a table was analysed while nothing was open, PostgreSQL holds a partial index for empty for good and
-- takes the lower tree. For one account's holds it then reads all open holds of the journal. So the index by time is made of
-- expressions that only the sweeper's questions name (`+ 0`), column by column and in its condition: no question fits both.
SET LOCAL lock_timeout = '5s';

DROP INDEX journal.hold_ending;
DROP INDEX journal.lot_ending;
CREATE INDEX hold_ending ON journal.hold ((journal + 0), (expires_us + 0)) WHERE remaining + 0 > 0;
CREATE INDEX lot_ending  ON journal.lot ((journal + 0), (expires_us + 0)) WHERE remaining - held > 0;
