-- Users who show nobody whether they are there.
CREATE TABLE hidden_presence (
    openid TEXT PRIMARY KEY NOT NULL
) WITHOUT ROWID;
