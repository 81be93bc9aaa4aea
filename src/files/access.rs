//! Questions to the kernel: may this process use a file? Nothing is opened, because closing a file would end
//! SQLite's locks on it (POSIX).

use std::io;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, Mode, accessat};

use super::denied::{Denied, Need};

/// Has whatever this process makes from here on be for its owner only.
pub fn for_owner_only() {
    rustix::process::umask(Mode::from_raw_mode(0o077));
}

/// Asks whether a file or a folder may be used. One that is not there may.
///
/// # Errors
/// [`Denied`], also for a read-only file system.
pub fn access(path: &Path, need: Need) -> Result<(), Denied> {
    let at = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let rights = match (need, at.is_dir()) {
        (Need::Read, false) => Access::READ_OK,
        (Need::Read, true) => Access::EXEC_OK,
        (Need::Write, false) => Access::READ_OK | Access::WRITE_OK,
        (Need::Write, true) => Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK,
    };
    // What else goes wrong, whoever opens it will say better.
    let denied = accessat(CWD, at, rights, AtFlags::EACCESS)
        .err()
        .and_then(|errno| Denied::explain(at, need, &io::Error::from(errno)));
    denied.map_or(Ok(()), Err)
}

/// Asks whether a file may be made or written where it stands: the file, or else the nearest folder on the
/// way to it that is there.
///
/// # Errors
/// [`Denied`].
pub fn place_for(path: &Path) -> Result<(), Denied> {
    let there = path.ancestors().find(|at| at.as_os_str().is_empty() || at.symlink_metadata().is_ok());
    // A folder that may not be entered hides what is in it.
    access(path, Need::Read)?;
    there.map_or(Ok(()), |at| access(at, Need::Write))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_asked_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(place_for(&folder.path().join("a/b/c.db")), Ok(()));
        assert_eq!(access(&folder.path().join("none"), Need::Write), Ok(()));
        let said = place_for(Path::new("/proc/none.db")).err();
        // Root may not make files there either, in whatever words.
        assert!(said.is_none_or(|denied| denied.to_string().starts_with("/proc cannot be written")));
    }
}
