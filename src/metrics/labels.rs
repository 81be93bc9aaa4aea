//! Labels of metrics. Each value comes from an enumeration, so that every series stands at 0 from the start:
//! Prometheus sees no increase in a series that is born at its first count.

use std::fmt::{self, Write as _};

use prometheus_client::encoding::{
    EncodeLabelSet, EncodeLabelValue, EncodeMetric, LabelValueEncoder, MetricEncoder,
};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::{MetricType, TypedMetric};
use strum::{IntoStaticStr, VariantArray};

use crate::protocol::close::CloseKind;
use crate::protocol::{Dialect, ErrorCode};

/// A label set all of whose combinations are known.
pub trait Labels: EncodeLabelSet + Clone + std::hash::Hash + Eq + Send + Sync + 'static {
    fn all() -> impl Iterator<Item = Self>;
}

/// A counter for each combination of its labels, all of them there from the start.
#[derive(Debug)]
pub struct Counters<L>(Family<L, Counter>);

impl<L> Clone for Counters<L> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<L: Labels> Default for Counters<L> {
    fn default() -> Self {
        let family = Family::default();
        for labels in L::all() {
            drop(family.get_or_create(&labels));
        }
        Self(family)
    }
}

impl<L: Labels> Counters<L> {
    pub fn inc(&self, labels: impl Into<L>) {
        self.0.get_or_create(&labels.into()).inc();
    }
}

impl<L> TypedMetric for Counters<L> {
    const TYPE: MetricType = MetricType::Counter;
}

impl<L: Labels> EncodeMetric for Counters<L> {
    fn encode(&self, encoder: MetricEncoder) -> fmt::Result {
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// Reasons why a handshake is refused with plain HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum RefusedHandshake {
    Draining,
    TooManySessions,
    TooManyFromAddress,
    TooFast,
    TooManyAtOnce,
    OriginNotAllowed,
}

/// Reasons why a connection is turned away as soon as it is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum RefusedConnection {
    TooManyFromAddress,
    TooManyConnections,
}

/// Calls of WeChat's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum WeChatCall {
    #[strum(serialize = "code2session")]
    Code2Session,
    StableToken,
    MsgSecCheck,
    MediaCheckAsync,
    SubscribeSend,
}

/// Results of a call to WeChat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum WeChatResult {
    Ok,
    BadCode,
    RateLimited,
    Blocked,
    Busy,
    BadToken,
    Inactive,
    NoGrant,
    Errcode,
    Status,
    Connect,
    Broken,
    Timeout,
    Body,
    TooMany,
}

/// Routes of the public port, and of the server API's. Every path that the server does not know counts as
/// [`Route::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, VariantArray, IntoStaticStr)]
pub enum Route {
    #[strum(serialize = "/v1/login")]
    Login,
    #[strum(serialize = "/v1/logout")]
    Logout,
    #[strum(serialize = "/v1/conversations")]
    Conversations,
    #[strum(serialize = "/v1/conversations/{peer}")]
    Conversation,
    #[strum(serialize = "/v1/conversations/{peer}/settings")]
    ConversationSettings,
    #[strum(serialize = "/v1/messages")]
    Messages,
    #[strum(serialize = "/v1/unread")]
    Unread,
    #[strum(serialize = "/v1/read")]
    Read,
    #[strum(serialize = "/v1/blocks")]
    Blocks,
    #[strum(serialize = "/v1/blocks/{openid}")]
    Block,
    #[strum(serialize = "/v1/me")]
    Me,
    #[strum(serialize = "/v1/users")]
    Users,
    #[strum(serialize = "/v1/avatars/{sha256}")]
    Avatar,
    #[strum(serialize = "/v1/notices")]
    NotifierHandle,
    #[strum(serialize = "/v1/notices/grants")]
    NoticeGrants,
    #[strum(serialize = "/v1/notices/quiet")]
    NoticeQuiet,
    #[strum(serialize = "/v1/openapi.json")]
    OpenApi,
    #[strum(serialize = "/admin/v1/reviews")]
    AdminReviews,
    #[strum(serialize = "/admin/v1/reviews/{id}")]
    AdminReview,
    #[strum(serialize = "/admin/v1/users/{openid}")]
    AdminUser,
    #[strum(serialize = "/admin/v1/users/{openid}/sessions")]
    AdminSessions,
    #[strum(serialize = "/admin/v1/users/{openid}/profile")]
    AdminProfile,
    #[strum(serialize = "/admin/v1/users/{openid}/kick")]
    AdminKick,
    #[strum(serialize = "/admin/v1/bans")]
    AdminBans,
    #[strum(serialize = "/admin/v1/bans/{openid}")]
    AdminBan,
    #[strum(serialize = "/admin/v1/audit")]
    AdminAudit,
    #[strum(serialize = "/admin/v1/openapi.json")]
    AdminOpenApi,
    #[strum(serialize = "/healthz")]
    Healthz,
    #[strum(serialize = "/wechat/events")]
    WeChatEvents,
    #[strum(serialize = "/")]
    Page,
    #[strum(serialize = "/assets/{name}")]
    Asset,
    #[strum(serialize = "/{openid}")]
    Handshake,
    #[strum(serialize = "other")]
    Other,
}

impl Route {
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The route of a path as the server declares it.
    pub fn of(path: &str) -> Self {
        Self::VARIANTS.iter().copied().find(|route| route.as_str() == path).unwrap_or(Self::Other)
    }
}

