//! Everything of one shop, opened and wired.

use std::sync::Arc;

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use merx_decide::{
    Act, AuditLog, Automations, Catalogue, Dealer, Definitions, ExposureLog, Governed, Pipeline, PipelineSettings,
    Policies, PolicyError, Recorder, RecorderSettings,
};
use merx_discovery::layout::LayoutEngine;
use merx_discovery::recommend::{RecommendEngine, RecommendLearner};
use merx_domain::experiment::{BUCKETS, Holdout};
use merx_domain::{Clock, ModelVersion, ProductNumber, SystemClock};
use merx_ingest::Ingest;
use merx_ingest::vault::{DEFAULT_CACHED_IDENTITIES, Vault};
use merx_models::Learner;
use merx_models::registry::{RegisteredModel, Registry, RegistryError, VersionStatus};
use merx_serve::Merchandise;
use merx_store::{Migration, Records, Store};
use serde_json::{Value, json};

use crate::bandits::Bandits;
use crate::books::Books;
use crate::config::Config;
use crate::drifting;
use crate::encoding;
use crate::jobs::JobBoard;
use crate::layouts::{self, LAYOUT};
use crate::lead::{Candidate, Lead};
use crate::master_key;
use crate::posts::{Posts, Role};
use crate::presence::Presence;
use crate::projection::Projection;
use crate::projection::dead_letters::{self, DeadLetters};
use crate::search_log::{self, SearchLog};
use crate::searching::{self, SEARCH, Searching};
use crate::storage::{self, Opened};
use crate::tallies;

/// The recommendation model's name in the registry.
pub(crate) const RECOMMEND: &str = "recommend";

pub(crate) struct Shop {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Store,
    /// The records as every process may write them, whoever leads: what it decided, and how often.
    pub(crate) recording: Arc<dyn Records>,
    pub(crate) ingest: Arc<Ingest>,
    /// Where several processes serve the shop: who people are, for those that don't lead. It holds nothing in memory, and learns new visitors.
    pub(crate) visitors: Option<Vault>,
    /// Where several processes serve the shop: that this one does.
    pub(crate) presence: Option<Presence>,
    pub(crate) lead: Option<Lead>,
    pub(crate) projection: Arc<Projection>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) engine: Arc<RecommendEngine>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) dealer: Arc<Dealer>,
    pub(crate) automations: Arc<Automations>,
    pub(crate) policies: Arc<Policies>,
    pub(crate) pipeline: Arc<Pipeline<RecommendEngine>>,
    pub(crate) layouts: Arc<Pipeline<LayoutEngine>>,
    pub(crate) searching: Arc<Searching>,
    pub(crate) search_log: Arc<SearchLog>,
    /// What merchants set for searches.
    pub(crate) merchandise: Arc<Merchandise>,
    /// What the log and the decisions add up to.
    pub(crate) books: Books,
    /// Experiments whose shares follow what arms bring.
    pub(crate) bandits: Bandits,
    /// Why a version that should serve does not.
    pub(crate) model_troubles: ArcSwap<Vec<String>>,
}

impl Shop {
    /// Opens what the configuration names and brings everything in memory up to it. Where the shop lies on services, no other
    /// process may lead it meanwhile.
    pub(crate) fn open(config: Config) -> Result<Self> {
        Self::open_as(config, Candidate::Alone)
    }

    /// The same beside other processes: this one leads, if its role lets it, or follows the one that does.
    pub(crate) fn open_beside_others(config: Config, role: &Role) -> Result<Self> {
        Self::open_as(config, if role.may_lead { Candidate::Beside } else { Candidate::Never })
    }

