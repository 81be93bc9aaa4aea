//! Secrets that everybody knows: those that examples show, and those of `hongyan dev`.

use super::problem::Problem;
use super::{Config, Secret, dev, value};
use crate::config::Loaded;

/// What stands in the place of a secret in files and commands that are to be filled in, in upper case. No
/// secret by chance has one.
const MARKS: [&str; 11] = [
    "YOUR-",
    "YOUR_",
    "$(",
    "${",
    "…",
    "EXAMPLE",
    "CHANGEME",
    "CHANGE-ME",
    "CHANGE_ME",
    "REPLACE",
    "PLACEHOLDER",
];

/// The ids of keys that `hongyan dev` signs with begin so.
const DEV_ID: &str = "dev";

fn is_placeholder(secret: &str) -> bool {
    let upper = secret.to_uppercase();
    MARKS.iter().any(|mark| upper.contains(mark))
}

impl Loaded {
    /// Secrets with which `serve` would let anybody in.
    pub(super) fn known_to_all(&self) -> Vec<Problem> {
        let Config { auth, admin, wechat, database, relay, .. } = &self.config;
        let exposed = |secret: &Secret| is_placeholder(secret.expose());
        let url_of = |url: &super::DatabaseUrl| matches!(url, super::DatabaseUrl::Postgres(url) if is_placeholder(url));
        let example = "the value of an example, which everybody knows: put a secret of your own in its place";
        let found = [
            ("auth.keys", auth.keys.iter().any(|key| exposed(&key.secret))),
            ("admin.keys", admin.keys.iter().any(|key| exposed(&key.secret))),
            ("wechat.secret", exposed(&wechat.secret)),
            ("wechat.push_token", exposed(&wechat.push_token)),
            ("wechat.push_aes_key", exposed(&wechat.push_aes_key)),
            ("database.url", url_of(&database.url)),
            ("relay.nats_url", relay.nats_url.as_deref().is_some_and(is_placeholder)),
        ];
        let examples = found
            .into_iter()
            .filter(|(_, is_example)| *is_example)
            .map(|(name, _)| self.problem(name, example));
        let of_dev = [
            ("auth.keys", auth.keys.iter().any(|key| key.id.starts_with(DEV_ID))),
            ("admin.keys", admin.keys.iter().any(|key| key.id.starts_with(DEV_ID))),
            ("wechat.push_token", wechat.push_token == Secret::new(dev::PUSH_TOKEN)),
            ("wechat.push_aes_key", wechat.push_aes_key == Secret::new(dev::PUSH_AES_KEY)),
        ];
        let why = "the value is one of `hongyan dev`, which lets anybody in (the ids of its keys begin with dev): make one for `serve`";
        let of_dev =
            of_dev.into_iter().filter(|(_, is_of_dev)| *is_of_dev).map(|(name, _)| self.problem(name, why));
        examples.chain(of_dev).collect()
    }

    /// Keys with which `dev` must not sign: beside a double of WeChat it logs in whoever asks, under any
    /// name.
    pub(super) fn too_good_for_dev(&self) -> Vec<Problem> {
        let wechat = &self.config.wechat.api_base;
        let is_double = wechat.is_empty() || value::is_loopback_http(wechat);
        let is_given = self.source("auth.keys").is_some_and(|source| *source != super::Source::Dev);
        let foreign = self.config.auth.keys.iter().any(|key| !key.id.starts_with(DEV_ID));
        if is_double && is_given && foreign {
            let why = "dev would sign tokens for anybody with the key of a server: leave it out, or give one whose id begins with dev";
            return vec![self.problem("auth.keys", why)];
        }
        Vec::new()
    }

    fn problem(&self, name: &str, what: &str) -> Problem {
        Problem::new(name, self.source(name).cloned(), what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_examples_show_is_told_from_secrets() {
        for shown in [
            "YOUR-SIGNING-KEY-OF-32-BYTES-OR-MORE",
            "$(head -c 32 /dev/urandom | base64)",
            "change-me-please",
            "…",
            "postgres://h:Your-Password@h/h",
        ] {
            assert!(is_placeholder(shown), "{shown}");
        }
        for good in [
            "8Q2oJ5xkz1yq0Yv3t7n9W2m4b6c8d0e+/=aaaaaaaaa",
            "0123456789abcdef0123456789abcdef",
            "postgres://h:p@db.internal/h",
        ] {
            assert!(!is_placeholder(good), "{good}");
        }
    }
}
