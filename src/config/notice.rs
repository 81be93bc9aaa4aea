//! The settings of notices, parsed: what a notice says stands in the fields of a template that the operator
//! chose in WeChat's console.

use super::value::Wrong;

#[derive(Debug, Clone)]
pub struct Notice {
    /// The template of WeChat's that notices follow; `None`: no notices.
    pub template_id: Option<String>,
    pub fields: Vec<Field>,
    /// The page that a tap opens; `{peer}` stands for the sender.
    pub page: String,
    pub state: MiniProgramState,
    pub lang: Lang,
    /// How long a message may stay unread before a notice is thought of.
    pub delay_ms: u64,
    /// Conversations that wait for their time, on this node.
    pub pending: usize,
    /// Notices under way to WeChat, on this node.
    pub in_flight: usize,
    /// Whether a notice may show what a message says.
    pub show_text: bool,
    /// Whether a notice may tell of somebody to whom the user has never written.
    pub strangers: bool,
    /// For users who have not set their own.
    pub quiet: Option<Hours>,
    /// The clock of users who have not told theirs, in minutes east of UTC.
    pub utc_offset: i16,
}

/// A stretch of the day, in minutes from midnight; it may go over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    pub from_minute: u16,
    pub to_minute: u16,
}

/// One field of the template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// As WeChat's console shows it, such as `thing1`.
    pub name: String,
    pub kind: FieldKind,
    pub pattern: Vec<Part>,
}

/// WeChat's kinds of fields, as far as a value of ours fits them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    Thing,
    Name,
    Phrase,
    Number,
    Letter,
    CharacterString,
    /// `time` and `date` take the same text.
    Time,
}

/// A piece of what a field says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Text(String),
    Sender,
    Count,
    Time,
    Summary,
}

/// Which version of the mini-program a tap opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MiniProgramState {
    Developer,
    Trial,
    Formal,
}

/// The language that WeChat shows its own words in, and that ours are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lang {
    ZhCn,
    ZhHk,
    ZhTw,
    EnUs,
}

impl Notice {
    pub(super) fn blank() -> Self {
        Self {
            template_id: None,
            fields: Vec::new(),
            page: String::new(),
            state: MiniProgramState::Formal,
            lang: Lang::ZhCn,
            delay_ms: 0,
            pending: 0,
            in_flight: 0,
            show_text: false,
            strangers: false,
            quiet: None,
            utc_offset: 0,
        }
    }
}

impl MiniProgramState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Developer => "developer",
            Self::Trial => "trial",
            Self::Formal => "formal",
        }
    }
}

impl Lang {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ZhCn => "zh_CN",
            Self::ZhHk => "zh_HK",
            Self::ZhTw => "zh_TW",
            Self::EnUs => "en_US",
        }
    }
}

impl FieldKind {
    /// The kind stands in the field's name, before its number.
    fn of(name: &str) -> Option<Self> {
        let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let kind = match kind {
            "thing" => Self::Thing,
            "name" => Self::Name,
            "phrase" => Self::Phrase,
            "number" => Self::Number,
            "letter" => Self::Letter,
            "character_string" => Self::CharacterString,
            "time" | "date" => Self::Time,
            _ => return None,
        };
        name.ends_with(|c: char| c.is_ascii_digit()).then_some(kind)
    }

    /// Whether a value of this pattern can be one of this kind.
    fn takes(self, pattern: &[Part]) -> bool {
        match self {
            Self::Time => pattern == [Part::Time],
            Self::Number => pattern == [Part::Count],
            Self::Thing | Self::Name | Self::Phrase | Self::Letter | Self::CharacterString => {
                !pattern.is_empty()
            }
        }
    }
}

pub(super) fn template_id(text: &str) -> Result<Option<String>, Wrong> {
    let fits = text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if fits { Ok(Some(text.to_owned()).filter(|text| !text.is_empty())) } else { Err(Wrong::default()) }
}

/// `thing1={sender}`, each name once.
pub(super) fn fields(items: &[String]) -> Result<Vec<Field>, Wrong> {
    let mut fields: Vec<Field> = Vec::new();
    for item in items {
        let field = field(item).map_err(|why| Wrong::because(format!("{item:?} {why}")))?;
        if fields.iter().any(|other| other.name == field.name) {
            return Err(Wrong::because(format!("{:?} stands twice", field.name)));
        }
        fields.push(field);
    }
    Ok(fields)
}

fn field(item: &str) -> Result<Field, &'static str> {
    let (name, pattern) = item.split_once('=').ok_or("has no =")?;
    let kind = FieldKind::of(name).ok_or("is of no kind that a message has a value for")?;
    let pattern = parts(pattern)?;
    if !kind.takes(&pattern) {
        return Err(
            "has a value that its kind does not take: number takes {count}, time and date take {time}",
        );
    }
    Ok(Field { name: name.to_owned(), kind, pattern })
}

