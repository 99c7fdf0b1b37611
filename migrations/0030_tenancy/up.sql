-- Row-level security, the second wall between tenants (docs/adr/0012); the first is that every statement names its tenant. Sessions
-- that serve requests work as tessera_tenant and see the rows of one tenant, which each transaction names by itself; one that
-- names none sees nothing. The writer, followers and commands work over all tenants, as tessera_app or as the owner.

-- Nobody who waits here should make others wait for long: run again if this is not enough.
SET LOCAL lock_timeout = '10s';
-- A batch begins with its head: whoever has this has no batch half way in the tables that come next.
LOCK TABLE journal.head IN ACCESS EXCLUSIVE MODE;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tessera_tenant') THEN
        CREATE ROLE tessera_tenant NOLOGIN;
    END IF;
    IF NOT pg_has_role('tessera_app', 'tessera_tenant', 'MEMBER') THEN
        GRANT tessera_tenant TO tessera_app;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE EXCEPTION 'the owner may make no role. As an administrator: CREATE ROLE tessera_tenant NOLOGIN; GRANT tessera_tenant TO tessera_app;';
END
$$;

-- Whose rows this transaction may see, as it said itself: SET LOCAL tessera.tenant. Nobody's (null) when it said nothing. To be
-- planned into the statement, so that it stays a probe of an index: no SECURITY DEFINER and no SET here.
CREATE FUNCTION public.current_tenant() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('tessera.tenant', true), '')::bigint;

-- Puts a table behind the wall, and lets sessions of tenants do there what the app may; of the journal's tables, only read.
-- The column is the one that says whose a row is. For the owner, after the table's grants; again after later ones.
CREATE FUNCTION public.guard_tenant(p_table regclass, p_column name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    is_journal boolean := (SELECT relnamespace = 'journal'::regnamespace FROM pg_class WHERE oid = p_table);
    granted    record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = p_table AND polname = 'tenant') THEN
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', p_table);
        -- FORCE binds the owner too, who runs commands over all tenants.
        EXECUTE format('CREATE POLICY house ON %s TO tessera_app, CURRENT_USER USING (true)', p_table);
        EXECUTE format('CREATE POLICY tenant ON %s TO tessera_tenant USING (%I = public.current_tenant())', p_table, p_column);
    END IF;
    FOR granted IN
        SELECT a.privilege_type AS privilege, '' AS columns
        FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = p_table AND a.grantee = 'tessera_app'::regrole
        UNION ALL
        SELECT a.privilege_type, format(' (%I)', t.attname)
        FROM pg_attribute t, aclexplode(t.attacl) a WHERE t.attrelid = p_table AND a.grantee = 'tessera_app'::regrole
    LOOP
        CONTINUE WHEN is_journal AND granted.privilege <> 'SELECT';
        EXECUTE format('GRANT %s%s ON %s TO tessera_tenant', granted.privilege, granted.columns, p_table);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION public.guard_tenant(regclass, name) FROM PUBLIC;

DO $$
DECLARE
    kept record;
BEGIN
    FOR kept IN
        SELECT c.oid::regclass AS name, a.attname AS tenant
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname IN ('tenant', 'journal')
        WHERE c.relnamespace IN ('public'::regnamespace, 'journal'::regnamespace) AND c.relkind IN ('r', 'p')
        ORDER BY c.oid
    LOOP
        PERFORM public.guard_tenant(kept.name, kept.tenant);
    END LOOP;
END
$$;
SELECT public.guard_tenant('public.tenant', 'id');

-- Keys are the house's business, and of a tenant no request needs more than this. Assets and closings are the journal's only
-- rows that no writer writes.
REVOKE ALL ON tenant, api_key FROM tessera_tenant;
GRANT SELECT (id, revision), UPDATE (revision) ON tenant TO tessera_tenant;
GRANT USAGE ON SCHEMA journal TO tessera_tenant;
GRANT SELECT ON journal.range, journal.balance TO tessera_tenant;
GRANT INSERT ON journal.asset, journal.closing TO tessera_tenant;
-- A tenant's first key is wrapped by the house's, wherever the first thing is sealed. No key is in the table.
GRANT SELECT, INSERT, UPDATE (retired_at) ON vault_kek TO tessera_tenant;

