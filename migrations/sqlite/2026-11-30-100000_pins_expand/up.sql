-- `pinned`: the member wants the conversation before the others in their list. A user has a few of them at the most.
ALTER TABLE members ADD COLUMN pinned BOOLEAN NOT NULL DEFAULT FALSE;

-- What a user has pinned.
-- With the column that is always true, SQLite takes the index for what it is, also after ANALYZE.
CREATE INDEX members_pinned ON members (openid, pinned) WHERE pinned = TRUE;
