DROP TABLE payment_intent;
