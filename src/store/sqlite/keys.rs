//! Idempotency keys: by which the lane knows that a message is stored already.
//!
//! Ids of clients fall anywhere, so an index of them would cost each message a page of its own in every commit.
//! Keys of the newest messages are held in memory instead, and written to their table in order, many to a page.
//! Nothing of that has to be durable: what the table lacks is read from the messages at the next start.
//!
//! Keys that are not stored are told by a filter ([`key_filter`](super::key_filter)).

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use sha2::{Digest as _, Sha256};

use super::key_filter::{KEY_FILTER_CAPACITY, KeyFilter};
use super::statements::insert_keys;
use crate::store::database::schema::idempotency_keys;
use crate::store::database::statement::Statement;

/// Keys that are gathered before they are written: the more, the fewer pages each of them costs. Some 2 MB, and
/// as much again while they are written. In tests of the store few, so that all of them have keys everywhere.
const GATHERED_KEYS: usize = if cfg!(test) { 16 } else { 32_768 };
/// Keys that a batch writes for each message it stores: what was gathered is written before as much has come
/// again.
const WRITTEN_PER_MESSAGE: usize = 2;
/// Messages without a key in the table that a start leaves to memory.
const MESSAGES_LEFT_TO_MEMORY: i64 = 4 * GATHERED_KEYS as i64;
/// Messages that a start makes up for in one transaction.
const MESSAGES_MADE_UP_AT_ONCE: i64 = GATHERED_KEYS as i64;

/// Key of one message, in the order of the table. Two messages may have the same hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) conversation: i64,
    pub(super) hash: i64,
    pub(super) seq: i64,
}

/// Hash of a sender's id for a message.
pub(in crate::store) fn hash(sender: &str, client_msg_id: &str) -> i64 {
    let digest = Sha256::new().chain_update(sender).chain_update(" ").chain_update(client_msg_id).finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}

/// Keys of all messages: those that the table lacks, a filter of all, and the id of the last message.
#[derive(Default)]
pub(super) struct Keys {
    /// Keys that have come since the last were taken to be written, in any order.
    gathering: Vec<Key>,
    /// Keys that are being written, in the order of the table.
    writing: Vec<Key>,
    /// How many of these are written.
    written: usize,
    /// All messages up to this id have their keys in the table or in `writing`.
    writing_through: i64,
    /// As the table says.
    through: i64,
    last_id: i64,
    filter: KeyFilter,
    batch: BatchKeys,
}

/// Changes of the batch under way.
#[derive(Default)]
struct BatchKeys {
    messages: usize,
    gathered: usize,
    written: usize,
    through: Option<i64>,
}

impl Keys {
    /// Those that are held, or that the database has.
    pub(super) fn of<'a>(
        held: &'a mut Option<Self>,
        conn: &mut SqliteConnection,
    ) -> QueryResult<&'a mut Self> {
        match held {
            Some(keys) => Ok(keys),
            none => Ok(none.insert(Self::load(conn)?)),
        }
    }

    /// Drops them where they are no longer what the database has: somebody else has written to it.
    pub(super) fn check(held: &mut Option<Self>, conn: &mut SqliteConnection) -> QueryResult<()> {
        if let Some(Self { through, last_id, .. }) = *held
            && Progress::read(conn)? != (Progress { through_id: through, last_id })
        {
            *held = None;
        }
        Ok(())
    }

    fn load(conn: &mut SqliteConnection) -> QueryResult<Self> {
        let Progress { through_id, last_id } = Progress::read(conn)?;
        let gathering = keyed(conn, through_id, i64::MAX)?;
        // No message has two keys.
        let fits = usize::try_from(through_id).is_ok_and(|keys| keys < KEY_FILTER_CAPACITY);
        let mut filter = if fits { stored(conn)? } else { KeyFilter::full() };
        gathering.iter().for_each(|key| filter.insert(key.conversation, key.hash));
        Ok(Self { gathering, through: through_id, last_id, filter, ..Self::default() })
    }

    /// Id for the next message.
    pub(super) fn next_id(&mut self) -> i64 {
        self.batch.messages += 1;
        self.last_id + self.batch.messages as i64
    }

    /// Adds the key of a message that the batch stores.
    pub(super) fn add(&mut self, key: Key) {
        self.filter.insert(key.conversation, key.hash);
        self.gathering.push(key);
        self.batch.gathered += 1;
    }

    /// False: no message has this hash, whether the table lacks it or not.
    pub(super) fn may_have(&self, conversation: i64, hash: i64) -> bool {
        self.filter.may_have(conversation, hash)
    }

    /// Seqs of the messages with this hash that the table lacks.
    pub(super) fn pending(&self, conversation: i64, hash: i64) -> impl Iterator<Item = i64> {
        let is_it = move |key: &&Key| (key.conversation, key.hash) == (conversation, hash);
        let first = Key { conversation, hash, seq: 0 };
        let written = self.writing.partition_point(|key| *key < first);
        let writing = self.writing.iter().skip(written).take_while(is_it);
        self.gathering.iter().filter(is_it).chain(writing).map(|key| key.seq)
    }

    /// Writes as many keys as the batch's messages make due.
    pub(super) fn write(&mut self, conn: &mut SqliteConnection) -> QueryResult<()> {
        let due = self.batch.messages * WRITTEN_PER_MESSAGE;
        let rest = self.writing.get(self.written..).unwrap_or_default();
        let keys = &rest[..due.min(rest.len())];
        if keys.is_empty() {
            return Ok(());
        }
        insert_keys(conn, keys)?;
        self.batch.written = keys.len();
        if keys.len() == rest.len() {
            set_through(conn, self.writing_through)?;
            self.batch.through = Some(self.writing_through);
        }
        Ok(())
    }

    /// Keeps what the batch has done: it is durable.
    pub(super) fn keep(&mut self) {
        let BatchKeys { messages, written, through, .. } = std::mem::take(&mut self.batch);
        self.last_id += messages as i64;
        self.through = through.unwrap_or(self.through);
        self.written += written;
        if self.written == self.writing.len() && self.gathering.len() >= GATHERED_KEYS {
            self.writing.clear();
            std::mem::swap(&mut self.writing, &mut self.gathering);
            self.writing.sort_unstable();
            (self.written, self.writing_through) = (0, self.last_id);
        }
    }

    /// Forgets what the batch has done: nothing of it is stored, as far as is known.
    pub(super) fn undo(&mut self) {
        let BatchKeys { gathered, .. } = std::mem::take(&mut self.batch);
        self.gathering.truncate(self.gathering.len() - gathered);
    }
}

