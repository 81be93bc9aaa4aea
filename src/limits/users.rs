//! Limits of one user, over all sessions and calls together. Each error is the milliseconds to wait.

use std::sync::Arc;
use std::time::Instant;

use super::debit::DebitLimiter;
use super::keyed::KeyedLimiter;
use crate::config::Limits;
use crate::ids::OpenId;

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

/// Counts messages, calls, frames and answers of users against the limits. Cloning shares the counts.
#[derive(Clone)]
pub struct UserLimits(Arc<Inner>);

struct Inner {
    calls: KeyedLimiter<OpenId>,
    messages: KeyedLimiter<OpenId>,
    /// Bytes of frames that a user sends.
    frames: DebitLimiter<OpenId>,
    /// Bytes of answers that a user asks for.
    answers: DebitLimiter<OpenId>,
}

impl UserLimits {
    pub fn new(limits: &Limits) -> Self {
        Self(Arc::new(Inner {
            calls: KeyedLimiter::new(limits.http_per_second, limits.http_burst),
            messages: KeyedLimiter::new(limits.messages_per_second, limits.message_burst),
            frames: frame_limiter(limits),
            answers: DebitLimiter::new(
                limits.answer_bytes_per_second,
                limits.answer_bytes_per_second.saturating_mul(ANSWER_BURST_S),
            ),
        }))
    }

    /// Counts a message, whichever of the user's sessions it comes from.
    ///
    /// # Errors
    /// Too many messages.
    pub fn message(&self, openid: &OpenId) -> Result<(), u64> {
        self.0.messages.step(openid)
    }

    /// Counts an HTTP call, or a handshake: so nobody takes all the turns.
    ///
    /// # Errors
    /// Too many calls.
    pub fn call(&self, openid: &OpenId) -> Result<(), u64> {
        self.0.calls.step(openid)
    }

    /// Counts a frame, before it is parsed.
    ///
    /// # Errors
    /// Too many bytes.
    pub fn frame(&self, openid: &OpenId, bytes: usize) -> Result<(), u64> {
        let (frames, now) = (&self.0.frames, Instant::now());
        frames.check(openid, now)?;
        frames.charge(openid, (bytes as u64).max(FRAME_AT_LEAST), now);
        Ok(())
    }

    /// Asked before a question whose answer may be long.
    ///
    /// # Errors
    /// Too many bytes of answers.
    pub fn question(&self, openid: &OpenId) -> Result<(), u64> {
        self.0.answers.check(openid, Instant::now())
    }

    /// Counts the bytes of an answer.
    pub fn answer(&self, openid: &OpenId, bytes: usize) {
        self.0.answers.charge(openid, (bytes as u64).max(ANSWER_AT_LEAST), Instant::now());
    }

    /// Forgets the users who have been quiet for as long as their burst takes to fill up, as
    /// [`super::Admission::evict_idle`] does with addresses.
    pub fn evict_idle(&self) {
        self.0.calls.evict_idle();
        self.0.messages.evict_idle();
        let now = Instant::now();
        self.0.frames.evict_idle(now);
        self.0.answers.evict_idle(now);
    }
}

/// Bytes of frames that a user may send: as many as the messages and the control frames that the limits allow
/// can have. What is beyond is not even parsed. Without a limit on messages there is none on their bytes.
fn frame_limiter(limits: &Limits) -> DebitLimiter<OpenId> {
    let is_limited = limits.messages_per_second > 0 && limits.message_burst > 0;
    let messages = u64::from(limits.messages_per_second) * limits.fields_bytes as u64;
    let rate = if is_limited { messages + u64::from(limits.controls_per_second) * CONTROL_BYTES } else { 0 };
    let burst = u64::from(limits.message_burst) * limits.fields_bytes as u64;
    DebitLimiter::new(rate, rate.saturating_mul(FRAME_BURST_S).max(burst))
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

    #[test]
    fn a_limit_of_zero_is_off() {
        let users = UserLimits::new(&limits(|l| (l.message_burst, l.http_per_second) = (0, 0)));
        let user = OpenId::parse("u").unwrap();
        for _ in 0..1_000 {
            users.message(&user).unwrap();
            users.call(&user).unwrap();
        }
    }

    #[test]
    fn a_burst_is_allowed_then_the_pace() {
        let users = UserLimits::new(&limits(|l| (l.messages_per_second, l.message_burst) = (1, 3)));
        let (a, b) = (OpenId::parse("a").unwrap(), OpenId::parse("b").unwrap());
        for _ in 0..3 {
            users.message(&a).unwrap();
        }
        let wait = users.message(&a).unwrap_err();
        assert!((900..=1_000).contains(&wait), "{wait}");
        users.message(&b).unwrap();
        users.call(&a).unwrap();
    }

    #[test]
    fn who_went_quiet_is_forgotten() {
        let users = UserLimits::new(&limits(|l| (l.messages_per_second, l.message_burst) = (1_000, 1)));
        for n in 0..1_000 {
            users.message(&OpenId::parse(&format!("u{n}")).unwrap()).unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        users.evict_idle();
        assert_eq!(users.0.messages.known(), 0);
    }
}
