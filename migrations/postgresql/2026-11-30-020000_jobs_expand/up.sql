-- What has to be done whether or not the process that was to do it lives. `key` names it among those of its kind. A row with a `node` is
-- being done there until `until`, by the database's clock; after that another node takes it (`is_resumed`). A row that is done goes.
CREATE TABLE jobs (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    payload TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    -- How often it was begun since it last went well.
    tries BIGINT NOT NULL DEFAULT 0,
    is_resumed BIGINT NOT NULL DEFAULT 0,
    node TEXT COLLATE "C",
    until BIGINT,
    UNIQUE (kind, key)
);

CREATE INDEX jobs_due ON jobs (due_at);
