//! What the chat brings to whom, of what has no way in from a client.

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler};

use futures_util::future::BoxFuture;

use super::messages::{Arrived, ClusterEvent, ClusterEventKind, Connect, Wake};
use super::outbox::{Bounds, Outbox};
use super::ports::{ChatPorts, Cluster, ConversationStore};
use super::*;
use crate::event::revocation::Issued;
use crate::event::{
    Audience, CommitSubscriber, Committed, Conversation, Delivered, Event, LastSeen, MemberSettings, Message,
    Receipt,
};
use crate::ids::{Device, Kind, OpenId, Seq, SessionId};
use crate::lifecycle::{Draining, Vital};
use crate::metrics::Metrics;
use crate::protocol::{Dialect, FrameLimits};

struct Sleeper;

impl Actor for Sleeper {
    type Context = Context<Self>;
}

impl Handler<Wake> for Sleeper {
    type Result = ();

    fn handle(&mut self, _: Wake, _: &mut Self::Context) {}
}

/// A chat with other nodes, and sessions of users that have got their `init`.
struct Rig {
    chat: Addr<ChatServer>,
    bounds: Arc<Bounds>,
    metrics: Metrics,
    subscriber: Subscriber,
}

/// A store of one conversation, Alice's with Bob.
struct Stored(Vec<Message>);

impl ConversationStore for Stored {
    fn write_mark(&self, receipt: Receipt) -> Result<(), Receipt> {
        Err(receipt)
    }

    fn typing_audience(&self, _: OpenId, _: Conversation) -> BoxFuture<'static, Audience> {
        Box::pin(ready(Audience::nobody()))
    }

    fn visible_presence(
        &self,
        _: OpenId,
        _: Vec<OpenId>,
    ) -> BoxFuture<'static, Option<HashMap<OpenId, Option<LastSeen>>>> {
        Box::pin(ready(Some(HashMap::new())))
    }

    fn between(
        &self,
        _: OpenId,
        _: Conversation,
        after: Seq,
        before: Seq,
    ) -> BoxFuture<'static, Vec<Message>> {
        let found = self.0.iter().filter(|m| m.seq > after && m.seq < before);
        Box::pin(ready(found.cloned().collect()))
    }
}

struct OtherNodes;

impl Cluster for OtherNodes {
    fn publish(&self, _: Vec<ClusterEvent>) {}

    fn follow(&self, _: OpenId) -> BoxFuture<'static, ()> {
        Box::pin(ready(()))
    }

    fn unfollow(&self, _: OpenId) {}
}

/// Notes what stood in these outboxes when it heard of a commit.
#[derive(Clone, Default)]
struct Subscriber {
    outboxes: Arc<Mutex<Vec<Arc<Outbox>>>>,
    found: Arc<Mutex<Vec<Vec<String>>>>,
}

impl CommitSubscriber for Subscriber {
    fn committed(&self, commit: &Arc<Delivered>) {
        assert_eq!(commit.events.len(), 1);
        let outboxes = self.outboxes.lock().unwrap();
        self.found.lock().unwrap().extend(outboxes.iter().map(|outbox| frames(outbox)));
    }
}

/// `stored`: what the database has.
fn rig(stored: Vec<Message>) -> Rig {
    let subscriber = Subscriber::default();
    let ports = ChatPorts {
        store: Box::new(Stored(stored)),
        cluster: Some(Box::new(OtherNodes)),
        subscribers: vec![Box::new(subscriber.clone())],
    };
    let settings = ChatSettings {
        node: "n".into(),
        registry: RegistryLimits { sessions_per_user: 8, replacements_per_minute: 5 },
        pulse: KeepaliveTimeouts { ping_after: 40_000, dead_after: 75_000 },
        heartbeat_ms: 30_000,
        frames: FrameLimits {
            frame_bytes: 1,
            message_bytes: 1,
            fields_bytes: 1,
            messages_per_second: 1,
            message_burst: 1,
        },
    };
    let (metrics, draining) = (Metrics::new(), Draining::default());
    draining.begin();
    let bounds = Bounds::new(1 << 20, 1 << 25, metrics.outbox_bytes.clone());
    let chat = ChatServer::new(settings, metrics.clone(), Vital::new("chat", &draining), ports).start();
    Rig { chat, bounds, metrics, subscriber }
}

fn id(name: &str) -> OpenId {
    OpenId::parse(name).unwrap()
}

fn seq(number: i64) -> Seq {
    Seq::parse(number).unwrap()
}

fn frames(outbox: &Outbox) -> Vec<String> {
    outbox.take(1 << 20).frames.iter().map(ToString::to_string).collect()
}

impl Rig {
    async fn session(&self, openid: &str, dialect: Dialect, device: &str) -> Arc<Outbox> {
        let outbox = Arc::new(Outbox::new(self.bounds.clone(), 0));
        let connect = Connect {
            openid: id(openid),
            session: SessionId::fresh(),
            dialect,
            device: Device::parse(device).ok(),
            issued: Issued::by_time(0),
            open_chat: None,
            outbox: outbox.clone(),
            wake: Sleeper.start().recipient(),
        };
        self.chat.send(connect).await.unwrap();
        assert_eq!(self.next(&outbox, 1).await.len(), 1);
        outbox
    }

