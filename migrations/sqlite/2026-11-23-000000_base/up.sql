-- `pair` is the two openids, sorted, joined by ':' (which no openid has): the key under which both sides find the conversation.
CREATE TABLE conversations (
    id INTEGER PRIMARY KEY NOT NULL,
    pair TEXT NOT NULL UNIQUE,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- For the limit on conversations that a user may start in a day.
CREATE INDEX conversations_by_creator ON conversations (created_by, created_at);

-- A user's own view of a conversation. A conversation with oneself has one row.
CREATE TABLE members (
    openid TEXT NOT NULL,
    peer TEXT NOT NULL,
    conversation_id BIGINT NOT NULL REFERENCES conversations (id),
    sent_seq BIGINT NOT NULL DEFAULT 0,
    read_seq BIGINT NOT NULL DEFAULT 0,
    recv_seq BIGINT NOT NULL DEFAULT 0,
    cleared_seq BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (openid, peer),
    UNIQUE (conversation_id, openid)
) WITHOUT ROWID;

-- A table with rowids, so that messages of all conversations are appended in one place; the last seq of a conversation is the end
-- of its stretch of the unique index. No foreign key: it would cost a look-up a message, and conversations are never deleted.
CREATE TABLE messages (
    conversation_id BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    sender TEXT NOT NULL,
    client_msg_id TEXT,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    sent_at BIGINT NOT NULL,
    target_seq BIGINT,
    recalled BOOLEAN NOT NULL DEFAULT FALSE,
    UNIQUE (conversation_id, seq)
);

CREATE UNIQUE INDEX messages_once ON messages (conversation_id, sender, client_msg_id) WHERE client_msg_id IS NOT NULL;

-- What the unread rule takes off: recall events and what they recalled.
CREATE INDEX messages_uncounted ON messages (conversation_id, seq) WHERE target_seq IS NOT NULL OR recalled;

-- A log: every node follows it.
CREATE TABLE revocations (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    openid TEXT NOT NULL,
    what SMALLINT NOT NULL,
    issued_ms BIGINT,
    at BIGINT NOT NULL
);

CREATE INDEX revocations_by_time ON revocations (at);
