//! What the double tells is what the receiver reads.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::calls::World;
use super::settings;
use crate::config::Secret;
use crate::ids::now_ms;
use crate::wechat::push::{Message, Push, Receiver, Signed, SubscribeAction};
use crate::wechat::{Suggest, TraceId};

const TOKEN: &str = "sometoken";
const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

/// A server that takes pushes as the settings say: what it read.
fn server(aes_key: &str) -> (String, UnboundedReceiver<Push>) {
    let mut config = settings("");
    (config.push_token, config.push_aes_key) = (Secret::new(TOKEN), Secret::new(aes_key));
    let (told, read) = unbounded_channel();
    let state = web::Data::new((Receiver::new(&config).unwrap(), told));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/wechat/events", listener.local_addr().unwrap());
    let app = move || App::new().app_data(state.clone()).route("/wechat/events", web::post().to(take));
    actix_web::rt::spawn(HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run());
    (url, read)
}

type State = web::Data<(Receiver, UnboundedSender<Push>)>;

async fn take(signed: web::Query<Signed>, body: Bytes, state: State) -> HttpResponse {
    let (receiver, told) = state.get_ref();
    receiver.check(&signed, now_ms() / 1_000).unwrap();
    let message = receiver.open(&signed, &body).unwrap();
    told.send(Message::read(&message).unwrap().push().unwrap()).unwrap();
    HttpResponse::Ok().body("success")
}

async fn next(read: &mut UnboundedReceiver<Push>) -> Push {
    tokio::time::timeout(Duration::from_secs(20), read.recv()).await.unwrap().unwrap()
}

fn action(push: Push) -> SubscribeAction {
    let Push::Subscribe(changes) = push else { panic!("{push:?}") };
    let [change] = <[_; 1]>::try_from(changes).unwrap();
    assert_eq!((change.openid.as_str(), change.template_id.as_str()), ("alice", "T"));
    change.action
}

#[actix_web::test]
async fn every_event_arrives_in_every_form() {
    for (format, key) in [("json", ""), ("json", KEY), ("xml", ""), ("xml", KEY)] {
        let world = World::new().await;
        let (url, mut read) = server(key);
        world.control(json!({ "push": { "url": url, "token": TOKEN, "aes_key": key, "format": format }, "media_delay_ms": 0 })).await;

        let media = async |url: &str| world.media(url).await.unwrap();
        let TraceId(trace_id) = media("https://x.test/dev-risky:20002/]]>.png").await;
        let checked =
            |trace_id, suggest, label| Push::MediaChecked { trace_id, appid: "wx1".into(), suggest, label };
        assert_eq!(next(&mut read).await, checked(trace_id, Suggest::Risky, 20002), "{format} {key}");
        let TraceId(trace_id) = media("https://x.test/fine.png").await;
        assert_eq!(next(&mut read).await, checked(trace_id, Suggest::Pass, 100));
        let TraceId(trace_id) = media("https://x.test/dev-unfetched.png").await;
        assert_eq!(
            next(&mut read).await,
            Push::MediaUnchecked { trace_id, appid: "wx1".into(), code: -1008 }
        );

        let answer = async |result: &str| {
            assert_eq!(
                world
                    .post("/__subscribe", json!({ "openid": "alice", "template_id": "T", "result": result }))
                    .await,
                204
            );
        };
        for (result, expected) in [
            ("reject", SubscribeAction::Rejected),
            ("remove", SubscribeAction::Removed),
            ("accept", SubscribeAction::Accepted),
        ] {
            answer(result).await;
            assert_eq!(action(next(&mut read).await), expected);
        }
        let sent = world.send(&[("thing1", "hello")]).await.unwrap();
        assert_eq!(
            action(next(&mut read).await),
            SubscribeAction::Sent { code: 0, msgid: sent.msgid.unwrap() }
        );
        answer("accept").await;
        assert_eq!(action(next(&mut read).await), SubscribeAction::Accepted);
        let sent = world.send(&[("thing1", "dev-delivery:3")]).await.unwrap();
        assert_eq!(
            action(next(&mut read).await),
            SubscribeAction::Sent { code: 3, msgid: sent.msgid.unwrap() }
        );
    }
}

#[actix_web::test]
async fn whatever_event_is_given_is_told_and_what_came_of_it_is_said() {
    let world = World::new().await;
    let tell = async |event: Value| {
        let answer = awc::Client::new()
            .post(format!("{}/__push", world.base))
            .send_json(&event)
            .await
            .unwrap()
            .body()
            .await
            .unwrap();
        serde_json::from_slice::<Value>(&answer).unwrap()["outcome"].as_str().unwrap().to_owned()
    };
    let event = json!({ "MsgType": "event", "Event": "debug_demo" });
    assert_eq!(tell(event.clone()).await, "nobody to tell");
    let (url, mut read) = server("");
    world.control(json!({ "push": { "url": url, "token": TOKEN } })).await;
    assert_eq!(tell(event.clone()).await, "success");
    assert_eq!(next(&mut read).await, Push::Other { event: "debug_demo".into() });
    world.control(json!({ "push": { "url": url, "token": TOKEN, "format": "xml" } })).await;
    assert_eq!(tell(json!({ "MsgType": "event", "Event": "a]]><b>&amp;" })).await, "success");
    assert_eq!(next(&mut read).await, Push::Other { event: "a]]><b>&amp;".into() });
    world.control(json!({ "push": { "url": format!("{url}/elsewhere"), "token": TOKEN } })).await;
    assert_eq!(tell(event.clone()).await, "HTTP 404");
    world.control(json!({ "push": { "url": "http://127.0.0.1:1/", "token": TOKEN } })).await;
    assert_eq!(tell(event).await, "no answer");
}
