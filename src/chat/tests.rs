//! What the chat brings to whom, of what has no way in from a client.

use std::sync::{Arc, Mutex};

use actix::{Actor, Context, Handler};

use super::messages::{Connect, Hint, Wake, What};
use super::outbox::{Bounds, Outbox};
use super::*;
use crate::event::{Committed, Event, Places};
use crate::ids::{Device, OpenId, SessionId};
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

#[actix_web::test]
async fn settings_come_to_the_users_own_v1_sessions_on_every_node() {
    let hints = Arc::new(Mutex::new(Vec::new()));
    let heard = hints.clone();
    let relay = RelayWires {
        publish: Box::new(move |hints| heard.lock().unwrap().extend(hints)),
        follow: Box::new(|_| Box::pin(std::future::ready(()))),
        unfollow: Box::new(|_| {}),
    };
    let wires = Wires {
        write_mark: Box::new(Err),
        may_reach: Box::new(|_, _| Box::pin(std::future::ready(false))),
        stored: None,
        relay: Some(relay),
    };
    let settings = ChatSettings {
        registry: RegistryLimits { sessions_per_user: 8, replacements_per_minute: 5 },
        pulse: Pulse { ping_after: 40_000, dead_after: 75_000 },
        heartbeat_ms: 30_000,
        frames: FrameLimits { frame_bytes: 1, message_bytes: 1, fields_bytes: 1, messages_per_second: 1, message_burst: 1 },
    };
    let (metrics, draining) = (Metrics::new(), Draining::default());
    draining.begin();
    let bounds = Bounds::new(1 << 20, 1 << 25, metrics.outbox_bytes.clone());
    let chat = ChatServer::new(settings, metrics, Vital::new("chat", &draining), wires).start();
    let [alice, bob] = ["alice", "bob"].map(|name| OpenId::parse(name).unwrap());
    let sessions = [(&bob, Dialect::V1, "phone"), (&bob, Dialect::V1, "tablet"), (&bob, Dialect::Plain, "old"), (&alice, Dialect::V1, "a")];
    let mut outboxes = Vec::new();
    for (openid, dialect, device) in sessions {
        let outbox = Outbox::new(bounds.clone(), 0);
        outboxes.push(Arc::new(outbox));
        let (openid, device) = (openid.clone(), Device::parse(device).ok());
        let (outbox, wake) = (outboxes.last().unwrap().clone(), Sleeper.start().recipient());
        chat.send(Connect {
            openid,
            session: SessionId::fresh(),
            dialect,
            device,
            issued: crate::event::revocation::Issued::by_time(0),
            open_chat: None,
            outbox,
            wake,
        })
        .await
        .unwrap();
    }
    let frames = |outbox: &Outbox| outbox.take(1 << 20).frames.iter().map(ToString::to_string).collect::<Vec<_>>();
    for outbox in &outboxes {
        while frames(outbox).is_empty() {
            tokio::task::yield_now().await;
        }
    }
    hints.lock().unwrap().clear();
    let events = vec![Event::Settings { openid: bob.clone(), peer: alice, muted: true }];
    chat.send(Committed { events, places: Places::take(&Arc::default(), 1).unwrap() }).await.unwrap();
    let told: Vec<_> = outboxes.iter().map(|outbox| frames(outbox)).collect();
    let frame = r#"{"type":"settings","peer":"alice","muted":true}"#.to_owned();
    assert_eq!(told, [vec![frame.clone()], vec![frame.clone()], vec![], vec![]]);
    assert_eq!(*hints.lock().unwrap(), [Hint { to: bob, what: What::Frame(frame.into()) }]);
}
