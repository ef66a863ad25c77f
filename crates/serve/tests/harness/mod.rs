//! A server for tests: real keys, records, pipeline and recorder; a small engine and shop beside them.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use compact_str::CompactString;
use merx_decide::{
    Act, Arm, AuditLog, Automations, Catalogue, CatalogueEntry, Dealer, DecisionRecord, Definitions,
    ExperimentDefinition, ExposureLog, FeatureSource, Governed, Pipeline, PipelineSettings, Policies, Recorder,
    RecorderSettings, Request, RequestShelf,
};
use merx_domain::experiment::{ExperimentId, Holdout};
use merx_domain::merchandising::{Rule, Synonym};
use merx_domain::search::{
    FacetCounts, FacetRequest, FacetValueCount, HitReason, IndexState, Mark, SearchAnswer, SearchAsk, SearchHit,
    SearchedTerm, SuggestAsk, Suggestion, SuggestionKind,
};
use merx_domain::{
    Answer, Ask, Candidate, Clock, ConsentStamp, Currency, Decision, Engine, EngineError, Event, FallbackLevel,
    FilterValue, Grant, IdentityKind, LayoutAnswer, LayoutAsk, LayoutBlock, LayoutReason, ManualClock, MarketId,
    ModelVersion, Money, Order, OrderId, PlacedBlock, Price, Product, ProductId, ProductNumber, Proposal, Reason,
    Scenario, Shelf, Situation, SlotAnswer, StockLevel, SubjectFeatures, SubjectId, TimestampMs, Variant, VariantId,
};
use merx_ingest::privacy::{NewRequest, PersonalRead, PrivacyRequest, Reads, Requests};
use merx_ingest::vault::{MasterKey, Vault, VaultError};
use merx_ingest::{CustomerOrder, RawEvent, Rules};
use merx_measure::bandit::{BanditPage, Learner};
use merx_measure::fairness::{FairnessPage, fairness};
use merx_measure::shop::{
    Allowed, Beside, HoldoutPage, KpiPage, KpiQuestion, Ledger, Page, PageError, QualityPage, Question, SegmentBy,
    SegmentsPage, SequencePage, ValuePage, ValueQuestion, Witnesses, holdout_page, kpi_page, page, quality_page, read,
    segments_page, sequence_of, value_page,
};
use merx_serve::{
    AdmissionSettings, App, AppliedAgain, AskedBy, CatalogueState, DeadLetter, DeadLetters, DriftPage,
    FairnessQuestion, Indexes, Intake, JobEntry, JobKind, JobState, Jobs, Keys, Leader, Merchandise, ModelChangeError,
    ModelEntry, ModelSegment, ModelVersions, Oidc, Parts, Privacy, PrivacyError, PrivacySettings, QueryFigures,
    QueryOrder, RateLimit, Reports, RetentionPeriods, Scope, SearchFigures, SearchOverview, SearchReports, SearchSpan,
    Searches, Settings, ShopRecords, Site, SlotPreset, SlotRuleBook, StockPlace, Users, Vitals,
};
use merx_store::{Appended, EventLog, LogSettings, Migration, Store, StoreError};
use parking_lot::Mutex;

pub const NOW: TimestampMs = TimestampMs(1_795_228_774_000);

/// Shows what the shelf lets through, newest first, as a model would whose every score is 1.
pub struct NewestFirst;

impl Engine for NewestFirst {
    type Ask = Ask;
    type Answer = Answer;

    fn name(&self) -> &'static str {
        "recommend"
    }

    fn propose(
        &self,
        level: FallbackLevel,
        _pinned: Option<ModelVersion>,
        _situation: &Situation,
        ask: &Ask,
        features: &SubjectFeatures,
        shelf: &dyn Shelf,
        _late: &dyn Fn() -> bool,
    ) -> Result<Proposal<Answer>, EngineError> {
        let mut used = Vec::new();
        let mut slots = Vec::new();
        for (number, slot) in ask.slots.iter().enumerate() {
            assert!(slot.name != "panic", "an engine that panics");
            let reason = match (slot.products.first(), features.history.last()) {
                (Some(product), _) => Reason::SimilarTo { product: *product, weight: 1.0 },
                (None, Some(entry)) => Reason::Viewed { product: entry.product, weight: 1.0 },
                (None, None) => Reason::Popular { weight: 1.0 },
            };
            let overruled = ask.overruled(number);
            let shown = |product: &ProductNumber| {
                !slot.exclude.contains(product) && !used.contains(product) && !overruled.hidden.contains(product)
            };
            let items: Vec<Candidate> = shelf
                .listing(number, 1_000)
                .into_iter()
                .filter(shown)
                .take(slot.count)
                .map(|product| Candidate {
                    product,
                    score: shelf.fact(number, product).boost,
                    reasons: vec![reason.clone()],
                })
                .collect();
            let open = |product| shown(&product) && shelf.fact(number, product).blocked.is_none();
            let items = overruled.place(items, slot.count, &open);
            used.extend(items.iter().map(|item| item.product));
            slots.push(SlotAnswer { name: slot.name.clone(), items });
        }
        let model = (level == FallbackLevel::LiveModel).then_some(ModelVersion(1));
        Ok(Proposal { answer: Answer { slots }, model })
    }
}

