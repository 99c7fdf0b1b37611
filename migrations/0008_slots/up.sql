-- Slots: journals are spread over them, and each slot has one writer at a time. There is one row of journal.lease for
-- each; how many rows there are is how many slots there are (`tessera slots N`).
INSERT INTO journal.lease (slot, holder, address, epoch, expires_at, session_pids, session_starts)
    VALUES (0, gen_random_uuid(), '', 0, '-infinity', '{}', '{}')
    ON CONFLICT DO NOTHING;
REVOKE INSERT ON journal.lease FROM tessera_app;

-- Nodes that would lead, so that each takes its share when there is more than one slot. A node that was not seen for
-- three seconds has no share.
CREATE TABLE journal.node (
    holder  uuid        PRIMARY KEY,
    address text        NOT NULL,
    seen_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON journal.node TO tessera_app;
