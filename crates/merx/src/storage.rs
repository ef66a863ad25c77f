//! Where the data lies: the folder, or the services that the configuration names by URL.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use merx_backends::{
    Address, KAFKA_MIGRATIONS, KafkaEventLog, PostgresRecords, PromptRecords, RedisOnlineStore, S3Artifacts, S3Lake,
};
use merx_store::{
    Artifacts, Engines, EventLog, Fence, FencedRecords, LEASE_MIGRATIONS, Lake, LogSettings, Migration, OnlineStore,
    Records, Store,
};
use serde::{Deserialize, Deserializer};

use crate::config::Config;
use crate::jobs;
use crate::lead::LEAD;
use crate::presence;

/// Addresses of services; what has none lies in the data folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Storage {
    #[serde(deserialize_with = "address")]
    pub(crate) records: Option<Address>,
    #[serde(deserialize_with = "address")]
    pub(crate) log: Option<Address>,
    #[serde(deserialize_with = "address")]
    pub(crate) online: Option<Address>,
    #[serde(deserialize_with = "address")]
    pub(crate) lake: Option<Address>,
    #[serde(deserialize_with = "address")]
    pub(crate) artifacts: Option<Address>,
}

/// Ports and the schemes that each takes.
const SCHEMES: [(&str, &[&str]); 5] = [
    ("records", &["postgres", "postgresql"]),
    ("log", &["kafka"]),
    ("online", &["redis", "rediss"]),
    ("lake", &["s3"]),
    ("artifacts", &["s3"]),
];

fn address<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Address>, D::Error> {
    let text = String::deserialize(from)?;
    if text.is_empty() { Ok(None) } else { Address::parse(&text).map(Some).map_err(serde::de::Error::custom) }
}

impl Storage {
    fn all(&self) -> [(&'static str, Option<&Address>); 5] {
        let addresses = [&self.records, &self.log, &self.online, &self.lake, &self.artifacts];
        std::array::from_fn(|port| (SCHEMES[port].0, addresses[port].as_ref()))
    }

    /// Services in use, by port.
    pub(crate) fn services(&self) -> Vec<(&'static str, &Address)> {
        self.all().into_iter().filter_map(|(port, address)| Some((port, address?))).collect()
    }

    /// Whether several processes may serve the shop.
    pub(crate) fn is_shared(&self) -> bool {
        self.all().iter().all(|(_, address)| address.is_some())
    }

    /// Whether each port can be what its address says.
    pub(crate) fn check(&self) -> Result<()> {
        for ((port, address), (_, schemes)) in self.all().into_iter().zip(SCHEMES) {
            if let Some(address) = address.filter(|address| !schemes.contains(&address.scheme())) {
                let known = schemes.iter().map(|scheme| format!("{scheme}://..")).collect::<Vec<_>>().join(" or ");
                bail!("storage.{port} = {address}: expected {known}, or nothing for the data folder");
            }
        }
        Ok(())
    }

    fn migrations(&self, migrations: &[Migration]) -> Vec<Migration> {
        let of_log = if self.log.is_some() { KAFKA_MIGRATIONS } else { &[] };
        let of_lead: &[_] = if self.records.is_some() { &[jobs::MIGRATION, presence::MIGRATION] } else { &[] };
        let of_leases = if self.records.is_some() { LEASE_MIGRATIONS } else { &[] };
        [migrations, of_log, of_leases, of_lead].concat()
    }
}

/// Ports of one side of a move.
#[derive(Clone)]
pub(crate) struct Ports {
    pub(crate) records: Arc<dyn Records>,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) lake: Arc<dyn Lake>,
    pub(crate) artifacts: Arc<dyn Artifacts>,
    /// The folder's lock.
    _folder: Store,
}

