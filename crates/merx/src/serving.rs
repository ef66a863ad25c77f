//! The server: what `serve` asks of the rooms behind it, filled in.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use merx_decide::{Act, Governed, Objectives};
use merx_domain::{
    ConsentStamp, DAY_MS, IdentityKind, ModelVersion, Order, OrderId, Product, ProductId, StockLevel, SubjectId,
    TimestampMs,
};
use merx_ingest::privacy::{NewRequest, PersonalRead, PrivacyRequest, random_id};
use merx_ingest::vault::VaultError;
use merx_ingest::{CustomerOrder, Identities, IngestError, RawEvent, Rules, StockKey};
use merx_models::registry::{RegisteredModel, RegistryError, VersionStatus};
use merx_serve::{
    AdmissionSettings, App, AppliedAgain, AskedBy, CatalogueState, DeadLetter, DeadLetters, DemoShop, Indexes, Intake,
    JobEntry, JobKind, Jobs, Keys, Leader, ModelChangeError, ModelEntry, ModelSegment, ModelVersions, Parts, Privacy,
    PrivacyError, PrivacySettings, RateLimit, RetentionPeriods, Scope, Settings, ShopRecords, Site, SlotPreset,
    SlotRuleBook, StockPlace, Users, Vitals,
};
use merx_store::{Appended, LogOffset, StoreError};
use serde_json::{Value, json};

use crate::background::Repeated;
use crate::config::{Config, purposes};
use crate::housekeeping::{self, Housekeeping};
use crate::jobs::JobBoard;
use crate::lead::Lead;
use crate::posts::Role;
use crate::replica::{self, Door};
use crate::search_log::{self, Reports};
use crate::shop::Shop;
use crate::{courier, inspector, privacy, projection, searching};

/// More than cores, for on services a decision also waits for the network.
const DECISIONS_A_CORE: usize = 8;

/// How long a breach of a guardrail may go unseen.
const GUARDRAIL_PAUSE: Duration = Duration::from_secs(1);

/// The browser library and the demo shop, as npm built them before cargo ran.
pub(crate) mod pages {
    include!(concat!(env!("OUT_DIR"), "/pages.rs"));
}

/// The shop as the server sees it.
struct Rooms {
    shop: Arc<Shop>,
    board: Arc<JobBoard>,
}

fn store_error(error: IngestError) -> StoreError {
    match error {
        IngestError::Store(error) | IngestError::Vault(VaultError::Store(error)) => error,
        // One person's: no reason to refuse what comes with it.
        IngestError::Vault(error @ VaultError::Unreadable) => {
            StoreError::Damaged { what: "vault", detail: error.to_string() }
        }
        other => StoreError::Unavailable { what: "vault", detail: other.to_string() },
    }
}

impl Intake for Rooms {
    fn take(&self, events: Vec<RawEvent>) -> Result<Vec<Appended>, StoreError> {
        self.shop.ingest.accept(events, self.shop.clock.now()).map_err(store_error)
    }

    fn find_subject(&self, kind: IdentityKind, value: &str) -> Result<Option<SubjectId>, StoreError> {
        let found = self.shop.visitors().find(kind, value).map_err(|error| store_error(error.into()))?;
        if found.is_some() || !matches!(kind, IdentityKind::Email | IdentityKind::Phone) {
            return Ok(found);
        }
        // In another spelling perhaps.
        let spelt = self.shop.visitors().find_all(kind, value).map_err(|error| store_error(error.into()))?;
        Ok(spelt.into_iter().next())
    }

    fn make_subject(&self, kind: IdentityKind, value: &str) -> Result<Option<SubjectId>, StoreError> {
        let mut identities = Identities::default();
        match kind {
            IdentityKind::UserId => identities.user_id = Some(value.into()),
            _ => identities.anonymous_id = Some(value.into()),
        }
        // No event tells of an absorption here, so none counts as told.
        let now = self.shop.clock.now();
        let vault = self.shop.visitors();
        if vault.was_erased(&identities, now) {
            return Ok(None);
        }
        let made = vault.with_subjects(&[&identities], now, |resolved| {
            Ok::<_, IngestError>((resolved.first().map(|resolved| resolved.subject), Vec::new()))
        });
        made.map_err(store_error)
    }

