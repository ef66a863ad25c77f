//! What the server asks of the rooms behind it. `merx` fills these in; tests fill in smaller ones.

use merx_decide::{Act, Arm, DecisionRecord, ExperimentDefinition, Pipeline, Request, RequestShelf};
use merx_domain::merchandising::{Rule, Synonym};
use merx_domain::search::{
    Contribution, IndexState, Mark, SearchAnswer, SearchAsk, SearchedTerm, SuggestAsk, Suggestion,
};
use merx_domain::{
    Answer, Ask, ConsentStamp, Decision, Engine, EngineError, Filter, FilterValue, Grant, LayoutAnswer, LayoutAsk,
    MarketId, ModelVersion, Money, Situation, SubjectId, TimestampMs,
};
use merx_domain::{IdentityKind, LocationId, Order, OrderId, Product, ProductId, StockLevel, VariantId};
use merx_ingest::privacy::{NewRequest, PersonalRead, PrivacyRequest};
use merx_ingest::{CustomerOrder, RawEvent};
use merx_measure::bandit::BanditPage;
use merx_measure::drift::{Drift, Share};
use merx_measure::fairness::FairnessPage;
use merx_measure::shop::{
    HoldoutPage, KpiPage, Page, PageError, QualityPage, SegmentBy, SegmentsPage, SequencePage, ValuePage,
};
use merx_store::{Appended, StoreError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::jobs::{JobEntry, JobKind};
use crate::privacy::RetentionPeriods;

/// Events on their way to the log, and the vault that they pass.
pub trait Intake: Send + Sync {
    /// Returns after the events are durable: one answer an event, in order. `Busy` takes none of them.
    fn take(&self, events: Vec<RawEvent>) -> Result<Vec<Appended>, StoreError>;

    /// The subject behind an id, if the vault knows it. Never writes: asking for recommendations leaves no trace of a
    /// visitor that no event has named.
    fn find_subject(&self, kind: IdentityKind, value: &str) -> Result<Option<SubjectId>, StoreError>;

    /// The subject behind an id, made where there is none: an experiment has to know its units by more than one request.
    fn make_subject(&self, kind: IdentityKind, value: &str) -> Result<Option<SubjectId>, StoreError>;

    /// What is known of a person's consent.
    fn consent(&self, subject: SubjectId) -> Result<ConsentStamp, StoreError>;
    /// How many people said so, of each thing that somebody said.
    fn consent_counts(&self) -> Result<Vec<(ConsentStamp, u64)>, StoreError>;
}

/// How far the records of products and stock have come: the newest change of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CatalogueState {
    pub products: i64,
    pub stock: i64,
}

/// Where a stock level is: product, variant, location.
pub type StockPlace = (ProductId, VariantId, LocationId);

/// The shop's entities. Each `put` is one transaction; what decisions look at follows it within a second. A removal of
/// what isn't there is no error: the answers of the writes count how many of `remove` were there, and nothing else.
pub trait ShopRecords: Send + Sync {
    fn product(&self, id: &ProductId) -> Result<Option<Product>, StoreError> {
        Ok(self.products_by_id(std::slice::from_ref(id))?.pop().flatten())
    }
    /// By position.
    fn products_by_id(&self, ids: &[ProductId]) -> Result<Vec<Option<Product>>, StoreError>;
    /// By id, after `after`.
    fn products(&self, after: Option<&ProductId>, limit: usize) -> Result<Vec<Product>, StoreError>;
    fn write_products(&self, put: Vec<Product>, remove: Vec<ProductId>) -> Result<u64, StoreError>;

    fn order(&self, id: &OrderId) -> Result<Option<Order>, StoreError>;
    fn orders(&self, after: Option<&OrderId>, limit: usize) -> Result<Vec<Order>, StoreError>;
    /// Orders may name their customer; the vault turns the name into a subject.
    fn write_orders(&self, put: Vec<CustomerOrder>, remove: Vec<OrderId>) -> Result<u64, StoreError>;

    /// All levels of a product.
    fn stock(&self, product: &ProductId) -> Result<Vec<StockLevel>, StoreError>;
    fn write_stock(&self, put: Vec<StockLevel>, remove: Vec<StockPlace>) -> Result<u64, StoreError>;

    fn catalogue_state(&self) -> Result<CatalogueState, StoreError>;
}

