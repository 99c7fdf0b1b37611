-- What people agreed to, in which words, and when they took it back: a ledger that only grows (GDPR, Art. 7).

CREATE TABLE consent_text (
    tenant  bigint      NOT NULL REFERENCES tenant (id),
    purpose text        NOT NULL CHECK (purpose ~ '^[a-z][a-z0-9_]{0,39}$'),
    version int         NOT NULL CHECK (version > 0),
    locale  text        NOT NULL CHECK (locale IN ('it', 'en')),
    words   text        NOT NULL CHECK (octet_length(words) BETWEEN 1 AND 20000),
    digest  bytea       NOT NULL CHECK (octet_length(digest) = 32),
    made_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, purpose, version, locale)
);
COMMENT ON TABLE consent_text IS 'What somebody is asked to agree to, by purpose, in each language. A version never changes.';
COMMENT ON COLUMN consent_text.digest IS 'SHA-256 of the words in UTF-8.';

CREATE TABLE consent (
    tenant       bigint      NOT NULL,
    person       uuid        NOT NULL,
    number       int         NOT NULL CHECK (number > 0),
    purpose      text        NOT NULL,
    is_granted   boolean     NOT NULL,
    text_version int         NOT NULL,
    locale       text        NOT NULL,
    digest       bytea       NOT NULL CHECK (octet_length(digest) = 32),
    channel      smallint    NOT NULL CHECK (channel BETWEEN 0 AND 1),
    session      uuid        NOT NULL,
    audit_seq    bigint      NOT NULL,
    at           timestamptz NOT NULL,
    PRIMARY KEY (tenant, person, number),
    FOREIGN KEY (tenant, person) REFERENCES person (tenant, id),
    FOREIGN KEY (tenant, purpose, text_version, locale) REFERENCES consent_text (tenant, purpose, version, locale)
);
COMMENT ON TABLE consent IS 'Each time a person agreed to something or took it back. The last one of a purpose counts.';
COMMENT ON COLUMN consent.digest IS 'SHA-256 of the words that were shown; of a withdrawal, of those that had been agreed to.';
COMMENT ON COLUMN consent.channel IS '0 app, 1 page.';
COMMENT ON COLUMN consent.session IS 'Whose session said so; with the entry of the signed audit log, the proof.';
CREATE INDEX consent_of ON consent (tenant, person, purpose, number);

GRANT SELECT, INSERT ON consent_text, consent TO tessera_app;
SELECT public.guard_tenant('consent_text', 'tenant');
SELECT public.guard_tenant('consent', 'tenant');

-- Hooks that are for a purpose: told of people who agree to it, and of nobody else.
SET LOCAL lock_timeout = '10s';
ALTER TABLE hook_endpoint ADD COLUMN purpose text CHECK (purpose ~ '^[a-z][a-z0-9_]{0,39}$');
COMMENT ON COLUMN hook_endpoint.purpose IS 'What its hooks are for: events about people are told while those agree to it. Null: what is told needs no consent.';
ALTER TABLE hook_delivery DROP CONSTRAINT hook_delivery_status_check,
    ADD CONSTRAINT hook_delivery_status_check CHECK (status BETWEEN 0 AND 4) NOT VALID;
COMMENT ON COLUMN hook_delivery.status IS '0 pending, 1 delivered, 2 failed (every attempt made), 3 gone (the endpoint was disabled first), 4 withheld (consent was withdrawn first).';
