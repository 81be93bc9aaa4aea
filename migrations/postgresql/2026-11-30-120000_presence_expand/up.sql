-- Users who show nobody whether they are there.
CREATE TABLE hidden_presence (
    openid TEXT COLLATE "C" PRIMARY KEY
);