/// The recommendation pipeline, whatever engine it has.
pub trait Recommendations: Send + Sync {
    fn decide(&self, request: Request<Ask>, shelf: &mut RequestShelf<'_>) -> Decision<Answer>;
    /// What a request would be answered, by the models; no lot is drawn, nothing is recorded.
    fn preview(&self, request: Request<Ask>, shelf: &RequestShelf<'_>) -> Decision<Answer>;
    fn replay(&self, record: &DecisionRecord) -> Result<Answer, EngineError>;
    fn arm(&self, subject: Option<SubjectId>) -> Arm;
    /// Whether somebody of this market of whom this is all that was said may be measured.
    fn may_measure(&self, market: &MarketId, consent: ConsentStamp) -> bool;
    /// What a person of this market allows who now says `consent`.
    fn grant(&self, subject: SubjectId, market: &MarketId, consent: ConsentStamp) -> Grant;
}

impl<E: Engine<Ask = Ask, Answer = Answer> + 'static> Recommendations for Pipeline<E> {
    fn decide(&self, request: Request<Ask>, shelf: &mut RequestShelf<'_>) -> Decision<Answer> {
        self.decide(request, shelf)
    }

    fn preview(&self, request: Request<Ask>, shelf: &RequestShelf<'_>) -> Decision<Answer> {
        self.preview(request, shelf)
    }

    fn replay(&self, record: &DecisionRecord) -> Result<Answer, EngineError> {
        self.replay(record)
    }

    fn arm(&self, subject: Option<SubjectId>) -> Arm {
        self.arm(subject)
    }

    fn may_measure(&self, market: &MarketId, consent: ConsentStamp) -> bool {
        self.may_measure(market, consent)
    }

    fn grant(&self, subject: SubjectId, market: &MarketId, consent: ConsentStamp) -> Grant {
        self.grant(subject, market, consent)
    }
}

/// The pipeline that orders the blocks of pages.
pub trait Layouts: Send + Sync {
    fn decide(&self, request: Request<LayoutAsk>, shelf: &mut RequestShelf<'_>) -> Decision<LayoutAnswer>;
    fn replay(&self, record: &DecisionRecord) -> Result<LayoutAnswer, EngineError>;
    fn arm(&self, subject: Option<SubjectId>) -> Arm;
    /// Whether an order may follow what was learnt: whether somebody of this market who now says `consent` allows it.
    fn may_personalise(&self, subject: Option<SubjectId>, market: &MarketId, consent: ConsentStamp) -> bool;
}

impl<E: Engine<Ask = LayoutAsk, Answer = LayoutAnswer> + 'static> Layouts for Pipeline<E> {
    fn decide(&self, request: Request<LayoutAsk>, shelf: &mut RequestShelf<'_>) -> Decision<LayoutAnswer> {
        self.decide(request, shelf)
    }

    fn replay(&self, record: &DecisionRecord) -> Result<LayoutAnswer, EngineError> {
        self.replay(record)
    }

    fn arm(&self, subject: Option<SubjectId>) -> Arm {
        self.arm(subject)
    }

