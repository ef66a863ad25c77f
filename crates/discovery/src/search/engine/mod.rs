//! The engine: a live catalogue, its index, what merchants say, and which ranker answers.
//!
//! `ask.rs` is what is asked and answered, `request.rs` the way of one search, `front.rs` what goes before
//! relevance, `rules.rs` how merchants overrule it, `intent.rs`
//! what queries say beside words, `suggest.rs` completes what is typed, `rankers.rs` holds the versions.

mod ask;
mod front;
mod intent;
mod marks;
mod rankers;
pub(crate) use rankers::FORMAT;
mod request;
mod rules;
mod suggest;

pub use ask::{HitReason, Refinement, SearchAnswer, SearchAsk, SearchHit, SortKey, Step};
pub use intent::{Priced, read_price};
pub use merx_domain::merchandising::{Anchoring, Condition, Consequence, QueryCondition, Rule};
pub use rankers::{LoadRanker, RankLearner, RankerModel};
pub use suggest::{LoggedQuery, Person, SuggestAsk, Suggestion, SuggestionKind};

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use merx_domain::search::{Contribution, IndexState, Mark, SearchedTerm};
use merx_domain::{
    Engine, EngineError, FallbackLevel, FilterValue, ModelVersion, Product, ProductId, ProductNumber, ProductStatus,
    Proposal, Shelf, Situation, SubjectFeatures,
};
use merx_models::{Learner, ModelError};
use parking_lot::{Mutex, RwLock};
use rustc_hash::{FxHashMap, FxHasher};

use crate::search::SearchError;
use crate::search::catalogue::{Catalogue, FacetRequest, View, text_of};
use crate::search::clicks::ClickModel;
use crate::search::document::SearchDocument;
use crate::search::features::{FEATURES, FeatureRow};
use crate::search::learning::clicked_examples;
use crate::search::sentence::{QueryVectors, Sentence, SentenceVectors, Sentences, query_text};
use crate::search::shop_index::{Change, SearchIndex, SearchOptions};
use crate::search::synonyms::{Synonym, Synonyms};
use crate::search::text::fold;
use intent::Names;
use rankers::Rankers;
use request::{Means, Search};
use rules::Rules;
use suggest::LoggedQueries;

/// How searches are answered, in records of decisions. 0: before it was written down; 1: vectors of a byte a component, in groups;
/// 2: terms to highlight name their words; 3: archived products are in no index.
const METHOD: u32 = 3;

#[derive(Debug, Clone, PartialEq)]
pub struct EngineSettings {
    /// Of products that lack words, those are still found that have this share of what the best has, by information.
    pub tier: f32,
    /// Products without any word are found from this cosine on.
    pub least_cosine: f32,
    /// The same by a sentence encoder.
    pub least_sentence_cosine: f32,
    /// What popularity, margin, plenty of stock and newness add to a score between 0 and 1.
    pub popularity: f32,
    pub margin: f32,
    pub stock: f32,
    pub newness: f32,
    /// What a product adds that is clicked e times as often for this query as others are, place set aside.
    pub clicks: f32,
    /// Factors on the score of what the query names, and of what the shopper leans to most.
    pub named: f32,
    pub personal: f32,
    /// A price in the query becomes a filter.
    pub reads_prices: bool,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            tier: 0.4,
            least_cosine: 0.5,
            least_sentence_cosine: 0.5,
            popularity: 0.05,
            margin: 0.0,
            stock: 0.0,
            newness: 0.0,
            clicks: 0.15,
            named: 1.15,
            personal: 1.15,
            reads_prices: true,
        }
    }
}

