-- How far the store's own time has come, to within five seconds: after a restart it goes on from there, though the clock was set back
-- meanwhile, so that no change is given a time that a sync has passed. No sync says that it knows what came more than five seconds after it.
CREATE TABLE store_clock (
    reached BIGINT NOT NULL
);

INSERT INTO store_clock (reached) SELECT coalesce(max(max(shown_at, kept_at)), 0) FROM members;
