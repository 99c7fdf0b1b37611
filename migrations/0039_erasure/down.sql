DROP INDEX sca_evidence_of;
DROP TRIGGER close_erased ON vault_erasure;
DROP FUNCTION public.close_erased();
