//! What an address says to the client.

use std::time::Duration;

use merx_store::{Result, StoreError};
use rdkafka::ClientConfig;

use super::WHAT;
use crate::address::{Address, AddressError};

const OPTIONS: [&str; 6] = ["partitions", "replication", "timeout_ms", "tls", "ca_file", "sasl"];
const DEFAULT_TOPIC: &str = "merx-events";

pub(super) struct Settings {
    pub(super) client: ClientConfig,
    pub(super) topic: String,
    /// Of a topic that is made.
    pub(super) partitions: i32,
    pub(super) replication: i32,
    pub(super) timeout: Duration,
    pub(super) shown: String,
}

impl Settings {
    pub(super) fn of(address: &Address) -> Result<Self> {
        let fail = |error: AddressError| refused(error.to_string());
        address.only_options(&OPTIONS).map_err(fail)?;
        let partitions = address.number("partitions", 8, 1..=10_000, "1 to 10000").map_err(fail)?;
        let replication = address.number("replication", 3, 1..=9, "1 to 9").map_err(fail)?;
        let timeout = address.number("timeout_ms", 30_000, 100..=600_000, "milliseconds up to 600000").map_err(fail)?;
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", address.hosts().join(",")).set("client.id", "merx");
        sign_in(address, &mut client)?;
        let topic = if address.path().is_empty() { DEFAULT_TOPIC } else { address.path() };
        Ok(Self {
            client,
            topic: topic.to_owned(),
            partitions: partitions as i32,
            replication: replication as i32,
            timeout: Duration::from_millis(timeout),
            shown: address.to_string(),
        })
    }
}

fn sign_in(address: &Address, client: &mut ClientConfig) -> Result<()> {
    let fail = |error: AddressError| refused(error.to_string());
    let encrypted = match address.option("tls") {
        Some("on") => true,
        Some("off") => false,
        None => !address.is_loopback(),
        Some(other) => return Err(fail(address.bad("tls", other, "on or off"))),
    };
    if encrypted && !cfg!(feature = "kafka-tls") {
        return Err(refused(format!(
            "{address}: this build can't encrypt to Kafka; build with the feature kafka-tls (OpenSSL), or write tls=off where \
             the network is private"
        )));
    }
    let password = address.password().map_err(fail)?;
    let protocol = match (password.is_some(), encrypted) {
        (true, true) => "sasl_ssl",
        (true, false) => "sasl_plaintext",
        (false, true) => "ssl",
        (false, false) => "plaintext",
    };
    client.set("security.protocol", protocol);
    if let Some(password) = password {
        client
            .set("sasl.mechanisms", address.option("sasl").unwrap_or("PLAIN"))
            .set("sasl.username", address.user().unwrap_or("merx"))
            .set("sasl.password", password.reveal());
    }
    if let Some(file) = address.option("ca_file") {
        client.set("ssl.ca.location", file);
    }
    Ok(())
}

pub(super) fn refused(detail: String) -> StoreError {
    StoreError::Unavailable { what: WHAT, detail }
}
