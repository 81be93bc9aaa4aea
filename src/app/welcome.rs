//! Lines that `hongyan dev` prints once it is ready.

use std::net::SocketAddr;

use crate::config::dev::{ADMIN_FILE, FOLDER};

/// What a newcomer types next.
pub(super) fn text(
    at: &str,
    ops: Option<SocketAddr>,
    double: Option<SocketAddr>,
    admin: Option<&str>,
    in_browser: bool,
) -> String {
    let metrics = ops.map_or_else(String::new, |ops| {
        format!("\nWhat operators see: http://{ops}/metrics and http://{ops}/readyz\n")
    });
    let first = match at.strip_prefix("unix:") {
        Some(path) => on_socket(path),
        None if in_browser => format!("{}{}", in_browser_tabs(at), on_port(at, "Or type")),
        None => on_port(at, "Two people can talk now. Type"),
    };
    let wechat = double.map_or_else(String::new, |at| {
        format!("\nWhat WeChat was asked, and what phones would show: http://{at}/\n")
    });
    let admin = by_key(admin.unwrap_or(at));
    format!("\n{first}{wechat}{metrics}{admin}\nCtrl-C ends it. Messages stay in the database.\n")
}

/// The key itself is not shown: what is printed is kept in logs.
fn by_key(at: &str) -> String {
    let (socket, server) = match at.strip_prefix("unix:") {
        Some(path) => (format!("--unix-socket {path} "), "http://localhost".to_owned()),
        None => (String::new(), format!("http://{at}")),
    };
    let key = format!("{FOLDER}/{ADMIN_FILE}");
    format!(
        "\nWhat your own backend may do, with the key in {key} (or that of admin.keys):
  curl {socket}-H \"Authorization: Bearer $(cut -d: -f2 {key})\" {server}/admin/v1/users/alice
"
    )
}

fn in_browser_tabs(at: &str) -> String {
    format!(
        "Two people can talk now. Open two browser tabs, and be alice in one and bob in the other:

  http://{at}/

"
    )
}

fn on_port(at: &str, begin: &str) -> String {
    format!(
        "{begin} each line into a terminal of its own (websocat, or any WebSocket client):

  websocat 'ws://{at}/alice?to_user_openid=bob&code=dev:alice'
  websocat 'ws://{at}/bob?to_user_openid=alice&code=dev:bob'

and then, in either of them:

  {{\"type\":\"text\",\"message\":\"hello\"}}

What they missed: log in and ask.

  curl -d '{{\"code\":\"dev:alice\"}}' http://{at}/v1/login
  curl -H 'Authorization: Bearer TOKEN' http://{at}/v1/unread
"
    )
}

fn on_socket(path: &str) -> String {
    format!(
        "Two people can talk now, through a proxy before the Unix socket (deploy/nginx/hongyan.conf shows nginx). By hand:

  curl --unix-socket {path} -d '{{\"code\":\"dev:alice\"}}' http://localhost/v1/login
  curl --unix-socket {path} -H 'Authorization: Bearer TOKEN' http://localhost/v1/unread
"
    )
}
