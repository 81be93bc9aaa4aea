//! Bearer tokens: JWT (RFC 7519), signed with HMAC-SHA-256 and nothing else.

use std::sync::{Arc, PoisonError, RwLock};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};

use super::hs256;
use super::revocations::Revocations;
use crate::config;
use crate::event::revocation::{Issued, Revocation};
use crate::ids::OpenId;

/// Who a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub openid: OpenId,
    /// When it was issued; its time is the token's name in the revocation log.
    pub issued: Issued,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    #[error("the token is not valid")]
    Unauthorized,
    #[error("the user is banned")]
    Banned,
}

/// What a token says. A developer's own backend may sign one: `iat_ms` may be left out there, and is then
/// `iat` × 1000.
#[derive(Serialize, Deserialize)]
struct Claims {
    /// The openid.
    sub: String,
    /// The appid.
    aud: String,
    /// Unix seconds.
    iat: i64,
    exp: i64,
    /// Not before (RFC 7519, 4.1.5), Unix seconds, which may have a fraction. Only others write it.
    #[serde(default, skip_serializing)]
    nbf: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iat_ms: Option<i64>,
    /// Only nodes set it: see [`Issued::rev`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rev: Option<i64>,
}

/// Signs and checks tokens against keys and revocations. Cloning shares both.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    keys: Vec<Key>,
    audience: String,
    ttl_s: i64,
    revocations: RwLock<Revocations>,
}

struct Key {
    id: String,
    sign: EncodingKey,
    verify: DecodingKey,
}

/// Ours have some 300 bytes; a longer one is no token of anybody's.
const MAX_BYTES: usize = 2 * 1024;

/// How far the clocks of two nodes, or of a developer's backend, may differ.
const CLOCKS_DIFFER_MS: i64 = 60_000;

impl Tokens {
    /// `audience` is the appid.
    pub fn new(config: &config::Auth, audience: &str) -> Self {
        hs256::install();
        let key = |key: &config::SigningKey| {
            let secret = key.secret.expose().as_bytes();
            Key {
                id: key.id.clone(),
                sign: EncodingKey::from_secret(secret),
                verify: DecodingKey::from_secret(secret),
            }
        };
        Self(Arc::new(Inner {
            keys: config.keys.iter().map(key).collect(),
            audience: audience.to_owned(),
            ttl_s: i64::try_from(config.token_ttl_s).unwrap_or(i64::MAX / 2_000),
            revocations: RwLock::default(),
        }))
    }

    /// Lets a user log in. The log was read before: what is not known of it now was committed later.
    ///
    /// # Errors
    /// [`TokenRefused::Banned`].
    pub fn admit(&self, openid: OpenId, now_ms: i64) -> Result<Identity, TokenRefused> {
        let issued = self.read(|revocations| match revocations.is_banned(&openid, now_ms) {
            true => Err(TokenRefused::Banned),
            false => Ok(revocations.issue(&openid, now_ms)),
        })?;
        Ok(Identity { openid, issued })
    }

