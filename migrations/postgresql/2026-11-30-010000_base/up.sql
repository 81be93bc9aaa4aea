-- A numbered log of messages, and its members. kind: 0 direct, 1 group.
--
-- `address`: of a direct one 'd:' and the two openids, sorted and joined by ':' (which no openid has), of a group 'g:' and its name. Without
-- the 'd:' the openids `g` and `team` would be the group `g:team`.
CREATE TABLE conversations (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind SMALLINT NOT NULL,
    address TEXT COLLATE "C" NOT NULL UNIQUE,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);

-- For the limit on conversations that a user may start in a day.
CREATE INDEX conversations_by_creator ON conversations (created_by, created_at);

-- A user's own view of a conversation. A direct conversation with oneself has one row.
-- Room on the pages lets the marks move without touching an index (HOT).
--
-- `peer`: the other one of a direct conversation.
-- `uncounted`: how many messages above the member's floor (the highest of sent, read and cleared) do not count as unread: recalls, and what
-- they recalled.
-- `may_have_unread`: false where nothing is unread; true may be outdated.
-- `changed_at`, `last_at`: when anything that the member sees changed, and when the last message came, by this database's clock (Unix
-- milliseconds that never go back). Both are kept in steps of some seconds, so that a busy conversation seldom moves in the indexes: the change
-- is at or after the time that stands here, by less than a step. `last_at` is 0 where everything is cleared.
-- `muted`: the member wants no notices of the conversation.
CREATE TABLE members (
    conversation_id BIGINT NOT NULL REFERENCES conversations (id),
    openid TEXT COLLATE "C" NOT NULL,
    peer TEXT COLLATE "C",
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
) WITH (fillfactor = 70);

-- What changed for a user, what was written to them last, and what they may not have read.
CREATE INDEX members_by_change ON members (openid, changed_at);
CREATE INDEX members_by_last ON members (openid, last_at) WHERE last_at > 0;
CREATE INDEX members_unread ON members (openid) WHERE may_have_unread;

-- The last seq of a conversation is the end of its stretch of the primary key. No foreign key: it would cost a look-up and a lock
-- a message, and conversations are never deleted.
--
-- `sent_at` is the clock of the node that took the message, for people; `stored_at` this database's, by which lists are ordered. `xid`: the
-- transaction that wrote it, for whoever follows the log: all below `pg_snapshot_xmin` are committed.
CREATE TABLE messages (
    conversation_id BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    sender TEXT COLLATE "C" NOT NULL,
    client_msg_id TEXT COLLATE "C",
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    sent_at BIGINT NOT NULL,
    stored_at BIGINT NOT NULL,
    xid BIGINT NOT NULL DEFAULT 0,
    target_seq BIGINT,
    recalled BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (conversation_id, seq)
);

CREATE INDEX messages_by_xid ON messages USING brin (xid);

CREATE UNIQUE INDEX messages_once ON messages (conversation_id, sender, client_msg_id) WHERE client_msg_id IS NOT NULL;

-- What the unread rule takes off: recall events and what they recalled.
CREATE INDEX messages_uncounted ON messages (conversation_id, seq) WHERE target_seq IS NOT NULL OR recalled;

-- A message is recalled once.
CREATE UNIQUE INDEX messages_recalled_once ON messages (conversation_id, target_seq) WHERE target_seq IS NOT NULL;

-- `openid` wants nothing from `blocked`.
CREATE TABLE blocks (
    openid TEXT COLLATE "C" NOT NULL,
    blocked TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (openid, blocked)
);

-- By how many a user is blocked.
CREATE INDEX blocks_by_blocked ON blocks (blocked);

-- A log: every node follows it.
--
-- A ban (what = 3) may have an end, `until`, Unix milliseconds by the database's clock; nodes let the user in from then on. When it has
-- come a pardon (what = 4) is written with that end in `until`: it ends no tokens.
-- `decided_by`: the user of the operating system, or the key of the server API.
CREATE TABLE revocations (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    openid TEXT COLLATE "C" NOT NULL,
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
    sha256 TEXT COLLATE "C" PRIMARY KEY,
    image BYTEA NOT NULL
);

-- Images are packed already.
ALTER TABLE avatars ALTER COLUMN image SET STORAGE EXTERNAL;

-- What users show of themselves; '' and NULL: nothing.
CREATE TABLE profiles (
    openid TEXT COLLATE "C" PRIMARY KEY,
    nickname TEXT NOT NULL,
    avatar TEXT COLLATE "C" REFERENCES avatars (sha256)
);

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
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at BIGINT NOT NULL,
    openid TEXT COLLATE "C" NOT NULL,
    peer TEXT COLLATE "C",
    seq BIGINT,
    source SMALLINT NOT NULL,
    outcome SMALLINT NOT NULL,
    found_by SMALLINT NOT NULL,
    label INTEGER NOT NULL,
    trace_id TEXT COLLATE "C",
    hash BYTEA NOT NULL,
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
    openid TEXT COLLATE "C" NOT NULL,
    template TEXT COLLATE "C" NOT NULL,
    available BIGINT NOT NULL,
    PRIMARY KEY (openid, template)
);

