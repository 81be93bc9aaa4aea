//! Who is away and has something unread is told once, for each time that they have agreed.

mod attention;
mod ledger;
mod nodes;
mod refusals;
mod restarts;

use serde_json::{Value, json};

use crate::harness::{Client, Http, Server, eventually};

pub const TEMPLATE: &str = "new-messages";
const FIELDS: &str = "thing1={sender},number2={count},time3={time},thing4={summary}";

/// With no bound on how often these tests look whether something has come.
const SET_UP: &[(&str, &str)] = &[
    ("notice.template_id", TEMPLATE),
    ("notice.fields", FIELDS),
    ("limits.http_per_second", "0"),
    // What most of these tests are about begins with the first message.
    ("notice.strangers", "true"),
];

/// A message may be judged this long after it was pushed: short, where nothing must happen before.
const SOON: (&str, &str) = ("notice.delay_ms", "200");
/// Long enough for what a user does meanwhile.
const LATER: (&str, &str) = ("notice.delay_ms", "2000");

async fn server<const N: usize>(settings: [(&str, &str); N]) -> Server {
    Server::alone(&[SET_UP, settings.as_slice()].concat())
}

/// WeChat's double, as its users' phones and this test see it.
struct WeChat(Http);

impl WeChat {
    fn of(server: &Server) -> Self {
        Self(Http::new(&server.double, None))
    }

    /// They accept a prompt, and the mini-program tells the server.
    async fn accept(&self, user: &Http, openid: &str) {
        self.accept_silently(openid).await;
        assert_eq!(
            user.post("/v1/notices/grants", &json!({ "template_id": TEMPLATE, "result": "accept" })).await.0,
            204
        );
    }

    /// They accept a prompt, and nobody tells the server.
    async fn accept_silently(&self, openid: &str) {
        let answer = json!({ "openid": openid, "template_id": TEMPLATE, "push": false });
        assert_eq!(self.0.post("/__subscribe", &answer).await.0, 204);
    }

    async fn control(&self, what: Value) {
        let (status, body) = self.0.post("/__control", &what).await;
        assert_eq!(status, 204, "{body}");
    }

    /// What phones have shown.
    async fn shown(&self) -> Vec<Value> {
        self.0.get("/__notices").await.1.as_array().unwrap().clone()
    }

    async fn shows(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} notices"), async || {
            Some(self.shown().await).filter(|shown| shown.len() == count)
        })
        .await
    }

    /// How often it was asked to send.
    async fn asked(&self) -> u64 {
        self.0.get("/__calls").await.1["subscribe_send"].as_u64().unwrap()
    }
}

/// How many notices the server believes that it may send.
async fn grants(user: &Http) -> u64 {
    user.get("/v1/notices").await.1["grants"][TEMPLATE].as_u64().unwrap_or(0)
}

/// Waits until so many conversations came to this end.
async fn came_to(server: &Server, outcome: &str, count: usize) {
    server.metric_becomes(&format!("hongyan_notices_total{{outcome=\"{outcome}\"}}"), count as f64).await;
}

async fn name(user: &Http, nickname: &str) {
    assert_eq!(user.put("/v1/me", &json!({ "nickname": nickname })).await.0, 200);
}

/// A field of what a phone has shown.
fn field<'a>(notice: &'a Value, name: &str) -> &'a str {
    let pairs = notice["data"].as_array().unwrap();
    pairs.iter().find(|pair| pair[0] == name).and_then(|pair| pair[1].as_str()).unwrap()
}

#[actix_web::test]
async fn three_messages_to_who_is_away_are_one_notice() {
    let server = server([LATER]).await;
    let (wechat, alices, bobs) =
        (WeChat::of(&server), server.http_as("alice").await, server.http_as("bob").await);
    name(&alices, "小红").await;
    wechat.accept(&bobs, "bob").await;
    wechat.accept(&bobs, "bob").await;
    let mut alice = server.v1("alice").await;
    for n in 1..=3 {
        alice.say("bob", &format!("m{n}"), "a private text").await;
    }
    let shown = wechat.shows(1).await;
    assert_eq!((&shown[0]["to"], &shown[0]["page"]), (&json!("bob"), &json!("pages/chat/chat?peer=alice")));
    assert_eq!((field(&shown[0], "thing1"), field(&shown[0], "number2")), ("小红", "3"));
    assert_eq!(field(&shown[0], "thing4"), "小红发来3条新消息");
    assert!(!shown[0].to_string().contains("private"), "no text is shown unless the operator says so");
    came_to(&server, "sent", 1).await;
    assert_eq!(grants(&bobs).await, 1);

    // The next one is of the same stretch: they were told.
    alice.say("bob", "m4", "and on").await;
    came_to(&server, "told", 1).await;
    assert_eq!((wechat.shown().await.len(), grants(&bobs).await), (1, 1));

    // Once they have read, they are told of what comes then.
    assert_eq!(bobs.post("/v1/read", &json!({ "peer": "alice", "seq": 4 })).await.0, 204);
    alice.say("bob", "m5", "a new stretch").await;
    let shown = wechat.shows(2).await;
    assert_eq!(field(&shown[1], "number2"), "1");
    came_to(&server, "sent", 2).await;
    assert_eq!(grants(&bobs).await, 0);
}

#[actix_web::test]
async fn a_strangers_message_draws_no_notice_until_the_user_has_written() {
    let server = server([SOON, ("notice.strangers", "false")]).await;
    let (wechat, bobs) = (WeChat::of(&server), server.http_as("bob").await);
    wechat.accept(&bobs, "bob").await;
    let mut alice = server.v1("alice").await;
    say(&mut alice, "m1").await;
    came_to(&server, "stranger", 1).await;
    assert_eq!((wechat.shown().await.len(), grants(&bobs).await), (0, 1));
    let mut bob = server.v1("bob").await;
    bob.say("alice", "b1", "who is it?").await;
    bob.send(json!({ "type": "background" })).await;
    drop(bob);
    alice.expect("text").await;
    say(&mut alice, "m2").await;
    assert_eq!(field(&wechat.shows(1).await[0], "number2"), "1");
    assert_eq!(grants(&bobs).await, 0);
}

#[actix_web::test]
async fn without_a_template_there_are_no_notices() {
    let server = Server::alone(&[SOON]);
    let bobs = server.http_as("bob").await;
    assert_eq!(bobs.get("/v1/notices").await.1, json!({ "templates": [], "grants": {}, "quiet": null }));
    assert_eq!(
        bobs.post("/v1/notices/grants", &json!({ "template_id": TEMPLATE, "result": "accept" })).await.0,
        404
    );
    let ready = Http::new(&server.ops, None).get("/readyz").await.1;
    assert!(ready["details"].get("notices").is_none(), "{ready}");
}

#[actix_web::test]
async fn text_is_shown_where_the_operator_wants_it() {
    let server = server([SOON, ("notice.show_text", "true"), ("notice.lang", "en_US")]).await;
    let (wechat, bobs) = (WeChat::of(&server), server.http_as("bob").await);
    wechat.accept(&bobs, "bob").await;
    server.v1("alice").await.say("bob", "m1", "see you at the old bridge").await;
    let shown = wechat.shows(1).await;
    assert_eq!(field(&shown[0], "thing4"), "see you at the old..");
    // Who has no name is called by an openid that people can read.
    assert_eq!(field(&shown[0], "thing1"), "alice");
}

/// A v1 client's message to bob.
async fn say(client: &mut Client, id: &str) {
    client.say("bob", id, "x").await;
}
