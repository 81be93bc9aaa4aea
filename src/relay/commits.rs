//! Hints of a commit for the other nodes.

use crate::chat::messages::{ClusterEvent, ClusterEventKind};
use crate::event::{Event, Receipt};
use crate::ids::OpenId;
use crate::protocol::outbound;

/// Hints of what was committed here, in commit order, for each of those who hear of it: the devices of one user
/// may be on several nodes.
pub(super) fn hints(events: &[Event]) -> Vec<ClusterEvent> {
    let mut hints = Vec::with_capacity(2 * events.len());
    for event in events {
        add(event, &mut hints);
    }
    hints
}

fn add(event: &Event, hints: &mut Vec<ClusterEvent>) {
    let mut hint = |to: &OpenId, kind| hints.push(ClusterEvent { to: to.clone(), kind });
    match event {
        Event::Appended { draft, audience, seq, sent_at, quote, .. } => {
            let frame = outbound::message(draft, *seq, *sent_at, quote.as_deref());
            for to in audience.iter() {
                let message = ClusterEventKind::Message {
                    conversation: draft.conversation.clone(),
                    seq: *seq,
                    incoming: *to != draft.sender,
                    target: draft.target,
                    frame: frame.clone(),
                };
                hint(to, message);
            }
        }
        Event::Repeated { draft, audience, stored, .. } if !audience.is_empty() => {
            let frame: bytestring::ByteString = outbound::stored(stored, &draft.conversation).into();
            for to in audience.iter() {
                hint(to, ClusterEventKind::Frame(frame.clone()));
            }
        }
        Event::Marked { receipt, audience, .. } => {
            for to in audience.iter() {
                hint(to, ClusterEventKind::Receipt(Receipt { session: None, ..receipt.clone() }));
            }
        }
        Event::Cleared { openid, conversation, seq } => {
            hint(openid, ClusterEventKind::Cleared { conversation: conversation.clone(), seq: *seq })
        }
        Event::Settings { openid, conversation, settings } => {
            hint(openid, ClusterEventKind::Frame(outbound::settings(openid, conversation, *settings)))
        }
        Event::PresenceWithdrawn { openid, from } => {
            hint(openid, ClusterEventKind::PresenceWithdrawn { from: from.clone() })
        }
        // Nobody on another node waits for these.
        Event::Repeated { .. }
        | Event::Refused { .. }
        | Event::MarkUnstored(_)
        | Event::MarkRefused { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{
        Audience, Conversation, Draft, MemberSettings, Message, ReceiptKind, Refusal, RequestState,
    };
    use crate::ids::{Kind, Seq, SessionId};

    fn id(name: &str) -> OpenId {
        OpenId::parse(name).unwrap()
    }

    fn with_alice(peer: &str) -> Conversation {
        Conversation::direct(id("alice"), id(peer))
    }

    fn draft(peer: &str) -> Draft {
        Draft {
            session: SessionId::fresh(),
            request_id: None,
            sender: id("alice"),
            conversation: with_alice(peer),
            client_msg_id: None,
            kind: Kind::parse("text").unwrap(),
            body: "{}".into(),
            target: None,
            quote: None,
        }
    }

    fn told(event: Event) -> Vec<(String, ClusterEventKind)> {
        hints(&[event]).into_iter().map(|hint| (hint.to.to_string(), hint.kind)).collect()
    }

    fn to(event: Event) -> Vec<String> {
        told(event).into_iter().map(|(to, _)| to).collect()
    }

    #[test]
    fn all_who_hear_of_a_message_are_told_on_other_nodes() {
        let seq = Seq::ZERO.next();
        let (alice, bob) = (id("alice"), id("bob"));
        let appended = |peer, audience| Event::Appended {
            draft: draft(peer),
            audience,
            seq,
            sent_at: 5,
            quote: None,
            request: RequestState::Open,
        };
        let frame = outbound::message(&draft("bob"), seq, 5, None);
        let message = |incoming| ClusterEventKind::Message {
            conversation: with_alice("bob"),
            seq,
            incoming,
            target: None,
            frame: frame.clone(),
        };
        assert_eq!(
            told(appended("bob", Audience::both(&alice, &bob))),
            [("alice".into(), message(false)), ("bob".into(), message(true))]
        );
        assert_eq!(to(appended("alice", Audience::both(&alice, &alice))), ["alice"]);
    }

    #[test]
    fn a_quiet_repeat_and_what_is_refused_go_nowhere() {
        let stored = Message {
            seq: Seq::ZERO.next(),
            sender: id("alice"),
            kind: Kind::parse("text").unwrap(),
            body: "{}".into(),
            sent_at: 5,
            client_msg_id: None,
            recalled: false,
            target: None,
            quote: None,
        };
        let repeated = |audience| Event::Repeated {
            draft: draft("bob"),
            audience,
            stored: stored.clone(),
            request: RequestState::Open,
        };
        assert_eq!(to(repeated(Audience::both(&id("alice"), &id("bob")))), ["alice", "bob"]);
        assert_eq!(to(repeated(Audience::nobody())), [""; 0]);
        assert_eq!(to(Event::Refused { draft: draft("bob"), why: Refusal::Unavailable }), [""; 0]);
    }

    #[test]
    fn a_mark_goes_to_those_who_hear_of_it_and_names_no_session() {
        let receipt = |session| Receipt {
            kind: ReceiptKind::Read,
            openid: id("bob"),
            conversation: with_alice("bob"),
            seq: Seq::ZERO.next(),
            session,
        };
        let marked = |audience| Event::Marked {
            receipt: receipt(Some(SessionId::fresh())),
            audience,
            request_id: None,
        };
        let hint = |to: &str| (to.to_owned(), ClusterEventKind::Receipt(receipt(None)));
        assert_eq!(told(marked(Audience::both(&id("bob"), &id("alice")))), [hint("bob"), hint("alice")]);
        assert_eq!(to(marked(Audience::only(&id("bob")))), ["bob"]);
        assert_eq!(to(marked(Audience::nobody())), [""; 0]);
    }

    #[test]
    fn settings_and_a_cleared_view_go_to_the_user_alone() {
        let frame = r#"{"type":"settings","peer":"alice","muted":false,"pinned":true}"#;
        let settings = MemberSettings { muted: false, pinned: true };
        assert_eq!(
            told(Event::Settings { openid: id("bob"), conversation: with_alice("bob"), settings }),
            [("bob".into(), ClusterEventKind::Frame(frame.into()))]
        );
        let (conversation, seq) = (with_alice("bob"), Seq::ZERO.next());
        assert_eq!(
            told(Event::Cleared { openid: id("bob"), conversation: conversation.clone(), seq }),
            [("bob".into(), ClusterEventKind::Cleared { conversation, seq })]
        );
    }
}
