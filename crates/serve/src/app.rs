//! What the server is made of: the parts that `merx` wires in, and what is counted while it runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use merx_decide::{AuditLog, Automations, Boost, Catalogue, Dealer, Labels, Policies, Recorder};
use merx_domain::{Clock, DecisionId, Filter, Goal, MarketId, ProductId, ProductNumber, Scenario};
use merx_ingest::Rules;

use crate::activity::Activity;
use crate::admission::{Admission, AdmissionSettings};
use crate::algolia::Indexes;
use crate::forward::Forward;
use crate::gathering::Gathering;
use crate::keys::Keys;
use crate::limits::{Bucket, RateLimit};
use crate::live::Live;
use crate::merchandise::Merchandise;
use crate::metrics::Metrics;
use crate::oidc::Oidc;
use crate::ports::{
    DeadLetters, Intake, Jobs, Layouts, ModelVersions, Privacy, Recommendations, Reports, SearchReports, Searches,
    ShopRecords, Vitals,
};
use crate::privacy::PrivacySettings;
use crate::rejects::Rejects;
use crate::session::Sessions;
use crate::site::Site;
use crate::slot_rules::SlotRuleBook;
use crate::users::Users;

/// A named slot of the configuration: what a request gets that names nothing but the slot.
#[derive(Debug, Clone, PartialEq)]
pub struct SlotPreset {
    pub scenario: Scenario,
    pub count: usize,
    pub diversity: f32,
    pub goal: Goal,
    pub filter: Option<Filter>,
    pub boosts: Vec<Boost>,
    /// For the case that nothing learnt can answer; empty: the shop's list.
    pub static_list: Vec<ProductId>,
}

