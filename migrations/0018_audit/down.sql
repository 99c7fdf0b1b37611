DROP TABLE audit_signed, audit_head, audit_entry;
