-- The writes of one batch that are about groups, one after the other: each sees what those before it have done. Called behind the function in
-- commit.sql, or alone, in one transaction. All locks of direct conversations are taken before those of groups, and either in sorted order.
--
-- The numbers of operations and outcomes are those of commit.sql, and a test in codes.rs reads them here.
--
-- One row a write, in order. `seq`: of a message its own, of a mark where it stands now. has_moved: of a mark. roster: the group's members, with
-- the first message of each group that is stored or repeated.
CREATE FUNCTION hongyan_commit_groups(
    ops smallint[], senders text[], addresses text[], ids text[], kinds text[], bodies text[], numbers bigint[],
    now_ms bigint, recall_ms bigint
) RETURNS TABLE (
    outcome smallint, seq bigint, has_moved boolean,
    stored_kind text, stored_body text, stored_at bigint, stored_target bigint, stored_recalled boolean, roster text[]
)
LANGUAGE plpgsql VOLATILE
-- As in commit.sql.
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    op_append constant smallint := 0;
    op_refused_append constant smallint := 1;
    op_read constant smallint := 2;
    op_clear constant smallint := 3;
    op_place constant smallint := 4;
    op_recv constant smallint := 5;
    op_recall constant smallint := 6;
    op_refused_recall constant smallint := 7;
    op_moderator_recall constant smallint := 10;
    of_stored constant smallint := 1;
    of_repeated constant smallint := 2;
    of_refused constant smallint := 4;
    of_mark constant smallint := 6;
    of_done constant smallint := 7;
    of_not_found constant smallint := 9;
    of_recall_expired constant smallint := 10;
    -- Of `changed_at`: STEP_MS in steps.rs.
    step constant bigint := 4000;
    -- REPEATED_AFTER_MS in sync.rs.
    repeated_after constant bigint := 30000;
    -- Seqs of a block: block_seqs! in conversations/groups.rs.
    block_seqs constant bigint := 1024;
    transaction_id constant bigint := pg_current_xact_id()::text::bigint;
    w record;
    earlier record;
    group_id bigint;
    last bigint;
    read_before bigint;
    cleared_before bigint;
    target_sent_at bigint;
    target_recalled boolean;
    changed bigint;
    last_known bigint;
    next_seq bigint;
    wanted bigint;
    mark_before bigint;
    is_repeat boolean;
    rosters_told bigint[] := '{}';
