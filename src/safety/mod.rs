//! What people write, checked before it is stored: by the operator's word list, by WeChat's msgSecCheck, or by both.

mod fold;
mod text;
mod pieces;
pub mod words;
mod limiter;
mod breaker;
mod cache;
mod order;
