//! The double's page: what WeChat was asked, and what phones would have shown.

use actix_web::http::header;
use actix_web::{HttpResponse, web};

pub fn routes(config: &mut web::ServiceConfig) {
    for (path, media_type, text) in [
        ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
        ("/page.css", "text/css; charset=utf-8", include_str!("page/page.css")),
        ("/page.js", "text/javascript; charset=utf-8", include_str!("page/page.js")),
        ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
    ] {
        config.route(path, web::get().to(move || async move { file(media_type, text) }));
    }
}

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

fn file(media_type: &str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(media_type)
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(text)
}
