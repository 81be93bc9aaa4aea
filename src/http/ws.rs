//! The handshake: who connects is settled before anything is read from the socket.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use actix_web_actors::ws;

use super::State;
use super::address::Address;
use super::error::ApiError;
use crate::auth::{Identity, TokenRefused};
use crate::ids::{Device, OpenId, now_ms};
use crate::protocol::{Close, Dialect, SUBPROTOCOL, Word};
use crate::session::actor::{self, Hello, Refusal};
use crate::wechat::{LoginRefused, ValidateCode};

/// A browser cannot set headers, so its token comes as a subprotocol with this prefix.
const BEARER_PREFIX: &str = "bearer.";

/// Before a client that is turned away for the server's sake tries again, milliseconds.
const RETRY_MS: u64 = 2_000;

/// `GET /{openid}` with an upgrade. A refusal about the machine is plain HTTP; one about the user is told over the socket.
///
/// # Errors
/// `bad_request` when it is no WebSocket handshake, and what the [`super::admission`] refuses.
pub async fn connect(
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let mut response = ws::handshake_with_protocols(&request, &[SUBPROTOCOL])
        .map_err(|_| ApiError::new(Word::BadRequest, "this path takes WebSocket connections: it needs an upgrade, version 13, and a key"))?;
    let offer = Offer::read(&request)?;
    let address = Address::of(&request, &state.config.server.trusted_proxies);
    state.admission.handshake(address)?;
    let seat = state.admission.session(address)?;
    let dialect = offer.dialect();
    let body = match hello(&request, &path, offer, &state).await {
        Ok(hello) => response.streaming(actor::open(hello, &state.sessions, seat, payload)),
        Err(Refused { word, why, close }) => {
            log::info!(address:% = address, error = word.as_str(); "handshake refused");
            response.streaming(actor::refuse(Refusal { dialect, word, why, close }, &state.sessions, seat, payload))
        }
    };
    Ok(body)
}

/// Why a user is not let in.
struct Refused {
    word: Word,
    why: &'static str,
    close: Close,
}

impl Refused {
    fn bad_request(why: &'static str) -> Self {
        Self { word: Word::BadRequest, why, close: Close::BadRequest }
    }

    fn credentials(word: Word, why: &'static str) -> Self {
        Self { word, why, close: Close::Refused { word } }
    }

    fn later(word: Word, why: &'static str, retry_ms: u64) -> Self {
        Self { word, why, close: Close::Overloaded { word, retry_ms } }
    }
}

async fn hello(request: &HttpRequest, path: &str, offer: Offer, state: &State) -> Result<Hello, Refused> {
    let openid = OpenId::parse(path).map_err(|_| Refused::bad_request("the path is no openid"))?;
    let query = Query::read(request.query_string())?;
    let dialect = offer.dialect();
    if dialect == Dialect::Plain && query.open_chat.is_none() {
        return Err(Refused::bad_request("to_user_openid is missing"));
    }
    let identity = authenticate(request, offer, query.code, state).await?;
    if identity.openid != openid {
        return Err(Refused::credentials(Word::OpenidMismatch, "the path names another user than the one who logged in"));
    }
    let device = if dialect == Dialect::V1 { query.device } else { None };
    Ok(Hello { openid, dialect, device, issued_ms: identity.issued_ms, open_chat: query.open_chat })
}