    /// The token of a login, signed with the first key.
    ///
    /// # Errors
    /// [`TokenRefused::Unauthorized`] when there is no key to sign with.
    pub fn sign(&self, Identity { openid, issued }: &Identity) -> Result<String, TokenRefused> {
        let key = self.0.keys.first().ok_or(TokenRefused::Unauthorized)?;
        let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::HS256) };
        let iat = issued.ms / 1_000;
        let (sub, aud, exp) = (openid.as_str().to_owned(), self.0.audience.clone(), iat + self.0.ttl_s);
        let claims = Claims { sub, aud, iat, exp, nbf: None, iat_ms: Some(issued.ms), rev: issued.rev };
        encode(&header, &claims, &key.sign).map_err(|_| TokenRefused::Unauthorized)
    }

    /// Checks signature, expiry, audience and revocations.
    ///
    /// # Errors
    /// [`TokenRefused`].
    pub fn verify(&self, token: &str, now_ms: i64) -> Result<Identity, TokenRefused> {
        let identity = self.identity(token, now_ms).ok_or(TokenRefused::Unauthorized)?;
        self.not_revoked(&identity, now_ms)?;
        Ok(identity)
    }

    /// Whether nobody has banned or logged out since who logged in so.
    ///
    /// # Errors
    /// [`TokenRefused`].
    pub fn not_revoked(&self, identity: &Identity, now_ms: i64) -> Result<(), TokenRefused> {
        self.read(|revocations| revocations.judge(identity, now_ms))
    }

    fn identity(&self, token: &str, now_ms: i64) -> Option<Identity> {
        if token.len() > MAX_BYTES {
            return None;
        }
        let header = decode_header(token).ok()?;
        // RFC 7515, 4.1.11: what must be understood and is not makes it invalid, and no extension is
        // understood here.
        if header.crit.is_some() {
            return None;
        }
        let id = header.kid?;
        let key = self.0.keys.iter().find(|key| key.id == id)?;
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[&self.0.audience]);
        validation.set_required_spec_claims(&["sub", "aud", "exp"]);
        // The time is judged below, by the caller's clock.
        validation.validate_exp = false;
        let claims = decode::<Claims>(token, &key.verify, &validation).ok()?.claims;
        let issued_ms = claims.iat_ms.or_else(|| claims.iat.checked_mul(1_000))?;
        // Not even by its own word for longer than revocations are kept: a lifetime made shorter holds for
        // the tokens that are there.
        let ends_ms =
            claims.exp.checked_mul(1_000)?.min(issued_ms.saturating_add(self.0.ttl_s.saturating_mul(1_000)));
        let latest_ms = now_ms.checked_add(CLOCKS_DIFFER_MS)?;
        let has_begun = claims.nbf.is_none_or(|nbf| nbf * 1_000.0 <= latest_ms as f64);
        let lives = ends_ms > now_ms && issued_ms <= latest_ms && has_begun;
        let openid = OpenId::parse(&claims.sub).ok()?;
        lives.then_some(Identity { openid, issued: Issued { ms: issued_ms, rev: claims.rev } })
    }

    pub fn is_banned(&self, openid: &OpenId, now_ms: i64) -> bool {
        self.read(|revocations| revocations.is_banned(openid, now_ms))
    }

    /// Takes entries of the log into account.
    pub fn apply(&self, entries: impl IntoIterator<Item = Revocation>) {
        let mut revocations = self.0.revocations.write().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            revocations.apply(&entry);
        }
    }

    /// Forgets every entry and takes these into account: the log is another one.
    pub fn replace(&self, entries: impl IntoIterator<Item = Revocation>) {
        let mut fresh = Revocations::default();
        for entry in entries {
            fresh.apply(&entry);
        }
        *self.0.revocations.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    /// Notes that entries up to `id` that are not known are too old to matter.
    pub fn pass_over(&self, id: i64) {
        self.0.revocations.write().unwrap_or_else(PoisonError::into_inner).pass_over(id);
    }

    /// Forgets revocations of tokens that have expired by now.
    pub fn forget_expired(&self, now_ms: i64) {
        let oldest = self.oldest_alive(now_ms);
        self.0.revocations.write().unwrap_or_else(PoisonError::into_inner).forget(oldest);
    }

    /// The earliest issue time of a token that may still be alive, Unix milliseconds.
    pub fn oldest_alive(&self, now_ms: i64) -> i64 {
        now_ms - self.0.ttl_s.saturating_mul(1_000) - CLOCKS_DIFFER_MS
    }

    fn read<T>(&self, ask: impl FnOnce(&Revocations) -> T) -> T {
        ask(&self.0.revocations.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{Auth, Secret, SigningKey};
    use crate::event::revocation::Revoked;

    const NOW: i64 = 1_700_000_000_123;

    fn key(id: &str, letter: &str) -> SigningKey {
        SigningKey { id: id.into(), secret: Secret::new(letter.repeat(32)) }
    }

    fn tokens(keys: Vec<SigningKey>) -> Tokens {
        Tokens::new(&Auth { keys, token_ttl_s: 100 }, "wx1")
    }

    fn openid() -> OpenId {
        OpenId::parse("alice").unwrap()
    }

    fn signed(header: &Header, claims: &serde_json::Value, letter: &str) -> String {
        encode(header, claims, &EncodingKey::from_secret(letter.repeat(32).as_bytes())).unwrap()
    }

    /// As [`signed`] would, if it knew the algorithm.
    fn signed_with_hs512(claims: &serde_json::Value, letter: &str) -> String {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        use hmac::{Hmac, KeyInit as _, Mac as _};
        let header = json!({ "typ": "JWT", "alg": "HS512", "kid": "1" });
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let hmac = Hmac::<sha2::Sha512>::new_from_slice(letter.repeat(32).as_bytes()).unwrap();
        let signature = hmac.chain_update(&message).finalize().into_bytes();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn header(kid: &str) -> Header {
        Header { kid: Some(kid.into()), ..Header::new(Algorithm::HS256) }
    }

    fn issue(tokens: &Tokens, now: i64) -> Result<String, TokenRefused> {
        tokens.sign(&tokens.admit(openid(), now)?)
    }

    #[test]
    fn a_token_speaks_for_its_user_until_it_expires() {
        let t = tokens(vec![key("1", "k")]);
        let token = issue(&t, NOW).unwrap();
        assert_eq!(
            t.verify(&token, NOW),
            Ok(Identity { openid: openid(), issued: Issued { ms: NOW, rev: Some(0) } })
        );
        assert!(t.verify(&token, NOW + 99_000).is_ok());
        assert_eq!(t.verify(&token, NOW + 100_000), Err(TokenRefused::Unauthorized));
    }

    #[test]
    fn a_lifetime_made_shorter_holds_for_the_tokens_that_are_there() {
        let long =
            issue(&Tokens::new(&Auth { keys: vec![key("1", "k")], token_ttl_s: 1_000 }, "wx1"), NOW).unwrap();
        let short = tokens(vec![key("1", "k")]);
        assert!(short.verify(&long, NOW + 99_000).is_ok());
        assert_eq!(short.verify(&long, NOW + 100_000), Err(TokenRefused::Unauthorized));
    }

    #[test]
    fn keys_rotate_without_ending_sessions() {
        let old = issue(&tokens(vec![key("1", "k")]), NOW).unwrap();
        let both = tokens(vec![key("2", "n"), key("1", "k")]);
        assert!(both.verify(&old, NOW).is_ok());
        let new = issue(&both, NOW).unwrap();
        assert!(tokens(vec![key("1", "k")]).verify(&new, NOW).is_err());
    }

    #[test]
    fn whatever_is_wrong_with_it_it_is_refused() {
        let t = tokens(vec![key("1", "k")]);
        let good = json!({"sub": "alice", "aud": "wx1", "iat": NOW / 1_000, "exp": NOW / 1_000 + 50});
        assert_eq!(
            t.verify(&signed(&header("1"), &good, "k"), NOW).unwrap().issued,
            Issued::by_time(NOW / 1_000 * 1_000)
        );
        let with = |field: &str, value: serde_json::Value| {
            let mut claims = good.clone();
            claims[field] = value;
            signed(&header("1"), &claims, "k")
        };
        for begun in [json!(0), json!(NOW / 1_000), json!(NOW / 1_000 + 60), json!(NOW as f64 / 1_000.0)] {
            assert!(t.verify(&with("nbf", begun.clone()), NOW).is_ok(), "{begun}");
        }
        let mut tampered = issue(&t, NOW).unwrap();
        tampered.pop();
        for (bad, what) in [
            (signed(&header("1"), &good, "x"), "another key"),
            (signed(&header("9"), &good, "k"), "an unknown key id"),
            (signed(&Header::new(Algorithm::HS256), &good, "k"), "no key id"),
            (signed_with_hs512(&good, "k"), "another algorithm"),
            (with("aud", json!("wx2")), "another mini-program"),
            (with("sub", json!("a b")), "no openid"),
            (with("exp", json!(i64::MAX)), "an absurd expiry"),
            (with("iat", json!(NOW / 1_000 + 3_600)), "issued in the future"),
            (with("sub", json!("x".repeat(4_000))), "far too long"),
            (with("nbf", json!(NOW / 1_000 + 61)), "not valid yet"),
            (with("nbf", json!(1e300)), "never valid"),
            (with("nbf", json!("0")), "a time that is none"),
            (
                signed(&Header { crit: Some(vec!["exp".into()]), ..header("1") }, &good, "k"),
                "something that must be understood",
            ),
            (
                signed(&Header { crit: Some(vec![]), ..header("1") }, &good, "k"),
                "an empty list of what must be",
            ),
            (tampered, "cut"),
            ("eyJhbGciOiJub25lIn0.e30.".into(), "unsigned"),
            (String::new(), "empty"),
        ] {
            assert_eq!(t.verify(&bad, NOW), Err(TokenRefused::Unauthorized), "{what}");
        }
    }

    #[test]
    fn a_ban_ends_tokens_and_stops_new_ones() {
        let t = tokens(vec![key("1", "k")]);
        let token = issue(&t, NOW).unwrap();
        t.apply([Revocation { id: 1, openid: openid(), what: Revoked::Access { until: None }, at: NOW }]);
        assert_eq!(t.verify(&token, NOW), Err(TokenRefused::Banned));
        assert_eq!(issue(&t, NOW), Err(TokenRefused::Banned));
        t.apply([Revocation { id: 2, openid: openid(), what: Revoked::Nothing, at: NOW }]);
        assert_eq!(t.verify(&token, NOW), Err(TokenRefused::Unauthorized), "tokens from before stay dead");
        let new = issue(&t, NOW).unwrap();
        assert!(t.verify(&new, NOW).is_ok());
    }
}
