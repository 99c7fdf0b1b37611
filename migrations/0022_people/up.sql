-- People with an identity, the devices they come with and the sessions they are in. What tells who they are is sealed
-- (vault) and not here: a person is the customer of the same id.

CREATE TABLE person (
    tenant     bigint      NOT NULL REFERENCES tenant (id),
    id         uuid        NOT NULL,
    number     bigint      NOT NULL DEFAULT nextval('api_client_seq'),
    level      smallint    NOT NULL DEFAULT 0 CHECK (level BETWEEN 0 AND 3),
    locale     text        NOT NULL CHECK (locale IN ('it', 'en')),
    created_at timestamptz NOT NULL,
    closed_at  timestamptz,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, number),
    FOREIGN KEY (tenant, id) REFERENCES customer (tenant, id)
);
COMMENT ON TABLE person IS 'A customer who can sign in.';
COMMENT ON COLUMN person.number IS 'Of the clients'' sequence: the scope of their idempotency keys is no client''s.';
COMMENT ON COLUMN person.level IS 'How well we know who it is: T0 to T3. What each may do is a table of limits, not this column.';

CREATE TABLE device (
    tenant       bigint      NOT NULL,
    id           uuid        NOT NULL,
    person       uuid        NOT NULL,
    key          bytea       CHECK (octet_length(key) = 65),
    thumbprint   bytea       CHECK (octet_length(thumbprint) = 32),
    name         bytea,
    bound_by     smallint    NOT NULL CHECK (bound_by BETWEEN 0 AND 2),
    created_at   timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    revoked_at   timestamptz,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, person) REFERENCES person (tenant, id),
    CHECK ((key IS NULL) = (thumbprint IS NULL))
);
CREATE INDEX device_of ON device (tenant, person, created_at);
CREATE UNIQUE INDEX device_key ON device (tenant, thumbprint);
COMMENT ON TABLE device IS 'What a person signs in with.';
COMMENT ON COLUMN device.key IS 'Public key of a pair that never leaves the device: a point of P-256, uncompressed. Null of a browser that keeps none.';
COMMENT ON COLUMN device.thumbprint IS 'SHA-256 of the key as a JWK (RFC 7638). One key, one device, for good.';
COMMENT ON COLUMN device.name IS 'What the person calls it, sealed.';
COMMENT ON COLUMN device.bound_by IS '0 with the sign-up, 1 by strong authentication with an older one, 2 by recovery (RTS, Art. 24).';

CREATE TABLE session (
    tenant           bigint      NOT NULL,
    id               uuid        NOT NULL,
    person           uuid        NOT NULL,
    device           uuid        NOT NULL,
    access_prefix    text        NOT NULL UNIQUE CHECK (access_prefix ~ '^[0-9a-f]{12}$'),
    access_hash      bytea       NOT NULL CHECK (octet_length(access_hash) = 32),
    access_until     timestamptz NOT NULL,
    created_at       timestamptz NOT NULL,
    authenticated_at timestamptz NOT NULL,
    seen_at          timestamptz NOT NULL,
    until            timestamptz NOT NULL,
    revoked_at       timestamptz,
    revoked_for      smallint    CHECK (revoked_for BETWEEN 0 AND 4),
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, person) REFERENCES person (tenant, id),
    FOREIGN KEY (tenant, device) REFERENCES device (tenant, id),
    CHECK ((revoked_at IS NULL) = (revoked_for IS NULL))
);
CREATE INDEX session_of ON session (tenant, person, created_at);
COMMENT ON TABLE session IS 'A person at a device. One access token lives at a time.';
COMMENT ON COLUMN session.access_prefix IS 'The part of the token that finds the row; no secret, and random, so that nothing can be told from its being taken.';
COMMENT ON COLUMN session.access_hash IS 'SHA-256 of the whole token, whose secret has 256 random bits.';
COMMENT ON COLUMN session.authenticated_at IS 'When the person last showed that it is them.';
COMMENT ON COLUMN session.seen_at IS 'When something was last asked, to half a minute, while no five minutes lay between (RTS, Art. 4(3)(d)).';
COMMENT ON COLUMN session.revoked_for IS '0 signed out, 1 device revoked, 2 a used token came again, 3 recovery, 4 account closed.';

CREATE TABLE refresh_token (
    tenant     bigint      NOT NULL,
    session    uuid        NOT NULL,
    number     integer     NOT NULL,
    prefix     text        NOT NULL UNIQUE CHECK (prefix ~ '^[0-9a-f]{12}$'),
    hash       bytea       NOT NULL CHECK (octet_length(hash) = 32),
    until      timestamptz NOT NULL,
    used_at    timestamptz,
    PRIMARY KEY (tenant, session, number),
    FOREIGN KEY (tenant, session) REFERENCES session (tenant, id)
);
COMMENT ON TABLE refresh_token IS 'Each is good for one next pair of tokens; they are kept, so that one that comes again is known.';

GRANT SELECT, INSERT, UPDATE (level, locale, closed_at) ON person TO tessera_app;
GRANT SELECT, INSERT, UPDATE (name, last_seen_at, revoked_at) ON device TO tessera_app;
GRANT SELECT, INSERT, UPDATE (access_prefix, access_hash, access_until, authenticated_at, seen_at, revoked_at, revoked_for)
    ON session TO tessera_app;
GRANT SELECT, INSERT, UPDATE (used_at) ON refresh_token TO tessera_app;
