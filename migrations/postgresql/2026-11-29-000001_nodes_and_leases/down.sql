DROP TABLE leases;
DROP VIEW nodes_cut_off;
CREATE TABLE nodes_cut_off (
    node TEXT COLLATE "C" PRIMARY KEY,
    at BIGINT NOT NULL
);
INSERT INTO nodes_cut_off (node, at) SELECT name, seen_at FROM nodes WHERE cut_off;
DROP TABLE nodes;