    fn consent(&self, subject: SubjectId) -> Result<ConsentStamp, StoreError> {
        if self.shop.projection.may_be_outdated() {
            return Err(StoreError::Busy {
                what: "consent (another process may lead this shop)",
                retry_after_ms: 1_000,
            });
        }
        self.shop.ingest.consents.of(subject)
    }

    fn consent_counts(&self) -> Result<Vec<(ConsentStamp, u64)>, StoreError> {
        self.shop.ingest.consents.counts()
    }
}

impl ShopRecords for Rooms {
    fn products_by_id(&self, ids: &[ProductId]) -> Result<Vec<Option<Product>>, StoreError> {
        let found = self.shop.ingest.catalogue.get(ids)?;
        Ok(found.into_iter().map(|stored| stored.map(|stored| stored.product)).collect())
    }

    fn products(&self, after: Option<&ProductId>, limit: usize) -> Result<Vec<Product>, StoreError> {
        Ok(self.shop.ingest.catalogue.list(after, limit)?.into_iter().map(|stored| stored.product).collect())
    }

    fn write_products(&self, put: Vec<Product>, remove: Vec<ProductId>) -> Result<u64, StoreError> {
        let now = self.shop.clock.now();
        self.shop.ingest.put_products(&put, now, &mut |_, _| Ok(())).map_err(store_error)?;
        let removed = self.shop.ingest.catalogue.archive(&remove, now)?;
        Ok(removed.iter().flatten().count() as u64)
    }

    fn order(&self, id: &OrderId) -> Result<Option<Order>, StoreError> {
        Ok(self.shop.ingest.orders.get(std::slice::from_ref(id))?.pop().flatten().map(|stored| stored.order))
    }

    fn orders(&self, after: Option<&OrderId>, limit: usize) -> Result<Vec<Order>, StoreError> {
        Ok(self.shop.ingest.orders.list(after, limit)?.into_iter().map(|stored| stored.order).collect())
    }

    fn write_orders(&self, put: Vec<CustomerOrder>, remove: Vec<OrderId>) -> Result<u64, StoreError> {
        self.shop.ingest.put_orders(put, self.shop.clock.now(), &mut |_, _| Ok(())).map_err(store_error)?;
        let removed = self.shop.ingest.orders.remove(&remove)?;
        Ok(removed.iter().filter(|removed| **removed).count() as u64)
    }

    fn stock(&self, product: &ProductId) -> Result<Vec<StockLevel>, StoreError> {
        self.shop.ingest.stock.of_product(product)
    }

    fn write_stock(&self, put: Vec<StockLevel>, remove: Vec<StockPlace>) -> Result<u64, StoreError> {
        self.shop.ingest.put_stock(&put, &mut |_, _| Ok(())).map_err(store_error)?;
        let keys: Vec<StockKey> =
            remove.into_iter().map(|(product, variant, location)| StockKey { product, variant, location }).collect();
        let removed = self.shop.ingest.stock.remove(&keys, self.shop.clock.now())?;
        Ok(removed.iter().filter(|removed| **removed).count() as u64)
    }

    fn catalogue_state(&self) -> Result<CatalogueState, StoreError> {
        let (products, stock) = (&self.shop.ingest.catalogue, &self.shop.ingest.stock);
        Ok(CatalogueState { products: products.newest_change()?.0, stock: stock.newest_change()?.0 })
    }
}

fn registry_error(error: RegistryError) -> ModelChangeError {
    match error {
        RegistryError::Store(error) => ModelChangeError::Store(error),
        RegistryError::Unknown { .. } | RegistryError::NothingBefore(_) => ModelChangeError::Refused(error.to_string()),
        RegistryError::Unreadable(detail) => ModelChangeError::Store(StoreError::Damaged { what: "registry", detail }),
    }
}

pub(crate) fn store_error_of_registry(error: RegistryError) -> StoreError {
    match registry_error(error) {
        ModelChangeError::Store(error) => error,
        other => StoreError::Unavailable { what: "registry", detail: other.to_string() },
    }
}

fn entry(model: RegisteredModel) -> ModelEntry {
    let stage = match model.status {
        VersionStatus::Candidate => "candidate",
        VersionStatus::Live => "live",
        VersionStatus::Previous => "previous",
        VersionStatus::Archived => "retired",
    };
    ModelEntry {
        name: model.name,
        version: model.version,
        stage: stage.to_owned(),
        artifact: model.artifact.to_string(),
        trained_at: model.created_at,
        metrics: serde_json::json!(model.lineage.metrics),
        lineage: serde_json::json!(model.lineage),
    }
}

