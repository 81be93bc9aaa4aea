//! Who may come in, and how fast: what stands between strangers and the machine.
//!
//! All numbers are of this node alone. What is kept of an address or a user who went quiet is dropped by
//! [`Admission::evict_idle`].

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::{HttpResponse, ResponseError};
use governor::clock::Clock;
use governor::{DefaultKeyedRateLimiter, Quota};

use super::address::{Address, Network};
use super::debit::DebitLimiter;
use super::error::ApiError;
use super::pacer::HandshakePacer;
use crate::config::Limits;
use crate::ids::OpenId;
use crate::lifecycle::Draining;
use crate::metrics::{Metrics, RefusedHandshake};
use crate::session::UserBudget;

/// Seconds' worth of answers that a user may ask for at once.
const ANSWER_BURST_S: u64 = 16;

/// Bytes that one answer counts for at the least: a question to the database costs, however little it finds.
const ANSWER_AT_LEAST: u64 = 16 << 10;

/// Bytes of a control frame, generously.
const CONTROL_BYTES: u64 = 1 << 10;

/// Bytes that one frame counts for at the least.
const FRAME_AT_LEAST: u64 = 256;

/// Seconds' worth of frames that a user may send at once.
const FRAME_BURST_S: u64 = 4;

/// A handshake waits so long for its turn at the most.
const TURN: Duration = Duration::from_secs(5);

/// Counts sessions, logins, calls and messages against the limits. Cloning shares the counts.
#[derive(Clone)]
pub struct Admission(Arc<Inner>);

struct Inner {
    draining: Draining,
    handshakes: AddressLimiter,
    passersby: AddressLimiter,
    pushes: AddressLimiter,
    /// Handshakes of all addresses, once it is known who comes.
    pacer: Option<HandshakePacer>,
    calls: KeyedLimiter<OpenId>,
    messages: KeyedLimiter<OpenId>,
    /// Bytes of frames that a user sends.
    frames: DebitLimiter<OpenId>,
    /// Bytes of answers that a user asks for.
    answers: DebitLimiter<OpenId>,
    bad_codes: AddressDebits,
    /// Live sessions in all, and how many there may be.
    sessions: AtomicU32,
    sessions_limit: u32,
    /// Live sessions by network; no entry stands at zero.
    by_address: Mutex<HashMap<Network, u32>>,
    by_address_limit: Option<NonZeroU32>,
}

/// Why somebody is turned away before anything is read: about the machine, not about the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    Draining,
    TooManySessions,
    TooManyFromAddress,
    TooFast { retry_after_ms: u64 },
    TooManyAtOnce { retry_after_ms: u64 },
}

impl Refused {
    fn reason(self) -> RefusedHandshake {
        match self {
            Self::Draining => RefusedHandshake::Draining,
            Self::TooManySessions => RefusedHandshake::TooManySessions,
            Self::TooManyFromAddress => RefusedHandshake::TooManyFromAddress,
            Self::TooFast { .. } => RefusedHandshake::TooFast,
            Self::TooManyAtOnce { .. } => RefusedHandshake::TooManyAtOnce,
        }
    }

    /// Counts a refused handshake, and is its answer: HTTP 503, or 429 where the address is at fault.
    pub fn turn_away(self, metrics: &Metrics) -> HttpResponse {
        metrics.handshakes_refused.inc(self.reason());
        ApiError::from(self).error_response()
    }
}

/// One live session's permit, given back when dropped.
pub struct SessionPermit {
    admission: Admission,
    address: Address,
}

impl Admission {
    /// `possible` is how many sessions the descriptors allow ([`super::Budget`]): `limits.sessions` never
    /// goes beyond that.
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
                .map(|n| HandshakePacer::new(Duration::from_secs(1) / n.get())),
            calls: KeyedLimiter::new(limits.http_per_second, limits.http_burst),
            messages: KeyedLimiter::new(limits.messages_per_second, limits.message_burst),
            frames: frame_budget(limits),
            answers: DebitLimiter::new(
                limits.answer_bytes_per_second,
                limits.answer_bytes_per_second.saturating_mul(ANSWER_BURST_S),
            ),
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
    /// [`Refused::TooFast`]. A draining server still logs in: the token is good on every node.
    pub fn login(&self, address: Address) -> Result<(), Refused> {
        self.0.handshakes.step(address).map_err(|retry_after_ms| Refused::TooFast { retry_after_ms })
    }

    /// Somebody without a token fetches what anybody may see. Counted apart from logins, so that a page full
    /// of images keeps nobody out.
    ///
    /// # Errors
    /// Too fast: the milliseconds to wait.
    pub fn passerby(&self, address: Address) -> Result<(), u64> {
        self.0.passersby.step(address)
    }

