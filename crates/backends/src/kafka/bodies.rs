//! The topic: bytes in, place out; places in, bytes out.

use std::collections::HashMap;
use std::time::Duration;

use crossbeam_channel::{Sender, unbounded};
use merx_domain::{EventId, SubjectId};
use merx_store::{Result, StoreError};
use parking_lot::Mutex;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::settings::{Settings, refused};
use super::{WHAT, damaged};
use crate::driver::Driver;

/// Consumers kept open; further ones are made and closed.
const IDLE_CONSUMERS: usize = 4;
const POLL: Duration = Duration::from_millis(100);
const RETENTION: &str = "retention.ms";

/// Where a body lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// Where bodies lie, and come back from.
pub(super) trait Topic: Send + Sync {
    /// Returns after every body is durable; places by position.
    fn put(&self, bodies: Vec<Body>) -> Result<Vec<Place>>;
    /// Bodies by position.
    fn get(&self, places: &[Place]) -> Result<Vec<Vec<u8>>>;
}

pub(super) struct Body {
    pub(super) id: EventId,
    pub(super) subject: SubjectId,
    pub(super) sealed: Vec<u8>,
}

/// Which message of an append was delivered, and who waits.
struct Ticket {
    number: usize,
    reply: Sender<(usize, Result<Place, KafkaError>)>,
}

struct Delivered;

impl ClientContext for Delivered {}

impl ProducerContext for Delivered {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let place = match result {
            Ok(message) => Ok(Place { partition: message.partition(), offset: message.offset() }),
            Err((error, _)) => Err(error.clone()),
        };
        let _ = ticket.reply.send((ticket.number, place));
    }
}

pub(super) struct Bodies {
    settings: Settings,
    partitions: u128,
    producer: ThreadedProducer<Delivered>,
    idle: Mutex<Vec<BaseConsumer>>,
}

impl Bodies {
    pub(super) fn open(settings: &Settings, queue: usize) -> Result<Self> {
        let settings = Settings {
            client: settings.client.clone(),
            topic: settings.topic.clone(),
            shown: settings.shown.clone(),
            ..*settings
        };
        let explained = |error: KafkaError| explain(&settings, &error);
        let producer: ThreadedProducer<Delivered> = settings
            .client
            .clone()
            // Written once and in order however often the network makes the client repeat itself.
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "2")
            .set("queue.buffering.max.messages", queue.max(1_000).to_string())
            .set("message.timeout.ms", settings.timeout.as_millis().to_string())
            .create_with_context(Delivered)
            .map_err(explained)?;
        let partitions = prepare_topic(&settings)?;
        Ok(Self { settings, partitions: partitions as u128, producer, idle: Mutex::default() })
    }
}

impl Topic for Bodies {
    /// Durable: acknowledged by all in-sync replicas.
    fn put(&self, bodies: Vec<Body>) -> Result<Vec<Place>> {
        let (reply, delivered) = unbounded();
        let count = bodies.len();
        for (number, body) in bodies.into_iter().enumerate() {
            let (key, partition) = (body.id.to_bytes(), (body.subject.0 % self.partitions) as i32);
            let ticket = Box::new(Ticket { number, reply: reply.clone() });
            let record = BaseRecord::with_opaque_to(&self.settings.topic, ticket)
                .partition(partition)
                .key(&key[..])
                .payload(&body.sealed[..]);
            self.producer.send(record).map_err(|(error, _)| match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::QueueFull) => StoreError::Busy { what: WHAT, retry_after_ms: 1_000 },
                _ => explain(&self.settings, &error),
            })?;
        }
        drop(reply);
        let mut places = vec![None; count];
        // Each ticket answers: with a place, or with an error after `message.timeout.ms`.
        for (number, place) in delivered {
            places[number] = Some(place.map_err(|error| explain(&self.settings, &error))?);
        }
        let all: Option<Vec<Place>> = places.into_iter().collect();
        all.ok_or_else(|| refused(format!("{}: the producer stopped", self.settings.shown)))
    }

    fn get(&self, places: &[Place]) -> Result<Vec<Vec<u8>>> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let idle = self.idle.lock().pop();
        let consumer = idle.map_or_else(|| self.consumer(), Ok)?;
        let bodies = self.get_by(&consumer, places)?;
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_CONSUMERS {
            idle.push(consumer);
        }
        Ok(bodies)
    }
}

impl Bodies {
    /// A consumer of no group: it is told where to read.
    fn consumer(&self) -> Result<BaseConsumer> {
        let mut config = self.settings.client.clone();
        config
            .set("group.id", "merx-reader")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", "50")
            .set("queued.min.messages", "10000");
        config.create().map_err(|error| explain(&self.settings, &error))
    }

