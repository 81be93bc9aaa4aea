//! The handshake: who connects is settled before anything is read from the socket.

use actix_http::ws::verify_handshake;
use actix_web::dev::RequestHead;
use actix_web::http::Version;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, ResponseError as _, web};
use actix_web_actors::ws;

use super::State;
use super::api::login;
use super::client;
use super::connections::ConnectionHandle;
use super::error::ApiError;
use super::hosts;
use super::openapi::MachineRefusals;
use super::origin;
use crate::auth::Identity;
use crate::ids::{Address, Device, HttpRequestId, OpenId};
use crate::limits::{AdmissionError, ClientAddress, SessionPermit};
use crate::metrics::{Metrics, RefusedHandshake};
use crate::protocol::{ClientFeatures, Close, Dialect, SUBPROTOCOL, errors};
use crate::session::connection::{Hello, Refusal};
use crate::session::driver::Driver;
use crate::session::web_actors;
use crate::trace;

/// A browser cannot set headers, so its token comes as a subprotocol with this prefix.
const BEARER_PREFIX: &str = "bearer.";

/// Opens a session: a WebSocket of the user named in the path
///
/// What the user may be told about a refusal comes as one `error` frame and a close code after the upgrade,
/// because a mini-program cannot read the answer of a failed handshake; the statuses here are about the
/// machine.
#[utoipa::path(
    get,
    path = "/{openid}",
    tag = "session",
    params(
        ("openid" = String, Path, description = "The user who connects: `[A-Za-z0-9_-]{1,64}`"),
        ("to_user_openid" = Option<String>, Query, description = "The chat that is open; plain clients must send it"),
        ("code" = Option<String>, Query, description = "A `wx.login` code, where no token is sent"),
        ("device" = Option<String>, Query, description = "v1: a label, `[A-Za-z0-9_-]{1,32}`, random per install"),
        ("features" = Option<String>, Query, description = "v1: what the client knows, names separated by commas; unknown ones are ignored"),
    ),
    security((), ("token" = [])),
    responses((status = 101, description = "Connected; the subprotocol `hongyan.v1` where it was offered"), MachineRefusals)
)]
pub async fn connect(request: HttpRequest, payload: web::Payload, state: web::Data<State>) -> HttpResponse {
    let id = request.extensions().get::<HttpRequestId>().cloned().unwrap_or_else(HttpRequestId::fresh);
    let Admitted { driver, permit, .. } = match handshake(request.head(), id, &state).await {
        Ok(admitted) => admitted,
        Err(refused) => return refused,
    };
    match ws::handshake_with_protocols(&request, &[SUBPROTOCOL]) {
        Ok(mut response) => {
            if let Some(connection) = request.conn_data::<ConnectionHandle>() {
                connection.becomes_session();
            }
            response.streaming(web_actors::start(driver, state.sessions.limits.socket, permit, payload))
        }
        Err(error) => error.error_response(),
    }
}

/// A socket that may be upgraded: to a session, or to be told why not.
pub struct Admitted {
    pub driver: Driver,
    pub dialect: Dialect,
    pub permit: SessionPermit,
}

/// Judges a handshake. A refusal about the machine is plain HTTP (`Err`); one about the user is told over the
/// socket.
pub async fn handshake(
    request: &RequestHead,
    id: HttpRequestId,
    state: &State,
) -> Result<Admitted, HttpResponse> {
    if verify_handshake(request).is_err() || !is_plainly_an_upgrade(request) {
        return Err(no_handshake(request.uri.path()));
    }
    hosts::public(request, state).map_err(hosts::turn_away)?;
    // Under dev the pages that are named come beside those of this machine, and all have been judged.
    if !state.is_dev && !origin::is_allowed(&state.config.server.allowed_origins, &request.headers) {
        return Err(origin::turn_away(&state.metrics));
    }
    let offer = Offer::read(request).map_err(|e| e.error_response())?;
    let address = ClientAddress::of(request, &state.config.server);
    let turn_away = |why| turn_away(why, &state.metrics);
    state.admission.handshake(address).map_err(turn_away)?;
    let permit = state.admission.session(address).map_err(turn_away)?;
    let dialect = offer.dialect();
    let mut hello = hello(request, offer, state).await;
    if let Ok(Hello { openid, issued, .. }) = &hello {
        // Not before it is known who comes: strangers would take all the turns.
        state.admission.turn().await.map_err(turn_away)?;
        // Whose sessions were ended meanwhile had none to end.
        let identity = Identity { openid: openid.clone(), issued: *issued };
        hello = state
            .tokens
            .not_revoked(&identity, state.revocations.now_ms())
            .map_err(ApiError::from)
            .and(hello);
    }
    let driver = match hello {
        Ok(hello) => Driver::open(Hello { request_id: Some(id), ..hello }, &state.sessions),
        Err(error) => {
            // Counted by error and close code; a line each would be for strangers to fill the disk with.
            log::debug!(address:% = address, error = error.code().as_str(); "handshake refused");
            // Whoever it is says that they are this user; that is what an operator looks for who asks why the
            // user does not come in.
            if let Some(line) = OpenId::parse(request.uri.path().trim_start_matches('/'))
                .ok()
                .and_then(|user| trace::of_user("refused", &user))
            {
                line.text("error", error.code().as_str()).request_id(Some(id.as_str())).write();
            }
            Driver::refuse(refusal(error, dialect), &state.sessions)
        }
    };
    Ok(Admitted { driver, dialect, permit })
}

