//! Keys of the server API, and what each of them may be used for.

use super::value::Wrong;
use super::{Listen, Secret};

#[derive(Debug, Clone)]
pub struct Admin {
    /// Empty: there is no server API.
    pub keys: Vec<AdminKey>,
    /// A port of its own; `None`: the public one.
    pub listen: Option<Listen>,
    /// Calls a second of one key, and as many at once (0: off).
    pub calls_per_second: u32,
    /// Days that the audit log keeps what operators did (0: for good).
    pub audit_days: u32,
}

impl Admin {
    /// Its own port, where there is a key and one is named.
    pub fn port(&self) -> Option<&Listen> {
        self.listen.as_ref().filter(|_| !self.keys.is_empty())
    }
}

/// A key of the server API. The secret is what the caller sends.
#[derive(Debug, Clone)]
pub struct AdminKey {
    pub id: String,
    /// At least 32 bytes.
    pub secret: Secret,
    /// At least one, each once.
    pub scopes: Vec<Scope>,
}

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Users, bans, the audit log.
    Read,
    /// Messages in the name of others.
    Send,
    /// Users: bans for good, kicks.
    Manage,
    /// Reviews, recalls, profiles taken away, bans with an end.
    Moderate,
}

impl Scope {
    pub const ALL: [Self; 4] = [Self::Read, Self::Send, Self::Manage, Self::Moderate];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Send => "send",
            Self::Manage => "manage",
            Self::Moderate => "moderate",
        }
    }
}

/// Minimum bytes of a secret.
const SECRET_BYTES: usize = 32;

/// `id:secret:scope+scope`, each id and each secret once. The reasons quote neither.
pub(super) fn keys(items: &[String]) -> Result<Vec<AdminKey>, Wrong> {
    let mut keys: Vec<AdminKey> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let nth = at + 1;
        let wrong = |what: &str| Wrong::because(format!("entry {nth} {what}"));
        let (id, rest) = item.split_once(':').ok_or_else(|| wrong("has no colon"))?;
        let (secret, scopes) =
            rest.rsplit_once(':').ok_or_else(|| wrong("has no scopes behind a second colon"))?;
        if !((1..=32).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'))
        {
            return Err(wrong("has a malformed id"));
        }
        if secret.len() < SECRET_BYTES || !secret.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(wrong("has a secret of fewer than 32 bytes, or one with blanks or other than ASCII"));
        }
        let scopes = scopes
            .split('+')
            .map(scope)
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| wrong("has an unknown scope"))?;
        if scopes.iter().enumerate().any(|(n, scope)| scopes[..n].contains(scope)) {
            return Err(wrong("repeats a scope"));
        }
        if keys.iter().any(|key| key.id == id) {
            return Err(wrong("repeats an id"));
        }
        let secret = Secret::new(secret);
        if keys.iter().any(|key| key.secret == secret) {
            return Err(wrong("repeats a secret: the audit log could not tell the two apart"));
        }
        keys.push(AdminKey { id: id.to_owned(), secret, scopes });
    }
    Ok(keys)
}

fn scope(word: &str) -> Option<Scope> {
    Scope::ALL.into_iter().find(|scope| scope.as_str() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<AdminKey>, Wrong> {
        keys(&text.split(',').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_key_is_an_id_a_secret_and_scopes() {
        let secret = "a:b+c/=".repeat(5);
        let parsed = parse(&format!("shop:{secret}:read+send,night:{}:moderate", "n".repeat(32))).unwrap();
        assert_eq!(parsed.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), ["shop", "night"]);
        assert_eq!(parsed[0].secret.expose(), secret);
        assert_eq!(
            parsed.iter().map(|key| key.scopes.clone()).collect::<Vec<_>>(),
            [vec![Scope::Read, Scope::Send], vec![Scope::Moderate]]
        );
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        let secret = "s3cret-s3cret-s3cret-s3cret-s3cret";
        for (text, why) in [
            (format!("a{secret}"), "no colon"),
            (format!("a:{secret}"), "no scopes"),
            (format!("a b:{secret}:read"), "malformed id"),
            (format!(":{secret}:read"), "malformed id"),
            (format!("a:{}:read", &secret[..31]), "fewer than 32 bytes"),
            (format!("a:{secret} x:read"), "blanks"),
            (format!("a:{secret}:"), "unknown scope"),
            (format!("a:{secret}:read+all"), "unknown scope"),
            (format!("a:{secret}:read+read"), "repeats a scope"),
            (format!("a:{secret}:read,a:{secret}x:read"), "repeats an id"),
            (format!("a:{secret}:read,b:{secret}:read"), "repeats a secret"),
        ] {
            let wrong = parse(&text).unwrap_err();
            assert!(wrong.0.contains(why) && !wrong.0.contains("s3cret"), "{text}: {}", wrong.0);
        }
    }
}
