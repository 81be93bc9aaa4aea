-- What was refused again within an hour is one row that counts. `hour`: hours since 1970 of such a row, none where each finding has a row
-- of its own, because its message is stored or somebody is to look at it. `times`: how often it was found.
ALTER TABLE audits ADD COLUMN hour BIGINT;
ALTER TABLE audits ADD COLUMN times BIGINT NOT NULL DEFAULT 1;

CREATE UNIQUE INDEX audits_folded ON audits (openid, hash, hour, source, outcome) WHERE hour IS NOT NULL;

-- For taking out what is too old.
CREATE INDEX audits_by_time ON audits (at);