impl ModelVersions for Rooms {
    fn list(&self) -> Result<Vec<ModelEntry>, StoreError> {
        let models = self.shop.registry.list().map_err(store_error_of_registry)?;
        Ok(models.into_iter().map(entry).collect())
    }

    fn get(&self, name: &str, version: ModelVersion) -> Result<Option<ModelEntry>, StoreError> {
        match self.shop.registry.get(name, version) {
            Ok(model) => Ok(Some(entry(model))),
            Err(RegistryError::Unknown { .. }) => Ok(None),
            Err(error) => Err(store_error_of_registry(error)),
        }
    }

    fn promote(
        &self,
        name: &str,
        version: Option<ModelVersion>,
        act: Act<'_>,
    ) -> Result<ModelVersion, ModelChangeError> {
        let models = self.shop.registry.list().map_err(registry_error)?;
        let mut named = models.iter().filter(|model| model.name == name).peekable();
        if named.peek().is_none() {
            return Err(ModelChangeError::UnknownModel(name.to_owned()));
        }
        let newest = named.find(|model| model.status == VersionStatus::Candidate).map(|model| model.version);
        let nothing = || ModelChangeError::Refused(format!("model {name} has no candidate"));
        let version = version.or(newest).ok_or_else(nothing)?;
        self.shop.promote(name, version, act, &json!("by hand")).map_err(registry_error)?;
        self.reload()?;
        crate::drifting::watch_shadows(&self.shop)?;
        Ok(version)
    }

    fn roll_back(&self, name: &str, act: Act<'_>) -> Result<ModelVersion, ModelChangeError> {
        let models = self.shop.registry.list().map_err(registry_error)?;
        if !models.iter().any(|model| model.name == name) {
            return Err(ModelChangeError::UnknownModel(name.to_owned()));
        }
        let version = self.shop.registry.roll_back(name, &mut |transaction, version| {
            let detail = json!({ "version": version.0 });
            Governed { action: "model.rolled_back", target: name, detail }.append(transaction, act)
        });
        let version = version.map_err(registry_error)?;
        self.reload()?;
        Ok(version)
    }

    fn segments(&self, name: &str, version: ModelVersion) -> Result<Vec<ModelSegment>, StoreError> {
        self.shop.books.segments(&self.shop, name, version)
    }
}

impl Rooms {
    fn reload(&self) -> Result<(), ModelChangeError> {
        self.shop.load_models().map_err(|error| {
            ModelChangeError::Store(StoreError::Unavailable { what: "model", detail: format!("{error:#}") })
        })
    }
}

impl Jobs for Rooms {
    fn start(&self, kind: JobKind) -> Result<JobEntry, StoreError> {
        self.board.ask(kind, AskedBy::Request)
    }

    fn list(&self) -> Result<Vec<JobEntry>, StoreError> {
        self.board.list()
    }

    fn busy_s(&self) -> f64 {
        self.board.busy().as_secs_f64()
    }

    fn next_training_at(&self) -> Result<Option<TimestampMs>, StoreError> {
        housekeeping::next_training_at(&self.shop)
    }
}

impl DeadLetters for Rooms {
    fn list(&self) -> Result<Vec<DeadLetter>, StoreError> {
        self.shop.projection.dead_letters.list()
    }

    fn apply(&self, place: u64) -> Result<AppliedAgain, StoreError> {
        self.shop.projection.apply_again(LogOffset(place))
    }

    fn give_up(&self, place: u64) -> Result<bool, StoreError> {
        self.shop.projection.dead_letters.remove(place)
    }
}

fn gathering_error(error: anyhow::Error) -> PrivacyError {
    match error.downcast::<StoreError>() {
        Ok(error) => PrivacyError::Store(error),
        Err(error) => PrivacyError::Refused(format!("{error:#}")),
    }
}

fn privacy_error(error: VaultError) -> PrivacyError {
    match error {
        VaultError::Store(error) => PrivacyError::Store(error),
        other => PrivacyError::Store(StoreError::Unavailable { what: "vault", detail: other.to_string() }),
    }
}

