DROP TABLE node_link;
