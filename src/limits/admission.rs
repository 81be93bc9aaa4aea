//! Admission of connections and handshakes: which come in, and how fast.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::address::{ClientAddress, Network};
use super::keyed::{AddressDebits, AddressLimiter};
use super::pacer::Pacer;
use crate::config::Limits;
use crate::lifecycle::Draining;

/// A handshake waits so long for its turn at the most.
const TURN: Duration = Duration::from_secs(5);

/// Counts sessions, handshakes and logins against the limits. Cloning shares the counts.
#[derive(Clone)]
pub struct Admission(Arc<Inner>);

struct Inner {
    draining: Draining,
    handshakes: AddressLimiter,
    passersby: AddressLimiter,
    pushes: AddressLimiter,
    /// Handshakes of all addresses, once it is known who comes.
    pacer: Option<Pacer>,
    bad_codes: AddressDebits,
    /// Live sessions in all, and how many there may be.
    sessions: AtomicU32,
    sessions_limit: u32,
    /// Live sessions by network; no entry stands at zero.
    by_address: Mutex<HashMap<Network, u32>>,
    by_address_limit: Option<NonZeroU32>,
}

/// Why somebody is turned away before anything is read: about the machine, not about the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    #[error("the server is leaving")]
    Draining,
    #[error("the server is full")]
    TooManySessions,
    #[error("too many sessions from this address")]
    TooManyFromAddress,
    #[error("too many logins and handshakes from this address")]
    TooFast { retry_after_ms: u64 },
    #[error("too many connect at once")]
    TooManyAtOnce { retry_after_ms: u64 },
}

/// One live session's permit, given back when dropped.
pub struct SessionPermit {
    admission: Admission,
    address: ClientAddress,
}

impl Admission {
    /// `possible` is how many sessions the descriptors allow: `limits.sessions` never goes beyond that.
    pub fn new(limits: &Limits, draining: &Draining, possible: u32) -> Self {
        if limits.sessions > possible {
            log::warn!(wanted = limits.sessions, possible = possible; "limits.sessions is beyond the limit on open files, which decides");
        }
        Self(Arc::new(Inner {
            draining: draining.clone(),
            handshakes: AddressLimiter::new(limits.handshakes_per_second_per_address),
            passersby: AddressLimiter::new(limits.handshakes_per_second_per_address),
            pushes: AddressLimiter::new(limits.handshakes_per_second_per_address),
            pacer: NonZeroU32::new(limits.handshakes_per_second)
                .map(|n| Pacer::new(Duration::from_secs(1) / n.get())),
            bad_codes: AddressDebits::new(limits.bad_codes_per_minute),
            sessions: AtomicU32::new(0),
            sessions_limit: if limits.sessions == 0 { possible } else { limits.sessions.min(possible) },
            by_address: Mutex::default(),
            by_address_limit: NonZeroU32::new(limits.sessions_per_address),
        }))
    }

    /// How many sessions there may be on this node.
    pub fn sessions_limit(&self) -> u32 {
        self.0.sessions_limit
    }

    /// A login begins: counts with the handshakes of the address, so that guessing codes is as slow.
    ///
    /// # Errors
    /// [`AdmissionError::TooFast`]. A draining server still logs in: the token is good on every node.
    pub fn login(&self, address: ClientAddress) -> Result<(), AdmissionError> {
        self.0.handshakes.step(address).map_err(|retry_after_ms| AdmissionError::TooFast { retry_after_ms })
    }

    /// Somebody without a token fetches what anybody may see. Counted apart from logins, so that a page full
    /// of images keeps nobody out.
    ///
    /// # Errors
    /// Too fast: the milliseconds to wait.
    pub fn passerby(&self, address: ClientAddress) -> Result<(), u64> {
        self.0.passersby.step(address)
    }

    /// Somebody tells what only WeChat may. Counted apart, so that whoever pretends to be WeChat slows down
    /// nobody else.
    ///
    /// # Errors
    /// Too fast: the milliseconds to wait.
    pub fn push(&self, address: ClientAddress) -> Result<(), u64> {
        self.0.pushes.step(address)
    }

