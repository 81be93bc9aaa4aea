-- What the rows of a group say, which has too many members to write a row of each with every message. Of a direct conversation its members'
-- rows say it, and both columns stay 0.
--
-- `last_seq`: the last seq that was given. `changed_at`: when anything that all members see changed, by this database's clock and kept in steps,
-- as in `members`; what only one member sees moves `changed_at` in their row.
ALTER TABLE conversations ADD COLUMN last_seq BIGINT NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN changed_at BIGINT NOT NULL DEFAULT 0;

-- The groups of a user: a member of a group has no peer.
CREATE INDEX members_of_groups ON members (openid, conversation_id) WHERE peer IS NULL;

-- How many messages of a group do not count as unread, in each block of 1 024 seqs that has some: recalls, and what they recalled.
-- `block`: seq / 1024.
CREATE TABLE uncounted_blocks (
    conversation_id BIGINT NOT NULL,
    block BIGINT NOT NULL,
    uncounted BIGINT NOT NULL,
    PRIMARY KEY (conversation_id, block)
);
