//! hongyan 鸿雁: instant messaging for WeChat mini-programs on one's own server.
//!
//! The rooms, in reading order. Who may know whom stands in docs/ARCHITECTURE.md and is held by a test.

pub mod auth;
pub mod chat;
pub mod config;
pub mod event;
pub mod ids;
pub mod lifecycle;
pub mod metrics;
pub mod protocol;
pub mod store;
pub mod wechat;
