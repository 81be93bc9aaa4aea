//! Pushes of WeChat: is it WeChat, and what does it say. Plain: no clock, no network.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::Suggest;
use super::api::number;
use crate::ids::{OpenId, sha256};

mod seal;
mod xml;

pub use seal::{AesKey, Receiver, Refused, Signed, signature};

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Push {
    /// The result of a media check.
    MediaChecked { trace_id: String, appid: String, suggest: Suggest, label: i32 },
    /// WeChat could not judge it, for example because it could not fetch it.
    MediaUnchecked { trace_id: String, appid: String, code: i64 },
    /// What users did about subscribe messages, or what became of one; never empty.
    Subscribe(Vec<SubscribeChange>),
    /// Anything else.
    Other { event: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeChange {
    pub openid: OpenId,
    pub template_id: String,
    pub action: SubscribeAction,
    /// 64 characters: the same whenever WeChat tells this again, and of no other change.
    pub key: String,
    /// When it was, in Unix seconds.
    pub at_s: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscribeAction {
    /// They accepted a prompt: one message may be sent.
    Accepted,
    /// They declined a prompt.
    Rejected,
    /// They took the template away in WeChat's settings.
    Removed,
    /// A message reached them (code 0), or did not.
    Sent { code: i64, msgid: String },
}

/// An event that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not an event of WeChat's")]
pub struct Unreadable;

/// A message of WeChat's, before anybody asks what it means.
pub struct Message {
    fields: Value,
    /// SHA-256 of what names it: the same for a message that comes again.
    pub id: [u8; 32],
}

impl Message {
    /// Reads JSON or XML, whichever it is: the console decides which of them WeChat writes.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let fields = fields(bytes).ok_or(Unreadable)?;
        // An event has no MsgId. Its user and time do not name it: two images may be judged within one
        // second.
        let id = match fields.get("MsgId") {
            None => digest(&[bytes]),
            Some(_) => digest(&[b"MsgId", text(&fields, "MsgId").ok_or(Unreadable)?.as_bytes()]),
        };
        Ok(Self { fields, id })
    }

    /// What it says.
    ///
    /// # Errors
    /// [`Unreadable`] where an event lacks what belongs to it.
    pub fn push(&self) -> Result<Push, Unreadable> {
        let kind = text(&self.fields, "MsgType").ok_or(Unreadable)?;
        if kind != "event" {
            return Ok(Push::Other { event: kind });
        }
        let event = text(&self.fields, "Event").ok_or(Unreadable)?;
        let push = match event.as_str() {
            "wxa_media_check" => self.media(),
            "subscribe_msg_popup_event" => self.subscribe(&event, "SubscribeMsgPopupEvent", popup),
            "subscribe_msg_change_event" => self.subscribe(&event, "SubscribeMsgChangeEvent", change),
            "subscribe_msg_sent_event" => self.subscribe(&event, "SubscribeMsgSentEvent", sent),
            _ => Some(Push::Other { event }),
        };
        push.ok_or(Unreadable)
    }

    fn media(&self) -> Option<Push> {
        let trace_id = text(&self.fields, "trace_id")?;
        let appid = text(&self.fields, "appid")?;
        match self.fields.get("errcode").map_or(Some(0), whole)? {
            0 => {
                let result = self.fields.get("result")?;
                let suggest = serde_json::from_value(result.get("suggest")?.clone()).ok()?;
                let label = i32::try_from(whole(result.get("label")?)?).ok()?;
                Some(Push::MediaChecked { trace_id, appid, suggest, label })
            }
            code => Some(Push::MediaUnchecked { trace_id, appid, code }),
        }
    }

    /// XML has the list one level deeper than JSON.
    fn subscribe(
        &self,
        event: &str,
        wrapper: &str,
        action: fn(&Value) -> Option<Option<SubscribeAction>>,
    ) -> Option<Push> {
        let openid = OpenId::parse(&text(&self.fields, "FromUserName")?).ok()?;
        let at_s = whole(self.fields.get("CreateTime")?)?;
        let list = self.fields.get(wrapper).unwrap_or(&self.fields).get("List")?;
        let items = list.as_array().map_or(std::slice::from_ref(list), Vec::as_slice);
        let mut changes = Vec::new();
        for item in items {
            let template_id = text(item, "TemplateId")?;
            let Some(action) = action(item)? else { continue };
            let msgid = if let SubscribeAction::Sent { msgid, .. } = &action { msgid } else { "" };
            let key = sha256(format!("{event} {} {at_s} {template_id} {msgid}", openid.as_str()).as_bytes());
            changes.push(SubscribeChange { openid: openid.clone(), template_id, action, key, at_s });
        }
        Some(if changes.is_empty() {
            Push::Other { event: event.to_owned() }
        } else {
            Push::Subscribe(changes)
        })
    }
}

/// `None` where it cannot be read, `Some(None)` where it changes nothing.
fn popup(item: &Value) -> Option<Option<SubscribeAction>> {
    Some(match text(item, "SubscribeStatusString")?.as_str() {
        "accept" => Some(SubscribeAction::Accepted),
        "reject" => Some(SubscribeAction::Rejected),
        _ => None,
    })
}

/// Switching a template on again in the settings is no prompt, and brings no message.
fn change(item: &Value) -> Option<Option<SubscribeAction>> {
    Some((text(item, "SubscribeStatusString")? == "reject").then_some(SubscribeAction::Removed))
}

fn sent(item: &Value) -> Option<Option<SubscribeAction>> {
    Some(Some(SubscribeAction::Sent { code: whole(item.get("ErrorCode")?)?, msgid: text(item, "MsgID")? }))
}

fn fields(bytes: &[u8]) -> Option<Value> {
    let fields = match bytes.trim_ascii_start().first()? {
        b'<' => xml::read(std::str::from_utf8(bytes).ok()?)?,
        _ => serde_json::from_slice(bytes).ok()?,
    };
    fields.is_object().then_some(fields)
}

/// Bytes of a name or a word in an event; WeChat's longest have some 60.
const LONGEST: usize = 256;

/// A text, or a number as text; none that is longer than WeChat's are.
fn text(fields: &Value, name: &str) -> Option<String> {
    any_text(fields, name).filter(|text| text.len() <= LONGEST)
}

fn any_text(fields: &Value, name: &str) -> Option<String> {
    match fields.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Names parts without keeping them: memory is the same however long they are.
pub fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

fn whole(value: &Value) -> Option<i64> {
    number(value).ok()
}

#[cfg(test)]
mod tests;
