//! The error of a file that this process may not use.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Use that is wanted of a file or a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Read,
    /// Of a file: to read it as well. Of a folder: to make files in it.
    Write,
}

impl Need {
    /// The bits of a mode that stand for it, of one class of users.
    fn bits(self, is_folder: bool) -> u32 {
        match (self, is_folder) {
            (Self::Read, false) => 0o4,
            (Self::Read, true) => 0o1,
            (Self::Write, false) => 0o6,
            (Self::Write, true) => 0o3,
        }
    }

    fn letters(self, is_folder: bool) -> &'static str {
        match (self, is_folder) {
            (Self::Read, false) => "r",
            (Self::Read, true) => "x",
            (Self::Write, false) => "rw",
            (Self::Write, true) => "rwx",
        }
    }
}

/// A file or a folder that this process may not use: whose it is, as whom this process runs, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} cannot be {}: {why}; {remedy}", path.display(), if *need == Need::Read { "read" } else { "written" })]
pub struct Denied {
    path: PathBuf,
    need: Need,
    why: String,
    remedy: String,
}

impl Denied {
    /// The reason and the remedy, without the path.
    pub fn reason(&self) -> String {
        format!("{}; {}", self.why, self.remedy)
    }

    /// Explains an error; `None` where it is none of permissions, such as a file that is not there.
    pub fn explain(path: &Path, need: Need, error: &io::Error) -> Option<Self> {
        let denied = |why: String, remedy: String| Some(Self { path: path.to_owned(), need, why, remedy });
        match error.kind() {
            io::ErrorKind::ReadOnlyFilesystem => denied(
                "its file system is mounted read-only".to_owned(),
                "mount it read-write (mount -o remount,rw; the kernel's log, dmesg, says why it is not), or under systemd name its folder in \
                 StateDirectory= or ReadWritePaths="
                    .to_owned(),
            ),
            io::ErrorKind::PermissionDenied if error.raw_os_error() == Some(1) => {
                denied("it is immutable".to_owned(), format!("chattr -i {}", path.display()))
            }
            io::ErrorKind::PermissionDenied => {
                let (at, about) = culprit(path)?;
                let (why, remedy) = of_another(at, &about, need, own_uid());
                denied(why, remedy)
            }
            _ => None,
        }
    }
}

/// The file itself, or the folder on the way to it beyond which nothing is seen.
fn culprit(path: &Path) -> Option<(&Path, Metadata)> {
    path.ancestors().find_map(|at| {
        let at = if at.as_os_str().is_empty() { Path::new(".") } else { at };
        fs::metadata(at).ok().map(|about| (at, about))
    })
}

/// Reason and remedy where the owner or the mode is in the way.
fn of_another(at: &Path, about: &Metadata, need: Need, me: Option<u32>) -> (String, String) {
    let (shown, is_folder) = (at.display(), about.is_dir());
    let (owner, group) = (name("/etc/passwd", "user", about.uid()), name("/etc/group", "group", about.gid()));
    let own_name = me.map_or_else(|| "another user".to_owned(), |uid| name("/etc/passwd", "user", uid));
    let what = if is_folder { format!("the folder {shown}") } else { "it".to_owned() };
    let why = format!(
        "{what} belongs to {owner}, group {group}, mode {:04o}, and this process runs as {own_name}",
        about.mode() & 0o7777
    );
    let folder =
        at.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    let is_in_own_folder =
        folder.and_then(|folder| fs::metadata(folder).ok()).is_some_and(|folder| Some(folder.uid()) == me);
    let is_open_to_group =
        about.gid() != 0 && about.mode() >> 3 & need.bits(is_folder) == need.bits(is_folder);
    let remedy = match about.uid() {
        uid if Some(uid) == me => format!("chmod u+{} {shown}", need.letters(is_folder)),
        _ if is_in_own_folder => format!("give it back: chown {own_name}: {shown}"),
        0 if is_open_to_group => {
            format!(
                "run this as root (sudo hongyan …), or as a user of the group {group} (sudo -u {group} hongyan …, where there is one of that name)"
            )
        }
        0 => {
            format!("run this as root (sudo hongyan …), or give it to {own_name}: chown {own_name}: {shown}")
        }
        _ => format!("run this as {owner} (sudo -u {owner} hongyan …) or as root"),
    };
    (why, remedy)
}

/// The user, other than root, whose folder a file is to stand in, where this process is root's: what holds
/// for root is no proof for that user.
pub fn owner_beside_root(path: &Path) -> Option<String> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let (_, about) = culprit(folder)?;
    (own_uid() == Some(0) && about.uid() != 0).then(|| name("/etc/passwd", "user", about.uid()))
}

/// The user id that counts for files; `None` where there is no /proc. Not the owner of /proc/self: of a
/// binary with capabilities that is root.
pub(super) fn own_uid() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    // Real, effective, saved, and that of the file system.
    status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().nth(3)?.parse().ok())
}

/// A user or a group by name where the machine's own file has it, else by number.
fn name(file: &str, kind: &str, id: u32) -> String {
    let id = id.to_string();
    let names = fs::read_to_string(file).unwrap_or_default();
    let named = names.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("{kind} {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const NOBODY: u32 = 65_534;

    #[test]
    fn what_to_do_follows_from_whose_the_file_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("h.db");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
        let about = fs::metadata(&file).unwrap();
        let me = about.uid();
        let (why, remedy) = of_another(&file, &about, Need::Write, Some(me));
        assert!(why.contains("mode 0400"), "{why}");
        assert_eq!(remedy, format!("chmod u+rw {}", file.display()));
        let (why, remedy) = of_another(&file, &about, Need::Write, Some(NOBODY));
        assert!(why.ends_with("this process runs as nobody"), "{why}");
        assert!(remedy.starts_with("run this as "), "{remedy}");
        // A folder of this process's own with a file that is another's in it.
        let passwd = Path::new("/etc/passwd");
        let (why, remedy) = of_another(passwd, &fs::metadata(passwd).unwrap(), Need::Write, Some(0));
        assert!(why.starts_with("it belongs to root, group root, mode 0644"), "{why}");
        assert_eq!(remedy, "chmod u+rw /etc/passwd");
    }

    #[test]
    fn a_file_that_is_not_there_is_no_question_of_permissions() {
        let gone = io::Error::from(io::ErrorKind::NotFound);
        assert_eq!(Denied::explain(Path::new("/nowhere/at/all"), Need::Read, &gone), None);
        let full = io::Error::from_raw_os_error(28);
        assert_eq!(Denied::explain(Path::new("/tmp"), Need::Write, &full), None);
    }

    #[test]
    fn a_read_only_disk_and_an_immutable_file_have_remedies_of_their_own() {
        let said = |errno| {
            Denied::explain(Path::new("/srv/h.db"), Need::Write, &io::Error::from_raw_os_error(errno))
                .unwrap()
                .to_string()
        };
        assert!(
            said(30).starts_with(
                "/srv/h.db cannot be written: its file system is mounted read-only; mount it read-write"
            ),
            "{}",
            said(30)
        );
        assert_eq!(said(1), "/srv/h.db cannot be written: it is immutable; chattr -i /srv/h.db");
    }
}
