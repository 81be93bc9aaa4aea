//! Origins whose pages may talk to the server.

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderMap, HeaderValue, ORIGIN};

use crate::metrics::{Metrics, RefusedHandshake};

/// Whether a request may come from the page that it names. Without the header it is no browser, and there are
/// no cookies to steal.
pub fn is_allowed(allowed: &[String], headers: &HeaderMap) -> bool {
    allowed.is_empty() || headers.get(ORIGIN).is_none_or(|origin| is_listed(allowed, origin))
}

/// Whether `origin` (scheme, host and port: RFC 6454 §6.2) is one of `allowed`; scheme and host know no case.
pub fn is_listed(allowed: &[String], origin: &HeaderValue) -> bool {
    origin
        .to_str()
        .is_ok_and(|origin| allowed.iter().any(|a| a.trim_end_matches('/').eq_ignore_ascii_case(origin)))
}

/// Counts a handshake from a page that is not allowed, and is its answer: a plain 403, since no page can read
/// it.
pub fn turn_away(metrics: &Metrics) -> HttpResponse {
    metrics.handshakes_refused.inc(RefusedHandshake::OriginNotAllowed);
    HttpResponse::Forbidden().body("pages of this origin may not connect\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_page_may_talk_and_others_may_not() {
        let allowed = ["https://chat.example.com".to_owned(), "http://localhost:5173/".to_owned()];
        let from = |origin: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
            headers
        };
        for good in ["https://chat.example.com", "HTTPS://Chat.Example.com", "http://localhost:5173"] {
            assert!(is_allowed(&allowed, &from(good)), "{good}");
        }
        for bad in [
            "https://chat.example.com.evil.com",
            "http://chat.example.com",
            "null",
            "https://chat.example.com:8443",
        ] {
            assert!(!is_allowed(&allowed, &from(bad)), "{bad}");
            assert!(is_allowed(&[], &from(bad)), "{bad}");
        }
        assert!(is_allowed(&allowed, &HeaderMap::new()));
    }
}
