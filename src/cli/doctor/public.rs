//! The public name as clients meet it: its certificate, and whether the server knows the proxy before it.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::report::Finding;
use crate::certificate::{self, Shown};
use crate::cli::healthcheck;
use crate::config::{Config, Listen, PublicUrl};
use crate::ids::{HttpRequestId, now_ms};
use crate::node::SeenRequest;
use crate::wechat::system_roots;

/// Maximum time of one request, connection and handshake included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(8);
/// Requests until one comes to this node: a proxy spreads them over all.
const TRIES: usize = 12;
/// A certificate that ends sooner should have been renewed; certbot does so 30 days before.
const CERTIFICATE_WARN_DAYS: i64 = 21;
const CERTIFICATE_FAIL_DAYS: i64 = 3;
/// Of the answer, so much is read.
const ANSWER_BYTES: usize = 8 * 1024;

const DAY_MS: i64 = 86_400_000;

/// What a client meets there.
struct Met {
    status: String,
    request_id: Option<HttpRequestId>,
    /// Why a client would not trust the certificate.
    distrust: Option<String>,
    /// Unix seconds at which the certificate ends, or the one of its chain that ends first.
    ends_at: Option<i64>,
}

/// `can_be_asked`: whether the server's operators' port answers.
pub(super) async fn check(public: Option<&PublicUrl>, config: &Config, can_be_asked: bool) -> Vec<Finding> {
    let Some(url) = public else {
        let why = "not looked at: name it in server.public_url, or with --public https://HOST";
        return vec![Finding::skip("certificate", why), Finding::skip("proxies", why)];
    };
    let at = format!("{}:{}", url.host, url.port);
    let met = match ask(url).await {
        Ok(met) => met,
        Err(why) => {
            let advice = "check the name's address (DNS), the firewall, and that nginx listens there with TLS (nginx -t, ss -ltn)";
            return vec![
                Finding::fail("certificate", format!("{at} is not reached: {why}"), advice),
                Finding::skip("proxies", "the public name is not reached"),
            ];
        }
    };
    let certificate = certificate(&at, &met);
    vec![certificate, proxies(url, met, config, can_be_asked).await]
}

fn certificate(at: &str, met: &Met) -> Finding {
    const CHECK: &str = "certificate";
    let renew = "renew it and have nginx load it (certbot renew, nginx -s reload)";
    let days = met.ends_at.map(|ends| (ends * 1_000 - now_ms()).div_euclid(DAY_MS));
    let left = days
        .map(|days| if days < 0 { format!("ended {} days ago", -days) } else { format!("{days} days left") });
    if let Some(distrust) = &met.distrust {
        let left = left.map(|left| format!(" ({left})")).unwrap_or_default();
        let advice = "clients refuse it: it must be for this name, from a public issuer, with the whole chain (fullchain.pem), and not have ended";
        return Finding::fail(CHECK, format!("{at} shows one that is not trusted: {distrust}{left}"), advice);
    }
    let found = format!(
        "{at} shows one that is trusted, {}",
        left.unwrap_or_else(|| "of an end that cannot be read".to_owned())
    );
    match days {
        Some(days) if days < CERTIFICATE_FAIL_DAYS => Finding::fail(CHECK, found, renew),
        Some(days) if days < CERTIFICATE_WARN_DAYS => Finding::warn(CHECK, found, renew),
        _ => Finding::ok(CHECK, found),
    }
}

/// Whether this node knows who stands before it: it is asked how the request came to it.
async fn proxies(url: &PublicUrl, first: Met, config: &Config, can_be_asked: bool) -> Finding {
    const CHECK: &str = "proxies";
    let Some(ops) = config.ops.listen.filter(|_| can_be_asked) else {
        return Finding::skip(
            CHECK,
            "how a request comes here is known to the server alone, whose operators' port does not answer",
        );
    };
    let mut met = first;
    for _ in 0..TRIES {
        let Some(id) = &met.request_id else {
            let advice = "let the proxy lead this name to hongyan (deploy/nginx/hongyan.conf), and pass its answers' X-Request-Id on";
            return Finding::fail(
                CHECK,
                format!("{} answers {}, and not as hongyan does", url.host, met.status),
                advice,
            );
        };
        let path = format!("/status/requests/{}", id.as_str());
        let asked =
            actix_web::rt::task::spawn_blocking(move || healthcheck::exchange(&Listen::Tcp(ops), &path))
                .await;
        if let Ok(Ok(answer)) = asked
            && let Some((head, body)) = answer.split_once("\r\n\r\n")
            && head.starts_with("HTTP/1.1 200 ")
            && let Ok(seen) = serde_json::from_str::<SeenRequest>(body)
        {
            return of_request(&seen);
        }
        // It went to another node.
        met = match ask(url).await {
            Ok(met) => met,
            Err(why) => {
                return Finding::warn(
                    CHECK,
                    format!("{} was reached once, and then not: {why}", url.host),
                    "try again",
                );
            }
        };
    }
    let advice =
        "run this on the node that the proxy leads to, or compare server.trusted_proxies there yourself";
    Finding::warn(CHECK, format!("of {TRIES} requests to {} none came to this node", url.host), advice)
}