/// Finds products that have every word of the query in their name; knows the fields `brand`, `category` and `price`.
pub struct NameSearch(Vec<(ProductNumber, String)>);

impl NameSearch {
    fn found(&self, ask: &SearchAsk, shelf: &dyn Shelf) -> SearchAnswer {
        let query = ask.query.to_lowercase();
        let words: Vec<&str> = query.split_whitespace().collect();
        let is_hit = |name: &str| words.iter().all(|word| name.split(' ').any(|part| part == *word));
        let all: Vec<ProductNumber> = self
            .0
            .iter()
            .filter(|(number, name)| is_hit(name) && shelf.fact(0, *number).blocked.is_none())
            .map(|(number, _)| *number)
            .collect();
        let hit = |product: &ProductNumber| SearchHit {
            product: *product,
            score: 1.0,
            reasons: vec![HitReason::Words { coverage: 1.0 }],
            measurements: Vec::new(),
        };
        let value = FacetValueCount { value: FilterValue::Text("Odd".into()), count: all.len() as u32 };
        let facet = |request: &FacetRequest| FacetCounts {
            field: request.field.replace('*', "category"),
            values: vec![value.clone()],
            distinct: 1,
            covered: all.len(),
            statistics: None,
        };
        SearchAnswer {
            hits: all.iter().skip(ask.offset).take(ask.count).map(hit).collect(),
            total: all.len(),
            facets: ask.facets.iter().map(facet).collect(),
            highlight: words.iter().map(|word| SearchedTerm::from((*word).to_owned())).collect(),
            ..SearchAnswer::default()
        }
    }
}

/// Has learnt that the last block is used most.
pub struct LastFirst;

impl Engine for LastFirst {
    type Ask = LayoutAsk;
    type Answer = LayoutAnswer;

    fn name(&self) -> &'static str {
        "layout"
    }

    fn propose(
        &self,
        level: FallbackLevel,
        _pinned: Option<ModelVersion>,
        _situation: &Situation,
        ask: &LayoutAsk,
        _features: &SubjectFeatures,
        _shelf: &dyn Shelf,
        _late: &dyn Fn() -> bool,
    ) -> Result<Proposal<LayoutAnswer>, EngineError> {
        let learned = level == FallbackLevel::LiveModel && ask.learned;
        if !learned && level < FallbackLevel::StaticList {
            return Err(EngineError::NoModel);
        }
        let reason = if learned { LayoutReason::Learned { expected: 0.25, seen: 40 } } else { LayoutReason::Default };
        let place = |block: &LayoutBlock| PlacedBlock {
            id: block.id.clone(),
            score: 0.25,
            chance: if learned { 0.5 } else { 1.0 },
            reason: reason.clone(),
        };
        let mut blocks: Vec<PlacedBlock> = ask.blocks.iter().map(place).collect();
        if learned {
            blocks.reverse();
        }
        blocks.truncate(ask.count);
        Ok(Proposal { answer: LayoutAnswer { blocks }, model: learned.then_some(ModelVersion(3)) })
    }
}

impl Engine for NameSearch {
    type Ask = SearchAsk;
    type Answer = SearchAnswer;

    fn name(&self) -> &'static str {
        "search"
    }

    fn propose(
        &self,
        _level: FallbackLevel,
        _pinned: Option<ModelVersion>,
        _situation: &Situation,
        ask: &SearchAsk,
        _features: &SubjectFeatures,
        shelf: &dyn Shelf,
        _late: &dyn Fn() -> bool,
    ) -> Result<Proposal<SearchAnswer>, EngineError> {
        Ok(Proposal { answer: self.found(ask, shelf), model: None })
    }
}

pub struct Finder {
    pipeline: Pipeline<NameSearch>,
    pub building: AtomicBool,
    pub merchandise_changes: AtomicU64,
    pub asked: Mutex<Vec<SearchAsk>>,
}

impl Searches for Finder {
    fn is_ready(&self) -> bool {
        !self.building.load(Ordering::Relaxed)
    }

    fn decide(&self, request: Request<SearchAsk>, shelf: &mut RequestShelf<'_>) -> Decision<SearchAnswer> {
        self.asked.lock().push(request.ask.clone());
        self.pipeline.decide(request, shelf)
    }

    fn look(&self, _: &Situation, ask: &SearchAsk, shelf: &RequestShelf<'_>) -> Result<SearchAnswer, EngineError> {
        self.asked.lock().push(ask.clone());
        Ok(self.pipeline.engine().found(ask, shelf))
    }

    fn replay(&self, record: &DecisionRecord) -> Result<SearchAnswer, EngineError> {
        self.pipeline.replay(record)
    }

    fn arm(&self, subject: Option<SubjectId>) -> Arm {
        self.pipeline.arm(subject)
    }

    fn suggest(&self, ask: &SuggestAsk, _: &Situation) -> Vec<Suggestion> {
        let named = self.pipeline.engine().0.iter().filter(|(_, name)| name.starts_with(&ask.text));
        let suggestion = |(number, name): &(ProductNumber, String)| Suggestion {
            kind: SuggestionKind::Product,
            text: name.clone(),
            product: Some(*number),
            weight: 1,
            trending: false,
            personal: false,
        };
        named.map(suggestion).take(ask.products.max(ask.queries)).collect()
    }

