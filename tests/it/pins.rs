//! Pinned conversations, over HTTP and on the user's devices.

use serde_json::{Value, json};

use crate::harness::{Http, Server};

const SETTINGS: [(&str, &str); 1] = [("limits.pinned_per_user", "3")];

async fn set(calls: &Http, peer: &str, settings: &Value) -> (u16, Value) {
    calls.put(&format!("/v1/conversations/{peer}/settings"), settings).await
}

/// A server where each of these has written to bob, and bob's calls.
async fn written<const N: usize>(peers: [&str; N]) -> (Server, Http) {
    let server = Server::with(SETTINGS).await;
    for peer in peers {
        server.v1(peer).await.say("bob", "m1", "hello").await;
    }
    let bobs = server.http_as("bob").await;
    (server, bobs)
}

fn peers(page: &Value) -> Vec<&str> {
    page["conversations"].as_array().unwrap().iter().map(|c| c["peer"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn a_pin_is_told_to_all_devices_and_what_is_left_out_stays() {
    let (server, bobs) = written(["alice"]).await;
    let mut devices = [server.v1_device("bob", "phone").await, server.v1_device("bob", "tablet").await];
    let mut alice = server.v1("alice").await;
    assert_eq!(set(&bobs, "nobody", &json!({ "pinned": true })).await.0, 404, "no conversation");
    for (change, muted, pinned) in [
        (json!({ "pinned": true }), false, true),
        (json!({ "muted": true }), true, true),
        (json!({ "pinned": false }), true, false),
        (json!({ "muted": false, "pinned": true }), false, true),
    ] {
        assert_eq!(set(&bobs, "alice", &change).await.0, 204);
        for device in &mut devices {
            let want = json!({ "type": "settings", "peer": "alice", "muted": muted, "pinned": pinned });
            assert_eq!(device.expect("settings").await, want, "{change}");
        }
        let listed = &bobs.get("/v1/conversations").await.1["conversations"][0];
        assert_eq!((&listed["muted"], &listed["pinned"]), (&json!(muted), &json!(pinned)), "{change}");
    }
    // As it is already: nobody is told.
    assert_eq!(set(&bobs, "alice", &json!({ "pinned": true })).await.0, 204);
    let [phone, _] = &mut devices;
    phone.send(json!({ "type": "sync", "id": "s" })).await;
    let synced = phone.expect("sync").await;
    assert_eq!(synced["conversations"][0]["pinned"], true);
    alice.nothing_came().await;
    let alices = server.http_as("alice").await;
    assert_eq!(alices.get("/v1/conversations").await.1["conversations"][0]["pinned"], false);
}

#[actix_web::test]
async fn settings_that_set_nothing_or_no_switch_are_refused() {
    let (_server, bobs) = written(["alice"]).await;
    for nothing in [
        json!({}),
        json!({ "muted": null }),
        json!({ "muted": true, "pinned": null }),
        json!({ "muted": null, "pinned": null }),
        json!({ "star": true }),
        json!({ "pinned": 1 }),
        json!({ "pinned": "true", "muted": true }),
        json!([]),
    ] {
        let (status, answer) = set(&bobs, "alice", &nothing).await;
        assert_eq!((status, &answer["error"]), (400, &json!("bad_request")), "{nothing}");
    }
    let listed = &bobs.get("/v1/conversations").await.1["conversations"][0];
    assert_eq!((&listed["muted"], &listed["pinned"]), (&json!(false), &json!(false)));
}

#[actix_web::test]
async fn so_many_are_pinned_and_no_more() {
    let (_server, bobs) = written(["a", "b", "c", "d"]).await;
    for peer in ["a", "b", "c"] {
        assert_eq!(set(&bobs, peer, &json!({ "pinned": true })).await.0, 204);
    }
    let (status, answer) = set(&bobs, "d", &json!({ "pinned": true })).await;
    let want =
        json!({ "status": 413, "error": "too_large", "message": "too many are pinned: unpin one first" });
    assert_eq!((status, answer), (413, want));
    assert_eq!(set(&bobs, "a", &json!({ "pinned": true })).await.0, 204, "it is already");
    assert_eq!(set(&bobs, "a", &json!({ "pinned": false })).await.0, 204);
    assert_eq!(set(&bobs, "d", &json!({ "pinned": true })).await.0, 204);
}

#[actix_web::test]
async fn those_that_are_pinned_are_asked_for_alone() {
    let (server, bobs) = written(["a", "b", "c", "d"]).await;
    assert_eq!(bobs.get("/v1/conversations?pinned=true").await, (200, json!({ "conversations": [] })));
    for peer in ["b", "d", "a"] {
        assert_eq!(set(&bobs, peer, &json!({ "pinned": true })).await.0, 204);
    }
    let page = bobs.get("/v1/conversations?pinned=true").await.1;
    assert_eq!((peers(&page), &page["next_cursor"]), (vec!["d", "b", "a"], &Value::Null));
    assert!(page["conversations"].as_array().unwrap().iter().all(|c| c["pinned"] == true));
    server.v1("a").await.say("bob", "m2", "again").await;
    let first = bobs.get("/v1/conversations?pinned=true&limit=2").await.1;
    assert_eq!(peers(&first), ["a", "d"]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = bobs.get(&format!("/v1/conversations?pinned=true&limit=2&cursor={cursor}")).await.1;
    assert_eq!((peers(&second), &second["next_cursor"]), (vec!["b"], &Value::Null));
    // The order of the list is the same as ever.
    for query in ["", "?pinned=false"] {
        let page = bobs.get(&format!("/v1/conversations{query}")).await.1;
        assert_eq!(peers(&page), ["a", "d", "c", "b"], "{query}");
    }
    assert_eq!(bobs.get("/v1/conversations?pinned=1").await.0, 400);
}
