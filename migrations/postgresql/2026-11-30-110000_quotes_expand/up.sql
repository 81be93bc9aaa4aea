-- The seq of the message that this one quotes, of the same conversation. What that one says is looked up whenever this one is read.
ALTER TABLE messages ADD COLUMN quote_seq BIGINT;