fn parts(text: &str) -> Result<Vec<Part>, &'static str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (before, behind) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        let Some(inside) = behind.strip_prefix('{') else { break };
        let (word, behind) = inside.split_once('}').ok_or("has a { without its }")?;
        parts.push(match word {
            "sender" => Part::Sender,
            "count" => Part::Count,
            "time" => Part::Time,
            "summary" => Part::Summary,
            _ => return Err("names something that is none of {sender}, {count}, {time}, {summary}"),
        });
        rest = behind;
    }
    Ok(parts)
}

/// A path inside the mini-program, without a slash before it.
pub(super) fn page(text: &str) -> Result<String, Wrong> {
    let fits = (1..=256).contains(&text.len())
        && !text.starts_with('/')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./?=&{}%".contains(&b))
        && !text.replace("{peer}", "").contains(['{', '}']);
    if fits { Ok(text.to_owned()) } else { Err(Wrong::default()) }
}

pub(super) fn state(text: &str) -> Result<MiniProgramState, Wrong> {
    let all = [MiniProgramState::Developer, MiniProgramState::Trial, MiniProgramState::Formal];
    all.into_iter().find(|state| state.as_str() == text).ok_or_else(Wrong::default)
}

pub(super) fn lang(text: &str) -> Result<Lang, Wrong> {
    [Lang::ZhCn, Lang::ZhHk, Lang::ZhTw, Lang::EnUs]
        .into_iter()
        .find(|lang| lang.as_str() == text)
        .ok_or_else(Wrong::default)
}

/// `22:00-08:00`; empty: none.
pub(super) fn hours(text: &str) -> Result<Option<Hours>, Wrong> {
    if text.is_empty() {
        return Ok(None);
    }
    let (from, to) = text.split_once('-').ok_or_else(Wrong::default)?;
    match (minute(from), minute(to)) {
        (Some(from_minute), Some(to_minute)) if from_minute != to_minute => {
            Ok(Some(Hours { from_minute, to_minute }))
        }
        _ => Err(Wrong::default()),
    }
}

/// `08:00`, in minutes from midnight.
pub fn minute(text: &str) -> Option<u16> {
    let number = |text: &str, below: u16| {
        let fits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|number| fits && *number < below)
    };
    let (hour, minute) = text.split_once(':')?;
    Some(number(hour, 24)? * 60 + number(minute, 60)?)
}

/// `+08:00`.
pub(super) fn utc_offset(text: &str) -> Result<i16, Wrong> {
    let (sign, clock) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(clock), _) => (1, clock),
        (_, Some(clock)) => (-1, clock),
        _ => return Err(Wrong::default()),
    };
    let minutes = minute(clock)
        .and_then(|minutes| i16::try_from(minutes).ok())
        .filter(|minutes| *minutes <= if sign > 0 { 14 } else { 12 } * 60);
    minutes.map(|minutes| sign * minutes).ok_or_else(Wrong::default)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(item: &str) -> Result<Field, Wrong> {
        fields(&[item.to_owned()]).map(|mut fields| fields.remove(0))
    }

    #[test]
    fn fields_are_read_with_what_they_say() {
        let field = one("thing12={sender}: {count} new").unwrap();
        assert_eq!((field.name.as_str(), field.kind), ("thing12", FieldKind::Thing));
        assert_eq!(
            field.pattern,
            [Part::Sender, Part::Text(": ".into()), Part::Count, Part::Text(" new".into())]
        );
        assert_eq!(one("date3={time}").unwrap().kind, FieldKind::Time);
        assert_eq!(one("thing1=a=b").unwrap().pattern, [Part::Text("a=b".into())]);
        for bad in [
            "thing1",
            "thing={sender}",
            "amount1={count}",
            "thing1={text}",
            "thing1={sender",
            "thing1=",
            "time1=at {time}",
            "number1={sender}",
        ] {
            assert!(one(bad).is_err(), "{bad}");
        }
        assert!(fields(&["thing1={sender}".into(), "thing1={count}".into()]).is_err());
    }

    #[test]
    fn clocks_are_read() {
        assert_eq!(hours("22:00-08:30").unwrap(), Some(Hours { from_minute: 1320, to_minute: 510 }));
        assert_eq!(hours("").unwrap(), None);
        for bad in ["22-8", "22:00", "24:00-08:00", "08:00-08:00", "2:00-08:00", "+1:00-08:00", "22:60-08:00"]
        {
            assert!(hours(bad).is_err(), "{bad}");
        }
        assert_eq!(["+08:00", "-03:30", "+00:00"].map(|text| utc_offset(text).unwrap()), [480, -210, 0]);
        for bad in ["08:00", "+8", "+15:00", "-13:00", ""] {
            assert!(utc_offset(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_page_stays_inside_the_mini_program() {
        assert!(page("pages/chat/chat?peer={peer}").is_ok());
        for bad in ["", "/pages/chat", "pages/{openid}", "https://x", "a b", "{peer", "a\nb"] {
            assert!(page(bad).is_err(), "{bad}");
        }
    }
}