    fn facet_values(
        &self,
        _: &SearchAsk,
        _: &str,
        text: &str,
        most: usize,
        _: &Situation,
    ) -> Result<Vec<(FilterValue, u32)>, EngineError> {
        let values = ["Even", "Odd"].into_iter().filter(|value| value.to_lowercase().starts_with(text));
        Ok(values.map(|value| (FilterValue::Text(value.to_owned()), 25)).take(most).collect())
    }

    /// Says which rules there are.
    fn preview(
        &self,
        _: &Situation,
        ask: &SearchAsk,
        shelf: &RequestShelf<'_>,
        rules: &[Rule],
        _: Vec<Synonym>,
    ) -> Result<SearchAnswer, EngineError> {
        let mut answer = self.pipeline.engine().found(ask, shelf);
        answer.rules = rules.iter().map(|rule| rule.id.clone()).collect();
        Ok(answer)
    }

    fn merchandise_changed(&self) {
        self.merchandise_changes.fetch_add(1, Ordering::Relaxed);
    }

    fn highlight(&self, text: &str, terms: &[SearchedTerm]) -> Vec<Mark> {
        let lower = text.to_lowercase();
        let mark = |(place, searched): (usize, &SearchedTerm)| {
            let at = lower.find(searched.term.as_str())?;
            Some(Mark { range: at..at + searched.term.len(), terms: vec![place] })
        };
        let mut marks: Vec<Mark> = terms.iter().enumerate().filter_map(mark).collect();
        marks.sort_by_key(|mark| mark.range.start);
        marks
    }

    fn has_field(&self, field: &str) -> bool {
        ["brand", "category", "price", "in_stock"].contains(&field)
    }

    fn facet_fields(&self) -> Vec<String> {
        ["attributes.colour", "price"].map(str::to_owned).to_vec()
    }

    fn state(&self) -> IndexState {
        IndexState::default()
    }

    fn has_seen(&self, _: CatalogueState) -> bool {
        self.is_ready()
    }
}

struct NoFeatures;

impl FeatureSource for NoFeatures {
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

/// Keeps drafts of events in memory, each once.
#[derive(Default)]
pub struct MemoryIntake {
    pub events: Mutex<Vec<(Event, merx_ingest::Identities)>>,
    subjects: Mutex<HashMap<(IdentityKind, String), SubjectId>>,
    pub busy: AtomicBool,
    pub panics: AtomicBool,
    /// Whose key in the vault is damaged.
    pub damaged: Mutex<Option<String>>,
    /// How often events were handed over.
    pub takes: AtomicU64,
}

impl MemoryIntake {
    fn subject(&self, kind: IdentityKind, value: &str) -> SubjectId {
        let mut subjects = self.subjects.lock();
        let next = SubjectId(subjects.len() as u128 + 1);
        *subjects.entry((kind, value.to_owned())).or_insert(next)
    }
}

impl Intake for MemoryIntake {
    fn take(&self, events: Vec<RawEvent>) -> Result<Vec<Appended>, StoreError> {
        assert!(!self.panics.load(Ordering::Relaxed), "an intake that panics");
        if self.busy.load(Ordering::Relaxed) {
            return Err(StoreError::Busy { what: "event log", retry_after_ms: 2_500 });
        }
        self.takes.fetch_add(1, Ordering::Relaxed);
        let damaged = self.damaged.lock().clone();
        if events
            .iter()
            .any(|event| damaged.is_some() && event.identities.anonymous_id.as_deref() == damaged.as_deref())
        {
            return Err(StoreError::Damaged { what: "vault", detail: "a key".into() });
        }
        let mut kept = self.events.lock();
        let take = |event: RawEvent| {
            if let Some(id) = &event.identities.user_id {
                self.subject(IdentityKind::UserId, id);
            }
            if let Some(id) = &event.identities.anonymous_id {
                self.subject(IdentityKind::AnonymousId, id);
            }
            if kept.iter().any(|(known, _)| known.id == event.draft().id) {
                return Appended::Duplicate;
            }
            kept.push((event.draft().clone(), event.identities.clone()));
            Appended::Stored
        };
        Ok(events.into_iter().map(take).collect())
    }

    fn find_subject(&self, kind: IdentityKind, value: &str) -> Result<Option<SubjectId>, StoreError> {
        Ok(self.subjects.lock().get(&(kind, value.to_owned())).copied())
    }

    fn make_subject(&self, kind: IdentityKind, value: &str) -> Result<Option<SubjectId>, StoreError> {
        Ok(Some(self.subject(kind, value)))
    }

    fn consent_counts(&self) -> Result<Vec<(ConsentStamp, u64)>, StoreError> {
        let people: std::collections::BTreeSet<SubjectId> = self.subjects.lock().values().copied().collect();
        let said = people.into_iter().map(|subject| Ok((self.consent(subject)?, 1)));
        said.filter(|said| !matches!(said, Ok((stamp, _)) if *stamp == ConsentStamp::default())).collect()
    }

