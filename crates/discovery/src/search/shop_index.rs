//! The searchable catalogue: everything a search reads, kept together.

use merx_domain::ProductNumber;
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::search::SearchError;
use crate::search::company::Postings;
use crate::search::document::{FIELD_COUNT, SearchDocument};
use crate::search::features::{Feature, FeatureRow, NO_TERM, ProductTerms, QueryView};
use crate::search::lexicon::Lexicon;
use crate::search::meaning::{MeaningSettings, ProductVectors, normalised};
use crate::search::query::ParsedQuery;
use crate::search::ranker::Ranker;
use crate::search::retrieve::{self, LexicalSettings, Match, Matches};
use crate::search::spelling::{Speller, SpellingSettings};
use crate::search::text::{Analyser, Language, Token};
use crate::search::text_index::{Opened, TextIndex};
use crate::search::understand::{Correction, Reader, ReadingSettings};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct SearchOptions {
    pub language: Language,
    pub lexical: LexicalSettings,
    pub spelling: SpellingSettings,
    pub reading: ReadingSettings,
    /// `None`: words only.
    pub meaning: Option<MeaningSettings>,
}

/// Products measured closely: the best by words and the nearest by meaning. The rest follow in lexical order.
const MEASURED: usize = 400;
const NEAREST: usize = 200;
/// The best products of the first look, from which it is seen what kind of thing is asked for.
const FIRST_LOOK: usize = 40;
const FEEDBACK: usize = 10;

#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    pub product: ProductNumber,
    pub score: f32,
    pub features: FeatureRow,
}

/// A query, read beside the catalogue.
#[derive(Debug, Clone, Default)]
pub struct Understood {
    pub(super) query: ParsedQuery,
    pub corrections: Vec<Correction>,
}

pub struct SearchIndex {
    options: SearchOptions,
    analyser: Analyser,
    text: TextIndex,
    opened: Opened,
    lexicon: Lexicon,
    products: Vec<ProductTerms>,
    speller: Speller,
    vectors: Option<ProductVectors>,
}

impl SearchIndex {
    pub fn build(documents: &[SearchDocument], options: SearchOptions) -> Result<Self, SearchError> {
        let analyser = Analyser::new(options.language);
        let analysed: Vec<[Vec<Token>; FIELD_COUNT]> =
            documents.par_iter().map(|document| std::array::from_fn(|field| analyser.tokens(&document.texts[field]))).collect();
        let mut text = TextIndex::in_memory()?;
        let mut lexicon = Lexicon::default();
        let mut products: Vec<ProductTerms> = Vec::new();
        for (document, tokens) in documents.iter().zip(&analysed) {
            text.put(document, tokens, false)?;
            lexicon.add_product(tokens.iter().flatten());
            let place = document.number.0 as usize;
            products.resize_with(products.len().max(place + 1), Default::default);
            products[place] = ProductTerms::of(tokens, &lexicon);
        }
        text.commit()?;
        let opened = text.open()?;
        let speller = Speller::new(&lexicon, options.spelling);
        let mut index = Self { options, analyser, text, opened, lexicon, products, speller, vectors: None };
        if let Some(settings) = index.options.meaning {
            index.learn_meaning(settings);
        }
        Ok(index)
    }

    /// Learns what products are about, from their texts.
    pub fn learn_meaning(&mut self, settings: MeaningSettings) {
        let products: Vec<&[u32]> = self.products.iter().map(ProductTerms::all).collect();
        self.vectors = Some(ProductVectors::build(&products, self.lexicon.counts(), &settings));
        self.options.meaning = Some(settings);
    }

    /// Reads a query; `forgives`: whether misspelt words are corrected.
    pub fn understand(&self, text: &str, forgives: bool) -> Understood {
        let mut query = ParsedQuery::parse(text, &self.analyser);
        let company = Postings::new(&self.opened, self.text.terms(), &self.lexicon);
        let reader = Reader {
            analyser: &self.analyser,
            lexicon: &self.lexicon,
            speller: &self.speller,
            company: &company,
            settings: self.options.reading,
        };
        let corrections = reader.read(&mut query, forgives);
        Understood { query, corrections }
    }

