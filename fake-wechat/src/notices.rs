//! subscribeMessage.send: one accepted prompt is one message, and each field is of the kind that its name
//! says.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::{HttpResponse, web};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::steering::{Fault, Markers};
use super::tokens::TokenQuery;
use super::{Double, Outcome, is_openid, pushes};

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    touser: String,
    #[serde(default)]
    template_id: String,
    #[serde(default)]
    page: String,
    #[serde(default)]
    data: BTreeMap<String, Field>,
    #[serde(default)]
    miniprogram_state: Option<String>,
    #[serde(default)]
    lang: Option<String>,
}

#[derive(Deserialize)]
struct Field {
    value: String,
}

pub async fn send(query: web::Query<TokenQuery>, body: Bytes, double: web::Data<Double>) -> HttpResponse {
    let judge = |message: &Message, asked: &mut super::Asked| {
        let shown: Vec<&str> = message.data.values().map(|field| field.value.as_str()).collect();
        (asked.who, asked.what) = (message.touser.clone(), shown.join(" · "));
        let markers = Markers::of(&format!("{} {}", message.touser, asked.what));
        asked.after = markers.slow;
        check(message)?;
        double.fits_template(message)?;
        // One whose answer is cut off was taken all the same.
        let mut outcome = markers.outcome();
        if let Some(outcome) = outcome.take_if(|outcome| !matches!(outcome, Outcome::Fault(Fault::Cut))) {
            return Ok(outcome);
        }
        double.use_grant(&message.touser, &message.template_id)?;
        let data: Vec<_> =
            message.data.iter().map(|(name, field)| (name.clone(), field.value.clone())).collect();
        double.journal.notice(
            &message.touser,
            &message.template_id,
            &message.page,
            data,
            double.settings.client.as_deref(),
        );
        let msgid = rand::random::<u64>() >> 1;
        let event = pushes::sent(&message.touser, &message.template_id, msgid, markers.delivery.unwrap_or(0));
        pushes::later(&double, Duration::ZERO, event);
        Ok(outcome
            .unwrap_or_else(|| Outcome::Answer(json!({ "errcode": 0, "errmsg": "ok", "msgid": msgid }))))
    };
    double.with_token("subscribe_send", &query, &body, judge).await
}

fn check(message: &Message) -> Result<(), i64> {
    if !is_openid(&message.touser) {
        return Err(40003);
    }
    let id = &message.template_id;
    if id.is_empty()
        || id.len() > 64
        || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    {
        return Err(40037);
    }
    let known =
        |given: &Option<String>, words: &[&str]| given.as_deref().is_none_or(|given| words.contains(&given));
    if !known(&message.miniprogram_state, &["developer", "trial", "formal"])
        || !known(&message.lang, &["zh_CN", "en_US", "zh_HK", "zh_TW"])
    {
        return Err(47001);
    }
    // A page of the mini-program, by its path without a slash before it.
    let path = message.page.split('?').next().unwrap_or_default();
    let fits =
        path.starts_with("pages/") && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_-".contains(&b));
    if !message.page.is_empty() && !fits {
        return Err(41030);
    }
    let is_wrong = |(name, field): (&String, &Field)| !fits_kind(name, &field.value);
    if message.data.is_empty() || message.data.iter().any(is_wrong) {
        return Err(47003);
    }
    Ok(())
}

/// Whether a value is one that WeChat shows in a field of that name, such as `thing1`.
fn fits_kind(name: &str, value: &str) -> bool {
    let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if kind == name {
        return false;
    }
    let length = value.chars().count();
    let up_to = |most: usize| (1..=most).contains(&length);
    let is_number = |text: &str| {
        !text.is_empty()
            && text.parse::<f64>().is_ok()
            && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    };
    match kind {
        "thing" => up_to(20),
        "number" => up_to(32) && is_number(value),
        "letter" => up_to(32) && value.bytes().all(|b| b.is_ascii_alphabetic()),
        "symbol" => up_to(5) && !value.chars().any(char::is_alphanumeric),
        "character_string" => up_to(32) && value.is_ascii(),
        "time" => is_moment(value, true),
        "date" => is_moment(value, false),
        "amount" => {
            let sum = value.trim_start_matches(['¥', '￥', '$']).trim_end_matches('元');
            length <= 13 && is_number(sum)
        }
        "phone_number" => up_to(17) && value.bytes().all(|b| b.is_ascii_digit() || b"+-() ".contains(&b)),
        "car_number" => up_to(8),
        // Ten characters where one is Chinese, twenty of letters and symbols.
        "name" => up_to(if value.is_ascii() { 20 } else { 10 }),
        "phrase" => up_to(5) && value.chars().all(|c| !c.is_ascii()),
        _ => false,
    }
}

