//! Calls to WeChat, and what it pushes by itself. Facts of its API: docs/WECHAT.md.

mod actor;
mod api;
mod client;
mod tls;
mod token;
mod error;
pub mod push;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::ids::OpenId;

pub use actor::{WeChatAuth, hint};
pub use api::{
    Judgement, MediaCheck, MediaKind, MiniprogramState, Scene, Sent, SubscribeMessage, Suggest, TextCheck,
    TraceId, WeChatApi,
};
pub use client::check_secret;
pub use error::{BUSY, Failure, INACTIVE, LoginRefused, NO_GRANT, SendFailure};
pub use push::Push;
pub use tls::system_roots;

/// Exchanges a `wx.login` code for the openid behind it. `session_key` stays inside this room.
#[derive(actix::Message)]
#[rtype(result = "Result<OpenId, LoginRefused>")]
pub struct ValidateCode(pub String);

/// Asks for an access_token that is good for at least some minutes; one call to WeChat serves all who ask
/// meanwhile.
#[derive(actix::Message)]
#[rtype(result = "Result<AccessToken, Failure>")]
pub struct GetAccessToken;

/// WeChat refused this token (40001, 40014, 42001): it is dropped, unless a newer one has come.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub struct AccessTokenRefused(pub AccessToken);

/// A secret: it is not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(Arc<str>);

impl AccessToken {
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}
