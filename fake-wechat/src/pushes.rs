//! What the double tells the server by itself, as WeChat would: plain or encrypted, in JSON or XML.

use std::time::Duration;

use actix_web::web;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeEncrypt as _, KeyIvInit as _};
use serde::Deserialize;
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

use super::checks::Suggest;
use super::steering::Markers;
use super::{Double, now_ms};

/// WeChat waits so long for `success`, and then tells the thing again. The double tells it once: tests say
/// when it comes again.
const WAITS: Duration = Duration::from_secs(5);

/// Where a server takes pushes, and how: what stands in the console of a mini-program.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushTo {
    /// Such as `http://127.0.0.1:9999/wechat/events`.
    pub url: String,
    pub token: String,
    /// The 43 characters that the console calls EncodingAESKey; empty: plain.
    #[serde(default)]
    pub aes_key: String,
    #[serde(default)]
    pub format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    #[default]
    Json,
    Xml,
}

/// One event, as its JSON is.
pub struct Event {
    fields: Value,
    /// XML has the list of a subscribe event in one more element.
    wrapper: Option<&'static str>,
}

impl Event {
    fn new(name: &str, openid: &str, own: Value) -> Self {
        let mut fields = json!({
            "ToUserName": "gh_double", "FromUserName": openid, "CreateTime": now_ms() / 1_000, "MsgType": "event", "Event": name,
        });
        if let (Some(fields), Value::Object(own)) = (fields.as_object_mut(), own) {
            fields.extend(own);
        }
        Self { fields, wrapper: None }
    }

    fn wrapped(self, wrapper: &'static str) -> Self {
        Self { wrapper: Some(wrapper), ..self }
    }

    /// Whatever somebody wants to have told.
    pub fn of(fields: Value) -> Self {
        Self { fields, wrapper: None }
    }

    fn write(&self, format: Format) -> String {
        match (format, self.wrapper) {
            (Format::Json, _) => self.fields.to_string(),
            (Format::Xml, None) => format!("<xml>{}</xml>", xml(&self.fields)),
            (Format::Xml, Some(wrapper)) => {
                let mut fields = self.fields.clone();
                if let Some(list) = fields.as_object_mut().and_then(|fields| fields.remove("List")) {
                    fields[wrapper] = json!({ "List": list });
                }
                format!("<xml>{}</xml>", xml(&fields))
            }
        }
    }

    fn text(&self, name: &str) -> &str {
        self.fields[name].as_str().unwrap_or_default()
    }
}

/// A user answered a prompt for a template.
pub fn popup(openid: &str, template: &str, is_accepted: bool) -> Event {
    let status = if is_accepted { "accept" } else { "reject" };
    let list =
        json!({ "List": [{ "TemplateId": template, "SubscribeStatusString": status, "PopupScene": "0" }] });
    Event::new("subscribe_msg_popup_event", openid, list).wrapped("SubscribeMsgPopupEvent")
}

/// A user took a template away in the settings.
pub fn removed(openid: &str, template: &str) -> Event {
    let list = json!({ "List": [{ "TemplateId": template, "SubscribeStatusString": "reject" }] });
    Event::new("subscribe_msg_change_event", openid, list).wrapped("SubscribeMsgChangeEvent")
}

/// What became of a message.
pub fn sent(openid: &str, template: &str, msgid: u64, code: i64) -> Event {
    let status = if code == 0 { "success" } else { "user refused" };
    let one = json!({ "TemplateId": template, "MsgID": msgid.to_string(), "ErrorCode": code.to_string(), "ErrorStatus": status });
    Event::new("subscribe_msg_sent_event", openid, json!({ "List": [one] })).wrapped("SubscribeMsgSentEvent")
}

/// The result of a media check.
pub fn media_checked(appid: &str, openid: &str, trace_id: &str, markers: &Markers) -> Event {
    let (suggest, label) = markers.verdict.unwrap_or((Suggest::Pass, 100));
    let errcode = if markers.is_unfetched { -1008 } else { 0 };
    // The label is a text here and there.
    let result = json!({ "suggest": suggest, "label": label.to_string() });
    let own = json!({ "appid": appid, "trace_id": trace_id, "version": 2, "errcode": errcode, "errmsg": "", "result": result });
    Event::new("wxa_media_check", openid, own)
}