-- A view reads as its owner unless told otherwise.
ALTER VIEW journal.balance SET (security_invoker = true);

-- As in 0012 and 0016, and every partition behind the wall before it has a row.
CREATE OR REPLACE FUNCTION journal.make_room(p_journal bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head_seq bigint;
    latest   journal.range;
    coming   journal.range;
    of_range text;
    of_part  text;
BEGIN
    SELECT seq INTO head_seq FROM journal.head WHERE journal = p_journal;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there are no books of journal %', p_journal;
    END IF;
    -- One maker at a time, of all journals: ranges are common. Nobody else takes this lock; readers pass.
    LOCK TABLE journal.range IN SHARE ROW EXCLUSIVE MODE;
    SELECT r.* INTO latest FROM journal.range r
    WHERE first_seq = coalesce((SELECT max(first_seq) FROM journal.part WHERE journal = p_journal), 0);
    WHILE head_seq >= latest.first_seq + (latest.last_seq - latest.first_seq) / 2 LOOP
        IF latest.first_seq = 0 THEN
            INSERT INTO journal.part (journal, first_seq, last_seq) VALUES (p_journal, 0, latest.last_seq);
        END IF;
        SELECT r.* INTO coming FROM journal.range r WHERE first_seq = latest.last_seq + 1;
        of_range := 'transfer_' || (latest.last_seq + 1);
        IF NOT FOUND THEN
            INSERT INTO journal.range (first_seq, last_seq)
                SELECT latest.last_seq + 1, latest.last_seq + records FROM journal.layout RETURNING * INTO coming;
            -- Made, then attached: only this way nobody who writes has to wait.
            EXECUTE format('CREATE TABLE journal.%I (LIKE journal.transfer INCLUDING CONSTRAINTS INCLUDING INDEXES) '
                'PARTITION BY LIST (journal)', of_range);
            PERFORM public.guard_tenant(format('journal.%I', of_range)::regclass, 'journal');
            EXECUTE format('ALTER TABLE journal.transfer ATTACH PARTITION journal.%I FOR VALUES FROM (%s) TO (%s)',
                of_range, coming.first_seq, coming.last_seq + 1);
        END IF;
        of_part := of_range || '_of_' || replace(p_journal::text, '-', 'm');
        -- Rows come in the order of the key, at its end: its pages are left full.
        EXECUTE format('CREATE TABLE journal.%I (LIKE journal.transfer INCLUDING CONSTRAINTS, '
            'PRIMARY KEY (journal, seq, leg) WITH (fillfactor = 100))', of_part);
        PERFORM public.guard_tenant(format('journal.%I', of_part)::regclass, 'journal');
        EXECUTE format('ALTER TABLE journal.%I ATTACH PARTITION journal.%I FOR VALUES IN (%s)', of_range, of_part, p_journal);
        INSERT INTO journal.part (journal, first_seq, last_seq) VALUES (p_journal, coming.first_seq, coming.last_seq);
        latest := coming;
    END LOOP;
    RETURN latest.last_seq;
END
$$;

CREATE OR REPLACE FUNCTION journal.make_back(p_journal bigint, p_first bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM journal.archived WHERE journal = p_journal AND first_seq = p_first FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the range from seq % of journal % is not archived', p_first, p_journal;
    END IF;
    EXECUTE format('CREATE TABLE journal.%I (LIKE journal.transfer INCLUDING CONSTRAINTS, '
        'PRIMARY KEY (journal, seq, leg) WITH (fillfactor = 100))', journal.part_name(p_journal, p_first));
    PERFORM public.guard_tenant(format('journal.%I', journal.part_name(p_journal, p_first))::regclass, 'journal');
END
$$;
