//! Check of messages and names before they are stored: by the operator's word list, by WeChat's msgSecCheck,
//! or by both.
//!
//! A message goes through [`ModerationHandle`], which asks the list ([`words`]) on the thread that it comes
//! in on. Where WeChat is asked, it goes on to [`ContentCheck`], which asks about many at a time and hands
//! each to the store once those before it, by the same sender to the same recipient, have gone. What becomes
//! of a text stands in `verdict`; what WeChat says of a file later is dealt with in `late`.

mod alike;
mod fold;
mod text;
pub mod words;
mod reload;
mod verdict;
mod pieces;
mod limiter;
mod budget;
mod breaker;
mod cache;
mod order;
mod ports;
mod handle;
mod actor;
mod media_results;

pub use actor::ContentCheck;
pub use handle::{Common, Detail, ModerationHandle, Seen};
pub use media_results::{SettleMediaResult, moderator_recall};
pub use ports::Senders;
pub use reload::{BadList, Words};
pub use verdict::Policy;
