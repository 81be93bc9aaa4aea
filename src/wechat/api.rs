//! The calls that need the access_token.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::Recipient;
use awc::Client;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::time::{Instant, timeout_at};

use super::actor::count;
use super::{AccessToken, AccessTokenRefused, Failure, GetAccessToken, SendFailure, client};
use crate::config;
use crate::ids::OpenId;
use crate::metrics::{Metrics, WeChatCall};

/// A way to WeChat's calls that need the access_token. Cheap to clone; made on the thread that uses it.
#[derive(Clone)]
pub struct WeChatApi {
    http: Client,
    base: String,
    token: Recipient<GetAccessToken>,
    refused: Recipient<AccessTokenRefused>,
    metrics: Metrics,
    timeout: Duration,
}

/// What kind of text it is, as WeChat tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Scene {
    Profile = 1,
    Comment = 2,
    Forum = 3,
    Social = 4,
}

impl Serialize for Scene {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u8(*self as u8)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum MediaKind {
    Audio = 1,
    Image = 2,
}

impl Serialize for MediaKind {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u8(*self as u8)
    }
}

/// A text to be judged: at most 2 500 characters.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct TextCheck<'a> {
    #[serde(serialize_with = "openid")]
    pub openid: &'a OpenId,
    pub scene: Scene,
    pub content: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nickname: Option<&'a str>,
}

/// An image or a sound to be judged: at most 10 MB, where WeChat can fetch it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct MediaCheck<'a> {
    #[serde(serialize_with = "openid")]
    pub openid: &'a OpenId,
    pub scene: Scene,
    #[serde(rename = "media_url")]
    pub url: &'a str,
    #[serde(rename = "media_type")]
    pub kind: MediaKind,
}

/// What WeChat would do about a text; the later one is the worse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Suggest {
    Pass,
    Review,
    Risky,
}

/// What WeChat says of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    pub suggest: Suggest,
    /// 100: nothing; the others stand in docs/WECHAT.md.
    pub label: i32,
    pub trace_id: String,
}

/// WeChat's name of a check, by which its result comes later.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TraceId(pub String);

/// Which version of the mini-program a message opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MiniprogramState {
    Developer,
    Trial,
    Formal,
}

/// A message of WeChat's own to one user, for which they have accepted the template.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SubscribeMessage<'a> {
    #[serde(serialize_with = "openid")]
    pub touser: &'a OpenId,
    pub template_id: &'a str,
    /// What a tap opens, such as `pages/chat/chat?peer=bob`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<&'a str>,
    /// The template's fields, such as `thing1`.
    #[serde(serialize_with = "values")]
    pub data: &'a BTreeMap<String, String>,
    pub miniprogram_state: MiniprogramState,
    /// `zh_CN`, `en_US`, `zh_HK` or `zh_TW`.
    pub lang: &'a str,
}

/// WeChat took a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// WeChat's name of it, where it says one.
    pub msgid: Option<String>,
}

fn openid<S: Serializer>(openid: &OpenId, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(openid.as_str())
}

fn values<S: Serializer>(data: &BTreeMap<String, String>, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Field<'a> {
        value: &'a str,
    }
    to.collect_map(data.iter().map(|(name, value)| (name, Field { value })))
}

/// The second version of the two checks: the first one is frozen.
#[derive(Serialize)]
struct V2<T> {
    version: u8,
    #[serde(flatten)]
    check: T,
}

#[derive(Deserialize)]
struct TextAnswer {
    #[serde(default)]
    trace_id: String,
    result: Option<Found>,
    #[serde(default)]
    detail: Vec<Detail>,
}

#[derive(Deserialize)]
struct Found {
    suggest: Suggest,
    #[serde(deserialize_with = "number")]
    label: i64,
}

/// What one of WeChat's ways of looking found; where its errcode is not 0 the rest of it means nothing.
#[derive(Deserialize)]
struct Detail {
    #[serde(default)]
    errcode: i64,
    #[serde(flatten)]
    found: Option<Found>,
}

#[derive(Deserialize)]
struct MediaAnswer {
    trace_id: String,
}

