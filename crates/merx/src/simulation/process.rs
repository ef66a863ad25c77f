//! One process of the shop: the parts of [`crate::shop::Shop`] that take events in, apply them and decide, wired alike.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use compact_str::CompactString;
use merx_backends::{KafkaEventLog, RedisOnlineStore};
use merx_decide::{
    Adjust, Automations, Dealer, Definitions, ExposureLog, FeatureSource, Pipeline, PipelineSettings, PreparedVariant,
    Recorder, RecorderSettings, Request, RequestShelf, SlotRules, Surface,
};
use merx_domain::experiment::{ExperimentId, Holdout};
use merx_domain::{
    Clock, ConsentPolicy, ConsentStamp, Decision, DecisionId, Device, Engine, EngineError, FallbackLevel, Grant,
    IdentityKind, ManualClock, MarketId, ModelVersion, Proposal, Purposes, Shelf, Situation, SubjectFeatures,
    SubjectId, TimestampMs,
};
use merx_ingest::vault::{MasterKey, Vault};
use merx_ingest::{Ingest, RawEvent};
use merx_store::embedded::SqliteRecords;
use merx_store::{
    Appended, Artifacts, Engines, EventLog, Fence, FencedRecords, Lake, LogOffset, LogSettings, OnlineKey, OnlineStore,
    Records, Row, Scrub, Store, Transaction, Value,
};
use parking_lot::Mutex;

use super::network::{Link, Reached};
use super::world::World;
use crate::lead::{LEAD, Lead};
use crate::projection::dead_letters::{self, DeadLetters};
use crate::projection::{Projection, Round, recover};

pub(super) const POLICY: ConsentPolicy = ConsentPolicy { allowed_unless_denied: Purposes::PERSONALISATION };
/// Events between snapshots: few, so that many are taken.
const SNAPSHOT_EVENTS: u64 = 12;
/// As `lead::BEAT`.
const BEAT_MS: i64 = 1_000;
const CACHED: usize = 1_000;
/// No decision of a simulation is late.
const NO_DEADLINE_MS: u32 = 600_000;

/// Answers with what it was told of the person.
pub(super) struct Mirror;

#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct Nothing;

impl Adjust for Nothing {
    fn meets(&self, _surface: &Surface) -> bool {
        false
    }

    fn adjust(&mut self, _surface: &Surface, _variant: &PreparedVariant, _rules: &mut Vec<SlotRules>) {}
}

impl Engine for Mirror {
    type Ask = Nothing;
    type Answer = SubjectFeatures;

    fn name(&self) -> &'static str {
        "mirror"
    }

    fn propose(
        &self,
        _level: FallbackLevel,
        _pinned: Option<ModelVersion>,
        _situation: &Situation,
        _ask: &Nothing,
        features: &SubjectFeatures,
        _shelf: &dyn Shelf,
        _late: &dyn Fn() -> bool,
    ) -> Result<Proposal<SubjectFeatures>, EngineError> {
        Ok(Proposal { answer: features.clone(), model: None })
    }
}

/// What every process of every simulation shares, for it plays no part in one: no experiment runs, records go nowhere.
pub(super) struct Furniture {
    recorder: Arc<Recorder>,
    dealer: Arc<Dealer>,
    automations: Arc<Automations>,
    lake: Arc<dyn Lake>,
    artifacts: Arc<dyn Artifacts>,
    pub(super) key: MasterKey,
}

struct Nobody;

impl FeatureSource for Nobody {
    fn consent(&self, _subject: SubjectId) -> ConsentStamp {
        ConsentStamp::default()
    }

    fn subject_features(&self, _grant: &Grant, _now: TimestampMs) -> SubjectFeatures {
        SubjectFeatures::default()
    }

    fn shown_arms(&self, _grant: &Grant) -> Vec<(ExperimentId, CompactString)> {
        Vec::new()
    }
}

/// Keeps nothing.
struct Forgets;

impl Records for Forgets {
    fn query(&self, _sql: &str, _parameters: &[Value]) -> merx_store::Result<Vec<Row>> {
        Ok(Vec::new())
    }

    fn transaction(
        &self,
        _work: &mut dyn FnMut(&mut dyn Transaction) -> merx_store::Result<()>,
    ) -> merx_store::Result<()> {
        Ok(())
    }

    fn scrub(&self, _scrub: Scrub) -> merx_store::Result<()> {
        Ok(())
    }
}

