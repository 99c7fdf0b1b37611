-- The Merkle log over the journal: hashes of its tree, and its signed heads. The sealer derives all of it from the rows,
-- and adds to it only: neither table is ever updated.

-- Entries of the tree's tiles of 256, as they came: level 0 are leaves (seq - 1 = tile * 256 + place), an entry of level n
-- is the root of a whole tile of level n - 1. The strips of a tile follow each other without a gap.
CREATE TABLE journal.strip (
    journal bigint  NOT NULL,
    level   integer NOT NULL CHECK (level BETWEEN 0 AND 7),
    tile    bigint  NOT NULL CHECK (tile >= 0),
    start   integer NOT NULL CHECK (start BETWEEN 0 AND 255),
    salt    integer NOT NULL, -- the version of the secret that salted these leaves; of other levels, 0
    hashes  bytea   NOT NULL CHECK (octet_length(hashes) % 32 = 0 AND octet_length(hashes) BETWEEN 32 AND (256 - start) * 32),
    PRIMARY KEY (journal, level, tile, start)
);

-- One head per size at most, so two sealers cannot say two things.
CREATE TABLE journal.signed_head (
    journal        bigint  NOT NULL,
    size           bigint  NOT NULL CHECK (size > 0), -- how many leaves: the last sealed seq
    fork           uuid    NOT NULL,
    root           bytea   NOT NULL CHECK (octet_length(root) = 32),
    recorded_us    bigint  NOT NULL, -- of the last leaf's record
    signed_us      bigint  NOT NULL,
    salt           integer NOT NULL,
    key            bytea   NOT NULL CHECK (octet_length(key) = 8),
    next_key       bytea   CHECK (octet_length(next_key) = 32), -- whole, where the keys are rotated
    signature      bytea   NOT NULL CHECK (octet_length(signature) = 64),
    next_signature bytea   CHECK (octet_length(next_signature) = 64),
    PRIMARY KEY (journal, size),
    CHECK ((next_key IS NULL) = (next_signature IS NULL))
);
CREATE INDEX signed_head_rotations ON journal.signed_head (journal, size) WHERE next_key IS NOT NULL;

-- What the sealers of a journal use: public keys, and of each salt secret what tells it from another. So a node with
-- other secrets notices before it seals.
CREATE TABLE journal.proof_key (
    journal bigint  NOT NULL,
    id      bytea   NOT NULL CHECK (octet_length(id) = 8),
    salt    integer,           -- the version, of a salt secret
    public  bytea CHECK (octet_length(public) = 32), -- whole, of a signing key
    PRIMARY KEY (journal, id),
    UNIQUE (journal, salt),
    CHECK ((salt IS NULL) <> (public IS NULL))
);

GRANT SELECT, INSERT ON journal.strip, journal.signed_head, journal.proof_key TO tessera_app;
