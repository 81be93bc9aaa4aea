//! Operator at the command line, and the entry of what they do in the audit log.

use std::time::Instant;
use std::{fs, thread};

use super::lines;
use crate::config::{self, LogFormat};
use crate::ids::OpenId;
use crate::logging;
use crate::store::operators::IsKnown;
use crate::store::{self, OpenError, Operated, Operation, Revoking, SEEN_WITHIN};

/// The user of the operating system, and the machine; behind sudo, who called it as well.
pub(super) fn who() -> String {
    let uid = rustix::process::getuid().as_raw();
    let name = fs::read_to_string("/etc/passwd")
        .ok()
        .and_then(|users| name_of(&users, uid))
        .unwrap_or_else(|| format!("uid {uid}"));
    let behind_sudo =
        std::env::var("SUDO_USER").ok().filter(|caller| uid == 0 && !caller.is_empty() && *caller != name);
    let name = behind_sudo.map_or_else(|| name.clone(), |caller| format!("{caller} as {name}"));
    let machine = rustix::system::uname();
    format!("{name} on {}", machine.nodename().to_string_lossy())
}

/// The name of a user in the text of passwd(5).
fn name_of(users: &str, uid: u32) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// Waits until the database knows the user, for as long as it takes until who came a moment ago is written
/// down.
pub(super) fn wait_until_known(config: &config::Database, openid: &OpenId) -> Result<(), OpenError> {
    let asked = Instant::now();
    while !store::look(config, &IsKnown { openid: openid.clone() })? && asked.elapsed() < SEEN_WITHIN {
        thread::sleep(SEEN_WITHIN / 10);
    }
    Ok(())
}

/// Does what is to be done in the database, and notes it there.
pub(super) fn operate(
    config: &config::Database,
    act: &'static str,
    target: &str,
    detail: Option<String>,
    revoke: Option<Revoking<'_>>,
) -> Result<Operated, OpenError> {
    store::operate(config, &Operation { who: who(), act, target: Some(target), detail, revoke })
}

/// Notes what needs no database. That it could not be noted is said, and stops nobody at three in the
/// morning.
pub(super) fn note(config: &config::Database, act: &'static str, target: &str) {
    if let Err(error) = operate(config, act, target, None, None) {
        logging::fail(LogFormat::Text, &lines(&NotNoted { act, source: error }));
    }
}

#[derive(Debug, thiserror::Error)]
#[error("warning: the audit log has no word of this {act}")]
struct NotNoted {
    act: &'static str,
    source: OpenError,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_number() {
        let users = "root:x:0:0:root:/root:/bin/bash\nbroken\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(name_of(users, 1_000).as_deref(), Some("ann"));
        assert_eq!(name_of(users, 0).as_deref(), Some("root"));
        assert_eq!(name_of(users, 7), None);
    }
}
