//! Connections of a port that hold no session: how many there may be, in all and of one address, and which
//! one goes for a newcomer.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use futures_util::task::AtomicWaker;
use prometheus_client::metrics::gauge::Gauge;

use crate::limits::{ClientAddress, Network};

/// Bounds of a [`ConnectionTable`].
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    pub all: u32,
    /// Of one address; `None`: as many as in all.
    pub per_address: Option<NonZeroU32>,
}

/// Why a newcomer is turned away: nothing of those that are open is idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crowded {
    Port,
    Address,
}

/// The open connections, and in which order the idle ones go. Idle is what the server owes nothing: it waits
/// for a request, or for the rest of one's head.
struct ConnectionTable {
    limits: ConnectionLimits,
    /// The next id, and the next moment of becoming idle.
    next: u64,
    open: HashMap<u64, Open>,
    idle: IdleQueue,
    by_network: HashMap<Network, Crowd>,
}

/// Ids of idle connections, those that go first in front.
type IdleQueue = BTreeMap<IdleSince, u64>;

/// Keep-alive connections go before those whose first request is still to come: to close one of them costs
/// nobody an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct IdleSince {
    is_new: bool,
    moment: u64,
}

struct Open {
    networks: Vec<Network>,
    is_new: bool,
    idle_since: Option<IdleSince>,
    closer: Arc<Closer>,
}

#[derive(Default)]
struct Crowd {
    open: u32,
    idle: IdleQueue,
}

impl ConnectionTable {
    fn new(limits: ConnectionLimits) -> Self {
        Self { limits, next: 0, open: HashMap::new(), idle: IdleQueue::new(), by_network: HashMap::new() }
    }

    /// Lets a connection in, idle, and gives its id and whoever has to go for it. `None`: nobody counts it by
    /// its address.
    fn admit(
        &mut self,
        address: Option<ClientAddress>,
        closer: Arc<Closer>,
    ) -> Result<(u64, Vec<Arc<Closer>>), Crowded> {
        let networks: Vec<Network> = address.into_iter().flat_map(ClientAddress::networks).collect();
        let mut leaving = Vec::new();
        for network in &networks {
            let bound =
                self.limits.per_address.map_or(self.limits.all, |n| n.get().saturating_mul(network.factor()));
            let crowd = self.by_network.get(network);
            if crowd.is_some_and(|crowd| crowd.open >= bound) {
                leaving.push(
                    crowd
                        .and_then(|crowd| crowd.idle.first_key_value())
                        .map(|(_, id)| *id)
                        .ok_or(Crowded::Address)?,
                );
                // Who leaves this network leaves the wider ones too.
                break;
            }
        }
        if leaving.is_empty() && self.open.len() >= self.limits.all as usize {
            leaving.push(self.idle.first_key_value().map(|(_, id)| *id).ok_or(Crowded::Port)?);
        }
        let leaving = leaving.into_iter().filter_map(|id| self.leave(id)).collect();
        let id = self.moment();
        for network in &networks {
            self.by_network.entry(*network).or_default().open += 1;
        }
        self.open.insert(id, Open { networks, is_new: true, idle_since: None, closer });
        self.rest(id);
        Ok((id, leaving))
    }

