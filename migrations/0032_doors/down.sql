REVOKE USAGE ON SEQUENCE api_client_seq FROM tessera_tenant;
ALTER TABLE device DROP COLUMN passkey;
DROP TABLE contact, contact_claim, door_try;
