//! Text of a notice: the operator's patterns, filled in and cut to what WeChat takes. A field that breaks a
//! rule of its kind makes WeChat refuse the whole notice (47003), so what somebody calls themself must not be
//! able to.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::notice::{Field, FieldKind, Lang, Part};

/// What the patterns are filled with.
#[derive(Debug, Clone, Copy)]
pub struct News<'a> {
    /// How the sender is called; empty: not at all.
    pub sender: &'a str,
    pub count: i64,
    /// When the newest message was sent, Unix milliseconds, and the recipient's clock in minutes east of UTC.
    pub sent_at: i64,
    pub utc_offset: i16,
    /// What the newest message says, where it may be shown.
    pub text: Option<&'a str>,
}

/// The fields as WeChat takes them, none of them empty.
pub fn compose(fields: &[Field], lang: Lang, news: &News<'_>) -> BTreeMap<String, String> {
    fields.iter().map(|field| (field.name.clone(), value(field, lang, news))).collect()
}

/// The page that a tap opens. An openid needs no escape.
pub fn page(pattern: &str, peer: &str) -> String {
    pattern.replace("{peer}", peer)
}

fn value(field: &Field, lang: Lang, news: &News<'_>) -> String {
    let words = Words::of(lang);
    let mut text = String::new();
    for part in &field.pattern {
        match part {
            Part::Text(fixed) => text.push_str(fixed),
            Part::Sender if field.kind == FieldKind::Name => text.push_str(&allowed(news.sender, field.kind)),
            Part::Sender => text.push_str(if allowed(news.sender, field.kind).is_empty() {
                words.somebody
            } else {
                news.sender
            }),
            Part::Count if field.kind == FieldKind::Number => text.push_str(&news.count.to_string()),
            Part::Count => text.push_str(&count(news.count)),
            Part::Time => text.push_str(&time(news.sent_at, news.utc_offset)),
            // It stands for itself where it is alone, and is cut like any text where it is not.
            Part::Summary => text.push_str(&summary(words, field.kind, news)),
        }
    }
    let text = allowed(&text, field.kind);
    match (text.is_empty(), field.kind) {
        (false, _) => cut(&text, limit(field.kind, &text), field.kind),
        (true, FieldKind::Letter | FieldKind::CharacterString) => "new".to_owned(),
        (true, FieldKind::Phrase) => "新消息".to_owned(),
        (true, _) => words.somebody.to_owned(),
    }
}

/// Words of ours, each short enough for a field.
struct Words {
    somebody: &'static str,
    /// Before and behind the count, and whether the sender stands first.
    news: (&'static str, &'static str),
    sender_first: bool,
}

impl Words {
    fn of(lang: Lang) -> &'static Self {
        match lang {
            Lang::ZhCn => &Self { somebody: "好友", news: ("发来", "条新消息"), sender_first: true },
            Lang::ZhHk | Lang::ZhTw => {
                &Self { somebody: "好友", news: ("發來", "則新訊息"), sender_first: true }
            }
            Lang::EnUs => &Self { somebody: "a friend", news: ("", " new from "), sender_first: false },
        }
    }
}

/// `3 new from …`: of a long name only as much as leaves the rest whole. Or what the newest message says.
fn summary(words: &Words, kind: FieldKind, news: &News<'_>) -> String {
    let count = count(news.count);
    if let Some(text) = news.text.map(|text| allowed(text, kind)).filter(|text| !text.is_empty()) {
        return if news.count > 1 { format!("[{count}] {text}") } else { text };
    }
    let (before, behind) = words.news;
    let rest = format!("{before}{count}{behind}");
    let name = Some(allowed(news.sender, kind))
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| words.somebody.to_owned());
    let name =
        cut(&name, limit(kind, &format!("{name}{rest}")).saturating_sub(rest.chars().count()).max(1), kind);
    if words.sender_first { format!("{name}{rest}") } else { format!("{rest}{name}") }
}