    fn open_as(config: Config, candidate: Candidate) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let folder = &config.data.folder;
        let Opened { store, recording, prompt, intake_log, shared } = storage::open(&config, &migrations())?;
        let presence = match (&shared, candidate) {
            (Some(_), Candidate::Beside | Candidate::Never) => Some(Presence::begin(Arc::clone(&recording))?),
            _ => None,
        };
        let lead = shared.map(|fence| Lead::seek(Arc::clone(&recording), fence, candidate)).transpose()?;
        let vault = |records: &Arc<dyn Records>, cached| -> Result<Vault> {
            let opened = Vault::open(Arc::clone(records), master_key::read(&config.vault, folder)?, cached)?;
            let opened = opened.asking_again(master_key::again(&config.vault, folder));
            Ok(opened.asking_promptly(Arc::clone(&prompt)))
        };
        let visitors = lead.as_ref().map(|_| vault(&recording, 0)).transpose()?;
        let vault = vault(&store.records, DEFAULT_CACHED_IDENTITIES)?;
        let records = Arc::clone(&store.records);
        let ingest = Arc::new(Ingest::answering_promptly(records, Arc::clone(&prompt), intake_log, vault));
        let (touch, remote) = (lead.as_ref().map(Lead::touch), config.storage.online.is_some());
        let dead_letters = DeadLetters::new(Arc::clone(&store.records), Arc::clone(&clock));
        let projection = Arc::new(Projection::new(store.clone(), Arc::clone(&ingest), touch, remote, dead_letters));
        projection.follow_catalogue()?;
        let registry = Arc::new(Registry::new(Arc::clone(&store.records), Arc::clone(&store.artifacts)));
        let engine = Arc::new(engine(&registry));
        let recorder_settings = RecorderSettings { queue: config.record.queue, ..Default::default() };
        let recorder = Arc::new(Recorder::new(Arc::clone(&recording), recorder_settings));
        let definitions = Definitions::open(
            Arc::clone(&store.records),
            Holdout {
                salt: config.experiments.holdout_salt.as_str().into(),
                share: (config.experiments.holdout * f64::from(BUCKETS)).round() as u16,
            },
            merx_measure::shop::names().map(Into::into).collect(),
        );
        let exposures = Arc::new(ExposureLog::new(Arc::clone(&store.log)));
        let dealer = Arc::new(Dealer::new(Arc::new(definitions?), exposures, Arc::clone(&projection) as _));
        let automations = Automations::open(Arc::clone(&store.records), &[RECOMMEND, SEARCH, LAYOUT], clock.now());
        let automations = Arc::new(automations?);
        let policies = Policies::open(Arc::clone(&store.records), config.consent.document()).map_err(policy_words)?;
        let pipeline = Pipeline::new(
            Arc::clone(&engine),
            Arc::clone(&projection) as _,
            Arc::clone(&recorder),
            Arc::clone(&clock),
            Arc::clone(&dealer),
            Arc::clone(&automations),
            pipeline_settings(&config, &policies),
        );
        let pipeline = Arc::new(pipeline.watching(Arc::clone(&projection.catalogue)));
        let layouts = Pipeline::new(
            Arc::new(layouts::engine(&registry)),
            Arc::clone(&projection) as _,
            Arc::clone(&recorder),
            Arc::clone(&clock),
            Arc::clone(&dealer),
            Arc::clone(&automations),
            pipeline_settings(&config, &policies),
        );
        let layouts = Arc::new(layouts.watching(Arc::clone(&projection.catalogue)));
        let search_pipeline = Pipeline::new(
            Arc::new(searching::engine(&config.search, &registry)?),
            Arc::clone(&projection) as _,
            Arc::clone(&recorder),
            Arc::clone(&clock),
            Arc::clone(&dealer),
            Arc::clone(&automations),
            search_settings(&config, &policies),
        );
        let search_pipeline = Arc::new(search_pipeline.watching(Arc::clone(&projection.catalogue)));
        let merchandise = Arc::new(Merchandise::new(Arc::clone(&store.records)));
        let searching = Searching::new(
            search_pipeline,
            Arc::clone(&ingest),
            Arc::clone(&projection),
            Arc::clone(&merchandise),
            Arc::clone(&store.records),
            Arc::clone(&recording),
            Arc::clone(&clock),
            config.search.encoder.clone(),
        );
        let search_log = SearchLog::new(
            store.clone(),
            Arc::clone(&recorder),
            Arc::clone(&projection),
            policies.book().clone(),
            Arc::clone(&clock),
        );
        let books = Books::new(config.market.currency);
        let shop = Self {
            config,
            clock,
            store,
            recording,
            ingest,
            visitors,
            presence,
            lead,
            projection,
            registry,
            engine,
            recorder,
            dealer,
            automations,
            policies: Arc::new(policies),
            pipeline,
            layouts,
            searching: Arc::new(searching),
            search_log: Arc::new(search_log),
            merchandise,
            books,
            bandits: Bandits::default(),
            model_troubles: ArcSwap::default(),
        };
        shop.load_models()?;
        drifting::watch_shadows(&shop)?;
        match &shop.lead {
            None => drop(shop.projection.catch_up().context("bringing features up to the log")?),
            Some(lead) => {
                lead.stand_back();
                lead.follow(|| shop.take_over())?;
                if !lead.leads() {
                    shop.stand_back();
                }
            }
        }
        Ok(shop)
    }

    /// Whether this process does what only one may do.
    pub(crate) fn leads(&self) -> bool {
        self.lead.as_ref().is_none_or(Lead::leads)
    }

    /// Makes this process ready to lead: what another wrote meanwhile is read again, the online store is ours from its last snapshot on.
    pub(crate) fn take_over(&self) -> Result<()> {
        self.ingest.lead()?;
        self.automations.book().reload()?;
        self.projection.take_over()
    }

    /// An empty queue of jobs; where several processes serve the shop, the one on record.
    pub(crate) fn job_board(&self) -> Arc<JobBoard> {
        let clock = Arc::clone(&self.clock);
        Arc::new(match &self.lead {
            None => JobBoard::new(clock),
            Some(_) => JobBoard::on_record(clock, Arc::clone(&self.store.records)),
        })
    }

    /// Where several processes serve the shop: the leases that jobs are done under.
    pub(crate) fn posts(&self, role: &Role) -> Option<Posts> {
        let lead = self.lead.as_ref()?;
        Some(Posts::new(&self.recording, Arc::clone(lead.fence()), lead.holder(), role.clone()))
    }

    /// Another process leads: nothing is believed that this one holds in memory and that one may change.
    pub(crate) fn stand_back(&self) {
        self.projection.stand_back();
        self.ingest.stand_back();
    }

    /// Who people are, as decisions ask for it.
    pub(crate) fn visitors(&self) -> &Vault {
        self.visitors.as_ref().filter(|_| !self.leads()).unwrap_or(&self.ingest.vault)
    }

    pub(crate) fn catalogue(&self) -> &Arc<Catalogue> {
        &self.projection.catalogue
    }

    /// Hands the engines what the registry says is live, and the version before. What is in memory already stays; what is new is loaded, and has
    /// answered once, before it takes the place of the one that answers until then.
    pub(crate) fn load_models(&self) -> Result<()> {
        let mut troubles = Vec::new();
        let [live, previous] = [VersionStatus::Live, VersionStatus::Previous];
        let held = |version| self.engine.held(version);
        let warm =
            |registry: &Registry, model: &RegisteredModel| load(registry, model).inspect(|loaded| loaded.warm_up());
        let mut recommend = |status| self.loaded(RECOMMEND, status, held, warm, &mut troubles);
        self.engine.serve(recommend(live)?, recommend(previous)?);
        let held = |version| self.layouts.engine().held(version);
        let mut layout = |status| self.loaded(LAYOUT, status, held, layouts::load, &mut troubles);
        self.layouts.engine().serve(layout(live)?, layout(previous)?);
        let held = |version| self.searching.engine().ranker_held(version);
        let mut search = |status| self.loaded(SEARCH, status, held, searching::load, &mut troubles);
        self.searching.engine().serve(search(live)?, search(previous)?);
        self.model_troubles.store(Arc::new(troubles));
        Ok(())
    }

    /// The version of a status, if there is one. A damaged artifact must not keep the shop from serving: the chain goes on without it.
    fn loaded<M>(
        &self,
        name: &str,
        status: VersionStatus,
        held: impl Fn(ModelVersion) -> Option<Arc<M>>,
        load: impl Fn(&Registry, &RegisteredModel) -> Result<M>,
        troubles: &mut Vec<String>,
    ) -> Result<Option<(ModelVersion, Arc<M>)>> {
        let Some(model) = self.registry.with_status(name, status)? else { return Ok(None) };
        if let Some(held) = held(model.version) {
            return Ok(Some((model.version, held)));
        }
        match load(&self.registry, &model).with_context(|| format!("model {name} {}", model.version)) {
            Ok(loaded) => Ok(Some((model.version, Arc::new(loaded)))),
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "a model can't be served");
                troubles.push(format!("{name} {} can't be served: {error:#}", model.version));
                Ok(None)
            }
        }
    }

    /// Exchanges the vault's master key for the next one. Returns how many keys were wrapped anew. It takes many transactions, so that its
    /// beginning stands in the audit log too.
    pub(crate) fn rotate_vault(&self, act: Act<'_>) -> Result<u64> {
        let audit = AuditLog::new(Arc::clone(&self.store.records));
        audit.note(act, "vault.rotation_begun", "vault", &Value::Null)?;
        let wrapped = master_key::rotate(&self.config.vault, &self.config.data.folder, &self.ingest.vault);
        let detail = match &wrapped {
            Ok(keys) => json!({ "keys_wrapped": keys }),
            Err(error) => json!({ "error": format!("{error:#}") }),
        };
        audit.note(act, if wrapped.is_ok() { "vault.rotated" } else { "vault.rotation_failed" }, "vault", &detail)?;
        wrapped
    }

    /// Makes a version of a model the live one, and says in the audit log who did, and on what grounds.
    pub(crate) fn promote(
        &self,
        name: &str,
        version: ModelVersion,
        act: Act<'_>,
        grounds: &Value,
    ) -> Result<(), RegistryError> {
        let before = self.registry.with_status(name, VersionStatus::Live)?.map(|live| live.version.0);
        let artifact = self.registry.get(name, version)?.artifact.to_string();
        let detail = json!({ "version": version.0, "artifact": artifact, "before": before, "grounds": grounds });
        let change = Governed { action: "model.promoted", target: name, detail };
        self.registry.promote(name, version, &mut |transaction| change.append(transaction, act))
    }

    pub(crate) fn static_list(&self) -> Vec<ProductNumber> {
        let list = &self.config.recommend.static_list;
        list.iter().filter_map(|id| self.projection.number(id)).collect()
    }
}

