//! The checker against the model: a sound store passes, a faulty one is found out.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use crate::checker::Invariant::{self, I1, I2, I4, I6, I7, I8, I9, I11};
use crate::checker::{Report, check};
use crate::faulty::{Fault, Sim};
use crate::log::{Histories, Log};

const PEERS: [&str; 3] = ["alice", "bob", "carol"];

/// A message as a client keeps it to send it again.
#[derive(Clone)]
struct Kept {
    client: usize,
    peer: &'static str,
    id: String,
    content: String,
}

/// Clients that send, retry, read, recall and clear, while batches fail, connections end and the server dies.
fn run(seed: u64, fault: Fault) -> (Vec<Log>, Histories) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut sim =
        Sim::new(fault, &[("alice", "phone"), ("alice", "tablet"), ("bob", "phone"), ("carol", "phone")]);
    let mut kept: Vec<Kept> = Vec::new();
    for step in 0..600 {
        let client = rng.random_range(0..4);
        let peer = *PEERS.choose(&mut rng).unwrap();
        let choice = rng.random_range(0..100);
        if (18..75).contains(&choice) && !sim.is_connected(client) {
            sim.connect(client);
        }
        match choice {
            0..15 => sim.commit(),
            15..17 => sim.roll_back(),
            17 => sim.crash(),
            18..50 => {
                let id = format!("m{step}");
                let message = Kept { client, peer, content: format!(r#"{{"message":"text of {id}"}}"#), id };
                sim.send(client, peer, &message.id, &message.content);
                kept.push(message);
            }
            50..60 => {
                // Answered or not: a client may not know.
                if let Some(again) = kept.choose(&mut rng).filter(|again| sim.is_connected(again.client)) {
                    sim.send(again.client, again.peer, &again.id, &again.content);
                }
            }
            60..68 => sim.read(client, peer, rng.random_range(1..40)),
            68..72 => sim.recall(client, peer, rng.random_range(1..20)),
            72..74 => sim.clear(client, peer),
            74 => sim.sync(client),
            _ => sim.disconnect(client),
        }
    }
    for client in 0..4 {
        if !sim.is_connected(client) {
            sim.connect(client);
        }
    }
    kept.iter().for_each(|again| sim.send(again.client, again.peer, &again.id, &again.content));
    sim.commit();
    sim.finish()
}

fn report(seed: u64, fault: Fault) -> Report {
    let (logs, histories) = run(seed, fault);
    check(&logs, &histories)
}

/// In how many of so many seeds an invariant is found broken.
fn caught(fault: Fault, seeds: u64) -> BTreeMap<Invariant, u64> {
    let mut caught = BTreeMap::new();
    for invariant in (0..seeds).flat_map(|seed| report(seed, fault).broken()) {
        *caught.entry(invariant).or_default() += 1;
    }
    caught
}

#[test]
fn a_sound_store_breaks_nothing() {
    let (mut recalled, mut cleared, mut unread) = (0, 0, 0);
    for seed in 0..100 {
        let (logs, histories) = run(seed, Fault::None);
        let report = check(&logs, &histories);
        assert!(report.is_clean(), "seed {seed}: {report}");
        let counts = &report.counts;
        assert!(
            counts.messages > 50 && counts.acks > 50 && counts.retries > 20 && counts.duplicates > 20,
            "seed {seed}: {report}"
        );
        assert!(
            !counts.refusals.is_empty() && counts.received > 100 && counts.receipts > 0 && counts.marks > 0,
            "seed {seed}: {report}"
        );
        recalled += histories.views.iter().flat_map(|view| &view.messages).filter(|m| m.recalled).count();
        cleared +=
            histories.views.iter().filter(|view| view.messages.first().is_none_or(|m| m.seq > 1)).count();
        unread += histories.totals.values().sum::<i64>();
    }
    assert!(recalled > 100 && cleared > 50 && unread > 100, "{recalled} {cleared} {unread}");
}

#[test]
fn each_fault_is_caught_in_every_run() {
    let all = [
        (Fault::AckBeforeCommit, I1),
        (Fault::NoUniqueIndex, I2),
        (Fault::NoUniqueIndex, I8),
        (Fault::CounterOutsideTransaction, I4),
        (Fault::CounterBehind, I4),
        (Fault::PushBeforeCommit, I6),
        (Fault::PushLastFirst, I11),
        (Fault::SyncFromOneTooHigh, I7),
        (Fault::ReadBeforeCommit, I9),
    ];
    for (fault, invariant) in all {
        let caught = caught(fault, 5);
        assert_eq!(caught.get(&invariant), Some(&5), "{fault:?} was caught by {caught:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_report() {
    assert_eq!(report(7, Fault::CounterBehind).to_string(), report(7, Fault::CounterBehind).to_string());
}