/// The data folder, and the same with services where an address is given.
pub(crate) fn both(config: &Config, migrations: &[Migration]) -> Result<(Ports, Ports)> {
    let settings = LogSettings { queued_events: config.limits.queued_events };
    let migrations = config.storage.migrations(migrations);
    let Storage { records, log, lake, artifacts, .. } = &config.storage;
    let folder = Store::open_embedded(&config.data.folder, &migrations, settings)?;
    let here = Ports {
        records: Arc::clone(&folder.records),
        log: Arc::clone(&folder.log),
        lake: Arc::clone(&folder.lake),
        artifacts: Arc::clone(&folder.artifacts),
        _folder: folder,
    };
    let mut there = here.clone();
    if let Some(address) = records {
        there.records = Arc::new(PostgresRecords::open(address, &migrations).context("storage.records")?);
    }
    if let Some(address) = log {
        let opened = KafkaEventLog::open(address, Arc::clone(&there.records), settings.queued_events);
        there.log = Arc::new(opened.context("storage.log")?);
    }
    if let Some(address) = lake {
        there.lake = Arc::new(S3Lake::open(address).context("storage.lake")?);
    }
    if let Some(address) = artifacts {
        there.artifacts = Arc::new(S3Artifacts::open(address).context("storage.artifacts")?);
    }
    Ok((here, there))
}

/// What is known of shoppers on the side that was moved to is of another time: it goes.
pub(crate) fn forget_online(config: &Config, in_services: bool) -> Result<()> {
    match &config.storage.online {
        Some(address) if in_services => Ok(RedisOnlineStore::clear(address)?),
        _ => match std::fs::remove_file(config.data.folder.join("online.snapshot")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        },
    }
}

/// A shop's ports, and what is beside them where several processes may serve it.
pub(crate) struct Opened {
    /// Its records are written by the process that leads alone.
    pub(crate) store: Store,
    /// For what every process writes: what it decided.
    pub(crate) recording: Arc<dyn Records>,
    /// The records, for decisions: no answer rather than a late one.
    pub(crate) prompt: Arc<dyn Records>,
    /// The log, for what the process that leads takes in.
    pub(crate) intake_log: Arc<dyn EventLog>,
    /// Where several processes may serve the shop.
    pub(crate) shared: Option<Arc<Fence>>,
}

/// Opens everything that the configuration names; what can't be used is refused with the sentence that mends it.
pub(crate) fn open(config: &Config, migrations: &[Migration]) -> Result<Opened> {
    if let Storage { records: Some(records), log: Some(log), online: Some(online), lake: Some(_), artifacts: Some(_) } =
        &config.storage
    {
        return open_shared(config, migrations, [records, log, online]);
    }
    let Storage { records, log, online, .. } = &config.storage;
    let settings = LogSettings { queued_events: config.limits.queued_events };
    let migrations = config.storage.migrations(migrations);
    let mut engines = buckets(config)?;
    let mut prompt = None;
    if let Some(address) = records {
        let opened = Arc::new(PostgresRecords::open(address, &migrations).context("storage.records")?);
        prompt = Some(prompt_records(&opened, address)?);
        engines.records = Some(opened as Arc<dyn Records>);
    }
    if let Some(address) = log.clone() {
        engines.log = Some(Box::new(move |records| {
            let opened = KafkaEventLog::open(&address, Arc::clone(records), settings.queued_events)?;
            Ok(Arc::new(opened) as Arc<dyn EventLog>)
        }));
    }
    // Last: whoever opens it writes to it from then on.
    if let Some(address) = online.clone() {
        engines.online =
            Some(Box::new(move || Ok(Arc::new(RedisOnlineStore::open(&address)?) as Arc<dyn OnlineStore>)));
    }
    let store = Store::open(&config.data.folder, &migrations, settings, engines)?;
    let (recording, intake_log) = (Arc::clone(&store.records), Arc::clone(&store.log));
    let prompt = prompt.unwrap_or_else(|| Arc::clone(&store.records));
    Ok(Opened { store, recording, prompt, intake_log, shared: None })
}

fn prompt_records(records: &Arc<PostgresRecords>, address: &Address) -> Result<Arc<dyn Records>> {
    Ok(Arc::new(PromptRecords::over(Arc::clone(records), address).context("storage.records")?))
}

