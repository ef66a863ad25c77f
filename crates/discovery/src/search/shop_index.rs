//! The searchable catalogue: everything a search reads, kept together.

use merx_domain::ProductNumber;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::search::SearchError;
use crate::search::company::Postings;
use crate::search::document::{FIELD_COUNT, Field, SearchDocument};
use crate::search::features::{Feature, FeatureRow, NO_TERM, ProductTerms, QueryView};
use crate::search::lexicon::Lexicon;
use crate::search::meaning::{MeaningSettings, ProductVectors, normalised};
use crate::search::query::ParsedQuery;
use crate::search::ranker::Ranker;
use crate::search::retrieve::{self, LexicalSettings, Match, Matches};
use crate::search::sentence::Sentence;
use crate::search::spelling::{Speller, SpellingSettings};
use crate::search::synonyms::Synonyms;
use crate::search::text::{Analyser, Language, Token};
use crate::search::text_index::{Opened, TermMaker, TextIndex};
use crate::search::understand::{Correction, Reader, ReadingSettings};

#[derive(Debug, Clone, PartialEq)]
pub struct SearchOptions {
    /// What products are written in and shoppers type.
    pub languages: Vec<Language>,
    pub lexical: LexicalSettings,
    pub spelling: SpellingSettings,
    pub reading: ReadingSettings,
    /// `None`: words only.
    pub meaning: Option<MeaningSettings>,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            languages: vec![Language::default()],
            lexical: LexicalSettings::default(),
            spelling: SpellingSettings::default(),
            reading: ReadingSettings::default(),
            meaning: None,
        }
    }
}

/// Products measured closely: the best by words and the nearest by meaning. The rest follow in lexical order.
const MEASURED: usize = 400;
const NEAREST: usize = 200;
/// Products analysed before they are written: tokens take far more memory than what is kept of them.
const ANALYSED: usize = 4_096;
/// The best products of the first look, from which it is seen what kind of thing is asked for.
const FIRST_LOOK: usize = 40;
const FEEDBACK: usize = 10;

#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    pub product: ProductNumber,
    pub score: f32,
    pub features: FeatureRow,
}

/// How a query is to be read.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// Whether misspelt words are corrected.
    pub forgives: bool,
    /// The shopper is still typing: the last word may be the beginning of one.
    pub unfinished: bool,
    /// What it may be written in; empty: any language of the index.
    pub languages: &'a [Language],
    pub synonyms: &'a Synonyms,
}

impl Reading<'_> {
    /// Of a finished query, by the catalogue's words alone.
    pub const PLAIN: Reading<'static> =
        Reading { forgives: true, unfinished: false, languages: &[], synonyms: &Synonyms::NONE };
}

/// What products have no word of the query for must be as near: by the shop's own encoder, and by a sentence encoder.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeastCosines {
    pub own: f32,
    pub sentence: f32,
}

/// A query, read beside the catalogue.
#[derive(Debug, Clone, Default)]
pub struct Understood {
    pub(super) query: ParsedQuery,
    pub corrections: Vec<Correction>,
}

/// A product put in, with what it says now, or taken out.
#[derive(Debug, Clone)]
pub enum Change {
    Put(SearchDocument),
    Remove(ProductNumber),
}

impl Change {
    pub fn product(&self) -> ProductNumber {
        match self {
            Self::Put(document) => document.number,
            Self::Remove(number) => *number,
        }
    }
}

/// What a search reads.
struct State {
    opened: Opened,
    lexicon: Lexicon,
    /// By product number; empty for a product that isn't there.
    products: Vec<ProductTerms>,
    speller: Speller,
    vectors: Option<ProductVectors>,
}

/// Searches read while changes are written; they wait only while a written change is swapped in.
pub struct SearchIndex {
    options: SearchOptions,
    analyser: Analyser,
    terms: TermMaker,
    text: Mutex<TextIndex>,
    state: RwLock<State>,
}

