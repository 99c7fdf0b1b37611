ALTER TABLE device DROP COLUMN passkey;
DROP TABLE contact, contact_claim, door_try;
