-- Closed days. A closing is a fact about the journal at a seq: it can be derived again from the records, and verify does.
-- Written once, by whoever closes a day; the journal's writer knows nothing of it.

SET LOCAL lock_timeout = '5s';

CREATE TABLE journal.closing (
    journal      bigint  NOT NULL,
    -- The day's number, counted from 1970, by the calendar of whoever closed it.
    day          integer NOT NULL,
    -- The day closed before it; none (-2147483648) for the first. Unique: the chain does not fork.
    former_day   integer NOT NULL,
    -- The first moment after the day.
    ends_us      bigint  NOT NULL,
    -- The closing before ended with this seq; this one ends with `seq`, the last that was recorded before `ends_us`.
    after_seq    bigint  NOT NULL,
    seq          bigint  NOT NULL,
    -- Transactions among these that count in a day that had been closed.
    late         bigint  NOT NULL,
    -- Of each asset: number, accounts, sum of balances below zero, sum above; canonical bytes.
    totals       bytea   NOT NULL,
    closed_us    bigint  NOT NULL,
    -- The client that closed it; 0 at the command line.
    closed_by    bigint  NOT NULL,
    -- SHA-256 over the digest of the closing before and all of the above.
    digest       bytea   NOT NULL CHECK (octet_length(digest) = 32),
    PRIMARY KEY (journal, day),
    UNIQUE (journal, former_day),
    CHECK (former_day < day AND after_seq <= seq AND late >= 0)
);

GRANT SELECT, INSERT ON journal.closing TO tessera_app;