CREATE INDEX grants_available ON grants (template, openid) WHERE available > 0;

-- What users agreed to, each counted once: the last ones of a user and template.
--
-- An accepted prompt is told twice where WeChat pushes its events: teller 1 is the client, 2 WeChat, 0 neither. Each that is told is paired
-- with one that the other told a moment before.
CREATE TABLE grant_events (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    openid TEXT COLLATE "C" NOT NULL,
    template TEXT COLLATE "C" NOT NULL,
    event TEXT COLLATE "C" NOT NULL,
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
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    openid TEXT COLLATE "C" NOT NULL,
    peer TEXT COLLATE "C" NOT NULL,
    template TEXT COLLATE "C" NOT NULL,
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
    openid TEXT COLLATE "C" PRIMARY KEY,
    from_minute SMALLINT NOT NULL,
    to_minute SMALLINT NOT NULL,
    utc_offset_minutes SMALLINT NOT NULL
);

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

-- When the database was last backed up, in Unix milliseconds; 0: never, as far as is known. One row.
CREATE TABLE last_backup (
    at BIGINT NOT NULL
);

INSERT INTO last_backup (at) VALUES (0);

-- Users whose messages an operator has every node write trace lines of, and until when, by the database's clock.
CREATE TABLE traces (
    openid TEXT COLLATE "C" PRIMARY KEY,
    until BIGINT NOT NULL
);

-- Users whose live sessions an operator asks every node for, since when by the database's clock, and what each node answered, as JSON.
CREATE TABLE session_questions (
    id TEXT COLLATE "C" PRIMARY KEY,
    openid TEXT COLLATE "C" NOT NULL,
    asked_at BIGINT NOT NULL
);

CREATE TABLE session_answers (
    question TEXT COLLATE "C" NOT NULL,
    node TEXT COLLATE "C" NOT NULL,
    sessions TEXT NOT NULL,
    PRIMARY KEY (question, node)
);

-- How far the store's own time has come, to within five seconds: it goes on from there when the database's clock was set back, so that no
-- change is given a time that a sync has passed. No sync says that it knows what came more than five seconds after it. One row.
CREATE TABLE store_clock (
    reached BIGINT NOT NULL
);

INSERT INTO store_clock (reached) VALUES (0);

-- Nodes that live, by the database's clock. One that stands here and is not heard over NATS is away: what it commits comes to the others
-- out of the database only.
CREATE TABLE nodes (
    name TEXT COLLATE "C" PRIMARY KEY,
    version TEXT NOT NULL DEFAULT '',
    seen_at BIGINT NOT NULL,
    -- Whether the node itself says that NATS does not answer.
    cut_off BOOLEAN NOT NULL DEFAULT TRUE,
    -- How the node stands, as JSON, for `hongyan status`.
    status TEXT NOT NULL DEFAULT ''
);

-- Nodes of older builds say only that they are cut off, and look only for those: through this they do both.
CREATE VIEW nodes_cut_off AS SELECT name AS node, seen_at AS at FROM nodes WHERE cut_off;

-- What one node at a time does for all, and until when, by the database's clock.
CREATE TABLE leases (
    what TEXT COLLATE "C" PRIMARY KEY,
    node TEXT COLLATE "C" NOT NULL,
    until BIGINT NOT NULL
);

-- Functions that write batches, and when a node last said that it calls them, by the database's clock. Each release has its own
-- (src/store/postgres/functions.rs); those that no node has named for a day are dropped.
CREATE TABLE batch_functions (
    name TEXT COLLATE "C" PRIMARY KEY,
    named_at BIGINT NOT NULL
);

-- Which database this is, so that a client can tell one that was restored or that took over: the cluster, its timeline (a promotion and a
-- restore to a point in time begin another), the database and its table of messages (a dump that is restored makes them anew). A standby
-- does not know its timeline: there it is null. It needs no rights that not every role has by default; a role that may not call
-- pg_control_system() does without the cluster.
CREATE FUNCTION hongyan_generation() RETURNS text
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    cluster text := '';
BEGIN
    IF pg_is_in_recovery() THEN
        RETURN NULL;
    END IF;
    IF has_function_privilege('pg_control_system()', 'EXECUTE') THEN
        SELECT c.system_identifier::text INTO cluster FROM pg_control_system() c;
    END IF;
    RETURN concat_ws(
        ' ', cluster, left(pg_walfile_name(pg_current_wal_lsn()), 8),
        (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()), 'messages'::regclass::oid
    );
END
$$;
