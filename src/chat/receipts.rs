//! Receipts that nobody waits for: what devices say they have, and, by the seed's rule, that what is pushed
//! to a plain session whose open chat is its sender counts as read. They are gathered here and written now
//! and then, off the way of the messages.

use std::collections::HashMap;

use crate::event::{Conversation, Receipt, ReceiptKind};
use crate::ids::{OpenId, Seq, SessionId};

/// Marks that may wait, some 200 bytes each. Beyond it new ones are turned away: one that names a later seq
/// will come.
const MARKS_AT_MOST: usize = 100_000;

type Key = (ReceiptKind, OpenId, Conversation);

/// The marks that wait, one a conversation, user and kind: a flood of receipts costs two writes a second.
#[derive(Default)]
pub struct Receipts(HashMap<Key, (Seq, Option<SessionId>)>);

impl Receipts {
    /// Keeps the receipt until the next [`Receipts::flush`], unless it waits already or a later one does;
    /// `false` where there is no room.
    pub fn note(&mut self, receipt: Receipt) -> bool {
        let Receipt { kind, openid, conversation, seq, session } = receipt;
        let is_full = self.0.len() >= MARKS_AT_MOST;
        let key = (kind, openid, conversation);
        match self.0.get_mut(&key) {
            Some(mark) if seq > mark.0 => *mark = (seq, session),
            Some(_) => {}
            None if is_full => return false,
            None => drop(self.0.insert(key, (seq, session))),
        }
        true
    }

    /// Hands what waits to `write`, until it gives one back; those left are kept.
    pub fn flush(&mut self, mut write: impl FnMut(Receipt) -> Result<(), Receipt>) {
        let mut waiting = std::mem::take(&mut self.0).into_iter();
        for (key, mark) in waiting.by_ref() {
            if let Err(back) = write(receipt(key, mark)) {
                self.note(back);
                break;
            }
        }
        // Into a new map, which has another order: nobody is always the last.
        self.0.extend(waiting);
    }

    /// Takes what one user has read of one conversation.
    pub fn take_read(&mut self, openid: &OpenId, conversation: &Conversation) -> Option<Receipt> {
        let key = (ReceiptKind::Read, openid.clone(), conversation.clone());
        self.0.remove(&key).map(|mark| receipt(key, mark))
    }
}

fn receipt((kind, openid, conversation): Key, (seq, session): (Seq, Option<SessionId>)) -> Receipt {
    Receipt { kind, openid, conversation, seq, session }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(peer: &str, seq: i64) -> Receipt {
        let (openid, peer) = (OpenId::parse("a").unwrap(), OpenId::parse(peer).unwrap());
        let conversation = Conversation::direct(openid.clone(), peer);
        Receipt {
            kind: ReceiptKind::Read,
            openid,
            conversation,
            seq: Seq::parse(seq).unwrap(),
            session: None,
        }
    }

    #[test]
    fn the_highest_mark_is_written_once_and_a_refused_one_is_kept() {
        let mut receipts = Receipts::default();
        for n in [3, 5, 4] {
            receipts.note(read("b", n));
        }
        receipts.note(Receipt { kind: ReceiptKind::Recv, ..read("b", 9) });
        receipts.flush(Err);
        let mut written = Vec::new();
        receipts.flush(|r| {
            written.push((r.kind == ReceiptKind::Read, r.seq.get()));
            Ok(())
        });
        receipts.flush(|_| panic!("nothing waits"));
        written.sort_unstable();
        assert_eq!(written, [(false, 9), (true, 5)]);
    }

    #[test]
    fn when_no_more_are_taken_the_rest_waits() {
        let mut receipts = Receipts::default();
        for n in 1..=9 {
            receipts.note(read(&format!("p{n}"), n));
        }
        let mut written = Vec::new();
        for _ in 0..3 {
            let mut places = 3;
            receipts.flush(|r| {
                if places == 0 {
                    return Err(r);
                }
                places -= 1;
                written.push(r.seq.get());
                Ok(())
            });
        }
        written.sort_unstable();
        assert_eq!(written, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn a_flood_is_turned_away_and_who_waits_may_move_on() {
        let mut receipts = Receipts::default();
        assert!((0..MARKS_AT_MOST).all(|n| receipts.note(read(&format!("p{n}"), 1))));
        assert!(!receipts.note(read("one-more", 1)));
        assert!(receipts.note(read("p7", 2)));
    }
}
