//! `/wechat/events`: what WeChat tells by itself. WeChat is no user: it has no token, and proves itself by a signature.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use actix_web::http::header;
use actix_web::web::{Payload, Query, get, post, resource, to};
use actix_web::{HttpRequest, HttpResponse, Resource, web};
use lru::LruCache;

use super::address::Address;
use super::error::ApiError;
use super::{State, body, tally};
use crate::config;
use crate::ids::now_ms;
use crate::protocol::Word;
use crate::wechat::push::{Message, Receiver, Refused, Signed};

pub const PATH: &str = "/wechat/events";

/// WeChat's events have some hundred bytes, those with many templates some thousand.
const BODY_BYTES: usize = 64 * 1_024;

/// Two for each push: more than WeChat tells while a signature holds, at the pace of its quotas.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(131_072).unwrap();

/// Tells WeChat's pushes from those of others, and new ones from those that come again.
pub struct Pushes {
    receiver: Receiver,
    /// Signatures, and ids of messages. Of this node alone: whoever acts on a push does nothing twice.
    taken: Mutex<LruCache<String, ()>>,
}

impl Pushes {
    /// `None` where the settings take no pushes.
    pub fn new(config: &config::WeChat) -> Option<Self> {
        Some(Self { receiver: Receiver::new(config)?, taken: Mutex::new(LruCache::new(REMEMBERED)) })
    }

    fn is_new(&self, signed: &Signed, id: &str) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let was_signed = taken.put(format!("{} {}", signed.signature, signed.nonce), ()).is_some();
        let was_told = taken.put(id.to_owned(), ()).is_some();
        !was_signed && !was_told
    }
}

pub fn events() -> Resource {
    resource(PATH).route(get().to(confirm)).route(post().to(take)).default_service(to(tally::wrong_method))
}

/// The console asks once whether this is the place.
async fn confirm(request: HttpRequest, signed: Query<Signed>, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let signed = signed.into_inner();
    admit(&request, &signed, &state)?;
    Ok(plain(signed.echostr))
}

/// `success` at once, whatever comes of it: WeChat tells again what is not answered within five seconds.
async fn take(request: HttpRequest, signed: Query<Signed>, payload: Payload, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let pushes = admit(&request, &signed, &state)?;
    let bytes = body::read(&request, payload.into_inner(), BODY_BYTES).await?;
    let message = pushes.receiver.open(&signed, &bytes).map_err(refused)?;
    let read = Message::read(&message).and_then(|message| message.push().map(|push| (message, push)));
    let (message, push) = read.map_err(|unreadable| {
        log::warn!("an event of WeChat's cannot be read");
        ApiError::bad_request(unreadable.to_string())
    })?;
    if pushes.is_new(&signed, &message.id) {
        (state.pushed)(push);
    }
    Ok(plain("success".to_owned()))
}

/// Asked before anything is read.
fn admit<'a>(request: &HttpRequest, signed: &Signed, state: &'a State) -> Result<&'a Pushes, ApiError> {
    let pushes = state.pushes.as_ref().ok_or_else(ApiError::not_found)?;
    state.admission.push(Address::of(request.head(), &state.config.server)).map_err(ApiError::rate_limited)?;
    pushes.receiver.check(signed, now_ms() / 1_000).map_err(refused)?;
    Ok(pushes)
}

/// What strangers can cause at will is no warning.
fn refused(why: Refused) -> ApiError {
    match why {
        Refused::NotSigned => log::debug!(why:% = why; "a push was refused"),
        _ => log::warn!(why:% = why; "a push of WeChat's was refused"),
    }
    ApiError::new(Word::Unauthorized, why.to_string())
}

fn plain(text: String) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff")).body(text)
}

#[cfg(test)]
mod tests;
