-- Users whose messages an operator has the server write trace lines of, and until when.
CREATE TABLE traces (
    openid TEXT PRIMARY KEY,
    until BIGINT NOT NULL
);