fn count(count: i64) -> String {
    if count > 999 { "999+".to_owned() } else { count.to_string() }
}

/// How many characters a field of this kind has at most.
fn limit(kind: FieldKind, text: &str) -> usize {
    match kind {
        FieldKind::Thing => 20,
        // Ten where there is Chinese in it, else twenty letters.
        FieldKind::Name if text.is_ascii() => 20,
        FieldKind::Name => 10,
        FieldKind::Phrase => 5,
        FieldKind::Number | FieldKind::Letter | FieldKind::CharacterString => 32,
        FieldKind::Time => usize::MAX,
    }
}

/// What a kind takes of a text, on one line. Characters beyond the basic plane, emoji above all, count double
/// at WeChat or are refused.
fn allowed(text: &str, kind: FieldKind) -> String {
    let takes = |c: char| match kind {
        FieldKind::Thing => is_plain(c),
        FieldKind::Name => is_plain(c) && !c.is_numeric(),
        FieldKind::Phrase => is_han(c),
        FieldKind::Number | FieldKind::Time => true,
        FieldKind::Letter => c.is_ascii_alphabetic(),
        FieldKind::CharacterString => c.is_ascii_graphic() || c == ' ',
    };
    let spaced = text.split_whitespace().map(|word| word.chars().filter(|c| takes(*c)).collect::<String>());
    spaced.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(if takes(' ') { " " } else { "" })
}

fn is_plain(c: char) -> bool {
    let is_mark = matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{2600}'..='\u{27BF}');
    let is_private =
        matches!(c, '\u{E000}'..='\u{F8FF}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFF0}'..='\u{FFFF}');
    !c.is_control() && !is_mark && !is_private && c <= '\u{FFFF}'
}

fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}')
}

/// At most so many characters, with an ellipsis where something is missing and the kind takes one.
fn cut(text: &str, most: usize, kind: FieldKind) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let ellipsis = match kind {
        FieldKind::Phrase | FieldKind::Letter | FieldKind::Number | FieldKind::Time => "",
        _ if text.is_ascii() => "..",
        _ => "…",
    };
    let kept: String = text.chars().take(most.saturating_sub(ellipsis.chars().count())).collect();
    format!("{}{ellipsis}", kept.trim_end())
}

