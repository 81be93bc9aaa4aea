//! Acks in time and late.

use std::collections::HashMap;
use std::future::ready;
use std::sync::Arc;

use actix::{Actor, Addr, Context, Handler};
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::super::messages::{Connect, Wake};
use super::super::outbox::{Bounds, Outbox};
use super::super::ports::{ChatPorts, ConversationStore};
use super::super::*;
use crate::event::revocation::Issued;
use crate::event::{
    Audience, Committed, Conversation, Draft, Event, LastSeen, Message, Receipt, Refusal, RequestState,
};
use crate::ids::{ClientMsgId, Device, Kind, OpenId, RequestId, Seq, SessionId};
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

/// A store that is asked nothing.
struct Unasked;

impl ConversationStore for Unasked {
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

    fn between(&self, _: OpenId, _: Conversation, _: Seq, _: Seq) -> BoxFuture<'static, Vec<Message>> {
        Box::pin(ready(Vec::new()))
    }
}

/// A chat without other nodes.
struct Rig {
    chat: Addr<ChatServer>,
    bounds: Arc<Bounds>,
}

/// A session, as the chat sees it.
struct Seat {
    session: SessionId,
    outbox: Arc<Outbox>,
}

impl Rig {
    fn new() -> Self {
        let ports = ChatPorts { store: Box::new(Unasked), cluster: None, subscribers: Vec::new() };
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
        let chat = ChatServer::new(settings, metrics, Vital::new("chat", &draining), ports).start();
        Self { chat, bounds }
    }

    async fn sit(&self, openid: &str, dialect: Dialect) -> Seat {
        let (session, outbox) = (SessionId::fresh(), Arc::new(Outbox::new(self.bounds.clone(), 0)));
        // Two sessions of one moment differ at the end.
        let label = session.to_string();
        let (openid, device) = (o(openid), Device::parse(&label[label.len() - 8..]).ok());
        let wake = Sleeper.start().recipient();
        let connect = Connect {
            openid,
            session,
            dialect,
            device,
            issued: Issued::by_time(0),
            open_chat: None,
            outbox: outbox.clone(),
            wake,
        };
        self.chat.send(connect).await.unwrap();
        let seat = Seat { session, outbox };
        assert_eq!(seat.hears()[0]["type"], "init");
        seat
    }

    async fn commit(&self, event: Event) {
        self.chat.send(Committed { events: vec![event], places: None }).await.unwrap();
    }
}

impl Seat {
    fn hears(&self) -> Vec<Value> {
        self.outbox.take(1 << 20).frames.iter().map(|frame| serde_json::from_str(frame).unwrap()).collect()
    }

    /// The one frame that came.
    fn hears_one(&self) -> Value {
        let frames = self.hears();
        assert_eq!(frames.len(), 1, "{frames:?}");
        frames[0].clone()
    }

    fn sends(&self, openid: &str, client_msg_id: Option<&str>) -> Draft {
        Draft {
            session: self.session,
            request_id: Some(RequestId::parse(r#""q""#, "q").unwrap()),
            sender: o(openid),
            conversation: Conversation::direct(o(openid), o("bob")),
            client_msg_id: client_msg_id.map(|id| ClientMsgId::parse(id).unwrap()),
            kind: Kind::parse("text").unwrap(),
            body: r#"{"message":"hi"}"#.into(),
            target: None,
            quote: None,
        }
    }
}

fn o(text: &str) -> OpenId {
    OpenId::parse(text).unwrap()
}

fn appended(draft: &Draft, request: RequestState) -> Event {
    Event::Appended {
        draft: draft.clone(),
        audience: members(draft),
        seq: Seq::ZERO.next(),
        sent_at: 5,
        quote: None,
        request,
    }
}

fn members(draft: &Draft) -> Audience {
    Audience::both(&draft.sender, draft.conversation.peer(&draft.sender).unwrap())
}

fn repeated(draft: &Draft, is_quiet: bool, request: RequestState) -> Event {
    let Draft { sender, kind, body, client_msg_id, target, .. } = draft.clone();
    let stored = Message {
        seq: Seq::ZERO.next(),
        sender,
        kind,
        body,
        sent_at: 5,
        client_msg_id,
        recalled: false,
        target,
        quote: None,
    };
    let audience = if is_quiet { Audience::nobody() } else { members(draft) };
    Event::Repeated { draft: draft.clone(), audience, stored, request }
}

#[actix_web::test]
async fn what_was_answered_as_unavailable_is_acked_without_an_id_and_gives_no_second_place() {
    let rig = Rig::new();
    let (phone, tablet) = (rig.sit("alice", Dialect::V1).await, rig.sit("alice", Dialect::V1).await);
    let bob = rig.sit("bob", Dialect::Plain).await;
    let draft = phone.sends("alice", Some("m"));
    rig.commit(Event::Refused { draft: draft.clone(), why: Refusal::Unavailable }).await;
    let error = phone.hears_one();
    assert_eq!(
        (&error["error"], &error["id"], phone.outbox.take_answered()),
        (&"unavailable".into(), &"q".into(), 1)
    );
    rig.commit(appended(&draft, RequestState::Answered)).await;
    let ack = phone.hears_one();
    assert_eq!(
        (&ack["type"], &ack["client_msg_id"], &ack["seq"], ack.get("id")),
        (&"ack".into(), &"m".into(), &1.into(), None)
    );
    assert_eq!(phone.outbox.take_answered(), 0);
    // Everybody else hears it as ever.
    assert_eq!(
        (tablet.hears_one()["message"].clone(), bob.hears_one()["message"].clone()),
        ("hi".into(), "hi".into())
    );
    // In time it is an answer.
    rig.commit(appended(&phone.sends("alice", Some("n")), RequestState::Open)).await;
    let ack = phone.hears_one();
    assert_eq!((&ack["type"], &ack["id"], phone.outbox.take_answered()), (&"ack".into(), &"q".into(), 1));
}

#[actix_web::test]
async fn what_has_no_name_of_its_own_is_given_to_its_sender_as_it_is_stored() {
    let rig = Rig::new();
    let (phone, old) = (rig.sit("alice", Dialect::V1).await, rig.sit("carol", Dialect::Plain).await);
    for event in [appended, |draft: &Draft, request| repeated(draft, false, request)] {
        rig.commit(event(&phone.sends("alice", None), RequestState::Answered)).await;
        let given = phone.hears_one();
        assert_eq!(
            (&given["type"], &given["message"], &given["seq"]),
            (&"text".into(), &"hi".into(), &1.into())
        );
        assert_eq!(phone.outbox.take_answered(), 0);
        // A plain client would take it for another's.
        rig.commit(event(&old.sends("carol", None), RequestState::Answered)).await;
        assert_eq!(old.hears(), [] as [Value; 0]);
    }
}
