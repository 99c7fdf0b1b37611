-- The vault (docs/operations/vault.md): keys that seal what is personal or secret, each wrapped by the one above it. A key
-- that encrypts keys (KEK) is never here, only what tells it from another; it wraps the tenant's keys, and the newest of
-- those wraps the keys of persons. Nothing of this is deleted: a key that goes leaves its row.

CREATE TABLE vault_kek (
    version     integer     PRIMARY KEY CHECK (version > 0),
    fingerprint bytea       NOT NULL CHECK (octet_length(fingerprint) = 8),
    made_at     timestamptz NOT NULL,
    retired_at  timestamptz
);
COMMENT ON TABLE vault_kek IS 'Which keys outside this database wrap keys in it; the highest version wraps what is new. Of all tenants.';
COMMENT ON COLUMN vault_kek.fingerprint IS 'Tells the key from another of the same version, and nothing else of it.';
COMMENT ON COLUMN vault_kek.retired_at IS 'When it was seen that nothing here is wrapped by it; backups may still be.';

CREATE TABLE vault_tenant_key (
    tenant     bigint      NOT NULL REFERENCES tenant (id),
    version    integer     NOT NULL CHECK (version > 0),
    kek        integer     NOT NULL REFERENCES vault_kek (version),
    wrapped    bytea,
    made_at    timestamptz NOT NULL,
    retired_at timestamptz,
    PRIMARY KEY (tenant, version),
    CHECK ((wrapped IS NULL) = (retired_at IS NOT NULL))
);
COMMENT ON TABLE vault_tenant_key IS 'A tenant''s keys: the highest version wraps and seals what is new. Retired: destroyed, nothing used it any more.';

CREATE TABLE vault_person_key (
    tenant       bigint      NOT NULL REFERENCES tenant (id),
    person       uuid        NOT NULL,
    version      integer     NOT NULL DEFAULT 1 CHECK (version > 0),
    tenant_key   integer,
    wrapped      bytea,
    made_at      timestamptz NOT NULL,
    forgotten_at timestamptz,
    PRIMARY KEY (tenant, person),
    FOREIGN KEY (tenant, tenant_key) REFERENCES vault_tenant_key (tenant, version),
    CHECK ((wrapped IS NULL) = (forgotten_at IS NOT NULL) AND (wrapped IS NULL) = (tenant_key IS NULL))
);
COMMENT ON TABLE vault_person_key IS 'A person''s key. Forgotten: it was destroyed, and with it everything it sealed; the row stays, so that none is made again.';
COMMENT ON COLUMN vault_person_key.tenant_key IS 'The version of the tenant''s key that wraps it.';
CREATE INDEX vault_person_key_wrapped_by ON vault_person_key (tenant, tenant_key, person) WHERE wrapped IS NOT NULL;

CREATE TABLE vault_index_key (
    tenant     bigint      NOT NULL REFERENCES tenant (id),
    purpose    text        NOT NULL CHECK (purpose <> ''),
    tenant_key integer     NOT NULL,
    wrapped    bytea       NOT NULL,
    made_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant, purpose),
    FOREIGN KEY (tenant, tenant_key) REFERENCES vault_tenant_key (tenant, version)
);
COMMENT ON TABLE vault_index_key IS 'The key of a blind index. It stays the same when the tenant''s key changes: what was indexed must be found.';

CREATE TABLE vault_erasure (
    tenant    bigint      NOT NULL REFERENCES tenant (id),
    person    uuid        NOT NULL,
    erased_at timestamptz NOT NULL,
    receipt   text        NOT NULL CHECK (octet_length(receipt) BETWEEN 1 AND 2048),
    PRIMARY KEY (tenant, person)
);
COMMENT ON TABLE vault_erasure IS 'Who was forgotten and when, with the signed receipt, as the erasure ledger outside this database has it too.';

-- Who is forgotten stays so, whoever writes.
CREATE FUNCTION vault_stay_forgotten() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'a forgotten person''s key does not come back';
END
$$;
CREATE TRIGGER stay_forgotten BEFORE UPDATE ON vault_person_key
    FOR EACH ROW WHEN (OLD.forgotten_at IS NOT NULL) EXECUTE FUNCTION vault_stay_forgotten();

GRANT SELECT, INSERT ON vault_kek, vault_tenant_key, vault_person_key, vault_index_key, vault_erasure TO tessera_app;
GRANT UPDATE (retired_at) ON vault_kek TO tessera_app;
GRANT UPDATE (kek, wrapped, retired_at) ON vault_tenant_key TO tessera_app;
GRANT UPDATE (tenant_key, wrapped, forgotten_at) ON vault_person_key TO tessera_app;
GRANT UPDATE (tenant_key, wrapped) ON vault_index_key TO tessera_app;
