//! Calls to WeChat over HTTP.

use std::time::Duration;

use actix_http::error::ParseError;
use awc::error::{ConnectError, SendRequestError};
use awc::http::{StatusCode, Version};
use awc::{Client, ClientRequest, Connector};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{AccessToken, Failure, tls};
use crate::config::{self, Secret};
use crate::ids::OpenId;

/// An answer of WeChat's has some hundred bytes.
const BODY_BYTES: usize = 64 * 1024;

/// Speaks for one mini-program. Cheap to clone; bound to its thread.
#[derive(Clone)]
pub struct WeChatClient {
    http: Client,
    base: String,
    appid: String,
    secret: Secret,
}

#[derive(Serialize)]
struct CodeQuery<'a> {
    appid: &'a str,
    secret: &'a str,
    js_code: &'a str,
    grant_type: &'a str,
}

#[derive(Serialize)]
struct TokenBody<'a> {
    grant_type: &'a str,
    appid: &'a str,
    secret: &'a str,
    force_refresh: bool,
}

/// What every answer of WeChat may carry; an absent errcode is 0.
#[derive(Deserialize)]
struct Verdict {
    #[serde(default)]
    errcode: i64,
    #[serde(default)]
    errmsg: String,
}

#[derive(Deserialize)]
struct CodeAnswer {
    openid: String,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: u64,
}

impl WeChatClient {
    pub fn new(config: &config::WeChat) -> Self {
        let http = http(&config.api_base, Duration::from_millis(config.timeout_ms), config.connections);
        Self {
            http,
            base: config.api_base.clone(),
            appid: config.appid.clone(),
            secret: config.secret.clone(),
        }
    }

    /// code2Session: the openid behind a `wx.login` code.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn code_to_openid(&self, code: &str) -> Result<OpenId, Failure> {
        let query = CodeQuery {
            appid: &self.appid,
            secret: self.secret.expose(),
            js_code: code,
            grant_type: "authorization_code",
        };
        let request = self
            .http
            .get(format!("{}/sns/jscode2session", self.base))
            .query(&query)
            .map_err(|_| Failure::Body)?;
        let answer: CodeAnswer = call(request, None::<&()>).await?;
        OpenId::parse(&answer.openid).map_err(|_| Failure::Body)
    }

    /// stable_token: an access_token and the milliseconds that it lives. It does not invalidate other nodes'
    /// tokens.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn stable_token(&self) -> Result<(AccessToken, u64), Failure> {
        let body = TokenBody {
            grant_type: "client_credential",
            appid: &self.appid,
            secret: self.secret.expose(),
            force_refresh: false,
        };
        let request = self.http.post(format!("{}/cgi-bin/stable_token", self.base));
        let answer: TokenAnswer = call(request, Some(&body)).await?;
        Ok((AccessToken::new(&answer.access_token), answer.expires_in.saturating_mul(1_000)))
    }
}

/// Asks WeChat for an access_token as the server does, which takes nothing away from servers that hold one.
///
/// # Errors
/// [`Failure`]: the AppID or the AppSecret is wrong, this address is not allowed, or WeChat is not reached.
pub async fn check_secret(config: &config::WeChat) -> Result<(), Failure> {
    WeChatClient::new(config).stable_token().await.map(|_| ())
}

/// An HTTP client for URLs that begin with `base`. Its calls take `timeout` at the most; half of it is for a
/// connection, so that one which cannot be made is known for that. Of `connections` each carries one call;
/// awc's own hundred would let calls that no answer comes for keep out the others.
pub fn http(base: &str, timeout: Duration, connections: usize) -> Client {
    let mut connector = Connector::new()
        .max_http_version(Version::HTTP_11)
        .timeout(timeout / 2)
        .handshake_timeout(timeout / 2)
        .limit(connections);
    if base.starts_with("https:") {
        match tls::client_config() {
            Ok(config) => connector = connector.rustls_0_23(config),
            Err(error) => log::error!(error:% = error; "TLS could not be set up"),
        }
    }
    Client::builder().connector(connector).timeout(timeout).disable_redirects().finish()
}

/// What WeChat answers to one request.
///
/// # Errors
/// [`Failure`].
pub async fn call<A: DeserializeOwned>(
    request: ClientRequest,
    body: Option<&impl Serialize>,
) -> Result<A, Failure> {
    let sent = match body {
        Some(body) => request.send_json(body),
        None => request.send(),
    };
    let mut response = sent.await.map_err(|error| failure(&error))?;
    if response.status() != StatusCode::OK {
        return Err(Failure::Status(response.status().as_u16()));
    }
    // WeChat says text/plain of its JSON, so the type is not looked at.
    let bytes = response.body().limit(BODY_BYTES).await.map_err(|_| Failure::Body)?;
    let verdict: Verdict = serde_json::from_slice(&bytes).map_err(|_| Failure::Body)?;
    if verdict.errcode != 0 {
        return Err(Failure::Code { code: verdict.errcode, rid: rid(&verdict.errmsg) });
    }
    serde_json::from_slice(&bytes).map_err(|_| Failure::Body)
}

/// Only the kind: awc's errors may show the URL, and the AppSecret stands in it.
fn failure(error: &SendRequestError) -> Failure {
    match error {
        SendRequestError::Timeout => Failure::Timeout,
        // So awc calls the end of a connection on which it waited for an answer.
        SendRequestError::Connect(ConnectError::Disconnected) => Failure::Broken,
        SendRequestError::Connect(_) | SendRequestError::Url(_) => Failure::Connect,
        // A kept connection that WeChat has closed meanwhile fails in sending.
        SendRequestError::Send(_) | SendRequestError::Response(ParseError::Io(_)) => Failure::Broken,
        _ => Failure::Body,
    }
}

/// WeChat's name of the request stands at the end of errmsg as `rid: …`; nothing else of errmsg is kept.
fn rid(errmsg: &str) -> String {
    let rid = errmsg.rsplit_once("rid:").map_or("", |(_, rid)| rid.trim());
    rid.chars().take(64).filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_errmsg_only_the_rid_is_kept() {
        assert_eq!(rid("invalid code, rid: 61725984-6126f6f9-040f19c4"), "61725984-6126f6f9-040f19c4");
        assert_eq!(rid("invalid code"), "");
        assert_eq!(rid("rid: a\nb"), "ab");
    }
}
