//! Callers: by the token in `Authorization`, or by the address alone where a token is only to be had.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};

use super::State;
use super::error::ApiError;
use crate::auth::{Identity, TokenRefused};
use crate::ids::OpenId;
use crate::limits::ClientAddress;
use crate::protocol::errors;
use crate::store::Sight;

/// The user who calls: the token holds, and the user keeps to the pace of `limits.http_per_second`.
///
/// As the first argument of a handler it is checked before anything else: 401 `unauthorized`, 403 `banned`,
/// 429 `rate_limited`.
#[derive(Debug)]
pub struct AuthenticatedUser(pub Identity);

impl FromRequest for AuthenticatedUser {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(identify(request).map(Self))
    }
}

/// Who is to be charged for the answer of a request, among its extensions.
pub struct Asked(pub OpenId);

/// Somebody without a token yet, let in at the pace of logins and handshakes that one address may have.
///
/// As the first argument of a handler it is checked before the body is read: 429 `rate_limited`.
#[derive(Debug)]
pub struct LoginClient(pub ClientAddress);

impl FromRequest for LoginClient {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(welcome(request).map(Self))
    }
}

/// Somebody without a token who fetches what anybody may see, at the pace of logins and handshakes but
/// counted apart from them.
///
/// As the first argument of a handler it is checked before anything costs: 429 `rate_limited`.
#[derive(Debug)]
pub struct AnonymousClient;

impl FromRequest for AnonymousClient {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(let_pass(request))
    }
}

fn let_pass(request: &HttpRequest) -> Result<AnonymousClient, ApiError> {
    let state = request.app_data::<web::Data<State>>().ok_or_else(ApiError::internal)?;
    state
        .admission
        .passerby(ClientAddress::of(request.head(), &state.config.server))
        .map_err(ApiError::rate_limited)?;
    Ok(AnonymousClient)
}

fn welcome(request: &HttpRequest) -> Result<ClientAddress, ApiError> {
    let state = request.app_data::<web::Data<State>>().ok_or_else(ApiError::internal)?;
    let address = ClientAddress::of(request.head(), &state.config.server);
    state.admission.login(address)?;
    Ok(address)
}

fn identify(request: &HttpRequest) -> Result<Identity, ApiError> {
    let state = request.app_data::<web::Data<State>>().ok_or_else(ApiError::internal)?;
    let token = bearer(request.headers())?.ok_or_else(|| ApiError::from(errors::TOKEN_MISSING))?;
    let identity = state.tokens.verify(token, state.revocations.now_ms())?;
    state.user_limits.call(&identity.openid).map_err(ApiError::rate_limited)?;
    state.user_limits.question(&identity.openid).map_err(ApiError::rate_limited)?;
    state.store.saw(&identity.openid, Sight::Here);
    request.extensions_mut().insert(Asked(identity.openid.clone()));
    Ok(identity)
}

/// The token in `Authorization: Bearer <token>` (RFC 6750 §2.1); `None` without the header.
///
/// # Errors
/// `unauthorized` when the header is there and holds anything else, or is there twice: what is presented is
/// refused, never skipped.
pub fn bearer(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let mut all = headers.get_all(AUTHORIZATION);
    let Some(one) = all.next() else { return Ok(None) };
    let refused = || ApiError::from(TokenRefused::Unauthorized);
    if all.next().is_some() {
        return Err(refused());
    }
    let (scheme, token) = one.to_str().ok().and_then(|v| v.split_once(' ')).ok_or_else(refused)?;
    let token = token.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() { Ok(Some(token)) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ErrorCode;
    use actix_web::http::header::HeaderValue;

    fn given(values: &[&'static str]) -> Result<Option<String>, ErrorCode> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        bearer(&headers).map(|t| t.map(str::to_owned)).map_err(|e| e.code())
    }

    #[test]
    fn a_token_is_found_or_refused_never_skipped() {
        assert_eq!(given(&[]), Ok(None));
        assert_eq!(given(&["Bearer a.b.c"]), Ok(Some("a.b.c".into())));
        assert_eq!(given(&["bearer  a.b.c "]), Ok(Some("a.b.c".into())));
        for bad in ["", "Bearer", "Bearer ", "Basic dTpw", "a.b.c"] {
            assert_eq!(given(&[bad]), Err(ErrorCode::Unauthorized), "{bad:?}");
        }
        assert_eq!(given(&["Bearer a", "Bearer a"]), Err(ErrorCode::Unauthorized));
    }
}
