-- Out-of-band codes: eight digits sent to a contact, to be said again within ten minutes. Neither contact nor code is here.

CREATE TABLE contact_code (
    tenant     bigint      NOT NULL REFERENCES tenant (id),
    id         uuid        NOT NULL,
    purpose    text        NOT NULL CHECK (purpose <> ''),
    contact    bytea       NOT NULL CHECK (octet_length(contact) = 32),
    mac        bytea       NOT NULL CHECK (octet_length(mac) = 32),
    tries      smallint    NOT NULL DEFAULT 0 CHECK (tries BETWEEN 0 AND 5),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, id)
);
COMMENT ON TABLE contact_code IS 'A code that was sent, until it is used, tried five times, or over. Rows are deleted.';
COMMENT ON COLUMN contact_code.contact IS 'Blind index of the contact.';
COMMENT ON COLUMN contact_code.mac IS 'HMAC-SHA-256 under the tenant''s secret over id, purpose, contact and code.';

CREATE INDEX contact_code_over ON contact_code (tenant, expires_at);

CREATE TABLE contact_code_asked (
    tenant  bigint        NOT NULL REFERENCES tenant (id),
    kind    text          NOT NULL CHECK (kind IN ('contact', 'address')),
    who     bytea         NOT NULL CHECK (octet_length(who) = 32),
    asked   timestamptz[] NOT NULL,
    last_at timestamptz   NOT NULL,
    PRIMARY KEY (tenant, kind, who)
);
COMMENT ON TABLE contact_code_asked IS 'When codes were asked for within the last hour, by contact and by address, both as blind indexes.';

CREATE INDEX contact_code_asked_over ON contact_code_asked (tenant, last_at);

GRANT SELECT, INSERT, DELETE ON contact_code, contact_code_asked TO tessera_app;
GRANT UPDATE (tries) ON contact_code TO tessera_app;
GRANT UPDATE (asked, last_at) ON contact_code_asked TO tessera_app;
