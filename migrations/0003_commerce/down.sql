DROP TABLE customer_card, reward_rule, campaign, programme, merchant, person_secret, customer;
