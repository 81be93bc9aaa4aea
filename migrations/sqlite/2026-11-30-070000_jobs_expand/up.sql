-- What has to be done whether or not the process that was to do it lives. `key` names it among those of its kind. A row with a `node` is
-- being done by that process; the next one takes it over (`is_resumed`). A row that is done goes.
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    payload TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    -- How often it was begun since it last went well.
    tries INTEGER NOT NULL DEFAULT 0,
    is_resumed INTEGER NOT NULL DEFAULT 0,
    node TEXT,
    until INTEGER,
    UNIQUE (kind, key)
);

CREATE INDEX jobs_due ON jobs (due_at);
