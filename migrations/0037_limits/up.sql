-- What a person may hold and pay, by how well we know them: tables with a date, and which of them the journal was told for whom.

CREATE TABLE level_limit (
    tenant        bigint      NOT NULL REFERENCES tenant (id),
    valid_from    timestamptz NOT NULL,
    level         smallint    NOT NULL CHECK (level BETWEEN 0 AND 3),
    stored_minor  bigint      CHECK (stored_minor BETWEEN 0 AND 1000000000000000),
    payment_minor bigint      CHECK (payment_minor BETWEEN 0 AND 1000000000000000),
    day_minor     bigint      CHECK (day_minor BETWEEN 0 AND 1000000000000000),
    month_minor   bigint      CHECK (month_minor BETWEEN 0 AND 1000000000000000),
    made_at       timestamptz NOT NULL,
    PRIMARY KEY (tenant, valid_from, level)
);
COMMENT ON TABLE level_limit IS 'Cents that people of a level may hold and pay, from a moment on. Null is no limit. A tenant without a row limits nobody.';

CREATE TABLE person_limit (
    tenant        bigint      NOT NULL,
    person        uuid        NOT NULL,
    version       int         NOT NULL CHECK (version > 0),
    level         smallint    NOT NULL CHECK (level BETWEEN 0 AND 3),
    table_from    timestamptz,
    stored_minor  bigint,
    payment_minor bigint,
    day_minor     bigint,
    month_minor   bigint,
    made_at       timestamptz NOT NULL,
    seq           bigint,
    is_set        boolean,
    PRIMARY KEY (tenant, person, version),
    FOREIGN KEY (tenant, person) REFERENCES person (tenant, id),
    FOREIGN KEY (tenant, table_from, level) REFERENCES level_limit (tenant, valid_from, level),
    CHECK ((seq IS NULL) = (is_set IS NULL))
);
COMMENT ON TABLE person_limit IS 'A person''s limits as the journal is told of them, one version after the other.';
COMMENT ON COLUMN person_limit.table_from IS 'Of which table; null before the first one begins.';
COMMENT ON COLUMN person_limit.seq IS 'From which record of the journal on; null while it is not known.';
COMMENT ON COLUMN person_limit.is_set IS 'False of a version that was given up for a later one and can never reach the journal.';

GRANT SELECT, INSERT ON level_limit TO tessera_app;
GRANT SELECT, INSERT, UPDATE (seq, is_set) ON person_limit TO tessera_app;
SELECT public.guard_tenant('level_limit', 'tenant');
SELECT public.guard_tenant('person_limit', 'tenant');