impl SearchIndex {
    pub fn build(
        documents: impl IntoIterator<Item = SearchDocument>,
        options: SearchOptions,
    ) -> Result<Self, SearchError> {
        let analyser = Analyser::new(&options.languages);
        let mut text = TextIndex::in_memory()?;
        let mut lexicon = Lexicon::default();
        let mut products: Vec<ProductTerms> = Vec::new();
        let mut documents = documents.into_iter();
        loop {
            let documents: Vec<SearchDocument> = documents.by_ref().take(ANALYSED).collect();
            if documents.is_empty() {
                break;
            }
            let analysed: Vec<Tokens> = documents.par_iter().map(|document| tokens_of(document, &analyser)).collect();
            let numbered = || documents.iter().map(|document| document.number).zip(&analysed);
            let write = || numbered().try_for_each(|(number, tokens)| text.put(number, tokens, false));
            let count = || {
                for (number, tokens) in numbered() {
                    lexicon.add_product(spoken(tokens));
                    put_terms(&mut products, number, ProductTerms::of(tokens, &lexicon));
                }
            };
            rayon::join(write, count).0?;
        }
        text.commit()?;
        let learn = || {
            let speller = Speller::new(&lexicon, options.spelling);
            (speller, options.meaning.map(|settings| meaning(&products, &lexicon, &settings)))
        };
        let (text, (speller, vectors)) = rayon::join(|| text.settled(), learn);
        let text = text?;
        let (opened, terms) = (text.open()?, text.terms());
        let state = State { opened, lexicon, products, speller, vectors };
        Ok(Self { options, analyser, terms, text: Mutex::new(text), state: RwLock::new(state) })
    }

    /// Learns what products are about, from their texts. Searches go on by words meanwhile.
    pub fn learn_meaning(&self, settings: MeaningSettings) {
        let vectors = {
            let state = self.state.read();
            meaning(&state.products, &state.lexicon, &settings)
        };
        self.state.write().vectors = Some(vectors);
    }

    /// Writes changes; searches that begin afterwards see all of them.
    pub fn apply(&self, changes: &[Change]) -> Result<(), SearchError> {
        let mut text = self.text.lock();
        let analysed: Vec<(ProductNumber, Option<Tokens>)> = changes
            .par_iter()
            .map(|change| match change {
                Change::Put(document) => (document.number, Some(tokens_of(document, &self.analyser))),
                Change::Remove(product) => (*product, None),
            })
            .collect();
        for (product, tokens) in &analysed {
            match tokens {
                Some(tokens) => text.put(*product, tokens, true)?,
                None => text.remove(*product),
            }
        }
        text.commit()?;
        let opened = text.open()?;
        let mut state = self.state.write();
        let state = &mut *state;
        state.opened = opened;
        let mut left = false;
        for (product, tokens) in &analysed {
            if let Some(before) = state.products.get(product.index()) {
                left |= state.lexicon.forget_product(before.all());
            }
            let terms = tokens.as_ref().map(|tokens| {
                let known = state.lexicon.words().len();
                state.lexicon.add_product(spoken(tokens));
                state.speller.learn(&state.lexicon, known);
                ProductTerms::of(tokens, &state.lexicon)
            });
            let terms = terms.unwrap_or_default();
            if let Some(vectors) = &mut state.vectors {
                vectors.put(product.0, terms.all().collect());
            }
            put_terms(&mut state.products, *product, terms);
        }
        if left {
            state.lexicon.forget_words();
        }
        Ok(())
    }

    /// How often shoppers searched for words: corrections lean to those.
    pub fn set_asked<'a>(&self, asked: impl Iterator<Item = (&'a str, u32)>) {
        self.state.write().lexicon.set_asked(asked);
    }

    /// Everything as it is now, until it is dropped; changes wait for it.
    pub fn read(&self) -> SearchReader<'_> {
        SearchReader { index: self, state: self.state.read() }
    }

    /// The best products for a text, best first.
    pub fn search(
        &self,
        text: &str,
        sentence: Option<Sentence<'_>>,
        limit: usize,
        ranker: &Ranker,
    ) -> Result<Vec<Hit>, SearchError> {
        let mut hits = self.candidates(text, sentence, limit)?;
        ranker.score(&mut hits);
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.product.cmp(&b.product)));
        hits.truncate(limit);
        Ok(hits)
    }

    /// The products worth a closer look, measured, at least `limit` where so many match.
    pub fn candidates(
        &self,
        text: &str,
        sentence: Option<Sentence<'_>>,
        limit: usize,
    ) -> Result<Vec<Hit>, SearchError> {
        let reader = self.read();
        let understood = reader.understand(text, Reading::PLAIN);
        let matched = reader.matched(&understood, &[])?;
        let nearest = reader.nearest(&understood, &matched, sentence, LeastCosines::default(), |_| true);
        Ok(reader.measured(&understood, matched, nearest, limit))
    }

    pub fn analyser(&self) -> &Analyser {
        &self.analyser
    }
}