    /// A handshake begins; asked before anything costs.
    ///
    /// # Errors
    /// [`AdmissionError`]; a full server is told here already, though only [`Self::session`] decides.
    pub fn handshake(&self, address: ClientAddress) -> Result<(), AdmissionError> {
        if self.0.draining.is_set() {
            return Err(AdmissionError::Draining);
        }
        if self.0.sessions.load(Ordering::Relaxed) >= self.0.sessions_limit {
            return Err(AdmissionError::TooManySessions);
        }
        self.login(address)
    }

    /// The handshake succeeded: takes a permit, to be held as long as the socket is open.
    ///
    /// # Errors
    /// [`AdmissionError`], but never [`AdmissionError::TooFast`].
    pub fn session(&self, address: ClientAddress) -> Result<SessionPermit, AdmissionError> {
        let Inner { draining, sessions, sessions_limit, by_address_limit, .. } = &*self.0;
        if draining.is_set() {
            return Err(AdmissionError::Draining);
        }
        sessions
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < *sessions_limit).then_some(n + 1))
            .map_err(|_| AdmissionError::TooManySessions)?;
        let mut by_address = self.by_address();
        let is_full = |network: Network| {
            let here = by_address.get(&network).copied().unwrap_or(0);
            by_address_limit.is_some_and(|limit| here >= limit.get().saturating_mul(network.factor()))
        };
        if address.networks().any(is_full) {
            drop(by_address);
            sessions.fetch_sub(1, Ordering::Relaxed);
            return Err(AdmissionError::TooManyFromAddress);
        }
        for network in address.networks() {
            *by_address.entry(network).or_default() += 1;
        }
        drop(by_address);
        Ok(SessionPermit { admission: self.clone(), address })
    }

    /// Waits for the handshake's turn among all those of this node.
    ///
    /// # Errors
    /// [`AdmissionError::TooManyAtOnce`], at once, when the turn is more than five seconds away.
    pub async fn turn(&self) -> Result<(), AdmissionError> {
        let Some(pacer) = &self.0.pacer else { return Ok(()) };
        let wait = pacer
            .take(Instant::now(), TURN)
            .map_err(|wait| AdmissionError::TooManyAtOnce { retry_after_ms: wait.as_millis() as u64 })?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// Whether an address may try another code: the bad ones of late are counted.
    ///
    /// # Errors
    /// Too many: the milliseconds to wait.
    pub fn code(&self, address: ClientAddress) -> Result<(), u64> {
        self.0.bad_codes.check(address, Instant::now())
    }

    /// A code was bad.
    pub fn bad_code(&self, address: ClientAddress) {
        self.0.bad_codes.charge(address, Instant::now());
    }

    /// Forgets the addresses that have been quiet for as long as their burst takes to fill up; to be called
    /// every ten seconds or so, so that memory follows those who are active. Looks at every address: with very
    /// many not on a thread that serves sockets.
    pub fn evict_idle(&self) {
        self.0.handshakes.evict_idle();
        self.0.passersby.evict_idle();
        self.0.pushes.evict_idle();
        self.0.bad_codes.evict_idle(Instant::now());
        let mut by_address = self.by_address();
        if by_address.capacity() > 1_024 && by_address.len() < by_address.capacity() / 4 {
            by_address.shrink_to_fit();
        }
    }

    fn by_address(&self) -> MutexGuard<'_, HashMap<Network, u32>> {
        // Nothing panics while it is held; the counts stay right either way.
        self.0.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SessionPermit {
    fn drop(&mut self) {
        self.admission.0.sessions.fetch_sub(1, Ordering::Relaxed);
        let mut by_address = self.admission.by_address();
        for network in self.address.networks() {
            if let Entry::Occupied(mut entry) = by_address.entry(network) {
                if *entry.get() > 1 {
                    *entry.get_mut() -= 1;
                } else {
                    entry.remove();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
        let mut limits = Config::default().limits;
        change(&mut limits);
        limits
    }

    fn admission(limits: &Limits) -> Admission {
        Admission::new(limits, &Draining::default(), u32::MAX)
    }

    fn address(last: u8) -> ClientAddress {
        ClientAddress::V4([192, 0, 2, last])
    }

    #[test]
    fn an_address_is_slowed_down_and_told_how_long() {
        let admission = admission(&limits(|l| l.handshakes_per_second_per_address = 2));
        admission.handshake(address(1)).unwrap();
        admission.login(address(1)).unwrap();
        let Err(AdmissionError::TooFast { retry_after_ms }) = admission.handshake(address(1)) else {
            panic!()
        };
        assert!((1..=500).contains(&retry_after_ms), "{retry_after_ms}");
        admission.handshake(address(2)).unwrap();
        // Images have a pace of their own.
        admission.passerby(address(1)).unwrap();
        admission.passerby(address(1)).unwrap();
        assert!((1..=500).contains(&admission.passerby(address(1)).unwrap_err()));
    }

    #[test]
    fn seats_are_given_back() {
        let admission = admission(&limits(|l| (l.sessions, l.sessions_per_address) = (3, 2)));
        let one = admission.session(address(1)).unwrap();
        let _two = admission.session(address(1)).unwrap();
        assert_eq!(admission.session(address(1)).err(), Some(AdmissionError::TooManyFromAddress));
        let _three = admission.session(address(2)).unwrap();
        assert_eq!(admission.session(address(3)).err(), Some(AdmissionError::TooManySessions));
        assert_eq!(admission.handshake(address(3)).err(), Some(AdmissionError::TooManySessions));
        drop(one);
        let again = admission.session(address(1)).unwrap();
        drop((again, _two, _three));
        assert!(admission.by_address().is_empty());
        assert_eq!(admission.0.sessions.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn nobody_comes_in_while_the_server_drains() {
        let draining = Draining::default();
        let admission = Admission::new(&limits(|_| ()), &draining, u32::MAX);
        admission.handshake(address(1)).unwrap();
        draining.begin();
        assert_eq!(admission.handshake(address(1)).err(), Some(AdmissionError::Draining));
        assert_eq!(admission.session(address(1)).err(), Some(AdmissionError::Draining));
        admission.login(address(1)).unwrap();
    }

    #[test]
    fn the_descriptor_limit_caps_the_sessions() {
        let draining = Draining::default();
        let of = |sessions, possible| {
            Admission::new(&limits(|l| l.sessions = sessions), &draining, possible).sessions_limit()
        };
        assert_eq!(of(0, 630), 630);
        assert_eq!(of(100, 630), 100);
        assert_eq!(of(5_000, 630), 630);
    }

    #[test]
    fn a_block_of_ipv6_has_a_limit_of_its_own() {
        let admission =
            admission(&limits(|l| (l.handshakes_per_second_per_address, l.sessions_per_address) = (2, 2)));
        let of = |high: u8, low: u8| ClientAddress::V6([0x20, 1, 0xd, 0xb8, 0, 0, high, low]);
        // Each /64 may do two, its /56 eight, its /48 thirty-two.
        let in_turn = |most: usize, count: usize| {
            (0..count).filter(|n| admission.login(of((n / most) as u8, (n % most) as u8)).is_ok()).count()
        };
        assert_eq!(in_turn(100, 100), 8);
        let permits: Vec<_> = (0..200_u8).flat_map(|n| admission.session(of(n / 8, n % 8)).ok()).collect();
        assert_eq!(permits.len(), 32);
        assert_eq!(admission.session(of(255, 0)).err(), Some(AdmissionError::TooManyFromAddress));
        let elsewhere = ClientAddress::V6([0x20, 1, 0xd, 0xb9, 0, 0, 0, 0]);
        admission.session(elsewhere).unwrap();
        drop(permits);
        assert!(admission.by_address().is_empty());
    }

    #[test]
    fn a_seat_is_small_and_may_travel() {
        fn travels<T: Send + 'static>() {}
        travels::<SessionPermit>();
        assert!(size_of::<SessionPermit>() <= 24);
    }

    #[test]
    fn a_limit_of_zero_is_off() {
        let admission = admission(&limits(|l| {
            (l.handshakes_per_second_per_address, l.sessions_per_address, l.sessions) = (0, 0, 0);
        }));
        for _ in 0..1_000 {
            admission.handshake(address(1)).unwrap();
        }
        let permits: Vec<_> = (0..100).map(|_| admission.session(address(1)).unwrap()).collect();
        assert_eq!(admission.0.sessions.load(Ordering::Relaxed), 100);
        drop(permits);
    }
}
