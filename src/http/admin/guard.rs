//! Guard of every call of the server API: key, scope, pace; and the audit log, which has an entry before
//! anything is done.

use std::cell::RefCell;
use std::rc::Rc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage as _, HttpRequest, web};
use futures_util::future::{Ready, ready};

use super::keys::PresentedKey;
use super::{AdminCall, CALLS};
use crate::http::State;
use crate::http::api::commit;
use crate::http::error::ApiError;
use crate::limits::ClientAddress;
use crate::protocol::errors;
use crate::store::Reply;
use crate::store::operators::{OperatorAct, RecordAct, Via};

/// Who calls, and what the audit log is to say of it beside the call. A handler's argument.
#[derive(Debug, Clone)]
pub struct Operator {
    pub key: PresentedKey,
    detail: Rc<RefCell<Option<String>>>,
}

impl Operator {
    /// Adds to the entry in the audit log what was asked for; nothing secret, no message text.
    pub fn note(&self, detail: impl Into<String>) {
        *self.detail.borrow_mut() = Some(detail.into());
    }

    /// Who it was, as the log of revocations names them.
    pub fn name(&self) -> String {
        format!("key {}", self.key.id)
    }
}

impl FromRequest for Operator {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(request.extensions().get::<Self>().cloned().ok_or_else(ApiError::internal))
    }
}

/// Lets a call pass that its key opens, and notes it.
pub async fn stand<B: MessageBody + 'static>(
    path: &'static str,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    // Of another method there is nothing to guard: it is answered 404.
    let Some(call) = CALLS.iter().find(|call| call.path == path && call.method == *request.method()) else {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    };
    let Some(state) = request.app_data::<web::Data<State>>().cloned() else {
        return Ok(request.error_response(ApiError::internal()));
    };
    let key = match admit(&state, call, &request) {
        Ok(key) => key,
        Err(error) => return Ok(request.error_response(error)),
    };
    let mut act = OperatorAct::new(
        state.revocations.now_ms(),
        Via::Api,
        &key.id,
        format!("{} {}", call.method, call.path),
    );
    act.target = target(&request);
    if !call.scopes.is_empty() && !call.scopes.iter().any(|scope| key.has(*scope)) {
        let needed: Vec<_> = call.scopes.iter().map(|scope| scope.as_str()).collect();
        let error = ApiError::from(errors::scope_missing(&needed.join(" or ")));
        finish(&state, act, None, Some(error.code().as_str()));
        return Ok(request.error_response(error));
    }
    let operator = Operator { key, detail: Rc::default() };
    request.extensions_mut().insert(operator.clone());
    let is_noted = !call.scopes.is_empty();
    if is_noted {
        let entry = act.clone();
        // Nothing is done, and nothing shown, of which the log would have no word.
        if let Err(error) = commit(&state, RecordAct { act: entry }).await {
            return Ok(request.error_response(error));
        }
    }
    let answer = next.call(request).await?;
    if is_noted {
        let error = answer
            .response()
            .error()
            .and_then(|error| error.as_error::<ApiError>())
            .map(|error| error.code().as_str());
        finish(&state, act, operator.detail.take(), error);
    }
    Ok(answer.map_into_boxed_body())
}

/// # Errors
/// `unauthorized`, and `rate_limited`: the key's calls, or an address that sends none or wrong ones.
fn admit(state: &State, call: &AdminCall, request: &ServiceRequest) -> Result<PresentedKey, ApiError> {
    let Some(keys) = &state.admin else { return Err(ApiError::not_found()) };
    match keys.presented(request.headers()) {
        Ok(key) => keys.step(&key).map_err(ApiError::rate_limited).map(|()| key),
        Err(error) => {
            let address = ClientAddress::of(request.head(), &state.config.server);
            log::debug!(address:% = address, path = call.path; "the server API was called without a key");
            // Counted with those who have no token: whoever guesses is slowed down, and nobody who has a key.
            state.admission.passerby(address).map_err(ApiError::rate_limited)?;
            Err(error)
        }
    }
}

/// What the path names, as it may stand in a database: PostgreSQL refuses a zero byte, and with it all that
/// is written beside it.
fn target(request: &ServiceRequest) -> Option<String> {
    let info = request.match_info();
    info.get("openid")
        .or_else(|| info.get("id"))
        .map(|target| target.chars().filter(|c| !c.is_control()).take(64).collect())
}

/// Notes what became of a call. The entry that it was made stands already.
fn finish(state: &State, mut act: OperatorAct, detail: Option<String>, error: Option<&str>) {
    act.detail = detail;
    act.outcome = Some(error.unwrap_or("done").to_owned());
    log::info!(key = act.who.as_str(), act = act.act.as_str(), target = act.target.as_deref().unwrap_or_default(),
        outcome = act.outcome.as_deref().unwrap_or_default(); "an operator called");
    if state.store.submit(RecordAct { act }, Reply::Nobody).is_err() {
        log::warn!("what became of an operator's call could not be noted in the audit log");
    }
}