    fn consent(&self, subject: SubjectId) -> Result<ConsentStamp, StoreError> {
        let subjects = self.subjects.lock();
        let of = |names: &merx_ingest::Identities| {
            let user = names.user_id.as_ref().map(|id| (IdentityKind::UserId, id.to_string()));
            let anonymous = names.anonymous_id.as_ref().map(|id| (IdentityKind::AnonymousId, id.to_string()));
            user.into_iter().chain(anonymous).any(|name| subjects.get(&name) == Some(&subject))
        };
        let kept = self.events.lock();
        let stamps = kept.iter().filter(|(_, names)| of(names)).map(|(event, _)| event.consent);
        Ok(stamps.fold(ConsentStamp::default(), ConsentStamp::then))
    }
}

#[derive(Default)]
pub struct MemoryShop {
    products: Mutex<BTreeMap<ProductId, Product>>,
    orders: Mutex<BTreeMap<OrderId, Order>>,
    stock: Mutex<BTreeMap<StockPlace, StockLevel>>,
}

impl ShopRecords for MemoryShop {
    fn products_by_id(&self, ids: &[ProductId]) -> Result<Vec<Option<Product>>, StoreError> {
        let products = self.products.lock();
        Ok(ids.iter().map(|id| products.get(id).cloned()).collect())
    }

    fn products(&self, after: Option<&ProductId>, limit: usize) -> Result<Vec<Product>, StoreError> {
        let products = self.products.lock();
        let later = products.iter().filter(|(id, _)| after.is_none_or(|after| *id > after));
        Ok(later.map(|(_, product)| product.clone()).take(limit).collect())
    }

    fn write_products(&self, put: Vec<Product>, remove: Vec<ProductId>) -> Result<u64, StoreError> {
        let mut products = self.products.lock();
        products.extend(put.into_iter().map(|product| (product.id.clone(), product)));
        Ok(remove.iter().filter(|id| products.remove(id).is_some()).count() as u64)
    }

    fn order(&self, id: &OrderId) -> Result<Option<Order>, StoreError> {
        Ok(self.orders.lock().get(id).cloned())
    }

    fn orders(&self, after: Option<&OrderId>, limit: usize) -> Result<Vec<Order>, StoreError> {
        let orders = self.orders.lock();
        let later = orders.iter().filter(|(id, _)| after.is_none_or(|after| *id > after));
        Ok(later.map(|(_, order)| order.clone()).take(limit).collect())
    }

    fn write_orders(&self, put: Vec<CustomerOrder>, remove: Vec<OrderId>) -> Result<u64, StoreError> {
        let mut orders = self.orders.lock();
        for CustomerOrder { customer, mut order } in put {
            // One customer is all that a test needs.
            order.subject = customer.map(|_| SubjectId(1)).or(order.subject);
            orders.insert(order.id.clone(), order);
        }
        Ok(remove.iter().filter(|id| orders.remove(id).is_some()).count() as u64)
    }

    fn stock(&self, product: &ProductId) -> Result<Vec<StockLevel>, StoreError> {
        Ok(self.stock.lock().values().filter(|level| level.product == *product).cloned().collect())
    }

    fn write_stock(&self, put: Vec<StockLevel>, remove: Vec<StockPlace>) -> Result<u64, StoreError> {
        let mut stock = self.stock.lock();
        let place = |level: &StockLevel| (level.product.clone(), level.variant.clone(), level.location.clone());
        stock.extend(put.into_iter().map(|level| (place(&level), level)));
        Ok(remove.iter().filter(|place| stock.remove(place).is_some()).count() as u64)
    }

    fn catalogue_state(&self) -> Result<CatalogueState, StoreError> {
        Ok(CatalogueState { products: self.products.lock().len() as i64, stock: 0 })
    }
}

/// Everybody searches for the same.
pub struct OneQuery;

impl SearchReports for OneQuery {
    fn overview(&self, _: &SearchSpan) -> Result<SearchOverview, StoreError> {
        let days = vec![(20_000, figures())];
        let latency_us = vec![(400, 30), (3_000, 10)];
        Ok(SearchOverview { total: figures(), days, refinements: vec![("brand".to_owned(), 4)], latency_us })
    }

    fn queries(&self, _: &SearchSpan, _: QueryOrder, _: usize) -> Result<Vec<QueryFigures>, StoreError> {
        Ok(vec![QueryFigures { query: "lamp".to_owned(), figures: figures() }])
    }
}

fn figures() -> SearchFigures {
    let revenue = vec![Money::new(9_900, Currency::EUR)];
    let (searches, clicked, clicks, positions) = (40, 20, 25, 50);
    SearchFigures { searches, without_results: 4, clicked, clicks, positions, carts: 8, ordered: 2, revenue }
}

/// Versions 1 and 2 of one model.
pub struct TwoVersions {
    live: Mutex<u32>,
    audit: Arc<AuditLog>,
}

impl ModelVersions for TwoVersions {
    fn list(&self) -> Result<Vec<ModelEntry>, StoreError> {
        let live = *self.live.lock();
        let entry = |version: u32| ModelEntry {
            artifact: format!("{version:064x}"),
            name: "recommend".to_owned(),
            version: ModelVersion(version),
            stage: if version == live { "live" } else { "candidate" }.to_owned(),
            trained_at: NOW,
            lineage: serde_json::json!({"rows": 10}),
            metrics: serde_json::json!({"ndcg@20": 0.1}),
        };
        Ok(vec![entry(2), entry(1)])
    }