/// Writes keys that the table lacks, so many that a start would take long to read them all: of a database that
/// had none, or that a tool has filled. Whether more are missing.
pub(in crate::store) fn make_up(conn: &mut SqliteConnection) -> QueryResult<bool> {
    let Progress { through_id, last_id } = Progress::read(conn)?;
    if last_id - through_id <= MESSAGES_LEFT_TO_MEMORY {
        return Ok(false);
    }
    let through = through_id + MESSAGES_MADE_UP_AT_ONCE;
    let keys = keyed(conn, through_id, through)?;
    insert_keys(conn, &keys)?;
    set_through(conn, through)?;
    Ok(true)
}

/// A filter of what the table has.
fn stored(conn: &mut SqliteConnection) -> QueryResult<KeyFilter> {
    let mut filter = KeyFilter::default();
    let keys = idempotency_keys::table.select((idempotency_keys::conversation_id, idempotency_keys::hash));
    for key in keys.load_iter::<(i64, i64), DefaultLoadingMode>(conn)? {
        let (conversation, hash) = key?;
        filter.insert(conversation, hash);
    }
    Ok(filter)
}

/// Keys of the messages with ids above the first and up to the second, in order.
fn keyed(conn: &mut SqliteConnection, above: i64, through: i64) -> QueryResult<Vec<Key>> {
    let read = "SELECT conversation_id, seq, sender, client_msg_id FROM messages \
                WHERE id > $1 AND id <= $2 AND client_msg_id IS NOT NULL";
    let messages = Statement::new(read).number(above).number(through).load::<KeyedMessage>(conn)?;
    let key = |m: &KeyedMessage| Key {
        conversation: m.conversation_id,
        hash: hash(&m.sender, &m.client_msg_id),
        seq: m.seq,
    };
    let mut keys: Vec<Key> = messages.iter().map(key).collect();
    keys.sort_unstable();
    Ok(keys)
}

fn set_through(conn: &mut SqliteConnection, through: i64) -> QueryResult<()> {
    Statement::new("UPDATE idempotency_progress SET through_id = $1")
        .number(through)
        .execute(conn)
        .map(|_| ())
}

#[derive(QueryableByName)]
struct KeyedMessage {
    #[diesel(sql_type = BigInt)]
    conversation_id: i64,
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Text)]
    sender: String,
    #[diesel(sql_type = Text)]
    client_msg_id: String,
}

/// Progress of the table, and the id of the last message.
#[derive(QueryableByName, PartialEq, Eq)]
struct Progress {
    #[diesel(sql_type = BigInt)]
    through_id: i64,
    #[diesel(sql_type = BigInt)]
    last_id: i64,
}

impl Progress {
    fn read(conn: &mut SqliteConnection) -> QueryResult<Self> {
        let read = "SELECT through_id, coalesce((SELECT max(id) FROM messages), 0) AS last_id FROM idempotency_progress";
        Statement::new(read).get_result(conn)
    }
}
