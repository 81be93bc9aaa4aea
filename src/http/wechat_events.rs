//! `/wechat/events`: what WeChat tells by itself. WeChat is no user: it has no token, and proves itself by a
//! signature.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix_web::http::header;
use actix_web::web::{Payload, Query, get, post, resource, to};
use actix_web::{HttpRequest, HttpResponse, Resource, web};
use lru::LruCache;

use super::error::ApiError;
use super::{State, body, response_metrics};
use crate::config;
use crate::ids::now_ms;
use crate::limits::ClientAddress;
use crate::protocol::{CallerError, ErrorCode};
use crate::wechat::Push;
use crate::wechat::push::{Message, Receiver, Refused, Signed, digest};

pub const PATH: &str = "/wechat/events";

/// WeChat's events have some hundred bytes, those with many templates some thousand.
const BODY_BYTES: usize = 64 * 1_024;

/// Two for each push: more than WeChat tells while a signature holds, at the pace of its quotas.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(131_072).unwrap();

/// Takes what WeChat tells by itself.
pub trait PushHandler: Send + Sync {
    fn pushed(&self, push: Push);
}

/// Tells WeChat's pushes from those of others, and new ones from those that come again.
pub struct Pushes {
    receiver: Receiver,
    /// What each signature was used for, and ids of messages; by their digests. Of this node alone: whoever
    /// acts on a push does nothing twice.
    taken: Mutex<LruCache<[u8; 32], [u8; 32]>>,
}

impl Pushes {
    /// `None` where the settings take no pushes.
    pub fn new(config: &config::WeChat) -> Option<Self> {
        Some(Self { receiver: Receiver::new(config)?, taken: Mutex::new(LruCache::new(REMEMBERED)) })
    }

    /// Uses a signature for a request, of which it is to know neither method nor body: the first one that
    /// comes has it for good, so that whoever has seen a request cannot send another under it. Whether this
    /// is the first.
    ///
    /// # Errors
    /// [`Refused::Reused`].
    fn sign(&self, signed: &Signed, method: &str, body: &[u8]) -> Result<bool, Refused> {
        let Signed { signature, timestamp, nonce, .. } = signed;
        let key = digest(&[b"signature", signature.as_bytes(), timestamp.as_bytes(), nonce.as_bytes()]);
        let used_for = digest(&[method.as_bytes(), body]);
        let mut taken = self.taken();
        match taken.get(&key) {
            Some(before) if *before != used_for => Err(Refused::Reused),
            Some(_) => Ok(false),
            None => {
                taken.put(key, used_for);
                Ok(true)
            }
        }
    }

    /// Whether a message comes for the first time.
    fn is_new(&self, id: [u8; 32]) -> bool {
        self.taken().put(id, [0; 32]).is_none()
    }

    fn taken(&self) -> MutexGuard<'_, LruCache<[u8; 32], [u8; 32]>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub fn events() -> Resource {
    resource(PATH)
        .route(get().to(confirm))
        .route(post().to(take))
        .default_service(to(response_metrics::wrong_method))
}

/// The console asks once whether this is the place.
async fn confirm(
    request: HttpRequest,
    signed: Query<Signed>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let signed = signed.into_inner();
    let pushes = admit(&request, &signed, &state)?;
    pushes.sign(&signed, "GET", signed.echostr.as_bytes()).map_err(refused)?;
    Ok(plain(signed.echostr))
}

/// `success` at once, whatever comes of it: WeChat tells again what is not answered within five seconds.
async fn take(
    request: HttpRequest,
    signed: Query<Signed>,
    payload: Payload,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let pushes = admit(&request, &signed, &state)?;
    let bytes = body::read(&request, payload.into_inner(), BODY_BYTES).await?;
    let message = pushes.receiver.open(&signed, &bytes).map_err(refused)?;
    let read = Message::read(&message).and_then(|message| message.push().map(|push| (message, push)));
    let (message, push) = read.map_err(|unreadable| {
        log::warn!("an event of WeChat's cannot be read");
        ApiError::bad_request(unreadable.to_string())
    })?;
    let is_first = pushes.sign(&signed, "POST", &bytes).map_err(refused)?;
    if pushes.is_new(message.id) && is_first {
        state.push_handler.pushed(push);
    }
    Ok(plain("success".to_owned()))
}

/// Asked before anything is read.
fn admit<'a>(request: &HttpRequest, signed: &Signed, state: &'a State) -> Result<&'a Pushes, ApiError> {
    let pushes = state.pushes.as_ref().ok_or_else(ApiError::not_found)?;
    state
        .admission
        .push(ClientAddress::of(request.head(), &state.config.server))
        .map_err(ApiError::rate_limited)?;
    pushes.receiver.check(signed, now_ms() / 1_000).map_err(refused)?;
    Ok(pushes)
}

/// What strangers can cause at will is no warning.
fn refused(why: Refused) -> ApiError {
    match why {
        Refused::NotSigned => log::debug!(why:% = why; "a push was refused"),
        _ => log::warn!(why:% = why; "a push of WeChat's was refused"),
    }
    CallerError::worded(ErrorCode::Unauthorized, why.to_string()).into()
}

fn plain(text: String) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(text)
}

#[cfg(test)]
mod tests;
