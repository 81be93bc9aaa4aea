//! A double of WeChat over real HTTP, for `hongyan dev` and for tests: the server speaks to it as it speaks to WeChat.
//!
//! Codes: `dev:OPENID` always works, `dev:OPENID:NONCE` once (then 40163); `dev-error:ERRCODE` gives that error,
//! `dev-slow:MS:OPENID` answers late, `dev-500` with HTTP 500, `dev-flaky:N:OPENID:NONCE` is busy N times first; any other is 40029.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::TcpListener;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::dev::Server;
use actix_web::{App, HttpResponse, HttpServer, web};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::Secret;
use crate::ids::OpenId;

/// The mini-program that the double knows.
#[derive(Clone)]
pub struct Settings {
    pub appid: String,
    pub secret: Secret,
    /// Whether a user's logins are counted against WeChat's hundred a minute.
    pub enforce_quota: bool,
}

/// code2Session a minute and user (45011).
const LOGINS_A_MINUTE: usize = 100;
const MINUTE: Duration = Duration::from_secs(60);
/// Used codes that are remembered, and users whose logins are counted.
const REMEMBERED: usize = 100_000;
/// The longest that `dev-slow` waits.
const SLOWEST: Duration = Duration::from_secs(60);
const TOKEN_LIVES: Duration = Duration::from_secs(7_200);
const TOKEN_RENEWS: Duration = Duration::from_secs(300);

struct Double {
    settings: Settings,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    used: Bounded,
    /// How often a flaky code was still busy.
    flaky: HashMap<String, u32>,
    logins: HashMap<String, VecDeque<Instant>>,
    token: Option<(String, Instant)>,
    code2session: u64,
    stable_token: u64,
}

/// A set that forgets its oldest.
#[derive(Default)]
struct Bounded {
    set: HashSet<String>,
    order: VecDeque<String>,
}

impl Bounded {
    /// Whether it was not there.
    fn add(&mut self, text: &str) -> bool {
        if !self.set.insert(text.to_owned()) {
            return false;
        }
        self.order.push_back(text.to_owned());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
        true
    }
}

/// Serves the double.
///
/// # Errors
/// When the listener cannot be watched.
pub fn serve(listener: TcpListener, settings: Settings) -> std::io::Result<Server> {
    let double = web::Data::new(Double { settings, memory: Mutex::default() });
    let app = move || {
        App::new()
            .app_data(double.clone())
            .route("/sns/jscode2session", web::get().to(code2session))
            .route("/cgi-bin/stable_token", web::post().to(stable_token))
            .route("/__calls", web::get().to(calls))
    };
    Ok(HttpServer::new(app).workers(1).shutdown_timeout(1).disable_signals().listen(listener)?.run())
}

#[derive(Deserialize)]
struct CodeQuery {
    #[serde(default)]
    appid: String,
    #[serde(default)]
    secret: String,
    #[serde(default)]
    js_code: String,
}

async fn code2session(query: web::Query<CodeQuery>, double: web::Data<Double>) -> HttpResponse {
    double.memory().code2session += 1;
    if let Err(code) = double.knows(&query.appid, &query.secret) {
        return errcode(code);
    }
    match double.judge(&query.js_code) {
        Verdict::Known { openid, after } => {
            tokio::time::sleep(after).await;
            answer(&json!({ "openid": openid.as_str(), "session_key": "ZG91YmxlIHNlc3Npb24ga2V5IQ==" }))
        }
        Verdict::Errcode(code) => errcode(code),
        Verdict::Broken => HttpResponse::InternalServerError().finish(),
    }
}

#[derive(Deserialize)]
struct TokenBody {
    #[serde(default)]
    grant_type: String,
    #[serde(default)]
    appid: String,
    #[serde(default)]
    secret: String,
}

async fn stable_token(body: web::Bytes, double: web::Data<Double>) -> HttpResponse {
    double.memory().stable_token += 1;
    let Ok(body) = serde_json::from_slice::<TokenBody>(&body) else { return errcode(47001) };
    if body.grant_type != "client_credential" {
        return errcode(40002);
    }
    match double.knows(&body.appid, &body.secret) {
        // The token call says 40001 of a bad secret.
        Err(40125) => errcode(40001),
        Err(code) => errcode(code),
        Ok(()) => {
            let (token, lives) = double.token();
            answer(&json!({ "access_token": token, "expires_in": lives.as_secs() }))
        }
    }
}

