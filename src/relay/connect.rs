//! Connection to NATS.

use std::time::Duration;

use async_nats::{ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;

use super::intervals::PROBE_TIMEOUT;

/// Commands that may wait for the connection: beyond it hints are dropped. Most are some hundred bytes, none
/// more than 20 KiB.
const COMMANDS: usize = 4_096;
/// Hints that may wait for the chat in one subscription: beyond it they are dropped, and the database is
/// asked.
const WAITING: usize = 1_024;

/// The servers of `relay.nats_url`, and what this node wants of them.
pub(super) fn to(nats_url: &str, node: &str) -> (Vec<ServerAddr>, ConnectOptions) {
    let (servers, options) = once_to(nats_url, node);
    (servers, options.retry_on_initial_connect())
}

/// The same for one try.
pub(super) fn once_to(nats_url: &str, node: &str) -> (Vec<ServerAddr>, ConnectOptions) {
    let servers: Vec<ServerAddr> = nats_url.split(',').filter_map(|url| url.parse().ok()).collect();
    let options =
        servers.iter().find_map(credentials).map_or_else(ConnectOptions::new, |(user, password)| {
            ConnectOptions::with_user_and_password(user, password)
        });
    let options = options
        .name(format!("hongyan {node}"))
        .skip_subject_validation(true)
        .ignore_discovered_servers()
        .connection_timeout(PROBE_TIMEOUT)
        .ping_interval(Duration::from_secs(10))
        .reconnect_delay_callback(|attempt| Duration::from_millis((attempt as u64 * 50).min(1_000)))
        .client_capacity(COMMANDS)
        .subscription_capacity(WAITING);
    (servers, options)
}

/// User and password of a URL, which async-nats passes over.
fn credentials(server: &ServerAddr) -> Option<(String, String)> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    Some((decoded(server.username()?), decoded(server.password().unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_may_hold_anything_by_its_escapes() {
        let of = |url: &str| credentials(&url.parse().unwrap());
        assert_eq!(
            of("nats://h%6Fng:p%40s%2Fs%25%E9%9B%81@nats:4222"),
            Some(("hong".to_owned(), "p@s/s%雁".to_owned()))
        );
        assert_eq!(of("nats://nats:4222"), None);
    }
}