impl SlotPreset {
    pub fn new(scenario: Scenario, count: usize) -> Self {
        Self {
            scenario,
            count,
            diversity: 0.0,
            goal: Goal::Interest,
            filter: None,
            boosts: Vec::new(),
            static_list: Vec::new(),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Settings {
    /// How tracking calls are read.
    pub rules: Rules,
    pub slots: BTreeMap<String, SlotPreset>,
    pub default_market: MarketId,
    /// What clients of Algolia's protocol call the catalogue when they write it.
    pub index: String,
    /// Whether a public key, which stands in a web page for all to read, may ask by customer id or pseudonym. Whoever
    /// guesses a customer's id then sees what is recommended to them, reasons included.
    pub public_keys_name_customers: bool,
    /// Whether a product that only events of a public key name is shown. Anybody can send those, with a name and a
    /// link of their own.
    pub public_keys_list_products: bool,
    pub rate_limit: RateLimit,
    /// How many visitors whom nobody knows become known by asking while experiments run; others are answered as unknown ones.
    pub newcomers: RateLimit,
    pub admission: AdmissionSettings,
    /// Bound of a body outside the tracking API, before and after it is inflated.
    pub max_body_bytes: usize,
    pub request_timeout_ms: u64,
    /// `*` is every origin.
    pub cors_origins: Vec<String>,
    pub shutdown_grace_ms: u64,
    pub privacy: PrivacySettings,
    /// 32 random bytes: decision ids and seeds are drawn from them.
    pub id_key: [u8; 32],
}

/// What `merx` wires in.
pub struct Parts {
    pub clock: Arc<dyn Clock>,
    pub keys: Arc<Keys>,
    pub users: Arc<Users>,
    /// Sign-in by an issuer, where one is configured.
    pub oidc: Option<Arc<Oidc>>,
    pub indexes: Arc<Indexes>,
    pub intake: Arc<dyn Intake>,
    pub shop: Arc<dyn ShopRecords>,
    pub recommendations: Arc<dyn Recommendations>,
    pub layouts: Arc<dyn Layouts>,
    pub searches: Arc<dyn Searches>,
    pub merchandise: Arc<Merchandise>,
    pub slot_rules: Arc<SlotRuleBook>,
    pub search_figures: Arc<dyn SearchReports>,
    pub catalogue: Arc<Catalogue>,
    /// For the case that nothing learnt can answer; swapped when the configuration or the catalogue changes.
    pub static_list: Arc<ArcSwap<Vec<ProductNumber>>>,
    pub recorder: Arc<Recorder>,
    pub dealer: Arc<Dealer>,
    pub reports: Arc<dyn Reports>,
    pub automations: Arc<Automations>,
    pub audit: Arc<AuditLog>,
    pub labels: Labels,
    pub policies: Arc<Policies>,
    pub models: Arc<dyn ModelVersions>,
    pub jobs: Arc<dyn Jobs>,
    pub dead_letters: Arc<dyn DeadLetters>,
    pub privacy: Arc<dyn Privacy>,
    pub vitals: Arc<dyn Vitals>,
    pub settings: Settings,
}

/// One running server.
pub struct App {
    pub(crate) parts: Parts,
    pub(crate) metrics: Metrics,
    pub(crate) rejects: Rejects,
    pub(crate) activity: Activity,
    pub(crate) live: Live,
    pub(crate) sessions: Sessions,
    pub(crate) newcomers: Bucket,
    pub(crate) ids: IdSource,
    /// Held from the reading of an entity to the writing of what a patch made of it.
    pub(crate) patching: parking_lot::Mutex<()>,
    /// When the store was last seen to take a write.
    pub(crate) store_written_at: parking_lot::Mutex<Option<merx_domain::TimestampMs>>,
    /// Held while one catalogue takes the place of another.
    pub(crate) replacing: parking_lot::Mutex<()>,
    /// Open event streams of flags.
    pub(crate) flag_streams: Arc<AtomicUsize>,
    pub(crate) site: Site,
    pub(crate) forward: Forward,
    pub(crate) gathering: Gathering,
    pub(crate) admission: Admission,
    /// Requests that are not answered yet.
    pub(crate) in_flight: AtomicUsize,
    stopping: AtomicBool,
}

impl App {
    pub fn new(parts: Parts) -> Arc<Self> {
        Self::with_site(parts, Site::default())
    }

    /// A server that has pages beside the API.
    pub fn with_site(parts: Parts, site: Site) -> Arc<Self> {
        let ids = IdSource::new(parts.settings.id_key);
        let activity = Activity::new(parts.clock.now());
        let admission = Admission::new(&parts.settings.admission);
        Arc::new(Self {
            parts,
            metrics: Metrics::new(crate::routes::names()),
            rejects: Rejects::default(),
            activity,
            live: Live::default(),
            sessions: Sessions::default(),
            newcomers: Bucket::default(),
            ids,
            patching: Default::default(),
            store_written_at: Default::default(),
            replacing: Default::default(),
            flag_streams: Arc::default(),
            site,
            forward: Forward::default(),
            gathering: Gathering::default(),
            admission,
            in_flight: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
        })
    }

    /// From now on the server says that it is not ready, so that balancers turn away.
    pub(crate) fn begin_stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.live.close();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

/// Draws ids that nobody can guess and seeds that nobody can steer: a keyed hash of a counter.
pub(crate) struct IdSource {
    key: [u8; 32],
    drawn: AtomicU64,
}

impl IdSource {
    fn new(key: [u8; 32]) -> Self {
        Self { key, drawn: AtomicU64::new(0) }
    }

    fn draw(&self) -> [u8; 32] {
        let count = self.drawn.fetch_add(1, Ordering::Relaxed);
        *blake3::keyed_hash(&self.key, &count.to_le_bytes()).as_bytes()
    }

    /// A decision's id and seed. The id begins with the time, so that records of one time lie together on disk.
    pub(crate) fn decision(&self, now_ms: i64) -> (DecisionId, u64) {
        let drawn = self.draw();
        let (id, rest) = drawn.split_at(16);
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&now_ms.to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&id[6..]);
        let mut seed = [0; 8];
        seed.copy_from_slice(&rest[..8]);
        (DecisionId::from_bytes(bytes), u64::from_le_bytes(seed))
    }

    /// 16 hexadecimal digits.
    pub(crate) fn request(&self) -> String {
        let drawn = self.draw();
        blake3::Hash::from_bytes(drawn).to_hex()[..16].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ordered_by_time_and_never_repeat() {
        let ids = IdSource::new([7; 32]);
        let (early, seed) = ids.decision(1_000);
        let (late, other_seed) = ids.decision(1_001);
        assert!(early < late);
        assert_ne!(seed, other_seed);
        assert_ne!(ids.decision(1_000).0, early);
        assert_ne!(ids.request(), ids.request());
    }
}