    fn get(&self, name: &str, version: ModelVersion) -> Result<Option<ModelEntry>, StoreError> {
        Ok(self.list()?.into_iter().find(|entry| entry.name == name && entry.version == version))
    }

    fn promote(
        &self,
        name: &str,
        version: Option<ModelVersion>,
        act: Act<'_>,
    ) -> Result<ModelVersion, ModelChangeError> {
        if name != "recommend" {
            return Err(ModelChangeError::UnknownModel(name.to_owned()));
        }
        let version = version.unwrap_or(ModelVersion(2));
        if !(1..=2).contains(&version.0) {
            return Err(ModelChangeError::Refused(format!("there is no version {version}")));
        }
        *self.live.lock() = version.0;
        self.audit.note(act, "model.promoted", name, &serde_json::json!({ "version": version.0 }))?;
        Ok(version)
    }

    fn roll_back(&self, name: &str, act: Act<'_>) -> Result<ModelVersion, ModelChangeError> {
        self.promote(name, Some(ModelVersion(1)), act)
    }

    fn segments(&self, _: &str, version: ModelVersion) -> Result<Vec<ModelSegment>, StoreError> {
        let segment = |segment: &str, decisions| ModelSegment {
            segment: segment.to_owned(),
            decisions,
            click_rate: 0.25,
            latency_ms: 1.5,
        };
        Ok(if version.0 == 1 { vec![segment("device phone", 900), segment("device tablet", 12)] } else { Vec::new() })
    }
}

/// Three events that can't be applied: the first can by now, the second is gone, the third is as it was.
pub struct SetAside(Mutex<Vec<u64>>);

impl DeadLetters for SetAside {
    fn list(&self) -> Result<Vec<DeadLetter>, StoreError> {
        let letter = |place: &u64| DeadLetter {
            place: *place,
            event_id: format!("event-{place}"),
            kind: "Product Viewed".to_owned(),
            detail: "too large".to_owned(),
            at: TimestampMs(0),
            attempts: 1,
        };
        Ok(self.0.lock().iter().map(letter).collect())
    }

    fn apply(&self, place: u64) -> Result<AppliedAgain, StoreError> {
        Ok(match place {
            9 => AppliedAgain::Refused("too large".to_owned()),
            _ if !self.give_up(place)? => AppliedAgain::Unknown,
            8 => AppliedAgain::Gone,
            _ => AppliedAgain::Done,
        })
    }

    fn give_up(&self, place: u64) -> Result<bool, StoreError> {
        let mut places = self.0.lock();
        let before = places.len();
        places.retain(|known| *known != place);
        Ok(places.len() < before)
    }
}

/// Takes jobs and never does them.
#[derive(Default)]
pub struct Unwilling(Mutex<Vec<JobEntry>>);

impl Jobs for Unwilling {
    fn start(&self, kind: JobKind) -> Result<JobEntry, StoreError> {
        let mut jobs = self.0.lock();
        if let Some(known) = jobs.iter().find(|job| job.kind == kind) {
            return Ok(known.clone());
        }
        let job = JobEntry {
            id: jobs.len() as u64 + 1,
            kind,
            by: AskedBy::Request,
            state: JobState::Waiting,
            step: "waiting".to_owned(),
            progress: None,
            asked_at: NOW,
            started_at: None,
            ended_at: None,
            result: None,
            error: None,
            worker: None,
            attempts: 0,
            leased: false,
        };
        jobs.insert(0, job.clone());
        Ok(job)
    }

    fn list(&self) -> Result<Vec<JobEntry>, StoreError> {
        Ok(self.0.lock().clone())
    }

    fn next_training_at(&self) -> Result<Option<TimestampMs>, StoreError> {
        Ok(Some(NOW))
    }
}

/// Reads reports off the log, with nothing known of costs.
struct LogReports {
    log: Arc<dyn EventLog>,
    clock: Arc<ManualClock>,
}

impl LogReports {
    fn question<'q>(&self, definition: &'q ExperimentDefinition, segment_by: SegmentBy) -> Question<'q> {
        Question {
            experiment: &definition.experiment,
            own_exposure: merx_decide::OWN_EXPOSURE,
            told_by_pages: false,
            segment_by,
            currency: Currency::EUR,
            now: self.clock.now(),
            cost: &|_, _| None,
        }
    }
}

impl Reports for LogReports {
    fn experiment(&self, definition: &ExperimentDefinition, segment_by: SegmentBy) -> Result<Page, PageError> {
        page(&*self.log, &self.question(definition, segment_by))
    }

    fn sequence(
        &self,
        definition: &ExperimentDefinition,
        metric: &str,
        looks: usize,
    ) -> Result<SequencePage, PageError> {
        let question = self.question(definition, SegmentBy::default());
        Ok(sequence_of(&read(&*self.log, &question)?, &question, metric, looks)?)
    }

