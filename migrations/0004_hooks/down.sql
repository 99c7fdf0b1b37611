DROP TABLE hook_replay;
DROP TABLE hook_attempt;
DROP TABLE hook_delivery;
DROP TABLE hook_event;
DROP TABLE hook_endpoint;
