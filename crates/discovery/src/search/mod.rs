//! From what a shopper types to a ranked list.
//!
//! In the order of a search: `text/` reads products and queries alike; `query.rs` says what is asked for, and `understand.rs`,
//! `spelling/` and `synonyms.rs` how else it may be said; `retrieve.rs` finds every match in the index of `text_index.rs`, and
//! `meaning.rs` and `sentence.rs` what is near without sharing words; `features.rs` measures the best of both, `ranker.rs` puts them in order.
//! `shop_index.rs` keeps all of that together while products change. `catalogue/` filters, counts and sorts by the facts of
//! now, and `engine/` answers requests with both. `clicks.rs`, `learning.rs` and
//! `mining.rs` are what shoppers teach.

pub mod boosted;
pub mod catalogue;
pub mod clicks;
mod company;
mod document;
pub mod engine;
mod features;
pub mod judged;
pub mod learning;
mod lexicon;
mod meaning;
pub mod mining;
mod query;
mod ranker;
mod retrieve;
mod sentence;
mod shop_index;
mod spelling;
mod synonyms;
pub mod text;
mod text_index;
mod understand;

pub use document::{FIELD_COUNT, FIELDS, Field, SearchDocument};
pub(crate) use engine::FORMAT;
pub use engine::{EngineSettings, SearchAnswer, SearchAsk, SearchEngine};
pub use features::{FEATURES, FeatureRow, feature_names};
pub use meaning::MeaningSettings;
pub use ranker::Ranker;
pub use retrieve::LexicalSettings;
pub use sentence::{QueryVectors, Sentence, SentenceVectors, Sentences, product_text, query_text};
pub use shop_index::{Change, Hit, Nearest, Reading, SearchIndex, SearchOptions, SearchReader, Understood};
pub use spelling::SpellingSettings;
pub use synonyms::{Synonym, Synonyms};
pub use understand::{Correction, ReadingSettings};

/// Why a search or a change of the index failed. All are the operator's or ours: no query can cause one.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    #[error("the text index: {0}")]
    Index(String),
    /// A search that was to be answered with an encoder's vectors, of which some aren't at hand any more.
    #[error("the query's vector by the encoder {0} is not at hand")]
    Encoder(String),
}

impl From<tantivy::TantivyError> for SearchError {
    fn from(error: tantivy::TantivyError) -> Self {
        Self::Index(error.to_string())
    }
}

impl From<std::io::Error> for SearchError {
    fn from(error: std::io::Error) -> Self {
        Self::Index(error.to_string())
    }
}
