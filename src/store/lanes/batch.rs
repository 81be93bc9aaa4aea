//! Outcome of each write of a batch, and how it is told: the same for both databases.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::event::revocation::Revoked;
use crate::event::{
    Audience, Conversation, Draft, Event, Message, Quote, Receipt, ReceiptKind, Refusal, RequestState,
};
use crate::ids::{OpenId, Seq};
use crate::store::blocks::{Block, BlockChange};
use crate::store::conversations::Clear;
use crate::store::lanes::command::{AnyReply, Order, PendingReply};
use crate::store::messages::allowance::row;
use crate::store::messages::content;
use crate::store::messages::{Admission, Append};
use crate::store::receipts::Mark;
use crate::store::{Reply, Write};

/// What became of one write, once its transaction is durable.
#[derive(Debug)]
pub(in crate::store) enum Outcome {
    Appended {
        seq: Seq,
        sent_at: i64,
        quote: Option<Box<Quote>>,
        roster: Roster,
    },
    Repeated {
        stored: Message,
        /// The recipient has blocked the sender.
        blocked_by_peer: bool,
        roster: Roster,
    },
    Refused(Refusal),
    /// A mark stands at `seq` now; `moved` by this write or not. `to_peer`: the peer may know of it.
    Mark {
        seq: Seq,
        moved: bool,
        to_peer: bool,
    },
    /// Of a [`Command`](super::command::Command); `is_outdated`: another write that set the same was told meanwhile.
    Command {
        reply: AnyReply,
        is_outdated: bool,
    },
    Done,
}

/// Members of the conversation of a message, at its commit.
#[derive(Debug, Clone)]
pub(in crate::store) enum Roster {
    /// Of a direct conversation, whose key names both.
    Direct,
    /// Of a group, shared by the messages of a batch.
    Group(Arc<[OpenId]>),
}

impl From<Result<AnyReply, Refusal>> for Outcome {
    fn from(outcome: Result<AnyReply, Refusal>) -> Self {
        outcome.map_or_else(Self::Refused, |reply| Self::Command { reply, is_outdated: false })
    }
}

impl Outcome {
    /// Outcome without the change that is outdated, because a mark up to `told`, or newer settings, were
    /// emitted already.
    pub(in crate::store) fn told_up_to(self, told: Seq) -> Self {
        match self {
            Self::Mark { seq, moved, to_peer } => Self::Mark { seq, moved: moved && seq > told, to_peer },
            Self::Command { reply, .. } => Self::Command { reply, is_outdated: true },
            outcome => outcome,
        }
    }
}

/// What a write keeps its order with.
pub(in crate::store) fn order(write: &Write) -> Order {
    Order::Conversation(match write {
        Write::Append(w) => w.draft.conversation.clone(),
        Write::Mark(Mark { receipt: w }) => w.conversation.clone(),
        Write::Clear(w) => w.conversation.clone(),
        Write::Block(w) => Conversation::direct(w.openid.clone(), w.peer.clone()),
        Write::Command(w) => return w.command.order(),
    })
}

/// Whether it is a message to a group, or a mark in one.
pub(in crate::store) fn is_of_group(write: &Write) -> bool {
    let conversation = match write {
        Write::Append(w) => &w.draft.conversation,
        Write::Mark(Mark { receipt: w }) => &w.conversation,
        Write::Clear(w) => &w.conversation,
        Write::Block(_) | Write::Command(_) => return false,
    };
    matches!(conversation, Conversation::Group(_))
}

/// What a message that is stored already says to one who sends it again.
pub(in crate::store) fn repeat(
    append: &Append,
    stored: Message,
    blocked_by_peer: bool,
    roster: Roster,
) -> Outcome {
    // Of a recalled message there is nothing left to compare, and a recall has nothing but its target.
    if stored.recalled
        || stored.target.is_some()
        || (append.draft.quote == stored.quote.as_ref().map(|quote| quote.seq)
            && same_content(
                append.draft.kind.as_str(),
                &append.draft.body,
                stored.kind.as_str(),
                &stored.body,
            ))
    {
        Outcome::Repeated { stored, blocked_by_peer, roster }
    } else {
        Outcome::Refused(Refusal::Conflict)
    }
}

