//! SQLite's write-ahead log is kept longer than it needs to be, so that a commit overwrites bytes that the
//! file has already.
//!
//! A commit that makes the file longer has to sync its new length as well as the pages: that is half as much
//! again (docs/BENCHMARKS.md). What stands behind the last frame is ignored: a frame counts only with the
//! salts of the log's header and a good checksum (SQLite's file format, §4.3 and §4.4).

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// What is written ahead in one go: room for some two hundred lone messages, and a few milliseconds for the
/// one that finds it used up.
const STEP: u64 = 4 * 1024 * 1024;
/// Written one after the other: of one large write the kernel keeps large folios in its cache, and every
/// small write into one of these costs the more the larger it is.
const PIECE: [u8; 4096] = [0; 4096];
/// Where SQLite begins the log anew at the latest (`wal_autocheckpoint`), unless somebody reads for very
/// long.
const ENOUGH: u64 = 64 * 1024 * 1024;

/// The room that was made in one database's log.
pub(super) struct Room {
    log: File,
    /// The file's length as it was left here; when it differs, SQLite has used the room up.
    length: Option<u64>,
}

impl Room {
    /// Looks at the log of `database`, which a connection has open; `None` where there is none.
    pub(super) fn of(database: &Path) -> Option<Self> {
        let mut name = database.as_os_str().to_owned();
        name.push("-wal");
        let log = OpenOptions::new().write(true).open(name).ok()?;
        Some(Self { log, length: None })
    }

    /// Makes room where it is used up. Only within a write transaction: nobody else may append to the log
    /// meanwhile.
    ///
    /// # Errors
    /// A full disk, for example: the log is as it was before, and commits go on as they can.
    pub(super) fn make(&mut self) -> io::Result<()> {
        // Not metadata(): a time that was looked at makes the next write note a finer one, which is one more
        // thing to sync.
        let length = self.log.seek(SeekFrom::End(0))?;
        if self.length == Some(length) || length >= ENOUGH {
            return Ok(());
        }
        let mut pieces = (length..length + STEP).step_by(PIECE.len());
        let longer = pieces.try_for_each(|at| self.log.write_all_at(&PIECE, at));
        if longer.is_err() {
            self.log.set_len(length)?;
        }
        longer?;
        self.length = Some(length + STEP);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_when_it_is_used_up_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("x.db");
        assert!(Room::of(&database).is_none());
        let log = folder.path().join("x.db-wal");
        std::fs::write(&log, b"frames").unwrap();
        let length = || std::fs::metadata(&log).unwrap().len();
        let mut room = Room::of(&database).unwrap();
        for _ in 0..3 {
            room.make().unwrap();
            assert_eq!(length(), 6 + STEP);
        }
        assert!(std::fs::read(&log).unwrap().starts_with(b"frames\0"));
        File::options().write(true).open(&log).unwrap().set_len(2 * STEP).unwrap();
        room.make().unwrap();
        assert_eq!(length(), 3 * STEP);
    }
}
