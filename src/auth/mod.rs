//! Tokens and revocations.
