//! The searchable catalogue: everything a search reads, kept together.

use merx_domain::ProductNumber;
use rayon::prelude::*;

use crate::search::SearchError;
use crate::search::company::Postings;
use crate::search::spelling::{Speller, SpellingSettings};
use crate::search::understand::{Reader, ReadingSettings};
use crate::search::document::{FIELD_COUNT, SearchDocument};
use crate::search::features::{Feature, FeatureRow, ProductTerms, QueryView};
use crate::search::lexicon::Lexicon;
use crate::search::query::ParsedQuery;
use crate::search::ranker::LinearRanker;
use crate::search::retrieve::{self, LexicalSettings, Match, Matches};
use crate::search::text::{Analyser, Language, Token};
use crate::search::text_index::{Opened, TextIndex};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct SearchOptions {
    pub language: Language,
    pub lexical: LexicalSettings,
    pub ranker: LinearRanker,
    pub spelling: SpellingSettings,
    pub reading: ReadingSettings,
}

/// Products measured closely; the rest follow in lexical order.
const MEASURED: usize = 400;

#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    pub product: ProductNumber,
    pub score: f32,
    pub features: FeatureRow,
}

pub struct SearchIndex {
    options: SearchOptions,
    analyser: Analyser,
    text: TextIndex,
    opened: Opened,
    lexicon: Lexicon,
    products: Vec<ProductTerms>,
    speller: Speller,
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
        Ok(Self { options, analyser, text, opened, lexicon, products, speller })
    }

    pub fn lexicon(&self) -> &Lexicon {
        &self.lexicon
    }

    pub fn set_ranker(&mut self, ranker: LinearRanker) {
        self.options.ranker = ranker;
    }

    pub fn set_lexical(&mut self, lexical: LexicalSettings) {
        self.options.lexical = lexical;
    }

    /// The best products for a text, best first.
    pub fn search(&self, text: &str, limit: usize) -> Result<Vec<Hit>, SearchError> {
        let mut query = ParsedQuery::parse(text, &self.analyser);
        let company = Postings::new(&self.opened, self.text.terms(), &self.lexicon);
        let reader = Reader {
            analyser: &self.analyser,
            lexicon: &self.lexicon,
            speller: &self.speller,
            company: &company,
            settings: self.options.reading,
        };
        reader.read(&mut query, true);
        let Matches { mut matches, information } =
            retrieve::matches(&query, &self.opened, self.text.terms(), &self.options.lexical)?;
        let order = |a: &Match, b: &Match| b.score.total_cmp(&a.score).then(a.product.cmp(&b.product));
        let found = matches.len();
        let kept = MEASURED.max(limit);
        if found > kept {
            matches.select_nth_unstable_by(kept, order);
            matches.truncate(kept);
        }
        matches.sort_unstable_by(order);
        let best = matches.first().map_or(0.0, |best| best.score);
        let view = QueryView::new(&query, &information, &self.lexicon, best, found);
        let mut hits: Vec<Hit> = matches.iter().enumerate().map(|(place, found)| self.measured(&view, place, found)).collect();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.product.cmp(&b.product)));
        hits.truncate(limit);
        Ok(hits)
    }

    fn measured(&self, view: &QueryView<'_>, place: usize, found: &Match) -> Hit {
        let mut features = view.measure(found, &self.products[found.product as usize]);
        features[Feature::Place as usize] = 1.0 / (60.0 + place as f32);
        Hit { product: ProductNumber(found.product), score: self.options.ranker.score(&features), features }
    }
}

