-- Four eyes: two pairs are two people. Whoever acts has the eyes of the operator they are, or whose key they come with.

ALTER TABLE adjustment ADD COLUMN proposed_eyes bigint, ADD COLUMN decided_eyes bigint;
UPDATE adjustment SET proposed_eyes = proposed_by, decided_eyes = decided_by;
ALTER TABLE adjustment
    ALTER COLUMN proposed_eyes SET NOT NULL,
    ADD CONSTRAINT adjustment_eyes CHECK (decided_eyes IS DISTINCT FROM proposed_eyes
        AND (decided_eyes IS NULL) = (decided_by IS NULL));
COMMENT ON COLUMN adjustment.proposed_eyes IS 'Whose eyes: an operator''s number whatever they came with, or the client''s.';
GRANT UPDATE (decided_eyes) ON adjustment TO tessera_app;

CREATE TABLE four_eyes (
    tenant       bigint      NOT NULL REFERENCES tenant (id),
    id           uuid        NOT NULL,
    act          text        NOT NULL CHECK (act <> ''),
    object       text        NOT NULL CHECK (length(object) <= 128),
    fingerprint  bytea       NOT NULL CHECK (octet_length(fingerprint) = 32),
    asked_eyes   bigint      NOT NULL,
    asked_at     timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    decided_eyes bigint,
    decided_at   timestamptz,
    PRIMARY KEY (tenant, id),
    CHECK (decided_eyes IS DISTINCT FROM asked_eyes),
    CHECK ((decided_eyes IS NULL) = (decided_at IS NULL))
);
COMMENT ON TABLE four_eyes IS 'What one person asked for and another has to confirm before it is done.';
COMMENT ON COLUMN four_eyes.fingerprint IS 'SHA-256 of all that was asked for: what is confirmed is what was asked.';
GRANT SELECT, INSERT ON four_eyes TO tessera_app;
GRANT UPDATE (decided_eyes, decided_at) ON four_eyes TO tessera_app;
SELECT guard_tenant('adjustment', 'tenant');
SELECT guard_tenant('four_eyes', 'tenant');
