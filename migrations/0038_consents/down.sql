UPDATE hook_delivery SET status = 3 WHERE status = 4;
ALTER TABLE hook_delivery DROP CONSTRAINT hook_delivery_status_check,
    ADD CONSTRAINT hook_delivery_status_check CHECK (status BETWEEN 0 AND 3);
ALTER TABLE hook_endpoint DROP COLUMN purpose;
DROP TABLE consent, consent_text;
