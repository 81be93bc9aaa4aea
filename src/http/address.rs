//! Address that a request comes from, as far as it can be believed.

use std::net::{IpAddr, SocketAddr};

use actix_web::dev::RequestHead;
use actix_web::http::header::HeaderMap;

use crate::config::{Listen, Server};
use crate::limits::ClientAddress;

impl ClientAddress {
    /// The client's address: the peer's own, unless the peer is a trusted proxy (`server.trusted_proxies`, or
    /// anyone on the Unix socket). Then it is the right-most entry of `X-Forwarded-For` that is no trusted
    /// proxy itself: what stands left of it, its author wrote. An entry that is no address ends the search,
    /// and the last hop before it counts.
    pub fn of(request: &RequestHead, server: &Server) -> Self {
        let peer = request.peer_addr.map(|a| a.ip());
        // Only where the server listens on a Unix socket does "no peer address" mean a proxy: a TCP peer that
        // is already gone has none either.
        let on_socket = matches!(server.listen, Listen::Unix(_));
        Self::believe(peer, on_socket, &request.headers, server)
    }

    fn believe(peer: Option<IpAddr>, on_socket: bool, headers: &HeaderMap, server: &Server) -> Self {
        let trusted = |ip: IpAddr| server.trusted_proxies.iter().any(|net| net.contains(&ip));
        let mut last = peer.map(|ip| ip.to_canonical());
        match last {
            Some(ip) if !trusted(ip) => return Self::from(ip),
            None if !on_socket => return Self::Socket,
            _ => {}
        }
        // Several header lines are one list, in their order (RFC 9110 §5.3).
        let lines: Vec<_> = headers.get_all("x-forwarded-for").collect();
        for line in lines.into_iter().rev() {
            let Ok(line) = line.to_str() else { break };
            for entry in line.rsplit(',') {
                let Some(ip) = parse(entry.trim()) else { return last.map_or(Self::Socket, Self::from) };
                if !trusted(ip) {
                    return Self::from(ip);
                }
                last = Some(ip);
            }
        }
        last.map_or(Self::Socket, Self::from)
    }
}

/// One entry of `X-Forwarded-For`: an address, by some proxies with a port, by some in brackets.
fn parse(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|e| e.strip_suffix(']')).unwrap_or(entry);
    let ip = bare.parse().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|a| a.ip()))?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn server(listen: Listen, trusted: &[&str]) -> Server {
        let transport = crate::config::Transport::Takeover;
        Server {
            node: String::new(),
            listen,
            workers: 1,
            transport,
            trusted_proxies: trusted.iter().map(|n| n.parse().unwrap()).collect(),
            allowed_origins: Vec::new(),
            public_url: None,
        }
    }

    fn of(server: &Server, peer: Option<&str>, forwarded: &[&str]) -> ClientAddress {
        let mut request = TestRequest::default();
        if let Some(peer) = peer {
            request = request.peer_addr(SocketAddr::new(peer.parse().unwrap(), 9));
        }
        for line in forwarded {
            request = request.append_header(("X-Forwarded-For", *line));
        }
        ClientAddress::of(request.to_http_request().head(), server)
    }

    fn ip(text: &str) -> ClientAddress {
        ClientAddress::from(text.parse::<IpAddr>().unwrap())
    }

    fn tcp(trusted: &[&str]) -> Server {
        server(Listen::Tcp("127.0.0.1:1".parse().unwrap()), trusted)
    }

    #[test]
    fn a_stranger_cannot_choose_its_address() {
        assert_eq!(of(&tcp(&[]), Some("192.0.2.1"), &["198.51.100.9"]), ip("192.0.2.1"));
        assert_eq!(of(&tcp(&["10.0.0.0/8"]), Some("192.0.2.1"), &["198.51.100.9"]), ip("192.0.2.1"));
        assert_eq!(of(&tcp(&["10.0.0.0/8"]), None, &["198.51.100.9"]), ClientAddress::Socket);
    }

    #[test]
    fn behind_trusted_proxies_the_right_most_stranger_counts() {
        let server = tcp(&["10.0.0.0/8", "fd00::/8"]);
        assert_eq!(of(&server, Some("10.1.1.1"), &["6.6.6.6, 192.0.2.7, 10.2.2.2"]), ip("192.0.2.7"));
        assert_eq!(of(&server, Some("10.1.1.1"), &["6.6.6.6", "192.0.2.7", "10.2.2.2"]), ip("192.0.2.7"));
        assert_eq!(of(&server, Some("::ffff:10.1.1.1"), &["192.0.2.7:4711"]), ip("192.0.2.7"));
        assert_eq!(of(&server, Some("fd00::1"), &["[2001:db8::5]:80"]), ip("2001:db8::5"));
        assert_eq!(
            of(&server, Some("10.1.1.1"), &["10.3.3.3, 10.2.2.2"]),
            ip("10.3.3.3"),
            "nobody but proxies: the outermost"
        );
        assert_eq!(of(&server, Some("10.1.1.1"), &[]), ip("10.1.1.1"));
    }

    #[test]
    fn garbage_ends_the_search_at_the_last_believable_hop() {
        let server = tcp(&["10.0.0.0/8"]);
        for garbage in ["unknown", "6.6.6.6, nonsense", "", "1.2.3.4,", "[::1", "é"] {
            assert_eq!(of(&server, Some("10.1.1.1"), &[garbage]), ip("10.1.1.1"), "{garbage:?}");
        }
        assert_eq!(of(&server, Some("10.1.1.1"), &["6.6.6.6, ?, 10.2.2.2"]), ip("10.2.2.2"));
    }

    #[test]
    fn a_peer_on_the_unix_socket_is_trusted() {
        let server = server(Listen::Unix("/run/hongyan.sock".into()), &[]);
        assert_eq!(of(&server, None, &["6.6.6.6, 192.0.2.7"]), ip("192.0.2.7"));
        assert_eq!(of(&server, None, &[]), ClientAddress::Socket);
        assert_eq!(of(&server, None, &["rubbish"]), ClientAddress::Socket);
    }
}
