//! Real engines behind the ports of `store`, one Cargo feature each: PostgreSQL, Kafka, Redis and S3.
//!
//! An engine is named by its address, `postgres://..`, `kafka://..`, `redis://..` or `s3://..`; see [`Address`] for what
//! may stand in one. Each opens with a check: a server that can't do what the port promises is refused at once, with a
//! sentence that mends it. Nothing above this crate knows which engine answers.
//!
//! Ports are synchronous. Clients that are not run on a small runtime of their own ([`driver`]), and a caller on a worker
//! of an asynchronous server hands its other tasks over while it waits.

mod address;
#[cfg(any(feature = "postgres", feature = "s3", feature = "kafka"))]
mod driver;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "s3")]
mod s3;
mod secret;
pub mod simulated;

#[cfg(feature = "redis")]
pub use self::redis::{FORMATS as REDIS_FORMATS, RedisOnlineStore, SimulatedRedis};
pub use address::{Address, AddressError};
#[cfg(feature = "kafka")]
pub use kafka::{KafkaEventLog, MIGRATIONS as KAFKA_MIGRATIONS, SimulatedTopic};
#[cfg(feature = "postgres")]
pub use postgres::{PostgresRecords, PromptRecords};
#[cfg(feature = "s3")]
pub use s3::{S3Artifacts, S3Lake};
pub use secret::Secret;
