//! The browser client: files that are part of the binary, served to whoever asks. What they show they fetch
//! like any client, with a token.

use std::sync::LazyLock;

use actix_web::http::header;
use actix_web::web::{Path, get, head, resource, to};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, Resource, web};
use serde::Serialize;

use super::error::ApiError;
use super::etag::etag;
use super::{State, response_metrics};
use crate::ids::sha256;

/// How the browser client lets people in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SignIn {
    /// As whom they like: the codes are the double's.
    Dev,
    /// With a token that they bring.
    Token,
}

macro_rules! file {
    ($folder:literal, $name:literal) => {
        File { name: $name, bytes: include_bytes!(concat!("../../", $folder, "/", $name)) }
    };
}

/// One line a file.
#[rustfmt::skip]
const FILES: [File; 30] = [
    file!("web", "index.html"),
    file!("web", "icon.svg"),
    file!("web", "app.css"),
    file!("web", "app.js"),
    file!("web", "tab.js"),
    file!("web", "sign-in.js"),
    file!("web", "list.js"),
    file!("web", "search.js"),
    file!("web", "room.js"),
    file!("web", "message.js"),
    file!("web", "message-menu.js"),
    file!("web", "selection.js"),
    file!("web", "recalled.js"),
    file!("web", "unread.js"),
    file!("web", "composer.js"),
    file!("web", "emoji-panel.js"),
    file!("web", "drafts.js"),
    file!("web", "card.js"),
    file!("web", "alerts.js"),
    file!("web", "profile.js"),
    file!("web", "avatar.js"),
    file!("web", "presence.js"),
    file!("web", "overlay.js"),
    file!("web", "clipboard.js"),
    file!("web", "text.js"),
    file!("web", "time.js"),
    file!("web", "dom.js"),
    file!("miniprogram/sdk", "hongyan.js"),
    file!("miniprogram/utils", "emoji.js"),
    file!("miniprogram/sdk", "extras.mjs"),
];

const PAGE: &str = "index.html";

struct File {
    name: &'static str,
    bytes: &'static [u8],
}

impl File {
    fn media_type(&self) -> &'static str {
        match self.name.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("js" | "mjs") => "text/javascript; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "application/octet-stream",
        }
    }
}

/// Nothing but this server's own. `'self'` is good for its WebSockets too (CSP level 3: Chromium 70, Firefox,
/// Safari 15.4). `blob:` and `data:` are images that the user has just chosen.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `/`.
pub fn page() -> Resource {
    served("/").route(get().to(index)).route(head().to(index))
}

/// `/assets/{name}`.
pub fn assets() -> Resource {
    served("/assets/{name}").route(get().to(asset)).route(head().to(asset))
}

fn served(path: &str) -> Resource {
    resource(path).default_service(to(response_metrics::wrong_method))
}

async fn index(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    file(&request, PAGE)
}

async fn asset(
    request: HttpRequest,
    name: Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    match (name.as_str(), state.web) {
        ("config.json", Some(sign_in)) => Ok(answer("application/json").json(Settings { sign_in })),
        (name, _) => file(&request, name),
    }
}

/// What the page is told of the server it comes from.
#[derive(Serialize)]
struct Settings {
    sign_in: SignIn,
}

fn file(request: &HttpRequest, name: &str) -> Result<HttpResponse, ApiError> {
    /// Of each of [`FILES`].
    static TAGS: LazyLock<[String; FILES.len()]> = LazyLock::new(|| FILES.map(|file| sha256(file.bytes)));
    let (file, tag) =
        FILES.iter().zip(TAGS.iter()).find(|(file, _)| file.name == name).ok_or_else(ApiError::not_found)?;
    Ok(etag(request, tag, answer(file.media_type()), file.bytes))
}

/// Asked about again each time: an upgrade of the server is one of the page.
fn answer(media_type: &'static str) -> HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer
        .content_type(media_type)
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_client_is_in_the_binary() {
        let there = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/web")).unwrap();
        for entry in there {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(FILES.iter().any(|file| file.name == name), "web/{name} is not in FILES");
        }
        assert!(FILES.iter().all(|file| file.media_type() != "application/octet-stream"));
    }
}
