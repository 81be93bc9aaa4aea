//! XML as WeChat writes it, made into what the same event would be in JSON.

use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::{Map, Value};

/// WeChat goes four deep.
const DEPTH: usize = 16;

/// One element that is not closed yet.
struct Open {
    name: String,
    text: String,
    children: Map<String, Value>,
}

impl Open {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), text: String::new(), children: Map::new() }
    }

    /// Elements of one name are a list.
    fn put(&mut self, name: String, value: Value) {
        match self.children.get_mut(&name) {
            None => {
                self.children.insert(name, value);
            }
            Some(Value::Array(list)) => list.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }

    /// `None`: both text and elements, which WeChat does not write.
    fn close(self) -> Option<Value> {
        match (self.children.is_empty(), self.text.trim().is_empty()) {
            (true, _) => Some(Value::String(self.text)),
            (false, true) => Some(Value::Object(self.children)),
            (false, false) => None,
        }
    }
}

/// The root's content; `None` where it is no XML of WeChat's. There are no entities but XML's own five: a
/// document type is refused, so that nothing grows in reading.
pub fn read(document: &str) -> Option<Value> {
    let mut reader = Reader::from_str(document);
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    loop {
        let closed = match reader.read_event().ok()? {
            Event::Start(tag) => {
                if open.len() >= DEPTH || root.is_some() {
                    return None;
                }
                open.push(Open::new(tag.name().as_ref()));
                None
            }
            Event::Empty(tag) => Some(Open::new(tag.name().as_ref())),
            Event::End(_) => Some(open.pop()?),
            Event::Text(text) => {
                write(&mut open, &text.xml10_content())?;
                None
            }
            Event::CData(text) => {
                write(&mut open, &text.xml10_content())?;
                None
            }
            Event::GeneralRef(name) => {
                let meant = match name.resolve_char_ref().ok()? {
                    Some(c) => c.to_string(),
                    None => quick_xml::escape::resolve_predefined_entity(&name)?.to_owned(),
                };
                write(&mut open, &meant)?;
                None
            }
            Event::Decl(_) | Event::Comment(_) => None,
            Event::PI(_) | Event::DocType(_) => return None,
            Event::Eof => return if open.is_empty() { root } else { None },
        };
        if let Some(closed) = closed {
            let name = closed.name.clone();
            let value = closed.close()?;
            match open.last_mut() {
                Some(parent) => parent.put(name, value),
                None if root.is_none() => root = Some(value),
                None => return None,
            }
        }
    }
}

/// Outside the root there is only white space.
fn write(open: &mut [Open], text: &str) -> Option<()> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn elements_are_fields_and_repeated_ones_a_list() {
        let text = "<?xml version=\"1.0\"?>\n<xml> <a><![CDATA[x<y]]></a><b>1 &amp; &#x4e2d;</b>\n<l><t>1</t></l><l><t>2</t></l><e/></xml>\n";
        assert_eq!(
            read(text),
            Some(json!({ "a": "x<y", "b": "1 & 中", "l": [{ "t": "1" }, { "t": "2" }], "e": "" }))
        );
        assert_eq!(read("<xml></xml>"), Some(json!("")));
    }

    #[test]
    fn nothing_else_is_read() {
        let deep = format!("{}{}", "<a>".repeat(1_000), "</a>".repeat(1_000));
        let bomb =
            "<!DOCTYPE xml [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]><xml><x>&b;</x></xml>";
        let file = "<!DOCTYPE xml [<!ENTITY f SYSTEM \"file:///etc/passwd\">]><xml><x>&f;</x></xml>";
        for bad in [
            deep.as_str(),
            bomb,
            file,
            "<!DOCTYPE xml><xml></xml>",
            "",
            "x",
            "<xml>",
            "<xml></yml>",
            "</xml>",
            "<xml/><xml/>",
            "<xml></xml><xml></xml>",
            "<xml>x<a/></xml>",
            "<xml>&f;</xml>",
            "<xml>&#xFFFFFFFF;</xml>",
            "<xml/>x",
            "<?php ?><xml/>",
            "<xml><![CDATA[x</xml>",
        ] {
            assert_eq!(read(bad), None, "{}", bad.chars().take(80).collect::<String>());
        }
    }
}