fn of_request(seen: &SeenRequest) -> Finding {
    const CHECK: &str = "proxies";
    let SeenRequest { peer, is_trusted, forwarded_for, client } = seen;
    let peer = peer.as_deref().unwrap_or("a Unix socket");
    match (is_trusted, forwarded_for) {
        (false, Some(forwarded)) => {
            let advice = format!(
                "add {peer} to server.trusted_proxies; until then all clients count as one, and its limits hold for all of them"
            );
            Finding::fail(
                CHECK,
                format!("the proxy at {peer} names its client ({forwarded}) and is not trusted"),
                advice,
            )
        }
        (true, None) => {
            let advice = "set proxy_set_header X-Forwarded-For $remote_addr (deploy/nginx/hongyan.conf); until then all clients count as one";
            Finding::fail(CHECK, format!("the proxy at {peer} does not name its client"), advice)
        }
        (true, Some(_)) => {
            Finding::ok(CHECK, format!("the proxy at {peer} is trusted, and this request came from {client}"))
        }
        (false, None) => Finding::ok(CHECK, format!("no proxy: this request came straight from {client}")),
    }
}

async fn ask(url: &PublicUrl) -> Result<Met, String> {
    timeout(REQUEST_TIMEOUT, request(url))
        .await
        .map_err(|_| format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()))?
}

async fn request(url: &PublicUrl) -> Result<Met, String> {
    let told = |error: &dyn std::error::Error| error.to_string();
    let shown = certificate::connect(url, Some(system_roots())).await.map_err(|error| told(&error))?;
    let Shown { mut session, ends_at, distrust } = shown;
    let host = if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.clone() };
    let host = if url.port == 443 { host } else { format!("{host}:{}", url.port) };
    let asked = format!(
        "GET /healthz HTTP/1.1\r\nHost: {host}\r\nUser-Agent: hongyan-doctor\r\nConnection: close\r\n\r\n"
    );
    session.write_all(asked.as_bytes()).await.map_err(|error| told(&error))?;
    let mut answer = Vec::new();
    // Some end without TLS's own farewell: the head is what counts.
    while answer.len() < ANSWER_BYTES && !answer.windows(4).any(|four| four == b"\r\n\r\n") {
        match session.read_buf(&mut answer).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    let head = String::from_utf8_lossy(&answer).into_owned();
    let status = head.lines().next().unwrap_or("nothing").to_owned();
    Ok(Met { request_id: request_id(&head), status, distrust, ends_at })
}

fn request_id(head: &str) -> Option<HttpRequestId> {
    let headers =
        head.lines().skip(1).take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(':'));
    let mut ids =
        headers.filter(|(name, _)| name.eq_ignore_ascii_case("x-request-id")).map(|(_, value)| value.trim());
    ids.next().and_then(|id| HttpRequestId::parse(id).ok())
}

#[cfg(test)]
mod tests {
    use super::super::report::Grade;
    use super::*;

    #[test]
    fn a_proxy_is_known_and_names_its_client_or_it_is_told() {
        let of = |is_trusted, forwarded_for: Option<&str>| {
            let forwarded_for = forwarded_for.map(str::to_owned);
            of_request(&SeenRequest {
                peer: Some("10.0.0.5".into()),
                is_trusted,
                forwarded_for,
                client: "192.0.2.7".into(),
            })
        };
        let untrusted = of(false, Some("192.0.2.7"));
        assert!(
            untrusted.grade == Grade::Fail
                && untrusted.advice.unwrap().contains("add 10.0.0.5 to server.trusted_proxies")
        );
        assert_eq!(
            [of(true, None), of(true, Some("192.0.2.7")), of(false, None)].map(|f| f.grade),
            [Grade::Fail, Grade::Ok, Grade::Ok]
        );
    }

    #[test]
    fn a_certificate_is_told_by_the_days_that_are_left() {
        let of = |days: i64, distrust: Option<&str>| {
            let met = Met {
                status: String::new(),
                request_id: None,
                distrust: distrust.map(str::to_owned),
                ends_at: Some((now_ms() + days * DAY_MS) / 1_000 + 1),
            };
            let finding = certificate("a:443", &met);
            (finding.grade, finding.found)
        };
        assert_eq!([of(60, None).0, of(10, None).0, of(1, None).0], [Grade::Ok, Grade::Warn, Grade::Fail]);
        let ended = of(-4, Some("certificate expired"));
        assert!(ended.0 == Grade::Fail && ended.1.contains("ended 4 days ago"), "{}", ended.1);
    }
}
