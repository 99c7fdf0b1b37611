-- The roles of a Tessera database, run once by the administrator: psql reads the passwords from the environment.
-- The app role is a member of tessera_app, which may add rows and may not change or delete those of the past; for the
-- requests of one tenant it works as tessera_tenant, which sees the rows of no other.
\getenv owner_password TESSERA_OWNER_PASSWORD
\getenv app_password TESSERA_APP_PASSWORD
CREATE ROLE tessera_app NOLOGIN;
CREATE ROLE tessera_tenant NOLOGIN ROLE tessera_app;
CREATE ROLE tessera_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE tessera LOGIN PASSWORD :'app_password' IN ROLE tessera_app;
CREATE DATABASE tessera OWNER tessera_owner;