    fn moment(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The server owes it an answer from now on.
    fn work(&mut self, id: u64) {
        let Some(open) = self.open.get_mut(&id) else { return };
        let Some(since) = open.idle_since.take() else { return };
        open.is_new = false;
        self.idle.remove(&since);
        for network in &open.networks {
            if let Some(crowd) = self.by_network.get_mut(network) {
                crowd.idle.remove(&since);
            }
        }
    }

    /// The server owes it nothing any more.
    fn rest(&mut self, id: u64) {
        let moment = self.moment();
        let Some(open) = self.open.get_mut(&id) else { return };
        if open.idle_since.is_some() {
            return;
        }
        let since = IdleSince { is_new: open.is_new, moment };
        open.idle_since = Some(since);
        self.idle.insert(since, id);
        for network in &open.networks {
            if let Some(crowd) = self.by_network.get_mut(network) {
                crowd.idle.insert(since, id);
            }
        }
    }

    fn leave(&mut self, id: u64) -> Option<Arc<Closer>> {
        self.work(id);
        let open = self.open.remove(&id)?;
        for network in &open.networks {
            let left = self.by_network.get_mut(network).map(|crowd| {
                crowd.open -= 1;
                crowd.open
            });
            if left == Some(0) {
                self.by_network.remove(network);
            }
        }
        Some(open.closer)
    }
}

/// The connections of one port. Cloning shares them.
#[derive(Clone)]
pub struct Connections {
    table: Arc<Mutex<ConnectionTable>>,
    open: Gauge,
}

impl Connections {
    /// `open` shows how many there are.
    pub fn new(limits: ConnectionLimits, open: Gauge) -> Self {
        Self { table: Arc::new(Mutex::new(ConnectionTable::new(limits))), open }
    }

    /// Lets a newcomer in; the oldest idle one is told to close where there would be too many. `None` as the
    /// address: a proxy, whose connections are those of many.
    ///
    /// # Errors
    /// [`Crowded`]: all the others are being answered.
    pub fn admit(&self, address: Option<ClientAddress>) -> Result<ConnectionPermit, Crowded> {
        let closer = Arc::new(Closer::default());
        let mut table = self.table();
        let (id, leaving) = table.admit(address, closer.clone())?;
        self.open.set(table.open.len() as i64);
        drop(table);
        for other in leaving {
            other.close();
        }
        Ok(ConnectionPermit(ConnectionHandle { id, closer, connections: self.clone() }))
    }

