DROP INDEX audits_by_time;
DROP INDEX audits_folded;
ALTER TABLE audits DROP COLUMN times;
ALTER TABLE audits DROP COLUMN hour;
