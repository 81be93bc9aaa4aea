//! SQLite's write-ahead log is kept longer than it needs to be, so that a commit overwrites bytes that the file has already.
//!
//! A commit that makes the file longer has to sync the file system's journal as well as its own pages: measured on ext4, 390 µs a lone
//! message instead of 220 (docs/BENCHMARKS.md). What stands behind the last frame is ignored: a frame counts only with the salts of the
//! log's header and a good checksum (SQLite's file format, §4.3 and §4.4).

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// What is written ahead in one go: about a thousand lone messages, and some milliseconds for the one that finds the room used up.
const STEP: usize = 4 * 1024 * 1024;

/// The room that was made in one database's log.
pub(super) struct Room {
    log: File,
    /// The file's length as it was left here; when it differs, SQLite has used the room up.
    length: u64,
}

impl Room {
    /// Looks at the log of `database`, which a connection has open; `None` where there is none.
    pub(super) fn of(database: &Path) -> Option<Self> {
        let mut name = database.as_os_str().to_owned();
        name.push("-wal");
        let log = OpenOptions::new().write(true).open(name).ok()?;
        Some(Self { log, length: 0 })
    }

    /// Makes room where it is used up. Only within a write transaction: nobody else may append to the log meanwhile.
    ///
    /// # Errors
    /// A full disk, for example: the log is as it was before, and commits go on as they can.
    pub(super) fn make(&mut self) -> io::Result<()> {
        // Not metadata(): a time that was looked at makes the next write note a finer one, which is one more thing to sync.
        let length = self.log.seek(SeekFrom::End(0))?;
        if length == self.length {
            return Ok(());
        }
        let longer = self.log.write_all_at(&vec![0; STEP], length);
        if longer.is_err() {
            self.log.set_len(length)?;
        }
        longer?;
        self.length = length + STEP as u64;
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
            assert_eq!(length(), 6 + STEP as u64);
        }
        assert!(std::fs::read(&log).unwrap().starts_with(b"frames\0"));
        File::options().write(true).open(&log).unwrap().set_len(2 * STEP as u64).unwrap();
        room.make().unwrap();
        assert_eq!(length(), 3 * STEP as u64);
    }
}