fn meaning(products: &[ProductTerms], lexicon: &Lexicon, settings: &MeaningSettings) -> ProductVectors {
    let terms = |product: usize| products[product].all().collect();
    ProductVectors::build(products.len(), terms, lexicon.counts(), settings)
}

type Tokens = [Vec<Token>; FIELD_COUNT];

fn tokens_of(document: &SearchDocument, analyser: &Analyser) -> Tokens {
    std::array::from_fn(|field| analyser.tokens(&document.texts[field]))
}

/// The words of a product. Article numbers are none: each product has its own, and nobody misspells them into another.
fn spoken(tokens: &Tokens) -> impl Iterator<Item = &Token> {
    tokens.iter().enumerate().filter(|(field, _)| *field != Field::Codes as usize).flat_map(|(_, tokens)| tokens)
}

fn put_terms(products: &mut Vec<ProductTerms>, number: ProductNumber, terms: ProductTerms) {
    products.resize_with(products.len().max(number.index() + 1), Default::default);
    products[number.index()] = terms;
}

/// Where a query points, and the products there, nearest first: by the shop's own encoder, and by a sentence encoder where one was asked.
#[derive(Debug, Clone, Default)]
pub struct Nearest<'a> {
    direction: Vec<f32>,
    pub products: Vec<(u32, f32)>,
    sentence: Option<Sentence<'a>>,
    pub by_sentence: Vec<(u32, f32)>,
}

impl Nearest<'_> {
    pub fn is_empty(&self) -> bool {
        self.products.is_empty() && self.by_sentence.is_empty()
    }

    pub fn retain(&mut self, wanted: impl Fn(u32) -> bool) {
        self.products.retain(|(product, _)| wanted(*product));
        self.by_sentence.retain(|(product, _)| wanted(*product));
    }

    /// All of them, each once, those of the own encoder first.
    pub fn all(&self) -> impl Iterator<Item = u32> {
        let of_own: FxHashSet<u32> = self.products.iter().map(|(product, _)| *product).collect();
        let further = self.by_sentence.iter().map(|(product, _)| *product);
        let further = further.filter(move |product| !of_own.contains(product));
        self.products.iter().map(|(product, _)| *product).chain(further)
    }
}

/// A few products that are looked for among thousands: most of those are told by a bit.
pub(super) struct Few {
    products: FxHashSet<u32>,
    bits: [u64; Self::WORDS],
}

impl Few {
    const WORDS: usize = 64;

    pub(super) fn new(products: impl Iterator<Item = u32>) -> Self {
        let mut few = Self { products: products.collect(), bits: [0; Self::WORDS] };
        few.products.iter().for_each(|product| few.bits[Self::word(*product)] |= 1 << (product % 64));
        few
    }

    fn word(product: u32) -> usize {
        product as usize / 64 % Self::WORDS
    }

    fn may_have(&self, product: u32) -> bool {
        self.bits[Self::word(product)] & (1 << (product % 64)) != 0
    }

    fn has(&self, product: u32) -> bool {
        self.may_have(product) && self.products.contains(&product)
    }

    /// Those that aren't among the others.
    pub(super) fn without(mut self, others: impl Iterator<Item = u32>) -> FxHashSet<u32> {
        for product in others {
            if self.may_have(product) {
                self.products.remove(&product);
            }
        }
        self.products
    }
}

