-- When the database was last backed up, in Unix milliseconds; 0: never, as far as is known. One row.
CREATE TABLE last_backup (
    at BIGINT NOT NULL
);

INSERT INTO last_backup (at) VALUES (0);
