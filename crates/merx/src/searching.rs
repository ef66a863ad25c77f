//! Search over the shop's records: the index, kept current, and what the server asks of it.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use merx_decide::{Arm, DecisionRecord, Pipeline, RecordError, Request, RequestShelf};
use merx_discovery::search::engine::{Person, RankLearner, RankerModel};
use merx_discovery::search::{EngineSettings, MeaningSettings, SearchEngine, SearchOptions};
use merx_domain::merchandising::{Rule, Synonym};
use merx_domain::search::{
    Contribution, IndexState, Mark, SearchAnswer, SearchAsk, SearchedTerm, SuggestAsk, Suggestion,
};
use merx_domain::{
    Clock, DAY_MS, Decision, Engine, EngineError, FallbackLevel, FilterValue, MINUTE_MS, ModelVersion, Product,
    ProductNumber, Situation, SubjectFeatures, SubjectId, TimestampMs,
};
use merx_ingest::{ChangeNumber, Ingest};
use merx_models::Learner;
use merx_models::registry::{RegisteredModel, Registry};
use merx_serve::{CatalogueState, EncoderStatus, Merchandise, Searches};
use merx_store::{Records, StoreError};
use parking_lot::Mutex;
use rustc_hash::{FxHashSet, FxHasher};

use crate::background::Repeated;
use crate::encoding::{self, Encoding};
use crate::housekeeping::yield_to_answers;
use crate::projection::Projection;
use crate::search_log::{facet_choices, logged_queries};
use crate::shop::Shop;
use crate::training::stopwatch;
use crate::{config, memory};

/// The search ranker's name in the registry.
pub(crate) const SEARCH: &str = "search";

/// How long a change of the catalogue may go unseen.
const POLL: Duration = Duration::from_millis(150);
const BATCH: usize = 5_000;
/// How old what is read from behaviour may be.
const SIGNALS_EVERY_MS: i64 = 5 * MINUTE_MS;
/// An index is built anew when the texts of one in so many of its products have changed, and of so many at least.
const WORN_SHARE: usize = 4;
const WORN_LEAST: usize = 50;
/// How long texts are left alone before that: a catalogue that is still coming would make the new index an old one. Of twice as many
/// changes it isn't asked.
const REST: Duration = Duration::from_secs(10);
const WEAR_POLL: Duration = Duration::from_secs(1);
/// How long a product may be searched by what the encoder said of it before.
const ENCODER_POLL: Duration = Duration::from_secs(1);
/// An encoder that can't be opened is tried again after so long.
const ENCODER_AGAIN_MS: i64 = MINUTE_MS;
/// Popularity is told apart in so many steps.
const STEPS: f32 = 64.0;

/// An engine without products yet.
pub(crate) fn engine(settings: &config::Search, registry: &Arc<Registry>) -> Result<SearchEngine> {
    let options = SearchOptions {
        languages: settings.languages.clone(),
        meaning: settings.meaning.then(MeaningSettings::default),
        ..SearchOptions::default()
    };
    let registry = Arc::clone(registry);
    let load = move |version: ModelVersion| load(&registry, &registry.get(SEARCH, version).ok()?).ok();
    let weights = EngineSettings {
        popularity: settings.popularity,
        margin: settings.margin,
        stock: settings.stock,
        newness: settings.newness,
        clicks: settings.clicks,
        personal: settings.personal,
        least_sentence_cosine: settings.encoder.least_cosine,
        ..EngineSettings::default()
    };
    Ok(SearchEngine::new(weights, options, Box::new(load))?)
}

pub(crate) fn load(registry: &Registry, model: &RegisteredModel) -> Result<RankerModel> {
    Ok(RankLearner::default().load(&registry.load(model)?)?)
}

