-- Users whose live sessions an operator asks every node for, since when by the database's clock, and what each node answered, as JSON.
CREATE TABLE session_questions (
    id TEXT PRIMARY KEY,
    openid TEXT NOT NULL,
    asked_at BIGINT NOT NULL
);
CREATE TABLE session_answers (
    question TEXT NOT NULL,
    node TEXT NOT NULL,
    sessions TEXT NOT NULL,
    PRIMARY KEY (question, node)
);
