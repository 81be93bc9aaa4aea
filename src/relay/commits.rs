//! What the other nodes are told of a commit.

use crate::chat::messages::{ClusterEvent, ClusterEventKind};
use crate::event::Event;
use crate::ids::OpenId;
use crate::protocol::outbound;

/// Hints of what was committed here, in commit order. Of a conversation both parties are told, because the
/// devices of one user may be on several nodes.
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
        Event::Appended { draft, seq, sent_at, .. } => {
            let (sender, peer, frame) =
                (&draft.sender, &draft.peer, outbound::message(draft, *seq, *sent_at));
            let message = |peer: &OpenId, incoming| ClusterEventKind::Message {
                peer: peer.clone(),
                seq: *seq,
                incoming,
                target: draft.target,
                frame: frame.clone(),
            };
            hint(sender, message(peer, false));
            if sender != peer {
                hint(peer, message(sender, true));
            }
        }
        Event::Repeated { draft, stored, quiet: false, .. } => {
            let frame: bytestring::ByteString = outbound::stored(stored, &draft.peer).into();
            hint(&draft.sender, ClusterEventKind::Frame(frame.clone()));
            if draft.sender != draft.peer {
                hint(&draft.peer, ClusterEventKind::Frame(frame));
            }
        }
        Event::Marked { receipt, moved: true, to_peer, .. } => {
            let mark = |peer: &OpenId| ClusterEventKind::Receipt {
                kind: receipt.kind,
                who: receipt.openid.clone(),
                peer: peer.clone(),
                seq: receipt.seq,
            };
            hint(&receipt.openid, mark(&receipt.peer));
            if *to_peer && receipt.peer != receipt.openid {
                hint(&receipt.peer, mark(&receipt.openid));
            }
        }
        Event::Cleared { openid, peer, seq } => {
            hint(openid, ClusterEventKind::Cleared { peer: peer.clone(), seq: *seq })
        }
        Event::Settings { openid, peer, muted } => {
            hint(openid, ClusterEventKind::Frame(outbound::settings(peer, *muted)))
        }
        // Nobody on another node waits for these.
        Event::Repeated { .. }
        | Event::Marked { .. }
        | Event::Refused { .. }
        | Event::MarkUnstored(_)
        | Event::MarkRefused { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Draft, Message, Receipt, ReceiptKind, Refusal, RequestState};
    use crate::ids::{Kind, Seq, SessionId};

    fn id(name: &str) -> OpenId {
        OpenId::parse(name).unwrap()
    }

    fn draft(peer: &str) -> Draft {
        Draft {
            session: SessionId::fresh(),
            request_id: None,
            sender: id("alice"),
            peer: id(peer),
            client_msg_id: None,
            kind: Kind::parse("text").unwrap(),
            body: "{}".into(),
            target: None,
        }
    }

    fn told(event: Event) -> Vec<(String, ClusterEventKind)> {
        hints(&[event]).into_iter().map(|hint| (hint.to.to_string(), hint.kind)).collect()
    }

    fn to(event: Event) -> Vec<String> {
        told(event).into_iter().map(|(to, _)| to).collect()
    }

    #[test]
    fn both_parties_are_told_of_a_message_and_who_writes_to_themselves_once() {
        let seq = Seq::ZERO.next();
        let appended =
            |peer| Event::Appended { draft: draft(peer), seq, sent_at: 5, request: RequestState::Open };
        let frame = outbound::message(&draft("bob"), seq, 5);
        let message = |peer, incoming| ClusterEventKind::Message {
            peer: id(peer),
            seq,
            incoming,
            target: None,
            frame: frame.clone(),
        };
        assert_eq!(
            told(appended("bob")),
            [("alice".into(), message("bob", false)), ("bob".into(), message("alice", true))]
        );
        assert_eq!(to(appended("alice")), ["alice"]);
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
        };
        let repeated = |quiet| Event::Repeated {
            draft: draft("bob"),
            stored: stored.clone(),
            quiet,
            request: RequestState::Open,
        };
        assert_eq!(to(repeated(false)), ["alice", "bob"]);
        assert_eq!(to(repeated(true)), [""; 0]);
        assert_eq!(to(Event::Refused { draft: draft("bob"), why: Refusal::Unavailable }), [""; 0]);
    }

    #[test]
    fn a_mark_that_moved_goes_to_its_owner_and_to_the_peer_who_may_see_it() {
        let marked = |moved, to_peer| Event::Marked {
            receipt: Receipt {
                kind: ReceiptKind::Read,
                openid: id("bob"),
                peer: id("alice"),
                seq: Seq::ZERO.next(),
                session: None,
            },
            moved,
            to_peer,
            request_id: None,
        };
        assert_eq!(to(marked(true, true)), ["bob", "alice"]);
        assert_eq!(to(marked(true, false)), ["bob"]);
        assert_eq!(to(marked(false, true)), [""; 0]);
    }

    #[test]
    fn settings_and_a_cleared_view_go_to_the_user_alone() {
        let frame = r#"{"type":"settings","peer":"alice","muted":true}"#;
        assert_eq!(
            told(Event::Settings { openid: id("bob"), peer: id("alice"), muted: true }),
            [("bob".into(), ClusterEventKind::Frame(frame.into()))]
        );
        let (peer, seq) = (id("alice"), Seq::ZERO.next());
        assert_eq!(
            told(Event::Cleared { openid: id("bob"), peer: peer.clone(), seq }),
            [("bob".into(), ClusterEventKind::Cleared { peer, seq })]
        );
    }
}
