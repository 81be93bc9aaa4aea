-- What one batch changes of profiles, a user once, sorted by openid. Without a nickname it stays; where the avatar changes, none is none.
--
-- Several nodes may run it at once, so all take their locks in one order: the users, then the images that these show or will show. Each
-- statement after that sees what was committed before, so that no image is taken away that somebody has begun to show.
CREATE FUNCTION hongyan_profiles(
    openids text[], nicknames text[], avatars_change boolean[], new_avatars text[], images bytea[]
) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    left_behind text[];
BEGIN
    INSERT INTO profiles (openid, nickname)
    SELECT w.openid, '' FROM unnest(openids) WITH ORDINALITY AS w (openid, place) ORDER BY w.place
    ON CONFLICT DO NOTHING;

    PERFORM FROM profiles p WHERE p.openid = ANY (openids) ORDER BY p.openid FOR UPDATE;

    left_behind := ARRAY (
        SELECT p.avatar FROM profiles p JOIN unnest(openids, avatars_change) AS w (openid, change) ON p.openid = w.openid
        WHERE w.change AND p.avatar IS NOT NULL
    );
    PERFORM pg_advisory_xact_lock(k.key) FROM (
        SELECT DISTINCT hashtextextended('hongyan avatar ' || a.sha256, 0) AS key
        FROM unnest(left_behind || new_avatars) AS a (sha256) WHERE a.sha256 IS NOT NULL
        ORDER BY 1
    ) k;

    INSERT INTO avatars (sha256, image)
    SELECT w.sha256, w.image FROM unnest(new_avatars, images) AS w (sha256, image) WHERE w.sha256 IS NOT NULL
    ON CONFLICT DO NOTHING;

    UPDATE profiles p SET
        nickname = coalesce(w.nickname, p.nickname),
        avatar = CASE WHEN w.change THEN w.avatar ELSE p.avatar END
    FROM unnest(openids, nicknames, avatars_change, new_avatars) AS w (openid, nickname, change, avatar)
    WHERE p.openid = w.openid;

    DELETE FROM avatars a
    WHERE a.sha256 = ANY (left_behind) AND NOT EXISTS (SELECT FROM profiles p WHERE p.avatar = a.sha256);
END
$$;
