//! A double of WeChat over real HTTP, for trying out and for tests: a server speaks to it as it speaks to
//! WeChat. It knows WeChat alone, and nothing of the server.
//!
//! What it knows of WeChat's rules stands with each call: [`logins`], [`tokens`], [`checks`], [`notices`]. It
//! is told to misbehave by words in what it is asked and by `POST /__control` ([`steering`]), tells the
//! server by itself what WeChat tells ([`pushes`]), and keeps what happened ([`journal`]) for whoever looks
//! at its [`page`]. docs/WECHAT.md has the tables.

use std::collections::{BTreeMap, HashMap};
use std::net::TcpListener;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::body::MessageBody;
use actix_web::dev::{RequestHead, Server, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, Error, HttpResponse, HttpServer, web};
use bytes::Bytes;
use serde_json::{Value, json};

mod checks;
mod control;
mod journal;
mod logins;
mod notices;
mod page;
mod pushes;
mod steering;
mod tokens;

pub use pushes::{Format, PushTo};

use journal::Journal;
use steering::{Fault, Steering};

/// The mini-program that the double knows, and who waits for what.
#[derive(Clone)]
pub struct Settings {
    pub appid: String,
    pub secret: String,
    /// Whether calls are counted against WeChat's quotas.
    pub enforce_quota: bool,
    /// Where a server takes what WeChat tells by itself.
    pub push: Option<PushTo>,
    /// The browser client of that server, such as `http://127.0.0.1:9999/`: where a tap on a message leads.
    pub client: Option<String>,
}

impl Settings {
    /// WeChat as it is, for a mini-program that has set no more up.
    pub fn of(appid: &str, secret: &str) -> Self {
        Self {
            appid: appid.to_owned(),
            secret: secret.to_owned(),
            enforce_quota: true,
            push: None,
            client: None,
        }
    }
}

/// What is remembered of each kind, at the most.
const REMEMBERED: usize = 100_000;

struct Double {
    settings: Settings,
    memory: Mutex<Memory>,
    journal: Journal,
}

#[derive(Default)]
struct Memory {
    logins: logins::Logins,
    tokens: tokens::Tokens,
    quotas: checks::Quotas,
    /// Messages that may still be sent, by openid and template.
    grants: HashMap<(String, String), u32>,
    steering: Steering,
    push: Option<PushTo>,
    calls: BTreeMap<&'static str, u64>,
}

/// The calls, as `/__calls` and `POST /__control` name them.
const CALLS: [&str; 5] =
    ["code2session", "stable_token", "msg_sec_check", "media_check_async", "subscribe_send"];

/// Serves the double. `refuse` answers requests in its place, such as those that name another host.
///
/// # Errors
/// When the listener cannot be watched.
pub fn serve(
    listener: TcpListener,
    settings: Settings,
    refuse: impl Fn(&RequestHead) -> Option<HttpResponse> + Clone + Send + 'static,
) -> std::io::Result<Server> {
    let memory = Memory { push: settings.push.clone(), ..Memory::default() };
    let double = web::Data::new(Double { settings, memory: Mutex::new(memory), journal: Journal::default() });
    let app = move || {
        let refuse = refuse.clone();
        App::new()
            .app_data(double.clone())
            .wrap(from_fn(move |request: ServiceRequest, next| {
                from_here(refuse(request.head()), request, next)
            }))
            .route("/sns/jscode2session", web::get().to(logins::code2session))
            .route("/cgi-bin/stable_token", web::post().to(tokens::stable_token))
            .route("/wxa/msg_sec_check", web::post().to(checks::msg_sec_check))
            .route("/wxa/media_check_async", web::post().to(checks::media_check_async))
            .route("/cgi-bin/message/subscribe/send", web::post().to(notices::send))
            .configure(control::routes)
            .configure(page::routes)
    };
    Ok(HttpServer::new(app).workers(1).shutdown_timeout(1).disable_signals().listen(listener)?.run())
}

