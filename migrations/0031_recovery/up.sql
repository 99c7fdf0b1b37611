-- Recoveries: people who lost what they signed in with, proved a contact again and registered a new passkey. For a day after one,
-- and after a device was added, little may be paid (identity::people::caution).

CREATE TABLE recovery (
    tenant   bigint      NOT NULL,
    id       uuid        NOT NULL,
    person   uuid        NOT NULL,
    begun_at timestamptz NOT NULL,
    done_at  timestamptz,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, person) REFERENCES person (tenant, id),
    CHECK (done_at >= begun_at)
);
CREATE INDEX recovery_of ON recovery (tenant, person, done_at);
COMMENT ON TABLE recovery IS 'Who began to come back without a passkey, by a code to a contact of theirs, and who did. Stays.';
COMMENT ON COLUMN recovery.done_at IS 'When the new passkey was registered: from then on the cooling-off lasts.';

GRANT SELECT, INSERT, UPDATE (done_at) ON recovery TO tessera_app;
SELECT public.guard_tenant('recovery', 'tenant');
