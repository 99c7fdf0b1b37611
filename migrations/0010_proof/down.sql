DROP TABLE journal.proof_key, journal.signed_head, journal.strip;
DELETE FROM journal.follower WHERE name = 'proof';
