//! The seed's rule: what is pushed to a plain session whose open chat is its sender counts as read.

use std::collections::HashMap;

use crate::ids::{OpenId, Seq};

/// `openid` has read its conversation with `peer` up to `seq`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadMark {
    pub openid: OpenId,
    pub peer: OpenId,
    pub seq: Seq,
}

/// Marks that wait to be written, one a conversation and reader: a chat's flood of messages costs one write a second.
#[derive(Default)]
pub struct Marks(HashMap<(OpenId, OpenId), Seq>);

impl Marks {
    pub fn note(&mut self, openid: &OpenId, peer: &OpenId, seq: Seq) {
        let mark = self.0.entry((openid.clone(), peer.clone())).or_insert(seq);
        *mark = seq.max(*mark);
    }

    /// Hands the marks that wait to `write`, until it gives one back; those left are kept.
    pub fn flush(&mut self, mut write: impl FnMut(ReadMark) -> Result<(), ReadMark>) {
        let mut waiting = std::mem::take(&mut self.0).into_iter();
        for ((openid, peer), seq) in waiting.by_ref() {
            if let Err(mark) = write(ReadMark { openid, peer, seq }) {
                self.0.insert((mark.openid, mark.peer), mark.seq);
                break;
            }
        }
        // Into a new map, which has another order: nobody is always the last.
        self.0.extend(waiting);
    }

    /// Takes the mark of one conversation.
    pub fn take(&mut self, openid: &OpenId, peer: &OpenId) -> Option<ReadMark> {
        let key = (openid.clone(), peer.clone());
        self.0.remove(&key).map(|seq| ReadMark { openid: key.0, peer: key.1, seq })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_mark_is_written_once_and_a_refused_one_is_kept() {
        let (a, b) = (OpenId::parse("a").unwrap(), OpenId::parse("b").unwrap());
        let mut marks = Marks::default();
        for n in [3, 5, 4] {
            marks.note(&a, &b, Seq::parse(n).unwrap());
        }
        marks.flush(Err);
        let mut written = Vec::new();
        marks.flush(|m| {
            written.push(m.seq.get());
            Ok(())
        });
        marks.flush(|_| panic!("nothing waits"));
        assert_eq!(written, [5]);
    }

    #[test]
    fn when_no_more_are_taken_the_rest_waits() {
        let a = OpenId::parse("a").unwrap();
        let mut marks = Marks::default();
        for n in 1..=9 {
            marks.note(&a, &OpenId::parse(&format!("p{n}")).unwrap(), Seq::parse(n).unwrap());
        }
        let mut written = Vec::new();
        for _ in 0..3 {
            let mut places = 3;
            marks.flush(|m| {
                if places == 0 {
                    return Err(m);
                }
                places -= 1;
                written.push(m.seq.get());
                Ok(())
            });
        }
        written.sort_unstable();
        assert_eq!(written, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
}
