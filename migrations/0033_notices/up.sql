-- Notices to people of what was done to their wallet's doors: written with the deed, sent afterwards, at least once.

CREATE TABLE notice (
    tenant  bigint      NOT NULL,
    id      uuid        NOT NULL,
    contact uuid        NOT NULL,
    kind    text        NOT NULL CHECK (kind <> ''),
    until   timestamptz,
    at      timestamptz NOT NULL,
    next_at timestamptz NOT NULL,
    tries   integer     NOT NULL DEFAULT 0 CHECK (tries >= 0),
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, contact) REFERENCES contact (tenant, id)
);
CREATE INDEX notice_due ON notice (tenant, next_at);
COMMENT ON TABLE notice IS 'What has to be told to a contact, until its mail server has taken it. Rows are deleted then.';
COMMENT ON COLUMN notice.next_at IS 'When it is tried next; while somebody tries, when others may.';

GRANT SELECT, INSERT, DELETE, UPDATE (next_at, tries) ON notice TO tessera_app;
SELECT public.guard_tenant('notice', 'tenant');
