//! What lies between a process and its services: every call passes here, and here it is lost, cut off or overtaken.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use merx_backends::simulated::Network;
use merx_store::{Records, Result, Row, Scrub, StoreError, Transaction, Value};

use super::world::World;

/// One process's way to its services.
pub(super) struct Link {
    world: Weak<World>,
    pub(super) slot: usize,
    alive: AtomicBool,
}

impl Link {
    pub(super) fn new(world: &Arc<World>, slot: usize) -> Arc<Self> {
        Arc::new(Self { world: Arc::downgrade(world), slot, alive: AtomicBool::new(true) })
    }

    pub(super) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::SeqCst)
    }

    /// The process has no effect on anything from now on.
    pub(super) fn die(&self) {
        self.alive.store(false, Ordering::SeqCst);
    }

    fn pass(&self, what: &'static str, is_answer: bool) -> Result<()> {
        let cut = |detail: &str| StoreError::Unavailable { what, detail: detail.to_owned() };
        if !self.is_alive() {
            return Err(cut("the process is dead"));
        }
        let Some(world) = self.world.upgrade() else { return Ok(()) };
        let lost = world.on_the_way(self, what, is_answer);
        match (self.is_alive(), lost) {
            (true, false) => Ok(()),
            _ => Err(cut(if is_answer { "the answer was lost" } else { "the request was lost" })),
        }
    }
}

impl Network for Link {
    fn request(&self, what: &'static str) -> Result<()> {
        self.pass(what, false)
    }

    fn answer(&self, what: &'static str) -> Result<()> {
        self.pass(what, true)
    }
}

/// Records as one process reaches them. A transaction runs as a whole: what comes between comes before or after it.
pub(super) struct Reached {
    pub(super) records: Arc<dyn Records>,
    pub(super) link: Arc<Link>,
}

impl Records for Reached {
    fn query(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>> {
        self.link.request("records.query")?;
        let rows = self.records.query(sql, parameters)?;
        self.link.answer("records.query")?;
        Ok(rows)
    }

    fn transaction(&self, work: &mut dyn FnMut(&mut dyn Transaction) -> Result<()>) -> Result<()> {
        self.link.request("records.commit")?;
        self.records.transaction(work)?;
        self.link.answer("records.commit")
    }

    fn scrub(&self, scrub: Scrub) -> Result<()> {
        self.records.scrub(scrub)
    }
}
