-- Tenants and the machine keys that act for them. Every other table leads its keys with the tenant.

CREATE TABLE tenant (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slug       text        NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    name       text        NOT NULL CHECK (name <> ''),
    sandbox    boolean     NOT NULL,
    zone       text        NOT NULL DEFAULT 'Europe/Rome',
    locale     text        NOT NULL DEFAULT 'it' CHECK (locale IN ('it', 'en')),
    secret     bytea       NOT NULL CHECK (octet_length(secret) = 32),
    revision   bigint      NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE tenant IS 'A company that runs its wallet here; its journal carries the same id.';
COMMENT ON COLUMN tenant.slug IS 'Name in URLs and commands; never changes.';
COMMENT ON COLUMN tenant.sandbox IS 'Its journal takes a clock offset and its money is not real; never changes.';
COMMENT ON COLUMN tenant.zone IS 'IANA time zone in which its days begin and end.';
COMMENT ON COLUMN tenant.secret IS 'Root of its HMACs: idempotency keys, request fingerprints, cursors. Changing it forgets them all.';
COMMENT ON COLUMN tenant.revision IS 'Counts the changes of its configuration, so that nodes know when to read it again.';

-- Numbers clients of all tenants: a client outlives its keys, so it is not the key that numbers it.
CREATE SEQUENCE api_client_seq AS bigint;

CREATE TABLE api_key (
    tenant       bigint      NOT NULL REFERENCES tenant (id),
    id           bigint      GENERATED ALWAYS AS IDENTITY,
    client       bigint      NOT NULL DEFAULT nextval('api_client_seq'),
    prefix       text        NOT NULL UNIQUE CHECK (prefix ~ '^[0-9a-f]{12}$'),
    hash         bytea       NOT NULL CHECK (octet_length(hash) = 32),
    scopes       text[]      NOT NULL CHECK (array_position(scopes, NULL) IS NULL),
    name         text        NOT NULL CHECK (name <> ''),
    created_at   timestamptz NOT NULL,
    revoked_at   timestamptz,
    last_used_at timestamptz,
    PRIMARY KEY (tenant, id)
);
COMMENT ON TABLE api_key IS 'Opaque keys of machine clients: tsk_<prefix>_<secret>. The secret is shown once and kept as a hash only.';
COMMENT ON COLUMN api_key.client IS 'Who acts: the scope of idempotency keys. Stays the same when the key is rotated.';
COMMENT ON COLUMN api_key.prefix IS 'The part of the key that finds the row; no secret.';
COMMENT ON COLUMN api_key.hash IS 'SHA-256 of the whole key, whose secret has 256 random bits: no slow hash is needed.';
COMMENT ON COLUMN api_key.last_used_at IS 'Last use, to the minute; null until the first.';

GRANT SELECT, INSERT ON tenant, api_key TO tessera_app;
GRANT UPDATE (name, zone, locale, revision) ON tenant TO tessera_app;
GRANT UPDATE (revoked_at, last_used_at) ON api_key TO tessera_app;
GRANT USAGE ON SEQUENCE api_client_seq TO tessera_app;
