//! What one node at a time does for all, on the PostgreSQL that they share.

use diesel::prelude::*;

use crate::store::Query;
use crate::store::database::conn::{Conn, DURABLE};
use crate::store::database::statement::Statement;
use crate::store::nodes::{ReleaseLease, TakeLease};

/// The clock is read once the row is locked, so that a wait for it counts. It outlives a crash of the
/// database, else two would have it.
const TAKE: &str = "INSERT INTO leases AS l (what, node, until) \
     VALUES ($1, $2, (extract(epoch FROM clock_timestamp()) * 1000)::bigint + $3) \
     ON CONFLICT (what) DO UPDATE SET node = excluded.node, until = (extract(epoch FROM clock_timestamp()) * 1000)::bigint + $4 \
     WHERE l.node = excluded.node OR l.until <= (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
const RELEASE: &str = "DELETE FROM leases WHERE what = $1 AND node = $2";

impl Query for TakeLease {
    type Answer = bool;

    fn run(&self, conn: &mut Conn) -> QueryResult<bool> {
        if matches!(conn, Conn::Sqlite(_)) {
            return Ok(true);
        }
        conn.transaction(|conn| {
            Statement::new(format!("SELECT {DURABLE}")).execute(conn)?;
            let take =
                Statement::new(TAKE).text(self.what).text(&self.node).number(self.for_ms).number(self.for_ms);
            Ok(take.execute(conn)? == 1)
        })
    }
}

impl Query for ReleaseLease {
    type Answer = ();

    fn run(&self, conn: &mut Conn) -> QueryResult<()> {
        if matches!(conn, Conn::Sqlite(_)) {
            return Ok(());
        }
        Statement::new(RELEASE).text(self.what).text(&self.node).execute(conn).map(|_| ())
    }
}