impl Privacy for Rooms {
    fn submit(&self, mut new: NewRequest, act: Act<'_>) -> Result<PrivacyRequest, PrivacyError> {
        let (requests, vault) = (&self.shop.ingest.requests, &self.shop.ingest.vault);
        if let Some(of) = &new.of {
            let notes = requests.notes(vault, of).map_err(privacy_error)?;
            let gone = || PrivacyError::Refused(format!("nothing is known any more of request {of}; name the person"));
            notes.ok_or_else(gone)?.subject_ids().into_iter().for_each(|subject| new.notes.add_subject(subject));
        }
        let now = self.shop.clock.now();
        let due = now.plus_ms(i64::from(self.shop.config.privacy.deadline_days) * DAY_MS);
        let id = match new.id.take() {
            Some(id) => id,
            None => random_id().map_err(privacy_error)?,
        };
        let detail = json!({ "kind": new.kind.name(), "source": new.source, "suppress": new.suppress });
        let change = Governed { action: "privacy.submitted", target: &id, detail };
        new.id = Some(id.clone());
        let request = requests
            .submit(vault, &new, now, due, &mut |transaction| change.append(transaction, act))
            .map_err(privacy_error)?;
        self.board.ask(JobKind::Privacy, AskedBy::Request)?;
        Ok(request)
    }

    fn request(&self, id: &str) -> Result<Option<PrivacyRequest>, StoreError> {
        self.shop.ingest.requests.get(id)
    }

    fn requests(&self, limit: usize) -> Result<Vec<PrivacyRequest>, StoreError> {
        self.shop.ingest.requests.latest(limit)
    }

    fn cancel(&self, id: &str, act: Act<'_>) -> Result<bool, StoreError> {
        let change = Governed { action: "privacy.cancelled", target: id, detail: Value::Null };
        self.shop.ingest.requests.cancel(id, self.shop.clock.now(), &mut |transaction| change.append(transaction, act))
    }

    fn data(&self, id: &str, who: &str) -> Result<serde_json::Value, PrivacyError> {
        privacy::gather(&self.shop, id, who).map_err(gathering_error)
    }

    fn person(&self, subject: SubjectId, most: usize) -> Result<serde_json::Value, PrivacyError> {
        privacy::of_one(&self.shop, subject, most).map_err(gathering_error)
    }

    fn retention(&self) -> RetentionPeriods {
        let config = &self.shop.config;
        RetentionPeriods {
            events_days: config.retention.events_days,
            kinds_days: config.retention.kinds.iter().map(|(name, days)| (name.clone(), *days)).collect(),
            decisions_days: config.record.keep_days,
            answer_days: config.privacy.deadline_days,
            proof_days: config.privacy.proof_days,
            looks_days: config.privacy.keep_reads_days,
        }
    }

    fn note(&self, read: &PersonalRead) -> Result<(), StoreError> {
        self.shop.ingest.reads.note(read)
    }

    fn reads(&self, limit: usize) -> Result<Vec<PersonalRead>, StoreError> {
        self.shop.ingest.reads.latest(limit)
    }

    fn rotate_vault(&self, act: Act<'_>) -> Result<u64, PrivacyError> {
        self.shop.rotate_vault(act).map_err(|error| PrivacyError::Refused(format!("{error:#}")))
    }
}

impl Vitals for Rooms {
    fn store_writable(&self) -> Result<(), StoreError> {
        self.shop.store.log.commit("readiness", LogOffset(0))
    }

    fn log_lag_events(&self) -> u64 {
        self.shop.projection.lag()
    }

    fn troubles(&self) -> Vec<String> {
        self.shop.model_troubles.load().iter().cloned().chain(self.shop.searching.encoder_trouble()).collect()
    }

    fn leader(&self) -> Leader {
        self.shop.lead.as_ref().map_or(Leader::This, Lead::leader)
    }

    fn finish(&self) {
        self.shop.dealer.exposures.flush();
        if let Err(error) = self.shop.projection.catch_up().and_then(|_| self.shop.projection.snapshot()) {
            tracing::error!(error = format!("{error:#}"), "the online state is rebuilt from the log at the next start");
        }
    }
}

/// The address and keys of a server that is ready.
pub(crate) struct Ready {
    pub(crate) url: String,
    /// Keys that were made at this start, by scope; a key can't be read again.
    pub(crate) new_keys: Vec<(Scope, String)>,
}

/// Serves until a stop signal, then finishes what is under way. `ready` is called once requests are answered.
pub(crate) fn serve(config: Config, role: &Role, ready: impl FnOnce(&Ready) -> Result<()>) -> Result<()> {
    serve_with(Arc::new(Shop::open_beside_others(config, role)?), role, |_| Ok(None), ready)
}