BEGIN
    PERFORM FROM conversations c WHERE c.address = ANY (addresses) ORDER BY c.address FOR NO KEY UPDATE;

    -- As in commit.sql.
    changed := (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
    SELECT c.reached INTO last_known FROM store_clock c;
    IF changed < last_known THEN
        changed := last_known;
    ELSIF changed > last_known + 5000 THEN
        PERFORM FROM store_clock FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            UPDATE store_clock SET reached = greatest(reached, changed);
        END IF;
    END IF;

    FOR w IN
        SELECT u.* FROM unnest(ops, senders, addresses, ids, kinds, bodies, numbers)
            WITH ORDINALITY AS u (op, sender, address, id, kind, body, number, place)
        ORDER BY u.place
    LOOP
        outcome := of_done; seq := NULL; has_moved := NULL; roster := NULL;
        stored_kind := NULL; stored_body := NULL; stored_at := NULL; stored_target := NULL; stored_recalled := NULL;
        IF w.op = op_place THEN
            RETURN NEXT;
            CONTINUE;
        END IF;
        SELECT c.id, c.last_seq INTO group_id, last FROM conversations c WHERE c.address = w.address;
        SELECT m.read_seq, m.cleared_seq INTO read_before, cleared_before
        FROM members m WHERE m.conversation_id = group_id AND m.openid = w.sender;
        IF NOT FOUND THEN
            outcome := of_not_found;
            RETURN NEXT;
            CONTINUE;
        END IF;

        IF w.op IN (op_read, op_clear, op_recv) THEN
            outcome := of_mark; seq := 0; has_moved := FALSE;
            -- Groups have no marks of what was received.
            IF w.op <> op_recv THEN
                mark_before := CASE w.op WHEN op_read THEN read_before ELSE cleared_before END;
                wanted := least(w.number, last);
                seq := greatest(wanted, mark_before); has_moved := wanted > mark_before;
            END IF;
            IF has_moved THEN
                UPDATE members t SET
                    read_seq = CASE w.op WHEN op_read THEN wanted ELSE t.read_seq END,
                    cleared_seq = CASE w.op WHEN op_clear THEN wanted ELSE t.cleared_seq END,
                    changed_at = CASE WHEN t.changed_at <= changed - step THEN changed ELSE t.changed_at END
                WHERE t.conversation_id = group_id AND t.openid = w.sender;
            END IF;
            RETURN NEXT;
            CONTINUE;
        END IF;

        IF w.op IN (op_append, op_refused_append) THEN
            SELECT m.* INTO earlier FROM messages m
            WHERE m.conversation_id = group_id AND m.sender = w.sender AND m.client_msg_id = w.id;
            is_repeat := FOUND;
        ELSE
            SELECT m.sent_at, m.recalled INTO target_sent_at, target_recalled FROM messages m
            WHERE m.conversation_id = group_id AND m.seq = w.number AND m.sender = w.sender AND m.target_seq IS NULL;
            is_repeat := coalesce(target_recalled, FALSE);
            IF is_repeat THEN
                SELECT m.* INTO earlier FROM messages m
                WHERE m.conversation_id = group_id AND m.target_seq = w.number;
            END IF;
        END IF;

        IF is_repeat THEN
            outcome := of_repeated; seq := earlier.seq;
            stored_kind := earlier.kind; stored_body := earlier.body; stored_at := earlier.sent_at;
            stored_target := earlier.target_seq; stored_recalled := earlier.recalled;
            -- The commit of what is repeated may have taken so long that syncs have passed it.
            UPDATE conversations c SET changed_at = changed WHERE c.id = group_id AND c.changed_at < changed - repeated_after;
        ELSIF w.op IN (op_refused_append, op_refused_recall) THEN
            outcome := of_refused;
        ELSIF w.op <> op_append AND target_sent_at IS NULL THEN
            outcome := of_not_found;
        ELSIF w.op = op_recall AND now_ms - target_sent_at >= recall_ms THEN
            outcome := of_recall_expired;
        ELSE
            outcome := of_stored;
            next_seq := last + 1; seq := next_seq;
            INSERT INTO messages (conversation_id, seq, sender, client_msg_id, kind, body, sent_at, stored_at, xid, target_seq)
            VALUES (
                group_id, next_seq, w.sender, w.id, w.kind, w.body, now_ms, changed, transaction_id,
                CASE WHEN w.op <> op_append THEN w.number END
            );
            UPDATE conversations c SET
                last_seq = next_seq,
                changed_at = CASE WHEN c.changed_at <= changed - step THEN changed ELSE c.changed_at END
            WHERE c.id = group_id;
            IF w.op = op_append THEN
                UPDATE members t SET sent_seq = next_seq WHERE t.conversation_id = group_id AND t.openid = w.sender;
            ELSE
                UPDATE messages t SET body = '{}', recalled = TRUE WHERE t.conversation_id = group_id AND t.seq = w.number;
                INSERT INTO uncounted_blocks AS b (conversation_id, block, uncounted)
                SELECT group_id, u.seq / block_seqs, count(*) FROM unnest(ARRAY[next_seq, w.number]) u (seq) GROUP BY 2 ORDER BY 2
                ON CONFLICT (conversation_id, block) DO UPDATE SET uncounted = b.uncounted + excluded.uncounted;
            END IF;
        END IF;

        IF outcome IN (of_stored, of_repeated) AND NOT group_id = ANY (rosters_told) THEN
            rosters_told := rosters_told || group_id;
            roster := ARRAY(SELECT m.openid FROM members m WHERE m.conversation_id = group_id ORDER BY m.openid);
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
