//! Bytes on disk: five ports and their embedded implementations.
//!
//! Nothing above this crate knows a file, a page or a database. Ports are synchronous: callers on an async runtime
//! hand writes to a blocking thread. One conformance suite a port runs on every implementation.

mod ports;

pub use ports::*;
