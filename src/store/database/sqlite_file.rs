//! The file of a SQLite database: how it is made, who may use it, and whether it can be written now.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use rustix::fs::{FlockOperation, flock};

use crate::files::{self, Denied, Need, access};
use crate::store::database::conn::{self, Conn};
use crate::store::database::error::OpenError;
use crate::store::{Ping, Query};

/// A write that changes nothing, and is refused wherever another one is. `BEGIN IMMEDIATE` alone is no proof:
/// of a file that may only be read it begins a transaction that reads.
pub(in crate::store) const PROBE: &str = "UPDATE store_clock SET reached = reached";

/// Bytes left on the disk without which a write that was refused is not tried again.
const LEAST_ROOM: u64 = 64 * 1024;

/// Looks whether this process may write a database: its file, its log, the log's index, and the folder in
/// which SQLite makes them.
///
/// # Errors
/// [`Denied`].
pub(in crate::store) fn check(database: &Path) -> Result<(), Denied> {
    // A folder that may not be entered hides what is in it.
    access(database, Need::Read)?;
    let real = real(database);
    for file in ["", "-wal", "-shm"].map(|end| beside(&real, end)) {
        access(&file, Need::Write)?;
    }
    real.parent().map_or(Ok(()), |folder| access(folder, Need::Write))
}

/// Makes an empty file where there is none, and its folder, for their owner only: SQLite's other files follow
/// it.
///
/// # Errors
/// [`OpenError`].
pub(in crate::store) fn make(database: &Path) -> Result<(), OpenError> {
    make_folder_of(database)?;
    match files::create_new(database) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(not_made(database, error)),
        _ => Ok(()),
    }
}

fn make_folder_of(database: &Path) -> Result<(), OpenError> {
    let folder = database.parent().unwrap_or(Path::new(""));
    files::make_folder(folder).map_err(|error| match Denied::explain(folder, Need::Write, &error) {
        Some(denied) => denied.into(),
        None => OpenError::Directory { path: folder.to_owned(), source: error },
    })
}

fn not_made(path: &Path, error: io::Error) -> OpenError {
    match Denied::explain(path, Need::Write, &error) {
        Some(denied) => denied.into(),
        None => OpenError::Sqlite { path: path.to_owned(), reason: error.to_string() },
    }
}

/// By whatever name a database is called: SQLite puts its files beside the one that a link leads to.
fn real(database: &Path) -> PathBuf {
    std::fs::canonicalize(database).unwrap_or_else(|_| database.to_owned())
}

fn beside(database: &Path, end: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// The right to be the one server on a SQLite file, given back when dropped or when the process ends, however
/// it ends.
#[derive(Debug)]
pub(in crate::store) struct FileLock(#[expect(dead_code, reason = "held, not read")] File);

impl FileLock {
    pub(in crate::store) fn take(database: &Path) -> Result<Self, OpenError> {
        make_folder_of(database)?;
        // A link must not have a lock of its own.
        let path = beside(&real(database), ".lock");
        let file = files::open_or_create(&path).map_err(|error| {
            match Denied::explain(&path, Need::Write, &error) {
                Some(denied) => denied.into(),
                None => OpenError::Lock { path: path.clone(), source: error },
            }
        })?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Locked { path: database.to_owned() }),
            Err(source) => Err(OpenError::Lock { path, source: source.into() }),
        }
    }
}

/// The file that was opened at the start, whatever stands under its name later.
#[derive(Debug, Clone)]
pub(in crate::store) struct OpenedFile {
    path: PathBuf,
    cache_kib: u32,
    device_and_inode: Option<(u64, u64)>,
}

impl OpenedFile {
    pub(in crate::store) fn new(path: &Path, cache_kib: u32) -> Self {
        Self { path: path.to_owned(), cache_kib, device_and_inode: device_and_inode(path) }
    }
}

fn device_and_inode(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|about| (about.dev(), about.ino()))
}

/// Whether a SQLite database can be read and written now; the answer is why it cannot be written.
#[derive(Debug)]
pub(in crate::store) struct Writable {
    pub(in crate::store) file: OpenedFile,
    /// Whether to try it: the last write was refused.
    pub(in crate::store) tries: bool,
}

impl Query for Writable {
    type Answer = Option<String>;

    fn run(&self, conn: &mut Conn) -> QueryResult<Option<String>> {
        Ping.run(conn)?;
        Ok(self.refusal().err())
    }
}

impl Writable {
    fn refusal(&self) -> Result<(), String> {
        let OpenedFile { path, cache_kib, device_and_inode: opened } = &self.file;
        check(path).map_err(|denied| denied.to_string())?;
        if device_and_inode(path) != *opened {
            let what = "was moved, removed or replaced while the server has it open: what is written now is lost with it; restart the server";
            return Err(format!("{} {what}", path.display()));
        }
        if self.tries {
            // The log may have room for the small write below, and none for a message.
            let left = rustix::fs::statvfs(path)
                .map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
            if left < LEAST_ROOM {
                return Err(format!("the disk of {} is full", path.display()));
            }
            let mut conn = conn::sqlite_writer(path, *cache_kib).map_err(|error| error.to_string())?;
            conn.immediate_transaction(|conn| conn.batch_execute(PROBE))
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}