/// Place by nearness, from 0.
fn places(nearest: &[(u32, f32)]) -> FxHashMap<u32, usize> {
    nearest.iter().enumerate().map(|(place, (product, _))| (*product, place)).collect()
}

/// The index, held still for one search.
pub struct SearchReader<'a> {
    index: &'a SearchIndex,
    state: RwLockReadGuard<'a, State>,
}

impl SearchReader<'_> {
    pub fn understand(&self, text: &str, reading: Reading<'_>) -> Understood {
        let mut query = ParsedQuery::parse(text, &self.index.analyser, reading.languages);
        let company = Postings::new(&self.state.opened, self.index.terms, &self.state.lexicon);
        let reader = Reader {
            analyser: &self.index.analyser,
            lexicon: &self.state.lexicon,
            speller: &self.state.speller,
            company: &company,
            settings: self.index.options.reading,
        };
        reading.synonyms.widen(&mut query);
        let unfinished = reading.unfinished && text.ends_with(char::is_alphanumeric);
        let corrections = reader.read(&mut query, reading.forgives, unfinished);
        Understood { query, corrections }
    }

    /// Every product that has any word of the query; `fields`: where to look, everywhere if empty.
    pub fn matched(&self, understood: &Understood, fields: &[Field]) -> Result<Matches, SearchError> {
        let mut settings = self.index.options.lexical;
        if !fields.is_empty() {
            let wanted = |field: usize| fields.iter().any(|wanted| *wanted as usize == field);
            (0..FIELD_COUNT).filter(|field| !wanted(*field)).for_each(|field| settings.field_weights[field] = 0.0);
        }
        retrieve::matches(&understood.query, &self.state.opened, self.index.terms, &settings)
    }

    /// The products nearest by meaning that are near enough and accepted.
    pub fn nearest<'b>(
        &self,
        understood: &Understood,
        matched: &Matches,
        sentence: Option<Sentence<'b>>,
        least: LeastCosines,
        accepts: impl Fn(ProductNumber) -> bool,
    ) -> Nearest<'b> {
        if self.state.vectors.is_none() && sentence.is_none() {
            return Nearest::default();
        }
        let accepts = |product: u32| accepts(ProductNumber(product));
        let guesses = matched.strongest(2 * NEAREST);
        let (direction, products) = self.nearest_by_own(understood, matched, &guesses, least.own, accepts);
        let by_sentence = sentence.map_or_else(Vec::new, |sentence| {
            sentence.vectors.index().nearest_accepted(sentence.query, NEAREST, least.sentence, &guesses, accepts)
        });
        Nearest { direction, products, sentence, by_sentence }
    }

    /// By the encoder that the shop's own catalogue taught.
    fn nearest_by_own(
        &self,
        understood: &Understood,
        matched: &Matches,
        guesses: &[u32],
        least: f32,
        accepts: impl Fn(u32) -> bool,
    ) -> (Vec<f32>, Vec<(u32, f32)>) {
        let Some(ProductVectors { encoder, vectors }) = &self.state.vectors else { return Default::default() };
        let terms = understood.query.terms.iter().zip(&matched.information).filter(|(term, _)| term.weight > 0.0);
        let readings = terms
            .flat_map(|(term, _)| term.alternatives.iter().map(move |reading| (term.weight * reading.weight, reading)));
        let words = readings.flat_map(|(weight, reading)| reading.terms.iter().map(move |word| (word, weight)));
        let numbered = words.filter_map(|(word, weight)| Some((self.state.lexicon.term_number(word)?, weight)));
        let direction = encoder.text(numbered);
        let products = vectors.nearest_accepted(&direction, NEAREST, least, guesses, accepts);
        (direction, products)
    }

    /// The best by words and all the nearest, measured, best by words first; at least `limit` where so many match.
    pub fn measured(&self, understood: &Understood, matched: Matches, nearest: Nearest<'_>, limit: usize) -> Vec<Hit> {
        let Matches { mut matches, information, .. } = matched;
        let found = matches.len();
        let near = places(&nearest.products);
        let near_by_sentence = places(&nearest.by_sentence);
        keep_best(&mut matches, MEASURED.max(limit), Few::new(nearest.all()));
        let best = matches.first().map_or(0.0, |best| best.score);
        let view = QueryView::new(&understood.query, &information, &self.state.lexicon, best, found);
        let mut hits: Vec<Hit> = Vec::with_capacity(matches.len());
        let looked_at = &matches[..matches.len().min(FIRST_LOOK)];
        let first_look = FirstLook::new(looked_at, &self.state);
        let by_sentence = nearest.sentence.map(|sentence| SentenceLook::new(looked_at, sentence));
        let reciprocal = |place: Option<&usize>| place.map_or(0.0, |place| 1.0 / (60.0 + *place as f32));
        matches.retain(|matched| (matched.product as usize) < self.state.products.len());
        self.fetch_terms(&matches);
        for (place, matched) in matches.iter().enumerate() {
            let product = &self.state.products[matched.product as usize];
            let mut features = view.measure(matched, product);
            features[Feature::Place as usize] = if matched.score > 0.0 { 1.0 / (60.0 + place as f32) } else { 0.0 };
            features[Feature::MeaningPlace as usize] = reciprocal(near.get(&matched.product));
            features[Feature::SentencePlace as usize] = reciprocal(near_by_sentence.get(&matched.product));
            hits.push(Hit { product: ProductNumber(matched.product), score: matched.score, features });
        }
        first_look.measure(&nearest.direction, &self.state, &mut hits);
        if let Some(look) = by_sentence {
            look.measure(&mut hits);
        }
        beside_best(&mut hits, Feature::Meaning, Feature::MeaningOfBest);
        beside_best(&mut hits, Feature::Sentence, Feature::SentenceOfBest);
        hits
    }

    /// Brings the terms of products near. They lie anywhere in memory, and a processor waits for many places in the time of one where
    /// none hangs on another; measuring one after the other would wait for each.
    fn fetch_terms(&self, matches: &[Match]) {
        let ends = matches.iter().map(|matched| self.state.products[matched.product as usize].touched());
        std::hint::black_box(ends.fold(0, |folded, end| folded ^ end));
    }

    /// Whether any product that is `shown` has all the words of a text, as they stand.
    pub fn finds(&self, text: &str, shown: &dyn Fn(ProductNumber) -> bool) -> bool {
        let understood = self.understand(text, Reading { forgives: false, ..Reading::PLAIN });
        let Ok(matched) = self.matched(&understood, &[]) else { return false };
        matched
            .matches
            .iter()
            .any(|found| found.terms & matched.required == matched.required && shown(ProductNumber(found.product)))
    }

    /// Words of the catalogue that begin with a prefix, most frequent first.
    pub fn completions(&self, prefix: &str, most: usize) -> Vec<String> {
        self.state.lexicon.completions(prefix, most).into_iter().map(|word| word.text.to_string()).collect()
    }
}

