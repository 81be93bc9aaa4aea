//! Nicknames and avatars.

use awc::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::{Cluster, Http, Raw, Server};

const KIB: usize = 1_024;

/// One pixel, by their headers.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=";
const WEBP: &str = "UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==";
const JPEG: &str = "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgICAgMCAgIDAwMDBAYEBAQEBAgGBgUGCQgKCgkICQkKDA8MCgsOCwkJDRENDg8QEBEQCgwSExIQEw8QEBD/yQALCAABAAEBAREA/8wABgAQEAX/2gAIAQEAAD8A0s8g/9k=";

/// A PNG of this many bytes.
fn png_of(length: usize, width: u32) -> String {
    let data = vec![0; length - 57];
    let header = [
        b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR".as_slice(),
        &width.to_be_bytes(),
        &width.to_be_bytes(),
        b"\x08\x06\0\0\0csum",
    ]
    .concat();
    let size = u32::try_from(data.len()).unwrap().to_be_bytes();
    STANDARD.encode([header.as_slice(), &size, b"IDAT", &data, b"csum\0\0\0\0IENDcsum"].concat())
}

async fn servers() -> Vec<Server> {
    let mut servers = vec![Server::start().await];
    servers.extend(Server::on_postgres().await.map(|(server, _)| server));
    servers
}

async fn refused(http: &Http, body: &Value, about: &str) {
    let (status, answer) = http.put("/v1/me", body).await;
    assert_eq!((status, &answer["error"]), (400, &json!("bad_request")), "{answer}");
    assert!(answer["message"].as_str().unwrap().contains(about), "{answer}");
}

#[actix_web::test]
async fn a_profile_is_set_seen_and_taken_away() {
    for server in servers().await {
        let (alice, bob) = (server.http_as("alice").await, server.http_as("bob").await);
        assert_eq!(
            alice.get("/v1/me").await,
            (200, json!({ "openid": "alice", "nickname": "", "avatar": "", "presence": true }))
        );
        let (status, me) = alice.put("/v1/me", &json!({ "nickname": "  爱丽丝 👩‍🚀 ", "avatar": PNG })).await;
        assert_eq!((status, &me["openid"], &me["nickname"]), (200, &json!("alice"), &json!("爱丽丝 👩‍🚀")));
        let path = me["avatar"].as_str().unwrap().to_owned();
        assert_eq!(path.strip_prefix("/v1/avatars/").unwrap().len(), 64);
        assert_eq!(alice.get("/v1/me").await.1, me);

        let nobody = |openid: &str| json!({ "openid": openid, "nickname": "", "avatar": "" });
        let mut shown = me.clone();
        assert_eq!(shown.as_object_mut().unwrap().remove("presence"), Some(json!(true)));
        let asked = bob.get("/v1/users?openids=nobody,alice,bob,alice").await;
        assert_eq!(asked, (200, json!({ "users": [nobody("nobody"), shown, nobody("bob"), shown] })));

        // What is left out stays, and an empty body changes nothing.
        let (_, renamed) = alice.put("/v1/me", &json!({ "nickname": "Alice", "more": 1 })).await;
        assert_eq!((&renamed["nickname"], &renamed["avatar"]), (&json!("Alice"), &me["avatar"]));
        assert_eq!(alice.put("/v1/me", &json!({})).await, (200, renamed.clone()));
        let (_, bare) = alice.put("/v1/me", &json!({ "nickname": null, "avatar": "" })).await;
        assert_eq!((&bare["nickname"], &bare["avatar"]), (&json!("Alice"), &json!("")));
        assert_eq!(server.http().get(&path).await.0, 404, "nobody shows it any more");
        let mut unnamed = nobody("alice");
        unnamed["presence"] = json!(true);
        assert_eq!(alice.put("/v1/me", &json!({ "nickname": "" })).await, (200, unnamed));
    }
}

#[actix_web::test]
async fn an_image_is_served_to_anybody_for_good() {
    for server in servers().await {
        let alice = server.http_as("alice").await;
        for (image, kind) in [(PNG, "image/png"), (WEBP, "image/webp"), (JPEG, "image/jpeg")] {
            let (status, me) = alice.put("/v1/me", &json!({ "avatar": image })).await;
            assert_eq!(status, 200, "{kind}: {me}");
            let path = me["avatar"].as_str().unwrap();
            let fetched = server.http().fetch(Method::GET, path, &[]).await;
            assert_eq!((fetched.status, fetched.header("content-type")), (200, kind));
            assert_eq!(fetched.body, STANDARD.decode(image).unwrap());
            assert_eq!(fetched.header("cache-control"), "public, max-age=31536000, immutable");
            assert_eq!(fetched.header("x-content-type-options"), "nosniff");
            let etag = fetched.header("etag");
            assert_eq!(etag, format!("\"{}\"", path.trim_start_matches("/v1/avatars/")));
            for has_it in [etag, &format!("\"x\", W/{etag}"), "*"] {
                let again = server.http().fetch(Method::GET, path, &[("if-none-match", has_it)]).await;
                assert_eq!(
                    (again.status, again.body.len(), again.header("etag")),
                    (304, 0, etag),
                    "{has_it}"
                );
            }
            let other = server.http().fetch(Method::GET, path, &[("if-none-match", "\"x\"")]).await;
            assert_eq!(other.status, 200);
        }
    }
}

