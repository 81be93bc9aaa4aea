-- One batch of writes, in one round trip and, called in autocommit, one transaction. Several nodes may run it at once on the same
-- conversations, so: first the missing conversations are made, in sorted order, then all are locked, in sorted order, and only the
-- statements after that look for duplicates and the last seq: each takes a new snapshot, so it sees what those before it committed.
--
-- The numbers are named in codes.rs, and a test there reads them here.
--
-- op:
--   0 append
--   1 refused_append: only a repeat is answered
--   2 read
--   3 clear
--   4 place: nothing but a place in the order and a lock on the conversation
--   5 recv
--   6 recall
--   7 refused_recall: only a repeat is answered
--   8 block
--   9 unblock
--   10 moderator_recall: of a message of any age, whoever has blocked whom
-- number: of a mark the seq asked for, of a recall its target, of a message the one that it quotes, or 0.
--
-- One row a write, in order. outcome:
--   1 stored: as `seq`
--   2 repeated: stored before, as `seq` and the stored_ columns
--   3 repeated_in_batch: the same as an earlier write of this batch, `number` is that one's place
--   4 refused: as it was asked for
--   5 too_many_conversations: of the day, `number` is the wait in milliseconds
--   6 mark: `seq` is the last seq at its place, `number` the mark before this batch
--   7 done: nothing to tell
--   8 blocked: by the peer
--   9 not_found: no message of the sender's own to recall, or none to quote that the sender may read
--   10 recall_expired
--   11 blocklist_full
-- hidden_from_peer: the peer has blocked the one who writes, or, of a mark, was never written to by them; so the peer is not told.
CREATE FUNCTION hongyan_commit(
    ops smallint[], senders text[], peers text[], addresses text[], ids text[], kinds text[], bodies text[], numbers bigint[],
    now_ms bigint, day_limit bigint, recall_ms bigint, block_limit bigint
) RETURNS TABLE (
    outcome smallint, seq bigint, number bigint, hidden_from_peer boolean,
    stored_kind text, stored_body text, stored_at bigint, stored_target bigint, stored_recalled boolean,
    -- What the message quotes, the stored one or this one, as it was before the batch.
    stored_quote bigint, quoted_sender text, quoted_kind text, quoted_body text, quoted_recalled boolean
)
LANGUAGE plpgsql VOLATILE
-- The plans are kept, for planning anew costs more than running, and must not be those of the day when the tables were empty.
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    day constant bigint := 86400000;
    -- Of `changed_at` and `last_at`: STEP_MS in steps.rs.
    step constant bigint := 4000;
    -- REPEATED_AFTER_MS in sync.rs.
    repeated_after constant bigint := 30000;
    transaction_id constant bigint := pg_current_xact_id()::text::bigint;
    missing record;
    made bigint;
    oldest bigint;
    changed bigint;
    last_known bigint;
    limited text[] := '{}';
    waits bigint[] := '{}';
