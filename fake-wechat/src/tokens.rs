//! stable_token, and whether a call brings a token that holds.

use std::time::{Duration, Instant};

use actix_web::{HttpResponse, web};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::logins::Refused;
use super::{Asked, Double, Outcome};

const LIVES: Duration = Duration::from_secs(7_200);
/// Before its end a token is renewed, and both hold.
const RENEWED: Duration = Duration::from_secs(300);

#[derive(Default)]
pub struct Tokens {
    newest: Option<(String, Instant)>,
    /// The one before.
    older: Option<(String, Instant)>,
    /// A token that was made to end, and what is said of it.
    ended: Option<(String, i64)>,
}

impl Tokens {
    /// The same token until its last minutes, as stable_token gives it.
    fn issue(&mut self, now: Instant) -> (String, Duration) {
        if let Some((token, made)) = &self.newest
            && now - *made + RENEWED < LIVES
        {
            return (token.clone(), LIVES - (now - *made));
        }
        let token = format!("double-{:032x}", rand::random::<u128>());
        self.older = self.newest.replace((token.clone(), now));
        (token, LIVES)
    }

    /// Makes the tokens that are out end; those who come with the newest hear `code`.
    pub fn end(&mut self, code: i64) {
        self.older = None;
        if let Some((token, _)) = self.newest.take() {
            self.ended = Some((token, code));
        }
    }

    fn check(&self, token: &str, now: Instant) -> Result<(), i64> {
        if token.is_empty() {
            return Err(41001);
        }
        if let Some((_, made)) =
            [&self.newest, &self.older].into_iter().flatten().find(|(known, _)| known == token)
        {
            return if now - *made < LIVES { Ok(()) } else { Err(42001) };
        }
        match &self.ended {
            Some((ended, code)) if ended == token => Err(*code),
            _ => Err(40001),
        }
    }
}

#[derive(Deserialize)]
struct TokenBody {
    #[serde(default)]
    grant_type: String,
    #[serde(default)]
    appid: String,
    #[serde(default)]
    secret: String,
}

pub async fn stable_token(body: Bytes, double: web::Data<Double>) -> HttpResponse {
    let outcome = match double.begin("stable_token") {
        Some(outcome) => outcome,
        None => double.give_token(&body).unwrap_or_else(Outcome::Errcode),
    };
    double.finish("stable_token", Asked::default(), outcome).await
}

/// What every call with a token has in its URL.
#[derive(Deserialize)]
pub struct TokenQuery {
    #[serde(default)]
    access_token: String,
}

impl Double {
    fn give_token(&self, body: &[u8]) -> Result<Outcome, i64> {
        let body: TokenBody = serde_json::from_slice(body).map_err(|_| 47001)?;
        if body.grant_type != "client_credential" {
            return Err(40002);
        }
        match self.knows(&body.appid, &body.secret) {
            // The token call says 40001 of a bad secret.
            Err(Refused::Errcode(40125)) => Err(40001),
            Err(Refused::Errcode(code)) => Err(code),
            Err(Refused::Broken) => Err(-1),
            Ok(()) => {
                let (token, lives) = self.memory().tokens.issue(Instant::now());
                Ok(Outcome::Answer(json!({ "access_token": token, "expires_in": lives.as_secs() })))
            }
        }
    }

    /// One call that needs a token: what it asks is parsed, and `judge` says what comes of it.
    pub async fn with_token<B: DeserializeOwned>(
        &self,
        call: &'static str,
        query: &TokenQuery,
        body: &[u8],
        judge: impl FnOnce(&B, &mut Asked) -> Result<Outcome, i64>,
    ) -> HttpResponse {
        let mut asked = Asked::default();
        let outcome = match self.begin(call) {
            Some(outcome) => outcome,
            None => self
                .admit(query, body)
                .and_then(|body| judge(&body, &mut asked))
                .unwrap_or_else(Outcome::Errcode),
        };
        self.finish(call, asked, outcome).await
    }

    fn admit<B: DeserializeOwned>(&self, query: &TokenQuery, body: &[u8]) -> Result<B, i64> {
        self.memory().tokens.check(&query.access_token, Instant::now())?;
        if body.is_empty() {
            return Err(44002);
        }
        serde_json::from_slice(body).map_err(|_| 47001)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_same_for_all_and_ends_with_the_code_that_was_asked_for() {
        let (mut tokens, now) = (Tokens::default(), Instant::now());
        let (first, _) = tokens.issue(now);
        assert_eq!(tokens.issue(now).0, first);
        assert_eq!(tokens.check(&first, now), Ok(()));
        assert_eq!((tokens.check("", now), tokens.check("another", now)), (Err(41001), Err(40001)));
        tokens.end(40014);
        assert_eq!(tokens.check(&first, now), Err(40014));
        assert_ne!(tokens.issue(now).0, first);
    }

    #[test]
    fn in_its_last_minutes_a_token_holds_beside_the_next() {
        let (mut tokens, begun) = (Tokens::default(), Instant::now());
        let (first, _) = tokens.issue(begun);
        let late = begun + LIVES - RENEWED;
        let (second, lives) = tokens.issue(late);
        assert!(first != second && lives == LIVES);
        assert_eq!((tokens.check(&first, late), tokens.check(&second, late)), (Ok(()), Ok(())));
        assert_eq!(
            (tokens.check(&first, begun + LIVES), tokens.check(&second, begun + LIVES)),
            (Err(42001), Ok(()))
        );
    }
}
