//! Files that are made for their owner alone (0600, folders 0700).
//!
//! What root makes in a folder of another user becomes that user's: so a tool that root runs beside a server
//! leaves nothing behind that the server cannot use. SQLite does the same with the files that it makes beside
//! a database.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, chown, fchown};
use std::path::Path;

use super::denied::own_uid;

/// Makes a folder, and those that it stands in, where they are not there yet.
///
/// # Errors
/// Those of the file system.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(Path::new(""));
    make_folder(parent)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => owner_to_give(parent)?.map_or(Ok(()), |(uid, gid)| chown(folder, Some(uid), Some(gid))),
        // Another process was quicker.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes an empty file, which must not be there yet.
///
/// # Errors
/// Those of the file system; [`io::ErrorKind::AlreadyExists`].
pub fn create_new(path: &Path) -> io::Result<File> {
    let owner = owner_to_give(path.parent().unwrap_or(Path::new("")))?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    if let Some((uid, gid)) = owner {
        fchown(&file, Some(uid), Some(gid))?;
    }
    Ok(file)
}

/// Opens a file for writing, and makes it where it is not there yet.
///
/// # Errors
/// Those of the file system.
pub fn open_or_create(path: &Path) -> io::Result<File> {
    match create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            OpenOptions::new().write(true).open(path)
        }
        made => made,
    }
}

/// The user and the group that a new file in this folder is for; `None`: those of this process.
fn owner_to_give(folder: &Path) -> io::Result<Option<(u32, u32)>> {
    if own_uid() != Some(0) {
        return Ok(None);
    }
    let about = fs::metadata(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })?;
    Ok((about.uid() != 0).then(|| (about.uid(), about.gid())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: u32 = 65_534;

    #[test]
    fn files_are_for_their_owner_only_and_for_the_user_of_the_folder() {
        let temp = tempfile::tempdir().unwrap();
        let mut owner = fs::metadata(temp.path()).unwrap().uid();
        if owner == 0 {
            chown(temp.path(), Some(NOBODY), Some(NOBODY)).unwrap();
            owner = NOBODY;
        }
        let folder = temp.path().join("a/b");
        make_folder(&folder).unwrap();
        make_folder(&folder).unwrap();
        create_new(&folder.join("new")).unwrap();
        open_or_create(&folder.join("lock")).unwrap();
        open_or_create(&folder.join("lock")).unwrap();
        assert_eq!(create_new(&folder.join("new")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        for (path, mode) in [("a", 0o700), ("a/b", 0o700), ("a/b/new", 0o600), ("a/b/lock", 0o600)] {
            let about = fs::metadata(temp.path().join(path)).unwrap();
            assert_eq!((about.uid(), about.mode() & 0o777), (owner, mode), "{path}");
        }
    }
}
