//! A topic in memory: the log's real rows, order and seals, without a broker.

use std::sync::Arc;

use merx_store::{Records, Result};
use parking_lot::Mutex;

use super::bodies::{Body, Place, Topic};
use super::{KafkaEventLog, damaged};
use crate::simulated::Network;

const PARTITIONS: u128 = 4;

/// What a broker keeps, shared by the processes of a simulation.
#[derive(Default)]
pub struct SimulatedTopic(Mutex<[Vec<Vec<u8>>; PARTITIONS as usize]>);

impl SimulatedTopic {
    fn put(&self, body: Body) -> Place {
        let partition = (body.subject.0 % PARTITIONS) as usize;
        let held = &mut self.0.lock()[partition];
        held.push(body.sealed);
        Place { partition: partition as i32, offset: held.len() as i64 - 1 }
    }
}

/// The topic as one process reaches it.
struct Reached {
    topic: Arc<SimulatedTopic>,
    network: Arc<dyn Network>,
}

impl KafkaEventLog {
    /// The log of one process of a simulation.
    pub fn simulated(
        topic: &Arc<SimulatedTopic>,
        network: Arc<dyn Network>,
        records: Arc<dyn Records>,
        queue: usize,
    ) -> Result<Self> {
        Self::over(Arc::new(Reached { topic: Arc::clone(topic), network }), Arc::default(), records, queue)
    }
}

impl Topic for Reached {
    fn put(&self, bodies: Vec<Body>) -> Result<Vec<Place>> {
        self.network.request("topic.put")?;
        let places = bodies.into_iter().map(|body| self.topic.put(body)).collect();
        self.network.answer("topic.put")?;
        Ok(places)
    }

    fn get(&self, places: &[Place]) -> Result<Vec<Vec<u8>>> {
        self.network.request("topic.get")?;
        let partitions = self.topic.0.lock();
        let body = |place: &Place| partitions.get(place.partition as usize)?.get(place.offset as usize).cloned();
        let bodies: Option<_> = places.iter().map(body).collect();
        bodies.ok_or_else(|| damaged("a place that the topic never gave".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use merx_store::conformance;
    use merx_store::embedded::SqliteRecords;

    use super::*;
    use crate::simulated::Direct;

    #[test]
    fn conformance() {
        let folder = tempfile::tempdir().unwrap();
        let records = SqliteRecords::open(&folder.path().join("records.sqlite"), crate::KAFKA_MIGRATIONS).unwrap();
        let (topic, records) = (Arc::default(), Arc::new(records));
        conformance::event_log(&|| {
            Ok(Arc::new(KafkaEventLog::simulated(&topic, Arc::new(Direct), Arc::clone(&records) as _, 10_000)?))
        });
    }
}
