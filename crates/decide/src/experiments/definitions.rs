//! Where experiments are kept, and the gate that only sound ones pass.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use compact_str::CompactString;
use merx_domain::TimestampMs;
use merx_domain::experiment::{
    Bandit, Experiment, ExperimentError, ExperimentId, ExperimentKind, ExperimentPlan, ExperimentState, Holdout,
};
use merx_store::{Migration, Records, StoreError, Value};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::definition::{DefinitionProblem, ExperimentDefinition, PreparedVariant, Surface};
use crate::audit::{Act, AuditLog};

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-21-decide-002-experiments",
    sql: "CREATE TABLE experiments (
            id TEXT PRIMARY KEY,
            body TEXT NOT NULL
          )",
};

/// Of definitions, ended ones included; far more than a shop runs, and little enough to be kept in memory.
const MAX_EXPERIMENTS: usize = 5_000;

#[derive(Debug, thiserror::Error)]
pub enum ExperimentsError {
    #[error("there is no experiment {0}")]
    Unknown(ExperimentId),
    /// The experiment's state doesn't allow it.
    #[error("{0}")]
    Refused(String),
    #[error("the definition can't go live")]
    Invalid(Vec<DefinitionProblem>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

type Result<T, E = ExperimentsError> = std::result::Result<T, E>;

/// A definition and its life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredExperiment {
    pub definition: ExperimentDefinition,
    /// Grows with every change.
    pub revision: u64,
    pub created_at: TimestampMs,
    pub updated_at: TimestampMs,
}

/// What decisions look at: swapped whole, so that a decision sees one state.
pub(super) struct Live {
    pub(super) plan: ExperimentPlan,
    /// In the plan's order.
    pub(super) details: Vec<LiveDetail>,
}

pub(super) struct LiveDetail {
    pub(super) surface: Surface,
    pub(super) variants: Vec<Arc<PreparedVariant>>,
    pub(super) bandit: Option<Bandit>,
}

/// All experiments of the shop.
pub struct Definitions {
    records: Arc<dyn Records>,
    holdout: Holdout,
    /// Names of metrics that an experiment may be decided by.
    metrics: BTreeSet<CompactString>,
    stored: ArcSwap<BTreeMap<ExperimentId, Arc<StoredExperiment>>>,
    live: ArcSwap<Live>,
    /// Grows with every change.
    version: AtomicU64,
    changing: Mutex<()>,
}

impl Definitions {
    /// The migration must have run on `records`.
    pub fn open(records: Arc<dyn Records>, holdout: Holdout, metrics: BTreeSet<CompactString>) -> Result<Self> {
        let nothing = Live { plan: ExperimentPlan::default(), details: Vec::new() };
        let definitions = Self {
            records,
            holdout,
            metrics,
            stored: ArcSwap::default(),
            live: ArcSwap::from_pointee(nothing),
            version: AtomicU64::new(0),
            changing: Mutex::default(),
        };
        definitions.reload()?;
        Ok(definitions)
    }

    pub(super) fn live(&self) -> arc_swap::Guard<Arc<Live>> {
        self.live.load()
    }

    /// Another one after every change, also after a restart.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    pub fn holdout(&self) -> &Holdout {
        &self.holdout
    }

    pub fn metrics(&self) -> &BTreeSet<CompactString> {
        &self.metrics
    }

    /// By id; drafts and ended ones too.
    pub fn list(&self) -> Vec<Arc<StoredExperiment>> {
        self.stored.load().values().cloned().collect()
    }

    pub fn get(&self, id: &ExperimentId) -> Result<Arc<StoredExperiment>> {
        self.stored.load().get(id).cloned().ok_or_else(|| ExperimentsError::Unknown(id.clone()))
    }

    /// Everything that would keep a definition from going live now, beside what runs.
    pub fn check(&self, definition: &ExperimentDefinition) -> Vec<DefinitionProblem> {
        let mut problems = definition.prepare().err().unwrap_or_default();
        let mut beside = self.running();
        beside.retain(|running| running.id != definition.experiment.id);
        beside.push(Experiment { state: ExperimentState::Running, ..definition.experiment.clone() });
        problems.extend(self.plan(beside).err().unwrap_or_default());
        problems
    }