    /// Somebody tells what only WeChat may. Counted apart, so that whoever pretends to be WeChat slows down
    /// nobody else.
    ///
    /// # Errors
    /// Too fast: the milliseconds to wait.
    pub fn push(&self, address: Address) -> Result<(), u64> {
        self.0.pushes.step(address)
    }

    /// A handshake begins; asked before anything costs.
    ///
    /// # Errors
    /// [`Refused`]; a full server is told here already, though only [`Self::session`] decides.
    pub fn handshake(&self, address: Address) -> Result<(), Refused> {
        if self.0.draining.is_set() {
            return Err(Refused::Draining);
        }
        if self.0.sessions.load(Ordering::Relaxed) >= self.0.sessions_limit {
            return Err(Refused::TooManySessions);
        }
        self.login(address)
    }

    /// The handshake succeeded: takes a permit, to be held as long as the socket is open.
    ///
    /// # Errors
    /// [`Refused`], but never [`Refused::TooFast`].
    pub fn session(&self, address: Address) -> Result<SessionPermit, Refused> {
        let Inner { draining, sessions, sessions_limit, by_address_limit, .. } = &*self.0;
        if draining.is_set() {
            return Err(Refused::Draining);
        }
        sessions
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < *sessions_limit).then_some(n + 1))
            .map_err(|_| Refused::TooManySessions)?;
        let mut by_address = self.by_address();
        let is_full = |network: Network| {
            let here = by_address.get(&network).copied().unwrap_or(0);
            by_address_limit.is_some_and(|limit| here >= limit.get().saturating_mul(network.factor()))
        };
        if address.networks().any(is_full) {
            drop(by_address);
            sessions.fetch_sub(1, Ordering::Relaxed);
            return Err(Refused::TooManyFromAddress);
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
    /// [`Refused::TooManyAtOnce`], at once, when the turn is more than five seconds away.
    pub async fn turn(&self) -> Result<(), Refused> {
        let Some(pacer) = &self.0.pacer else { return Ok(()) };
        let wait = pacer
            .take(Instant::now(), TURN)
            .map_err(|wait| Refused::TooManyAtOnce { retry_after_ms: wait.as_millis() as u64 })?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// One message of a user, whichever of the user's sessions it comes from.
    ///
    /// # Errors
    /// Too fast: the milliseconds to wait.
    pub fn user_messages(&self, openid: &OpenId) -> Result<(), u64> {
        self.0.messages.step(openid)
    }

    /// One HTTP call of a user, or one handshake: so nobody takes all the turns.
    ///
    /// # Errors
    /// Too fast: the milliseconds to wait.
    pub fn user_http(&self, openid: &OpenId) -> Result<(), u64> {
        self.0.calls.step(openid)
    }

    /// Whether an address may try another code: the bad ones of late are counted.
    ///
    /// # Errors
    /// Too many: the milliseconds to wait.
    pub fn code(&self, address: Address) -> Result<(), u64> {
        self.0.bad_codes.check(address, Instant::now())
    }

    /// A code was bad.
    pub fn bad_code(&self, address: Address) {
        self.0.bad_codes.charge(address, Instant::now());
    }

    /// Forgets the addresses and users that have been quiet for as long as their burst takes to fill up; to
    /// be called every ten seconds or so, so that memory follows those who are active. Looks at every key:
    /// with very many users not on a thread that serves sockets.
    pub fn evict_idle(&self) {
        self.0.handshakes.evict_idle();
        self.0.passersby.evict_idle();
        self.0.pushes.evict_idle();
        self.0.calls.evict_idle();
        self.0.messages.evict_idle();
        let now = Instant::now();
        self.0.frames.evict_idle(now);
        self.0.answers.evict_idle(now);
        self.0.bad_codes.evict_idle(now);
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

/// How fast an address may go, and the networks that it is in: one [`KeyedLimiter`] a width.
struct AddressLimiter(Vec<KeyedLimiter<Network>>);

impl AddressLimiter {
    /// `per_second` is for one address; 0: off.
    fn new(per_second: u32) -> Self {
        let widths =
            Address::V6([0; 8]).networks().map(|network| per_second.saturating_mul(network.factor()));
        Self(widths.map(|rate| KeyedLimiter::new(rate, rate)).collect())
    }

    /// One more; the error is the wait in milliseconds, 1 at the least.
    fn step(&self, address: Address) -> Result<(), u64> {
        self.0.iter().zip(address.networks()).try_for_each(|(pace, network)| pace.step(&network))
    }

    fn evict_idle(&self) {
        self.0.iter().for_each(KeyedLimiter::evict_idle);
    }
}

impl UserBudget for Admission {
    fn message(&self, openid: &OpenId) -> Result<(), u64> {
        self.user_messages(openid)
    }

    fn frame(&self, openid: &OpenId, bytes: usize) -> Result<(), u64> {
        let (frames, now) = (&self.0.frames, Instant::now());
        frames.check(openid, now)?;
        frames.charge(openid, (bytes as u64).max(FRAME_AT_LEAST), now);
        Ok(())
    }

    fn question(&self, openid: &OpenId) -> Result<(), u64> {
        self.0.answers.check(openid, Instant::now())
    }

    fn answer(&self, openid: &OpenId, bytes: usize) {
        self.0.answers.charge(openid, (bytes as u64).max(ANSWER_AT_LEAST), Instant::now());
    }
}

/// Bytes of frames that a user may send: as many as the messages and the control frames that the limits allow
/// can have. What is beyond is not even parsed. Without a limit on messages there is none on their bytes.
fn frame_budget(limits: &Limits) -> DebitLimiter<OpenId> {
    let is_limited = limits.messages_per_second > 0 && limits.message_burst > 0;
    let messages = u64::from(limits.messages_per_second) * limits.fields_bytes as u64;
    let rate = if is_limited { messages + u64::from(limits.controls_per_second) * CONTROL_BYTES } else { 0 };
    let burst = u64::from(limits.message_burst) * limits.fields_bytes as u64;
    DebitLimiter::new(rate, rate.saturating_mul(FRAME_BURST_S).max(burst))
}

/// What an address, and the networks that it is in, used up: one [`DebitLimiter`] a width.
struct AddressDebits(Vec<DebitLimiter<Network>>);

impl AddressDebits {
    /// Units of one: a limit is for a minute, and its units are paid by the second.
    const UNITS: u64 = 60;

    fn new(per_minute: u32) -> Self {
        let widths =
            Address::V6([0; 8]).networks().map(|network| u64::from(per_minute) * u64::from(network.factor()));
        // A minute's worth at once; the one that uses it up is the last.
        Self(widths.map(|n| DebitLimiter::new(n, (n * Self::UNITS).saturating_sub(1))).collect())
    }

    fn check(&self, address: Address, now: Instant) -> Result<(), u64> {
        self.0.iter().zip(address.networks()).try_for_each(|(limiter, network)| limiter.check(&network, now))
    }

    fn charge(&self, address: Address, now: Instant) {
        self.0
            .iter()
            .zip(address.networks())
            .for_each(|(limiter, network)| limiter.charge(&network, Self::UNITS, now));
    }

    fn evict_idle(&self, now: Instant) {
        self.0.iter().for_each(|limiter| limiter.evict_idle(now));
    }
}

/// How fast each key may go; `None`: as fast as it likes.
pub(super) struct KeyedLimiter<K: Hash + Eq + Clone>(Option<DefaultKeyedRateLimiter<K>>);

impl<K: Hash + Eq + Clone> KeyedLimiter<K> {
    /// Either of 0: off.
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        let limiter = NonZeroU32::new(per_second)
            .zip(NonZeroU32::new(burst))
            .map(|(rate, burst)| DefaultKeyedRateLimiter::keyed(Quota::per_second(rate).allow_burst(burst)));
        Self(limiter)
    }

    /// One more; the error is the wait in milliseconds, 1 at the least.
    pub(super) fn step(&self, key: &K) -> Result<(), u64> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        limiter.check_key(key).map_err(|until| {
            let wait = until.wait_time_from(limiter.clock().now());
            u64::try_from(wait.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX).max(1)
        })
    }

    fn evict_idle(&self) {
        let Some(limiter) = &self.0 else { return };
        let before = limiter.len();
        limiter.retain_recent();
        if limiter.len() < before / 4 {
            limiter.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing;

    fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
        let mut limits = testing::config().limits;
        change(&mut limits);
        limits
    }

    fn admission(limits: &Limits) -> Admission {
        Admission::new(limits, &Draining::default(), u32::MAX)
    }

    fn address(last: u8) -> Address {
        Address::V4([192, 0, 2, last])
    }

    #[test]
    fn an_address_is_slowed_down_and_told_how_long() {
        let admission = admission(&limits(|l| l.handshakes_per_second_per_address = 2));
        admission.handshake(address(1)).unwrap();
        admission.login(address(1)).unwrap();
        let Err(Refused::TooFast { retry_after_ms }) = admission.handshake(address(1)) else { panic!() };
        assert!((1..=500).contains(&retry_after_ms), "{retry_after_ms}");
        admission.handshake(address(2)).unwrap();
        // Images have a pace of their own.
        admission.passerby(address(1)).unwrap();
        admission.passerby(address(1)).unwrap();
        assert!((1..=500).contains(&admission.passerby(address(1)).unwrap_err()));
    }

    #[test]
    fn a_limit_of_zero_is_off() {
        let admission = admission(&limits(|l| {
            l.handshakes_per_second_per_address = 0;
            l.sessions_per_address = 0;
            l.message_burst = 0;
            l.http_per_second = 0;
        }));
        let user = OpenId::parse("u").unwrap();
        for _ in 0..1_000 {
            admission.handshake(address(1)).unwrap();
            admission.user_messages(&user).unwrap();
            admission.user_http(&user).unwrap();
        }
        let permits: Vec<_> = (0..100).map(|_| admission.session(address(1)).unwrap()).collect();
        assert_eq!(admission.0.sessions.load(Ordering::Relaxed), 100);
        drop(permits);
    }

    #[test]
    fn a_burst_is_allowed_then_the_pace() {
        let admission = admission(&limits(|l| (l.messages_per_second, l.message_burst) = (1, 3)));
        let (a, b) = (OpenId::parse("a").unwrap(), OpenId::parse("b").unwrap());
        for _ in 0..3 {
            admission.user_messages(&a).unwrap();
        }
        let wait = admission.user_messages(&a).unwrap_err();
        assert!((900..=1_000).contains(&wait), "{wait}");
        admission.user_messages(&b).unwrap();
        admission.user_http(&a).unwrap();
    }

    #[test]
    fn seats_are_given_back() {
        let admission = admission(&limits(|l| (l.sessions, l.sessions_per_address) = (3, 2)));
        let one = admission.session(address(1)).unwrap();
        let _two = admission.session(address(1)).unwrap();
        assert_eq!(admission.session(address(1)).err(), Some(Refused::TooManyFromAddress));
        let _three = admission.session(address(2)).unwrap();
        assert_eq!(admission.session(address(3)).err(), Some(Refused::TooManySessions));
        assert_eq!(admission.handshake(address(3)).err(), Some(Refused::TooManySessions));
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
        assert_eq!(admission.handshake(address(1)).err(), Some(Refused::Draining));
        assert_eq!(admission.session(address(1)).err(), Some(Refused::Draining));
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
        let of = |high: u8, low: u8| Address::V6([0x20, 1, 0xd, 0xb8, 0, 0, high, low]);
        // Each /64 may do two, its /56 eight, its /48 thirty-two.
        let in_turn = |most: usize, count: usize| {
            (0..count).filter(|n| admission.login(of((n / most) as u8, (n % most) as u8)).is_ok()).count()
        };
        assert_eq!(in_turn(100, 100), 8);
        let permits: Vec<_> = (0..200_u8).flat_map(|n| admission.session(of(n / 8, n % 8)).ok()).collect();
        assert_eq!(permits.len(), 32);
        assert_eq!(admission.session(of(255, 0)).err(), Some(Refused::TooManyFromAddress));
        let elsewhere = Address::V6([0x20, 1, 0xd, 0xb9, 0, 0, 0, 0]);
        admission.session(elsewhere).unwrap();
        drop(permits);
        assert!(admission.by_address().is_empty());
    }

    #[test]
    fn who_went_quiet_is_forgotten() {
        let admission = admission(&limits(|l| (l.messages_per_second, l.message_burst) = (1_000, 1)));
        for n in 0..1_000 {
            admission.user_messages(&OpenId::parse(&format!("u{n}")).unwrap()).unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        admission.evict_idle();
        assert_eq!(admission.0.messages.0.as_ref().unwrap().len(), 0);
    }

    #[test]
    fn a_refusal_is_counted_and_plain_http() {
        let metrics = Metrics::new();
        assert_eq!(Refused::TooFast { retry_after_ms: 10 }.turn_away(&metrics).status(), 429);
        assert_eq!(Refused::TooManyFromAddress.turn_away(&metrics).status(), 429);
        assert_eq!(Refused::Draining.turn_away(&metrics).status(), 503);
        assert_eq!(Refused::TooManySessions.turn_away(&metrics).status(), 503);
        assert!(metrics.encode().contains(r#"hongyan_handshakes_refused_total{error="draining"} 1"#));
    }

    #[test]
    fn a_seat_is_small_and_may_travel() {
        fn travels<T: Send + 'static>() {}
        travels::<SessionPermit>();
        assert!(size_of::<SessionPermit>() <= 24);
    }
}