/// Writes down a measurement beside the best of all hits.
fn beside_best(hits: &mut [Hit], measured: Feature, beside: Feature) {
    let best = hits.iter().map(|hit| hit.features[measured as usize]).fold(1e-6, f32::max);
    hits.iter_mut().for_each(|hit| hit.features[beside as usize] = hit.features[measured as usize] / best);
}

/// The best by score, and the others that are near by meaning, matched or not.
fn keep_best(matches: &mut Vec<Match>, kept: usize, near: Few) {
    let order = |a: &Match, b: &Match| b.score.total_cmp(&a.score).then(a.product.cmp(&b.product));
    let mut beyond = Vec::new();
    if matches.len() > kept {
        matches.select_nth_unstable_by(kept, order);
        beyond.extend(matches[kept..].iter().filter(|matched| near.has(matched.product)).copied());
        matches.truncate(kept);
    }
    matches.extend(beyond);
    let missed = near.without(matches.iter().map(|matched| matched.product));
    matches.extend(missed.into_iter().map(|product| Match { product, score: 0.0, terms: 0 }));
    matches.sort_unstable_by(order);
}

/// What the best products by words have in common.
#[derive(Default)]
struct FirstLook {
    kinds: FxHashMap<u32, f32>,
    makers: FxHashMap<u32, f32>,
    direction: Vec<f32>,
}