impl Furniture {
    pub(super) fn in_folder(folder: &std::path::Path) -> Result<Self> {
        let store = Store::open_embedded(folder, merx_decide::MIGRATIONS, LogSettings::default())?;
        let holdout = Holdout { salt: "none".into(), share: 0 };
        let definitions = Definitions::open(Arc::clone(&store.records), holdout, Default::default())?;
        let exposures = Arc::new(ExposureLog::new(Arc::clone(&store.log)));
        let dealer = Arc::new(Dealer::new(Arc::new(definitions), exposures, Arc::new(Nobody)));
        let automations = Automations::open(Arc::clone(&store.records), &["mirror"], TimestampMs(0))?;
        let recorder = Arc::new(Recorder::new(Arc::new(Forgets), RecorderSettings::default()));
        Ok(Self {
            recorder,
            dealer,
            automations: Arc::new(automations),
            lake: store.lake,
            artifacts: store.artifacts,
            key: MasterKey::random()?,
        })
    }
}

/// What a process is built wrongly with, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Snapshots say that they hold less than they do: events are applied twice.
    CheckpointBehindState,
    /// Snapshots say that they hold more than they do: events are left out.
    CheckpointAheadOfState,
    /// Whoever was paused believes what it remembers.
    NoDoubt,
}

/// An online store whose snapshots are of another offset than they say.
struct Misdated {
    store: Arc<dyn OnlineStore>,
    by: i64,
}

impl OnlineStore for Misdated {
    fn read(&self, key: OnlineKey, read: &mut dyn FnMut(Option<&[u8]>)) -> merx_store::Result<()> {
        self.store.read(key, read)
    }

    fn update(&self, key: OnlineKey, change: &mut dyn FnMut(&mut Vec<u8>)) -> merx_store::Result<()> {
        self.store.update(key, change)
    }

    fn remove(&self, key: OnlineKey) -> merx_store::Result<()> {
        self.store.remove(key)
    }

    fn size(&self) -> merx_store::Result<(u64, u64)> {
        self.store.size()
    }

    fn scan(&self, space: u8, visit: &mut dyn FnMut(u128, &[u8])) -> merx_store::Result<()> {
        self.store.scan(space, visit)
    }

    fn snapshot(&self, at: LogOffset) -> merx_store::Result<()> {
        self.store.snapshot(LogOffset(at.0.saturating_add_signed(self.by)))
    }

    fn restored_at(&self) -> Option<LogOffset> {
        self.store.restored_at()
    }

    fn lead(&self) -> merx_store::Result<Option<LogOffset>> {
        self.store.lead()
    }

    fn still_leads(&self) -> merx_store::Result<()> {
        self.store.still_leads()
    }
}

pub(super) struct Process {
    pub(super) link: Arc<Link>,
    pub(super) ingest: Arc<Ingest>,
    visitors: Vault,
    pub(super) lead: Lead,
    pub(super) projection: Arc<Projection>,
    pub(super) online: Arc<RedisOnlineStore>,
    pipeline: Pipeline<Mirror>,
    round: Mutex<Round>,
    /// When it last looked at the lease.
    looked_at: Mutex<TimestampMs>,
}

/// What a decision was made of.
pub(super) struct Decided {
    pub(super) subject: Option<SubjectId>,
    pub(super) decision: Decision<SubjectFeatures>,
}