/// How often each call was made, for tests.
async fn calls(double: web::Data<Double>) -> HttpResponse {
    let memory = double.memory();
    answer(&json!({ "code2session": memory.code2session, "stable_token": memory.stable_token }))
}

/// WeChat says text/plain of its JSON.
fn answer(value: &Value) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body(value.to_string())
}

fn errcode(code: i64) -> HttpResponse {
    let what = match code {
        -1 => "system error",
        40001 | 40125 => "invalid appsecret",
        40002 => "invalid grant_type",
        40013 => "invalid appid",
        40029 => "invalid code",
        40163 => "code been used",
        40226 => "code blocked",
        41002 => "appid missing",
        41004 => "appsecret missing",
        41008 => "missing code",
        45011 => "api minute-quota reach limit, must slower, retry next minute",
        _ => "error",
    };
    answer(
        &json!({ "errcode": code, "errmsg": format!("{what}, rid: {:08x}-{:08x}-{:08x}", rand::random::<u32>(), rand::random::<u32>(), code) }),
    )
}

enum Verdict {
    Known { openid: OpenId, after: Duration },
    Errcode(i64),
    Broken,
}

impl Double {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn knows(&self, appid: &str, secret: &str) -> Result<(), i64> {
        match (appid, secret) {
            ("", _) => Err(41002),
            (_, "") => Err(41004),
            (appid, _) if appid != self.settings.appid => Err(40013),
            (_, secret) if secret != self.settings.secret.expose() => Err(40125),
            _ => Ok(()),
        }
    }

    fn judge(&self, code: &str) -> Verdict {
        let parts: Vec<&str> = code.split(':').collect();
        let once = |openid: &str, after| if self.memory().used.add(code) { self.login(openid, after) } else { Verdict::Errcode(40163) };
        match parts.as_slice() {
            [""] => Verdict::Errcode(41008),
            ["dev", openid] => self.login(openid, Duration::ZERO),
            ["dev", openid, _] => once(openid, Duration::ZERO),
            ["dev-error", code] => Verdict::Errcode(code.parse().unwrap_or(40029)),
            ["dev-slow", ms, openid] => match ms.parse() {
                Ok(ms) => self.login(openid, Duration::from_millis(ms).min(SLOWEST)),
                Err(_) => Verdict::Errcode(40029),
            },
            ["dev-500"] => Verdict::Broken,
            ["dev-flaky", times, openid, _] => {
                let times: u32 = times.parse().unwrap_or(0);
                let mut memory = self.memory();
                if memory.flaky.len() > REMEMBERED {
                    memory.flaky.clear();
                }
                let busy = memory.flaky.entry(code.to_owned()).or_default();
                if *busy < times {
                    *busy += 1;
                    return Verdict::Errcode(-1);
                }
                drop(memory);
                once(openid, Duration::ZERO)
            }
            _ => Verdict::Errcode(40029),
        }
    }

    fn login(&self, openid: &str, after: Duration) -> Verdict {
        let Ok(openid) = OpenId::parse(openid) else { return Verdict::Errcode(40029) };
        if self.settings.enforce_quota {
            let mut memory = self.memory();
            if memory.logins.len() > REMEMBERED {
                memory.logins.retain(|_, at| at.back().is_some_and(|at| at.elapsed() < MINUTE));
            }
            let at = memory.logins.entry(openid.as_str().to_owned()).or_default();
            while at.front().is_some_and(|at| at.elapsed() >= MINUTE) {
                at.pop_front();
            }
            if at.len() >= LOGINS_A_MINUTE {
                return Verdict::Errcode(45011);
            }
            at.push_back(Instant::now());
        }
        Verdict::Known { openid, after }
    }

    /// The same token until its last minutes, as stable_token gives it.
    fn token(&self) -> (String, Duration) {
        let mut memory = self.memory();
        if let Some((token, made)) = &memory.token
            && made.elapsed() + TOKEN_RENEWS < TOKEN_LIVES
        {
            return (token.clone(), TOKEN_LIVES - made.elapsed());
        }
        let token = format!("double-{:032x}", rand::random::<u128>());
        memory.token = Some((token.clone(), Instant::now()));
        (token, TOKEN_LIVES)
    }
}