/// `2026年1月31日 09:05`: what both `time` and `date` take.
fn time(at: i64, utc_offset: i16) -> String {
    let at = at.saturating_add(i64::from(utc_offset) * 60_000);
    let of_user = Timestamp::from_millisecond(at).unwrap_or_default().to_zoned(TimeZone::UTC);
    of_user.strftime("%Y年%-m月%-d日 %H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, kind: FieldKind, pattern: &[Part]) -> Field {
        Field { name: name.to_owned(), kind, pattern: pattern.to_vec() }
    }

    fn news(sender: &str, count: i64) -> News<'_> {
        News { sender, count, sent_at: 0, utc_offset: 0, text: None }
    }

    fn filled(kind: FieldKind, pattern: &[Part], lang: Lang, news: &News<'_>) -> String {
        let fields = [field("x1", kind, pattern)];
        compose(&fields, lang, news).remove("x1").unwrap()
    }

    #[test]
    fn a_summary_says_how_many_and_from_whom() {
        let said =
            |lang, sender, count| filled(FieldKind::Thing, &[Part::Summary], lang, &news(sender, count));
        assert_eq!(said(Lang::ZhCn, "王五", 3), "王五发来3条新消息");
        assert_eq!(said(Lang::ZhTw, "王五", 1), "王五發來1則新訊息");
        assert_eq!(said(Lang::EnUs, "Bob", 3), "3 new from Bob");
        assert_eq!(said(Lang::ZhCn, "", 2_000), "好友发来999+条新消息");
        // Of a long name only as much as leaves the count whole.
        let long = said(Lang::ZhCn, "一二三四五六七八九十一二三四五六七八九十", 12);
        assert_eq!((long.chars().count(), long.ends_with("…发来12条新消息")), (20, true), "{long}");
        let long = said(Lang::EnUs, "Bartholomew Longfellow", 12);
        assert_eq!((long.chars().count(), long.starts_with("12 new from Barth")), (20, true), "{long}");
    }

    #[test]
    fn text_is_shown_only_where_it_is_given() {
        let with = |text, count| News { text: Some(text), ..news("Bob", count) };
        let said = |news: &News<'_>| filled(FieldKind::Thing, &[Part::Summary], Lang::EnUs, news);
        assert_eq!(said(&with("hello\n there", 1)), "hello there");
        assert_eq!(said(&with("and a rather long answer", 3)), "[3] and a rather l..");
        assert_eq!(said(&with("\u{1F600}", 1)), "1 new from Bob");
    }

    /// Whatever somebody calls themself, each kind gets what it takes.
    #[test]
    fn no_name_breaks_a_field() {
        let names = [
            "",
            " ",
            "\u{0}\n",
            "\u{1F600}\u{FE0F}",
            "\u{202E}abc",
            "1234567890",
            "O'Neill the 3rd of somewhere far",
            "王五",
            "名字很长很长很长很长很长很长很长很长",
            "a\u{301}",
            "\u{FEFF}",
            "x".repeat(500).leak(),
        ];
        for name in names {
            for lang in [Lang::ZhCn, Lang::ZhHk, Lang::EnUs] {
                for pattern in [
                    vec![Part::Sender],
                    vec![Part::Summary],
                    vec![Part::Text("来自".into()), Part::Sender, Part::Count],
                ] {
                    let value = |kind| filled(kind, &pattern, lang, &news(name, 7));
                    let thing = value(FieldKind::Thing);
                    assert!(
                        (1..=20).contains(&thing.chars().count()) && thing.chars().all(is_plain),
                        "{thing:?}"
                    );
                    let short = value(FieldKind::Name);
                    assert!(
                        (1..=if short.is_ascii() { 20 } else { 10 }).contains(&short.chars().count()),
                        "{short:?}"
                    );
                    assert!(!short.chars().any(char::is_numeric), "{short:?}");
                    let phrase = value(FieldKind::Phrase);
                    assert!((1..=5).contains(&phrase.chars().count()), "{phrase:?}");
                    assert!(phrase.chars().all(is_han), "{phrase:?}");
                    let letters = value(FieldKind::Letter);
                    assert!(
                        (1..=32).contains(&letters.len()) && letters.bytes().all(|b| b.is_ascii_alphabetic()),
                        "{letters:?}"
                    );
                    let text = value(FieldKind::CharacterString);
                    assert!((1..=32).contains(&text.len()) && text.is_ascii(), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn numbers_and_times_are_as_wechat_writes_them() {
        assert_eq!(filled(FieldKind::Number, &[Part::Count], Lang::ZhCn, &news("x", 12_345)), "12345");
        let at = |sent_at, utc_offset| {
            filled(FieldKind::Time, &[Part::Time], Lang::ZhCn, &News { sent_at, utc_offset, ..news("x", 1) })
        };
        assert_eq!(at(0, 480), "1970年1月1日 08:00");
        assert_eq!(at(1_709_164_799_999, 0), "2024年2月28日 23:59");
        assert_eq!(at(1_709_164_800_000, 0), "2024年2月29日 00:00");
        assert_eq!(at(1_709_164_800_000, -1), "2024年2月28日 23:59");
        assert_eq!(at(4_107_542_399_000, 0), "2100年2月28日 23:59");
        assert_eq!(at(4_107_542_400_000, 0), "2100年3月1日 00:00");
    }

    #[test]
    fn the_page_names_the_peer() {
        assert_eq!(page("pages/chat/chat?peer={peer}", "o_A-1"), "pages/chat/chat?peer=o_A-1");
    }
}