/// The first credential that is there decides; an invalid one is refused, never skipped.
async fn authenticate(request: &HttpRequest, offer: Offer, code: Option<String>, state: &State) -> Result<Identity, Refused> {
    let unauthorized = || Refused::credentials(Word::Unauthorized, "the token is not valid: log in anew");
    let token = match request.headers().get(header::AUTHORIZATION) {
        Some(value) => Some(value.to_str().ok().and_then(bearer).ok_or_else(unauthorized)?.to_owned()),
        None => offer.bearer,
    };
    if let Some(token) = token {
        return state.tokens.verify(&token, now_ms()).map_err(|refused| match refused {
            TokenRefused::Unauthorized => unauthorized(),
            TokenRefused::Banned => banned(),
        });
    }
    let Some(code) = code.filter(|code| !code.is_empty()) else {
        return Err(match offer.v1 {
            true => Refused::credentials(Word::Unauthorized, "neither a token nor a code is given"),
            false => Refused::bad_request("code is missing"),
        });
    };
    let unavailable = || Refused::later(Word::WechatUnavailable, "WeChat does not answer: try again", RETRY_MS);
    let openid = match state.wechat.send(ValidateCode(code)).await {
        Ok(Ok(openid)) => openid,
        Ok(Err(LoginRefused::BadCode)) => return Err(Refused::credentials(Word::BadCode, "the code is wrong, expired or used: call wx.login anew")),
        Ok(Err(LoginRefused::Blocked)) => return Err(Refused::credentials(Word::BlockedByWechat, "WeChat blocked this user")),
        Ok(Err(LoginRefused::RateLimited { retry_after_ms })) => {
            return Err(Refused::later(Word::RateLimited, "this user logs in too often", retry_after_ms));
        }
        Ok(Err(LoginRefused::Unavailable)) | Err(_) => return Err(unavailable()),
    };
    if state.tokens.is_banned(&openid) {
        return Err(banned());
    }
    Ok(Identity { openid, issued_ms: now_ms() })
}

fn banned() -> Refused {
    Refused { word: Word::Banned, why: "this user is banned", close: Close::Banned }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What the client offers in `Sec-WebSocket-Protocol`.
struct Offer {
    v1: bool,
    bearer: Option<String>,
}

impl Offer {
    /// # Errors
    /// `bad_request` for a token without `hongyan.v1` beside it: nothing could be selected, and a browser would close the socket.
    fn read(request: &HttpRequest) -> Result<Self, ApiError> {
        let mut offer = Self { v1: false, bearer: None };
        for value in request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL) {
            for name in value.to_str().unwrap_or_default().split(',').map(str::trim) {
                match name.strip_prefix(BEARER_PREFIX) {
                    Some(token) => offer.bearer = Some(token.to_owned()),
                    None => offer.v1 |= name == SUBPROTOCOL,
                }
            }
        }
        if offer.bearer.is_some() && !offer.v1 {
            return Err(ApiError::new(Word::BadRequest, "a bearer subprotocol needs hongyan.v1 beside it"));
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
    open_chat: Option<OpenId>,
    device: Option<Device>,
    code: Option<String>,
}

impl Query {
    fn read(text: &str) -> Result<Self, Refused> {
        let pairs: web::Query<Vec<(String, String)>> =
            web::Query::from_query(text).map_err(|_| Refused::bad_request("the query cannot be read"))?;
        let mut query = Self::default();
        for (name, value) in pairs.into_inner() {
            match name.as_str() {
                "to_user_openid" if value.is_empty() => {}
                "to_user_openid" => {
                    query.open_chat = Some(OpenId::parse(&value).map_err(|_| Refused::bad_request("to_user_openid is no openid"))?);
                }
                "device" => query.device = Some(Device::parse(&value).map_err(|_| Refused::bad_request("device must be [A-Za-z0-9_-]{1,32}"))?),
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
        Offer::read(&TestRequest::default().insert_header((header::SEC_WEBSOCKET_PROTOCOL, value)).to_http_request())
    }

    #[test]
    fn a_token_as_a_subprotocol_needs_v1_beside_it() {
        assert!(offer("bearer.abc").is_err());
        let both = offer("hongyan.v1, bearer.abc").ok().unwrap();
        assert_eq!((both.dialect(), both.bearer.as_deref()), (Dialect::V1, Some("abc")));
        assert_eq!(offer("chat").ok().unwrap().dialect(), Dialect::Plain);
    }

    #[test]
    fn the_query_is_decoded_and_checked() {
        let query = Query::read("to_user_openid=b%6Fb&code=dev%3Aa&x=1").ok().unwrap();
        assert_eq!(query.open_chat.unwrap().as_str(), "bob");
        assert_eq!(query.code.unwrap(), "dev:a");
        assert!(Query::read("to_user_openid=a%20b").is_err());
        assert!(Query::read("device=").is_err());
    }

    #[test]
    fn only_the_bearer_scheme_counts() {
        assert_eq!(bearer("Bearer x"), Some("x"));
        assert_eq!(bearer("bearer x"), Some("x"));
        assert_eq!(bearer("Basic x"), None);
        assert_eq!(bearer("x"), None);
    }
}
