//! Proof that a push is WeChat's: its signature, its time, and what it is encrypted with.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit as _};
use serde::Deserialize;
use sha1::{Digest as _, Sha1};
use subtle::ConstantTimeEq as _;

use super::{any_text, fields};
use crate::config;

/// A push is taken for so long after it was signed, in seconds, and before: clocks differ.
pub const FRESH_S: i64 = 600;

/// What stands in the URL of a push.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Signed {
    pub signature: String,
    pub timestamp: String,
    pub nonce: String,
    /// What to answer, where WeChat only asks whether somebody is here.
    pub echostr: String,
    encrypt_type: String,
    msg_signature: String,
}

/// Why a push is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("it is not signed with wechat.push_token")]
    NotSigned,
    #[error("it was signed too long ago, or this machine's clock is wrong")]
    Stale,
    #[error("it is not encrypted, and wechat.push_aes_key is set")]
    Plain,
    #[error("it is encrypted, and wechat.push_aes_key is not set")]
    Encrypted,
    #[error("it does not decrypt with wechat.push_aes_key")]
    Undecipherable,
    #[error("it is for another mini-program")]
    OtherApp,
    #[error("its signature was used for something else")]
    Reused,
}

/// 32 bytes, which the console writes as 43 characters.
pub struct AesKey([u8; 32]);

/// The console makes 43 characters at will, so the last one may have bits that belong to no byte.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

impl AesKey {
    pub fn parse(encoding_aes_key: &str) -> Option<Self> {
        BASE64.decode(format!("{encoding_aes_key}=")).ok()?.try_into().ok().map(Self)
    }

    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub fn iv(&self) -> &[u8; 16] {
        let (iv, _) = self.0.split_first_chunk().unwrap_or((&[0; 16], &[]));
        iv
    }

    /// The message and the appid behind it: 16 random bytes, the message's length, the message, the appid,
    /// and 1 to 32 bytes that each say how many they are.
    fn open(&self, base64: &str) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut sealed = BASE64.decode(base64).ok()?;
        let cipher = cbc::Decryptor::<aes::Aes256>::new((&self.0).into(), self.iv().into());
        // PKCS #7 as the cipher's library knows it ends at one block, 16 bytes.
        let plain = cipher.decrypt_padded::<NoPadding>(&mut sealed).ok()?;
        let padding = usize::from(*plain.last()?);
        let kept = plain.len().checked_sub(padding).filter(|_| (1..=32).contains(&padding))?;
        if plain[kept..].iter().any(|byte| usize::from(*byte) != padding) {
            return None;
        }
        let (length, rest) = plain[..kept].get(16..)?.split_first_chunk()?;
        let (message, appid) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        Some((message.to_vec(), appid.to_vec()))
    }
}

/// Tells WeChat's pushes from those of others.
pub struct Receiver {
    token: config::Secret,
    key: Option<AesKey>,
    appid: String,
}

impl Receiver {
    /// `None` where the settings take no pushes.
    pub fn new(config: &config::WeChat) -> Option<Self> {
        if config.push_token.is_empty() {
            return None;
        }
        // The settings hold no key that is none.
        let key = AesKey::parse(config.push_aes_key.expose());
        Some(Self { token: config.push_token.clone(), key, appid: config.appid.clone() })
    }

    /// Whether whoever sent this knows the token; asked before a body is read.
    ///
    /// # Errors
    /// [`Refused::NotSigned`], [`Refused::Stale`].
    pub fn check(&self, signed: &Signed, now_s: i64) -> Result<(), Refused> {
        let expected = signature(&[self.token.expose(), &signed.timestamp, &signed.nonce]);
        if !is_same(&expected, &signed.signature) {
            return Err(Refused::NotSigned);
        }
        let at: i64 = signed.timestamp.parse().map_err(|_| Refused::Stale)?;
        if now_s.abs_diff(at) > FRESH_S.unsigned_abs() { Err(Refused::Stale) } else { Ok(()) }
    }

    /// The message in a body.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn open(&self, signed: &Signed, body: &[u8]) -> Result<Vec<u8>, Refused> {
        let key = match (&self.key, signed.encrypt_type.as_str()) {
            (None, "aes") => return Err(Refused::Encrypted),
            (None, _) => return Ok(body.to_vec()),
            (Some(key), "aes") => key,
            (Some(_), _) => return Err(Refused::Plain),
        };
        let sealed =
            fields(body).and_then(|fields| any_text(&fields, "Encrypt")).ok_or(Refused::Undecipherable)?;
        let expected = signature(&[self.token.expose(), &signed.timestamp, &signed.nonce, &sealed]);
        if !is_same(&expected, &signed.msg_signature) {
            return Err(Refused::NotSigned);
        }
        let (message, appid) = key.open(&sealed).ok_or(Refused::Undecipherable)?;
        if appid == self.appid.as_bytes() { Ok(message) } else { Err(Refused::OtherApp) }
    }
}

/// The SHA-1 of the parts, sorted, as WeChat signs.
pub fn signature(parts: &[&str]) -> String {
    let mut sorted = parts.to_vec();
    sorted.sort_unstable();
    let mut sha1 = Sha1::new();
    for part in sorted {
        sha1.update(part.as_bytes());
    }
    sha1.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// In a time that says nothing of where they differ.
fn is_same(expected: &str, given: &str) -> bool {
    expected.as_bytes().ct_eq(given.as_bytes()).into()
}
