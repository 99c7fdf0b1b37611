-- Adjustments: corrections by hand that one client proposes and another approves. What is approved is posted under a key
-- made from its id, so that however often it is asked it happens once; what it says in words stays here, and the books
-- have a commitment to it.

CREATE TABLE adjustment (
    tenant       bigint      NOT NULL REFERENCES tenant (id),
    id           uuid        NOT NULL,
    status       text        NOT NULL DEFAULT 'proposed'
        CHECK (status IN ('proposed', 'approved', 'rejected', 'posted', 'refused')),
    reason       text        NOT NULL CHECK (reason <> ''),
    words        text        NOT NULL CHECK (words <> ''),
    salt         bytea       NOT NULL CHECK (octet_length(salt) = 32),
    transfers    text        NOT NULL,
    effective_at timestamptz,
    fingerprint  uuid        NOT NULL,
    proposed_by  bigint      NOT NULL,
    proposed_at  timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    decided_by   bigint,
    decided_at   timestamptz,
    decision     text,
    seq          bigint,
    code         text,
    PRIMARY KEY (tenant, id),
    CHECK (decided_by IS DISTINCT FROM proposed_by),
    CHECK ((status = 'proposed') = (decided_by IS NULL)),
    CHECK ((status IN ('posted', 'refused')) = (seq IS NOT NULL))
);
CREATE INDEX adjustment_newest ON adjustment (tenant, proposed_at, id);
COMMENT ON COLUMN adjustment.status IS 'approved: decided, and not known to be posted yet; approving it again finds out.';
COMMENT ON COLUMN adjustment.words IS 'For people; may name persons, so the journal has a salted commitment to it only.';
COMMENT ON COLUMN adjustment.transfers IS 'As they will be posted, JSON; never changes.';

GRANT SELECT, INSERT ON adjustment TO tessera_app;
GRANT UPDATE (status, decided_by, decided_at, decision, seq, code) ON adjustment TO tessera_app;

-- All holds of an account, newest first, whatever became of them: hold_open knows only those that something is left of.
CREATE INDEX hold_of_account ON journal.hold (journal, debit, seq, leg);
