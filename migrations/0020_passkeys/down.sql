DROP TABLE challenge;
DROP TABLE passkey;
