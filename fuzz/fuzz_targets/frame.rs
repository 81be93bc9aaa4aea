//! One text of a client under both dialects: what is taken as a message is a JSON object of bounded length,
//! in which the sender can name nothing that is the server's, and every answer is JSON.
#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use hongyan::event::cursor::SyncCursor;
use hongyan::event::{Conversation, Draft, Presence, Quote, Quoted, Receipt};
use hongyan::ids::{Address, OpenId, Seq, SessionId};
use hongyan::protocol::client_frame::{RESERVED_TYPES, SERVER_FIELDS, parse};
use hongyan::protocol::outbound::{self, Ack, Failure};
use hongyan::protocol::presence::presence;
use hongyan::protocol::{ClientFrame, Dialect, FrameLimits};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

/// Small, so that short inputs reach them.
const LIMITS: FrameLimits = FrameLimits {
    frame_bytes: 65_536,
    message_bytes: 64,
    fields_bytes: 256,
    messages_per_second: 20,
    message_burst: 40,
};

static ALICE: LazyLock<OpenId> = LazyLock::new(|| OpenId::parse("alice").expect("an openid"));

fn object(text: &str) -> BTreeMap<String, Box<RawValue>> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn accepted(id: Option<&hongyan::ids::RequestId>, frame: ClientFrame) {
    match frame {
        ClientFrame::Message(message) => {
            let fields = object(&message.body);
            assert!(message.body.len() <= LIMITS.fields_bytes);
            assert!(!RESERVED_TYPES.contains(&message.kind.as_str()), "{}", message.kind.as_str());
            assert!(!SERVER_FIELDS.iter().any(|name| fields.contains_key(*name)), "{}", message.body);
            if let Some(text) = fields.get("message") {
                let text: String = serde_json::from_str(text.get()).expect("message is a string");
                assert!(text.len() <= LIMITS.message_bytes);
            }
            let to = message.to.unwrap_or_else(|| Address::User(ALICE.clone()));
            assert!(matches!(to, Address::User(_)), "{to}");
            let named = format!("\"{to}\"");
            let seq = Seq::parse(7).expect("a seq");
            let draft = Draft {
                session: SessionId::fresh(),
                request_id: id.cloned(),
                sender: ALICE.clone(),
                conversation: Conversation::of(&ALICE, to),
                client_msg_id: message.client_msg_id.clone(),
                kind: message.kind.clone(),
                body: message.body.clone(),
                target: None,
                quote: message.quote,
            };
            let quoted = || Quoted::shown(ALICE.clone(), message.kind.clone(), &message.body);
            let quote = message.quote.map(|seq| Quote { seq, quoted: quoted() });
            let pushed = object(&outbound::message(&draft, seq, 9, quote.as_ref()));
            for (name, value) in
                [("status", "200"), ("from_user_openid", "\"alice\""), ("seq", "7"), ("sent_at", "9")]
            {
                assert_eq!(pushed[name].get(), value, "{name}");
            }
            assert_eq!(pushed["to_user_openid"].get(), named);
            assert_eq!(pushed["type"].get(), format!("\"{}\"", message.kind.as_str()));
            let ack = Ack {
                client_msg_id: message.client_msg_id.as_ref(),
                to: draft.conversation.address_str(&ALICE),
                seq,
                sent_at: 9,
                duplicate: false,
            };
            object(&ack.encode(id));
        }
        ClientFrame::Receipt { kind, to, seq } => {
            let conversation = Conversation::of(&ALICE, to);
            let receipt = Receipt { kind, openid: ALICE.clone(), conversation, seq, session: None };
            object(&outbound::receipt(&receipt, id));
        }
        ClientFrame::Typing(to) => {
            object(&outbound::typing(&ALICE, &Conversation::of(&ALICE, to)));
        }
        ClientFrame::Sync(request) => {
            assert!(request.named.len() <= 200 && (1..=200).contains(&request.limit));
            if let Some(cursor) = request.since {
                assert_eq!(SyncCursor::parse(&cursor.encode()), Ok(Some(cursor)));
            }
        }
        ClientFrame::Presence(peers) => {
            assert!(peers.len() <= 200);
            object(&presence(id, peers.iter().map(|peer| (peer, Presence::Unknown))));
        }
        ClientFrame::Heart => {
            if let Some(id) = id {
                object(&outbound::heart(id, 9));
            }
        }
        ClientFrame::Open(_) | ClientFrame::Attention(_) | ClientFrame::Recall { .. } => {}
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for dialect in [Dialect::Plain, Dialect::V1] {
        match parse(text, dialect, &ALICE, &LIMITS) {
            Ok(parsed) => accepted(parsed.id.as_ref(), parsed.frame),
            Err(refused) => {
                let error = refused.error.after(1);
                let (id, client_msg_id) = (refused.id.as_ref(), refused.client_msg_id.as_ref());
                object(&Failure { error: &error, id, client_msg_id }.encode());
            }
        }
    }
});
