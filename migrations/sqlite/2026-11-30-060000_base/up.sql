-- A numbered log of messages, and its members. kind: 0 direct, 1 group.
--
-- `address`: of a direct one 'd:' and the two openids, sorted and joined by ':' (which no openid has), of a group 'g:' and its name. Without
-- the 'd:' the openids `g` and `team` would be the group `g:team`.
CREATE TABLE conversations (
    id INTEGER PRIMARY KEY NOT NULL,
    kind SMALLINT NOT NULL,
    address TEXT NOT NULL UNIQUE,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- For the limit on conversations that a user may start in a day.
CREATE INDEX conversations_by_creator ON conversations (created_by, created_at);

-- A user's own view of a conversation. A direct conversation with oneself has one row.
--
-- `peer`: the other one of a direct conversation.
-- `uncounted`: how many messages above the member's floor (the highest of sent, read and cleared) do not count as unread: recalls, and what
-- they recalled.
-- `may_have_unread`: false where nothing is unread; true may be outdated.
-- `changed_at`, `last_at`: when anything that the member sees changed, and when the last message came, by the store's own time (Unix
-- milliseconds that never go back). Both are kept in steps of some seconds, so that a busy conversation seldom moves in the indexes: the change
-- is at or after the time that stands here, by less than a step. `last_at` is 0 where everything is cleared.
-- `muted`: the member wants no notices of the conversation.
CREATE TABLE members (
    conversation_id BIGINT NOT NULL REFERENCES conversations (id),
    openid TEXT NOT NULL,
    peer TEXT,
    sent_seq BIGINT NOT NULL DEFAULT 0,
    read_seq BIGINT NOT NULL DEFAULT 0,
    recv_seq BIGINT NOT NULL DEFAULT 0,
    cleared_seq BIGINT NOT NULL DEFAULT 0,
    uncounted BIGINT NOT NULL DEFAULT 0,
    may_have_unread BOOLEAN NOT NULL DEFAULT FALSE,
    changed_at BIGINT NOT NULL DEFAULT 0,
    last_at BIGINT NOT NULL DEFAULT 0,
    muted BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (conversation_id, openid)
) WITHOUT ROWID;

-- What changed for a user, what was written to them last, and what they may not have read. With the column that is always true, SQLite takes
-- the last one for what it is, also after ANALYZE.
CREATE INDEX members_by_change ON members (openid, changed_at);
CREATE INDEX members_by_last ON members (openid, last_at) WHERE last_at > 0;
CREATE INDEX members_unread ON members (openid, may_have_unread) WHERE may_have_unread = TRUE;

-- A table with ids of its own, so that messages of all conversations are appended in one place, and that whoever follows the log has an order;
-- the last seq of a conversation is the end of its stretch of the unique index. No foreign key: it would cost a look-up a message, and
-- conversations are never deleted.
--
-- `sent_at` is the system's clock, for people; `stored_at` the store's own time, by which lists are ordered.
CREATE TABLE messages (
    id INTEGER PRIMARY KEY NOT NULL,
    conversation_id BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    sender TEXT NOT NULL,
    client_msg_id TEXT,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    sent_at BIGINT NOT NULL,
    stored_at BIGINT NOT NULL,
    target_seq BIGINT,
    recalled BOOLEAN NOT NULL DEFAULT FALSE,
    UNIQUE (conversation_id, seq)
);

-- By which a repeat of (conversation_id, sender, client_msg_id) is known. As an index of `messages` these would cost each message a page of its
-- own in every commit, because clients' ids fall anywhere; here they are written late and in order, many to a page.
--
-- hash: the first eight bytes of SHA-256 of sender, a space and client_msg_id. Two messages may share it, so the row of `messages` decides.
CREATE TABLE idempotency_keys (
    conversation_id BIGINT NOT NULL,
    hash BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (conversation_id, hash, seq)
) WITHOUT ROWID;

-- Messages up to this id have their keys in the table; the server holds those of later ones in memory, and reads them at its start. One row.
CREATE TABLE idempotency_progress (
    through_id BIGINT NOT NULL
);

