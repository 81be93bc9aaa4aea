-- Nodes that live, by the database's clock. One that stands here and is not heard over NATS is away: what it commits comes to the others
-- out of the database only.
CREATE TABLE nodes (
    name TEXT COLLATE "C" PRIMARY KEY,
    version TEXT NOT NULL DEFAULT '',
    seen_at BIGINT NOT NULL,
    -- Whether the node itself says that NATS does not answer.
    cut_off BOOLEAN NOT NULL DEFAULT TRUE
);

-- Nodes of the release before say only that they are cut off, and look only for those: through this they still do both.
INSERT INTO nodes (name, seen_at) SELECT node, at FROM nodes_cut_off;
DROP TABLE nodes_cut_off;
CREATE VIEW nodes_cut_off AS SELECT name AS node, seen_at AS at FROM nodes WHERE cut_off;

-- What one node at a time does for all, and until when, by the database's clock.
CREATE TABLE leases (
    what TEXT COLLATE "C" PRIMARY KEY,
    node TEXT COLLATE "C" NOT NULL,
    until BIGINT NOT NULL
);
