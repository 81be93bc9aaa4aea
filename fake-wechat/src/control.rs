//! What tests and people tell the double, and ask it: the paths that WeChat has not.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::error::ErrorBadRequest;
use actix_web::{Error, HttpResponse, web};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::steering::{Outage, Steering};
use super::{CALLS, Double, Memory, PushTo, REMEMBERED, pushes};

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/__calls", web::get().to(calls))
        .route("/__notices", web::get().to(notices))
        .route("/__journal", web::get().to(journal))
        .route("/__control", web::post().to(control))
        .route("/__subscribe", web::post().to(subscribe))
        .route("/__push", web::post().to(push));
}

/// How often each call was made.
async fn calls(double: web::Data<Double>) -> HttpResponse {
    let memory = double.memory();
    let counts: BTreeMap<&str, u64> =
        CALLS.iter().map(|call| (*call, memory.calls.get(call).copied().unwrap_or(0))).collect();
    HttpResponse::Ok().json(counts)
}

/// The messages that phones would have shown.
async fn notices(double: web::Data<Double>) -> HttpResponse {
    HttpResponse::Ok().json(double.journal.notices())
}

#[derive(Deserialize)]
struct JournalQuery {
    #[serde(default)]
    after: u64,
    /// How long to wait for something, in milliseconds.
    #[serde(default)]
    wait: u64,
}

/// What a page is held up with at the most.
const LONGEST_WAIT: Duration = Duration::from_secs(25);

async fn journal(query: web::Query<JournalQuery>, double: web::Data<Double>) -> HttpResponse {
    let wait = Duration::from_millis(query.wait).min(LONGEST_WAIT);
    let _ = tokio::time::timeout(wait, double.journal.beyond(query.after)).await;
    let entries = double.journal.after(query.after);
    HttpResponse::Ok()
        .json(json!({ "run": double.journal.run, "appid": double.settings.appid, "entries": entries }))
}

/// What is left out stays as it is.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Control {
    /// First everything is as at the start, but for logins and grants.
    reset: bool,
    latency_ms: Option<u64>,
    outage: Option<Outage>,
    only: Option<Vec<String>>,
    errcodes: Option<BTreeMap<String, i64>>,
    /// Ends the access_token that is out: the next call with it hears this code.
    end_token: Option<i64>,
    inactive_after_ms: Option<u64>,
    templates: Option<BTreeMap<String, Vec<String>>>,
    media_delay_ms: Option<u64>,
    checks_per_minute: Option<usize>,
    checks_per_day: Option<usize>,
    media_per_minute: Option<usize>,
    push: Option<PushTo>,
}

async fn control(body: Bytes, double: web::Data<Double>) -> Result<HttpResponse, Error> {
    let told: Control = parse(&body)?;
    let mut memory = double.memory();
    if told.reset {
        memory.steering = Steering::default();
        memory.quotas = Default::default();
        memory.push.clone_from(&double.settings.push);
    }
    told.apply(&mut memory);
    Ok(HttpResponse::NoContent().finish())
}

impl Control {
    fn apply(self, memory: &mut Memory) {
        fn put<T>(place: &mut T, given: Option<T>) {
            if let Some(given) = given {
                *place = given;
            }
        }
        let steering = &mut memory.steering;
        put(&mut steering.latency_ms, self.latency_ms);
        put(&mut steering.outage, self.outage);
        put(&mut steering.only, self.only);
        put(&mut steering.errcodes, self.errcodes);
        put(&mut steering.inactive_after_ms, self.inactive_after_ms);
        put(&mut steering.templates, self.templates);
        put(&mut steering.media_delay_ms, self.media_delay_ms);
        put(&mut steering.checks_per_minute, self.checks_per_minute);
        put(&mut steering.checks_per_day, self.checks_per_day);
        put(&mut steering.media_per_minute, self.media_per_minute);
        if let Some(code) = self.end_token {
            memory.tokens.end(code);
        }
        if self.push.is_some() {
            memory.push = self.push;
        }
    }
}

/// What a user did about a template on their phone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscribe {
    openid: String,
    template_id: String,
    #[serde(default)]
    result: Answer,
    /// Whether the server is told.
    #[serde(default = "yes")]
    push: bool,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    /// One message more may be sent.
    #[default]
    Accept,
    Reject,
    /// Taken away in the settings: none may be sent any more.
    Remove,
}

async fn subscribe(body: Bytes, double: web::Data<Double>) -> Result<HttpResponse, Error> {
    let Subscribe { openid, template_id, result, push } = parse(&body)?;
    let event = match result {
        Answer::Accept | Answer::Reject => pushes::popup(&openid, &template_id, result == Answer::Accept),
        Answer::Remove => pushes::removed(&openid, &template_id),
    };
    {
        let grants = &mut double.memory().grants;
        let pair = (openid, template_id);
        match result {
            Answer::Accept if grants.len() < REMEMBERED => *grants.entry(pair).or_default() += 1,
            Answer::Accept | Answer::Reject => {}
            Answer::Remove => drop(grants.remove(&pair)),
        }
    }
    if push {
        pushes::later(&double, Duration::ZERO, event);
    }
    Ok(HttpResponse::NoContent().finish())
}

/// Tells the server an event as it is given, and answers what came of it.
async fn push(body: Bytes, double: web::Data<Double>) -> Result<HttpResponse, Error> {
    let event = pushes::Event::of(parse::<Value>(&body)?);
    Ok(HttpResponse::Ok().json(json!({ "outcome": pushes::tell(&double, &event).await })))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| ErrorBadRequest(format!("{error}\n")))
}