    /// Makes a draft, or changes what may still be changed: all of a draft, of a running experiment what moves nobody to another
    /// arm, of an ended one its words.
    pub fn put(&self, mut definition: ExperimentDefinition, act: Act<'_>) -> Result<Arc<StoredExperiment>> {
        let _changing = self.changing.lock();
        let known = self.stored.load().get(&definition.experiment.id).cloned();
        match &known {
            None => {
                if self.stored.load().len() >= MAX_EXPERIMENTS {
                    return Err(ExperimentsError::Refused(format!("there are {MAX_EXPERIMENTS} experiments already")));
                }
                definition.experiment.state = ExperimentState::Draft;
            }
            Some(known) => {
                let before = &known.definition;
                definition.experiment.state = before.experiment.state;
                if let Some(field) = frozen_field(before, &definition) {
                    let state = if before.experiment.state == ExperimentState::Ended { "ended" } else { "running" };
                    let detail = format!("{} is {state}: its {field} can't change any more", definition.experiment.id);
                    return Err(ExperimentsError::Refused(detail));
                }
            }
        }
        let problems = match definition.experiment.state {
            ExperimentState::Running => self.check(&definition),
            // What overlaps now may have ended by the time a draft goes live.
            _ => self.check_alone(&definition),
        };
        if !problems.is_empty() {
            return Err(ExperimentsError::Invalid(problems));
        }
        let stored = match known {
            Some(known) => StoredExperiment {
                definition,
                revision: known.revision + 1,
                created_at: known.created_at,
                updated_at: act.at,
            },
            None => StoredExperiment { definition, revision: 1, created_at: act.at, updated_at: act.at },
        };
        self.write(stored, act, "experiment.put")
    }

    /// Lets a draft run, from now or from its start on.
    pub fn start(&self, id: &ExperimentId, act: Act<'_>) -> Result<Arc<StoredExperiment>> {
        let now = act.at;
        self.transform(id, act, "experiment.start", |experiment| match experiment.state {
            ExperimentState::Draft => {
                experiment.state = ExperimentState::Running;
                experiment.starts_at = experiment.starts_at.max(now);
                Ok(())
            }
            ExperimentState::Running => Err(format!("{} runs already", experiment.id)),
            ExperimentState::Ended => {
                Err(format!("{} has ended; copy it under a new id, so that two runs aren't mixed", experiment.id))
            }
        })
    }

    /// Ends an experiment for good. Everybody gets what was there before.
    pub fn end(&self, id: &ExperimentId, act: Act<'_>) -> Result<Arc<StoredExperiment>> {
        let now = act.at;
        self.transform(id, act, "experiment.end", |experiment| match experiment.state {
            ExperimentState::Running => {
                experiment.state = ExperimentState::Ended;
                experiment.ends_at = Some(experiment.ends_at.map_or(now, |end| end.min(now)).max(experiment.starts_at));
                Ok(())
            }
            _ => Err(format!("{} doesn't run", experiment.id)),
        })
    }

    /// Removes a draft. What has run stays listed.
    pub fn remove(&self, id: &ExperimentId, act: Act<'_>) -> Result<()> {
        let _changing = self.changing.lock();
        let known = self.get(id)?;
        if known.definition.experiment.state != ExperimentState::Draft {
            return Err(ExperimentsError::Refused(format!("{id} has run: it stays listed; end it instead")));
        }
        self.records.transaction(&mut |transaction| {
            transaction.execute("DELETE FROM experiments WHERE id = $1", &[Value::Text(id.to_string())])?;
            AuditLog::append(transaction, act, "experiment.remove", id.as_str(), &serde_json::Value::Null)
        })?;
        self.reload()
    }

    fn transform(
        &self,
        id: &ExperimentId,
        act: Act<'_>,
        action: &str,
        change: impl FnOnce(&mut Experiment) -> std::result::Result<(), String>,
    ) -> Result<Arc<StoredExperiment>> {
        let _changing = self.changing.lock();
        let mut stored = StoredExperiment::clone(&*self.get(id)?);
        change(&mut stored.definition.experiment).map_err(ExperimentsError::Refused)?;
        if stored.definition.experiment.state == ExperimentState::Running {
            let problems = self.check(&stored.definition);
            if !problems.is_empty() {
                return Err(ExperimentsError::Invalid(problems));
            }
        }
        stored.revision += 1;
        stored.updated_at = act.at;
        self.write(stored, act, action)
    }

