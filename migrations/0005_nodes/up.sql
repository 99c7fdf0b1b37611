-- What the nodes of one deployment share besides the books.

-- The secret by which nodes know each other when one sends a request on to the one that leads. Whoever may read it may
-- post anything: it is as secret as the database itself, and the only other place it is in is the nodes' memory.
CREATE TABLE node_link (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    secret bytea   NOT NULL CHECK (octet_length(secret) = 32)
);
-- Two random UUIDs: 244 bits from the system's generator.
INSERT INTO node_link (secret) VALUES (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

GRANT SELECT ON node_link TO tessera_app;
