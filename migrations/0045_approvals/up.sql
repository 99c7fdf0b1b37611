-- What takes four eyes is kept as it was asked, so that what is confirmed is done from it and from nothing else. Nothing asked
-- for it before: the table is empty.

ALTER TABLE four_eyes
    ADD COLUMN body        bytea   NOT NULL CHECK (octet_length(body) BETWEEN 1 AND 65536),
    ADD COLUMN asked_by    bigint  NOT NULL,
    ADD COLUMN decided_by  bigint,
    ADD COLUMN is_approved boolean,
    ADD CONSTRAINT four_eyes_decision CHECK (num_nonnulls(decided_eyes, decided_by, is_approved) IN (0, 3));
CREATE INDEX four_eyes_asked ON four_eyes (tenant, asked_at, id);
COMMENT ON COLUMN four_eyes.body IS 'What was asked, in canonical JSON: it has ids and amounts, and nobody''s data.';
COMMENT ON COLUMN four_eyes.fingerprint IS 'SHA-256 of the act, its object and the body: what is done is what was asked.';
COMMENT ON COLUMN four_eyes.asked_by IS 'With which number it was asked: a client''s or an operator''s. Whose eyes that are is beside it.';
GRANT UPDATE (decided_by, is_approved) ON four_eyes TO tessera_app;

CREATE TABLE four_eyes_policy (
    tenant              bigint PRIMARY KEY REFERENCES tenant (id),
    refunds_above_minor bigint NOT NULL CHECK (refunds_above_minor >= 0)
);
COMMENT ON TABLE four_eyes_policy IS 'From what on a tenant''s refunds take four eyes; without a row, none do.';
GRANT SELECT ON four_eyes_policy TO tessera_app;
SELECT guard_tenant('four_eyes', 'tenant');
SELECT guard_tenant('four_eyes_policy', 'tenant');
-- By the house's commands, and by no request.
GRANT INSERT, UPDATE, DELETE ON four_eyes_policy TO tessera_app;
