-- The role stays: other databases of this server may use it.
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
            EXECUTE format('ALTER TABLE journal.transfer ATTACH PARTITION journal.%I FOR VALUES FROM (%s) TO (%s)',
                of_range, coming.first_seq, coming.last_seq + 1);
        END IF;
        of_part := of_range || '_of_' || replace(p_journal::text, '-', 'm');
        -- Rows come in the order of the key, at its end: its pages are left full.
        EXECUTE format('CREATE TABLE journal.%I (LIKE journal.transfer INCLUDING CONSTRAINTS, '
            'PRIMARY KEY (journal, seq, leg) WITH (fillfactor = 100))', of_part);
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
END
$$;

DO $$
DECLARE
    kept record;
BEGIN
    FOR kept IN SELECT polrelid::regclass AS name, polname FROM pg_policy WHERE polname IN ('house', 'tenant') LOOP
        EXECUTE format('DROP POLICY %I ON %s', kept.polname, kept.name);
        EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY', kept.name);
    END LOOP;
END
$$;
ALTER VIEW journal.balance RESET (security_invoker);
REVOKE ALL ON ALL TABLES IN SCHEMA public, journal FROM tessera_tenant;
REVOKE USAGE ON SCHEMA journal FROM tessera_tenant;
DROP FUNCTION public.guard_tenant(regclass, name), public.current_tenant();
