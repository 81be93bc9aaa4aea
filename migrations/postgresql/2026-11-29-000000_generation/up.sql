-- Which database this is, so that a client can tell one that was restored or that took over: the cluster, its timeline (a promotion and a
-- restore to a point in time begin another), the database and its table of messages (a dump that is restored makes them anew). A standby
-- does not know its timeline: there it is null. It needs no rights that not every role has by default; a role that may not call
-- pg_control_system() does without the cluster.
CREATE FUNCTION hongyan_generation() RETURNS text
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    cluster text := '';
BEGIN
    IF pg_is_in_recovery() THEN
        RETURN NULL;
    END IF;
    IF has_function_privilege('pg_control_system()', 'EXECUTE') THEN
        SELECT c.system_identifier::text INTO cluster FROM pg_control_system() c;
    END IF;
    RETURN concat_ws(
        ' ', cluster, left(pg_walfile_name(pg_current_wal_lsn()), 8),
        (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()), 'messages'::regclass::oid
    );
END
$$;