pub(crate) fn migrations() -> Vec<Migration> {
    [
        merx_ingest::MIGRATIONS,
        merx_models::registry::MIGRATIONS,
        merx_decide::MIGRATIONS,
        merx_serve::MIGRATIONS,
        search_log::MIGRATIONS,
        &[
            drifting::MIGRATION,
            encoding::MIGRATION,
            drifting::HISTORY_MIGRATION,
            tallies::MIGRATION,
            dead_letters::MIGRATION,
        ],
    ]
    .concat()
}

fn engine(registry: &Arc<Registry>) -> RecommendEngine {
    let registry = Arc::clone(registry);
    RecommendEngine::new(Box::new(move |version: ModelVersion| {
        let model = registry.get(RECOMMEND, version).ok()?;
        load(&registry, &model).ok()
    }))
}

fn load(registry: &Registry, model: &RegisteredModel) -> Result<merx_discovery::recommend::RecommendModel> {
    Ok(RecommendLearner.load(&registry.load(model)?)?)
}

/// Each mistake on a line.
fn policy_words(error: PolicyError) -> anyhow::Error {
    match error {
        PolicyError::Mistakes(mistakes) => {
            let words: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("the consent policy: {}", words.join("; "))
        }
        PolicyError::Store(error) => error.into(),
    }
}

fn pipeline_settings(config: &Config, policies: &Policies) -> PipelineSettings {
    PipelineSettings {
        consent: policies.book().clone(),
        holdout: config.recommend.holdout,
        holdout_salt: config.recommend.holdout_salt.clone(),
        deadline_ms: config.recommend.deadline_ms,
    }
}

fn search_settings(config: &Config, policies: &Policies) -> PipelineSettings {
    PipelineSettings {
        holdout: config.search.holdout,
        holdout_salt: config.search.holdout_salt.clone(),
        deadline_ms: config.search.deadline_ms,
        ..pipeline_settings(config, policies)
    }
}