/// The same with a shop's pages beside the API, if `front` makes some.
pub(crate) fn serve_with(
    shop: Arc<Shop>,
    role: &Role,
    front: impl FnOnce(&Keys) -> Result<Option<DemoShop>>,
    ready: impl FnOnce(&Ready) -> Result<()>,
) -> Result<()> {
    // Written down by the process that leads; the others are configured alike.
    if shop.leads() {
        let oldest = shop.recorder.oldest().map_err(crate::books::record_error)?;
        merx_decide::begin_holdout(&*shop.store.records, shop.dealer.definitions.holdout(), oldest, shop.clock.now())?;
    }
    let keys = Arc::new(Keys::open(Arc::clone(&shop.store.records))?);
    let new_keys = first_keys(&shop, &keys)?;
    let site = Site { sdk: pages::SDK, shop: front(&keys)? };
    let board = shop.job_board();
    let parts = parts(&shop, keys, Arc::clone(&board))?;
    let door = Door {
        keys: Arc::clone(&parts.keys),
        users: Arc::clone(&parts.users),
        indexes: Arc::clone(&parts.indexes),
        slot_rules: Arc::clone(&parts.slot_rules),
    };
    let replica = replica::follow(&shop, door)?;
    let following = following(&shop, &board)?;
    let housekeeping = Housekeeping::start(Arc::clone(&shop), board, role, true)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let stop = stop_signal()?;
        let listen = shop.config.server.listen;
        let listener = tokio::net::TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen}; another process may have the port"))?;
        let url = format!("http://{}", listener.local_addr()?);
        if let Some(lead) = &shop.lead {
            let told = &shop.config.server.advertise;
            let address = if told.is_empty() { &url } else { told };
            lead.set_address(address);
            if let Some(presence) = &shop.presence {
                presence.set_address(address);
            }
        }
        ready(&Ready { url, new_keys })?;
        merx_serve::serve(App::with_site(parts, site), listener, stop).await?;
        anyhow::Ok(())
    });
    drop(housekeeping);
    drop(following);
    drop(replica);
    result
}

/// What goes on beside the answers.
fn following(shop: &Arc<Shop>, board: &Arc<JobBoard>) -> Result<Vec<Repeated>> {
    let guarded = Arc::clone(shop);
    let slo = &shop.config.slo;
    let objectives = Objectives {
        fallback_share: slo.fallback_share,
        trouble_share: slo.trouble_share,
        slow_share: slo.slow_share,
        slow_ms: slo.slow_ms,
    };
    let guardrails = Repeated::start("guardrails", GUARDRAIL_PAUSE, move |_| {
        if !guarded.leads() {
            return Ok(());
        }
        guarded.automations.watch(guarded.clock.now(), &objectives)?;
        Ok(())
    })?;
    let book = Arc::clone(shop.automations.book());
    let mut following = vec![
        inspector::inspect(Arc::clone(shop), Arc::clone(board))?,
        courier::carry_alerts(book, Arc::clone(shop), &shop.config.alerts)?,
        courier::carry_states(Arc::clone(shop), privacy_settings(&shop.config))?,
        guardrails,
        search_log::follow(Arc::clone(shop))?,
    ];
    following.extend(searching::keep_current(shop)?);
    following.push(projection::follow(Arc::clone(shop))?);
    Ok(following)
}

/// A shop without keys gets one of each scope, from the process that leads it.
fn first_keys(shop: &Shop, keys: &Keys) -> Result<Vec<(Scope, String)>> {
    if !keys.is_empty() || !shop.leads() {
        return Ok(Vec::new());
    }
    let mint = |scope| Ok((scope, keys.mint(scope, "first start", Act::of_merx(shop.clock.now()))?.0));
    Scope::FIRST.into_iter().map(mint).collect()
}

