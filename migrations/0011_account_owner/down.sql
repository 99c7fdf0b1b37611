DROP INDEX journal.account_of_owner;