#[actix_web::test]
async fn only_small_images_of_three_kinds_are_taken() {
    let server = Server::with([("limits.http_burst", "0")]).await;
    let alice = server.http_as("alice").await;
    let encoded = |bytes: &[u8]| STANDARD.encode(bytes);
    assert_eq!(alice.put("/v1/me", &json!({ "avatar": png_of(32 * KIB, 1_024) })).await.0, 200);
    let before = alice.get("/v1/me").await.1;
    for (avatar, about) in [
        (png_of(32 * KIB + 1, 64), "32 KiB"),
        (png_of(100, 1_025), "pixels"),
        (png_of(100, 0), "pixels"),
        (
            encoded(b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xFF\xFF\xFF,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"),
            "JPEG, PNG or WebP",
        ),
        (
            encoded(b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"),
            "JPEG, PNG or WebP",
        ),
        (encoded(b"<!doctype html><script>alert(1)</script>"), "JPEG, PNG or WebP"),
        (encoded(b"\xEF\xBB\xBF\x89PNG\r\n\x1A\n"), "JPEG, PNG or WebP"),
        (encoded(b"\xFF\xD8\xFF"), "JPEG, PNG or WebP"),
        (encoded(b"RIFF\0\0\0\0WEBP"), "JPEG, PNG or WebP"),
        (" ".to_owned(), "base64"),
        ("/v1/avatars/x".to_owned(), "base64"),
        ("https://example.com/cat.png".to_owned(), "base64"),
        (format!("data:image/png;base64,{PNG}"), "base64"),
        (PNG.trim_end_matches('=').to_owned(), "base64"),
        (format!("{PNG}{PNG}"), "base64"),
        (format!("{PNG}\n"), "base64"),
        (WEBP.replacen('A', "_", 1), "base64"),
        ("é".to_owned(), "base64"),
        ("\0".to_owned(), "base64"),
    ] {
        refused(&alice, &json!({ "avatar": avatar }), about).await;
    }
    for wrong_kind in [
        json!({ "avatar": 1 }),
        json!({ "avatar": [PNG] }),
        json!({ "avatar": { "url": "x" } }),
        json!({ "nickname": false }),
    ] {
        refused(&alice, &wrong_kind, "wrong kind").await;
    }
    // Both or nothing.
    refused(&alice, &json!({ "nickname": "new", "avatar": "x" }), "base64").await;
    refused(&alice, &json!({ "nickname": "a\u{202E}b", "avatar": PNG }), "direction").await;
    assert_eq!(alice.get("/v1/me").await.1, before);
}

#[actix_web::test]
async fn what_is_two_things_at_once_is_the_image_alone() {
    let server = Server::start().await;
    let alice = server.http_as("alice").await;
    let page = b"<script>fetch('/v1/me')</script>".as_slice();
    let in_comment =
        [b"\xFF\xD8\xFF\xFE\0\x22".as_slice(), page, &STANDARD.decode(JPEG).unwrap()[2..]].concat();
    let behind = [&STANDARD.decode(PNG).unwrap(), page, b"PK\x03\x04"].concat();
    for (bytes, image, kind) in [(in_comment, JPEG, "image/jpeg"), (behind, PNG, "image/png")] {
        let (status, me) = alice.put("/v1/me", &json!({ "avatar": STANDARD.encode(&bytes) })).await;
        assert_eq!(status, 200, "{me}");
        let fetched = server
            .http()
            .fetch(Method::GET, me["avatar"].as_str().unwrap(), &[("accept", "text/html")])
            .await;
        assert_eq!(
            (fetched.header("content-type"), fetched.header("x-content-type-options")),
            (kind, "nosniff")
        );
        assert_eq!(fetched.body, STANDARD.decode(image).unwrap());
    }
}

#[actix_web::test]
async fn where_a_picture_was_taken_is_told_to_nobody() {
    let server = Server::start().await;
    let alice = server.http_as("alice").await;
    let camera = segment_after_soi(b"\xFF\xE1\0\x14Exif\0\0GPS 48.85 N ");
    let (status, me) = alice.put("/v1/me", &json!({ "avatar": STANDARD.encode(&camera) })).await;
    assert_eq!(status, 200, "{me}");
    let fetched = server.http().fetch(Method::GET, me["avatar"].as_str().unwrap(), &[]).await;
    assert_eq!(fetched.body, STANDARD.decode(JPEG).unwrap());
    let png = STANDARD.decode(PNG).unwrap();
    let moving = [&png[..33], b"\0\0\0\x08acTL\0\0\0\x02\0\0\0\0csum", &png[33..]].concat();
    refused(&alice, &json!({ "avatar": STANDARD.encode(moving) }), "animated").await;
    refused(&alice, &json!({ "avatar": STANDARD.encode([&png[..33], &png[8..]].concat()) }), "one image")
        .await;
}

/// A JPEG with a segment before all others.
fn segment_after_soi(segment: &[u8]) -> Vec<u8> {
    let jpeg = STANDARD.decode(JPEG).unwrap();
    [&jpeg[..2], segment, &jpeg[2..]].concat()
}

#[actix_web::test]
async fn names_that_would_spoil_a_list_are_refused() {
    let server = Server::with([("limits.http_burst", "0")]).await;
    let alice = server.http_as("alice").await;
    for (name, about) in [
        ("x".repeat(33), "32 characters"),
        ("a\nb".into(), "control"),
        ("a\u{0}b".into(), "control"),
        ("\u{E000}".into(), "control"),
        ("\u{378}".into(), "unassigned"),
        ("\u{202E}evil".into(), "direction"),
        ("\u{200B}\u{200B}".into(), "show something"),
    ] {
        refused(&alice, &json!({ "nickname": name }), about).await;
    }
    // Half a character, as a client that counts in UTF-16 may cut it.
    for half in [r#"{"nickname":"\ud83d"}"#, r#"{"nickname":"\udc00x"}"#, r#"{"nickname":"\ud83d\ud83d"}"#] {
        let (status, answer) = alice.call(Method::PUT, "/v1/me", Some(half.to_owned())).await;
        assert_eq!((status, &answer["error"]), (400, &json!("bad_request")), "{half}");
    }
    for name in ["雁".repeat(32), "😀".repeat(32), "<b>'\"&\\".into(), "../../etc".into()] {
        assert_eq!(alice.put("/v1/me", &json!({ "nickname": name })).await.1["nickname"], name);
    }
}

#[actix_web::test]
async fn the_largest_image_fits_and_no_larger_body_does() {
    let server = Server::start().await;
    let alice = server.http_as("alice").await;
    // Random bytes and a name that is escaped: as large as an honest body gets, slashes escaped as well.
    let mut bytes = STANDARD.decode(png_of(32 * KIB, 1_024)).unwrap();
    let end = bytes.len() - 16;
    bytes[41..end].fill_with(rand::random);
    let image = STANDARD.encode(&bytes);
    let body = format!(
        r#"{{"nickname":"{}","avatar":"{}"}}"#,
        r"\ud83d\ude00".repeat(32),
        image.replace('/', r"\/")
    );
    let (status, me) = alice.call(Method::PUT, "/v1/me", Some(body)).await;
    assert_eq!((status, &me["nickname"]), (200, &json!("😀".repeat(32))), "{me}");
    assert_eq!(server.http().fetch(Method::GET, me["avatar"].as_str().unwrap(), &[]).await.body, bytes);

    let large = format!(r#"{{"avatar":"{}"}}"#, "A".repeat(48 * KIB));
    let (status, answer) = alice.call(Method::PUT, "/v1/me", Some(large)).await;
    assert_eq!((status, &answer["error"]), (413, &json!("too_large")));
    // Of other calls the bound is what it was; and of a body that does not say how long it is.
    let (status, _) = alice.call(Method::POST, "/v1/read", Some(" ".repeat(2 * KIB))).await;
    assert_eq!(status, 413);
    let mut raw = server.raw().await;
    let head = format!(
        "PUT /v1/me HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        alice.token()
    );
    raw.send(format!("{head}1000\r\n{}\r\n0\r\n\r\n", " ".repeat(0x1000)).as_bytes()).await;
    assert!(raw.head().await.starts_with("HTTP/1.1 413 "));
}

#[actix_web::test]
async fn who_sends_no_good_token_gets_nothing_read() {
    let server = Server::start().await;
    for token in [None, Some("x.y.z")] {
        let stranger = Http::new(&server.at, token);
        for (method, path) in
            [(Method::GET, "/v1/me"), (Method::PUT, "/v1/me"), (Method::GET, "/v1/users?openids=a")]
        {
            assert_eq!(stranger.call(method, path, None).await.0, 401, "{path}");
        }
        let mut raw = Raw::connect(&server.at).await;
        raw.send(b"PUT /v1/me HTTP/1.1\r\nHost: t\r\nContent-Length: 40000\r\n\r\n{").await;
        assert!(raw.head().await.starts_with("HTTP/1.1 401 "), "answered before the body comes");
    }
    let mallory = server.http_as("mallory").await;
    assert_eq!(mallory.put("/v1/me", &json!({ "nickname": "m", "avatar": PNG })).await.0, 200);
    assert!(server.command(&["ban", "--dev", "mallory"]).status.success());
    crate::harness::eventually("the ban", async || (mallory.get("/v1/me").await.0 == 403).then_some(()))
        .await;
    assert_eq!(mallory.put("/v1/me", &json!({ "nickname": "still here" })).await.1["error"], "banned");
    let (_, seen) = server.http_as("alice").await.get("/v1/users?openids=mallory").await;
    assert_eq!(seen["users"][0]["nickname"], "m", "what they wrote stays, and so does their name beside it");
}

#[actix_web::test]
async fn a_list_of_users_has_1_to_100_openids() {
    let server = Server::with([("limits.http_burst", "0")]).await;
    let alice = server.http_as("alice").await;
    let longest: Vec<String> = (0..100).map(|n| format!("{n:064}")).collect();
    let (status, answer) = alice.get(&format!("/v1/users?openids={}", longest.join(","))).await;
    let openids: Vec<&str> =
        answer["users"].as_array().unwrap().iter().map(|user| user["openid"].as_str().unwrap()).collect();
    assert_eq!((status, openids.len()), (200, 100));
    assert_eq!(openids, longest);
    assert_eq!(alice.get("/v1/users?openids=a%2Cb").await.1["users"].as_array().unwrap().len(), 2);
    for bad in [
        "",
        "?openids=",
        "?openids=a,",
        "?openids=,a",
        "?openids=a,,b",
        "?openids=a%20b",
        "?openids=a&openids=b",
        "?openids=v1",
        "?openids=%00",
        "?openids=a'%20OR%201=1--",
        &format!("?openids={}", "x".repeat(65)),
        &format!("?openids={}", ["a"; 101].join(",")),
        &format!("?openids={}", ["a"; 20_000].join(",")),
    ] {
        let (status, answer) = alice.get(&format!("/v1/users{bad}")).await;
        assert_eq!((status, &answer["error"]), (400, &json!("bad_request")), "{bad}");
    }
}

#[actix_web::test]
async fn an_image_by_a_name_that_is_none_is_not_found() {
    let server = Server::start().await;
    let http = server.http();
    let (_, me) = server.http_as("alice").await.put("/v1/me", &json!({ "avatar": PNG })).await;
    let id = me["avatar"].as_str().unwrap().trim_start_matches("/v1/avatars/");
    let mut names = vec![
        id.to_uppercase(),
        id[..63].to_owned(),
        format!("{id}.png"),
        format!("{id}/"),
        "0".repeat(64),
        "a".repeat(5_000),
    ];
    names.extend(
        ["..%2f..%2fdata%2fhongyan.db", "%00", "..", "x'%20OR%20'1'='1", "%ff%fe"].map(str::to_owned),
    );
    for name in names {
        let (status, answer) = http.get(&format!("/v1/avatars/{name}")).await;
        assert_eq!((status, &answer["error"]), (404, &json!("not_found")), "{name}");
    }
    assert_eq!(http.call(Method::DELETE, &format!("/v1/avatars/{id}"), None).await.0, 404);
}

#[actix_web::test]
async fn strangers_fetch_images_at_a_pace_of_their_own() {
    let server = Server::with([("limits.handshakes_per_second_per_address", "2")]).await;
    let alice = server.http_as("alice").await;
    let path = alice.put("/v1/me", &json!({ "avatar": PNG })).await.1["avatar"].as_str().unwrap().to_owned();
    let mut last = 200;
    for _ in 0..20 {
        last = server.http().get(&path).await.0;
        if last != 200 {
            break;
        }
    }
    assert_eq!(last, 429);
    assert_eq!(server.http().post("/v1/login", &json!({ "code": "dev:bob" })).await.0, 200, "logins go on");
    assert_eq!(alice.get("/v1/me").await.0, 200);
}

#[actix_web::test]
async fn every_node_shows_the_same() {
    let Some(cluster) = Cluster::start().await else { return };
    let tokens: Vec<Http> = {
        let alice = cluster.nodes[0].http_as("alice").await;
        cluster.nodes.iter().map(|node| Http::new(&node.at, Some(alice.token()))).collect()
    };
    for (n, image) in [PNG, WEBP, JPEG].iter().enumerate() {
        let (status, me) =
            tokens[n].put("/v1/me", &json!({ "nickname": n.to_string(), "avatar": image })).await;
        assert_eq!(status, 200);
        for node in &tokens {
            assert_eq!(node.get("/v1/me").await.1, me);
            assert_eq!(
                node.fetch(Method::GET, me["avatar"].as_str().unwrap(), &[]).await.body,
                STANDARD.decode(image).unwrap()
            );
        }
    }
}
