//! A copy of a SQLite database in use, through SQLite's online backup interface; and the time of the last
//! backup.

use std::ffi::{CStr, CString, c_int};
use std::path::Path;
use std::ptr;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use libsqlite3_sys as ffi;

use crate::config::{self, DatabaseUrl};
use crate::files::{self, Denied, Need};
use crate::ids::now_ms;
use crate::store::database::error::OpenError;
use crate::store::database::{conn, generation};

/// Pages copied at a time; between two steps the source is free.
const PAGES: c_int = 1024;
/// The pause between two steps.
const PAUSE: Duration = Duration::from_millis(2);
/// The page cache of the connection that finishes the copy.
const CACHE_KIB: u32 = 1_024;
/// How long a busy source is waited for, in all.
const PATIENCE: Duration = Duration::from_secs(60);

/// Records in the database that it was backed up just now, beside a server that may be running.
///
/// # Errors
/// [`OpenError`] when the database cannot be opened or does not take it.
pub fn record_backup(config: &config::Database) -> Result<(), OpenError> {
    const RECORD: &str = "UPDATE last_backup SET at = ";
    let recorded = match &config.url {
        DatabaseUrl::Sqlite(path) => {
            conn::is_ours(path)?;
            conn::sqlite_writer(path, config.cache_kib)?.batch_execute(&format!("{RECORD}{}", now_ms()))
        }
        // By its own clock, as tokens are dated.
        DatabaseUrl::Postgres(url) => conn::postgres(url, config.prepared_statements)?
            .batch_execute(&format!("{RECORD}(extract(epoch FROM clock_timestamp()) * 1000)::bigint")),
    };
    recorded.map_err(|e| OpenError::Write { reason: e.to_string() })
}

/// Copies the database `from` to the new file `to`. The copy is one moment of the source, whatever is written
/// meanwhile.
pub(in crate::store) fn copy(from: &Path, to: &Path) -> Result<(), OpenError> {
    let failed = |reason: String| OpenError::Backup { path: to.to_owned(), reason };
    // Made here and now, or not at all: so that it is ours to remove. It holds what people wrote, so nobody
    // else may read it.
    match files::create_new(to) {
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(OpenError::BackupExists { path: to.to_owned() });
        }
        Err(e) => {
            return Err(
                Denied::explain(to, Need::Write, &e).map_or_else(|| failed(e.to_string()), OpenError::from)
            );
        }
    }
    let copied = copy_pages(from, to).and_then(|()| make_another(to)).and_then(|()| {
        let file = std::fs::File::open(to).map_err(|e| e.to_string())?;
        file.sync_all().map_err(|e| e.to_string())
    });
    copied.map_err(|reason| {
        // The error that is told matters more than one about tidying up.
        let _ = std::fs::remove_file(to);
        failed(reason)
    })
}

/// Takes out of the copy which database it is of: once restored it is another one.
fn make_another(copy: &Path) -> Result<(), String> {
    let mut conn = conn::sqlite_writer(copy, CACHE_KIB).map_err(|e| e.to_string())?;
    generation::take_out_of_copy(&mut conn).map_err(|e| e.to_string())
}

fn copy_pages(from: &Path, to: &Path) -> Result<(), String> {
    let source = Handle::open(from, ffi::SQLITE_OPEN_READONLY)?;
    let target = Handle::open(to, ffi::SQLITE_OPEN_READWRITE)?;
    // One read transaction holds the moment: without it every commit of the server would begin the copy anew.
    source.exec(c"BEGIN; SELECT count(*) FROM sqlite_schema")?;
    // SAFETY: both handles are open and outlive the backup, which is finished below on every path.
    let backup = unsafe { ffi::sqlite3_backup_init(target.0, c"main".as_ptr(), source.0, c"main".as_ptr()) };
    if backup.is_null() {
        return Err(target.message());
    }
    let mut waited = Duration::ZERO;
    let result = loop {
        // SAFETY: `backup` is the live backup made above.
        match unsafe { ffi::sqlite3_backup_step(backup, PAGES) } {
            ffi::SQLITE_OK => std::thread::sleep(PAUSE),
            ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED if waited < PATIENCE => {
                waited += PAUSE * 10;
                std::thread::sleep(PAUSE * 10);
            }
            code => break code,
        }
    };
    // SAFETY: `backup` is live, and not used after this.
    let finished = unsafe { ffi::sqlite3_backup_finish(backup) };
    match (result, finished) {
        (ffi::SQLITE_DONE, ffi::SQLITE_OK) => Ok(()),
        _ => Err(target.message()),
    }
}

/// A raw SQLite connection: diesel has no way to the backup interface.
struct Handle(*mut ffi::sqlite3);

impl Handle {
    fn open(path: &Path, flags: c_int) -> Result<Self, String> {
        let name = CString::new(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()))
            .map_err(|e| e.to_string())?;
        let mut db = ptr::null_mut();
        // SAFETY: `name` is a C string and `db` a place for the handle; without SQLITE_OPEN_URI the name is
        // only a path.
        let code = unsafe { ffi::sqlite3_open_v2(name.as_ptr(), &mut db, flags, ptr::null()) };
        // Even a failed open gives a handle, to be closed.
        let handle = Self(db);
        if code == ffi::SQLITE_OK { Ok(handle) } else { Err(handle.message()) }
    }

    fn exec(&self, sql: &CStr) -> Result<(), String> {
        // SAFETY: the handle is open; no callback, so the last three arguments may be null.
        let code = unsafe { ffi::sqlite3_exec(self.0, sql.as_ptr(), None, ptr::null_mut(), ptr::null_mut()) };
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(self.message()) }
    }

    fn message(&self) -> String {
        if self.0.is_null() {
            return "out of memory".to_owned();
        }
        // SAFETY: the handle is not null; SQLite returns a C string that is good until its next call, and it
        // is copied here.
        unsafe { CStr::from_ptr(ffi::sqlite3_errmsg(self.0)) }.to_string_lossy().into_owned()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: nothing uses the handle after this; closing null does nothing.
        unsafe { ffi::sqlite3_close(self.0) };
    }
}
