//! Under which names a port may be asked, and by which pages.
//!
//! A page whose name is made to resolve to this machine (DNS rebinding) is of the same origin for the browser
//! as the port that it asks. What it cannot choose is the name in `Host`. So a port that asks nobody who they
//! are takes its own names only: IP addresses, which nobody can make resolve elsewhere, `localhost` (RFC 6761
//! §6.3), and what the settings name.

use std::net::IpAddr;

/// Names besides IP addresses and `localhost`, in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedHosts(Vec<String>);

/// Which pages may ask.
#[derive(Debug, Clone, Copy)]
pub enum Pages<'a> {
    /// Only those of the port itself.
    Own,
    /// Those of this machine, of WeChat's developer tools, and these.
    OfThisMachine(&'a [String]),
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForeignRequest {
    #[error(
        "this port is not asked by this name: use its IP address or localhost, or add the name to ops.allowed_hosts (hongyan fake-wechat: --allowed-host)"
    )]
    Host,
    #[error(
        "pages of this origin may not ask: add it to server.allowed_origins (for the public port of hongyan dev; others take no pages but their own)"
    )]
    Origin,
}

/// The pages of a simulator in WeChat's developer tools.
const DEVELOPER_TOOLS: &str = "https://servicewechat.com";

impl AllowedHosts {
    /// # Errors
    /// The first that is no host name, or has a port.
    pub fn new(names: &[String]) -> Result<Self, String> {
        let fits = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        };
        match names.iter().find(|name| !fits(name)) {
            Some(odd) => Err(odd.clone()),
            None => Ok(Self(names.iter().map(|name| name.to_ascii_lowercase()).collect())),
        }
    }

    /// Judges a request by each `Host` that it names, in its header or its target, and by its `Origin`.
    ///
    /// # Errors
    /// [`ForeignRequest`].
    pub fn judge<'a>(
        &self,
        hosts: impl IntoIterator<Item = &'a str>,
        origin: Option<&str>,
        pages: Pages,
    ) -> Result<(), ForeignRequest> {
        let mut own = None;
        for host in hosts {
            if !self.has(host) || own.is_some_and(|other| other != host) {
                return Err(ForeignRequest::Host);
            }
            own = Some(host);
        }
        let Some(origin) = origin else { return Ok(()) };
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        let may_ask = match pages {
            Pages::Own => {
                authority.is_some_and(|authority| own.is_some_and(|own| own.eq_ignore_ascii_case(authority)))
            }
            Pages::OfThisMachine(allowed) => {
                let is_named =
                    || allowed.iter().any(|one| one.trim_end_matches('/').eq_ignore_ascii_case(origin));
                authority.is_some_and(is_of_this_machine) || origin == DEVELOPER_TOOLS || is_named()
            }
        };
        if may_ask { Ok(()) } else { Err(ForeignRequest::Origin) }
    }

    fn has(&self, host: &str) -> bool {
        let name = name(host);
        name.parse::<IpAddr>().is_ok()
            || is_localhost(name)
            || self.0.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

fn is_of_this_machine(authority: &str) -> bool {
    let name = name(authority);
    is_localhost(name) || name.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

fn is_localhost(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    last.eq_ignore_ascii_case("localhost")
}

/// A host without its port, its brackets and the dot at its end.
fn name(host: &str) -> &str {
    if let Some((v6, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return v6;
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(host: &str) -> Result<(), ForeignRequest> {
        AllowedHosts::new(&["Ops.internal".into(), "hongyan".into()]).unwrap().judge([host], None, Pages::Own)
    }

    #[test]
    fn a_port_has_its_own_names_only() {
        for own in [
            "127.0.0.1:9990",
            "10.244.3.7:9990",
            "[fd00::7]:9990",
            "[::1]",
            "localhost:1",
            "a.localhost",
            "OPS.internal:9990",
            "hongyan.",
        ] {
            assert_eq!(host(own), Ok(()), "{own}");
        }
        for foreign in [
            "evil.example:9990",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "xlocalhost",
            "",
            "0x7f000001",
            "hongyan.evil",
            "[evil]",
        ] {
            assert_eq!(host(foreign), Err(ForeignRequest::Host), "{foreign}");
        }
        let hosts = AllowedHosts::default();
        assert_eq!(hosts.judge([], None, Pages::Own), Ok(()), "HTTP/1.0 names none");
        assert_eq!(hosts.judge(["127.0.0.1", "evil.example"], None, Pages::Own), Err(ForeignRequest::Host));
        assert_eq!(
            hosts.judge(["127.0.0.1", "127.0.0.2"], None, Pages::Own),
            Err(ForeignRequest::Host),
            "they must agree"
        );
    }

    #[test]
    fn only_a_ports_own_pages_ask_it() {
        let ask = |origin: &str| AllowedHosts::default().judge(["127.0.0.1:9990"], Some(origin), Pages::Own);
        assert_eq!(ask("http://127.0.0.1:9990"), Ok(()));
        for foreign in ["http://127.0.0.1:9999", "https://evil.example", "null", "http://localhost:9990"] {
            assert_eq!(ask(foreign), Err(ForeignRequest::Origin), "{foreign}");
        }
    }

    #[test]
    fn dev_takes_pages_of_this_machine_and_those_that_are_named() {
        let named = ["https://chat.example.com".to_owned(), "null".to_owned()];
        let ask = |origin: &str, named: &[String]| {
            AllowedHosts::default().judge(["localhost"], Some(origin), Pages::OfThisMachine(named))
        };
        for own in [
            "http://127.0.0.1:5173",
            "http://localhost:9999",
            "http://[::1]:8000",
            "https://servicewechat.com",
        ] {
            assert_eq!(ask(own, &[]), Ok(()), "{own}");
        }
        for foreign in [
            "https://evil.example",
            "http://10.0.0.1",
            "null",
            "http://localhost.evil.example",
            "https://chat.example.com",
        ] {
            assert_eq!(ask(foreign, &[]), Err(ForeignRequest::Origin), "{foreign}");
        }
        assert!(named.iter().all(|origin| ask(origin, &named).is_ok()));
    }

    #[test]
    fn a_name_has_neither_port_nor_scheme() {
        for odd in ["http://ops", "ops:9990", "", "*.ops", "ops/"] {
            assert_eq!(AllowedHosts::new(&[odd.into()]), Err(odd.to_owned()));
        }
    }
}
