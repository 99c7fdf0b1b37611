-- Operators: people who work for a tenant, the roles they have, and the invitations by which they come. They sign in with
-- passkeys, in sessions of the table that people's are in.

CREATE TABLE operator (
    tenant      bigint      NOT NULL REFERENCES tenant (id),
    id          uuid        NOT NULL,
    number      bigint      NOT NULL DEFAULT nextval('api_client_seq'),
    name        bytea       NOT NULL,
    email       bytea       NOT NULL,
    email_index bytea       NOT NULL CHECK (octet_length(email_index) = 32),
    created_at  timestamptz NOT NULL,
    closed_at   timestamptz,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, number)
);
CREATE UNIQUE INDEX operator_email ON operator (tenant, email_index) WHERE closed_at IS NULL;
COMMENT ON TABLE operator IS 'Somebody who works for the tenant. Stays when they leave: what they did has their id.';
COMMENT ON COLUMN operator.number IS 'Of the clients'' sequence: the scope of their idempotency keys is no client''s, and two pairs of eyes are two numbers.';
COMMENT ON COLUMN operator.name IS 'Sealed by the tenant''s key.';
COMMENT ON COLUMN operator.email IS 'Sealed by the tenant''s key.';
COMMENT ON COLUMN operator.email_index IS 'Blind index of the address, in lower case.';

CREATE TABLE operator_role (
    tenant     bigint      NOT NULL,
    operator   uuid        NOT NULL,
    id         uuid        NOT NULL,
    role       text        NOT NULL CHECK (role <> ''),
    merchant   uuid,
    hours      integer[]   CHECK (cardinality(hours) = 7),
    granted_by uuid,
    granted_at timestamptz NOT NULL,
    ended_at   timestamptz,
    PRIMARY KEY (tenant, operator, id),
    FOREIGN KEY (tenant, operator) REFERENCES operator (tenant, id),
    FOREIGN KEY (tenant, granted_by) REFERENCES operator (tenant, id),
    FOREIGN KEY (tenant, merchant) REFERENCES merchant (tenant, id),
    CHECK (ended_at >= granted_at)
);
COMMENT ON TABLE operator_role IS 'What an operator may, from when until when. What a role may is the code''s to say.';
COMMENT ON COLUMN operator_role.merchant IS 'The shop or biller that it is for; null of the whole tenant.';
COMMENT ON COLUMN operator_role.hours IS 'When it is in force: of Monday to Sunday one number each, whose bit n is the hour from n to n + 1 in the tenant''s time zone. Null is always.';
COMMENT ON COLUMN operator_role.granted_by IS 'An operator; null is the house, by its command line.';

CREATE TABLE operator_invitation (
    tenant     bigint      NOT NULL,
    prefix     text        NOT NULL CHECK (prefix ~ '^[0-9a-f]{12}$'),
    hash       bytea       NOT NULL CHECK (octet_length(hash) = 32),
    operator   uuid        NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    PRIMARY KEY (tenant, prefix),
    FOREIGN KEY (tenant, operator) REFERENCES operator (tenant, id)
);
CREATE INDEX operator_invitation_of ON operator_invitation (tenant, operator);
COMMENT ON TABLE operator_invitation IS 'Good for one passkey, once; a further one replaces those before.';
COMMENT ON COLUMN operator_invitation.hash IS 'SHA-256 of the whole, whose secret has 256 random bits.';

-- Requests read them; who is an operator and what they may is told by the house alone.
GRANT SELECT ON operator, operator_role, operator_invitation TO tessera_app;
GRANT UPDATE (used_at) ON operator_invitation TO tessera_app;
SELECT guard_tenant('operator', 'tenant');
SELECT guard_tenant('operator_role', 'tenant');
SELECT guard_tenant('operator_invitation', 'tenant');
GRANT INSERT ON operator, operator_role, operator_invitation TO tessera_app;
GRANT UPDATE (name, email, closed_at) ON operator TO tessera_app;
GRANT UPDATE (ended_at) ON operator_role TO tessera_app;

-- A session is a person's at a device, or an operator's.
ALTER TABLE session
    ALTER COLUMN person DROP NOT NULL,
    ALTER COLUMN device DROP NOT NULL,
    ADD COLUMN operator uuid,
    ADD COLUMN strict boolean,
    ADD FOREIGN KEY (tenant, operator) REFERENCES operator (tenant, id),
    ADD CONSTRAINT session_holder CHECK ((person IS NULL) = (device IS NULL) AND (person IS NULL) <> (operator IS NULL)
        AND (strict IS NULL) = (operator IS NULL));
CREATE INDEX session_of_operator ON session (tenant, operator) WHERE operator IS NOT NULL;
COMMENT ON TABLE session IS 'A person at a device, or an operator. One access token lives at a time.';
COMMENT ON COLUMN session.strict IS 'Of an operator: whether a role of theirs may so much that tokens live shorter.';
ALTER TABLE session DROP CONSTRAINT session_revoked_for_check, ADD CHECK (revoked_for BETWEEN 0 AND 5);
COMMENT ON COLUMN session.revoked_for IS '0 signed out, 1 device revoked, 2 a used token came again, 3 recovery, 4 account closed, 5 roles changed.';

-- Whose key it is: of an operator, their eyes are the key's.
ALTER TABLE api_key ADD COLUMN created_by uuid, ADD FOREIGN KEY (tenant, created_by) REFERENCES operator (tenant, id);
COMMENT ON COLUMN api_key.created_by IS 'The operator it belongs to; null is the house''s. Where four eyes are asked for, key and operator are two of them.';
