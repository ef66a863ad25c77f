//! Everything of one shop, opened and wired.

use std::sync::Arc;

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use merx_decide::{
    Catalogue, Dealer, Definitions, ExposureLog, Pipeline, PipelineSettings, Recorder, RecorderSettings,
};
use merx_discovery::recommend::{RecommendEngine, RecommendLearner};
use merx_domain::experiment::{BUCKETS, Holdout};
use merx_domain::{Clock, ConsentPolicy, ModelVersion, ProductNumber, SystemClock};
use merx_ingest::Ingest;
use merx_ingest::vault::{DEFAULT_CACHED_IDENTITIES, Vault};
use merx_models::Learner;
use merx_models::registry::{RegisteredModel, Registry, VersionStatus};
use merx_store::{LogSettings, Migration, Store};

use crate::config::{Config, purposes};
use crate::master_key;
use crate::projection::Projection;
use crate::searching::{self, Searching};

/// The recommendation model's name in the registry.
pub(crate) const RECOMMEND: &str = "recommend";

pub(crate) struct Shop {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Store,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) projection: Arc<Projection>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) engine: Arc<RecommendEngine>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) dealer: Arc<Dealer>,
    pub(crate) pipeline: Arc<Pipeline<RecommendEngine>>,
    pub(crate) searching: Arc<Searching>,
    /// Why a version that should serve does not.
    pub(crate) model_troubles: ArcSwap<Vec<String>>,
}

impl Shop {
    /// Opens the data folder and brings everything in memory up to what is on disk.
    pub(crate) fn open(config: Config) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let folder = &config.data.folder;
        let settings = LogSettings { queued_events: config.limits.queued_events };
        let store = Store::open_embedded(folder, &migrations(), settings)?;
        let keys = master_key::read(&config.vault, folder)?;
        let vault = Vault::open(Arc::clone(&store.records), keys, DEFAULT_CACHED_IDENTITIES)?;
        let ingest = Arc::new(Ingest::new(Arc::clone(&store.records), Arc::clone(&store.log), vault));
        let projection = Arc::new(Projection::new(store.clone(), Arc::clone(&ingest)));
        projection.catch_up().context("bringing features up to the log")?;
        let registry = Arc::new(Registry::new(Arc::clone(&store.records), Arc::clone(&store.artifacts)));
        let engine = Arc::new(engine(&registry));
        let recorder_settings = RecorderSettings { queue: config.record.queue, ..Default::default() };
        let recorder = Arc::new(Recorder::new(Arc::clone(&store.records), recorder_settings));
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
        let pipeline = Arc::new(Pipeline::new(
            Arc::clone(&engine),
            Arc::clone(&projection) as _,
            Arc::clone(&recorder),
            Arc::clone(&clock),
            Arc::clone(&dealer),
            pipeline_settings(&config),
        ));
        let search_pipeline = Arc::new(Pipeline::new(
            Arc::new(searching::engine(&config.search, &registry)?),
            Arc::clone(&projection) as _,
            Arc::clone(&recorder),
            Arc::clone(&clock),
            Arc::clone(&dealer),
            search_settings(&config),
        ));
        let searching = Searching::new(search_pipeline, Arc::clone(&ingest), Arc::clone(&projection));
        let shop = Self {
            config,
            clock,
            store,
            ingest,
            projection,
            registry,
            engine,
            recorder,
            dealer,
            pipeline,
            searching: Arc::new(searching),
            model_troubles: ArcSwap::default(),
        };
        shop.load_models()?;
        Ok(shop)
    }

    pub(crate) fn catalogue(&self) -> &Arc<Catalogue> {
        &self.projection.catalogue
    }

    /// Hands the engine what the registry says is live, and the version before.
    pub(crate) fn load_models(&self) -> Result<()> {
        let mut troubles = Vec::new();
        let mut version = |status| -> Result<_> {
            let Some(model) = self.registry.with_status(RECOMMEND, status)? else { return Ok(None) };
            let loaded = load(&self.registry, &model).with_context(|| format!("model {RECOMMEND} {}", model.version));
            match loaded {
                Ok(loaded) => Ok(Some((model.version, Arc::new(loaded)))),
                // A damaged artifact must not keep the shop from serving: the chain goes on without it.
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), "a model can't be served");
                    troubles.push(format!("{RECOMMEND} {} can't be served: {error:#}", model.version));
                    Ok(None)
                }
            }
        };
        self.engine.serve(version(VersionStatus::Live)?, version(VersionStatus::Previous)?);
        self.model_troubles.store(Arc::new(troubles));
        Ok(())
    }

    /// Exchanges the vault's master key for the next one. Returns how many keys were wrapped anew.
    pub(crate) fn rotate_vault(&self) -> Result<u64> {
        master_key::rotate(&self.config.vault, &self.config.data.folder, &self.ingest.vault)
    }

    pub(crate) fn static_list(&self) -> Vec<ProductNumber> {
        let list = &self.config.recommend.static_list;
        list.iter().filter_map(|id| self.projection.number(id)).collect()
    }
}

fn migrations() -> Vec<Migration> {
    [merx_ingest::MIGRATIONS, merx_models::registry::MIGRATIONS, merx_decide::MIGRATIONS, merx_serve::MIGRATIONS]
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

fn pipeline_settings(config: &Config) -> PipelineSettings {
    PipelineSettings {
        consent: ConsentPolicy { allowed_unless_denied: purposes(&config.consent.allowed_unless_denied) },
        holdout: config.recommend.holdout,
        holdout_salt: config.recommend.holdout_salt.clone(),
        deadline_ms: config.recommend.deadline_ms,
    }
}

fn search_settings(config: &Config) -> PipelineSettings {
    PipelineSettings {
        holdout: config.search.holdout,
        holdout_salt: config.search.holdout_salt.clone(),
        deadline_ms: config.search.deadline_ms,
        ..pipeline_settings(config)
    }
}
