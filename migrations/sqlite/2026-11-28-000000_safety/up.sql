-- What checks of contents have found, for the operator. A finding about a message is written in the same transaction as the message;
-- `seq` where it is stored, none where it was refused; no `peer` where it is about a name.
--
-- source: 0 text, 1 nickname, 2 media. outcome: 0 refused, 1 to be looked at, 2 could not be checked, 3 the result comes later.
-- found_by: 0 the operator's word list, 1 WeChat. decision: 0 passed, 1 recalled. hash: SHA-256 of what was checked, which itself stands
-- in `content` where the operator wants it kept.
CREATE TABLE audits (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    at BIGINT NOT NULL,
    openid TEXT NOT NULL,
    peer TEXT,
    seq BIGINT,
    source SMALLINT NOT NULL,
    outcome SMALLINT NOT NULL,
    found_by SMALLINT NOT NULL,
    label INTEGER NOT NULL,
    trace_id TEXT,
    hash BLOB NOT NULL,
    content TEXT,
    decided_at BIGINT,
    decision SMALLINT
);

CREATE INDEX audits_by_trace ON audits (trace_id) WHERE trace_id IS NOT NULL;

-- What somebody should still look at.
CREATE INDEX audits_open ON audits (id) WHERE outcome = 1 AND decision IS NULL AND (seq IS NOT NULL OR peer IS NULL);