/// HTTP statuses of the public port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, VariantArray, IntoStaticStr)]
pub enum Status {
    #[strum(serialize = "101")]
    SwitchingProtocols,
    #[strum(serialize = "200")]
    Ok,
    #[strum(serialize = "204")]
    NoContent,
    #[strum(serialize = "304")]
    NotModified,
    #[strum(serialize = "400")]
    BadRequest,
    #[strum(serialize = "401")]
    Unauthorized,
    #[strum(serialize = "403")]
    Forbidden,
    #[strum(serialize = "404")]
    NotFound,
    #[strum(serialize = "408")]
    RequestTimeout,
    #[strum(serialize = "409")]
    Conflict,
    #[strum(serialize = "413")]
    PayloadTooLarge,
    #[strum(serialize = "429")]
    TooManyRequests,
    #[strum(serialize = "500")]
    InternalServerError,
    #[strum(serialize = "503")]
    ServiceUnavailable,
    #[strum(serialize = "504")]
    GatewayTimeout,
    #[strum(serialize = "other")]
    Other,
}

impl From<u16> for Status {
    fn from(code: u16) -> Self {
        match code {
            101 => Self::SwitchingProtocols,
            200 => Self::Ok,
            204 => Self::NoContent,
            304 => Self::NotModified,
            400 => Self::BadRequest,
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            408 => Self::RequestTimeout,
            409 => Self::Conflict,
            413 => Self::PayloadTooLarge,
            429 => Self::TooManyRequests,
            500 => Self::InternalServerError,
            503 => Self::ServiceUnavailable,
            504 => Self::GatewayTimeout,
            _ => Self::Other,
        }
    }
}

/// Results of a conversation that was judged for a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum NoticeResult {
    Sent,
    Unknown,
    NotSent,
    Refused,
    RefusedForSettings,
    NoGrantAtWechat,
    NoGrant,
    Attending,
    Read,
    Told,
    Muted,
    Stranger,
    Quiet,
    Full,
}

/// Kinds of jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum JobKind {
    /// What WeChat says of a file after its message was stored.
    MediaResult,
    AbandonNotices,
    PruneFindings,
    PruneActs,
    BuildIndex,
}

/// Results of a try of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum JobResult {
    Done,
    /// It is tried again.
    Failed,
    GivenUp,
    /// Its node died within it, and it may not be done twice.
    Lost,
}

/// Things that are checked before they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum CheckSubject {
    Text,
    Nickname,
    Media,
}

/// Results of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum CheckResult {
    Pass,
    Review,
    Refused,
    Pending,
    Unchecked,
    Unavailable,
    RateLimited,
}

macro_rules! encoded_by_name {
    ($($value:ty),+ $(,)?) => {
        $(impl EncodeLabelValue for $value {
            fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
                encoder.write_str(self.into())
            }
        })+
    };
}

encoded_by_name!(
    ErrorCode,
    CloseKind,
    Dialect,
    RefusedHandshake,
    RefusedConnection,
    WeChatCall,
    WeChatResult,
    Route,
    Status,
    NoticeResult,
    JobKind,
    JobResult,
    CheckSubject,
    CheckResult,
);

/// Label sets, each with the values that it is made from.
macro_rules! label_sets {
    ($($name:ident { $first:ident: $of:ty $(, $second:ident: $and:ty)? })+) => {
        $(label_sets!(@one $name $first $of $(, $second $and)?);)+
    };
    (@one $name:ident $label:ident $value:ty) => {
        #[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
        pub struct $name {
            pub $label: $value,
        }

        impl Labels for $name {
            fn all() -> impl Iterator<Item = Self> {
                <$value>::VARIANTS.iter().map(|&$label| Self { $label })
            }
        }

        impl From<$value> for $name {
            fn from($label: $value) -> Self {
                Self { $label }
            }
        }
    };
    (@one $name:ident $first:ident $of:ty, $second:ident $and:ty) => {
        #[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
        pub struct $name {
            pub $first: $of,
            pub $second: $and,
        }

        impl Labels for $name {
            fn all() -> impl Iterator<Item = Self> {
                <$of>::VARIANTS.iter().flat_map(|&$first| <$and>::VARIANTS.iter().map(move |&$second| Self { $first, $second }))
            }
        }

        impl From<($of, $and)> for $name {
            fn from(($first, $second): ($of, $and)) -> Self {
                Self { $first, $second }
            }
        }
    };
}

label_sets! {
    ErrorLabel { error: ErrorCode }
    HandshakeLabel { error: RefusedHandshake }
    ConnectionLabel { error: RefusedConnection }
    DialectLabel { dialect: Dialect }
    CallLabel { call: WeChatCall, result: WeChatResult }
    HttpLabel { route: Route, status: Status }
    NoticeLabel { outcome: NoticeResult }
    JobLabel { kind: JobKind, result: JobResult }
    VerdictLabel { of: CheckSubject, verdict: CheckResult }
}

/// A close by its code and the name of that.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct CloseLabel {
    pub code: u16,
    pub reason: CloseKind,
}

impl Labels for CloseLabel {
    fn all() -> impl Iterator<Item = Self> {
        CloseKind::VARIANTS.iter().copied().map(Self::from)
    }
}

impl From<CloseKind> for CloseLabel {
    fn from(reason: CloseKind) -> Self {
        Self { code: reason.code(), reason }
    }
}
