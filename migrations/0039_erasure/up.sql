-- A person who was forgotten is closed in the same commit, also when a restored database forgets them again: what is left of them
-- is an id without a name.

CREATE FUNCTION public.close_erased() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    UPDATE person SET closed_at = NEW.erased_at WHERE tenant = NEW.tenant AND id = NEW.person AND closed_at IS NULL;
    UPDATE session SET revoked_at = NEW.erased_at, revoked_for = 4
        WHERE tenant = NEW.tenant AND person = NEW.person AND revoked_at IS NULL;
    UPDATE passkey SET revoked_at = coalesce(revoked_at, NEW.erased_at), name = '-'
        WHERE tenant = NEW.tenant AND holder_kind = 'person' AND holder = NEW.person;
    -- So that whoever has the address may sign up anew; its value opens nowhere any more.
    UPDATE contact SET ended_at = NEW.erased_at, blind = NULL
        WHERE tenant = NEW.tenant AND person = NEW.person AND ended_at IS NULL;
    -- What salted the books' commitments to their facts: from here on nobody can tell what was committed to.
    DELETE FROM person_secret WHERE tenant = NEW.tenant AND customer = NEW.person;
    RETURN NULL;
END
$$;
CREATE TRIGGER close_erased AFTER INSERT ON vault_erasure FOR EACH ROW EXECUTE FUNCTION public.close_erased();

-- For whoever asks what is kept of them.
CREATE INDEX sca_evidence_of ON sca_evidence (tenant, person, payment_id);