INSERT INTO idempotency_progress (through_id) VALUES (0);

-- What the unread rule takes off: recall events and what they recalled.
CREATE INDEX messages_uncounted ON messages (conversation_id, seq) WHERE target_seq IS NOT NULL OR recalled;

-- A message is recalled once.
CREATE UNIQUE INDEX messages_recalled_once ON messages (conversation_id, target_seq) WHERE target_seq IS NOT NULL;

-- `openid` wants nothing from `blocked`.
CREATE TABLE blocks (
    openid TEXT NOT NULL,
    blocked TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (openid, blocked)
) WITHOUT ROWID;

-- By how many a user is blocked.
CREATE INDEX blocks_by_blocked ON blocks (blocked);

-- A log: every node follows it.
--
-- A ban (what = 3) may have an end, `until`, Unix milliseconds by the database's clock; nodes let the user in from then on. When it has
-- come a pardon (what = 4) is written with that end in `until`: it ends no tokens.
-- `decided_by`: the user of the operating system, or the key of the server API.
CREATE TABLE revocations (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    openid TEXT NOT NULL,
    what SMALLINT NOT NULL,
    issued_ms BIGINT,
    at BIGINT NOT NULL,
    until BIGINT,
    reason TEXT,
    decided_by TEXT
);

CREATE INDEX revocations_by_time ON revocations (at);
CREATE INDEX revocations_of_user ON revocations (openid, id);
CREATE INDEX revocations_by_end ON revocations (until) WHERE until IS NOT NULL;
CREATE INDEX revocations_bans ON revocations (id) WHERE what = 3;

-- An image stands once, however many show it, under the SHA-256 of its bytes in hexadecimal digits.
CREATE TABLE avatars (
    sha256 TEXT PRIMARY KEY NOT NULL,
    image BLOB NOT NULL
);

-- What users show of themselves; '' and NULL: nothing.
CREATE TABLE profiles (
    openid TEXT PRIMARY KEY NOT NULL,
    nickname TEXT NOT NULL,
    avatar TEXT REFERENCES avatars (sha256)
) WITHOUT ROWID;

-- Whether somebody still shows it.
CREATE INDEX profiles_by_avatar ON profiles (avatar) WHERE avatar IS NOT NULL;

-- What checks of contents have found, for the operator. A finding about a message is written in the same transaction as the message;
-- `seq` where it is stored, none where it was refused; no `peer` where it is about a name.
--
-- source: 0 text, 1 nickname, 2 media. outcome: 0 refused, 1 to be looked at, 2 could not be checked, 3 the result comes later.
-- found_by: 0 the operator's word list, 1 WeChat. decision: 0 passed, 1 recalled. hash: SHA-256 of what was checked, which itself stands
-- in `content` where the operator wants it kept.
--
-- What was refused again within an hour is one row that counts. `hour`: hours since 1970 of such a row, none where each finding has a row
-- of its own, because its message is stored or somebody is to look at it. `times`: how often it was found.
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
    decision SMALLINT,
    hour BIGINT,
    times BIGINT NOT NULL DEFAULT 1
);

CREATE INDEX audits_by_trace ON audits (trace_id) WHERE trace_id IS NOT NULL;

-- What somebody should still look at.
CREATE INDEX audits_open ON audits (id) WHERE outcome = 1 AND decision IS NULL AND (seq IS NOT NULL OR peer IS NULL);

CREATE UNIQUE INDEX audits_folded ON audits (openid, hash, hour, source, outcome) WHERE hour IS NOT NULL;

-- For taking out what is too old.
CREATE INDEX audits_by_time ON audits (at);

-- How many messages of a template a user has agreed to and WeChat has not yet brought them.
CREATE TABLE grants (
    openid TEXT NOT NULL,
    template TEXT NOT NULL,
    available BIGINT NOT NULL,
    PRIMARY KEY (openid, template)
) WITHOUT ROWID;

CREATE INDEX grants_available ON grants (template, openid) WHERE available > 0;

