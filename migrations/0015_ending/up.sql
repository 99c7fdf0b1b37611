-- What ends next in a journal is asked by whoever sweeps; what ends next on an account by every batch that touches it. Both
-- want open holds by `expires_us`, so that to a planner that knows no rows the index of the one was as cheap for the other:
-- for one account's holds it read all open holds of the journal. Now the index by time has an order and a condition that
-- only the sweeper's questions name: `expires_us + 0`, and `<> 0`, which does not say `> 0`.
SET LOCAL lock_timeout = '5s';

DROP INDEX journal.hold_ending;
DROP INDEX journal.lot_ending;
CREATE INDEX hold_ending ON journal.hold (journal, (expires_us + 0)) WHERE remaining <> 0;
CREATE INDEX lot_ending  ON journal.lot (journal, (expires_us + 0)) WHERE remaining > held;
