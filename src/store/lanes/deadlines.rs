//! Times within which the store answers. Each is derived from [`REPLY_TIMEOUT`] or held against it here, so that
//! none can be changed alone.

use std::time::Duration;

use crate::store::conversations::sync;
use crate::store::database::clock;
use crate::store::database::conn::{BUSY, STATEMENT_TIMEOUT_MS};
use crate::store::lanes::executor::ONE_BY_ONE;

/// Time within which every write and every read is answered, as docs/PROTOCOL.md promises. What is not done by
/// then is answered as unavailable.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(3);
/// How long somebody waits for the store: longer than the store takes to say that it is unavailable.
pub const CALLER_TIMEOUT: Duration = REPLY_TIMEOUT.saturating_add(Duration::from_secs(1));
/// How far a sync, and the question who has something new, look back behind the time that they are asked for.
pub const SYNC_OVERLAP: Duration = Duration::from_millis(sync::OVERLAP_MS.unsigned_abs());

/// How often the watchdog looks.
pub(in crate::store) const WATCHDOG_INTERVAL: Duration = Duration::from_millis(50);
/// Age at which the watchdog answers a write as unavailable. The rest is for its way there and back.
pub(in crate::store) const WRITE_DEADLINE: Duration =
    REPLY_TIMEOUT.saturating_sub(Duration::from_millis(500));
/// Age at which a read is answered as unavailable.
pub(in crate::store) const READ_DEADLINE: Duration = REPLY_TIMEOUT;
/// How long a reading thread waits for a connection.
pub(in crate::store) const CHECKOUT_TIMEOUT: Duration = READ_DEADLINE.saturating_sub(Duration::from_secs(1));
/// Age of a read at which its thread counts as hung: nobody has waited for it for as long again.
pub(in crate::store) const READER_HUNG_AFTER: Duration = READ_DEADLINE.saturating_mul(2);

const _: () = {
    let statement = Duration::from_millis(STATEMENT_TIMEOUT_MS as u64);
    assert!(shorter(statement, WRITE_DEADLINE), "a statement is over before its write is given up");
    assert!(
        shorter(BUSY.saturating_add(ONE_BY_ONE), WRITE_DEADLINE),
        "a batch that is refused is tried one by one before its writes are given up"
    );
    assert!(shorter(WRITE_DEADLINE.saturating_add(WATCHDOG_INTERVAL.saturating_mul(2)), REPLY_TIMEOUT));
    assert!(shorter(CHECKOUT_TIMEOUT, READ_DEADLINE));
    assert!(
        shorter(
            REPLY_TIMEOUT.saturating_add(Duration::from_millis(clock::AHEAD_MS.unsigned_abs())),
            SYNC_OVERLAP
        ),
        "a sync looks back further than a commit takes and the store's clock runs ahead"
    );
};

const fn shorter(one: Duration, other: Duration) -> bool {
    one.as_nanos() < other.as_nanos()
}