    fn check_alone(&self, definition: &ExperimentDefinition) -> Vec<DefinitionProblem> {
        let mut problems = definition.prepare().err().unwrap_or_default();
        problems.extend(self.plan(vec![definition.experiment.clone()]).err().unwrap_or_default());
        problems
    }

    fn plan(&self, experiments: Vec<Experiment>) -> std::result::Result<ExperimentPlan, Vec<DefinitionProblem>> {
        let plan = ExperimentPlan::new(experiments, self.holdout.clone(), &self.metrics);
        plan.map_err(|errors: Vec<ExperimentError>| errors.iter().map(DefinitionProblem::from).collect())
    }

    fn running(&self) -> Vec<Experiment> {
        let stored = self.stored.load();
        let experiments = stored.values().map(|stored| &stored.definition.experiment);
        experiments.filter(|experiment| experiment.state == ExperimentState::Running).cloned().collect()
    }

    fn write(&self, stored: StoredExperiment, act: Act<'_>, action: &str) -> Result<Arc<StoredExperiment>> {
        let id = stored.definition.experiment.id.clone();
        let body = serde_json::to_string(&stored).map_err(|error| damaged(&error))?;
        self.records.transaction(&mut |transaction| {
            transaction.execute(
                "INSERT INTO experiments (id, body) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
                &[Value::Text(id.to_string()), Value::Text(body.clone())],
            )?;
            AuditLog::append(transaction, act, action, id.as_str(), &serde_json::json!(stored))
        })?;
        self.reload()?;
        self.get(&id)
    }

    /// Reads all definitions, as another process may have changed them; what runs counts from the next decision on.
    pub fn reload(&self) -> Result<()> {
        let rows = self.records.query("SELECT body FROM experiments ORDER BY id", &[])?;
        let mut stored = BTreeMap::new();
        for row in rows {
            let Some(Value::Text(body)) = row.0.first() else { continue };
            let one: StoredExperiment = serde_json::from_str(body).map_err(|error| damaged(&error))?;
            stored.insert(one.definition.experiment.id.clone(), Arc::new(one));
        }
        self.stored.store(Arc::new(stored));
        let running = self.running();
        // What passed the gate passes again; a holdout that the configuration made impossible does not.
        let plan = self.plan(running).map_err(ExperimentsError::Invalid)?;
        let stored = self.stored.load();
        let details = plan.experiments().iter().map(|experiment| {
            let definition = stored.get(&experiment.id).map(|stored| &stored.definition);
            let variants = definition.and_then(|definition| definition.prepare().ok()).unwrap_or_default();
            let surface = definition.map_or(Surface::Flag, |definition| definition.surface.clone());
            let bandit = definition.and_then(|definition| definition.bandit);
            LiveDetail { surface, variants: variants.into_iter().map(Arc::new).collect(), bandit }
        });
        let details = details.collect();
        self.live.store(Arc::new(Live { plan, details }));
        let revisions: u64 = stored.values().map(|stored| stored.revision).sum();
        self.version.store(revisions, Ordering::Relaxed);
        Ok(())
    }
}

/// The first field that differs and must not any more.
fn frozen_field(before: &ExperimentDefinition, after: &ExperimentDefinition) -> Option<&'static str> {
    let (was, is) = (&before.experiment, &after.experiment);
    if was.state == ExperimentState::Draft {
        return None;
    }
    let flag = was.kind == ExperimentKind::Flag;
    let frozen = [
        (was.kind != is.kind, "kind"),
        (was.unit != is.unit, "unit"),
        (was.salt != is.salt, "salt"),
        (was.layer != is.layer || was.range != is.range, "layer"),
        (was.starts_at != is.starts_at, "start"),
        (before.surface != after.surface, "surface"),
        (before.bandit != after.bandit, "bandit"),
        // A flag is switched while it runs: that is what it is for.
        (!flag && (was.arms != is.arms || before.variants != after.variants), "arms"),
        (!flag && was.targeting != is.targeting, "targeting"),
    ];
    let ended = was.state == ExperimentState::Ended;
    let frozen_by_end =
        [(ended && (was.ramp != is.ramp || was.ends_at != is.ends_at || was.metrics != is.metrics), "plan")];
    frozen.into_iter().chain(frozen_by_end).find(|(differs, _)| *differs).map(|(_, name)| name)
}

fn damaged(error: &serde_json::Error) -> StoreError {
    StoreError::Damaged { what: "experiments", detail: error.to_string() }
}
