-- Records that a follower could not read and went past: written by a newer release, as a rule. They are taken up again
-- by the next node that begins to lead, under whose release they may be readable.
CREATE TABLE journal.parked (
    journal   bigint      NOT NULL,
    follower  text        NOT NULL,
    seq       bigint      NOT NULL,
    what      text        NOT NULL, -- what of it was not readable
    tries     integer     NOT NULL DEFAULT 1,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (journal, follower, seq)
);

GRANT SELECT, INSERT, DELETE ON journal.parked TO tessera_app;
GRANT UPDATE (tries, what) ON journal.parked TO tessera_app;
