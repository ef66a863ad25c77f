//! The real binary, started, killed, starved and damaged; asked over HTTP and by its commands.

#![allow(clippy::unwrap_used, reason = "a step that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "how long a restart takes is printed")]

mod clocks;
mod closed_loop;
mod crash_import;
mod crash_ingest;
mod crash_train;
mod demo;
mod encoding;
mod experimenting;
mod faults;
mod governing;
mod harness;
mod histories;
mod history;
mod layouts;
mod live;
mod outages;
mod overload;
mod planted;
mod privacy;
mod replicas;
mod search_learning;
mod searching;
mod services;
mod upgrading;
mod working;