impl FirstLook {
    fn new(best: &[Match], state: &State) -> Self {
        let mut look = Self::default();
        let top = best.first().map_or(0.0, |best| best.score);
        let mut total = 1e-6;
        for (place, matched) in best.iter().enumerate().filter(|(_, matched)| matched.score > 0.0) {
            let product = &state.products[matched.product as usize];
            let weight = (matched.score / top).powi(4);
            total += weight;
            *look.kinds.entry(product.kind()).or_default() += weight;
            *look.makers.entry(product.first()).or_default() += weight;
            if let Some(vectors) = state.vectors.as_ref().filter(|_| place < FEEDBACK) {
                let vector = vectors.vectors.vector(matched.product);
                look.direction.resize(vector.len(), 0.0);
                merx_numeric::kernels::axpy(weight, &vector, &mut look.direction);
            }
        }
        look.kinds.values_mut().chain(look.makers.values_mut()).for_each(|share| *share /= total);
        look.kinds.remove(&NO_TERM);
        look.makers.remove(&NO_TERM);
        look.direction = normalised(std::mem::take(&mut look.direction));
        look
    }

    fn measure(&self, query: &[f32], state: &State, hits: &mut [Hit]) {
        for hit in hits.iter_mut() {
            let terms = &state.products[hit.product.index()];
            hit.features[Feature::KindShare as usize] = self.kinds.get(&terms.kind()).copied().unwrap_or(0.0);
            hit.features[Feature::MakerShare as usize] = self.makers.get(&terms.first()).copied().unwrap_or(0.0);
        }
        let Some(ProductVectors { encoder, vectors }) = &state.vectors else { return };
        let products: Vec<u32> = hits.iter().map(|hit| hit.product.0).collect();
        let meaning = vectors.products_with(&products, query);
        let feedback = vectors.products_with(&products, &self.direction);
        // Hundreds of products are of few kinds.
        let mut kinds: FxHashMap<u32, f32> = FxHashMap::default();
        let cosine = |kind: u32| {
            let kind = encoder.term(kind)?;
            let length = merx_numeric::kernels::dot(kind, kind).sqrt().max(1e-6);
            Some(merx_numeric::kernels::dot(query, kind) / length)
        };
        for ((hit, meaning), feedback) in hits.iter_mut().zip(meaning).zip(feedback) {
            hit.features[Feature::Meaning as usize] = meaning;
            hit.features[Feature::Feedback as usize] = feedback;
            let kind = state.products[hit.product.index()].kind();
            let cosine = kinds.entry(kind).or_insert_with(|| cosine(kind).unwrap_or(0.0));
            hit.features[Feature::KindMeaning as usize] = *cosine;
        }
    }
}

/// What a sentence encoder says of the best products by words.
struct SentenceLook<'a> {
    sentence: Sentence<'a>,
    direction: Vec<f32>,
}

impl<'a> SentenceLook<'a> {
    fn new(best: &[Match], sentence: Sentence<'a>) -> Self {
        let top = best.first().map_or(0.0, |best| best.score);
        let mut direction = vec![0.0; sentence.query.len()];
        for matched in best.iter().take(FEEDBACK).filter(|matched| matched.score > 0.0) {
            let vector = sentence.vectors.index().vector(matched.product);
            merx_numeric::kernels::axpy((matched.score / top).powi(4), &vector, &mut direction);
        }
        Self { sentence, direction: normalised(direction) }
    }

    fn measure(&self, hits: &mut [Hit]) {
        let products: Vec<u32> = hits.iter().map(|hit| hit.product.0).collect();
        let vectors = self.sentence.vectors.index();
        let cosines = vectors.products_with(&products, self.sentence.query);
        let feedback = vectors.products_with(&products, &self.direction);
        for ((hit, cosine), feedback) in hits.iter_mut().zip(cosines).zip(feedback) {
            hit.features[Feature::Sentence as usize] = cosine;
            hit.features[Feature::SentenceFeedback as usize] = feedback;
        }
    }
}
