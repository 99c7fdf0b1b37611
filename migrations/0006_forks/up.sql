-- Lines of history. The head names the line that is being written; here are those that a restore ended. Records up to
-- last_seq that no earlier row covers were written, and hashed, under this fork.
CREATE TABLE journal.former_fork (
    journal  bigint  NOT NULL,
    place    integer NOT NULL, -- 1 for the first line that ended
    fork     uuid    NOT NULL,
    last_seq bigint  NOT NULL,
    PRIMARY KEY (journal, place),
    UNIQUE (journal, fork)
);

-- What each restore came to. Until it is accepted, no node leads.
CREATE TABLE journal.restored (
    journal     bigint      NOT NULL,
    fork        uuid        NOT NULL, -- the line that begins with it
    seq         bigint      NOT NULL, -- the last one of before
    finding     text        NOT NULL, -- in words: what was lost
    restored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    accepted_at timestamptz,
    PRIMARY KEY (journal, fork)
);

GRANT SELECT ON journal.former_fork, journal.restored TO tessera_app;
