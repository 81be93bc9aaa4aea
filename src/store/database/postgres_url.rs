//! A PostgreSQL URL as libpq reads it, before anybody is asked: what is wrong with it is known without the
//! network.

use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::ptr;

use crate::files::{Need, access};
use crate::store::database::conn;
use crate::store::database::error::OpenError;

/// Values that libpq takes, and refuses others only once it connects.
const WORDS: [(&str, &[&str]); 3] = [
    ("sslmode", &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]),
    ("target_session_attrs", &["any", "read-write", "read-only", "primary", "standby", "prefer-standby"]),
    ("channel_binding", &["disable", "prefer", "require"]),
];
const NUMBERS: [&str; 5] =
    ["connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"];
/// Files that must be there where they are named.
const FILES: [&str; 3] = ["sslrootcert", "sslcert", "sslkey"];

/// Looks at a URL by libpq's own parser: its parameters, its hosts and their ports, the files that it names.
///
/// # Errors
/// [`OpenError::Url`]; it never shows a password.
pub(in crate::store) fn check(url: &str) -> Result<(), OpenError> {
    let wrong = |what: String| OpenError::Url { what };
    let options = parse(url).map_err(|what| wrong(conn::without_secrets(&what, url)))?;
    let value = |name: &str| {
        options
            .iter()
            .find(|(keyword, _)| keyword == name)
            .map(|(_, value)| value.as_str())
            .filter(|v| !v.is_empty())
    };
    let hosts = value("host").map_or(1, |hosts| hosts.split(',').count());
    if let Some(ports) = value("port") {
        let ports: Vec<&str> = ports.split(',').collect();
        if ports.len() != 1 && ports.len() != hosts {
            return Err(wrong(format!(
                "it names {hosts} hosts and {} ports: one for each, or one for all",
                ports.len()
            )));
        }
        // An empty one is the default.
        if !ports.iter().all(|port| port.is_empty() || port.parse::<u16>().is_ok_and(|port| port > 0)) {
            return Err(wrong("a port is a number from 1 to 65535".to_owned()));
        }
    }
    for (name, allowed) in WORDS {
        if let Some(given) = value(name).filter(|given| !allowed.contains(given)) {
            return Err(wrong(format!("{name} is {given:?}, and must be one of {}", allowed.join(", "))));
        }
    }
    if let Some(name) =
        NUMBERS.into_iter().find(|name| value(name).is_some_and(|given| given.trim().parse::<i32>().is_err()))
    {
        return Err(wrong(format!("{name} is no number")));
    }
    for name in FILES {
        // "system" stands for the system's own roots.
        let Some(file) = value(name).filter(|file| *file != "system").map(Path::new) else { continue };
        access(file, Need::Read)?;
        if !file.is_file() {
            return Err(wrong(format!("{name} names {}, and there is no such file", file.display())));
        }
    }
    Ok(())
}

/// Names and values of a URL.
fn parse(url: &str) -> Result<Vec<(String, String)>, String> {
    let url = CString::new(url).map_err(|_| "it has a zero byte".to_owned())?;
    let mut message: *mut c_char = ptr::null_mut();
    // SAFETY: the string lives through the call, and `message` is a place for another one.
    let options = unsafe { pq_sys::PQconninfoParse(url.as_ptr(), &mut message) };
    if options.is_null() {
        let text = text(message).unwrap_or_else(|| "out of memory".to_owned());
        // SAFETY: libpq has allocated it, or it is null; nothing uses it after this.
        unsafe { pq_sys::PQfreemem(message.cast()) };
        return Err(text.trim().to_owned());
    }
    let mut found = Vec::new();
    let mut at = options;
    // SAFETY: libpq ends the array by an option without a keyword, and keeps its strings until
    // PQconninfoFree.
    while let Some((keyword, value)) =
        unsafe { text((*at).keyword).map(|keyword| (keyword, text((*at).val))) }
    {
        if let Some(value) = value {
            found.push((keyword, value));
        }
        // SAFETY: the end has not been reached.
        at = unsafe { at.add(1) };
    }
    // SAFETY: it is the array from above, and nothing uses it after this.
    unsafe { pq_sys::PQconninfoFree(options) };
    Ok(found)
}

/// A copy of a C string; `None` of a null pointer.
fn text(string: *const c_char) -> Option<String> {
    if string.is_null() {
        return None;
    }
    // SAFETY: it is not null, and libpq's strings end in a zero byte.
    Some(unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_one_and_of_several_servers_are_taken() {
        for url in [
            "postgres://h:p@db/im",
            "postgresql://h:p@db.example.com:5432/im?sslmode=require",
            "postgres://h:p@db1,db2:5433/im",
            "postgres://h:p@db1:5432,db2:5433,db3/im?target_session_attrs=primary&connect_timeout=3",
            "postgres://h:p@[fd00::1]:5432,[fd00::2]/im",
            "postgres://h:p%40%2F%3F@db/im",
            "postgres:///im?host=db1,db2&port=5432,5433",
            "postgres:///im?host=db1,db2&port=5433",
            "postgres://h@%2Fvar%2Frun%2Fpostgresql/im",
        ] {
            assert!(check(url).is_ok(), "{url}: {:?}", check(url));
        }
    }

    #[test]
    fn what_libpq_would_refuse_is_said_before_and_without_the_password() {
        for (url, word) in [
            ("postgres://h:s3cret@db:99999/im", "a port is a number from 1 to 65535"),
            ("postgres://h:s3cret@db1:5432,db2:0/im", "a port is"),
            ("postgres://h:s3cret@db:54x2/im", "a port is"),
            ("postgres:///im?host=a,b,c&port=1,2&password=s3cret", "3 hosts and 2 ports"),
            ("postgres://h:s3cret@db/im?sslmode=on", "sslmode is \"on\""),
            ("postgres://h:s3cret@a,b/im?target_session_attrs=master", "target_session_attrs is \"master\""),
            ("postgres://h:s3cret@db/im?connect_timeout=soon", "connect_timeout is no number"),
            ("postgres://h:s3cret@db/im?sslrootcert=/nowhere/ca.crt", "there is no such file"),
            ("postgres://h:s3cret@db/im?sslmood=require", "sslmood"),
            ("postgres://h:s3cret@[::1/im", "s"),
            ("postgres://h:s3cret%zz@db/im", "%"),
        ] {
            let said = check(url).unwrap_err().to_string();
            assert!(
                said.starts_with("database.url cannot be used: ") && said.contains(word),
                "{url}: {said}"
            );
            assert!(!said.contains("s3cret"), "{said}");
        }
    }
}