    fn bandit(&self, definition: &ExperimentDefinition) -> Result<Option<BanditPage>, StoreError> {
        let Some(bandit) = definition.bandit else { return Ok(None) };
        let names: Vec<String> = definition.experiment.arms.iter().map(|arm| arm.name.to_string()).collect();
        let learner = Learner::new(bandit.kind, names.len(), bandit.floor, 1);
        Ok(Some(learner.page(&names, 1)))
    }

    fn holdout(&self) -> Result<HoldoutPage, StoreError> {
        holdout_page(&*self.log, Currency::EUR, Some(TimestampMs(0)), &|subject| subject.0.is_multiple_of(10))
    }

    fn value(&self, from: Option<TimestampMs>, window_days: usize) -> Result<ValuePage, StoreError> {
        let now = self.clock.now();
        let question = ValueQuestion { now, from: from.unwrap_or(TimestampMs(0)), window_days };
        Ok(value_page(&self.ledger()?, &question, &[]))
    }

    fn kpis(&self, days: i32) -> Result<KpiPage, StoreError> {
        let question = KpiQuestion { now: self.clock.now(), days, beside: Beside::default() };
        Ok(kpi_page(&self.ledger()?, &question))
    }

    fn people(&self) -> Result<SegmentsPage, StoreError> {
        let allowed = |_, _: &MarketId| Allowed { measured: true, personalised: true };
        Ok(segments_page(&self.ledger()?.everybody(), 0, "EUR", self.clock.now(), &allowed))
    }

    fn data_quality(&self) -> Result<QualityPage, StoreError> {
        Ok(quality_page(self.ledger()?.health(), self.clock.now().day() - 1))
    }

    fn drift(&self) -> Result<DriftPage, StoreError> {
        Ok(DriftPage::default())
    }

    fn save_reference(&self) -> Result<DriftPage, StoreError> {
        Ok(DriftPage::default())
    }

    fn fairness(&self, question: &FairnessQuestion) -> Result<FairnessPage, StoreError> {
        let groups: Vec<(String, u64)> = question.products.iter().map(|group| (group.name.clone(), 1)).collect();
        Ok(fairness(&[], &groups, &[], 1))
    }
}

impl LogReports {
    fn ledger(&self) -> Result<Ledger, StoreError> {
        let mut ledger = Ledger::new(Currency::EUR);
        let witnesses = Witnesses { engines: &|_| Default::default(), sells: &|_| true };
        ledger.catch_up(&*self.log, &witnesses, usize::MAX)?;
        Ok(ledger)
    }
}

/// The register, without anybody who works on it.
pub struct PrivacyDesk {
    audit: Arc<AuditLog>,
    vault: Vault,
    requests: Requests,
    reads: Reads,
}

fn store_error(error: VaultError) -> StoreError {
    match error {
        VaultError::Store(error) => error,
        other => StoreError::Unavailable { what: "vault", detail: other.to_string() },
    }
}

impl Privacy for PrivacyDesk {
    fn submit(&self, new: NewRequest, act: Act<'_>) -> Result<PrivacyRequest, PrivacyError> {
        let due = NOW.plus_ms(30 * merx_domain::DAY_MS);
        let detail = serde_json::json!({ "kind": new.kind.name() });
        let entry = Governed { action: "privacy.submitted", target: "request", detail };
        let beside = &mut |transaction: &mut dyn merx_store::Transaction| entry.append(transaction, act);
        Ok(self.requests.submit(&self.vault, &new, NOW, due, beside).map_err(store_error)?)
    }

    fn request(&self, id: &str) -> Result<Option<PrivacyRequest>, StoreError> {
        self.requests.get(id)
    }

    fn requests(&self, limit: usize) -> Result<Vec<PrivacyRequest>, StoreError> {
        self.requests.latest(limit)
    }

    fn cancel(&self, id: &str, act: Act<'_>) -> Result<bool, StoreError> {
        let entry = Governed { action: "privacy.cancelled", target: id, detail: serde_json::Value::Null };
        self.requests.cancel(id, NOW, &mut |transaction| entry.append(transaction, act))
    }

    fn data(&self, id: &str, _who: &str) -> Result<serde_json::Value, PrivacyError> {
        Err(PrivacyError::Refused(format!("nothing is held for {id}")))
    }

    fn person(&self, subject: SubjectId, most: usize) -> Result<serde_json::Value, PrivacyError> {
        Ok(serde_json::json!({ "subject_id": subject.to_string(), "most": most }))
    }

    fn retention(&self) -> RetentionPeriods {
        RetentionPeriods { events_days: 400, proof_days: 30, ..Default::default() }
    }

    fn note(&self, read: &PersonalRead) -> Result<(), StoreError> {
        self.reads.note(read)
    }

    fn reads(&self, limit: usize) -> Result<Vec<PersonalRead>, StoreError> {
        self.reads.latest(limit)
    }

    fn rotate_vault(&self, act: Act<'_>) -> Result<u64, PrivacyError> {
        self.audit.note(act, "vault.rotated", "vault", &serde_json::Value::Null)?;
        Ok(self.vault.rotate(MasterKey::random().unwrap()).map_err(store_error)?)
    }
}

