//! hongyan 鸿雁: instant messaging for WeChat mini-programs on one's own server.
//!
//! The modules, in reading order. Which dependencies are allowed stands in docs/ARCHITECTURE.md and is held
//! by a test.

#![deny(clippy::disallowed_types)]

pub mod cli;
pub mod app;
pub mod config;
pub mod files;
pub mod node;
pub mod ids;
pub mod protocol;
pub mod event;
pub mod limits;
pub mod profile;
pub mod session;
pub mod chat;
pub mod store;
pub mod jobs;
pub mod wechat;
pub mod notice;
pub mod safety;
pub mod auth;
pub mod relay;
pub mod http;
pub mod version;
pub mod lifecycle;
pub mod outage;
pub mod clock;
pub mod backoff;
pub mod gcra;
pub mod trace;
pub mod metrics;
pub mod certificate;
pub mod logging;
