DROP TABLE seen_users;
DROP TABLE operator_acts;
DROP INDEX blocks_by_blocked;
DROP INDEX revocations_bans;
DROP INDEX revocations_by_end;
DROP INDEX revocations_of_user;
ALTER TABLE revocations DROP COLUMN decided_by;
ALTER TABLE revocations DROP COLUMN reason;
ALTER TABLE revocations DROP COLUMN until;
