//! msgSecCheck and mediaCheckAsync: what is wrong with a text or an image stands in it, as words such as
//! `dev-risky:20002`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use actix_web::{HttpResponse, web};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::steering::Markers;
use super::tokens::TokenQuery;
use super::{Double, Outcome, is_openid, pushes, rid};

const MINUTE: Duration = Duration::from_secs(60);
/// Characters of a text.
const CONTENT: usize = 2_500;

/// What WeChat would do about a text; the later one is the worse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Suggest {
    Pass,
    Review,
    Risky,
}

/// When calls were made, in the last minute, and how many in all: a double does not run for days.
#[derive(Default)]
pub struct Quotas {
    checks: Made,
    media: Made,
}

#[derive(Default)]
struct Made {
    lately: VecDeque<Instant>,
    in_all: usize,
}

impl Made {
    fn one_more(&mut self, per_minute: usize, per_day: usize) -> Result<(), i64> {
        while self.lately.front().is_some_and(|at| at.elapsed() >= MINUTE) {
            self.lately.pop_front();
        }
        if self.in_all >= per_day {
            return Err(45009);
        }
        if self.lately.len() >= per_minute {
            return Err(45011);
        }
        self.lately.push_back(Instant::now());
        self.in_all += 1;
        Ok(())
    }
}

#[derive(Deserialize)]
struct TextBody {
    #[serde(default)]
    version: u8,
    #[serde(default)]
    openid: String,
    #[serde(default)]
    scene: u8,
    #[serde(default)]
    content: String,
    #[serde(default)]
    nickname: String,
}

pub async fn msg_sec_check(
    query: web::Query<TokenQuery>,
    body: Bytes,
    double: web::Data<Double>,
) -> HttpResponse {
    let judge = |body: &TextBody, asked: &mut super::Asked| {
        (asked.who, asked.what) = (body.openid.clone(), body.content.clone());
        let markers = Markers::of(&body.content);
        asked.after = markers.slow;
        if double.settings.enforce_quota {
            let mut memory = double.memory();
            let (per_minute, per_day) = (memory.steering.checks_per_minute, memory.steering.checks_per_day);
            memory.quotas.checks.one_more(per_minute, per_day)?;
        }
        double.is_checkable(body.version, &body.openid, body.scene, &markers)?;
        if body.content.is_empty() || body.content.chars().count() > CONTENT {
            return Err(47001);
        }
        let verdict =
            markers.verdict.max(Markers::of(&body.nickname).verdict).unwrap_or((Suggest::Pass, 100));
        Ok(markers.outcome().unwrap_or_else(|| Outcome::Answer(text_answer(verdict, markers.in_detail))))
    };
    double.with_token("msg_sec_check", &query, &body, judge).await
}

/// One way of looking that failed stands among the details: nothing of it counts.
fn text_answer((suggest, label): (Suggest, i64), in_detail: bool) -> Value {
    let found = json!({ "suggest": suggest, "label": label });
    let counts =
        json!({ "strategy": "content_model", "errcode": 0, "suggest": suggest, "label": label, "prob": 90 });
    let fails = json!({ "strategy": "keyword", "errcode": -1, "suggest": "risky", "label": 21000 });
    let mut answer = json!({ "errcode": 0, "errmsg": "ok", "trace_id": rid(), "detail": [fails, counts] });
    if !in_detail && let Some(fields) = answer.as_object_mut() {
        fields.insert("result".into(), found);
    }
    answer
}

#[derive(Deserialize)]
struct MediaBody {
    #[serde(default)]
    version: u8,
    #[serde(default)]
    openid: String,
    #[serde(default)]
    scene: u8,
    #[serde(default)]
    media_url: String,
    #[serde(default)]
    media_type: u8,
}

pub async fn media_check_async(
    query: web::Query<TokenQuery>,
    body: Bytes,
    double: web::Data<Double>,
) -> HttpResponse {
    let judge = |body: &MediaBody, asked: &mut super::Asked| {
        (asked.who, asked.what) = (body.openid.clone(), body.media_url.clone());
        let markers = Markers::of(&body.media_url);
        asked.after = markers.slow;
        if double.settings.enforce_quota {
            let mut memory = double.memory();
            let per_minute = memory.steering.media_per_minute;
            memory.quotas.media.one_more(per_minute, usize::MAX)?;
        }
        double.is_checkable(body.version, &body.openid, body.scene, &markers)?;
        let is_url = ["http://", "https://"].iter().any(|scheme| body.media_url.starts_with(scheme));
        if !is_url || !(1..=2).contains(&body.media_type) {
            return Err(47001);
        }
        if let Some(outcome) = markers.outcome() {
            return Ok(outcome);
        }
        let trace_id = rid();
        let after = Duration::from_millis(double.memory().steering.media_delay_ms);
        pushes::later(
            &double,
            after,
            pushes::media_checked(&double.settings.appid, &body.openid, &trace_id, &markers),
        );
        Ok(Outcome::Answer(json!({ "errcode": 0, "errmsg": "ok", "trace_id": trace_id })))
    };
    double.with_token("media_check_async", &query, &body, judge).await
}

impl Double {
    /// What both checks ask of a call.
    fn is_checkable(&self, version: u8, openid: &str, scene: u8, content: &Markers) -> Result<(), i64> {
        let of_user = Markers::of(openid);
        if version != 2 {
            return Err(47001);
        }
        if !is_openid(openid) {
            return Err(40003);
        }
        if !(1..=4).contains(&scene) {
            return Err(40129);
        }
        if of_user.is_foreign {
            return Err(43104);
        }
        let memory = self.memory();
        let within = Duration::from_millis(memory.steering.inactive_after_ms);
        if of_user.is_inactive || content.is_inactive || !memory.logins.is_active(openid, within) {
            return Err(61010);
        }
        Ok(())
    }
}
