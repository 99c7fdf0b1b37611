DROP TABLE sca_exemption_use;
DROP TABLE sca_exemption_counter;
DROP TABLE sca_exemption_rule;
DROP TABLE sca_policy;
DROP TABLE sca_failure;
DROP TABLE sca_evidence;
