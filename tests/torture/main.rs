//! Many clients at once against what may fail, and a checker that reads what they saw.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod log;
mod record;
mod checker;
mod faulty;
mod story;
mod record_tests;
mod checker_tests;
mod marks_tests;
mod faulty_tests;
