//! The round trip by which a node knows that NATS answers. A plain value.
//!
//! The node hears a subject of its own and sends itself numbers there. NATS does what one connection asks in
//! the order in which it was asked, so a number that has come back proves that every subscription before it
//! stands. Whoever else listens there changes nothing: not so with a request that nobody answers, which a
//! monitor on `hongyan.>` would take silently.

use bytes::Bytes;
use tokio::sync::oneshot;

/// The probe under way, at most one.
#[derive(Default)]
pub struct Probe {
    last_number: u64,
    pending: Option<oneshot::Sender<()>>,
}

/// A probe to be published. It resolves once it has come back, and is dropped when it cannot any more.
pub struct Begun {
    pub number: u64,
    pub payload: Bytes,
    pub returned: oneshot::Receiver<()>,
}

impl Probe {
    /// Begins a probe unless one is under way.
    pub fn begin(&mut self) -> Option<Begun> {
        if self.pending.is_some() {
            return None;
        }
        self.last_number += 1;
        let (returns, returned) = oneshot::channel();
        self.pending = Some(returns);
        Some(Begun { number: self.last_number, payload: self.last_number.to_string().into(), returned })
    }

    /// Takes what has come on the node's own subject; numbers of earlier probes mean nothing any more.
    pub fn heard(&mut self, payload: &[u8]) {
        if std::str::from_utf8(payload).ok().and_then(|text| text.parse().ok()) == Some(self.last_number)
            && let Some(returns) = self.pending.take()
        {
            let _ = returns.send(());
        }
    }

    /// Ends a probe that has come back or has taken too long; `false` for one that was given up before.
    pub fn end(&mut self, number: u64) -> bool {
        let is_last = number == self.last_number;
        if is_last {
            self.pending = None;
        }
        is_last
    }

    /// Gives up the probe under way: the connection that it went by has ended.
    pub fn give_up(&mut self) {
        if self.pending.take().is_some() {
            self.last_number += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_number_under_way_counts() {
        let mut probe = Probe::default();
        let first = probe.begin().unwrap();
        assert!(probe.begin().is_none());
        for other in [&b"0"[..], b"2", b"", b"\xFF", b"1 "] {
            probe.heard(other);
        }
        let mut returned = first.returned;
        assert!(returned.try_recv().is_err_and(|e| e == oneshot::error::TryRecvError::Empty));
        probe.heard(&first.payload);
        assert_eq!(returned.try_recv(), Ok(()));
        assert!(probe.end(first.number));
        // It comes a second time, from whoever may publish there.
        let second = probe.begin().unwrap();
        probe.heard(b"1");
        let mut returned = second.returned;
        assert!(returned.try_recv().is_err());
        probe.heard(&second.payload);
        assert_eq!(returned.try_recv(), Ok(()));
    }

    #[test]
    fn what_was_given_up_ends_no_later_one() {
        let mut probe = Probe::default();
        let lost = probe.begin().unwrap();
        probe.give_up();
        let mut returned = lost.returned;
        assert_eq!(returned.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        let next = probe.begin().unwrap();
        probe.heard(&lost.payload);
        assert!(!probe.end(lost.number));
        probe.heard(&next.payload);
        let mut returned = next.returned;
        assert_eq!(returned.try_recv(), Ok(()));
        assert!(probe.end(next.number));
    }
}
