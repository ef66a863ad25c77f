//! Bytes on disk: five ports and their embedded implementations.
//!
//! Nothing above this crate knows a file, a page or a database. Ports are synchronous: callers on an async runtime
//! hand writes to a blocking thread. One conformance suite a port runs on every implementation.
//!
//! SQL is written once, in the dialect that SQLite and PostgreSQL share: parameters are `$1`, `$2` .., bound by
//! their number; columns are BIGINT, DOUBLE PRECISION, TEXT and BYTEA; upserts are `INSERT .. ON CONFLICT`.

pub mod codec;
pub mod conformance;
pub mod embedded;
pub mod lake_events;
pub mod lake_layout;
mod lease;
mod ports;
pub mod subjects;

pub use codec::Format;
pub use embedded::scan;
pub use embedded::{Engines, LogSettings, Store};
pub use lease::{Fence, FencedRecords, LEASE_MIGRATIONS, Lease, Pass, SILENT_LOOKS, Standing};
pub use ports::*;