    /// So many frames.
    async fn next(&self, outbox: &Outbox, many: usize) -> Vec<String> {
        let mut all = Vec::new();
        while all.len() < many {
            all.extend(frames(outbox));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        all
    }

    /// Another node says that these messages of Alice's to Bob were stored; of each a frame that says its
    /// seq.
    async fn hear(&self, seqs: impl IntoIterator<Item = (i64, Option<i64>)>) {
        let kind = |(number, target): (i64, Option<i64>)| ClusterEventKind::Message {
            conversation: Conversation::direct(id("alice"), id("bob")),
            seq: seq(number),
            incoming: true,
            target: target.map(seq),
            frame: number.to_string().into(),
        };
        self.chat
            .send(Arrived(
                seqs.into_iter().map(|one| ClusterEvent { to: id("bob"), kind: kind(one) }).collect(),
            ))
            .await
            .unwrap();
    }
}

#[actix_web::test]
async fn a_frame_waits_for_its_predecessor_and_what_is_late_comes_to_plain_clients_only() {
    let rig = rig(Vec::new());
    let (v1, plain) =
        (rig.session("bob", Dialect::V1, "v1").await, rig.session("bob", Dialect::Plain, "plain").await);
    rig.hear([(1, None), (3, None), (4, None), (2, None)]).await;
    for outbox in [&v1, &plain] {
        assert_eq!(frames(outbox), ["1", "2", "3", "4"]);
    }
    rig.hear([(7, None), (8, None)]).await;
    for outbox in [&v1, &plain] {
        assert_eq!(rig.next(outbox, 2).await, ["7", "8"]);
    }
    rig.hear([(6, None), (9, None)]).await;
    assert_eq!((frames(&v1), frames(&plain)), (vec!["9".to_owned()], vec!["6".to_owned(), "9".to_owned()]));
    assert_eq!(
        (rig.metrics.frames_out_of_turn.get(), rig.metrics.frames_late.get(), rig.metrics.frames_held.get()),
        (4, 2, 0)
    );
}

#[actix_web::test]
async fn what_no_node_tells_comes_out_of_the_database_in_its_place() {
    let stored = (1..=3).map(|number| Message {
        seq: seq(number),
        sender: id("alice"),
        kind: Kind::parse("text").unwrap(),
        body: "{}".into(),
        // By the clock of a node that is far behind.
        sent_at: 0,
        client_msg_id: None,
        recalled: false,
        target: None,
        quote: None,
    });
    let rig = rig(stored.collect());
    let (v1, plain) =
        (rig.session("bob", Dialect::V1, "v1").await, rig.session("bob", Dialect::Plain, "plain").await);
    rig.hear([(1, None), (4, None)]).await;
    for outbox in [&v1, &plain] {
        let told = rig.next(outbox, 4).await;
        assert!(told[1].contains(r#""seq":2,"#) && told[2].contains(r#""seq":3,"#), "{told:?}");
        assert_eq!((told[0].as_str(), told[3].as_str()), ("1", "4"));
    }
    assert_eq!((rig.metrics.gap_reads.get(), rig.metrics.frames_late.get()), (1, 0));
}

#[actix_web::test]
async fn a_message_does_not_come_after_its_recall() {
    let rig = rig(Vec::new());
    let plain = rig.session("bob", Dialect::Plain, "plain").await;
    // The first frame of the conversation waits for nobody.
    rig.hear([(5, Some(4)), (4, None), (3, None), (6, None)]).await;
    assert_eq!(frames(&plain), ["5", "3", "6"]);
}

#[actix_web::test]
async fn settings_come_to_the_users_own_v1_sessions_before_others_hear_of_the_commit() {
    let rig = rig(Vec::new());
    let sessions = [
        ("bob", Dialect::V1, "phone"),
        ("bob", Dialect::V1, "tablet"),
        ("bob", Dialect::Plain, "old"),
        ("alice", Dialect::V1, "a"),
    ];
    let mut outboxes = Vec::new();
    for (openid, dialect, device) in sessions {
        outboxes.push(rig.session(openid, dialect, device).await);
    }
    *rig.subscriber.outboxes.lock().unwrap() = outboxes;
    let events = vec![Event::Settings {
        openid: id("bob"),
        conversation: Conversation::direct(id("alice"), id("bob")),
        settings: MemberSettings { muted: true, pinned: false },
    }];
    rig.chat.send(Committed { events, places: None }).await.unwrap();
    let frame = r#"{"type":"settings","peer":"alice","muted":true,"pinned":false}"#.to_owned();
    assert_eq!(*rig.subscriber.found.lock().unwrap(), [vec![frame.clone()], vec![frame], vec![], vec![]]);
}