/// A page of somebody else's, open in the same browser, does not steer the double.
async fn from_here(
    refusal: Option<HttpResponse>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    if let Some(refusal) = refusal {
        return Ok(request.into_response(refusal));
    }
    if request.headers().get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        return Ok(request.into_response(HttpResponse::Forbidden().finish()));
    }
    next.call(request).await.map(ServiceResponse::map_into_boxed_body)
}

impl Double {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call; `Some` where the control endpoint has said what comes of it.
    fn begin(&self, call: &'static str) -> Option<Outcome> {
        let mut memory = self.memory();
        *memory.calls.entry(call).or_default() += 1;
        memory.steering.instead_of(call)
    }

    /// Answers, in the time that it takes, and keeps what it was for who looks.
    async fn finish(&self, call: &'static str, asked: Asked, outcome: Outcome) -> HttpResponse {
        let latency = if asked.after.is_zero() { self.memory().steering.latency() } else { asked.after };
        tokio::time::sleep(latency).await;
        self.journal.call(call, &asked, &outcome);
        outcome.respond().await
    }
}

/// What was asked, as the page shows it.
#[derive(Default)]
struct Asked {
    who: String,
    what: String,
    /// How late the answer comes; zero: as ever.
    after: Duration,
}

/// What comes of a call.
enum Outcome {
    Answer(Value),
    Errcode(i64),
    Fault(Fault),
}

impl From<i64> for Outcome {
    fn from(code: i64) -> Self {
        Self::Errcode(code)
    }
}

impl Outcome {
    async fn respond(self) -> HttpResponse {
        match self {
            Self::Answer(value) => answer(&value),
            Self::Errcode(code) => {
                answer(&json!({ "errcode": code, "errmsg": format!("{}, rid: {}", errmsg(code), rid()) }))
            }
            Self::Fault(Fault::Status) => HttpResponse::build(StatusCode::INTERNAL_SERVER_ERROR).finish(),
            Self::Fault(Fault::Garbage) => {
                HttpResponse::Ok().content_type("text/plain").body("<html>a proxy's own words</html>")
            }
            Self::Fault(Fault::Hang) => {
                tokio::time::sleep(steering::SLOWEST).await;
                HttpResponse::GatewayTimeout().finish()
            }
            Self::Fault(Fault::Cut) => {
                let cut = futures_util::stream::iter([Err::<Bytes, _>(std::io::Error::other("cut"))]);
                HttpResponse::Ok().streaming(cut)
            }
        }
    }
}

/// WeChat says text/plain of its JSON.
fn answer(value: &Value) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body(value.to_string())
}

/// WeChat's name of a request; the ids of checks look the same.
fn rid() -> String {
    format!("{:08x}-{:08x}-{:08x}", rand::random::<u32>(), rand::random::<u32>(), rand::random::<u32>())
}

fn errmsg(code: i64) -> &'static str {
    match code {
        -1 => "system error",
        40001 => "invalid credential, access_token is invalid or not latest",
        40002 => "invalid grant_type",
        40003 => "invalid openid",
        40013 => "invalid appid",
        40014 => "invalid access_token",
        40029 => "invalid code",
        40037 => "invalid template_id",
        40125 => "invalid appsecret",
        40129 => "invalid scene",
        40163 => "code been used",
        40226 => "code blocked",
        41001 => "access_token missing",
        41002 => "appid missing",
        41004 => "appsecret missing",
        41008 => "missing code",
        41030 => "invalid page",
        42001 => "access_token expired",
        43101 => "user refuse to accept the msg",
        43104 => "appid not match openid",
        44002 => "empty post data",
        45009 => "reach max api daily quota limit",
        45011 => "api minute-quota reach limit, must slower, retry next minute",
        47001 => "data format error",
        47003 => "argument invalid",
        61010 => "code is expired",
        _ => "error",
    }
}

/// Whether a text can be an openid.
fn is_openid(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Unix time in milliseconds.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
