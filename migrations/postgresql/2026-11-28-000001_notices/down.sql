DROP TABLE quiet_hours;
DROP TABLE notices;
DROP TABLE grant_events;
DROP TABLE grants;
ALTER TABLE members DROP COLUMN muted;
