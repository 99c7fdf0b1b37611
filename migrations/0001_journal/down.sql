-- The books are never taken down by a migration: a journal without its rows proves nothing.
DO $$ BEGIN RAISE EXCEPTION 'the journal cannot be migrated down; restore a backup instead'; END $$;
