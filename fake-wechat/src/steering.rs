//! How the double is told to misbehave: by words in what it is asked, and by its control endpoint.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::Outcome;
use super::checks::Suggest;

/// The longest that an answer is held back.
pub const SLOWEST: Duration = Duration::from_secs(60);

/// The errcode of a WeChat that is busy.
const BUSY: i64 = -1;

/// Ways to answer that are no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// HTTP 500.
    Status,
    /// Nothing, for as long as anybody waits.
    Hang,
    /// The connection ends without one.
    Cut,
    /// Something that is not WeChat's.
    Garbage,
}

/// What words such as `dev-risky:20002` in a text, an openid or a URL ask for. A word ends where neither a
/// letter, a digit, `:` nor `-` follows, so that it can stand in a sentence.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Markers {
    pub verdict: Option<(Suggest, i64)>,
    pub errcode: Option<i64>,
    pub fault: Option<Fault>,
    pub slow: Duration,
    /// WeChat does not know this user for an active one.
    pub is_inactive: bool,
    /// This user is another mini-program's.
    pub is_foreign: bool,
    /// The verdict is told by the details alone, beside one that does not count.
    pub in_detail: bool,
    /// What the event says became of a message, once WeChat has taken it.
    pub delivery: Option<i64>,
    /// WeChat cannot fetch what it should look at.
    pub is_unfetched: bool,
}

impl Markers {
    pub fn of(text: &str) -> Self {
        let mut found = Self::default();
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == ':'));
        for word in words.filter(|word| word.starts_with("dev-")) {
            let (name, number) = word.split_once(':').unwrap_or((word, ""));
            let number = number.split(':').next().and_then(|number| number.parse::<i64>().ok());
            match name {
                "dev-risky" => found.verdict = Some((Suggest::Risky, number.unwrap_or(20002))),
                "dev-review" => {
                    found.verdict = found.verdict.max(Some((Suggest::Review, number.unwrap_or(20012))))
                }
                "dev-errcode" => found.errcode = number,
                "dev-500" => found.fault = Some(Fault::Status),
                "dev-hang" => found.fault = Some(Fault::Hang),
                "dev-cut" => found.fault = Some(Fault::Cut),
                "dev-garbage" => found.fault = Some(Fault::Garbage),
                "dev-slow" => {
                    found.slow = Duration::from_millis(number.unwrap_or(0).unsigned_abs()).min(SLOWEST)
                }
                "dev-inactive" => found.is_inactive = true,
                "dev-foreign" => found.is_foreign = true,
                "dev-detail" => found.in_detail = true,
                "dev-delivery" => found.delivery = number,
                "dev-unfetched" => found.is_unfetched = true,
                _ => {}
            }
        }
        found
    }

    /// What comes of a call, where the words say that.
    pub fn outcome(&self) -> Option<Outcome> {
        self.fault.map(Outcome::Fault).or(self.errcode.map(Outcome::Errcode))
    }
}

/// How a whole WeChat can be away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outage {
    None,
    /// errcode -1.
    Busy,
    Status,
    Hang,
    Cut,
    Garbage,
}

/// What the control endpoint has said.
pub struct Steering {
    pub latency_ms: u64,
    pub outage: Outage,
    /// The calls that the outage is of; empty: all.
    pub only: Vec<String>,
    /// Calls that always give an errcode.
    pub errcodes: BTreeMap<String, i64>,
    /// A user whose last login is so long ago is not active any more.
    pub inactive_after_ms: u64,
    /// Templates that are known, with their fields; empty: any that looks like one.
    pub templates: BTreeMap<String, Vec<String>>,
    /// How long after the call the result of a media check is told.
    pub media_delay_ms: u64,
    /// Quotas in place of WeChat's.
    pub checks_per_minute: usize,
    pub checks_per_day: usize,
    pub media_per_minute: usize,
}

impl Default for Steering {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            outage: Outage::None,
            only: Vec::new(),
            errcodes: BTreeMap::new(),
            inactive_after_ms: 2 * 60 * 60 * 1_000,
            templates: BTreeMap::new(),
            media_delay_ms: 100,
            checks_per_minute: 4_000,
            checks_per_day: 2_000_000,
            media_per_minute: 2_000,
        }
    }
}

impl Steering {
    pub fn latency(&self) -> Duration {
        Duration::from_millis(self.latency_ms).min(SLOWEST)
    }

    /// What comes of a call whatever it asks.
    pub fn instead_of(&self, call: &str) -> Option<Outcome> {
        if let Some(code) = self.errcodes.get(call) {
            return Some(Outcome::Errcode(*code));
        }
        if !self.only.is_empty() && !self.only.iter().any(|name| name == call) {
            return None;
        }
        match self.outage {
            Outage::None => None,
            Outage::Busy => Some(Outcome::Errcode(BUSY)),
            Outage::Status => Some(Outcome::Fault(Fault::Status)),
            Outage::Hang => Some(Outcome::Fault(Fault::Hang)),
            Outage::Cut => Some(Outcome::Fault(Fault::Cut)),
            Outage::Garbage => Some(Outcome::Fault(Fault::Garbage)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_sentences_and_nowhere_else() {
        let found = Markers::of("你好，dev-risky:20003。and dev-slow:80!");
        assert_eq!((found.verdict, found.slow), (Some((Suggest::Risky, 20003)), Duration::from_millis(80)));
        assert_eq!(Markers::of("dev-review dev-risky").verdict, Some((Suggest::Risky, 20002)));
        assert_eq!(Markers::of("dev-risky dev-review").verdict, Some((Suggest::Risky, 20002)));
        assert_eq!(Markers::of("dev-errcode:-1").errcode, Some(-1));
        assert_eq!(
            Markers::of("https://x.test/dev-unfetched.png"),
            Markers { is_unfetched: true, ..Markers::default() }
        );
        assert_eq!(Markers::of("dev-slow:99999999999").slow, SLOWEST);
        for other in ["", "dev", "my dev-riskyness", "undev-risky", "dev-slow:x", "dev-errcode", "dev-risk"] {
            assert_eq!(Markers::of(other), Markers::default(), "{other}");
        }
    }
}
