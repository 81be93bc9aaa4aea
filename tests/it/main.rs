//! The server as its users meet it: a real process on free ports, real sockets, real databases.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code, reason = "what these tests do not need, the proofs in tests/torture do")]
mod harness;

mod allowance;
mod cluster;
mod seed;
mod v1;
mod reserved;
mod receipts;
mod presence;
mod sync;
mod login;
mod http_api;
mod hosts;
mod admin;
mod operator_commands;
mod profiles;
mod safety;
mod web;
mod wechat;
mod wechat_tls;
mod hostile;
mod connections;
mod order;
mod floods;
mod output;
mod quotes;
mod reaper;
mod revocations;
mod descriptors;
mod lifecycle;
mod live_sessions;
mod store_trouble;
mod trace;
mod doctor;
mod status;
mod files;
mod notices;
mod pins;
mod metrics;