pub(crate) struct Searching {
    pipeline: Arc<Pipeline<SearchEngine>>,
    ingest: Arc<Ingest>,
    projection: Arc<Projection>,
    merchandise: Arc<Merchandise>,
    records: Arc<dyn Records>,
    /// What processes that don't lead may write to as well.
    recording: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    encoder: config::Encoder,
    encoding: OnceLock<Encoding>,
    opening: Mutex<Opening>,
    /// How far the index has come; `None` before it was built.
    seen: Mutex<Option<Seen>>,
    /// The change of rules and synonyms that searches go by.
    rules_seen: Mutex<Option<u64>>,
    /// What shoppers search for most.
    frequent: Mutex<Arc<[String]>>,
    /// When popularity, queries and chosen facets were read last.
    signals_at: Mutex<TimestampMs>,
    /// The same for readers, who can't wait for a change to be written.
    reached: Mutex<Seen>,
    ready: AtomicBool,
}

/// Tries to open the encoder.
#[derive(Default)]
struct Opening {
    next_at: TimestampMs,
    trouble: Option<String>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    products: ChangeNumber,
    stock: ChangeNumber,
}

impl Searching {
    pub(crate) fn new(
        pipeline: Arc<Pipeline<SearchEngine>>,
        ingest: Arc<Ingest>,
        projection: Arc<Projection>,
        merchandise: Arc<Merchandise>,
        records: Arc<dyn Records>,
        recording: Arc<dyn Records>,
        clock: Arc<dyn Clock>,
        encoder: config::Encoder,
    ) -> Self {
        Self {
            pipeline,
            ingest,
            projection,
            merchandise,
            records,
            recording,
            clock,
            encoder,
            encoding: OnceLock::new(),
            opening: Mutex::default(),
            seen: Mutex::default(),
            rules_seen: Mutex::default(),
            frequent: Mutex::new(Arc::default()),
            signals_at: Mutex::default(),
            reached: Mutex::default(),
            ready: AtomicBool::new(false),
        }
    }

    pub(crate) fn engine(&self) -> &SearchEngine {
        self.pipeline.engine()
    }

    /// Builds the index where there is none, else brings it up to the records. Searches go on meanwhile.
    pub(crate) fn catch_up(&self) -> Result<()> {
        let mut seen = self.seen.lock();
        let mut at = match *seen {
            Some(at) => at,
            None => self.build()?,
        };
        // What fails is tried again from here.
        *seen = Some(at);
        *self.reached.lock() = at;
        self.follow_merchandise()?;
        while self.follow(&mut at)? {
            *seen = Some(at);
            *self.reached.lock() = at;
        }
        if !self.is_ready() {
            self.follow_signals()?;
        }
        self.ready.store(true, Ordering::Release);
        Ok(())
    }

    /// Reads what behaviour says, where that is long ago. Apart from the catalogue, whose changes can't wait so long.
    fn follow_signals(&self) -> Result<()> {
        let mut read_at = self.signals_at.lock();
        let now = self.clock.now();
        if now.since(*read_at) >= SIGNALS_EVERY_MS {
            self.read_signals(now)?;
            *read_at = now;
        }
        Ok(())
    }

    /// The sentence encoder that is configured, opened where it isn't yet. One that can't be opened is told, and tried again after a while.
    fn encoding(&self) -> Option<&Encoding> {
        if self.encoding.get().is_some() {
            return self.encoding.get();
        }
        let (mut opening, now) = (self.opening.lock(), self.clock.now());
        if self.encoding.get().is_none() && now >= opening.next_at {
            opening.next_at = now.plus_ms(ENCODER_AGAIN_MS);
            match encoding::open(&self.encoder, &self.recording, &self.clock) {
                Ok(None) => opening.next_at = TimestampMs(i64::MAX),
                Ok(Some(opened)) => {
                    let opened = Encoding::new(opened, Arc::clone(&self.records), self.encoder.clone());
                    self.engine().set_encoder(opened.id(), Arc::clone(opened.queries()) as _);
                    tracing::info!(encoder = opened.id(), "the encoder is open");
                    opening.trouble = None;
                    let _ = self.encoding.set(opened);
                }
                Err(error) => {
                    let words = format!("search.encoder: {error:#}; the shop's own encoder answers");
                    if opening.trouble.as_ref() != Some(&words) {
                        tracing::error!(
                            error = format!("{error:#}"),
                            "search.encoder can't be used; the shop's own answers"
                        );
                    }
                    opening.trouble = Some(words);
                }
            }
        }
        self.encoding.get()
    }