    fn table(&self) -> MutexGuard<'_, ConnectionTable> {
        // Nothing panics while it is held.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says from outside that a connection has to close.
#[derive(Default)]
struct Closer {
    closed: AtomicBool,
    /// It holds a session.
    kept: AtomicBool,
    waker: AtomicWaker,
}

impl Closer {
    /// Marks it as one that nobody closes any more.
    fn keep(&self) {
        self.kept.store(true, Ordering::Release);
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// One connection's place, given back when dropped.
pub struct ConnectionPermit(ConnectionHandle);

impl ConnectionPermit {
    /// What requests of the connection are marked with.
    pub fn handle(&self) -> ConnectionHandle {
        self.0.clone()
    }

    /// Whether the connection has to close; if not, `waker` is woken when it has.
    pub fn must_close(&self, waker: &Waker) -> bool {
        let closer = &self.0.closer;
        closer.waker.register(waker);
        closer.closed.load(Ordering::Acquire) && !self.is_session()
    }

    pub fn is_session(&self) -> bool {
        self.0.closer.kept.load(Ordering::Acquire)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// A connection as its requests know it.
#[derive(Clone)]
pub struct ConnectionHandle {
    id: u64,
    closer: Arc<Closer>,
    connections: Connections,
}

impl ConnectionHandle {
    /// The connection is not idle as long as this is held.
    pub fn busy(&self) -> Busy {
        self.connections.table().work(self.id);
        Busy(self.clone())
    }

    /// The connection holds a session from now on, which is counted elsewhere.
    pub fn becomes_session(&self) {
        self.closer.keep();
        self.leave();
    }

    fn leave(&self) {
        let mut table = self.connections.table();
        table.leave(self.id);
        self.connections.open.set(table.open.len() as i64);
    }
}

/// An answer that the server owes.
pub struct Busy(ConnectionHandle);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.connections.table().rest(self.0.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(last: u8) -> Option<ClientAddress> {
        Some(ClientAddress::V4([192, 0, 2, last]))
    }

    fn port(all: u32, per_address: u32) -> Connections {
        Connections::new(
            ConnectionLimits { all, per_address: NonZeroU32::new(per_address) },
            Gauge::default(),
        )
    }

    fn is_closed(permit: &ConnectionPermit) -> bool {
        permit.must_close(Waker::noop())
    }

    #[test]
    fn the_oldest_idle_one_goes_for_a_newcomer() {
        let port = port(3, 0);
        let [a, b, c] = [1, 2, 3].map(|n| port.admit(v4(n)).ok().unwrap());
        drop(b.handle().busy());
        drop(a.handle().busy());
        let d = port.admit(v4(4)).ok().unwrap();
        assert_eq!(
            [&a, &b, &c, &d].map(is_closed),
            [false, true, false, false],
            "b has been idle for longer than a, and c asked nothing yet"
        );
        let e = port.admit(v4(5)).ok().unwrap();
        assert_eq!([&a, &c, &d, &e].map(is_closed), [true, false, false, false]);
        let _f = port.admit(v4(6)).ok().unwrap();
        assert_eq!(
            [&c, &d, &e].map(is_closed),
            [true, false, false],
            "of those who asked nothing the oldest"
        );
        assert_eq!(port.open.get(), 3);
    }

    #[test]
    fn an_address_beyond_its_bound_loses_its_own() {
        let port = port(10, 2);
        let (a, b) = (port.admit(v4(1)).ok().unwrap(), port.admit(v4(2)).ok().unwrap());
        let c = port.admit(v4(2)).ok().unwrap();
        let _d = port.admit(v4(2)).ok().unwrap();
        assert_eq!([&a, &b, &c].map(is_closed), [false, true, false]);
    }

    #[test]
    fn who_is_being_answered_is_never_closed() {
        let port = port(3, 2);
        let (a, b) = (port.admit(v4(1)).ok().unwrap(), port.admit(v4(1)).ok().unwrap());
        let _answers = (a.handle().busy(), b.handle().busy());
        assert_eq!(port.admit(v4(1)).err(), Some(Crowded::Address));
        let c = port.admit(v4(2)).ok().unwrap();
        let _answer = c.handle().busy();
        assert_eq!(port.admit(v4(3)).err(), Some(Crowded::Port));
        assert!(![&a, &b, &c].map(is_closed).contains(&true));
    }

    #[test]
    fn a_proxy_has_no_bound_of_its_own() {
        let port = port(5, 2);
        let all: Vec<_> = (0..5).map(|_| port.admit(None).ok().unwrap()).collect();
        assert!(all.iter().all(|one| !is_closed(one)));
        let _more = port.admit(None).ok().unwrap();
        assert!(is_closed(&all[0]), "in all it is bounded like any other");
    }

    #[test]
    fn what_leaves_or_becomes_a_session_is_forgotten() {
        let port = port(2, 2);
        let (a, b) = (port.admit(v4(1)).ok().unwrap(), port.admit(v4(1)).ok().unwrap());
        let answer = b.handle().busy();
        b.handle().becomes_session();
        drop((answer, a));
        assert_eq!(port.open.get(), 0);
        let table = port.table();
        assert!(table.open.is_empty() && table.idle.is_empty() && table.by_network.is_empty());
        drop(table);
        let _others = [
            port.admit(v4(1)).ok().unwrap(),
            port.admit(v4(1)).ok().unwrap(),
            port.admit(v4(1)).ok().unwrap(),
        ];
        assert!(!is_closed(&b), "a session is closed by its own rules");
    }

    #[test]
    fn an_ipv6_block_is_bounded_as_a_whole() {
        let port = port(1_000, 2);
        let of = |subnet: u8| Some(ClientAddress::V6([0x20, 1, 0xd, 0xb8, 0, 0, 0, subnet]));
        // A /56 has four times the bound of a /64.
        let all: Vec<_> = (0..8).map(|n| port.admit(of(n)).ok().unwrap()).collect();
        assert!(all.iter().all(|one| !is_closed(one)));
        let _more = port.admit(of(99)).ok().unwrap();
        assert!(is_closed(&all[0]));
    }
}
