DROP TABLE refresh_token, session, device, person;
