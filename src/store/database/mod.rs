//! The two databases: connections to them, their tables and steps, how they stand, backup.

pub(in crate::store) mod backup;
pub(in crate::store) mod clock;
pub(in crate::store) mod conn;
pub(in crate::store) mod error;
pub(in crate::store) mod examine;
pub(in crate::store) mod generation;
pub(in crate::store) mod health;
pub(in crate::store) mod indexes;
pub(in crate::store) mod migrations;
pub(in crate::store) mod postgres_url;
pub(in crate::store) mod reach;
pub(in crate::store) mod schema;
pub(in crate::store) mod sqlite_file;
pub(in crate::store) mod statement;
