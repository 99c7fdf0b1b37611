-- Passkeys of persons and operators, and the challenges that their ceremonies answer. A person is a customer's id; the
-- tables of people and operators come with sign-up, so there is no foreign key to them.

CREATE TABLE passkey (
    tenant          bigint      NOT NULL REFERENCES tenant (id),
    id              uuid        NOT NULL,
    holder_kind     text        NOT NULL CHECK (holder_kind IN ('person', 'operator')),
    holder          uuid        NOT NULL,
    credential_id   bytea       NOT NULL CHECK (octet_length(credential_id) BETWEEN 1 AND 1023),
    public_key      bytea       NOT NULL,
    counter         bigint      NOT NULL CHECK (counter BETWEEN 0 AND 4294967295),
    backup_eligible boolean     NOT NULL,
    backed_up       boolean     NOT NULL,
    aaguid          uuid        NOT NULL,
    name            text        NOT NULL CHECK (name <> ''),
    created_at      timestamptz NOT NULL,
    last_used_at    timestamptz,
    locked_at       timestamptz,
    revoked_at      timestamptz,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, credential_id),
    CHECK (backup_eligible OR NOT backed_up)
);
CREATE INDEX passkey_of_holder ON passkey (tenant, holder_kind, holder, created_at, id);
COMMENT ON TABLE passkey IS 'Credentials that people and operators sign in and approve with. One that ended stays, so that its id is never taken again.';
COMMENT ON COLUMN passkey.public_key IS 'A COSE key (RFC 9052) in canonical form: ES256 or Ed25519.';
COMMENT ON COLUMN passkey.counter IS 'The last signature counter; zero for authenticators that do not count.';
COMMENT ON COLUMN passkey.backup_eligible IS 'It may be synced to other devices, so it proves possession of none of them. Never changes.';
COMMENT ON COLUMN passkey.aaguid IS 'The authenticator''s model, as it says: a claim, no attestation is asked for.';
COMMENT ON COLUMN passkey.name IS 'What its holder calls it.';
COMMENT ON COLUMN passkey.locked_at IS 'Its counter went back: there may be a copy of its key. Stays locked.';

CREATE TABLE challenge (
    tenant      bigint      NOT NULL REFERENCES tenant (id),
    id          uuid        NOT NULL,
    purpose     text        NOT NULL CHECK (purpose IN ('register', 'sign-in', 'approve')),
    holder_kind text        NOT NULL CHECK (holder_kind IN ('person', 'operator')),
    holder      uuid,
    nonce       bytea       NOT NULL CHECK (octet_length(nonce) = 32),
    state       text        NOT NULL,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant, id),
    CHECK (holder IS NOT NULL OR purpose = 'sign-in')
);
CREATE INDEX challenge_ended ON challenge (tenant, expires_at);
COMMENT ON TABLE challenge IS 'What was asked and is not answered yet. An answer deletes its row: that is what makes it count once.';
COMMENT ON COLUMN challenge.nonce IS 'What is signed: 256 random bits, or of an approval the hash of its payload.';
COMMENT ON COLUMN challenge.state IS 'What the answer is judged by beside the nonce; of an approval its payload, as it was shown.';

GRANT SELECT, INSERT ON passkey TO tessera_app;
GRANT UPDATE (counter, backed_up, name, last_used_at, locked_at, revoked_at) ON passkey TO tessera_app;
GRANT SELECT, INSERT, DELETE ON challenge TO tessera_app;