    /// Why the encoder that is configured isn't used as it should be.
    pub(crate) fn encoder_trouble(&self) -> Option<String> {
        let opened = self.encoding.get().map(Encoding::trouble);
        opened.unwrap_or_else(|| self.opening.lock().trouble.clone())
    }

    /// Brings the vectors of products and of frequent queries up to what they are now.
    fn follow_encoder(&self, may_go_on: &dyn Fn() -> bool) -> Result<()> {
        let Some(encoding) = self.encoding() else { return Ok(()) };
        encoding.follow(self.engine(), &self.ingest, may_go_on)?;
        if self.engine().uses_sentences() {
            let frequent = self.frequent.lock().clone();
            encoding.warm(frequent.iter().map(|query| self.engine().encoded_text(query)), may_go_on);
        }
        Ok(())
    }

    /// Rules and synonyms as they are on record.
    fn follow_merchandise(&self) -> Result<()> {
        let mut seen = self.rules_seen.lock();
        let version = self.merchandise.version()?;
        if *seen == Some(version) {
            return Ok(());
        }
        let rules = self.merchandise.rules()?;
        let synonyms = self.merchandise.synonyms()?.into_iter().map(|(_, synonym)| synonym).collect();
        self.engine().tell_state(|state| state.changing = true);
        self.engine().set_merchandising(&rules, synonyms);
        self.engine().tell_state(|state| (state.rules, state.changing) = (version, false));
        *seen = Some(version);
        Ok(())
    }

    /// What shoppers' behaviour says of products, queries and facets.
    fn read_signals(&self, now: TimestampMs) -> Result<()> {
        // As of midnight, so that what nobody touched stays as it is through the day.
        let today = now.day();
        let midnight = TimestampMs(i64::from(today) * DAY_MS);
        let mut counts: Vec<(ProductNumber, f32)> = Vec::new();
        self.projection.features.products(midnight, &mut |number, statistics| {
            // A sale says more than a cart, a cart more than a look; of a season.
            let [views, carts, sales] = [statistics.views[2], statistics.carts[2], statistics.sales[2]];
            counts.push((number, views + 5.0 * carts + 20.0 * sales));
        })?;
        let most = counts.iter().map(|(_, count)| *count).fold(0.0, f32::max).ln_1p().max(f32::MIN_POSITIVE);
        // In steps, so that a single look does not make another shop of it.
        let mut popularity: Vec<(ProductNumber, f32)> = counts
            .into_iter()
            .map(|(number, count)| (number, (count.ln_1p() / most * STEPS).round() / STEPS))
            .collect();
        popularity.sort_unstable_by_key(|(number, _)| *number);
        let choices = facet_choices(self.records.as_ref(), today)?;
        let mut hasher = FxHasher::default();
        popularity.iter().for_each(|(number, value)| (number.0, value.to_bits()).hash(&mut hasher));
        choices.hash(&mut hasher);
        let queries = logged_queries(self.records.as_ref(), today)?;
        // In doublings, for the same reason.
        queries.iter().for_each(|query| (&query.text, query.searches.checked_ilog2()).hash(&mut hasher));
        let frequent = queries.iter().take(self.encoder.warmed_queries).map(|query| query.text.clone());
        *self.frequent.lock() = frequent.collect();
        self.engine().tell_state(|state| state.changing = true);
        self.engine().set_logged_queries(queries);
        self.engine().set_popularity(popularity);
        self.engine().set_facet_choices(choices);
        self.engine().tell_state(|state| (state.signals, state.changing) = (hasher.finish(), false));
        Ok(())
    }

    fn build(&self) -> Result<Seen> {
        self.projection.follow_catalogue()?;
        // Stock that changes while products are read is followed afterwards.
        let stock = self.projection.stock_seen();
        let mut products = Products::of(self);
        let catalogue = self.engine();
        let put = |read: Result<(ProductNumber, Product, Option<i64>)>| -> Result<(ProductNumber, Product)> {
            let (number, product, stock) = read?;
            catalogue.note(number, &product, stock);
            Ok((number, product))
        };
        catalogue.rebuild_from::<anyhow::Error>(products.by_ref().map(put))?;
        let seen = Seen { products: products.seen, stock };
        let products = seen.products.0.unsigned_abs();
        self.engine().tell_state(|state| {
            *state = IndexState { built: products, products, stock: seen.stock.0.unsigned_abs(), ..*state };
        });
        memory::give_back();
        Ok(seen)
    }

