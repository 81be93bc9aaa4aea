//! The keys of the server API: which one a caller sends, and how fast each may call.

use actix_web::http::header::HeaderMap;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use crate::config::{Admin, Scope};
use crate::http::client::bearer;
use crate::http::error::ApiError;
use crate::limits::KeyedLimiter;
use crate::protocol::errors;

/// The keys of `admin.keys`.
pub struct AdminKeys {
    keys: Vec<Key>,
    /// Calls of a key, by its place among them.
    pace: KeyedLimiter<usize>,
}

struct Key {
    id: String,
    /// SHA-256 of the secret: all are of one length, whatever is sent.
    digest: [u8; 32],
    scopes: Vec<Scope>,
}

/// A key that was presented and holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentedKey {
    place: usize,
    pub id: String,
    pub scopes: Vec<Scope>,
}

impl AdminKeys {
    /// None without a key: there is no server API.
    pub fn new(config: &Admin) -> Option<Self> {
        let key = |key: &crate::config::AdminKey| Key {
            id: key.id.clone(),
            digest: Sha256::digest(key.secret.expose()).into(),
            scopes: key.scopes.clone(),
        };
        let keys: Vec<_> = config.keys.iter().map(key).collect();
        (!keys.is_empty())
            .then(|| Self { keys, pace: KeyedLimiter::new(config.calls_per_second, config.calls_per_second) })
    }

    /// The key in `Authorization: Bearer`.
    ///
    /// # Errors
    /// `unauthorized`: none, or none of these.
    pub fn presented(&self, headers: &HeaderMap) -> Result<PresentedKey, ApiError> {
        let secret = bearer(headers).ok().flatten();
        let refused = || ApiError::from(errors::KEY_MISSING);
        let place = secret.and_then(|secret| self.find(secret)).ok_or_else(refused)?;
        let key = self.keys.get(place).ok_or_else(refused)?;
        Ok(PresentedKey { place, id: key.id.clone(), scopes: key.scopes.clone() })
    }

    /// Looks at every key, wholly: how long it takes tells nothing of how much of a secret was right, nor of
    /// whose.
    fn find(&self, secret: &str) -> Option<usize> {
        let sent: [u8; 32] = Sha256::digest(secret).into();
        let mut found = (Choice::from(0), 0_u64);
        for (place, key) in (0_u64..).zip(&self.keys) {
            let is_it = key.digest.ct_eq(&sent);
            found = (found.0 | is_it, u64::conditional_select(&found.1, &place, is_it));
        }
        bool::from(found.0).then(|| usize::try_from(found.1).ok()).flatten()
    }

    /// Counts one call of a key.
    ///
    /// # Errors
    /// Too fast: the milliseconds to wait.
    pub fn step(&self, key: &PresentedKey) -> Result<(), u64> {
        self.pace.step(&key.place)
    }
}

impl PresentedKey {
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{AUTHORIZATION, HeaderValue};

    use super::*;
    use crate::config::{AdminKey, Secret};

    fn keys(calls_per_second: u32) -> AdminKeys {
        let key = |id: &str, letter: &str, scope| AdminKey {
            id: id.into(),
            secret: Secret::new(letter.repeat(32)),
            scopes: vec![scope],
        };
        let keys = vec![key("shop", "s", Scope::Read), key("night", "n", Scope::Moderate)];
        AdminKeys::new(&Admin { keys, listen: None, calls_per_second, audit_days: 0 }).unwrap()
    }

    fn presented(authorization: &str) -> Option<PresentedKey> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(authorization).unwrap());
        keys(0).presented(&headers).ok()
    }

    #[test]
    fn a_key_is_known_by_its_whole_secret_and_nothing_else() {
        let night = presented(&format!("Bearer {}", "n".repeat(32))).unwrap();
        assert_eq!(
            (night.id.as_str(), night.has(Scope::Moderate), night.has(Scope::Read)),
            ("night", true, false)
        );
        for wrong in [
            "n".repeat(31),
            "n".repeat(33),
            "x".repeat(32),
            format!("night:{}", "n".repeat(32)),
            "night".into(),
            String::new(),
        ] {
            assert_eq!(presented(&format!("Bearer {wrong}")), None, "{wrong}");
        }
        assert_eq!(presented(&format!("Basic {}", "n".repeat(32))), None);
        assert!(keys(0).presented(&HeaderMap::new()).is_err());
    }

    #[test]
    fn one_key_uses_up_no_calls_of_another() {
        let keys = keys(2);
        let by = |place| PresentedKey { place, id: String::new(), scopes: Vec::new() };
        assert!(keys.step(&by(0)).is_ok() && keys.step(&by(0)).is_ok() && keys.step(&by(0)).is_err());
        assert!(keys.step(&by(1)).is_ok());
    }
}
