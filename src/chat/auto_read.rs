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

    /// Hands every mark that waits to `write`, and keeps those that it gives back.
    pub fn flush(&mut self, mut write: impl FnMut(ReadMark) -> Result<(), ReadMark>) {
        for ((openid, peer), seq) in std::mem::take(&mut self.0) {
            if let Err(mark) = write(ReadMark { openid, peer, seq }) {
                self.note(&mark.openid, &mark.peer, mark.seq);
            }
        }
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
}
