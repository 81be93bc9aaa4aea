-- `pinned`: the member wants the conversation before the others in their list. A user has a few of them at the most.
ALTER TABLE members ADD COLUMN pinned BOOLEAN NOT NULL DEFAULT FALSE;

-- What a user has pinned.
CREATE INDEX members_pinned ON members (openid, pinned) WHERE pinned = TRUE;
