-- Users whose messages an operator has every node write trace lines of, and until when, by the database's clock.
CREATE TABLE traces (
    openid TEXT COLLATE "C" PRIMARY KEY,
    until BIGINT NOT NULL
);

-- How a node stands, as JSON, for `hongyan status`. Nodes of the release before leave it empty.
ALTER TABLE nodes ADD COLUMN status TEXT NOT NULL DEFAULT '';
