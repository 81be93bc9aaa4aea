//! code2Session: who logs in, as the code says that it be.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::steering::{Fault, SLOWEST};
use super::{Asked, Double, Outcome, REMEMBERED, is_openid};

/// code2Session a minute and user (45011).
const LOGINS_A_MINUTE: usize = 100;
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub struct Logins {
    used: Bounded,
    /// How often a flaky code was still busy.
    flaky: HashMap<String, u32>,
    by_user: HashMap<String, VecDeque<Instant>>,
    /// When each user was last here.
    active: HashMap<String, Instant>,
}

impl Logins {
    /// Whether WeChat takes this user for one who is in the mini-program.
    pub fn is_active(&self, openid: &str, within: Duration) -> bool {
        self.active.get(openid).is_some_and(|at| at.elapsed() < within)
    }
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

#[derive(Deserialize)]
pub struct CodeQuery {
    #[serde(default)]
    appid: String,
    #[serde(default)]
    secret: String,
    #[serde(default)]
    js_code: String,
}

pub async fn code2session(query: web::Query<CodeQuery>, double: web::Data<Double>) -> HttpResponse {
    let mut asked = Asked { what: query.js_code.clone(), ..Asked::default() };
    let outcome = match double.begin("code2session") {
        Some(outcome) => outcome,
        None => {
            match double.knows(&query.appid, &query.secret).and_then(|()| double.judge_code(&query.js_code)) {
                Err(Refused::Errcode(code)) => code.into(),
                Err(Refused::Broken) => Outcome::Fault(Fault::Status),
                Ok(Known { openid, after }) => {
                    let answer = json!({ "openid": openid, "session_key": "ZG91YmxlIHNlc3Npb24ga2V5IQ==" });
                    (asked.who, asked.after) = (openid, after);
                    Outcome::Answer(answer)
                }
            }
        }
    };
    double.finish("code2session", asked, outcome).await
}

struct Known {
    openid: String,
    after: Duration,
}

/// Why somebody is not let in.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    Errcode(i64),
    /// With HTTP 500.
    Broken,
}

const INVALID: Refused = Refused::Errcode(40029);

impl Double {
    /// Whether it is the mini-program that speaks.
    pub fn knows(&self, appid: &str, secret: &str) -> Result<(), Refused> {
        match (appid, secret) {
            ("", _) => Err(Refused::Errcode(41002)),
            (_, "") => Err(Refused::Errcode(41004)),
            (appid, _) if appid != self.settings.appid => Err(Refused::Errcode(40013)),
            (_, secret) if secret != self.settings.secret => Err(Refused::Errcode(40125)),
            _ => Ok(()),
        }
    }

    fn judge_code(&self, code: &str) -> Result<Known, Refused> {
        let parts: Vec<&str> = code.split(':').collect();
        let once = |openid: &str| {
            if self.memory().logins.used.add(code) {
                self.login(openid, Duration::ZERO)
            } else {
                Err(Refused::Errcode(40163))
            }
        };
        match parts.as_slice() {
            [""] => Err(Refused::Errcode(41008)),
            ["dev", openid] => self.login(openid, Duration::ZERO),
            ["dev", openid, _] => once(openid),
            ["dev-error", code] => Err(code.parse().map_or(INVALID, Refused::Errcode)),
            ["dev-slow", ms, openid] => {
                let ms = ms.parse().map_err(|_| INVALID)?;
                self.login(openid, Duration::from_millis(ms).min(SLOWEST))
            }
            ["dev-500"] => Err(Refused::Broken),
            ["dev-flaky", times, openid, _] => {
                let times: u32 = times.parse().unwrap_or(0);
                let mut memory = self.memory();
                let flaky = &mut memory.logins.flaky;
                if flaky.len() > REMEMBERED {
                    flaky.clear();
                }
                let busy = flaky.entry(code.to_owned()).or_default();
                if *busy < times {
                    *busy += 1;
                    return Err(Refused::Errcode(-1));
                }
                drop(memory);
                once(openid)
            }
            _ => Err(INVALID),
        }
    }

    fn login(&self, openid: &str, after: Duration) -> Result<Known, Refused> {
        if !is_openid(openid) {
            return Err(INVALID);
        }
        let mut memory = self.memory();
        let active_for = Duration::from_millis(memory.steering.inactive_after_ms);
        let Logins { by_user, active, .. } = &mut memory.logins;
        if active.len() > REMEMBERED {
            active.retain(|_, at| at.elapsed() < active_for);
        }
        active.insert(openid.to_owned(), Instant::now());
        if self.settings.enforce_quota {
            if by_user.len() > REMEMBERED {
                by_user.retain(|_, at| at.back().is_some_and(|at| at.elapsed() < MINUTE));
            }
            let at = by_user.entry(openid.to_owned()).or_default();
            while at.front().is_some_and(|at| at.elapsed() >= MINUTE) {
                at.pop_front();
            }
            if at.len() >= LOGINS_A_MINUTE {
                return Err(Refused::Errcode(45011));
            }
            at.push_back(Instant::now());
        }
        Ok(Known { openid: openid.to_owned(), after })
    }
}