pub(crate) fn parts(shop: &Arc<Shop>, keys: Arc<Keys>, board: Arc<JobBoard>) -> Result<Parts> {
    let rooms = Arc::new(Rooms { shop: Arc::clone(shop), board });
    Ok(Parts {
        clock: Arc::clone(&shop.clock),
        keys,
        users: Arc::new(Users::open(Arc::clone(&shop.store.records))?),
        oidc: crate::issuer::of(&shop.config.oidc)?,
        indexes: Arc::new(Indexes::open(Arc::clone(&shop.store.records))?),
        intake: Arc::clone(&rooms) as _,
        shop: Arc::clone(&rooms) as _,
        recommendations: Arc::clone(&shop.pipeline) as _,
        layouts: Arc::clone(&shop.layouts) as _,
        searches: Arc::clone(&shop.searching) as _,
        merchandise: Arc::clone(&shop.merchandise),
        slot_rules: Arc::new(SlotRuleBook::open(Arc::clone(&shop.store.records))?),
        search_figures: Arc::new(Reports(Arc::clone(&shop.store.records))),
        catalogue: Arc::clone(shop.catalogue()),
        static_list: Arc::new(arc_swap::ArcSwap::from_pointee(shop.static_list())),
        recorder: Arc::clone(&shop.recorder),
        dealer: Arc::clone(&shop.dealer),
        automations: Arc::clone(&shop.automations),
        audit: Arc::new(merx_decide::AuditLog::new(Arc::clone(&shop.store.records))),
        labels: merx_decide::Labels::new(Arc::clone(&shop.store.records)),
        reports: Arc::new(crate::reports::ShopReports(Arc::clone(shop))),
        policies: Arc::clone(&shop.policies),
        models: Arc::clone(&rooms) as _,
        jobs: Arc::clone(&rooms) as _,
        dead_letters: Arc::clone(&rooms) as _,
        privacy: Arc::clone(&rooms) as _,
        vitals: rooms,
        settings: settings(&shop.config)?,
    })
}

fn settings(config: &Config) -> Result<Settings> {
    let mut id_key = [0; 32];
    getrandom::fill(&mut id_key).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let mut rules = Rules::new(config.market.currency);
    rules.market.default = config.market.default.clone();
    let categories = config.consent.categories.iter();
    rules.consent = merx_ingest::ConsentCategories::new(categories.map(|(name, list)| (name.as_str(), purposes(list))));
    let preset = |slot: &crate::config::SlotConfig| -> Result<SlotPreset> {
        let filter = slot.filter.as_deref().map(merx_domain::Filter::parse).transpose()?;
        Ok(SlotPreset {
            diversity: slot.diversity,
            goal: slot.goal,
            filter,
            boosts: slot.boosts()?,
            static_list: slot.static_list.clone(),
            ..SlotPreset::new(slot.scenario, slot.count)
        })
    };
    let slots = config.recommend.slots.iter().map(|(name, slot)| Ok((name.clone(), preset(slot)?)));
    Ok(Settings {
        rules,
        slots: slots.collect::<Result<_>>()?,
        default_market: config.market.default.clone(),
        index: config.search.index.clone(),
        public_keys_name_customers: config.server.public_keys_name_customers,
        public_keys_list_products: config.server.public_keys_list_products,
        rate_limit: RateLimit {
            requests_per_second: config.limits.requests_per_second,
            burst: f64::from(config.limits.burst),
        },
        newcomers: RateLimit {
            requests_per_second: config.limits.newcomers_per_second,
            burst: f64::from(config.limits.newcomers_burst),
        },
        admission: AdmissionSettings {
            decisions_at_once: match config.limits.decisions_at_once {
                0 => DECISIONS_A_CORE * std::thread::available_parallelism().map_or(1, usize::from),
                said => said,
            },
            longest_wait_ms: config.limits.longest_wait_ms,
            recommends_in_memory: config.storage.records.is_none() && config.storage.online.is_none(),
        },
        max_body_bytes: config.server.max_body_bytes,
        request_timeout_ms: config.server.request_timeout_ms,
        cors_origins: config.server.cors_origins.clone(),
        shutdown_grace_ms: config.server.shutdown_grace_ms,
        privacy: privacy_settings(config),
        id_key,
    })
}

fn privacy_settings(config: &Config) -> PrivacySettings {
    let secret = |name: &str| std::env::var(name).ok().filter(|secret| !secret.is_empty());
    PrivacySettings {
        shopify_secret: secret("MERX_SHOPIFY_SECRET"),
        opendsr_secret: secret("MERX_OPENDSR_SECRET"),
        controller_id: config.privacy.controller_id.clone(),
        processor_domain: config.privacy.processor_domain.clone(),
    }
}

/// Listens from now on, so that a stop asked for right after the start is heard; the future ends at the first one.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
