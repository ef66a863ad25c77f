//! The suites of the ports on real servers, and what only servers can do wrong.
//!
//! Run by `tools/test backends`, which starts the servers (`dev/services up`) and names them in the environment. Without
//! them these tests are ignored, not passed.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod kafka;
mod postgres;
mod redis;
mod s3;

use merx_backends::Address;

/// The address of a service, from `dev/services up`.
fn service(name: &str) -> String {
    let variable = format!("MERX_TEST_{name}");
    std::env::var(&variable).unwrap_or_else(|_| panic!("{variable} is not set: run tools/test backends"))
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

/// A name that no other test and no other run has.
fn own_name(test: &str) -> String {
    format!("{test}_{}", std::process::id())
}

/// A port that nobody listens on.
fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The words of an opening that must be refused. Passwords are never among them.
fn refusal<T>(opened: merx_store::Result<T>, expected: &str) {
    let error = opened.err().unwrap_or_else(|| panic!("opened, though it should say {expected:?}"));
    for shown in [error.to_string(), format!("{error:?}")] {
        assert!(!shown.contains("secret"), "a password is shown: {shown}");
    }
    assert!(error.to_string().contains(expected), "{error} does not say {expected:?}");
}