#[derive(Deserialize)]
struct SentAnswer {
    #[serde(default)]
    msgid: Option<Msgid>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Msgid {
    Number(u64),
    Text(String),
}

/// A whole number, which WeChat also writes as text.
pub fn number<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(i64),
        Text(String),
    }
    match Written::deserialize(from)? {
        Written::Number(number) => Ok(number),
        Written::Text(text) => text.trim().parse().map_err(serde::de::Error::custom),
    }
}

impl WeChatApi {
    /// `timeout`: what one call may take, with the wait for a token and the second try after a refused one.
    pub fn new(
        config: &config::WeChat,
        token: Recipient<GetAccessToken>,
        refused: Recipient<AccessTokenRefused>,
        metrics: &Metrics,
        timeout: Duration,
    ) -> Self {
        Self {
            http: client::http(&config.api_base, timeout, config.connections),
            base: config.api_base.clone(),
            token,
            refused,
            metrics: metrics.clone(),
            timeout,
        }
    }

    /// msgSecCheck: what WeChat says of a text.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn msg_sec_check(&self, check: &TextCheck<'_>) -> Result<Judgement, Failure> {
        let body = V2 { version: 2, check };
        let TextAnswer { trace_id, result, detail } =
            self.ask(WeChatCall::MsgSecCheck, "/wxa/msg_sec_check", &body).await?;
        let in_detail = || {
            detail
                .into_iter()
                .filter(|d| d.errcode == 0)
                .filter_map(|d| d.found)
                .max_by_key(|found| found.suggest)
        };
        let Found { suggest, label } = result.or_else(in_detail).ok_or(Failure::Body)?;
        Ok(Judgement { suggest, label: i32::try_from(label).map_err(|_| Failure::Body)?, trace_id })
    }

    /// mediaCheckAsync: has an image or a sound judged. What WeChat says of it comes later, as
    /// [`super::Push::MediaChecked`].
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn media_check_async(&self, check: &MediaCheck<'_>) -> Result<TraceId, Failure> {
        let body = V2 { version: 2, check };
        let answer: MediaAnswer =
            self.ask(WeChatCall::MediaCheckAsync, "/wxa/media_check_async", &body).await?;
        Ok(TraceId(answer.trace_id))
    }

    /// Sends one message. It is tried once; a second time only where the first was refused for its
    /// access_token.
    ///
    /// # Errors
    /// [`SendFailure`].
    pub async fn send_subscribe(&self, notice: &SubscribeMessage<'_>) -> Result<Sent, SendFailure> {
        let answer: SentAnswer =
            self.ask(WeChatCall::SubscribeSend, "/cgi-bin/message/subscribe/send", notice).await?;
        let msgid = answer.msgid.map(|msgid| match msgid {
            Msgid::Number(number) => number.to_string(),
            Msgid::Text(text) => text,
        });
        Ok(Sent { msgid })
    }

    async fn ask<A: DeserializeOwned>(
        &self,
        name: WeChatCall,
        path: &str,
        body: &impl Serialize,
    ) -> Result<A, SendFailure> {
        let deadline = Instant::now() + self.timeout;
        let mut is_second = false;
        loop {
            let token = self.token(deadline).await.map_err(SendFailure::NotSent)?;
            let url = format!("{}{path}?access_token={}", self.base, token.expose());
            let outcome = timeout_at(deadline, client::call(self.http.post(url), Some(body)))
                .await
                .unwrap_or(Err(Failure::Timeout));
            count(&self.metrics, name, &outcome);
            let failure = match outcome {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if failure.is_of_token() {
                self.refused.do_send(AccessTokenRefused(token));
            }
            if !failure.is_of_token() || is_second {
                return Err(failure.into());
            }
            is_second = true;
        }
    }

    async fn token(&self, deadline: Instant) -> Result<AccessToken, Failure> {
        match timeout_at(deadline, self.token.send(GetAccessToken)).await {
            Ok(Ok(token)) => token,
            Ok(Err(_)) => Err(Failure::Busy),
            Err(_) => Err(Failure::Timeout),
        }
    }
}