    fn get_by(&self, consumer: &BaseConsumer, places: &[Place]) -> Result<Vec<Vec<u8>>> {
        let fail = |error: KafkaError| explain(&self.settings, &error);
        let mut wanted: HashMap<Place, Vec<usize>> = HashMap::new();
        let mut first: HashMap<i32, i64> = HashMap::new();
        for (number, place) in places.iter().enumerate() {
            wanted.entry(*place).or_default().push(number);
            let least = first.entry(place.partition).or_insert(place.offset);
            *least = place.offset.min(*least);
        }
        let mut assignment = TopicPartitionList::new();
        for (partition, offset) in first {
            let offset = Offset::Offset(offset);
            assignment.add_partition_offset(&self.settings.topic, partition, offset).map_err(fail)?;
        }
        consumer.assign(&assignment).map_err(fail)?;
        let mut bodies = vec![Vec::new(); places.len()];
        let mut silent = Duration::ZERO;
        while !wanted.is_empty() {
            match consumer.poll(POLL) {
                Some(Ok(message)) => {
                    silent = Duration::ZERO;
                    let place = Place { partition: message.partition(), offset: message.offset() };
                    for number in wanted.remove(&place).unwrap_or_default() {
                        bodies[number] = message.payload().unwrap_or_default().to_vec();
                    }
                }
                Some(Err(KafkaError::MessageConsumption(
                    RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
                ))) => {
                    return Err(damaged(format!(
                        "{}: the topic no longer holds what was acknowledged; restore it, and set retention.ms=-1",
                        self.settings.shown
                    )));
                }
                // The client goes on trying by itself.
                Some(Err(error)) => {
                    tracing::debug!(%error, "event log: reading");
                    silent += POLL;
                }
                None => silent += POLL,
            }
            if silent >= self.settings.timeout {
                let problem = "no answer in time; check that the brokers run, and that the topic was not emptied";
                return Err(refused(format!("{}: {problem}", self.settings.shown)));
            }
        }
        consumer.unassign().map_err(fail)?;
        Ok(bodies)
    }
}

/// Asks the brokers for the topic. Words for who asked.
pub(super) fn check(settings: &Settings) -> Result<String> {
    let fail = |error: KafkaError| explain(settings, &error);
    let admin = settings.client.create().map_err(fail)?;
    let shown = &settings.shown;
    match look_at(settings, &admin)? {
        (brokers, 0) => Ok(format!("{shown}: {brokers} brokers; the topic will be made")),
        (brokers, partitions) => {
            check_retention(settings, &admin, &Driver::start(WHAT)?)?;
            Ok(format!("{shown}: {brokers} brokers, {partitions} partitions"))
        }
    }
}

/// Makes the topic where there is none; its number of partitions.
fn prepare_topic(settings: &Settings) -> Result<usize> {
    let admin: Admin = settings.client.create().map_err(|error| explain(settings, &error))?;
    let driver = Driver::start(WHAT)?;
    let (brokers, partitions) = look_at(settings, &admin)?;
    if partitions > 0 {
        check_retention(settings, &admin, &driver)?;
        return Ok(partitions);
    }
    let replication = settings.replication.min(brokers as i32);
    let topic = NewTopic::new(&settings.topic, settings.partitions, TopicReplication::Fixed(replication))
        .set(RETENTION, "-1")
        .set("retention.bytes", "-1")
        .set("cleanup.policy", "delete");
    let options = AdminOptions::new().request_timeout(Some(settings.timeout));
    let made = driver.wait(admin.create_topics([&topic], &options)).map_err(|error| explain(settings, &error))?;
    for result in made {
        match result {
            // Another replica may have been first.
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => {
                let remedy = "let the user create topics, or make it with unlimited retention";
                return Err(refused(format!("{}: the topic can't be made: {code}; {remedy}", settings.shown)));
            }
        }
    }
    // A new topic takes a moment to be known everywhere.
    for _ in 0..50 {
        match look_at(settings, &admin)? {
            (_, 0) => std::thread::sleep(POLL),
            (_, partitions) => return Ok(partitions),
        }
    }
    Err(refused(format!("{}: the topic was made but does not appear; look into the brokers' logs", settings.shown)))
}

type Admin = AdminClient<DefaultClientContext>;

/// Brokers, and partitions of the topic: 0 where there is none. All topics are asked for: a broker may make one that is
/// asked for by its name.
fn look_at(settings: &Settings, admin: &Admin) -> Result<(usize, usize)> {
    let timeout = settings.timeout.min(Duration::from_secs(10));
    let metadata = admin.inner().fetch_metadata(None, timeout).map_err(|error| explain(settings, &error))?;
    let topic = metadata.topics().iter().find(|topic| topic.name() == settings.topic);
    Ok((metadata.brokers().len(), topic.map_or(0, |topic| topic.partitions().len())))
}

/// A topic that forgets would lose what was acknowledged.
fn check_retention(settings: &Settings, admin: &Admin, driver: &Driver) -> Result<()> {
    let options = AdminOptions::new().request_timeout(Some(settings.timeout));
    let asked = [ResourceSpecifier::Topic(&settings.topic)];
    let Ok(answers) = driver.wait(admin.describe_configs(&asked, &options)) else {
        tracing::warn!(topic = settings.topic, "event log: the topic's retention could not be read; it must be -1");
        return Ok(());
    };
    let retention = answers.into_iter().flatten().find_map(|resource| resource.get(RETENTION)?.value.clone());
    match retention.as_deref() {
        None | Some("-1") => Ok(()),
        Some(other) => Err(refused(format!(
            "{}: the topic forgets events after {RETENTION}={other}; set it to -1: kafka-configs --alter --topic {} \
             --add-config {RETENTION}=-1",
            settings.shown, settings.topic
        ))),
    }
}

fn explain(settings: &Settings, error: &KafkaError) -> StoreError {
    let remedy = match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => {
            "check user and password (or password_file)"
        }
        Some(RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed) => {
            "grant the user Read, Write, Describe, DescribeConfigs and Create on the topic, IdempotentWrite on the cluster"
        }
        Some(RDKafkaErrorCode::NotEnoughReplicas | RDKafkaErrorCode::NotEnoughReplicasAfterAppend) => {
            "too few brokers are in sync; bring them back"
        }
        _ => "check the brokers' addresses and firewall, and that they run",
    };
    refused(format!("{}: {error}; {remedy}", settings.shown))
}