/// Tells the server, after a while; nobody waits for it.
pub fn later(double: &web::Data<Double>, after: Duration, event: Event) {
    let double = double.clone();
    actix_web::rt::spawn(async move {
        tokio::time::sleep(after).await;
        tell(&double, &event).await;
    });
}

/// Tells the server: what came of it.
pub async fn tell(double: &Double, event: &Event) -> String {
    let to = double.memory().push.clone();
    let outcome = match to {
        None => "nobody to tell".to_owned(),
        Some(to) => to.tell(event, &double.settings.appid).await,
    };
    double.journal.push(event.text("Event"), event.text("FromUserName"), &outcome);
    outcome
}

impl PushTo {
    async fn tell(&self, event: &Event, appid: &str) -> String {
        let (query, body) = self.seal(&event.write(self.format), appid);
        let content_type = if self.format == Format::Xml { "text/xml" } else { "application/json" };
        let answer = awc::Client::builder()
            .timeout(WAITS)
            .disable_redirects()
            .finish()
            .post(format!("{}?{query}", self.url))
            .insert_header(("content-type", content_type))
            .send_body(body)
            .await;
        match answer {
            Err(_) => "no answer".to_owned(),
            Ok(mut answer) => match answer.body().await {
                Ok(body) if body.as_ref() == b"success" => "success".to_owned(),
                _ => format!("HTTP {}", answer.status().as_u16()),
            },
        }
    }

    /// The query and the body of one push.
    fn seal(&self, message: &str, appid: &str) -> (String, String) {
        let timestamp = (now_ms() / 1_000).to_string();
        let nonce = rand::random::<u32>().to_string();
        let signed = signature(&[&self.token, &timestamp, &nonce]);
        let query = format!("signature={signed}&timestamp={timestamp}&nonce={nonce}");
        let Some(sealed) = encrypt(&self.aes_key, message, appid) else {
            return (query, message.to_owned());
        };
        let signed = signature(&[&self.token, &timestamp, &nonce, &sealed]);
        let envelope = json!({ "ToUserName": "gh_double", "Encrypt": sealed });
        let body = match self.format {
            Format::Json => envelope.to_string(),
            Format::Xml => format!("<xml>{}</xml>", xml(&envelope)),
        };
        (format!("{query}&encrypt_type=aes&msg_signature={signed}"), body)
    }
}

/// The console makes 43 characters at will, so the last one may have bits that belong to no byte.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// 16 random bytes, the message's length, the message, the appid, and 1 to 32 bytes that each say how many
/// they are. `None` without a key.
fn encrypt(encoding_aes_key: &str, message: &str, appid: &str) -> Option<String> {
    let key: [u8; 32] = BASE64.decode(format!("{encoding_aes_key}=")).ok()?.try_into().ok()?;
    let (iv, _) = key.split_first_chunk::<16>()?;
    let length = u32::try_from(message.len()).ok()?.to_be_bytes();
    let mut plain =
        [&rand::random::<[u8; 16]>(), length.as_slice(), message.as_bytes(), appid.as_bytes()].concat();
    let padding = 32 - plain.len() % 32;
    plain.resize(plain.len() + padding, u8::try_from(padding).ok()?);
    let count = plain.len();
    let cipher = cbc::Encryptor::<aes::Aes256>::new((&key).into(), iv.into());
    let sealed = cipher.encrypt_padded::<NoPadding>(&mut plain, count).ok()?;
    Some(BASE64.encode(sealed))
}

/// The SHA-1 of the parts, sorted, as WeChat signs.
fn signature(parts: &[&str]) -> String {
    let mut sorted = parts.to_vec();
    sorted.sort_unstable();
    let digest = Sha1::digest(sorted.concat());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The elements of a value; a list is one element after the other.
fn xml(value: &Value) -> String {
    let element = |name: &str, value: &Value| format!("<{name}>{}</{name}>", xml(value));
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| match value.as_array() {
                Some(list) => list.iter().map(|item| element(name, item)).collect(),
                None => element(name, value),
            })
            .collect(),
        Value::String(text) => format!("<![CDATA[{}]]>", text.replace("]]>", "]]]]><![CDATA[>")),
        other => other.to_string(),
    }
}
