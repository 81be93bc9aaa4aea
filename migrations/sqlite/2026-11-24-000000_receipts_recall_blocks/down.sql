DROP TABLE blocks;
DROP INDEX messages_recalled_once;
ALTER TABLE members DROP COLUMN kept_at;
ALTER TABLE members DROP COLUMN shown_at;