-- What users agreed to, each counted once: the last ones of a user and template.
--
-- An accepted prompt is told twice where WeChat pushes its events: teller 1 is the client, 2 WeChat, 0 neither. Each that is told is paired
-- with one that the other told a moment before.
CREATE TABLE grant_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    openid TEXT NOT NULL,
    template TEXT NOT NULL,
    event TEXT NOT NULL,
    teller SMALLINT NOT NULL DEFAULT 0,
    told_at BIGINT NOT NULL DEFAULT 0,
    paired SMALLINT NOT NULL DEFAULT 0,
    UNIQUE (openid, template, event)
);

-- Messages that tell `openid` of what `peer` has written, each for one grant; of a pair the last one, and those that are under way.
-- A grant is taken and the row written in one transaction, before WeChat is asked: after a crash in between it is spent.
-- The user is told again only when they have read, cleared or answered what stands up to `told_seq`.
--
-- state: 0 reserved, 1 sent, 2 failed, 3 unknown. One that was surely not sent has no row: its grant is available again.
-- detail: of one sent WeChat's name for it, of a failed one WeChat's code.
CREATE TABLE notices (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    openid TEXT NOT NULL,
    peer TEXT NOT NULL,
    template TEXT NOT NULL,
    told_seq BIGINT NOT NULL,
    state SMALLINT NOT NULL DEFAULT 0,
    node TEXT NOT NULL,
    reserved_at BIGINT NOT NULL,
    settled_at BIGINT,
    detail TEXT
);

CREATE INDEX notices_by_pair ON notices (openid, peer, told_seq);

CREATE INDEX notices_open ON notices (reserved_at) WHERE state = 0;

-- When a user is left alone: minutes since midnight by the user's own clock.
CREATE TABLE quiet_hours (
    openid TEXT PRIMARY KEY NOT NULL,
    from_minute SMALLINT NOT NULL,
    to_minute SMALLINT NOT NULL,
    utc_offset_minutes SMALLINT NOT NULL
) WITHOUT ROWID;

-- What operators did, by the command line (`via` = 'cli') or by the server API ('api'). The id has the time in its upper bits. `outcome` is
-- missing where it is not known whether it was done.
CREATE TABLE operator_acts (
    id INTEGER PRIMARY KEY NOT NULL,
    at BIGINT NOT NULL,
    via TEXT NOT NULL,
    who TEXT NOT NULL,
    act TEXT NOT NULL,
    target TEXT,
    detail TEXT,
    outcome TEXT
);

CREATE INDEX operator_acts_of_target ON operator_acts (target, id) WHERE target IS NOT NULL;

-- When a user was seen first and last: logging in, calling, connecting or leaving.
CREATE TABLE seen_users (
    openid TEXT PRIMARY KEY NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL
) WITHOUT ROWID;

-- When the database was last backed up, in Unix milliseconds; 0: never, as far as is known. One row.
CREATE TABLE last_backup (
    at BIGINT NOT NULL
);

INSERT INTO last_backup (at) VALUES (0);

-- Users whose messages an operator has the server write trace lines of, and until when.
CREATE TABLE traces (
    openid TEXT PRIMARY KEY,
    until BIGINT NOT NULL
);

-- Users whose live sessions an operator asks every node for, since when by the database's clock, and what each node answered, as JSON.
CREATE TABLE session_questions (
    id TEXT PRIMARY KEY,
    openid TEXT NOT NULL,
    asked_at BIGINT NOT NULL
);

CREATE TABLE session_answers (
    question TEXT NOT NULL,
    node TEXT NOT NULL,
    sessions TEXT NOT NULL,
    PRIMARY KEY (question, node)
);

-- How far the store's own time has come, to within five seconds: after a restart it goes on from there, though the clock was set back
-- meanwhile, so that no change is given a time that a sync has passed. No sync says that it knows what came more than five seconds after it.
-- One row.
CREATE TABLE store_clock (
    reached BIGINT NOT NULL
);

INSERT INTO store_clock (reached) VALUES (0);

-- Which database this is, so that a client can tell one that was restored: one row with a random number, made at a start that finds none.
-- `hongyan backup` leaves it out of the copy, and so each restore of it is another database.
CREATE TABLE generation (
    number BIGINT NOT NULL
);