    /// Builds the index anew from the records. The old one answers meanwhile, and changes go on being followed: they are in both.
    pub(crate) fn rebuild(&self) -> Result<serde_json::Value> {
        // The first building is a rebuilding too.
        self.catch_up()?;
        let mut products = Products::of(self);
        let texts = products.by_ref().map(|read| read.map(|(number, product, _)| (number, product)));
        self.engine().rebuild_from::<anyhow::Error>(texts)?;
        let built = products.seen.0.unsigned_abs();
        self.engine().tell_state(|state| state.built = built);
        Ok(serde_json::json!({ "products": self.engine().product_count() }))
    }

    /// Whether anything had changed.
    fn follow(&self, at: &mut Seen) -> Result<bool> {
        let products = self.ingest.catalogue.changed_since(at.products, BATCH)?;
        let levels = self.ingest.stock.changed_since(at.stock, BATCH)?;
        if products.is_empty() && levels.is_empty() {
            return Ok(false);
        }
        self.engine().tell_state(|state| state.changing = true);
        // From here on the projection knows at least what was just read.
        self.projection.follow_catalogue()?;
        for stored in &products {
            let stock = self.projection.stock_of(&stored.product.id);
            self.engine().put(stored.number, &stored.product, stock)?;
            at.products = stored.change;
        }
        for change in &levels {
            if let Some(number) = self.projection.number(&change.level.product) {
                self.engine().set_stock(number, self.projection.stock_of(&change.level.product));
            }
            at.stock = change.change;
        }
        self.engine().refresh()?;
        self.engine().tell_state(|state| {
            (state.products, state.stock, state.changing) =
                (at.products.0.unsigned_abs(), at.stock.0.unsigned_abs(), false);
        });
        Ok(true)
    }
}

/// All products, read a page at a time.
struct Products<'a> {
    searching: &'a Searching,
    seen: ChangeNumber,
    page: std::vec::IntoIter<merx_ingest::StoredProduct>,
    read: FxHashSet<ProductNumber>,
    ended: bool,
}

impl<'a> Products<'a> {
    fn of(searching: &'a Searching) -> Self {
        let (seen, page, read) = (ChangeNumber::default(), Vec::new().into_iter(), FxHashSet::default());
        Self { searching, seen, page, read, ended: false }
    }
}

impl Iterator for Products<'_> {
    type Item = Result<(ProductNumber, Product, Option<i64>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let stored = match self.page.next() {
            Some(stored) => stored,
            None => {
                let read = self.searching.ingest.catalogue.changed_since(self.seen, BATCH);
                match read.context("reading products for the search index") {
                    Ok(page) => self.page = page.into_iter(),
                    Err(error) => return Some(Err(error)),
                }
                self.page.next()?
            }
        };
        // It has changed since it was read. From here on everything is newer than the beginning, and is followed as changes are.
        if !self.read.insert(stored.number) {
            self.ended = true;
            return None;
        }
        self.seen = stored.change;
        let stock = self.searching.projection.stock_of(&stored.product.id);
        Some(Ok((stored.number, stored.product, stock)))
    }
}

impl Searches for Searching {
    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    fn prepare(&self, ask: &mut SearchAsk) {
        let wanted = !ask.query.trim().is_empty() && ask.fields.is_empty();
        let Some(encoding) = self.encoding.get().filter(|_| wanted && self.engine().uses_sentences()) else { return };
        encoding.want(&self.engine().encoded_text(&ask.query), !ask.unfinished);
        ask.encoder = self.engine().encoder_at_hand(&ask.query);
    }

    fn encoder(&self) -> Result<EncoderStatus, StoreError> {
        match self.encoding.get() {
            Some(encoding) => encoding.status(self.engine()),
            None => Ok(EncoderStatus { trouble: self.encoder_trouble(), ..EncoderStatus::default() }),
        }
    }

    fn decide(&self, request: Request<SearchAsk>, shelf: &mut RequestShelf<'_>) -> Decision<SearchAnswer> {
        self.pipeline.decide(request, shelf)
    }

