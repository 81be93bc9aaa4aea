//! Names of things, parsed once at the edge: a value of one of these types is well formed.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

/// Path segments that can never be an openid: the server answers on them itself, and `system` is its
/// operator's voice.
pub const RESERVED: [&str; 8] = ["healthz", "readyz", "metrics", "v1", "wechat", "assets", "admin", "system"];

/// A type of texts that are checked once, by `$fits`; a text that does not fit is refused as `$called`, with
/// what is `$allowed` there.
macro_rules! text_id {
    ($(#[$meta:meta])* $name:ident($held:ty), $called:literal, $allowed:literal, $fits:expr) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name($held);

        impl $name {
            #[doc = concat!("# Errors\n[`Malformed`](crate::ids::Malformed): it must be ", $allowed, ".")]
            pub fn parse(text: &str) -> Result<Self, $crate::ids::Malformed> {
                let fits: fn(&str) -> bool = $fits;
                let wrong = $crate::ids::Malformed($called, $allowed);
                if fits(text) { Ok(Self(text.into())) } else { Err(wrong) }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
pub(crate) use text_id;

/// So many of `[A-Za-z0-9_-]`.
fn is_word(text: &str, length: RangeInclusive<usize>) -> bool {
    length.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

text_id!(
    /// A user's id under one appid, as code2Session returned it: none of [`RESERVED`].
    OpenId(Arc<str>), "openid", "[A-Za-z0-9_-]{1,64}", |text| is_word(text, 1..=64) && !RESERVED.contains(&text)
);

text_id!(
    /// A group's id, with the `g:` that no openid has.
    GroupId(Arc<str>), "group", "g: and [A-Za-z0-9_-]{1,62}", |text| {
        text.strip_prefix("g:").is_some_and(|name| is_word(name, 1..=62))
    }
);

/// Name of a conversation as one of its members gives it: the other one of a direct conversation, or a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    User(OpenId),
    Group(GroupId),
}

impl Address {
    /// # Errors
    /// [`Malformed`]: it must be an openid or a [`GroupId`].
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        GroupId::parse(text).map(Self::Group).or_else(|_| OpenId::parse(text).map(Self::User))
    }

    /// Address of a conversation that this server has. There are no groups yet, so a group's is refused as any
    /// other text that is no openid.
    ///
    /// # Errors
    /// [`Malformed`]: it must be an openid.
    pub fn parse_served(text: &str) -> Result<Self, Malformed> {
        OpenId::parse(text).map(Self::User)
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::User(openid) => openid.as_str(),
            Self::Group(group) => group.as_str(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

text_id!(
    /// The sender's own id of one message, the idempotency key.
    ClientMsgId(Box<str>), "client_msg_id", "1 to 64 characters from ! to ~", |text| {
        (1..=64).contains(&text.len()) && text.bytes().all(|b| (0x21..=0x7e).contains(&b))
    }
);

text_id!(
    /// A message's type.
    Kind(Box<str>), "type", "[A-Za-z0-9_-]{1,32}", |text| is_word(text, 1..=32)
);

impl Kind {
    /// The type of a recall, which no sender can give to a message.
    pub fn recall() -> Self {
        Self("recall".into())
    }
}

text_id!(
    /// The id of one HTTP request, which proxy and server write into their logs. Not the client's `id` of a
    /// frame ([`RequestId`]).
    HttpRequestId(Arc<str>), "request id", "[A-Za-z0-9_-]{8,64}", |text| is_word(text, 8..=64)
);

impl HttpRequestId {
    /// A new one, in the form of nginx's.
    pub fn fresh() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()).into())
    }
}

text_id!(
    /// A label that tells a user's devices apart. `None` in its place means the label that all of one dialect
    /// share.
    Device(Box<str>), "device", "[A-Za-z0-9_-]{1,32}", |text| is_word(text, 1..=32)
);

text_id!(
    /// A template of WeChat's subscribe messages.
    TemplateId(Arc<str>), "template_id", "[A-Za-z0-9_-]{1,64}", |text| is_word(text, 1..=64)
);

/// A message's place in its conversation: 1, 2, 3 … dense, assigned at commit; 0 means "before the first".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Seq(i64);

impl Seq {
    pub const ZERO: Self = Self(0);

    /// # Errors
    /// [`Malformed`] when the number is negative.
    pub fn parse(number: i64) -> Result<Self, Malformed> {
        if number >= 0 { Ok(Self(number)) } else { Err(Malformed("seq", "an integer from 0 on")) }
    }

    pub fn get(self) -> i64 {
        self.0
    }

    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The client's `id` of one frame, kept as the JSON string it came as, so that the answer carries the same
/// bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestId(Box<str>);

impl RequestId {
    /// `raw` is a JSON string with its quotes, `text` what it stands for.
    ///
    /// # Errors
    /// [`Malformed`] when the text is longer than 64 characters.
    pub fn parse(raw: &str, text: &str) -> Result<Self, Malformed> {
        if text.chars().count() <= 64 {
            Ok(Self(raw.into()))
        } else {
            Err(Malformed("id", "at most 64 characters"))
        }
    }

    /// The JSON string, quotes included.
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

/// One live WebSocket: unique over all nodes and restarts (64 random bits of the process, then a counter).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct SessionId(u128);

impl SessionId {
    /// A new one. The milliseconds of this machine's clock stand first, so that where two nodes must agree on
    /// one of two sessions by their ids alone it is the newer one, as far as their clocks agree.
    pub fn fresh() -> Self {
        static PROCESS: std::sync::LazyLock<u64> = std::sync::LazyLock::new(rand::random);
        static COUNTER: AtomicU64 = AtomicU64::new(1);
        let (ms, process) = (now_ms().unsigned_abs() & 0xFFFF_FFFF_FFFF, *PROCESS >> 24);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed) & 0xFF_FFFF_FFFF;
        Self((u128::from(ms) << 80) | (u128::from(process) << 40) | u128::from(count))
    }

    /// The last 64 bits: the count, and some bits of the process.
    pub fn low_bits(self) -> u64 {
        u64::try_from(self.0 & u128::from(u64::MAX)).unwrap_or_default()
    }

    /// One that another node wrote down: 32 hexadecimal digits.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let is_hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let id = is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        id.map(Self).ok_or(Malformed("session", "32 hexadecimal digits"))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Which database it is that a server's seqs and cursors are from. One that was restored from a backup, or
/// took over from another, has another, and may give the same seqs to other messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DatabaseGeneration(u64);

impl DatabaseGeneration {
    /// Ten digits.
    const END: u64 = 36_u64.pow(10);

    pub fn random() -> Self {
        Self::of_number(rand::random())
    }

    /// The one that these bytes stand for, on every node alike.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        let digest = sha2::Sha256::digest(bytes);
        Self::of_number(digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    pub const fn of_number(number: u64) -> Self {
        Self(number % Self::END)
    }

    pub fn number(self) -> u64 {
        self.0
    }

    /// Reads what `Display` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        from_base36(text).filter(|number| *number < Self::END).map(Self)
    }
}

impl fmt::Display for DatabaseGeneration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_base36(self.0))
    }
}

const RADIX: u32 = 36;

/// A number in digits and lower-case letters.
pub fn to_base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.extend(char::from_digit(u32::try_from(number % u64::from(RADIX)).unwrap_or_default(), RADIX));
        number /= u64::from(RADIX);
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

/// Reads what [`to_base36`] wrote.
pub fn from_base36(text: &str) -> Option<u64> {
    let is_ours = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
    is_ours.then(|| u64::from_str_radix(text, RADIX).ok()).flatten()
}

/// Names bytes for good: their SHA-256, in 64 hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a text was meant to be, and what is allowed there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} must be {1}")]
pub struct Malformed(pub &'static str, pub &'static str);

/// Unix time in milliseconds, by this machine's clock.
pub fn now_ms() -> i64 {
    i64::try_from(since_1970().as_millis()).unwrap_or(i64::MAX)
}

/// Unix time in microseconds, by this machine's clock.
pub fn now_us() -> i64 {
    i64::try_from(since_1970().as_micros()).unwrap_or(i64::MAX)
}

#[expect(clippy::disallowed_types, reason = "the wall clock is read here, so that it is read nowhere else")]
fn since_1970() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openids_are_checked_at_the_edge() {
        assert!(OpenId::parse("oGZUI0egBJY1zhBYw2KhdUfwVJJE").is_ok());
        assert!(OpenId::parse(&"a".repeat(64)).is_ok());
        for bad in ["", "a b", "a/b", "é", "v1", "healthz", "g:1", &"a".repeat(65)] {
            assert!(OpenId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_address_is_an_openid_or_a_group() {
        let longest = format!("g:{}", "a".repeat(62));
        for group in ["g:5fKx", "g:v1", "g:-", &longest] {
            let address = Address::parse(group).unwrap();
            assert!(matches!(address, Address::Group(_)), "{group}");
            assert_eq!(address.as_str(), group);
            assert_eq!(Address::parse_served(group), Err(OpenId::parse(group).unwrap_err()));
        }
        assert_eq!(Address::parse_served("g"), Address::parse("g"));
        assert!(matches!(Address::parse("g"), Ok(Address::User(_))));
        for bad in ["", "g:", "g:a:b", "G:a", "g:é", "g: a", "v1", "d:a:b", &format!("{longest}a")] {
            assert!(Address::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn templates_have_the_characters_that_wechat_uses() {
        assert!(TemplateId::parse("kIfQWQkB-5eL2qI_uV2m0Qd8Hc0uJ3hD9sYxLq7TzZA").is_ok());
        for bad in ["", "a b", "a,b", "é", &"x".repeat(65)] {
            assert!(TemplateId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn client_msg_ids_are_printable_ascii() {
        assert!(ClientMsgId::parse("!~\"\\").is_ok());
        for bad in ["", "a b", "\u{7f}", "é", &"x".repeat(65)] {
            assert!(ClientMsgId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn bytes_have_the_name_that_others_give_them() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn session_ids_differ() {
        assert_ne!(SessionId::fresh(), SessionId::fresh());
        let id = SessionId::fresh();
        assert_eq!(SessionId::parse(&id.to_string()), Ok(id));
        assert!(
            ["", "+1", &"g".repeat(32), &"0".repeat(33)].iter().all(|text| SessionId::parse(text).is_err())
        );
    }
}
