-- By how many a user is blocked. First, as a batch locks it: the lock of revocations comes after.
CREATE INDEX blocks_by_blocked ON blocks (blocked);

-- A ban (what = 3) may have an end, `until`, Unix milliseconds by the database's clock; nodes let the user in from then on. For nodes that do
-- not know of ends a pardon (what = 4) is written when it has come, with that end in `until`: it ends no tokens.
ALTER TABLE revocations ADD COLUMN until BIGINT;
ALTER TABLE revocations ADD COLUMN reason TEXT;
-- Who decided: the user of the operating system, or the key of the server API.
ALTER TABLE revocations ADD COLUMN decided_by TEXT;

CREATE INDEX revocations_of_user ON revocations (openid, id);
CREATE INDEX revocations_by_end ON revocations (until) WHERE until IS NOT NULL;
CREATE INDEX revocations_bans ON revocations (id) WHERE what = 3;

-- What operators did, by the command line (`via` = 'cli') or by the server API ('api'). The id has the time in its upper bits. `outcome` is
-- missing where it is not known whether it was done.
CREATE TABLE operator_acts (
    id BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    via TEXT NOT NULL,
    who TEXT NOT NULL,
    act TEXT NOT NULL,
    target TEXT COLLATE "C",
    detail TEXT,
    outcome TEXT
);

CREATE INDEX operator_acts_of_target ON operator_acts (target, id) WHERE target IS NOT NULL;

-- When a user was seen first and last: logging in, calling, connecting or leaving.
CREATE TABLE seen_users (
    openid TEXT COLLATE "C" PRIMARY KEY,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL
) WITH (fillfactor = 70);