BEGIN
    IF EXISTS (
        SELECT FROM unnest(ops, addresses, numbers) AS w (op, address, number)
        WHERE w.op = 0 AND w.number = 0 AND NOT EXISTS (SELECT FROM conversations c WHERE c.address = w.address)
    ) THEN
        IF day_limit > 0 THEN
            -- One user's new conversations are counted by one transaction at a time.
            PERFORM pg_advisory_xact_lock(k.key) FROM (
                SELECT DISTINCT hashtextextended('hongyan starts ' || w.sender, 0) AS key
                FROM unnest(ops, senders, addresses, numbers) AS w (op, sender, address, number)
                WHERE w.op = 0 AND w.number = 0 AND NOT EXISTS (SELECT FROM conversations c WHERE c.address = w.address)
                ORDER BY 1
            ) k;
        END IF;
        FOR missing IN
            SELECT w.address, w.sender, w.peer
            FROM unnest(ops, senders, peers, addresses, numbers)
                WITH ORDINALITY AS w (op, sender, peer, address, number, place)
            WHERE w.op = 0 AND w.number = 0 AND NOT EXISTS (SELECT FROM conversations c WHERE c.address = w.address)
                AND NOT EXISTS (SELECT FROM blocks b WHERE b.openid = w.peer AND b.blocked = w.sender)
            GROUP BY w.address, w.sender, w.peer
            ORDER BY w.address COLLATE "C", min(w.place)
        LOOP
            CONTINUE WHEN EXISTS (SELECT FROM conversations c WHERE c.address = missing.address);
            IF day_limit > 0 THEN
                SELECT c.created_at INTO oldest FROM conversations c
                WHERE c.created_by = missing.sender AND c.created_at > now_ms - day
                ORDER BY c.created_at DESC OFFSET day_limit - 1 LIMIT 1;
                IF FOUND THEN
                    limited := limited || missing.sender;
                    -- Another node's or lane's clock may be ahead of this batch's.
                    waits := waits || least(day, oldest + day - now_ms);
                    CONTINUE;
                END IF;
            END IF;
            INSERT INTO conversations (kind, address, created_by, created_at) VALUES (0, missing.address, missing.sender, now_ms)
            ON CONFLICT (address) DO NOTHING RETURNING id INTO made;
            IF made IS NOT NULL THEN
                INSERT INTO members (conversation_id, openid, peer)
                VALUES (made, missing.sender, missing.peer), (made, missing.peer, missing.sender)
                ON CONFLICT DO NOTHING;
            END IF;
        END LOOP;
    END IF;

    -- From here on a look-up is a LATERAL with a LIMIT, which PostgreSQL can only run row by row through an index. A plain join it planned,
    -- while the tables were young, as a scan of all messages for each row of the batch.
    PERFORM FROM conversations c WHERE c.address = ANY (addresses) ORDER BY c.address FOR NO KEY UPDATE;

    -- All nodes share this clock; theirs may differ.
    changed := (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
    SELECT c.reached INTO last_known FROM store_clock c;
    IF changed < last_known THEN
        -- It was set back.
        changed := last_known;
    ELSIF changed > last_known + 5000 THEN
        -- Whoever comes second has no need to.
        PERFORM FROM store_clock FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            UPDATE store_clock SET reached = greatest(reached, changed);
        END IF;
    END IF;

    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT w.*, c.id AS conversation,
            -- What is done once: no id has a space.
            CASE WHEN w.op IN (6, 7, 10) THEN ' ' || w.number ELSE w.id END AS once,
            b.openid IS NOT NULL AS blocked_by_peer
        FROM unnest(ops, senders, peers, addresses, ids, kinds, bodies, numbers)
            WITH ORDINALITY AS w (op, sender, peer, address, id, kind, body, number, place)
        LEFT JOIN LATERAL (SELECT c.id FROM conversations c WHERE c.address = w.address LIMIT 1) c ON TRUE
        LEFT JOIN LATERAL (
            SELECT b.openid FROM blocks b
            WHERE w.op IN (0, 1, 2, 5, 6, 7) AND b.openid = w.peer AND b.blocked = w.sender LIMIT 1
        ) b ON TRUE
    ), found AS MATERIALIZED (
        SELECT a.*,
            coalesce(s.seq, e.seq) AS s_seq, coalesce(s.kind, e.kind) AS s_kind, coalesce(s.body, e.body) AS s_body,
            coalesce(s.sent_at, e.sent_at) AS s_at, coalesce(s.target_seq, e.target_seq) AS s_target,
            coalesce(s.recalled, e.recalled) AS s_recalled,
            t.sent_at AS t_at,
            s.quote_seq AS s_quote, q.sender AS q_sender, q.kind AS q_kind, q.body AS q_body, q.recalled AS q_recalled,
            a.number > r.cleared_seq AND q.sender IS NOT NULL AS may_quote
        FROM asked a
        LEFT JOIN LATERAL (
            SELECT m.* FROM messages m
            WHERE m.conversation_id = a.conversation AND m.sender = a.sender AND m.client_msg_id = a.id LIMIT 1
        ) s ON TRUE
        -- What a recall is about, and whether that was done already.
        LEFT JOIN LATERAL (
            SELECT m.* FROM messages m
            WHERE a.op IN (6, 7, 10) AND m.conversation_id = a.conversation AND m.seq = a.number
                AND m.sender = a.sender AND m.target_seq IS NULL LIMIT 1
        ) t ON TRUE
        LEFT JOIN LATERAL (
            SELECT m.* FROM messages m WHERE t.recalled AND m.conversation_id = t.conversation_id AND m.target_seq = t.seq LIMIT 1
        ) e ON TRUE
        -- What is quoted, and whether the sender may read it. What nobody may quote is no event.
        LEFT JOIN LATERAL (
            SELECT m.* FROM messages m
            WHERE a.op IN (0, 1) AND m.conversation_id = a.conversation AND m.seq = coalesce(s.quote_seq, nullif(a.number, 0))
                AND m.target_seq IS NULL LIMIT 1
        ) q ON TRUE
        LEFT JOIN LATERAL (
            SELECT m.cleared_seq FROM members m
            WHERE a.op = 0 AND a.number > 0 AND m.conversation_id = a.conversation AND m.openid = a.sender LIMIT 1
        ) r ON TRUE
    ), allowed AS MATERIALIZED (
        SELECT f.*,
            f.conversation IS NOT NULL AND NOT f.blocked_by_peer
                AND ((f.op IN (0, 1) AND (f.number = 0 OR coalesce(f.may_quote, false))) OR (f.op IN (6, 7) AND coalesce(now_ms - f.t_at < recall_ms, false))
                    OR (f.op = 10 AND f.t_at IS NOT NULL)) AS may_write
        FROM found f
    ), firsts AS MATERIALIZED (
        -- Only of those that may write: the operator may recall what its sender may not, in one batch.
        SELECT a.*,
            CASE WHEN a.once IS NOT NULL
                THEN min(a.place) FILTER (WHERE a.op IN (0, 6, 10) AND a.may_write) OVER (PARTITION BY a.conversation, a.sender, a.once)
            END AS first_place
        FROM allowed a
    ), fresh AS MATERIALIZED (
        SELECT f.*,
            f.op IN (0, 6, 10) AND f.may_write AND f.s_seq IS NULL AND (f.once IS NULL OR f.first_place = f.place) AS is_fresh
        FROM firsts f
    ), placed AS MATERIALIZED (
        SELECT f.*,
            coalesce((SELECT max(m.seq) FROM messages m WHERE m.conversation_id = f.conversation), 0)
                + count(*) FILTER (WHERE f.is_fresh) OVER (PARTITION BY f.conversation ORDER BY f.place) AS last,
            count(*) FILTER (WHERE f.is_fresh) OVER (PARTITION BY f.conversation, f.sender ORDER BY f.place) AS sent_before
        FROM fresh f
    ), seen AS MATERIALIZED (
        -- With the marks that move, as they stand.
        SELECT p.*, t.sent_seq, CASE p.op WHEN 2 THEN t.read_seq WHEN 3 THEN t.cleared_seq WHEN 5 THEN t.recv_seq END AS mark
        FROM placed p
        LEFT JOIN LATERAL (
            SELECT m.* FROM members m WHERE p.op IN (2, 3, 5) AND m.conversation_id = p.conversation AND m.openid = p.sender LIMIT 1
        ) t ON TRUE
    ), stored AS (
        INSERT INTO messages (conversation_id, seq, sender, client_msg_id, kind, body, sent_at, stored_at, xid, target_seq, quote_seq)
        SELECT p.conversation, p.last, p.sender, p.id, p.kind, p.body, now_ms, changed, transaction_id,
            CASE WHEN p.op IN (6, 10) THEN p.number END, CASE WHEN p.op = 0 AND p.number > 0 THEN p.number END
        FROM placed p WHERE p.is_fresh ORDER BY p.place
    ), overwritten AS (
        UPDATE messages t SET body = '{}', recalled = TRUE
        FROM placed p WHERE p.is_fresh AND p.op IN (6, 10) AND t.conversation_id = p.conversation AND t.seq = p.number
    ), news AS MATERIALIZED (
        -- What the batch means to each member of its conversations.
        SELECT p.conversation, w.who,
            bool_or(p.is_fresh) AS grew,
            bool_or(p.is_fresh AND p.op = 0 AND p.sender <> w.who) AS is_written_to,
            bool_or(p.s_seq IS NOT NULL AND NOT p.blocked_by_peer) AS is_repeated,
            bool_or(p.op IN (2, 3, 5) AND p.sender = w.who AND least(p.number, p.last) > p.mark) AS marks_move,
            bool_or(p.op IN (2, 5) AND least(p.number, p.last) > p.mark AND p.sent_seq > 0 AND NOT p.blocked_by_peer) AS marks_are_seen,
            max(p.last) AS last,
            max(p.last) FILTER (WHERE p.is_fresh AND p.op = 0 AND p.sender = w.who) AS sent,
            max(least(p.number, p.last)) FILTER (WHERE p.op = 2 AND p.sender = w.who) AS read,
            max(least(p.number, p.last)) FILTER (WHERE p.op = 5 AND p.sender = w.who) AS recv,
            max(least(p.number, p.last)) FILTER (WHERE p.op = 3 AND p.sender = w.who) AS cleared,
            array_agg(p.last) FILTER (WHERE p.is_fresh AND p.op IN (6, 10)) AS recalls,
            array_agg(p.number) FILTER (WHERE p.is_fresh AND p.op IN (6, 10)) AS recalled
        FROM seen p CROSS JOIN LATERAL (SELECT p.sender UNION ALL SELECT p.peer WHERE p.peer <> p.sender) w (who)
        WHERE p.conversation IS NOT NULL AND p.op IN (0, 1, 2, 3, 5, 6, 7, 10)
        GROUP BY p.conversation, w.who
    ), moved AS MATERIALIZED (
        SELECT n.*, t.changed_at, t.last_at, t.may_have_unread, t.uncounted,
            greatest(t.sent_seq, t.read_seq, t.cleared_seq) AS floor_was,
            greatest(t.sent_seq, t.read_seq, t.cleared_seq, n.sent, n.read, n.cleared) AS floor,
            greatest(t.cleared_seq, n.cleared) >= n.last AS is_cleared,
            CASE
                WHEN n.grew OR n.marks_move OR n.marks_are_seen THEN t.changed_at <= changed - step
                -- The commit of what is repeated may have taken so long that syncs have passed it.
                ELSE n.is_repeated AND t.changed_at < changed - repeated_after
            END AS changed_moves
        FROM news n CROSS JOIN LATERAL (
            SELECT m.* FROM members m WHERE m.conversation_id = n.conversation AND m.openid = n.who LIMIT 1
        ) t
    ), marked AS (
        UPDATE members t SET
            sent_seq = greatest(t.sent_seq, n.sent),
            read_seq = greatest(t.read_seq, n.read),
            recv_seq = greatest(t.recv_seq, n.recv),
            cleared_seq = greatest(t.cleared_seq, n.cleared),
            uncounted = CASE WHEN n.floor >= n.last THEN 0 ELSE
                n.uncounted
                - CASE WHEN n.uncounted = 0 OR n.floor = n.floor_was THEN 0 ELSE (
                    SELECT count(*) FROM messages m WHERE m.conversation_id = n.conversation AND m.seq > n.floor_was AND m.seq <= n.floor
                        AND (m.target_seq IS NOT NULL OR m.recalled)
                ) END
                + CASE WHEN n.recalls IS NULL THEN 0 ELSE (
                    SELECT count(*) FROM unnest(n.recalls || n.recalled) u (seq) WHERE u.seq > n.floor
                ) END
            END,
            -- Where nothing is unread it is made false only when indexes are written anyway, or the user has read.
            may_have_unread = CASE WHEN n.floor >= n.last
                THEN n.may_have_unread AND NOT (n.changed_moves OR n.marks_move)
                ELSE n.may_have_unread OR n.is_written_to
            END,
            changed_at = CASE WHEN n.changed_moves THEN changed ELSE n.changed_at END,
            last_at = CASE
                WHEN n.is_cleared THEN 0
                WHEN n.grew AND n.last_at <= changed - step THEN changed
                ELSE n.last_at
            END
        FROM moved n
        WHERE t.conversation_id = n.conversation AND t.openid = n.who
            AND (n.sent IS NOT NULL OR n.marks_move OR n.changed_moves OR n.recalls IS NOT NULL
                OR (n.is_written_to AND NOT n.may_have_unread AND n.floor < n.last)
                OR (n.grew AND n.last_at <= changed - step))
    ), wished AS MATERIALIZED (
        -- What a batch says last about somebody holds.
        SELECT DISTINCT ON (p.sender, p.peer) p.*,
            p.op = 8 AND block_limit > 0
                AND NOT EXISTS (SELECT FROM blocks b WHERE b.openid = p.sender AND b.blocked = p.peer)
                AND (SELECT count(*) FROM (SELECT FROM blocks b WHERE b.openid = p.sender LIMIT block_limit) own) >= block_limit AS is_full
        FROM placed p WHERE p.op IN (8, 9) ORDER BY p.sender, p.peer, p.place DESC
    ), blocked AS (
        INSERT INTO blocks (openid, blocked, at)
        SELECT w.sender, w.peer, now_ms FROM wished w WHERE w.op = 8 AND NOT w.is_full ORDER BY w.sender, w.peer
        ON CONFLICT DO NOTHING
    ), unblocked AS (
        DELETE FROM blocks b USING wished w WHERE w.op = 9 AND b.openid = w.sender AND b.blocked = w.peer
    )
    SELECT
        (CASE
            WHEN p.is_fresh THEN 1
            WHEN p.s_seq IS NOT NULL THEN 2
            WHEN p.first_place < p.place THEN 3
            WHEN p.op IN (1, 7) THEN 4
            WHEN p.op IN (6, 10) AND p.t_at IS NULL THEN 9
            WHEN p.op IN (0, 6) AND p.blocked_by_peer THEN 8
            WHEN p.op = 0 AND p.number > 0 AND NOT coalesce(p.may_quote, false) THEN 9
            WHEN p.op = 6 THEN 10
            WHEN p.op = 0 THEN 5
            WHEN p.op IN (2, 3, 5) AND p.conversation IS NOT NULL THEN 6
            WHEN p.op = 8 AND w.is_full THEN 11
            ELSE 7
        END)::smallint,
        coalesce(p.s_seq, p.last),
        CASE
            WHEN p.op IN (2, 3, 5) THEN p.mark
            WHEN p.conversation IS NULL THEN waits[array_position(limited, p.sender)]
            ELSE p.first_place
        END,
        p.blocked_by_peer OR (p.op IN (2, 5) AND p.sent_seq = 0 AND p.sent_before = 0),
        p.s_kind, p.s_body, p.s_at, p.s_target, p.s_recalled,
        p.s_quote, p.q_sender, p.q_kind, p.q_body, p.q_recalled
    FROM seen p
    LEFT JOIN wished w ON w.place = p.place
    ORDER BY p.place;
END
$$;
