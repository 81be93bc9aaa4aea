//! TLS to PostgreSQL: what a URL asks for, and whether this build has it.

use std::ffi::OsString;

use percent_encoding::percent_decode_str;

/// Whether libpq is built with TLS.
pub const HAS_POSTGRES_TLS: bool = cfg!(feature = "postgres-tls");

/// What turns the URL's connections into encrypted ones, or leaves them open.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Nothing but TLS will do, because of this: `sslmode=require`, or `PGSSLMODE=require`.
    Always(String),
    /// libpq's default, `prefer`: TLS where the server has it.
    WherePossible,
    Never,
}

/// Parameters that ask for TLS or for something that only TLS has, the variable that stands in for each, and
/// the values that do.
const DEMANDS: [(&str, &str, &[&str]); 5] = [
    ("sslmode", "PGSSLMODE", &["require", "verify-ca", "verify-full"]),
    // JDBC's word, which libpq takes for sslmode=require.
    ("ssl", "", &["true"]),
    ("sslnegotiation", "PGSSLNEGOTIATION", &["direct"]),
    ("channel_binding", "PGCHANNELBINDING", &["require"]),
    // Makes sslmode=verify-full the default.
    ("sslrootcert", "PGSSLROOTCERT", &["system"]),
];

/// What a URL and the variables of libpq ask for together. A service file (`PGSERVICE`) is not read.
pub(super) fn wanted(url: &str, environment: &[(OsString, OsString)]) -> Wanted {
    let variable = |name: &str| {
        let (_, value) = environment.iter().find(|(known, _)| !name.is_empty() && known == name)?;
        value.to_str().filter(|value| !value.is_empty())
    };
    let value = |parameter: &str, name: &str| match last(url, parameter) {
        Some(value) => Some((format!("{parameter}={value}"), value)),
        None => variable(name).map(|value| (format!("{name}={value}"), value.to_owned())),
    };
    for (parameter, name, values) in DEMANDS {
        if let Some((given, value)) = value(parameter, name)
            && values.contains(&value.as_str())
        {
            return Wanted::Always(given);
        }
    }
    match value("sslmode", "PGSSLMODE") {
        Some((_, mode)) if mode == "disable" => Wanted::Never,
        _ if is_local(url) => Wanted::Never,
        _ => Wanted::WherePossible,
    }
}

/// The value that counts where a parameter stands more than once, as libpq reads it (PostgreSQL, "Connection
/// URIs").
fn last(url: &str, parameter: &str) -> Option<String> {
    let (_, parameters) = url.split_once('?')?;
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let mut pairs = parameters.split('&').filter_map(|pair| pair.split_once('='));
    pairs.rfind(|(name, _)| decoded(name) == parameter).map(|(_, value)| decoded(value))
}

/// Whether all hosts are this machine: Unix sockets, which never have TLS, and loopback.
fn is_local(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    let named = last(url, "hostaddr").or_else(|| last(url, "host"));
    let hosts = named.unwrap_or_else(|| percent_decode_str(hosts).decode_utf8_lossy().into_owned());
    hosts.split(',').all(|host| {
        let name = match host.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or_default(),
            None if host.matches(':').count() > 1 => host,
            None => host.split(':').next().unwrap_or_default(),
        };
        let is_loopback = name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        name.is_empty() || name.starts_with(['/', '@']) || name == "localhost" || is_loopback
    })
}

/// What a build without TLS says of a URL that asks for it.
pub(super) fn refusal(given: &str) -> String {
    format!(
        "{given} asks for TLS, and this hongyan is built without TLS to PostgreSQL: \
         build it with --features postgres-tls, as the image and `cargo build --profile dist` of docs/OPERATIONS.md are"
    )
}

pub(super) const OPEN: &str = "database.url: this hongyan is built without TLS to PostgreSQL, so passwords and messages go to another machine in the clear: build it with --features postgres-tls, or say sslmode=disable where the network between is your own";

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(url: &str, variables: &[(&str, &str)]) -> Wanted {
        let environment: Vec<_> =
            variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
        wanted(url, &environment)
    }

    #[test]
    fn whatever_only_tls_can_give_asks_for_it() {
        let always = |text: &str| Wanted::Always(text.to_owned());
        for (url, given) in [
            ("postgres://db/im?sslmode=require", "sslmode=require"),
            ("postgres://db/im?sslmode=verify-ca&sslrootcert=/ca", "sslmode=verify-ca"),
            ("postgresql://u:p%3F@db/im?connect_timeout=3&sslmode=verify-full", "sslmode=verify-full"),
            ("postgres://db/im?sslmode=disable&ssl%6Dode=verify%2Dfull", "sslmode=verify-full"),
            ("postgres://127.0.0.1/im?sslmode=require", "sslmode=require"),
            ("postgres://db?ssl=true", "ssl=true"),
            ("postgres://db/im?sslnegotiation=direct", "sslnegotiation=direct"),
            ("postgres://db/im?channel_binding=require", "channel_binding=require"),
            ("postgres://db/im?sslrootcert=system", "sslrootcert=system"),
        ] {
            assert_eq!(asked(url, &[]), always(given), "{url}");
        }
        assert_eq!(
            asked("postgres://db/im", &[("PGSSLMODE", "verify-full")]),
            always("PGSSLMODE=verify-full")
        );
        assert_eq!(
            asked("postgres://db/im?sslmode=disable", &[("PGSSLMODE", "verify-full")]),
            Wanted::Never,
            "the URL has the last word"
        );
        assert_eq!(asked("postgres://db/im", &[("PGSSLMODE", "")]), Wanted::WherePossible);
    }

    #[test]
    fn without_a_word_tls_is_a_matter_of_where_the_database_is() {
        for url in [
            "postgres:///im",
            "postgres://%2Frun%2Fpostgresql/im",
            "postgres:///im?host=/run/postgresql",
            "postgres://u:p@127.0.0.1:5432/im",
            "postgres://u@[::1]:5432/im",
            "postgres://localhost,127.0.0.1:5433/im",
            "postgres://db/im?sslmode=disable",
        ] {
            assert_eq!(asked(url, &[]), Wanted::Never, "{url}");
        }
        for url in [
            "postgres://db/im",
            "postgres://db?sslmode=prefer",
            "postgres://localhost,db/im?sslmode=allow",
            "postgres://[2001:db8::1]:5432/im",
            "postgres:///im?host=db",
            "postgres://localhost/im?hostaddr=192.0.2.1",
        ] {
            assert_eq!(asked(url, &[]), Wanted::WherePossible, "{url}");
        }
    }
}
