//! Who you are, as WeChat says.

use crate::config;
use crate::ids::OpenId;
use crate::metrics::Metrics;

/// Exchanges a `wx.login` code for the openid behind it. `session_key` stays inside this room.
#[derive(actix::Message)]
#[rtype(result = "Result<OpenId, LoginRefused>")]
pub struct ValidateCode(pub String);

/// Why a code gave no openid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginRefused {
    #[error("the code is malformed, expired or used")]
    BadCode,
    #[error("WeChat asks to wait")]
    RateLimited { retry_after_ms: u64 },
    #[error("WeChat blocked this user")]
    Blocked,
    #[error("WeChat cannot be reached or is misconfigured")]
    Unavailable,
}

pub struct WeChatAuth {}

impl WeChatAuth {
    pub fn new(_config: &config::WeChat, _metrics: &Metrics) -> Self {
        Self {}
    }
}

impl actix::Actor for WeChatAuth {
    type Context = actix::Context<Self>;
}

impl actix::Handler<ValidateCode> for WeChatAuth {
    type Result = actix::ResponseFuture<Result<OpenId, LoginRefused>>;

    fn handle(&mut self, _msg: ValidateCode, _ctx: &mut Self::Context) -> Self::Result {
        Box::pin(async { Err(LoginRefused::Unavailable) })
    }
}
