//! The lane's page cache. A commit after a split in the middle of a b-tree walks through all of it: to put the
//! pages of siblings in order SQLite gives one of them the number of the page at 1 GiB for a moment, and what
//! the cache holds beyond the end of the file is looked for at the commit (SQLite 3.51.3, `balance_nonroot`
//! and `pager_end_transaction`). Above 1 GiB nothing is beyond the end. Below, a small cache will do: the
//! kernel has the file. A tenth of the server's processor time at 100 users (docs/BENCHMARKS.md).

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::store::database::statement::Statement;

/// Cache of a database that is smaller than [`FREE_PAGES`].
const SMALL_KIB: u32 = 16_384;
/// Pages up to the one at 1 GiB, of 4 KiB each.
const FREE_PAGES: i64 = 262_145;

/// Size of the lane's page cache.
pub(super) struct PageCache {
    /// As the settings say.
    full_kib: u32,
    is_full: bool,
}

#[derive(QueryableByName)]
struct Pages {
    #[diesel(sql_type = BigInt)]
    page_count: i64,
}

impl PageCache {
    /// Size of a connection that has just been made with [`PageCache::first_kib`].
    pub(super) fn new(full_kib: u32) -> Self {
        Self { full_kib, is_full: full_kib <= SMALL_KIB }
    }

    pub(super) fn first_kib(full_kib: u32) -> u32 {
        full_kib.min(SMALL_KIB)
    }

    /// Takes the size that the settings say once the database is large enough.
    pub(super) fn grow(&mut self, conn: &mut SqliteConnection) -> QueryResult<()> {
        if self.is_full {
            return Ok(());
        }
        let Pages { page_count } = Statement::new("PRAGMA page_count").get_result(conn)?;
        if page_count >= FREE_PAGES {
            conn.batch_execute(&format!("PRAGMA cache_size = -{}", self.full_kib))?;
            self.is_full = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(QueryableByName)]
    struct Size {
        #[diesel(sql_type = BigInt)]
        cache_size: i64,
    }

    #[test]
    fn the_cache_is_small_until_the_database_is_large() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        conn.batch_execute(&format!(
            "PRAGMA cache_size = -{}; CREATE TABLE t (x)",
            PageCache::first_kib(65_536)
        ))
        .unwrap();
        let mut cache = PageCache::new(65_536);
        let mut size = |conn: &mut SqliteConnection| {
            cache.grow(conn).unwrap();
            diesel::sql_query("PRAGMA cache_size").get_result::<Size>(conn).unwrap().cache_size
        };
        assert_eq!(size(&mut conn), -16_384);
        // A file with a hole takes no room on the disk; its header says how many pages it has.
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_len(4096 * FREE_PAGES as u64).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &(FREE_PAGES as u32).to_be_bytes(), 28).unwrap();
        let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        assert_eq!(size(&mut conn), -65_536);
        // One that the settings want smaller stays as it is.
        assert_eq!(PageCache::first_kib(8_192), 8_192);
        assert!(PageCache::new(8_192).is_full);
    }
}
