ALTER TABLE session DROP COLUMN by_password;
DROP TABLE operator_password;
