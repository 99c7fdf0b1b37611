-- The doors: contacts that people have proved, contacts that somebody says are theirs, and how often somebody tried to come in.

CREATE TABLE contact (
    tenant    bigint      NOT NULL,
    id        uuid        NOT NULL,
    person    uuid        NOT NULL,
    kind      text        NOT NULL CHECK (kind IN ('email', 'phone')),
    value     bytea       NOT NULL,
    blind     bytea       CHECK (octet_length(blind) = 32),
    proved_at timestamptz NOT NULL,
    ended_at  timestamptz,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, kind, blind),
    FOREIGN KEY (tenant, person) REFERENCES person (tenant, id),
    CHECK ((blind IS NULL) = (ended_at IS NOT NULL))
);
CREATE INDEX contact_of ON contact (tenant, person, proved_at);
COMMENT ON TABLE contact IS 'Where a person can be reached, as they have proved. One contact, one person.';
COMMENT ON COLUMN contact.value IS 'The contact, normalised, sealed by the person''s key.';
COMMENT ON COLUMN contact.blind IS 'Blind index of the contact; none of one that ended: it may be somebody''s again.';

CREATE TABLE contact_claim (
    tenant     bigint      NOT NULL REFERENCES tenant (id),
    id         uuid        NOT NULL,
    purpose    text        NOT NULL CHECK (purpose <> ''),
    kind       text        NOT NULL CHECK (kind IN ('email', 'phone')),
    blind      bytea       NOT NULL CHECK (octet_length(blind) = 32),
    value      bytea       NOT NULL,
    locale     text        NOT NULL CHECK (locale IN ('it', 'en')),
    expires_at timestamptz NOT NULL,
    proved_at  timestamptz,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX contact_claim_over ON contact_claim (tenant, expires_at);
COMMENT ON TABLE contact_claim IS 'A contact that somebody says is theirs, for some minutes: its id is the code''s that goes there. Rows are deleted.';
COMMENT ON COLUMN contact_claim.value IS 'The contact, normalised, sealed by the tenant''s key: nobody''s yet.';
COMMENT ON COLUMN contact_claim.proved_at IS 'When the code was said; from then on it is good for one thing, its purpose.';

CREATE TABLE door_try (
    tenant  bigint        NOT NULL REFERENCES tenant (id),
    who     bytea         NOT NULL CHECK (octet_length(who) = 32),
    tried   timestamptz[] NOT NULL,
    last_at timestamptz   NOT NULL,
    PRIMARY KEY (tenant, who)
);
CREATE INDEX door_try_over ON door_try (tenant, last_at);
COMMENT ON TABLE door_try IS 'When somebody tried to sign in of late: from an address, at a device, or as somebody from one of these.';
COMMENT ON COLUMN door_try.who IS 'HMAC under the tenant''s secret of who is counted; it tells neither address nor person.';

ALTER TABLE device ADD COLUMN passkey uuid;
COMMENT ON COLUMN device.passkey IS 'Of a device without a key: the passkey that it is known by.';

GRANT SELECT, INSERT, UPDATE (blind, ended_at) ON contact TO tessera_app;
GRANT SELECT, INSERT, DELETE, UPDATE (value, proved_at, expires_at) ON contact_claim TO tessera_app;
GRANT SELECT, INSERT, DELETE, UPDATE (tried, last_at) ON door_try TO tessera_app;
-- Who signs up becomes a person in a request of the tenant's.
GRANT USAGE ON SEQUENCE api_client_seq TO tessera_tenant;
GRANT UPDATE (passkey) ON device TO tessera_app;
SELECT public.guard_tenant('device', 'tenant');
SELECT public.guard_tenant('contact', 'tenant');
SELECT public.guard_tenant('contact_claim', 'tenant');
SELECT public.guard_tenant('door_try', 'tenant');
