-- Operators' passwords: what they fall back on when their passkey is not at hand. A session says whether it was opened by one.

CREATE TABLE operator_password (
    tenant   bigint      NOT NULL,
    operator uuid        NOT NULL,
    kept     text        NOT NULL CHECK (kept LIKE '$argon2id$%' AND length(kept) <= 255),
    set_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant, operator),
    FOREIGN KEY (tenant, operator) REFERENCES operator (tenant, id)
);
COMMENT ON TABLE operator_password IS 'A password to fall back on, at most one for each operator. Without a row there is none.';
COMMENT ON COLUMN operator_password.kept IS 'Argon2id with its parameters and salt: what it was computed from is nowhere.';
GRANT SELECT, INSERT, DELETE, UPDATE (kept, set_at) ON operator_password TO tessera_app;
SELECT guard_tenant('operator_password', 'tenant');

ALTER TABLE session ADD COLUMN by_password boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT session_by_password CHECK (NOT by_password OR operator IS NOT NULL);
COMMENT ON COLUMN session.by_password IS 'Of an operator: opened by a password, so the roles that may much are not in force in it.';