/// Compared are the fields that count: a resend may carry another frame id, and its clock has moved on.
fn same_content(kind: &str, body: &str, stored_kind: &str, stored_body: &str) -> bool {
    kind == stored_kind
        && (body == stored_body || content::same(body, stored_body, &["id", "date", "created_at"]))
}

/// The message that a draft became.
pub(in crate::store) fn message(draft: &Draft, seq: Seq, sent_at: i64, quote: Option<Box<Quote>>) -> Message {
    Message {
        seq,
        sender: draft.sender.clone(),
        kind: draft.kind.clone(),
        body: draft.body.clone(),
        sent_at,
        client_msg_id: draft.client_msg_id.clone(),
        recalled: false,
        target: draft.target,
        quote,
    }
}

/// What of a recalled message is left of its sender's fields.
pub(in crate::store) const RECALLED_BODY: &str = "{}";

/// Which of a member's marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::store) enum MarkKind {
    Read,
    Recv,
    Cleared,
}

impl From<ReceiptKind> for MarkKind {
    fn from(kind: ReceiptKind) -> Self {
        match kind {
            ReceiptKind::Read => Self::Read,
            ReceiptKind::Recv => Self::Recv,
        }
    }
}

/// A mark as it moves through a batch: several writes may ask for it.
#[derive(Default)]
pub(in crate::store) struct Marks(HashMap<(OpenId, Conversation, MarkKind), i64>);

impl Marks {
    /// Moves the mark of `who` to `wanted` if that is further; `before` is where it stood before the batch.
    pub(in crate::store) fn advance(
        &mut self,
        who: &OpenId,
        conversation: &Conversation,
        kind: MarkKind,
        before: i64,
        wanted: i64,
    ) -> (i64, bool) {
        let mark = self.0.entry((who.clone(), conversation.clone(), kind)).or_insert(before);
        let moved = wanted > *mark;
        *mark = wanted.max(*mark);
        (*mark, moved)
    }
}

/// A revocation as its row has it: its kind, of one token its issue time, of a ban its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct RevokedRow {
    pub(in crate::store) what: i16,
    pub(in crate::store) issued_ms: Option<i64>,
    pub(in crate::store) until: Option<i64>,
}

/// The kinds of rows that decide whether a user may log in: a ban, and its end.
pub(in crate::store) const DECISIONS: [i16; 2] = [3, 4];

impl From<Revoked> for RevokedRow {
    fn from(revoked: Revoked) -> Self {
        let (what, issued_ms, until) = match revoked {
            Revoked::Token { issued_ms } => (0, Some(issued_ms), None),
            Revoked::AllTokens => (1, None, None),
            Revoked::Sessions => (2, None, None),
            Revoked::Access { until } => (DECISIONS[0], None, until),
            Revoked::Nothing => (DECISIONS[1], None, None),
            Revoked::Lapsed { until } => (DECISIONS[1], None, Some(until)),
        };
        Self { what, issued_ms, until }
    }
}

impl RevokedRow {
    /// `None` for what a newer version may have written.
    pub(in crate::store) fn revoked(self) -> Option<Revoked> {
        Some(match (self.what, self.issued_ms, self.until) {
            (0, Some(issued_ms), _) => Revoked::Token { issued_ms },
            (1, ..) => Revoked::AllTokens,
            (2, ..) => Revoked::Sessions,
            (3, _, until) => Revoked::Access { until },
            (4, _, None) => Revoked::Nothing,
            (4, _, Some(until)) => Revoked::Lapsed { until },
            _ => return None,
        })
    }
}

/// Requester of a write that is being committed.
#[derive(Debug)]
pub(in crate::store) enum Requester {
    /// Waits for the outcome, since its submission.
    Waits { reply: Reply, since: Instant },
    /// Was answered as unavailable at the deadline.
    Answered,
}

/// What is told of a batch, in its order: to the chat, then to those who wait.
#[derive(Default)]
pub(in crate::store) struct Report {
    pub(in crate::store) events: Vec<Event>,
    callers: Vec<(PendingReply, Result<AnyReply, Refusal>)>,
}