#[derive(Default)]
pub struct Pulse {
    pub broken: AtomicBool,
    pub lag: AtomicU64,
    pub finished: AtomicBool,
    pub model_broken: AtomicBool,
    /// Who leads, where several processes serve the shop.
    pub leader: Mutex<Option<Leader>>,
}

impl Vitals for Pulse {
    fn store_writable(&self) -> Result<(), StoreError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable { what: "records", detail: "read-only".into() });
        }
        Ok(())
    }

    fn log_lag_events(&self) -> u64 {
        self.lag.load(Ordering::Relaxed)
    }

    fn troubles(&self) -> Vec<String> {
        let broken = self.model_broken.load(Ordering::Relaxed);
        broken.then(|| "a model is damaged".to_owned()).into_iter().collect()
    }

    fn leader(&self) -> Leader {
        self.leader.lock().clone().unwrap_or(Leader::This)
    }

    fn finish(&self) {
        self.finished.store(true, Ordering::Relaxed);
    }
}

pub struct Shop {
    pub app: Arc<App>,
    pub public: String,
    pub secret: String,
    pub admin: String,
    pub intake: Arc<MemoryIntake>,
    pub records: Arc<MemoryShop>,
    pub pulse: Arc<Pulse>,
    pub finder: Arc<Finder>,
    pub merchandise: Arc<Merchandise>,
    pub recorder: Arc<Recorder>,
    pub catalogue: Arc<Catalogue>,
    pub clock: Arc<ManualClock>,
    pub automations: Arc<Automations>,
    pub dealer: Arc<Dealer>,
    pub log: Arc<dyn EventLog>,
    _folder: tempfile::TempDir,
}

pub fn settings() -> Settings {
    let mut basket = SlotPreset::new(Scenario::CompleteBasket, 3);
    basket.filter = Some(merx_domain::Filter::parse("price < 20").unwrap());
    Settings {
        rules: Rules::new(Currency::EUR),
        slots: BTreeMap::from([("basket".to_owned(), basket)]),
        default_market: MarketId::default(),
        index: "products".to_owned(),
        public_keys_name_customers: false,
        public_keys_list_products: false,
        rate_limit: RateLimit { requests_per_second: 0.0, burst: 0.0 },
        newcomers: RateLimit { requests_per_second: 0.0, burst: 0.0 },
        max_body_bytes: 1_000_000,
        admission: AdmissionSettings { decisions_at_once: 64, longest_wait_ms: 1_000, recommends_in_memory: true },
        request_timeout_ms: 10_000,
        cors_origins: vec!["*".to_owned()],
        shutdown_grace_ms: 2_000,
        privacy: PrivacySettings {
            shopify_secret: Some("shpss_secret".to_owned()),
            opendsr_secret: Some("opendsr secret".to_owned()),
            controller_id: "shop".to_owned(),
            processor_domain: "shop.example".to_owned(),
        },
        id_key: [1; 32],
    }
}

pub fn product(number: u32) -> Product {
    let mut product = Product::new(
        ProductId::new(format!("p{number}")).unwrap(),
        format!("Product {number}"),
        NOW.plus_ms(-i64::from(number) * merx_domain::DAY_MS),
    );
    product.category_path = vec![if number.is_multiple_of(2) { "Even" } else { "Odd" }.into()];
    product.url = Some(format!("https://shop.example/p{number}"));
    let mut variant = Variant::new(VariantId::new(format!("p{number}-v")).unwrap());
    variant.prices.push(Price {
        market: None,
        amount: Money::new(i64::from(number) * 100 + 99, Currency::EUR),
        list_amount: None,
    });
    product.variants.push(variant);
    product
}

impl Shop {
    pub fn open() -> Self {
        Self::with(settings(), 50)
    }

    pub fn with(settings: Settings, products: u32) -> Self {
        Self::build(settings, products, Site::default(), None, Arc::new(ManualClock::new(NOW)))
    }

    pub fn with_sign_in(settings: Settings, oidc: Arc<Oidc>, clock: Arc<ManualClock>) -> Self {
        Self::build(settings, 50, Site::default(), Some(oidc), clock)
    }

    pub fn with_site(site: Site) -> Self {
        Self::build(settings(), 50, site, None, Arc::new(ManualClock::new(NOW)))
    }