    /// The best products for a text, best first.
    pub fn search(&self, text: &str, limit: usize, ranker: &Ranker) -> Result<Vec<Hit>, SearchError> {
        let mut hits = self.candidates(&self.understand(text, true), limit)?;
        hits.iter_mut().for_each(|hit| hit.score = ranker.score(&hit.features));
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.product.cmp(&b.product)));
        hits.truncate(limit);
        Ok(hits)
    }

    /// The products worth a closer look, measured, at least `limit` where so many match.
    pub fn candidates(&self, understood: &Understood, limit: usize) -> Result<Vec<Hit>, SearchError> {
        let query = &understood.query;
        let Matches { mut matches, information } =
            retrieve::matches(query, &self.opened, self.text.terms(), &self.options.lexical)?;
        let found = matches.len();
        let (direction, nearest) = self.nearest(query, &information);
        let near: FxHashMap<u32, usize> = nearest.iter().enumerate().map(|(place, (product, _))| (*product, place)).collect();
        keep_best(&mut matches, MEASURED.max(limit), &near);
        let best = matches.first().map_or(0.0, |best| best.score);
        let view = QueryView::new(query, &information, &self.lexicon, best, found);
        let mut hits: Vec<Hit> = Vec::with_capacity(matches.len());
        let first_look = FirstLook::new(&matches[..matches.len().min(FIRST_LOOK)], self);
        for (place, matched) in matches.iter().enumerate() {
            let mut features = view.measure(matched, &self.products[matched.product as usize]);
            let by_words = if matched.score > 0.0 { 1.0 / (60.0 + place as f32) } else { 0.0 };
            features[Feature::Place as usize] = by_words;
            features[Feature::MeaningPlace as usize] = near.get(&matched.product).map_or(0.0, |place| 1.0 / (60.0 + *place as f32));
            first_look.measure(matched.product, &direction, self, &mut features);
            hits.push(Hit { product: ProductNumber(matched.product), score: matched.score, features });
        }
        let best = hits.iter().map(|hit| hit.features[Feature::Meaning as usize]).fold(1e-6, f32::max);
        hits.iter_mut().for_each(|hit| hit.features[Feature::MeaningOfBest as usize] = hit.features[Feature::Meaning as usize] / best);
        Ok(hits)
    }

    /// Where the query points, and what is there.
    fn nearest(&self, query: &ParsedQuery, information: &[f32]) -> (Vec<f32>, Vec<(u32, f32)>) {
        let Some(vectors) = &self.vectors else { return Default::default() };
        let terms = query.terms.iter().zip(information).filter(|(term, _)| term.weight > 0.0);
        let readings = terms.flat_map(|(term, _)| term.alternatives.iter().map(move |reading| (term.weight * reading.weight, reading)));
        let words = readings.flat_map(|(weight, reading)| reading.terms.iter().map(move |word| (word, weight)));
        let numbered = words.filter_map(|(word, weight)| Some((self.lexicon.term_number(word)?, weight)));
        let direction = vectors.encoder.text(numbered);
        let nearest = vectors.nearest(&direction, NEAREST);
        (direction, nearest)
    }
}

/// The best by score, and the others that are near by meaning, matched or not.
fn keep_best(matches: &mut Vec<Match>, kept: usize, near: &FxHashMap<u32, usize>) {
    let order = |a: &Match, b: &Match| b.score.total_cmp(&a.score).then(a.product.cmp(&b.product));
    let mut missed = near.clone();
    let mut beyond = Vec::new();
    if matches.len() > kept {
        matches.select_nth_unstable_by(kept, order);
        beyond.extend(matches[kept..].iter().filter(|matched| near.contains_key(&matched.product)).copied());
        matches.truncate(kept);
    }
    matches.extend(beyond);
    matches.iter().for_each(|matched| {
        missed.remove(&matched.product);
    });
    matches.extend(missed.into_keys().map(|product| Match { product, score: 0.0, terms: 0 }));
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
    fn new(best: &[Match], index: &SearchIndex) -> Self {
        let mut look = Self::default();
        let top = best.first().map_or(0.0, |best| best.score);
        let mut total = 1e-6;
        for (place, matched) in best.iter().enumerate().filter(|(_, matched)| matched.score > 0.0) {
            let product = &index.products[matched.product as usize];
            let weight = (matched.score / top).powi(4);
            total += weight;
            *look.kinds.entry(product.kind()).or_default() += weight;
            *look.makers.entry(product.first()).or_default() += weight;
            if let Some(vectors) = index.vectors.as_ref().filter(|_| place < FEEDBACK) {
                let vector = vectors.vector(matched.product);
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

    fn measure(&self, product: u32, query: &[f32], index: &SearchIndex, features: &mut FeatureRow) {
        let terms = &index.products[product as usize];
        features[Feature::KindShare as usize] = self.kinds.get(&terms.kind()).copied().unwrap_or(0.0);
        features[Feature::MakerShare as usize] = self.makers.get(&terms.first()).copied().unwrap_or(0.0);
        let Some(vectors) = &index.vectors else { return };
        let vector = vectors.vector(product);
        features[Feature::Meaning as usize] = merx_numeric::kernels::dot(query, &vector);
        if self.direction.len() == vector.len() {
            features[Feature::Feedback as usize] = merx_numeric::kernels::dot(&self.direction, &vector);
        }
        if let Some(kind) = vectors.encoder.term(terms.kind()) {
            let length = merx_numeric::kernels::dot(kind, kind).sqrt().max(1e-6);
            features[Feature::KindMeaning as usize] = merx_numeric::kernels::dot(query, kind) / length;
        }
    }
}