/// Counts a refused handshake. Its answer is HTTP 503, or 429 where the address is at fault.
fn turn_away(why: AdmissionError, metrics: &Metrics) -> HttpResponse {
    metrics.handshakes_refused.inc(match why {
        AdmissionError::Draining => RefusedHandshake::Draining,
        AdmissionError::TooManySessions => RefusedHandshake::TooManySessions,
        AdmissionError::TooManyFromAddress => RefusedHandshake::TooManyFromAddress,
        AdmissionError::TooFast { .. } => RefusedHandshake::TooFast,
        AdmissionError::TooManyAtOnce { .. } => RefusedHandshake::TooManyAtOnce,
    });
    ApiError::from(why).error_response()
}

/// One `Upgrade: websocket` and no body: with anything else the HTTP server would go on to frame what it
/// sends as HTTP. Not below HTTP/1.1 (RFC 6455 §4.2.1).
fn is_plainly_an_upgrade(request: &RequestHead) -> bool {
    let upgrade =
        request.headers.get(header::UPGRADE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    upgrade.trim().eq_ignore_ascii_case("websocket")
        && !request.headers.contains_key(header::TRANSFER_ENCODING)
        && request.version >= Version::HTTP_11
}

/// With the version that would be taken (RFC 6455 §4.4).
fn no_handshake(path: &str) -> HttpResponse {
    if OpenId::parse(path.trim_start_matches('/')).is_err() {
        return ApiError::not_found().error_response();
    }
    let mut response = ApiError::from(errors::WEBSOCKET_ONLY).error_response();
    response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    response
}

fn refusal(error: ApiError, dialect: Dialect) -> Refusal {
    let close = Close::of_refusal(error.code(), error.retry_after_ms());
    Refusal { dialect, error: error.into_inner(), close }
}

async fn hello(request: &RequestHead, offer: Offer, state: &State) -> Result<Hello, ApiError> {
    let path = request.uri.path().trim_start_matches('/');
    let openid = OpenId::parse(path).map_err(|_| ApiError::from(errors::PATH_NO_OPENID))?;
    let dialect = offer.dialect();
    let query = Query::read(request.uri.query().unwrap_or_default(), dialect)?;
    if dialect == Dialect::Plain && query.open_chat.is_none() {
        return Err(ApiError::from(errors::TO_MISSING));
    }
    let identity = authenticate(request, offer, query.code, state).await?;
    if identity.openid != openid {
        return Err(ApiError::from(errors::PATH_OF_ANOTHER));
    }
    state.user_limits.call(&openid).map_err(ApiError::rate_limited)?;
    Ok(Hello {
        openid,
        dialect,
        device: query.device,
        features: query.features,
        issued: identity.issued,
        open_chat: query.open_chat,
        request_id: None,
    })
}

/// The first credential that is there decides; an invalid one is refused, never skipped.
async fn authenticate(
    request: &RequestHead,
    offer: Offer,
    code: Option<String>,
    state: &State,
) -> Result<Identity, ApiError> {
    let header = client::bearer(&request.headers)?;
    if let Some(token) = header.or(offer.bearer.as_deref()) {
        return state.tokens.verify(token, state.revocations.now_ms()).map_err(ApiError::from);
    }
    match code {
        Some(code) => login::exchange(state, ClientAddress::of(request, &state.config.server), code).await,
        None if offer.v1 => Err(ApiError::from(errors::CREDENTIAL_MISSING)),
        None => Err(ApiError::from(errors::CODE_MISSING)),
    }
}

/// What the client offers in `Sec-WebSocket-Protocol`.
struct Offer {
    v1: bool,
    bearer: Option<String>,
}

impl Offer {
    /// # Errors
    /// `bad_request` for a token without `hongyan.v1` beside it: nothing could be selected, and a browser
    /// would close the socket.
    fn read(request: &RequestHead) -> Result<Self, ApiError> {
        let mut offer = Self { v1: false, bearer: None };
        for value in request.headers.get_all(header::SEC_WEBSOCKET_PROTOCOL) {
            for name in value.to_str().unwrap_or_default().split(',').map(str::trim) {
                match name.strip_prefix(BEARER_PREFIX) {
                    Some(token) => _ = offer.bearer.get_or_insert_with(|| token.to_owned()),
                    None => offer.v1 |= name == SUBPROTOCOL,
                }
            }
        }
        if offer.bearer.is_some() && !offer.v1 {
            return Err(ApiError::from(errors::BEARER_ALONE));
        }
        Ok(offer)
    }

    fn dialect(&self) -> Dialect {
        if self.v1 { Dialect::V1 } else { Dialect::Plain }
    }
}

/// The query of the handshake; what it does not know is ignored, as the seed did.
#[derive(Default)]
struct Query {
    open_chat: Option<Address>,
    device: Option<Device>,
    features: ClientFeatures,
    code: Option<String>,
}

impl Query {
    fn read(text: &str, dialect: Dialect) -> Result<Self, ApiError> {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(text)
            .map_err(|_| ApiError::from(errors::QUERY_UNREADABLE))?;
        let mut query = Self::default();
        for (name, value) in pairs.into_inner() {
            match name.as_str() {
                "to_user_openid" if value.is_empty() => {}
                "to_user_openid" => {
                    query.open_chat = Some(
                        Address::parse_served(&value).map_err(|_| ApiError::from(errors::TO_NO_OPENID))?,
                    );
                }
                "device" if dialect == Dialect::V1 => {
                    query.device = Some(Device::parse(&value)?);
                }
                "features" => query.features = ClientFeatures::parse(dialect, &value),
                "code" => query.code = Some(value),
                _ => {}
            }
        }
        Ok(query)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn offer(value: &'static str) -> Result<Offer, ApiError> {
        Offer::read(
            TestRequest::default()
                .insert_header((header::SEC_WEBSOCKET_PROTOCOL, value))
                .to_http_request()
                .head(),
        )
    }

    #[test]
    fn a_token_as_a_subprotocol_needs_v1_beside_it() {
        assert!(offer("bearer.abc").is_err());
        let both = offer("hongyan.v1, bearer.abc").ok().unwrap();
        assert_eq!((both.dialect(), both.bearer.as_deref()), (Dialect::V1, Some("abc")));
        let two = offer("bearer.first, bearer.second, hongyan.v1").ok().unwrap();
        assert_eq!(two.bearer.as_deref(), Some("first"), "the first one decides");
        assert_eq!(offer("chat").ok().unwrap().dialect(), Dialect::Plain);
    }

    #[test]
    fn the_query_is_decoded_and_checked() {
        let query = Query::read("to_user_openid=b%6Fb&code=dev%3Aa&x=1", Dialect::V1).ok().unwrap();
        assert_eq!(query.open_chat.unwrap().as_str(), "bob");
        assert_eq!(query.code.unwrap(), "dev:a");
        assert!(Query::read("to_user_openid=a%20b", Dialect::V1).is_err());
        assert!(Query::read("to_user_openid=g:team", Dialect::V1).is_err());
        assert!(Query::read("device=my%20phone", Dialect::V1).is_err());
        assert!(
            Query::read("device=my%20phone", Dialect::Plain).ok().unwrap().device.is_none(),
            "the seed knows no devices"
        );
    }

    #[test]
    fn features_are_read_of_v1_clients_and_never_refused() {
        let features = |text: &str, dialect| Query::read(text, dialect).ok().unwrap().features.names();
        assert_eq!(features("features=groups%2Cpresence", Dialect::V1), Some("groups,presence"));
        assert_eq!(features("features=polls,presence", Dialect::V1), Some("presence"));
        assert_eq!(features("features=groups", Dialect::Plain), None, "the seed knows no features");
        for none in ["", "features", "features=", "features=%ff%00,,", &format!("features=groups,{:0300}", 0)]
        {
            assert_eq!(features(none, Dialect::V1), None, "{none}");
        }
    }

    #[test]
    fn a_refusal_is_counted_and_plain_http() {
        let metrics = Metrics::new();
        let status = |why| turn_away(why, &metrics).status();
        assert_eq!(status(AdmissionError::TooFast { retry_after_ms: 10 }), 429);
        assert_eq!(status(AdmissionError::TooManyFromAddress), 429);
        assert_eq!(status(AdmissionError::Draining), 503);
        assert_eq!(status(AdmissionError::TooManySessions), 503);
        assert!(metrics.encode().contains(r#"hongyan_handshakes_refused_total{error="draining"} 1"#));
    }
}
