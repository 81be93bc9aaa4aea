//! Answers that a browser may keep, and asks about again by their entity tag (RFC 9110 §8.8.3).

use actix_web::body::MessageBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{ETag, EntityTag, IfNoneMatch};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, HttpResponseBuilder};

/// `answer` with this body; or without one, 304, where the caller has it already. `tag` is a hash in
/// hexadecimal digits.
pub fn etag(
    request: &HttpRequest,
    tag: &str,
    mut answer: HttpResponseBuilder,
    body: impl MessageBody + 'static,
) -> HttpResponse {
    let tag = EntityTag::new_strong(tag.to_owned());
    answer.insert_header(ETag(tag.clone()));
    let has_it = match request.get_header::<IfNoneMatch>() {
        Some(IfNoneMatch::Any) => true,
        // A proxy that packs the answer makes its tag a weak one.
        Some(IfNoneMatch::Items(tags)) => tags.iter().any(|of_caller| of_caller.weak_eq(&tag)),
        None => false,
    };
    if has_it { answer.status(StatusCode::NOT_MODIFIED).finish() } else { answer.body(body) }
}