impl Report {
    pub(in crate::store) fn with_capacity(writes: usize) -> Self {
        Self { events: Vec::with_capacity(writes), callers: Vec::new() }
    }

    /// Adds the outcome of a write: its event, and the reply to its requester if that still waits.
    pub(in crate::store) fn add(&mut self, write: Write, requester: Requester, outcome: Outcome) {
        match write {
            Write::Append(append) => {
                let reply = replied(&outcome);
                self.events.extend(appended(append, &requester, outcome));
                self.reply(requester, reply);
            }
            Write::Mark(Mark { receipt }) => self.marked(receipt, requester, outcome),
            Write::Clear(Clear { openid, conversation, .. }) => {
                self.reply(requester, replied(&outcome));
                if let Outcome::Mark { seq, moved: true, .. } = outcome {
                    self.events.push(Event::Cleared { openid, conversation, seq });
                }
            }
            Write::Block(Block { openid, peer, change }) => {
                if change == BlockChange::Block && matches!(outcome, Outcome::Done) {
                    self.events.push(Event::PresenceWithdrawn { openid, from: Some(peer) });
                }
                self.reply(requester, replied(&outcome));
            }
            Write::Command(queued) => match outcome {
                Outcome::Command { reply, is_outdated } => {
                    if !is_outdated {
                        self.events.extend(queued.command.event(&reply));
                    }
                    self.reply(requester, Ok(reply));
                }
                outcome => self.reply(requester, replied(&outcome)),
            },
        }
    }

    /// Adds the reply `unavailable` to a write whose deadline is over and whose outcome is open.
    pub(in crate::store) fn add_overdue(&mut self, write: &Write, reply: Reply) {
        let why = Refusal::Unavailable;
        match (write, reply) {
            (Write::Append(Append { draft, .. }), reply) => {
                self.events.push(Event::Refused { draft: draft.clone(), why });
                self.reply_to(reply, Err(why));
            }
            (Write::Mark(Mark { receipt }), Reply::Session(request_id)) => {
                self.events.push(Event::MarkRefused { receipt: receipt.clone(), request_id, why });
            }
            (_, reply) => self.reply_to(reply, Err(why)),
        }
    }

    pub(in crate::store) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.callers.is_empty()
    }

    fn marked(&mut self, receipt: Receipt, requester: Requester, outcome: Outcome) {
        match (outcome, requester) {
            // Any other refusal would be drawn again.
            (Outcome::Refused(Refusal::Unavailable), Requester::Waits { reply: Reply::Nobody, .. }) => {
                self.events.push(Event::MarkUnstored(receipt))
            }
            (Outcome::Refused(why), Requester::Waits { reply: Reply::Session(request_id), .. }) => {
                self.events.push(Event::MarkRefused { receipt, request_id, why });
            }
            (Outcome::Mark { seq, moved, to_peer }, Requester::Waits { reply: Reply::Session(id), .. }) => {
                let audience = audience_of_mark(&receipt, moved, to_peer);
                let receipt = Receipt { seq, ..receipt };
                self.events.push(Event::Marked { receipt, audience, request_id: Some(id) });
            }
            (Outcome::Mark { seq, moved: true, to_peer }, requester) => {
                // A session that was told `unavailable` hears of the mark as all others do.
                let session = receipt.session.filter(|_| matches!(requester, Requester::Waits { .. }));
                let audience = audience_of_mark(&receipt, true, to_peer);
                let receipt = Receipt { seq, session, ..receipt };
                self.events.push(Event::Marked { receipt, audience, request_id: None });
                self.reply(requester, done());
            }
            (outcome, requester) => self.reply(requester, replied(&outcome)),
        }
    }

    fn reply(&mut self, requester: Requester, outcome: Result<AnyReply, Refusal>) {
        if let Requester::Waits { reply, .. } = requester {
            self.reply_to(reply, outcome);
        }
    }

    fn reply_to(&mut self, reply: Reply, outcome: Result<AnyReply, Refusal>) {
        if let Reply::Caller(caller) = reply {
            self.callers.push((caller, outcome));
        }
    }

    /// Tells the calls that wait; called when the events have been handed on.
    pub(in crate::store) fn reply_to_callers(self) {
        for (caller, outcome) in self.callers {
            caller.send(outcome);
        }
    }
}