    fn may_personalise(&self, subject: Option<SubjectId>, market: &MarketId, consent: ConsentStamp) -> bool {
        self.may_personalise(subject, market, consent)
    }
}

/// The search pipeline, and what of its engine is asked beside decisions.
pub trait Searches: Send + Sync {
    /// Whether the index has been built; nothing but this is asked before.
    fn is_ready(&self) -> bool;
    /// Fetches what a decision can't wait for: the query's vector by a sentence encoder, within its time. The ask says whether it is there.
    fn prepare(&self, _ask: &mut SearchAsk) {}
    /// Which encoder is configured, and how it does.
    fn encoder(&self) -> Result<EncoderStatus, StoreError> {
        Ok(EncoderStatus::default())
    }
    fn decide(&self, request: Request<SearchAsk>, shelf: &mut RequestShelf<'_>) -> Decision<SearchAnswer>;
    /// The same answer for nobody in particular, without a decision: counts beside a search.
    fn look(
        &self,
        situation: &Situation,
        ask: &SearchAsk,
        shelf: &RequestShelf<'_>,
    ) -> Result<SearchAnswer, EngineError>;
    fn replay(&self, record: &DecisionRecord) -> Result<SearchAnswer, EngineError>;
    /// What each measurement added to the relevance of each hit, by deciding again; `None` where that comes out otherwise by now.
    fn contributions(&self, _record: &DecisionRecord) -> Result<Option<Vec<Vec<Contribution>>>, EngineError> {
        Ok(None)
    }
    fn arm(&self, subject: Option<SubjectId>) -> Arm;
    fn suggest(&self, ask: &SuggestAsk, situation: &Situation) -> Vec<Suggestion>;
    /// Values of a facet with words that begin as those of `text` do, and their counts, most frequent first.
    fn facet_values(
        &self,
        ask: &SearchAsk,
        field: &str,
        text: &str,
        most: usize,
        situation: &Situation,
    ) -> Result<Vec<(FilterValue, u32)>, EngineError>;
    /// What would be answered if these were the rules and synonyms; nothing is recorded.
    fn preview(
        &self,
        situation: &Situation,
        ask: &SearchAsk,
        shelf: &RequestShelf<'_>,
        rules: &[Rule],
        synonyms: Vec<Synonym>,
    ) -> Result<SearchAnswer, EngineError>;
    /// Rules or synonyms on record are others than before; searches after this go by them.
    fn merchandise_changed(&self);
    /// Where in a text the terms of an answer stand: in order, not overlapping.
    fn highlight(&self, text: &str, terms: &[SearchedTerm]) -> Vec<Mark>;
    /// Whether filters and facets know a field.
    fn has_field(&self, field: &str) -> bool;
    /// All fields that facets know.
    fn facet_fields(&self) -> Vec<String>;
    /// What searches are answered from now.
    fn state(&self) -> IndexState;
    /// Whether searches see the records as they were at a state, or later.
    fn has_seen(&self, state: CatalogueState) -> bool;
}

/// What a sentence encoder does for searches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct EncoderStatus {
    /// The id of the encoder; `own` where the shop's own encoder answers alone.
    pub encoder: String,
    /// Whether searches use its vectors: enough products have one.
    pub used: bool,
    pub products: u64,
    pub products_with_vectors: u64,
    pub queries: EncodedQueries,
    /// Of an endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub budget: Option<EncoderBudget>,
    /// Why it isn't used as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub trouble: Option<String>,
}

impl Default for EncoderStatus {
    fn default() -> Self {
        Self {
            encoder: "own".to_owned(),
            used: false,
            products: 0,
            products_with_vectors: 0,
            queries: EncodedQueries::default(),
            budget: None,
            trouble: None,
        }
    }
}

/// Searches since the server's start, by whether the query's vector was at hand, came in time, or was made for the next time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct EncodedQueries {
    /// Vectors in memory.
    pub kept: u64,
    pub at_hand: u64,
    pub in_time: u64,
    pub late: u64,
}

/// What was sent today, UTC, and what may be in a day; 0: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct EncoderBudget {
    pub texts_today: u64,
    pub texts_per_day: u64,
    pub tokens_today: u64,
    pub tokens_per_day: u64,
    pub calls_today: u64,
    pub failures_today: u64,
}

/// What experiments were worth, read off the log.
pub trait Reports: Send + Sync {
    fn experiment(&self, definition: &ExperimentDefinition, segment_by: SegmentBy) -> Result<Page, PageError>;
    /// One metric of it, as reports of so many earlier moments told it.
    fn sequence(
        &self,
        definition: &ExperimentDefinition,
        metric: &str,
        looks: usize,
    ) -> Result<SequencePage, PageError>;
    /// What a bandit knows; `None`: it is none.
    fn bandit(&self, definition: &ExperimentDefinition) -> Result<Option<BanditPage>, StoreError>;
    /// What everything automatic earns, by month.
    fn holdout(&self) -> Result<HoldoutPage, StoreError>;
    /// What each automation earns, counted from a moment on.
    fn value(&self, from: Option<TimestampMs>, window_days: usize) -> Result<ValuePage, StoreError>;
    /// The shop's figures of some whole days.
    fn kpis(&self, days: i32) -> Result<KpiPage, StoreError>;
    /// People by segment; who doesn't allow to be measured is in none.
    fn people(&self) -> Result<SegmentsPage, StoreError>;
    /// The last whole day's events beside those before.
    fn data_quality(&self) -> Result<QualityPage, StoreError>;
    /// The newest decisions beside the saved reference.
    fn drift(&self) -> Result<DriftPage, StoreError>;
    /// Calls the newest decisions usual from now on.
    fn save_reference(&self) -> Result<DriftPage, StoreError>;
    fn fairness(&self, question: &FairnessQuestion) -> Result<FairnessPage, StoreError>;
}

/// What features and predictions do.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DriftPage {
    pub engines: Vec<EngineDrift>,
}