    fn build(settings: Settings, products: u32, site: Site, oidc: Option<Arc<Oidc>>, clock: Arc<ManualClock>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut migrations: Vec<Migration> = merx_serve::MIGRATIONS.to_vec();
        migrations.extend(merx_decide::MIGRATIONS);
        migrations.extend(merx_ingest::MIGRATIONS);
        migrations.sort_by_key(|migration| migration.name);
        let store = Store::open_embedded(folder.path(), &migrations, LogSettings::default()).unwrap();
        let keys = Arc::new(Keys::open(Arc::clone(&store.records)).unwrap());
        let mint = |scope| keys.mint(scope, "test", Act::of_merx(NOW)).unwrap().0;
        let (public, secret, admin) = (mint(Scope::Public), mint(Scope::Secret), mint(Scope::Admin));

        let recorder = Arc::new(Recorder::new(Arc::clone(&store.records), RecorderSettings::default()));
        let catalogue = Arc::new(Catalogue::default());
        let shop = Arc::new(MemoryShop::default());
        for number in 1..=products {
            let product = product(number);
            catalogue.put(ProductNumber(number - 1), CatalogueEntry::new(&product, None));
            shop.write_products(vec![product], Vec::new()).unwrap();
        }
        let region = merx_domain::RegionDocument {
            allowed_unless_denied: vec!["personalisation".to_owned(), "analytics".to_owned()],
            ..Default::default()
        };
        let regions = BTreeMap::from([("default".to_owned(), region)]);
        let configured = merx_domain::PolicyDocument { default_region: "default".to_owned(), regions };
        let policies = Arc::new(Policies::open(Arc::clone(&store.records), configured).unwrap());
        let rules = PipelineSettings {
            consent: policies.book().clone(),
            holdout: 0.0,
            holdout_salt: "test".into(),
            deadline_ms: 1_000,
        };
        let metrics = ["conversion", "revenue_per_visitor"].map(CompactString::new).into();
        let holdout = Holdout { salt: "everything".into(), share: 0 };
        let definitions = Arc::new(Definitions::open(Arc::clone(&store.records), holdout, metrics).unwrap());
        let exposures = Arc::new(ExposureLog::new(Arc::clone(&store.log)));
        let dealer = Arc::new(Dealer::new(definitions, exposures, Arc::new(NoFeatures)));
        let engines = ["recommend", "search", "layout"];
        let automations = Arc::new(Automations::open(Arc::clone(&store.records), &engines, NOW).unwrap());
        let audit = Arc::new(AuditLog::new(Arc::clone(&store.records)));
        let pipeline = Pipeline::new(
            Arc::new(NewestFirst),
            Arc::new(NoFeatures),
            Arc::clone(&recorder),
            Arc::clone(&clock) as Arc<dyn Clock>,
            Arc::clone(&dealer),
            Arc::clone(&automations),
            rules.clone(),
        )
        .watching(Arc::clone(&catalogue));
        let names = (1..=products).map(|number| (ProductNumber(number - 1), product(number).name.to_lowercase()));
        let search_pipeline = Pipeline::new(
            Arc::new(NameSearch(names.collect())),
            Arc::new(NoFeatures),
            Arc::clone(&recorder),
            Arc::clone(&clock) as Arc<dyn Clock>,
            Arc::clone(&dealer),
            Arc::clone(&automations),
            rules.clone(),
        );
        let layouts = Pipeline::new(
            Arc::new(LastFirst),
            Arc::new(NoFeatures),
            Arc::clone(&recorder),
            Arc::clone(&clock) as Arc<dyn Clock>,
            Arc::clone(&dealer),
            Arc::clone(&automations),
            rules,
        );
        let finder = Arc::new(Finder {
            pipeline: search_pipeline,
            building: AtomicBool::new(false),
            merchandise_changes: AtomicU64::new(0),
            asked: Mutex::default(),
        });
        let intake = Arc::new(MemoryIntake::default());
        let pulse = Arc::new(Pulse::default());
        let merchandise = Arc::new(Merchandise::new(Arc::clone(&store.records)));
        let records = || Arc::clone(&store.records);
        let privacy = PrivacyDesk {
            audit: Arc::clone(&audit),
            vault: Vault::open(records(), vec![MasterKey::random().unwrap()], 10).unwrap(),
            requests: Requests::new(records()),
            reads: Reads::new(records()),
        };
        let parts = Parts {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            keys,
            users: Arc::new(Users::open(records()).unwrap()),
            oidc,
            indexes: Arc::new(Indexes::open(Arc::clone(&store.records)).unwrap()),
            intake: Arc::clone(&intake) as Arc<dyn Intake>,
            shop: Arc::clone(&shop) as Arc<dyn ShopRecords>,
            recommendations: Arc::new(pipeline),
            layouts: Arc::new(layouts),
            searches: Arc::clone(&finder) as Arc<dyn Searches>,
            merchandise: Arc::clone(&merchandise),
            slot_rules: Arc::new(SlotRuleBook::open(Arc::clone(&store.records)).unwrap()),
            search_figures: Arc::new(OneQuery),
            catalogue: Arc::clone(&catalogue),
            static_list: Arc::default(),
            recorder: Arc::clone(&recorder),
            dealer: Arc::clone(&dealer),
            reports: Arc::new(LogReports { log: Arc::clone(&store.log), clock: Arc::clone(&clock) }),
            automations: Arc::clone(&automations),
            audit: Arc::clone(&audit),
            labels: merx_decide::Labels::new(Arc::clone(&store.records)),
            policies,
            models: Arc::new(TwoVersions { live: Mutex::new(1), audit: Arc::clone(&audit) }),
            jobs: Arc::new(Unwilling::default()),
            dead_letters: Arc::new(SetAside(Mutex::new(vec![7, 8, 9]))),
            privacy: Arc::new(privacy),
            vitals: Arc::clone(&pulse) as Arc<dyn Vitals>,
            settings,
        };
        let app = App::with_site(parts, site);
        Self {
            app,
            public,
            secret,
            admin,
            intake,
            records: shop,
            pulse,
            finder,
            merchandise,
            recorder,
            catalogue,
            clock,
            automations,
            dealer,
            log: store.log,
            _folder: folder,
        }
    }
}
