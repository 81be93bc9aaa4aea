#!/usr/bin/env bash
# quick-xml 0.42: a text with an entity comes in several events, and trim_text eats the spaces inside it.
#
# Expected: "<Content>Tom &amp; Jerry</Content>" gives one Text event that unescapes to "Tom & Jerry", as it did in versions before 0.38; and
#           trim_text(true) takes away the white space around a text.
# Found:    the entity is an event of its own (GeneralRef) between two Text events, so code that takes the first Text of an element keeps
#           "Tom " only; and trim_text trims each of the parts, so joining them gives "Tom&Jerry". Only the reader's events do so: the
#           crate's serde deserializer joins the parts and keeps the spaces.
# Needs cargo; builds in a temporary folder.
set -euo pipefail
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
cd "$temp"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "shown"
version = "0.0.0"
edition = "2021"

[dependencies]
quick-xml = { version = "=0.42.0", features = ["serialize"] }
serde = { version = "=1.0.228", features = ["derive"] }
TOML
cat >src/main.rs <<'RUST'
use quick_xml::{events::Event, Reader};

#[derive(serde::Deserialize)]
struct Content {
    #[serde(rename = "$text")]
    text: String,
}

fn parts(xml: &str, trim: bool) -> Vec<String> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().trim_text(trim);
    let mut parts = Vec::new();
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Text(text) => parts.push(text.to_string()),
            Event::GeneralRef(name) => parts.push(format!("&{};", &*name)),
            Event::Eof => return parts,
            _ => {}
        }
    }
}

fn main() {
    let xml = "<Content>Tom &amp; Jerry</Content>";
    let (whole, trimmed) = (parts(xml, false), parts(xml, true));
    let content: Content = quick_xml::de::from_str(xml).expect("well-formed");
    println!("quick-xml 0.42.0 reads {xml}");
    println!("events of the reader:      {whole:?}");
    println!("with trim_text(true):      {trimmed:?}, joined {:?}", trimmed.concat());
    println!("by the serde deserializer: {:?}", content.text);
    let as_found = whole == ["Tom ", "&amp;", " Jerry"] && trimmed == ["Tom", "&amp;", "Jerry"] && content.text == "Tom & Jerry";
    std::process::exit(if as_found { 0 } else { 1 });
}
RUST
cargo run --quiet