/// `15:01`, or a day (`2026-11-26`, `2026年11月26日`, `2026/11/26`), or a day and a time behind it.
fn is_moment(value: &str, may_lack_day: bool) -> bool {
    let parts: Vec<&str> = value.split_whitespace().collect();
    match parts.as_slice() {
        [one] => is_day(one) || (may_lack_day && is_clock(one)),
        [day, clock] => is_day(day) && is_clock(clock),
        _ => false,
    }
}

fn is_clock(text: &str) -> bool {
    let numbers: Vec<Option<u32>> = text.split(':').map(|part| part.parse().ok()).collect();
    match numbers.as_slice() {
        [Some(hours), Some(minutes)] => *hours < 24 && *minutes < 60,
        [Some(hours), Some(minutes), Some(seconds)] => *hours < 24 && *minutes < 60 && *seconds < 60,
        _ => false,
    }
}

fn is_day(text: &str) -> bool {
    let text = text.strip_suffix('日').unwrap_or(text);
    let numbers: Vec<Option<u32>> =
        text.split(['-', '/', '.', '年', '月']).map(|part| part.parse().ok()).collect();
    matches!(numbers.as_slice(), [Some(1970..=9999), Some(1..=12), Some(1..=31)])
}

impl Double {
    /// Where templates were named, only these are known, each with just its fields.
    fn fits_template(&self, message: &Message) -> Result<(), i64> {
        let memory = self.memory();
        let templates = &memory.steering.templates;
        if templates.is_empty() {
            return Ok(());
        }
        let fields = templates.get(&message.template_id).ok_or(40037)?;
        let is_whole =
            fields.len() == message.data.len() && fields.iter().all(|field| message.data.contains_key(field));
        if is_whole { Ok(()) } else { Err(47003) }
    }

    fn use_grant(&self, openid: &str, template: &str) -> Result<(), i64> {
        let mut memory = self.memory();
        match memory.grants.get_mut(&(openid.to_owned(), template.to_owned())) {
            Some(left) if *left > 0 => {
                *left -= 1;
                Ok(())
            }
            _ => Err(43101),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_field_has_its_bounds() {
        let twenty = "一".repeat(20);
        let more = "一".repeat(21);
        for (name, fits, not) in [
            ("thing1", &[twenty.as_str(), "a"][..], &[more.as_str(), ""][..]),
            ("number2", &["3", "3.5"], &["", "three", "-1", "inf", "1e5"]),
            ("letter1", &["abc"], &["ab1", ""]),
            ("symbol1", &["!?"], &["a", "!!!!!!"]),
            ("character_string1", &["ab-12"], &["一", ""]),
            (
                "time3",
                &["15:01", "2026年11月26日 15:01", "2026-11-26 15:01:59", "2026-11-26"],
                &["", "25:01", "15", "soon", "2026-13-01"],
            ),
            ("date3", &["2026年11月26日", "2026/11/26 09:00"], &["15:01", "2026-11-32"]),
            ("amount1", &["¥12.50", "12元"], &["a lot", "12345678901234"]),
            ("phone_number1", &["+86-10-1234567"], &["call me"]),
            ("car_number1", &["粤A12345"], &["粤A12345678"]),
            (
                "name1",
                &["鸿雁鸿雁鸿雁鸿雁鸿雁", "twenty letters, twen"],
                &["鸿雁鸿雁鸿雁鸿雁鸿雁鸿", "twenty-one letters, t", ""],
            ),
            ("phrase1", &["未读消息"], &["一二三四五六", "unread"]),
        ] {
            for value in fits {
                assert!(fits_kind(name, value), "{name} {value}");
            }
            for value in not {
                assert!(!fits_kind(name, value), "{name} {value}");
            }
        }
        assert!(!fits_kind("thing", "a") && !fits_kind("nothing1", "a") && !fits_kind("1", "a"));
    }
}
