DROP TABLE contact_code_asked, contact_code;
