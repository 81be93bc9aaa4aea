//! WeChatAuth: validates login codes and keeps the access_token.

use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, ResponseFuture, WrapFuture as _,
};
use tokio::sync::{Semaphore, oneshot};

use super::client::WeChatClient;
use super::token::TokenCache;
use super::{AccessToken, AccessTokenRefused, Failure, GetAccessToken, LoginRefused, ValidateCode};
use crate::backoff::Backoff;
use crate::clock::Stopwatch;
use crate::config;
use crate::ids::OpenId;
use crate::lifecycle::Vital;
use crate::metrics::{Metrics, WeChatCall, WeChatResult};
use crate::outage::{Outage, SharedOutage};

/// Logins under way at WeChat at once; beyond it `wechat_unavailable`.
const LOGINS_AT_ONCE: usize = 1_024;

/// One that fails late is not tried again, so that a login is answered before the client gives up.
const PATIENCE: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_millis(400))
    .tries(3)
    .within(Duration::from_secs(4));

pub struct WeChatAuth {
    config: config::WeChat,
    metrics: Metrics,
    /// Made on the actor's thread, to which it is bound.
    client: Option<WeChatClient>,
    token: TokenCache,
    /// Places for logins under way.
    logins: Arc<Semaphore>,
    /// Logins that WeChat does not answer.
    unanswered: Arc<SharedOutage>,
    /// Access tokens that it does not give.
    tokenless: Outage,
    started: Stopwatch,
    _vital: Vital,
}

impl WeChatAuth {
    pub fn new(config: &config::WeChat, metrics: &Metrics, vital: Vital) -> Self {
        Self {
            config: config.clone(),
            metrics: metrics.clone(),
            client: None,
            token: TokenCache::default(),
            logins: Arc::new(Semaphore::new(LOGINS_AT_ONCE)),
            unanswered: Arc::default(),
            tokenless: Outage::default(),
            started: Stopwatch::start(),
            _vital: vital,
        }
    }

    fn client(&mut self) -> WeChatClient {
        self.client.get_or_insert_with(|| WeChatClient::new(&self.config)).clone()
    }

    fn now(&self) -> u64 {
        self.started.elapsed_ms()
    }
}

/// Takes in that WeChat answered a login, if only by a refusal of the code.
fn answered(unanswered: &SharedOutage) {
    if unanswered.answered().is_some() {
        log::info!("code2session is answered again");
    }
}

impl Actor for WeChatAuth {
    type Context = Context<Self>;
}

impl Handler<ValidateCode> for WeChatAuth {
    type Result = ResponseFuture<Result<OpenId, LoginRefused>>;

    fn handle(&mut self, ValidateCode(code): ValidateCode, _: &mut Self::Context) -> Self::Result {
        let (client, metrics, unanswered) = (self.client(), self.metrics.clone(), self.unanswered.clone());
        let Ok(place) = self.logins.clone().try_acquire_owned() else {
            count(&metrics, WeChatCall::Code2Session, &Err::<(), _>(Failure::Busy));
            return Box::pin(async { Err(LoginRefused::Unavailable) });
        };
        Box::pin(async move {
            let _place = place;
            let outcome =
                patiently(&metrics, WeChatCall::Code2Session, || client.code_to_openid(&code)).await;
            if outcome.is_ok() {
                answered(&unanswered);
            }
            outcome.map_err(|failure| {
                let refused = LoginRefused::from(&failure);
                if refused != LoginRefused::Unavailable {
                    answered(&unanswered);
                    log::debug!(failure:% = failure; "code2session refused a code");
                } else if let Some(away) = unanswered.failed() {
                    log::warn!(failure:% = failure, hint = hint(&failure), away_s = away.as_secs(); "code2session failed");
                }
                refused
            })
        })
    }
}

impl Handler<GetAccessToken> for WeChatAuth {
    type Result = ResponseFuture<Result<AccessToken, Failure>>;

    fn handle(&mut self, _: GetAccessToken, ctx: &mut Self::Context) -> Self::Result {
        let (who, told) = oneshot::channel();
        if self.token.ask(who, self.now()) {
            let (client, metrics) = (self.client(), self.metrics.clone());
            let fetch =
                async move { patiently(&metrics, WeChatCall::StableToken, || client.stable_token()).await };
            ctx.spawn(fetch.into_actor(self).map(|outcome, auth, _| {
                match &outcome {
                    Ok(_) => _ = auth.tokenless.answered(std::time::Instant::now()),
                    Err(failure) => {
                        if let Some(away) = auth.tokenless.failed(std::time::Instant::now()) {
                            log::warn!(failure:% = failure, hint = hint(failure), away_s = away.as_secs(); "stable_token failed");
                        }
                    }
                }
                auth.token.fetched(outcome, auth.now());
            }));
        }
        Box::pin(async { told.await.unwrap_or(Err(Failure::Busy)) })
    }
}

impl Handler<AccessTokenRefused> for WeChatAuth {
    type Result = ();

    fn handle(&mut self, AccessTokenRefused(token): AccessTokenRefused, _: &mut Self::Context) {
        self.token.refused(&token, self.now());
    }
}

/// Tries a call again while its failure is a passing one.
async fn patiently<T, F: Future<Output = Result<T, Failure>>>(
    metrics: &Metrics,
    name: WeChatCall,
    call: impl Fn() -> F,
) -> Result<T, Failure> {
    let counted = async || {
        let outcome = call().await;
        count(metrics, name, &outcome);
        outcome
    };
    PATIENCE.run(Failure::is_passing, counted).await
}

/// Counts the outcome of one call.
pub fn count<T>(metrics: &Metrics, call: WeChatCall, outcome: &Result<T, Failure>) {
    let result = outcome.as_ref().map_or_else(Failure::result, |_| WeChatResult::Ok);
    metrics.wechat_calls.inc((call, result));
}

/// What the operator can do about it.
pub fn hint(failure: &Failure) -> &'static str {
    match failure {
        Failure::Code { code: 40013 | 41002, .. } => "wechat.appid is wrong",
        Failure::Code { code: 40001 | 40125 | 41004, .. } => {
            "wechat.secret is wrong, or was reset in WeChat's console"
        }
        Failure::Code { code: 40164, .. } => {
            "this machine's address is not on the list of allowed addresses in WeChat's console"
        }
        Failure::Code { code: 45009, .. } => "WeChat's quota of the day is used up",
        Failure::Code { code: -1, .. } | Failure::Status(_) => "WeChat is busy",
        Failure::Connect | Failure::Broken | Failure::Timeout => {
            "wechat.api_base cannot be reached from here"
        }
        _ => "",
    }
}