#[derive(Debug, Clone, Serialize)]
pub struct EngineDrift {
    pub engine: String,
    /// When the reference was saved, and of which version's decisions; none where there is none.
    pub reference_at: Option<String>,
    pub reference_version: Option<u32>,
    /// Decisions that were looked at now.
    pub decisions: u64,
    pub numbers: Vec<Drift>,
    pub drifted: bool,
    /// Decisions of the model on which somebody clicked, when the reference was saved and now, of those that had time for it.
    pub clicked_before: Share,
    pub clicked: Share,
    /// Fewer are clicked, by much and not by chance.
    pub decayed: bool,
    /// The version that a retraining put into the shadow of live decisions.
    pub shadow_version: Option<u32>,
    /// What was found at earlier looks, oldest first.
    pub history: Vec<DriftLook>,
}

/// What an hourly look found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriftLook {
    pub at: String,
    pub numbers: Vec<Drift>,
}

/// A group of products, as the merchant defines it.
#[derive(Debug, Clone)]
pub struct ProductGroup {
    pub name: String,
    pub filter: Filter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShopperGroups {
    Device,
    Market,
}

#[derive(Debug, Clone)]
pub struct FairnessQuestion {
    pub products: Vec<ProductGroup>,
    pub shoppers: ShopperGroups,
    /// Of the newest recommendations.
    pub decisions: usize,
}

/// Whole days, numbered from 1970, the last one left out; of one market or of all.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchSpan {
    pub from_day: i32,
    pub until_day: i32,
    pub market: Option<MarketId>,
}

/// What became of searches.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SearchFigures {
    pub searches: u64,
    pub without_results: u64,
    /// Searches with a click at least.
    pub clicked: u64,
    pub clicks: u64,
    /// Places of all clicks, counted from 1, added up.
    pub positions: u64,
    pub carts: u64,
    /// Searches of which something was bought.
    pub ordered: u64,
    /// Of what was bought, by currency.
    pub revenue: Vec<Money>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct SearchOverview {
    pub total: SearchFigures,
    /// Ascending; days without a search are left out.
    pub days: Vec<(i32, SearchFigures)>,
    /// Facets chosen in, most often first.
    pub refinements: Vec<(String, u64)>,
    /// How many searches took so long, ascending.
    pub latency_us: Vec<(u32, u64)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct QueryFigures {
    /// In one spelling: lower case, single spaces.
    pub query: String,
    pub figures: SearchFigures,
}

/// Which queries come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueryOrder {
    #[default]
    Searches,
    /// Most searches that found nothing.
    WithoutResults,
    /// Most searches that found something and were not clicked.
    WithoutClicks,
    Clicks,
    Orders,
}

/// What became of searches, from the log.
pub trait SearchReports: Send + Sync {
    fn overview(&self, span: &SearchSpan) -> Result<SearchOverview, StoreError>;
    fn queries(&self, span: &SearchSpan, order: QueryOrder, most: usize) -> Result<Vec<QueryFigures>, StoreError>;
}

/// A version of a model, as the registry knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelEntry {
    pub name: String,
    pub version: ModelVersion,
    /// `candidate`, `live`, `previous`, `retired`.
    pub stage: String,
    /// Content hash of its bytes.
    pub artifact: String,
    pub trained_at: TimestampMs,
    /// What it was trained on, with which code and parameters; metrics on held-out time.
    pub lineage: serde_json::Value,
    pub metrics: serde_json::Value,
}

