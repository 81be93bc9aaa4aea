-- Nodes that live and cannot reach NATS say so here, every few seconds: what they commit comes to the others out of the database only.
CREATE TABLE nodes_cut_off (
    node TEXT COLLATE "C" PRIMARY KEY,
    at BIGINT NOT NULL
);
