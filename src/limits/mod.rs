//! Limits: of the machine, of an address, of a user. What callers are told of a refusal is the work of those
//! who ask.
//!
//! All numbers are of this node alone. What is kept of somebody who went quiet is dropped by
//! [`Admission::evict_idle`] and [`UserLimits::evict_idle`].

mod address;
mod admission;
mod debit;
mod keyed;
mod pacer;
mod users;

pub use address::{ClientAddress, Network};
pub use admission::{Admission, AdmissionError, SessionPermit};
pub use keyed::KeyedLimiter;
pub use pacer::Pacer;
pub use users::UserLimits;
