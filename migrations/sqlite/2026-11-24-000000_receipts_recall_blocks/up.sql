-- When a member's view last changed, by the store's own time (Unix milliseconds that never go back): what both sides see of it, and
-- what only the member sees. A sync asks for these; no index, for each message would have to keep it.
ALTER TABLE members ADD COLUMN shown_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE members ADD COLUMN kept_at BIGINT NOT NULL DEFAULT 0;

UPDATE members SET shown_at = coalesce(
    (SELECT m.sent_at FROM messages m WHERE m.conversation_id = members.conversation_id ORDER BY m.seq DESC LIMIT 1), 0);

-- A message is recalled once.
CREATE UNIQUE INDEX messages_recalled_once ON messages (conversation_id, target_seq) WHERE target_seq IS NOT NULL;

-- `openid` wants nothing from `blocked`.
CREATE TABLE blocks (
    openid TEXT NOT NULL,
    blocked TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (openid, blocked)
) WITHOUT ROWID;