/// Everything lies on services: other processes may have opened it too.
fn open_shared(config: &Config, migrations: &[Migration], [records, log, online]: [&Address; 3]) -> Result<Opened> {
    let settings = LogSettings { queued_events: config.limits.queued_events };
    let migrations = config.storage.migrations(migrations);
    let fence = Fence::new(LEAD);
    let opened = Arc::new(PostgresRecords::open(records, &migrations).context("storage.records")?);
    let prompt = prompt_records(&opened, records)?;
    let recording: Arc<dyn Records> = opened;
    let fenced: Arc<dyn Records> = Arc::new(FencedRecords::new(Arc::clone(&recording), Arc::clone(&fence)));
    let log = KafkaEventLog::open(log, Arc::clone(&recording), settings.queued_events).context("storage.log")?;
    let intake_log = Arc::new(log.through(Arc::clone(&fenced)).context("storage.log")?);
    let online = RedisOnlineStore::watch(online).context("storage.online")?;
    let mut engines = buckets(config)?;
    engines.records = Some(fenced);
    engines.log = Some(Box::new(move |_| Ok(Arc::new(log) as Arc<dyn EventLog>)));
    engines.online = Some(Box::new(move || Ok(Arc::new(online) as Arc<dyn OnlineStore>)));
    let store = Store::open(&config.data.folder, &migrations, settings, engines)?;
    Ok(Opened { store, recording, prompt, intake_log, shared: Some(fence) })
}

/// Lake and artifacts.
fn buckets(config: &Config) -> Result<Engines> {
    let mut engines = Engines::default();
    if let Some(address) = &config.storage.artifacts {
        let opened = S3Artifacts::open(address).context("storage.artifacts")?;
        engines.artifacts = Some(Arc::new(opened) as Arc<dyn Artifacts>);
    }
    if let Some(address) = &config.storage.lake {
        engines.lake = Some(Arc::new(S3Lake::open(address).context("storage.lake")?) as Arc<dyn Lake>);
    }
    Ok(engines)
}

/// `merx doctor`: asks each service whether it can do what is needed, and changes nothing there.
pub(crate) fn doctor(config: &Config) -> Result<()> {
    let mut ill = 0;
    for (port, address) in config.storage.all() {
        let finding = match (port, address) {
            (_, None) => Ok(format!("in the data folder {}", config.data.folder.display())),
            ("records", Some(address)) => PostgresRecords::check(address),
            ("log", Some(address)) => KafkaEventLog::check(address),
            ("online", Some(address)) => RedisOnlineStore::check(address),
            ("lake", Some(address)) => S3Lake::check(address),
            (_, Some(address)) => S3Artifacts::check(address),
        };
        match finding {
            Ok(words) => println!("{port:9}  well  {words}"),
            Err(error) => {
                ill += 1;
                println!("{port:9}  ILL   {error}");
            }
        }
    }
    if config.storage.is_shared()
        && let Some(address) = &config.storage.records
    {
        ill += processes(address);
    }
    if ill == 0 { Ok(()) } else { bail!("{ill} can't be used as they are") }
}

/// Says which processes serve the shop, and counts those that can't be read by what this binary writes, or the other way round.
fn processes(address: &Address) -> usize {
    // Before its first start a shop has no list.
    let Ok(told) = PostgresRecords::unmigrated(address).and_then(|records| presence::told(&records)) else { return 0 };
    let Ok(own) = presence::Process::own() else { return 0 };
    let mut ill = 0;
    for process in told {
        match own.trouble_with(&process) {
            None => println!("process    well  {}", process.shown()),
            Some(words) => {
                ill += 1;
                println!("process    ILL   beside this binary: {words}");
            }
        }
    }
    ill
}

/// An address as it may be shown: without a password.
pub(crate) fn shown(text: &str) -> String {
    match Address::parse(text) {
        _ if text.is_empty() => String::new(),
        Ok(address) => address.to_string(),
        Err(_) => "***".to_owned(),
    }
}