/// Event of a message; none when its sender was answered already and it is not stored.
fn appended(append: Append, requester: &Requester, outcome: Outcome) -> Option<Event> {
    let kept = kept(&append, &outcome);
    let Append { draft, admission, charge, .. } = append;
    if let Some(charge) = charge {
        charge.keep(kept);
    }
    let request = match requester {
        Requester::Waits { .. } => RequestState::Open,
        Requester::Answered => RequestState::Answered,
    };
    match outcome {
        Outcome::Appended { seq, sent_at, quote, roster } => {
            let audience = audience_of_message(&draft, &roster);
            Some(Event::Appended { draft, audience, seq, sent_at, quote, request })
        }
        Outcome::Repeated { stored, blocked_by_peer, roster } => {
            let is_quiet = blocked_by_peer || matches!(admission, Admission::RepeatsOnly(_));
            let audience = if is_quiet { Audience::nobody() } else { audience_of_message(&draft, &roster) };
            Some(Event::Repeated { draft, audience, stored, request })
        }
        _ if request == RequestState::Answered => None,
        Outcome::Refused(why) => Some(Event::Refused { draft, why }),
        _ => Some(Event::Refused { draft, why: Refusal::Unavailable }),
    }
}

/// All members: of a direct conversation its one or two.
fn audience_of_message(draft: &Draft, roster: &Roster) -> Audience {
    let Draft { sender, conversation, .. } = draft;
    match roster {
        Roster::Direct => {
            conversation.peer(sender).map_or_else(Audience::nobody, |peer| Audience::both(sender, peer))
        }
        Roster::Group(members) => Audience::members(sender, members),
    }
}

/// The mark's owner on all their devices, and where they may know of it the one who wrote what was read.
fn audience_of_mark(receipt: &Receipt, moved: bool, to_peer: bool) -> Audience {
    let Receipt { openid, conversation, .. } = receipt;
    match conversation.peer(openid).filter(|_| to_peer) {
        _ if !moved => Audience::nobody(),
        Some(peer) => Audience::both(openid, peer),
        None => Audience::only(openid),
    }
}

/// The bytes that are stored of a message and of what was found about it.
fn kept(append: &Append, outcome: &Outcome) -> u64 {
    let of_finding =
        append.finding.as_ref().map_or(0, |finding| row(finding.text.as_ref().map_or(0, String::len)));
    match outcome {
        Outcome::Appended { .. } => row(append.draft.body.len()) + of_finding,
        // Whether anything of it is stored is not known.
        Outcome::Repeated { .. } | Outcome::Refused(Refusal::Unavailable) => 0,
        _ => of_finding,
    }
}

fn replied(outcome: &Outcome) -> Result<AnyReply, Refusal> {
    match outcome {
        Outcome::Refused(why) => Err(*why),
        _ => done(),
    }
}

fn done() -> Result<AnyReply, Refusal> {
    Ok(Box::new(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_compared_as_json_without_clock_and_frame_id() {
        assert!(same_content(
            "text",
            r#"{"message":"a","id":"1","date":"x"}"#,
            "text",
            r#"{ "created_at":5, "message":"\u0061" }"#
        ));
        assert!(!same_content("text", r#"{"message":"a"}"#, "text", r#"{"message":"b"}"#));
        assert!(!same_content("text", r#"{"message":"a"}"#, "image", r#"{"message":"a"}"#));
        assert!(!same_content("text", r#"{"message":"a"}"#, "text", r#"{"message":"a","x":1}"#));
    }

    #[test]
    fn revocations_survive_the_log() {
        for what in [
            Revoked::Token { issued_ms: 7 },
            Revoked::AllTokens,
            Revoked::Sessions,
            Revoked::Access { until: None },
            Revoked::Access { until: Some(9) },
            Revoked::Nothing,
            Revoked::Lapsed { until: 9 },
        ] {
            assert_eq!(RevokedRow::from(what).revoked(), Some(what));
        }
        assert_eq!(RevokedRow { what: 99, issued_ms: None, until: None }.revoked(), None);
    }
}
