-- A member who wants no notices of a conversation.
ALTER TABLE members ADD COLUMN muted BOOLEAN NOT NULL DEFAULT FALSE;

-- How many messages of a template a user has agreed to and WeChat has not yet brought her.
CREATE TABLE grants (
    openid TEXT NOT NULL,
    template TEXT NOT NULL,
    available BIGINT NOT NULL,
    PRIMARY KEY (openid, template)
) WITHOUT ROWID;

CREATE INDEX grants_available ON grants (template, openid) WHERE available > 0;

-- What she agreed to, each counted once: the last ones of a user and template.
CREATE TABLE grant_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    openid TEXT NOT NULL,
    template TEXT NOT NULL,
    event TEXT NOT NULL,
    UNIQUE (openid, template, event)
);

-- Messages that tell `openid` of what `peer` has written, each for one grant; of a pair the last one, and those that are under way.
-- A grant is taken and the row written in one transaction, before WeChat is asked: after a crash in between it is spent.
-- She is told again only when she has read, cleared or answered what stands up to `told_seq`.
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

-- When a user is left alone: minutes since midnight by her own clock.
CREATE TABLE quiet_hours (
    openid TEXT PRIMARY KEY NOT NULL,
    from_minute SMALLINT NOT NULL,
    to_minute SMALLINT NOT NULL,
    utc_offset_minutes SMALLINT NOT NULL
) WITHOUT ROWID;
