DROP TABLE person_limit, level_limit;