    fn look(
        &self,
        situation: &Situation,
        ask: &SearchAsk,
        shelf: &RequestShelf<'_>,
    ) -> Result<SearchAnswer, EngineError> {
        let nobody = SubjectFeatures::default();
        let proposal =
            self.engine().propose(FallbackLevel::LiveModel, None, situation, ask, &nobody, shelf, &|| false)?;
        Ok(proposal.answer)
    }

    fn replay(&self, record: &DecisionRecord) -> Result<SearchAnswer, EngineError> {
        // A command on the folder has not built an index yet.
        if !self.is_ready() {
            let refused = |error: anyhow::Error| EngineError::Refused(format!("{error:#}"));
            self.catch_up().map_err(refused)?;
            self.follow_encoder(&|| false).map_err(refused)?;
        }
        let asked = record.ask::<SearchAsk>().ok().filter(|ask| ask.encoder.is_some());
        if let Some((ask, encoding)) = asked.zip(self.encoding.get()) {
            encoding.bring_back(&self.engine().encoded_text(&ask.query));
        }
        self.pipeline.replay(record)
    }

    fn contributions(&self, record: &DecisionRecord) -> Result<Option<Vec<Vec<Contribution>>>, EngineError> {
        let unreadable = |error: RecordError| EngineError::Refused(error.to_string());
        let recorded: SearchAnswer = record.answer().map_err(unreadable)?;
        let ask: SearchAsk = record.ask().map_err(unreadable)?;
        let again = record.asking(&SearchAsk { explain: true, ..ask });
        let Ok(answer) = self.replay(&again) else { return Ok(None) };
        let ranked = |answer: &SearchAnswer| -> Vec<_> {
            answer.hits.iter().map(|hit| (hit.product, hit.score.to_bits())).collect()
        };
        if ranked(&answer) != ranked(&recorded) {
            return Ok(None);
        }
        let engine = self.engine();
        let hits = answer.hits.iter().map(|hit| engine.contributions(record.fallback, record.model, hit));
        hits.collect::<Result<_, _>>().map(Some)
    }

    fn arm(&self, subject: Option<SubjectId>) -> Arm {
        self.pipeline.arm(subject)
    }

    fn suggest(&self, ask: &SuggestAsk, situation: &Situation) -> Vec<Suggestion> {
        // Whom the models leave alone gets what anybody gets.
        let subject =
            situation.subject.filter(|subject| !matches!(self.pipeline.arm(Some(*subject)), Arm::Holdout { .. }));
        let Some(subject) = subject else { return self.engine().suggest(ask, situation, &Person::default()) };
        let grant = self.pipeline.grant(subject, &situation.market, situation.consent);
        let features = self.projection.features_for_the_person(&grant, situation.now);
        let searches = self.projection.searches(&grant);
        let person = Person { searches: &searches, affinities: &features.affinities };
        self.engine().suggest(ask, situation, &person)
    }

    fn facet_values(
        &self,
        ask: &SearchAsk,
        field: &str,
        text: &str,
        most: usize,
        situation: &Situation,
    ) -> Result<Vec<(FilterValue, u32)>, EngineError> {
        let found = self.engine().facet_values(ask, field, text, most, situation);
        found.map_err(|error| EngineError::Refused(error.to_string()))
    }

    fn preview(
        &self,
        situation: &Situation,
        ask: &SearchAsk,
        _shelf: &RequestShelf<'_>,
        rules: &[Rule],
        synonyms: Vec<Synonym>,
    ) -> Result<SearchAnswer, EngineError> {
        let found = self.engine().preview(situation, ask, rules, synonyms);
        found.map_err(|error| EngineError::Refused(error.to_string()))
    }

    fn merchandise_changed(&self) {
        // The indexer tries again.
        if let Err(error) = self.follow_merchandise() {
            tracing::error!(error = format!("{error:#}"), "rules could not be read");
        }
    }

    fn highlight(&self, text: &str, terms: &[SearchedTerm]) -> Vec<Mark> {
        self.engine().highlight(text, terms)
    }

    fn has_field(&self, field: &str) -> bool {
        self.engine().has_field(field)
    }