/// Why no ranker could be learnt.
#[derive(Debug, thiserror::Error)]
pub enum RankingError {
    #[error(transparent)]
    Search(#[from] SearchError),
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// What merchants set, as searches use it.
#[derive(Default)]
struct Merchandising {
    rules: Rules,
    synonyms: Synonyms,
}

impl Merchandising {
    fn new(rules: &[Rule], declared: &[Synonym], index: &SearchIndex) -> Self {
        Self { rules: Rules::new(rules), synonyms: Synonyms::new(declared, index.analyser()) }
    }
}

/// What the text index has of a product: a hash of the texts, or one of two words for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Texts(u64);

impl Texts {
    const UNKNOWN: Self = Self(0);
    const GONE: Self = Self(1);

    fn of(document: &SearchDocument) -> Self {
        let mut hasher = FxHasher::default();
        document.texts.hash(&mut hasher);
        Self(hasher.finish().max(2))
    }
}

/// What is gone for good is found by nobody; what is hidden may come back at any moment.
fn is_searched(product: &Product) -> bool {
    product.status != ProductStatus::Archived
}

/// Changes that wait are written at once beyond these.
const MOST_PENDING: usize = 20_000;
const MOST_USAGES: usize = 50_000;
/// Hits of a ranking that is compared.
const RANKED: usize = 200;

pub struct SearchEngine {
    settings: EngineSettings,
    options: SearchOptions,
    index: ArcSwap<SearchIndex>,
    catalogue: RwLock<Catalogue>,
    pending: Mutex<Vec<Change>>,
    /// By product: which texts the text index has or is about to have. Prices change far more often than texts.
    texts: Mutex<Vec<Texts>>,
    /// Held by who rebuilds: one at a time.
    rebuilding: Mutex<()>,
    /// Changes since a rebuilding began, while there is one.
    since: Mutex<Option<Vec<Change>>>,
    /// Texts that came, changed or went since the text index was built.
    changed_texts: AtomicUsize,
    names: ArcSwap<Names>,
    merchandising: ArcSwap<Merchandising>,
    rankers: Rankers,
    /// What answers before anything was learnt.
    untaught: RankerModel,
    logged: RwLock<LoggedQueries>,
    /// How often shoppers chose in a facet, by what they searched for (a category, or nothing) and facet.
    usage: RwLock<FxHashMap<(String, String), u32>>,
    /// What a sentence encoder says of products, and where its vectors of queries are.
    sentences: ArcSwap<SentenceVectors>,
    query_vectors: OnceLock<Arc<dyn QueryVectors>>,
    /// Told by whoever brings the changes; answers carry it.
    state: Mutex<IndexState>,
}

/// A query's vector by a sentence encoder, and the text that was encoded.
type EncodedQuery = (Arc<[f32]>, String);

impl SearchEngine {
    /// `load` gives a ranker's version that is not at hand; replays of old decisions ask for it.
    pub fn new(settings: EngineSettings, options: SearchOptions, load: Box<LoadRanker>) -> Result<Self, SearchError> {
        let index = SearchIndex::build([], options.clone())?;
        Ok(Self {
            settings,
            options,
            index: ArcSwap::from_pointee(index),
            catalogue: RwLock::default(),
            pending: Mutex::default(),
            texts: Mutex::default(),
            rebuilding: Mutex::default(),
            since: Mutex::default(),
            changed_texts: AtomicUsize::new(0),
            names: ArcSwap::default(),
            merchandising: ArcSwap::default(),
            rankers: Rankers::new(load),
            untaught: RankerModel::default(),
            logged: RwLock::default(),
            usage: RwLock::default(),
            sentences: ArcSwap::default(),
            query_vectors: OnceLock::new(),
            state: Mutex::new(IndexState { method: METHOD, ..IndexState::default() }),
        })
    }

    // Changes of the catalogue. What they say of price, stock and visibility holds at once; texts can be found after the
    // next `refresh`.

    /// An archived product is taken out: its words would go on counting for queries that can't find it.
    pub fn put(&self, number: ProductNumber, product: &Product, stock: Option<i64>) -> Result<(), SearchError> {
        self.note(number, product, stock);
        let document = is_searched(product).then(|| SearchDocument::of(number, product));
        if !self.brings(number, document.as_ref()) {
            return Ok(());
        }
        self.wait(document.map_or(Change::Remove(number), Change::Put))
    }

    /// A product's facts without its texts, for those that a rebuilding reads.
    pub fn note(&self, number: ProductNumber, product: &Product, stock: Option<i64>) {
        let mut catalogue = self.catalogue.write();
        if is_searched(product) { catalogue.put(number, product, stock) } else { catalogue.remove(number) }
    }

    /// Whether these texts are others than the text index has, which has them from now on; `None`: none.
    fn brings(&self, number: ProductNumber, document: Option<&SearchDocument>) -> bool {
        let brought = document.map_or(Texts::GONE, Texts::of);
        self.note_texts(number, |_| brought) != brought
    }

    /// Changes what is known of a product's texts; what was known before.
    fn note_texts(&self, number: ProductNumber, change: impl FnOnce(Texts) -> Texts) -> Texts {
        let mut texts = self.texts.lock();
        if texts.len() <= number.index() {
            texts.resize(number.index() + 1, Texts::UNKNOWN);
        }
        let before = texts[number.index()];
        texts[number.index()] = change(before);
        before
    }

    /// `None`: not tracked, which counts as available.
    pub fn set_stock(&self, number: ProductNumber, stock: Option<i64>) {
        self.catalogue.write().set_stock(number, stock);
    }

    /// How wanted products are, 0 to 1.
    pub fn set_popularity(&self, popularity: impl IntoIterator<Item = (ProductNumber, f32)>) {
        let mut catalogue = self.catalogue.write();
        popularity.into_iter().for_each(|(number, value)| catalogue.set_popularity(number, value.clamp(0.0, 1.0)));
    }

    fn wait(&self, change: Change) -> Result<(), SearchError> {
        let waiting = {
            let mut pending = self.pending.lock();
            pending.push(change);
            pending.len()
        };
        if waiting > MOST_PENDING { self.refresh() } else { Ok(()) }
    }

    /// Writes what waits into the text index. Searches go on.
    pub fn refresh(&self) -> Result<(), SearchError> {
        let changes = std::mem::take(&mut *self.pending.lock());
        if changes.is_empty() {
            return Ok(());
        }
        if let Some(since) = &mut *self.since.lock() {
            since.extend(changes.iter().cloned());
        }
        let index = self.index.load_full();
        if let Err(error) = index.apply(&changes) {
            // They will be brought again, and must not be taken for what is there.
            for change in &changes {
                self.note_texts(change.product(), |_| Texts::UNKNOWN);
            }
            return Err(error);
        }
        self.changed_texts.fetch_add(changes.len(), Ordering::Relaxed);
        self.names.store(Arc::new(Names::of(&self.catalogue.read(), index.analyser())));
        Ok(())
    }

    /// Texts that came, changed or went since the text index was built. It doesn't know what new words mean, and counts those of texts
    /// that are gone.
    pub fn changed_texts(&self) -> usize {
        self.changed_texts.load(Ordering::Relaxed)
    }

    /// Builds the text index again from `products`, all of them, and learns what they are about; the old one serves until
    /// the new one is ready, and what changes meanwhile is in both.
    pub fn rebuild(
        &self,
        products: impl IntoIterator<Item = (ProductNumber, impl Borrow<Product>)>,
    ) -> Result<(), SearchError> {
        self.rebuild_from(products.into_iter().map(Ok))
    }

    /// The same from products that are still to be read: where one can't be, the old index stays.
    pub fn rebuild_from<E: From<SearchError>>(
        &self,
        products: impl IntoIterator<Item = Result<(ProductNumber, impl Borrow<Product>), E>>,
    ) -> Result<(), E> {
        let _alone = self.rebuilding.lock();
        self.refresh()?;
        *self.since.lock() = Some(Vec::new());
        let (mut unread, mut unknown) = (None, Vec::new());
        let read = products.into_iter().map_while(|product| product.map_err(|error| unread = Some(error)).ok());
        let documents = read.filter_map(|(number, product)| {
            let product: &Product = product.borrow();
            let document = is_searched(product).then(|| SearchDocument::of(number, product));
            let found = document.as_ref().map_or(Texts::GONE, Texts::of);
            // Others than the old index has will be brought as a change, or changed back before anybody saw.
            let before = self.note_texts(number, |before| if before == found { found } else { Texts::UNKNOWN });
            if before == Texts::UNKNOWN {
                // The old index lacks it: whoever follows the records must bring it there meanwhile.
                unknown.push((number, found));
            }
            document
        });
        let built = SearchIndex::build(documents, self.options.clone());
        let mut since = self.since.lock();
        let missed = since.take().unwrap_or_default();
        if let Some(error) = unread {
            return Err(error);
        }
        let index = built?;
        if !missed.is_empty() {
            index.apply(&missed)?;
        }
        self.names.store(Arc::new(Names::of(&self.catalogue.read(), index.analyser())));
        index.set_asked(self.logged.read().words());
        self.index.store(Arc::new(index));
        self.changed_texts.store(missed.len(), Ordering::Relaxed);
        for (number, found) in unknown {
            self.note_texts(number, |now| if now == Texts::UNKNOWN { found } else { now });
        }
        Ok(())
    }

    /// Fills an engine with a whole catalogue at once: products and their stock.
    pub fn load(
        &self,
        products: impl IntoIterator<Item = (ProductNumber, impl Borrow<Product>, Option<i64>)>,
    ) -> Result<(), SearchError> {
        let put = |(number, product, stock): (ProductNumber, _, Option<i64>)| {
            self.note(number, Borrow::<Product>::borrow(&product), stock);
            (number, product)
        };
        self.rebuild(products.into_iter().map(put))
    }

    // What a sentence encoder says of products.

    /// Names the encoder, whose vectors of products are still to be brought. Once in an engine's life.
    pub fn set_encoder(&self, id: &str, query_vectors: Arc<dyn QueryVectors>) {
        if self.query_vectors.set(query_vectors).is_ok() {
            self.sentences.store(Arc::new(SentenceVectors::new(id)));
        }
    }

    /// Brings vectors of products; those that can't be compared with the others are left out. One caller at a time; searches go on with
    /// those that they began with.
    pub fn put_sentences(&self, vectors: impl IntoIterator<Item = (ProductNumber, Vec<f32>)>) {
        let mut sentences = SentenceVectors::clone(&self.sentences.load());
        for (number, vector) in vectors {
            sentences.put(number.0, vector);
        }
        sentences.settle();
        self.sentences.store(Arc::new(sentences));
    }

    /// Products that have a vector.
    pub fn sentence_count(&self) -> usize {
        self.sentences.load().len()
    }

    /// Whether enough products have a vector that searches may use them.
    pub fn uses_sentences(&self) -> bool {
        self.sentences.load().is_whole(self.product_count())
    }

    /// What the encoder is asked about a query.
    pub fn encoded_text(&self, query: &str) -> String {
        let read = Some(query).filter(|_| self.settings.reads_prices).and_then(read_price);
        query_text(read.as_ref().map_or(query, |read| &read.text))
    }

    /// The id of the encoder that a search for a text can be answered with now, if any can.
    pub fn encoder_at_hand(&self, query: &str) -> Option<String> {
        let query_vectors = self.query_vectors.get().filter(|_| self.uses_sentences())?;
        query_vectors.at_hand(&self.encoded_text(query))?;
        Some(self.sentences.load().encoder().to_owned())
    }

    /// `None`: the search wants none.
    fn query_vector(
        &self,
        sentences: &SentenceVectors,
        ask: &SearchAsk,
        means: &Means<'_>,
    ) -> Result<Option<EncodedQuery>, SearchError> {
        let Some(encoder) = ask.encoder.as_ref().filter(|_| means.by_meaning()) else { return Ok(None) };
        let text = self.encoded_text(&ask.query);
        let of_encoder = self.query_vectors.get().filter(|_| sentences.encoder() == encoder);
        let vector = of_encoder.and_then(|query_vectors| query_vectors.at_hand(&text));
        vector.map(|vector| Some((vector, text))).ok_or_else(|| SearchError::Encoder(encoder.clone()))
    }

    // What merchants set.

    /// Replaces all rules and synonyms.
    pub fn set_merchandising(&self, rules: &[Rule], synonyms: Vec<Synonym>) {
        self.merchandising.store(Arc::new(Merchandising::new(rules, &synonyms, &self.index.load())));
    }

    // Which state of the shop it answers from.

    pub fn state(&self) -> IndexState {
        *self.state.lock()
    }

    /// Changes what answers say of the state they were made from.
    pub fn tell_state(&self, change: impl FnOnce(&mut IndexState)) {
        change(&mut self.state.lock());
    }

    // What shoppers taught.

    /// Which rankers answer from now on; none: the weights that need no behaviour.
    pub fn serve(
        &self,
        live: Option<(ModelVersion, Arc<RankerModel>)>,
        previous: Option<(ModelVersion, Arc<RankerModel>)>,
    ) {
        self.rankers.serve(live, previous);
    }

    /// A version that is in memory to answer.
    pub fn ranker_held(&self, version: ModelVersion) -> Option<Arc<RankerModel>> {
        self.rankers.held(version)
    }

    /// A ranker from clicks, on the products as they are now; it serves once the registry promoted it and [`Self::serve`] says so.
    pub fn learn_ranker(
        &self,
        clicks: &ClickModel,
        learner: &RankLearner,
        seed: u64,
    ) -> Result<RankerModel, RankingError> {
        let sentences = self.sentences.load_full();
        let query_vectors = self.query_vectors.get().filter(|_| sentences.is_whole(self.product_count()));
        let at_hand = query_vectors.map(|queries| Sentences { vectors: &sentences, queries: queries.as_ref() });
        let examples = clicked_examples(&self.index.load_full(), clicks, at_hand)?;
        Ok(RankerModel { clicks: clicks.clone(), ..learner.fit(&examples, seed)? })
    }

    /// What a model would rank first for a text, as deep as anybody looks, whatever stock and rules say: to compare models.
    pub fn ranking(&self, text: &str, model: &RankerModel, situation: &Situation) -> Result<SearchAnswer, SearchError> {
        let ask = SearchAsk { count: RANKED, encoder: self.encoder_at_hand(text), ..SearchAsk::of(text) };
        let features = SubjectFeatures::default();
        let unruled = Merchandising::default();
        let found = self.search_for(Means::live(model), situation, &ask, &features, None, Some(&unruled), &|| false);
        found.map(Option::unwrap_or_default)
    }

    /// Replaces the queries that suggestions and corrections come from.
    pub fn set_logged_queries(&self, queries: impl IntoIterator<Item = LoggedQuery>) {
        let logged = LoggedQueries::new(queries);
        self.index.load().set_asked(logged.words());
        *self.logged.write() = logged;
    }

    /// Replaces how often shoppers chose in a facet, by the category that they searched in, or none, and the facet.
    pub fn set_facet_choices(&self, choices: impl IntoIterator<Item = (Option<String>, String, u32)>) {
        let mut usage: FxHashMap<(String, String), u32> = FxHashMap::default();
        for (category, field, count) in choices.into_iter().take(MOST_USAGES) {
            *usage.entry((String::new(), field.clone())).or_default() += count;
            if let Some(category) = category.filter(|category| !category.is_empty()) {
                *usage.entry((category.to_lowercase(), field)).or_default() += count;
            }
        }
        *self.usage.write() = usage;
    }

    // Reading.

    /// Values of a facet that contain the words of `text`, with their counts among what `ask` finds, most frequent first.
    pub fn facet_values(
        &self,
        ask: &SearchAsk,
        field: &str,
        text: &str,
        most: usize,
        situation: &Situation,
    ) -> Result<Vec<(FilterValue, u32)>, SearchError> {
        let all = FacetRequest { field: field.to_owned(), most_values: usize::MAX };
        let ask = SearchAsk { facets: vec![all], count: 0, ..ask.clone() };
        let answer = self.search_with(Means::every_value(), situation, &ask)?;
        let wanted: Vec<String> = fold(text).split_whitespace().map(str::to_owned).collect();
        let contains = |value: &FilterValue| {
            let shown = fold(&text_of(value));
            let words: Vec<&str> = shown.split(|c: char| !c.is_alphanumeric()).collect();
            wanted.iter().all(|wanted| words.iter().any(|word| word.starts_with(wanted.as_str())))
        };
        let counts = answer.facets.into_iter().flat_map(|facet| facet.values).filter(|value| contains(&value.value));
        Ok(counts.map(|value| (value.value, value.count)).take(most).collect())
    }

    /// Where in a text the terms of an answer stand: in order, not overlapping.
    pub fn highlight(&self, text: &str, terms: &[SearchedTerm]) -> Vec<Mark> {
        marks::of(self.index.load().analyser(), text, terms)
    }

    /// The names behind product numbers.
    pub fn product_id(&self, number: ProductNumber) -> Option<ProductId> {
        self.catalogue.read().row(number).map(|row| row.id.clone())
    }

    /// Whether facets and filters know a field: some product has it, or all may.
    pub fn has_field(&self, field: &str) -> bool {
        const OWN: [&str; 8] = ["id", "name", "brand", "category", "price", "in_stock", "created_at", "popularity"];
        OWN.contains(&field) || self.catalogue.read().facet_fields().any(|known| known == field)
    }

    /// Fields that facets can be asked for, in their order: the shop's own and each attribute that some product has.
    pub fn facet_fields(&self) -> Vec<String> {
        let catalogue = self.catalogue.read();
        catalogue.facet_fields().map(str::to_owned).chain(["price".to_owned(), "in_stock".to_owned()]).collect()
    }

    pub fn product_count(&self) -> usize {
        self.catalogue.read().len()
    }

    /// What a search would answer if these were the rules and synonyms: for merchants, before they say so. Nothing is recorded.
    pub fn preview(
        &self,
        situation: &Situation,
        ask: &SearchAsk,
        rules: &[Rule],
        synonyms: Vec<Synonym>,
    ) -> Result<SearchAnswer, SearchError> {
        let merchandising = Merchandising::new(rules, &synonyms, &self.index.load());
        let live = self.rankers.version(FallbackLevel::LiveModel, None).ok().flatten();
        let means = Means::live(live.as_ref().map_or(&self.untaught, |(_, model)| model));
        let features = SubjectFeatures::default();
        self.search_for(means, situation, ask, &features, None, Some(&merchandising), &|| false)
            .map(Option::unwrap_or_default)
    }

    /// The model that answers now, if any was learnt.
    pub fn live_model(&self) -> Option<(ModelVersion, Arc<RankerModel>)> {
        self.rankers.version(FallbackLevel::LiveModel, None).ok().flatten()
    }

    pub fn suggest(&self, ask: &SuggestAsk, situation: &Situation, person: &Person<'_>) -> Vec<Suggestion> {
        let index = self.index.load();
        // In the order in which searches take them, so that two readers and two writers never wait in a circle.
        let reader = index.read();
        let (catalogue, logged) = (self.catalogue.read(), self.logged.read());
        let view = View { market: &situation.market, now: situation.now };
        suggest::suggest(ask, person, &catalogue, &reader, &logged, view)
    }

    fn search_with(
        &self,
        means: Means<'_>,
        situation: &Situation,
        ask: &SearchAsk,
    ) -> Result<SearchAnswer, SearchError> {
        let features = SubjectFeatures::default();
        let found = self.search_for(means, situation, ask, &features, None, None, &|| false);
        found.map(Option::unwrap_or_default)
    }

    /// `merchandising`: in place of what merchants set. `None`: too late.
    fn search_for(
        &self,
        means: Means<'_>,
        situation: &Situation,
        ask: &SearchAsk,
        features: &SubjectFeatures,
        shelf: Option<&dyn Shelf>,
        merchandising: Option<&Merchandising>,
        late: &dyn Fn() -> bool,
    ) -> Result<Option<SearchAnswer>, SearchError> {
        // Before what it speaks of, which may be newer then: a replay must not take an older answer for one of the state that it is in.
        let state = self.state();
        let set = self.merchandising.load();
        let index = self.index.load();
        let sentences = self.sentences.load_full();
        let query = self.query_vector(&sentences, ask, &means)?;
        let sentence =
            query.as_ref().and_then(|(vector, text)| Some((Sentence::new(&sentences, vector)?, text.clone())));
        // The index before the catalogue: every reader takes both in this order.
        let search = Search {
            engine: self,
            index: &index,
            reader: index.read(),
            catalogue: &self.catalogue.read(),
            names: &self.names.load(),
            merchandising: merchandising.unwrap_or(&set),
            view: View { market: &situation.market, now: situation.now },
            ask,
            features,
            shelf,
            means,
            sentence,
            state,
            late,
        };
        search.run()
    }

    /// What each measurement of a hit added to its relevance, largest first, by the version that ranked it; empty where no measurement did.
    pub fn contributions(
        &self,
        level: FallbackLevel,
        version: Option<ModelVersion>,
        hit: &SearchHit,
    ) -> Result<Vec<Contribution>, EngineError> {
        let chosen = self.rankers.version(level, version)?;
        let ranker = &chosen.as_ref().map_or(&self.untaught, |(_, model)| model).ranker;
        if level > FallbackLevel::PreviousModel || hit.measurements.len() != FEATURES {
            return Ok(Vec::new());
        }
        let mut row: FeatureRow = [0.0; FEATURES];
        row.iter_mut().zip(&hit.measurements).for_each(|(to, (_, value))| *to = *value);
        let parts = ranker.contributions(&row);
        let named = hit.measurements.iter().zip(parts).filter(|(_, part)| *part != 0.0);
        let mut told: Vec<Contribution> = named
            .map(|((name, value), part)| Contribution { measurement: name.clone(), value: *value, contribution: part })
            .collect();
        told.sort_by(|a, b| b.contribution.abs().total_cmp(&a.contribution.abs()));
        Ok(told)
    }

    fn usage_of(&self, category: &str, field: &str) -> u32 {
        let usage = self.usage.read();
        let of = |category: &str| usage.get(&(category.to_lowercase(), field.to_owned())).copied().unwrap_or(0);
        of(category) * 4 + of("")
    }
}

impl Engine for SearchEngine {
    type Ask = SearchAsk;
    type Answer = SearchAnswer;

    fn name(&self) -> &'static str {
        "search"
    }

    fn propose(
        &self,
        level: FallbackLevel,
        pinned: Option<ModelVersion>,
        situation: &Situation,
        ask: &SearchAsk,
        features: &SubjectFeatures,
        shelf: &dyn Shelf,
        late: &dyn Fn() -> bool,
    ) -> Result<Proposal<SearchAnswer>, EngineError> {
        let chosen = self.rankers.version(level, pinned)?;
        let learnt = chosen.as_ref().map_or(&self.untaught, |(_, model)| model);
        let means = match level {
            FallbackLevel::LiveModel | FallbackLevel::PreviousModel => Means::live(learnt),
            FallbackLevel::Popularity => Means::words(),
            FallbackLevel::StaticList => Means::popular(),
            FallbackLevel::Nothing => return Ok(Proposal { answer: SearchAnswer::default(), model: None }),
        };
        let found = self.search_for(means, situation, ask, features, Some(shelf), None, late);
        let answer = found.map_err(|error| EngineError::Refused(error.to_string()))?.ok_or(EngineError::Late)?;
        Ok(Proposal { answer, model: chosen.map(|(version, _)| version) })
    }
}
