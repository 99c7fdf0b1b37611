DROP TABLE vault_erasure, vault_index_key, vault_person_key, vault_tenant_key, vault_kek;
DROP FUNCTION vault_stay_forgotten();