    fn facet_fields(&self) -> Vec<String> {
        self.engine().facet_fields()
    }

    fn state(&self) -> IndexState {
        self.engine().state()
    }

    fn has_seen(&self, state: CatalogueState) -> bool {
        let reached = *self.reached.lock();
        self.is_ready() && reached.products.0 >= state.products && reached.stock.0 >= state.stock
    }
}

/// How much of an index is newer than what it was built from. Changed texts are found at once, but what their new words mean is learnt, and
/// what words of former texts counted is forgotten, only when an index is built.
struct Wear {
    changed: usize,
    resting_since: Instant,
}

impl Wear {
    fn new(now: Instant) -> Self {
        Self { changed: 0, resting_since: now }
    }

    /// Whether the index should be built anew. Call it again and again.
    fn is_due(&mut self, changed: usize, products: usize, now: Instant) -> bool {
        if changed != self.changed {
            (self.changed, self.resting_since) = (changed, now);
        }
        let worn = (products / WORN_SHARE).max(WORN_LEAST);
        changed >= worn && (changed >= 2 * worn || now.duration_since(self.resting_since) >= REST)
    }
}

/// Builds the index and keeps it current: one thread for what the shop changes, one for what shoppers teach, one for building it anew; where
/// a sentence encoder is configured, one for its vectors of products and one for those of queries.
pub(crate) fn keep_current(shop: &Arc<Shop>) -> Result<Vec<Repeated>> {
    let [index, signals, worn] = [(); 3].map(|()| Arc::clone(&shop.searching));
    let mut wear = Wear::new(stopwatch());
    let renew = move |_: &AtomicBool| {
        let changed = worn.engine().changed_texts();
        if !worn.is_ready() || !wear.is_due(changed, worn.engine().product_count(), stopwatch()) {
            return Ok(());
        }
        worn.rebuild()?;
        memory::give_back();
        tracing::info!(changed, "the texts of many products had changed: the search index was built anew");
        Ok(())
    };
    let mut following =
        vec![
            Repeated::start("search-index", POLL, move |_| index.catch_up())?,
            Repeated::start("search-signals", POLL, move |_| {
                if signals.is_ready() { signals.follow_signals() } else { Ok(()) }
            })?,
            Repeated::start("search-renewal", WEAR_POLL, renew)?,
        ];
    if shop.searching.encoder.kind != "own" {
        following.extend(keep_encoded(shop)?);
    }
    Ok(following)
}

fn keep_encoded(shop: &Arc<Shop>) -> Result<[Repeated; 2]> {
    let (products, queries) = (Arc::clone(shop), Arc::clone(&shop.searching));
    let mut begun = false;
    let follow = move |stopping: &AtomicBool| {
        if !std::mem::replace(&mut begun, true) {
            yield_to_answers();
        }
        if !products.searching.is_ready() {
            return Ok(());
        }
        products.searching.follow_encoder(&|| !stopping.load(Ordering::Relaxed) && products.leads())
    };
    let answer = move |_: &AtomicBool| {
        match queries.encoding.get() {
            Some(encoding) => encoding.answer_queries(POLL),
            None => std::thread::park_timeout(POLL),
        }
        Ok(())
    };
    Ok([
        Repeated::start("product-vectors", ENCODER_POLL, follow)?,
        Repeated::start("query-vectors", Duration::from_millis(1), answer)?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_built_anew_when_much_has_changed_and_no_more_comes() {
        let begun = stopwatch();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut wear = Wear::new(begun);
        // A few changes never make it due, nor does a small shop whose catalogue isn't all there.
        assert!(!wear.is_due(249, 1_000, at(100)));
        assert!(!wear.is_due(49, 60, at(200)));
        // A catalogue that comes slowly waits for its end.
        assert!(!wear.is_due(250, 1_000, at(300)));
        assert!(!wear.is_due(260, 1_000, at(309)));
        assert!(!wear.is_due(260, 1_000, at(318)));
        assert!(wear.is_due(260, 1_000, at(319)));
        // One that never ends doesn't wait for ever.
        assert!(wear.is_due(500, 1_000, at(320)));
        assert!(!wear.is_due(0, 1_000, at(321)));
    }
}