impl Process {
    /// As `Shop::open_beside_others`.
    pub(super) fn start(world: &Arc<World>, slot: usize, name: u64) -> Result<Self> {
        let link = Link::new(world, slot);
        let furniture = &world.furniture;
        let fence = Fence::new(LEAD);
        let recording: Arc<dyn Records> =
            Arc::new(Reached { records: Arc::clone(&world.records) as _, link: Arc::clone(&link) });
        let fenced: Arc<dyn Records> = Arc::new(FencedRecords::new(Arc::clone(&recording), Arc::clone(&fence)));
        let log = KafkaEventLog::simulated(&world.topic, Arc::clone(&link) as _, Arc::clone(&recording), 10_000)?;
        let intake_log = Arc::new(log.through(Arc::clone(&fenced))?);
        let online = Arc::new(RedisOnlineStore::simulated(&world.redis, Arc::clone(&link) as _)?);
        let log: Arc<dyn EventLog> = Arc::new(log);
        let mut shared_online: Arc<dyn OnlineStore> = Arc::clone(&online) as _;
        let misdated = match world.flaw {
            Some(Flaw::CheckpointBehindState) => -1,
            Some(Flaw::CheckpointAheadOfState) => 1,
            _ => 0,
        };
        if misdated != 0 {
            shared_online = Arc::new(Misdated { store: shared_online, by: misdated });
        }
        let engines = Engines {
            records: Some(Arc::clone(&fenced)),
            log: Some(Box::new(move |_| Ok(log))),
            online: Some(Box::new(move || Ok(shared_online))),
            lake: Some(Arc::clone(&furniture.lake)),
            artifacts: Some(Arc::clone(&furniture.artifacts)),
        };
        let store = Store::open(&world.folder_of(slot), &[], LogSettings::default(), engines)?;
        let time = Arc::downgrade(world);
        let doubts = world.flaw != Some(Flaw::NoDoubt);
        let stopwatch = move || time.upgrade().filter(|_| doubts).map_or(Duration::ZERO, |world| world.since_start());
        let lead = Lead::looking(Arc::clone(&recording), fence, format!("process-{name}"), Arc::new(stopwatch))?;
        lead.set_address(&slot.to_string());
        let vault = |records: &Arc<dyn Records>, cached| -> Result<Vault> {
            let vault = Vault::open(Arc::clone(records), vec![furniture.key.clone()], cached)?;
            let world = Arc::downgrade(world);
            Ok(vault.drawing_subjects(move || world.upgrade().map_or(SubjectId(1), |world| world.new_subject())))
        };
        let visitors = vault(&recording, 0)?;
        let ingest = Arc::new(Ingest::new(Arc::clone(&fenced), intake_log, vault(&fenced, CACHED)?));
        let dead_letters = DeadLetters::new(Arc::clone(&fenced), Arc::new(ManualClock::default()));
        let projection = Arc::new(Projection::new(store, Arc::clone(&ingest), Some(lead.touch()), true, dead_letters));
        projection.follow_catalogue()?;
        let settings = PipelineSettings {
            consent: POLICY.into(),
            holdout: 0.0,
            holdout_salt: "none".to_owned(),
            deadline_ms: NO_DEADLINE_MS,
        };
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
        let pipeline = Pipeline::new(
            Arc::new(Mirror),
            Arc::clone(&projection) as _,
            Arc::clone(&furniture.recorder),
            clock,
            Arc::clone(&furniture.dealer),
            Arc::clone(&furniture.automations),
            settings,
        );
        let round = Mutex::new(Round::new(SNAPSHOT_EVENTS));
        let looked_at = Mutex::new(world.now());
        let process = Self { link, ingest, visitors, lead, projection, online, pipeline, round, looked_at };
        process.lead.stand_back();
        process.follow_the_lead()?;
        if !process.lead.leads() {
            process.stand_back();
        }
        Ok(process)
    }

    fn stand_back(&self) {
        self.projection.stand_back();
        self.ingest.stand_back();
    }

    fn follow_the_lead(&self) -> Result<()> {
        self.lead.follow(|| {
            self.ingest.lead()?;
            self.projection.take_over()
        })
    }

    /// A round of `replica::follow`.
    pub(super) fn replica_round(&self) -> Result<()> {
        self.follow_the_lead()?;
        if !self.lead.leads() {
            self.stand_back();
        }
        Ok(())
    }

    /// Beats or looks, where it is time to: others count on even intervals.
    pub(super) fn look(&self, world: &World) -> Result<()> {
        if world.now() < self.looked_at.lock().plus_ms(BEAT_MS) {
            return Ok(());
        }
        let looked = self.lead.look();
        *self.looked_at.lock() = world.now();
        Ok(looked?)
    }

    /// A round of `projection::follow`.
    pub(super) fn projection_round(&self) -> Result<()> {
        if !self.projection.applies() {
            return self.projection.follow_catalogue();
        }
        let done = self.round.lock().go(&self.projection);
        done.or_else(|error| recover(&self.projection, Some(&self.lead), error))
    }

    pub(super) fn take(&self, events: Vec<RawEvent>, at: TimestampMs) -> Result<Vec<Appended>> {
        Ok(self.ingest.accept(events, at)?)
    }

    /// As the server does for `POST /v1/recommend`: who can't be found is a visitor of whom nothing is known.
    pub(super) fn decide(&self, visitor: &str, id: u128, now: TimestampMs) -> Decided {
        let vault = if self.lead.leads() { &self.ingest.vault } else { &self.visitors };
        let subject = vault.find(IdentityKind::AnonymousId, visitor).ok().flatten();
        let situation = Situation {
            decision: DecisionId(id),
            subject,
            market: MarketId::default(),
            device: Device::Phone,
            now,
            seed: 1,
            consent: ConsentStamp::default(),
        };
        let catalogue = self.projection.catalogue.read();
        let mut shelf = RequestShelf::new(catalogue, MarketId::default(), now, Vec::new(), &[]);
        Decided { subject, decision: self.pipeline.decide(Request::new(situation, Nothing), &mut shelf) }
    }
}

/// A shop's records before anything happened.
pub(super) fn empty_records(path: &std::path::Path) -> Result<()> {
    let migrations = [
        merx_ingest::MIGRATIONS,
        merx_backends::KAFKA_MIGRATIONS,
        merx_store::LEASE_MIGRATIONS,
        &[dead_letters::MIGRATION],
    ]
    .concat();
    SqliteRecords::open(path, &migrations)?;
    Ok(())
}
