DROP FUNCTION hongyan_commit;
DROP TABLE blocks;
DROP INDEX messages_recalled_once;
ALTER TABLE members DROP COLUMN kept_at;
ALTER TABLE members DROP COLUMN shown_at;

-- One batch of writes, in one round trip and, called in autocommit, one transaction. Several nodes may run it at once on the same
-- conversations, so: first the missing conversations are made, in sorted order, then all are locked, in sorted order, and only the
-- statements after that look for duplicates and the last seq: each takes a new snapshot, so it sees what those before it committed.
--
-- op: 0 append, 1 append past the rate limit (only a repeat is answered), 2 read mark, 3 clear, 4 revocation.
-- number: of a mark the seq asked for, of a revocation its kind; issued: of a revocation its token's issue time.
--
-- One row a write, in order. outcome:
--   1 stored as `seq`
--   2 stored before: `seq` and the stored_ columns
--   3 the same key as an earlier write of this batch: `number` is that one's place
--   4 past the rate limit
--   5 too many new conversations: `number` is the wait in milliseconds
--   6 a mark: `seq` is the last seq at its place, `number` the mark before this batch
--   7 done, nothing to tell
CREATE FUNCTION hongyan_commit(
    ops smallint[], senders text[], peers text[], pairs text[], ids text[], kinds text[], bodies text[], numbers bigint[],
    issued bigint[], now_ms bigint, day_limit bigint
) RETURNS TABLE (
    outcome smallint, seq bigint, number bigint,
    stored_kind text, stored_body text, stored_at bigint, stored_target bigint, stored_recalled boolean
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
    missing record;
    made bigint;
    oldest bigint;
    limited text[] := '{}';
    waits bigint[] := '{}';
BEGIN
    IF EXISTS (
        SELECT FROM unnest(ops, pairs) AS w (op, pair)
        WHERE w.op = 0 AND NOT EXISTS (SELECT FROM conversations c WHERE c.pair = w.pair)
    ) THEN
        IF day_limit > 0 THEN
            -- One user's new conversations are counted by one transaction at a time.
            PERFORM pg_advisory_xact_lock(k.key) FROM (
                SELECT DISTINCT hashtextextended('hongyan starts ' || w.sender, 0) AS key
                FROM unnest(ops, senders, pairs) AS w (op, sender, pair)
                WHERE w.op = 0 AND NOT EXISTS (SELECT FROM conversations c WHERE c.pair = w.pair)
                ORDER BY 1
            ) k;
        END IF;
        FOR missing IN
            SELECT w.pair, w.sender, w.peer
            FROM unnest(ops, senders, peers, pairs) WITH ORDINALITY AS w (op, sender, peer, pair, place)
            WHERE w.op = 0 AND NOT EXISTS (SELECT FROM conversations c WHERE c.pair = w.pair)
            GROUP BY w.pair, w.sender, w.peer
            ORDER BY w.pair COLLATE "C", min(w.place)
        LOOP
            CONTINUE WHEN EXISTS (SELECT FROM conversations c WHERE c.pair = missing.pair);
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
            INSERT INTO conversations (pair, created_by, created_at) VALUES (missing.pair, missing.sender, now_ms)
            ON CONFLICT (pair) DO NOTHING RETURNING id INTO made;
            IF made IS NOT NULL THEN
                INSERT INTO members (openid, peer, conversation_id)
                VALUES (missing.sender, missing.peer, made), (missing.peer, missing.sender, made)
                ON CONFLICT DO NOTHING;
            END IF;
        END LOOP;
    END IF;

    PERFORM FROM conversations c WHERE c.pair = ANY (pairs) ORDER BY c.pair FOR NO KEY UPDATE;

    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT w.*, c.id AS conversation
        FROM unnest(ops, senders, peers, pairs, ids, kinds, bodies, numbers, issued)
            WITH ORDINALITY AS w (op, sender, peer, pair, id, kind, body, number, issued, place)
        LEFT JOIN conversations c ON c.pair = w.pair
    ), found AS MATERIALIZED (
        SELECT a.*, s.seq AS s_seq, s.kind AS s_kind, s.body AS s_body, s.sent_at AS s_at, s.target_seq AS s_target,
            s.recalled AS s_recalled,
            CASE WHEN a.id IS NOT NULL
                THEN min(a.place) FILTER (WHERE a.op = 0) OVER (PARTITION BY a.conversation, a.sender, a.id) END AS first_place
        FROM asked a
        LEFT JOIN messages s ON s.conversation_id = a.conversation AND s.sender = a.sender AND s.client_msg_id = a.id
    ), fresh AS MATERIALIZED (
        SELECT f.*,
            f.op = 0 AND f.conversation IS NOT NULL AND f.s_seq IS NULL AND (f.id IS NULL OR f.first_place = f.place) AS is_fresh
        FROM found f
    ), placed AS MATERIALIZED (
        SELECT f.*,
            coalesce((SELECT max(m.seq) FROM messages m WHERE m.conversation_id = f.conversation), 0)
                + count(*) FILTER (WHERE f.is_fresh) OVER (PARTITION BY f.conversation ORDER BY f.place) AS last
        FROM fresh f
    ), stored AS (
        INSERT INTO messages (conversation_id, seq, sender, client_msg_id, kind, body, sent_at)
        SELECT p.conversation, p.last, p.sender, p.id, p.kind, p.body, now_ms FROM placed p WHERE p.is_fresh ORDER BY p.place
    ), marked AS (
        UPDATE members t SET
            sent_seq = greatest(t.sent_seq, n.sent),
            read_seq = greatest(t.read_seq, n.read),
            cleared_seq = greatest(t.cleared_seq, n.cleared)
        FROM (
            SELECT p.conversation, p.sender,
                max(p.last) FILTER (WHERE p.is_fresh) AS sent,
                max(least(p.number, p.last)) FILTER (WHERE p.op = 2) AS read,
                max(least(p.number, p.last)) FILTER (WHERE p.op = 3) AS cleared
            FROM placed p WHERE p.conversation IS NOT NULL GROUP BY p.conversation, p.sender
        ) n
        WHERE t.conversation_id = n.conversation AND t.openid = n.sender
            AND (n.sent > t.sent_seq OR n.read > t.read_seq OR n.cleared > t.cleared_seq)
    ), revoked AS (
        INSERT INTO revocations (openid, what, issued_ms, at)
        SELECT p.sender, p.number, p.issued, now_ms FROM placed p WHERE p.op = 4 ORDER BY p.place
    )
    SELECT
        (CASE
            WHEN p.is_fresh THEN 1
            WHEN p.s_seq IS NOT NULL THEN 2
            WHEN p.first_place < p.place AND p.conversation IS NOT NULL THEN 3
            WHEN p.op = 1 THEN 4
            WHEN p.op = 0 THEN 5
            WHEN p.op IN (2, 3) AND p.conversation IS NOT NULL THEN 6
            ELSE 7
        END)::smallint,
        coalesce(p.s_seq, p.last),
        CASE
            WHEN p.op = 2 THEN t.read_seq
            WHEN p.op = 3 THEN t.cleared_seq
            WHEN p.conversation IS NULL THEN waits[array_position(limited, p.sender)]
            ELSE p.first_place
        END,
        p.s_kind, p.s_body, p.s_at, p.s_target, p.s_recalled
    FROM placed p
    LEFT JOIN members t ON t.conversation_id = p.conversation AND t.openid = p.sender AND p.op IN (2, 3)
    ORDER BY p.place;
END
$$;
