//! Description of a setting: its name, its default, its bounds, and how a value gets into the settings.

use super::Config;
use super::keys::KEYS;
use super::value::{Value, Wrong};

/// One setting.
#[derive(Debug)]
pub struct Key {
    /// `section.key`
    pub name: &'static str,
    pub default: Default,
    /// What it is, for the docs.
    pub help: &'static str,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy)]
pub enum Default {
    /// As it would stand in the environment.
    Text(&'static str),
    /// As many as this machine has cores.
    Cores,
}

#[derive(Debug)]
pub(super) enum Kind {
    Number { min: u64, max: u64, put: fn(&mut Config, u64) },
    Switch { put: fn(&mut Config, bool) },
    Text { allowed: &'static str, shown: Shown, put: fn(&mut Config, &str) -> Result<(), Wrong> },
    List { allowed: &'static str, shown: Shown, put: fn(&mut Config, &[String]) -> Result<(), Wrong> },
}

/// How much of a value people may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    Whole,
    /// Of a URL, all but the password, or what stands there in its place.
    UrlWithoutCredentials,
    /// Of `id:secret`, the id.
    IdOnly,
    Nothing,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Number,
    Switch,
    Text,
    List,
}

impl Key {
    /// The key of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// `HONGYAN_SECTION__KEY`; with `_FILE` behind it, the variable that names a file with the value.
    pub fn environment(&self) -> String {
        format!("HONGYAN_{}", self.name.replace('.', "__").to_ascii_uppercase())
    }

    /// What is allowed, to be read after "must be".
    pub fn allowed(&self) -> String {
        match &self.kind {
            Kind::Number { min, max, .. } => format!("a whole number from {min} to {max}"),
            Kind::Switch { .. } => "true or false".to_owned(),
            Kind::Text { allowed, .. } | Kind::List { allowed, .. } => (*allowed).to_owned(),
        }
    }

    pub fn shape(&self) -> Shape {
        match self.kind {
            Kind::Number { .. } => Shape::Number,
            Kind::Switch { .. } => Shape::Switch,
            Kind::Text { .. } => Shape::Text,
            Kind::List { .. } => Shape::List,
        }
    }

    pub fn shown(&self) -> Shown {
        match self.kind {
            Kind::Number { .. } | Kind::Switch { .. } => Shown::Whole,
            Kind::Text { shown, .. } | Kind::List { shown, .. } => shown,
        }
    }

    pub fn default_value(&self) -> Value {
        match self.default {
            Default::Text(text) => Value::Text(text.to_owned()),
            Default::Cores => {
                Value::Text(std::thread::available_parallelism().map_or(1, usize::from).to_string())
            }
        }
    }

    /// Checks a value and writes it into the settings.
    pub fn put(&self, config: &mut Config, value: &Value) -> Result<(), Wrong> {
        match &self.kind {
            Kind::Number { min, max, put } => match value.number() {
                Some(number) if (*min..=*max).contains(&number) => {
                    put(config, number);
                    Ok(())
                }
                _ => Err(Wrong::default()),
            },
            Kind::Switch { put } => {
                put(config, value.switch().ok_or_else(Wrong::default)?);
                Ok(())
            }
            Kind::Text { put, .. } => match value {
                Value::Text(text) => put(config, text),
                Value::Integer(_) | Value::Boolean(_) | Value::List(_) | Value::Other(_) => {
                    Err(Wrong::because("not a text"))
                }
            },
            Kind::List { put, .. } => {
                put(config, &value.items().ok_or_else(|| Wrong::because("not a list of texts"))?)
            }
        }
    }
}

pub(super) const fn number(
    name: &'static str,
    default: &'static str,
    (min, max): (u64, u64),
    help: &'static str,
    put: fn(&mut Config, u64),
) -> Key {
    Key { name, default: Default::Text(default), help, kind: Kind::Number { min, max, put } }
}

pub(super) const fn text(
    name: &'static str,
    default: &'static str,
    allowed: &'static str,
    help: &'static str,
    put: fn(&mut Config, &str) -> Result<(), Wrong>,
) -> Key {
    Key {
        name,
        default: Default::Text(default),
        help,
        kind: Kind::Text { allowed, shown: Shown::Whole, put },
    }
}

pub(super) const fn list(
    name: &'static str,
    allowed: &'static str,
    help: &'static str,
    put: fn(&mut Config, &[String]) -> Result<(), Wrong>,
) -> Key {
    Key { name, default: Default::Text(""), help, kind: Kind::List { allowed, shown: Shown::Whole, put } }
}

impl Key {
    pub(super) const fn masked(self, shown: Shown) -> Self {
        let Self { name, default, help, kind } = self;
        let kind = match kind {
            Kind::Number { .. } | Kind::Switch { .. } => kind,
            Kind::Text { allowed, put, .. } => Kind::Text { allowed, shown, put },
            Kind::List { allowed, put, .. } => Kind::List { allowed, shown, put },
        };
        Self { name, default, help, kind }
    }
}
