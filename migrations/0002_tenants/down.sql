DROP TABLE api_key;
DROP SEQUENCE api_client_seq;
DROP TABLE tenant;
