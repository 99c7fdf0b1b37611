-- Accounts of one owner, a page at a time. Built while accounts are opened, which is seldom beside what is posted, and of
-- columns that never change, so that checkpoints go on without touching it.
CREATE INDEX account_of_owner ON journal.account (journal, owner, id) WHERE owner IS NOT NULL;
