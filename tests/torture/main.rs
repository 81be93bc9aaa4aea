//! Many clients at once against what may fail, and a checker that reads what they saw.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../it/harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "what these proofs do not need, the tests in tests/it do")]
mod harness;

mod size;
mod fleet;
mod log;
mod record;
mod checker;
mod faulty;
mod story;
mod record_tests;
mod checker_tests;
mod marks_tests;
mod faulty_tests;
mod kill;
mod aborts;
mod repeats;
mod disk;
mod power_cut;
mod postgres;
mod pgbouncer;
mod postgres_tls;
mod starts;
mod database_faults;
mod failover;
mod late_start;
mod slow_database;
mod clock;
mod faketime;
mod clocks_apart;
mod soak;
mod unharmed;
mod bystanders;
mod busy;
mod generations;
mod large;
mod drops;
mod slow_consumers;
mod handshakes;
mod hostile_inputs;
mod hostile_kinds;
mod api_fuzz;
mod canaries;
mod who_may_see;
mod who_may_see_frames;
mod namespaces;
mod lookout;
mod cluster;
mod cluster_cuts;
mod nats_split;
mod versions;