#[derive(Debug, thiserror::Error)]
pub enum ModelChangeError {
    #[error("there is no model {0}")]
    UnknownModel(String),
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The registry's versions and what serves.
pub trait ModelVersions: Send + Sync {
    fn list(&self) -> Result<Vec<ModelEntry>, StoreError>;
    /// `None` where there is no such version.
    fn get(&self, name: &str, version: ModelVersion) -> Result<Option<ModelEntry>, StoreError>;
    /// Makes a version the live one, in the registry and in the running engine. `None`: the newest candidate. It stands in the audit log.
    fn promote(
        &self,
        name: &str,
        version: Option<ModelVersion>,
        act: Act<'_>,
    ) -> Result<ModelVersion, ModelChangeError>;
    /// Makes the previous version live again. It stands in the audit log.
    fn roll_back(&self, name: &str, act: Act<'_>) -> Result<ModelVersion, ModelChangeError>;
    /// What a version's newest decisions were, by segment of shoppers.
    fn segments(&self, name: &str, version: ModelVersion) -> Result<Vec<ModelSegment>, StoreError>;
}

/// Decisions of a model for some of the shoppers.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ModelSegment {
    /// `device phone`, `market de`, `new shoppers` ..
    #[schema(example = "device phone")]
    pub segment: String,
    pub decisions: u64,
    /// Share of them of which something was opened.
    pub click_rate: f64,
    /// 95th percentile.
    pub latency_ms: f64,
}

/// Who does what takes longer than a request.
pub trait Jobs: Send + Sync {
    /// Puts a job in the queue; where one of the kind waits or runs, that one is returned.
    fn start(&self, kind: JobKind) -> Result<JobEntry, StoreError>;
    /// Newest first, as many as are remembered.
    fn list(&self) -> Result<Vec<JobEntry>, StoreError>;
    /// How much of this process's time went into jobs, in seconds since it began; the one that runs included.
    fn busy_s(&self) -> f64 {
        0.0
    }
    /// `None`: nothing is scheduled.
    fn next_training_at(&self) -> Result<Option<TimestampMs>, StoreError>;
}

#[derive(Debug, thiserror::Error)]
pub enum PrivacyError {
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What people ask about their data.
pub trait Privacy: Send + Sync {
    /// Puts a request into the register and the audit log, and sees to it that it is begun. The same one sent again is answered with what
    /// stands; another one under a known id is a conflict.
    fn submit(&self, new: NewRequest, act: Act<'_>) -> Result<PrivacyRequest, PrivacyError>;
    fn request(&self, id: &str) -> Result<Option<PrivacyRequest>, StoreError>;
    /// Newest first.
    fn requests(&self, limit: usize) -> Result<Vec<PrivacyRequest>, StoreError>;
    /// Whether it could be taken back.
    fn cancel(&self, id: &str, act: Act<'_>) -> Result<bool, StoreError>;
    /// Everything that is held of the person of a completed request, for `who`; each look is noted.
    fn data(&self, id: &str, who: &str) -> Result<serde_json::Value, PrivacyError>;
    /// The same of one person, with the newest `most` events and decisions.
    fn person(&self, subject: SubjectId, most: usize) -> Result<serde_json::Value, PrivacyError>;
    fn retention(&self) -> RetentionPeriods;
    fn note(&self, read: &PersonalRead) -> Result<(), StoreError>;
    /// Newest first.
    fn reads(&self, limit: usize) -> Result<Vec<PersonalRead>, StoreError>;
    /// Exchanges the vault's master key. Returns how many keys were wrapped anew.
    fn rotate_vault(&self, act: Act<'_>) -> Result<u64, PrivacyError>;
}

/// An event that could not be applied to what is known of shoppers and products.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// In the log.
    pub place: u64,
    pub event_id: String,
    pub kind: String,
    /// Why it could not be applied, the last time.
    pub detail: String,
    /// When it was set aside.
    pub at: TimestampMs,
    pub attempts: u64,
}

/// What came of applying it once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppliedAgain {
    Done,
    /// For the same reason, or another.
    Refused(String),
    /// The event is no longer in the log.
    Gone,
    /// None is set aside there.
    Unknown,
}

/// Events that were set aside so that those behind them went on.
pub trait DeadLetters: Send + Sync {
    /// By place, the earliest first: a bounded number.
    fn list(&self) -> Result<Vec<DeadLetter>, StoreError>;
    fn apply(&self, place: u64) -> Result<AppliedAgain, StoreError>;
    /// Gives it up. Whether there was one.
    fn give_up(&self, place: u64) -> Result<bool, StoreError>;
}

/// The process that writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leader {
    This,
    /// Another one, which answers at this URL.
    At(Box<str>),
    /// None at the moment; there is one in a few seconds.
    Nobody,
}

/// How the rest of the process is.
pub trait Vitals: Send + Sync {
    /// Whether a write of one row comes through.
    fn store_writable(&self) -> Result<(), StoreError>;
    /// Events in the log that projections have not seen yet.
    fn log_lag_events(&self) -> u64;
    /// What does not work as it should while requests are answered, in words for the operator.
    fn troubles(&self) -> Vec<String>;
    /// Where several processes serve the shop: which of them is to be asked for what only one does.
    fn leader(&self) -> Leader {
        Leader::This
    }
    /// After the last request: writes out what is only in memory (decision records, the online store's snapshot).
    fn finish(&self);
}
