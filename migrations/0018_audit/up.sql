-- The audit log: what was done that matters, by whom, to what. One hash chain for each tenant; heads are signed.

CREATE TABLE audit_entry (
    tenant      bigint      NOT NULL REFERENCES tenant (id),
    seq         bigint      NOT NULL CHECK (seq > 0),
    form        smallint    NOT NULL CHECK (form > 0),
    at          timestamptz NOT NULL,
    actor_kind  text        NOT NULL CHECK (actor_kind <> ''),
    actor_id    text        NOT NULL CHECK (length(actor_id) <= 128),
    action      text        NOT NULL CHECK (action <> ''),
    object_kind text        NOT NULL CHECK (object_kind <> ''),
    object_id   text        NOT NULL CHECK (length(object_id) <= 128),
    subject     uuid,
    outcome     text        NOT NULL CHECK (outcome <> ''),
    detail      text        NOT NULL CHECK (octet_length(detail) <= 4096),
    hash        bytea       NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (tenant, seq)
);
COMMENT ON TABLE audit_entry IS 'Append-only. No personal data: ids, words and numbers.';
COMMENT ON COLUMN audit_entry.seq IS 'From 1 without gaps, in the order of the commits.';
COMMENT ON COLUMN audit_entry.form IS 'Version of the bytes that are hashed.';
COMMENT ON COLUMN audit_entry.subject IS 'The person whose data was looked at or changed.';
COMMENT ON COLUMN audit_entry.detail IS 'A JSON object as text, because its bytes are hashed.';
COMMENT ON COLUMN audit_entry.hash IS 'SHA-256 over the hash of the row before and all other columns of this one.';

-- Who looked at a person's data; what somebody did; what was done to a thing; when.
CREATE INDEX audit_entry_subject ON audit_entry (tenant, subject, seq) WHERE subject IS NOT NULL;
CREATE INDEX audit_entry_actor ON audit_entry (tenant, actor_kind, actor_id, seq);
CREATE INDEX audit_entry_object ON audit_entry (tenant, object_kind, object_id, seq);
CREATE INDEX audit_entry_at ON audit_entry (tenant, at);

-- One row for each tenant, locked by whoever appends: so seqs have no gaps, and no two rows follow the same one.
CREATE TABLE audit_head (
    tenant bigint NOT NULL REFERENCES tenant (id),
    seq    bigint NOT NULL CHECK (seq >= 0),
    hash   bytea  NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (tenant)
);
COMMENT ON TABLE audit_head IS 'The last seq and its hash. Believed by nobody: who appends would collide or break the chain, who verifies reads the rows.';

CREATE TABLE audit_signed (
    tenant         bigint      NOT NULL REFERENCES tenant (id),
    seq            bigint      NOT NULL CHECK (seq > 0),
    hash           bytea       NOT NULL CHECK (octet_length(hash) = 32),
    signed_at      timestamptz NOT NULL,
    key            bytea       NOT NULL CHECK (octet_length(key) = 8),
    next_key       bytea       CHECK (octet_length(next_key) = 32),
    signature      bytea       NOT NULL CHECK (octet_length(signature) = 64),
    next_signature bytea       CHECK (octet_length(next_signature) = 64),
    PRIMARY KEY (tenant, seq)
);
COMMENT ON TABLE audit_signed IS 'What the chain was at a seq, signed with Ed25519; published outside the database too.';

GRANT SELECT, INSERT ON audit_entry, audit_signed, audit_head TO tessera_app;
GRANT UPDATE (seq, hash) ON audit_head TO tessera_app;
