//! Sentence encoders of a shop: which one is configured, its vectors of products and queries, and what hinders it.
//!
//! The shop's own encoder needs none of this and goes on answering whatever happens here. `table.rs` keeps vectors of products over restarts,
//! `queries.rs` those of queries in memory; `endpoint.rs` asks a service, within `budget.rs`; the model that runs in this process is
//! `merx_encoders`.

mod budget;
mod endpoint;
mod queries;
mod table;
#[cfg(test)]
mod tests;

use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use merx_discovery::search::{SearchEngine, product_text};
use merx_domain::{Clock, ProductNumber};
use merx_encoders::{SentenceEncoder, SentenceSettings};
use merx_ingest::{ChangeNumber, Ingest};
use merx_models::{TextEncoder, TextRole};
use merx_serve::{EncodedQueries, EncoderStatus};
use merx_store::{Migration, Records, StoreError};
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};

use crate::config;
use budget::{Budget, Limits};
use endpoint::{Endpoint, EndpointSettings, Secret};
use queries::QueryCache;
use table::{TextHash, VectorTable, hash_of};

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-21-merx-003-text-vectors",
    sql: "CREATE TABLE text_vectors (
            encoder TEXT NOT NULL,
            text BYTEA NOT NULL,
            vector BYTEA NOT NULL,
            PRIMARY KEY (encoder, text)
          );
          CREATE TABLE encoder_usage (
            day BIGINT NOT NULL,
            encoder TEXT NOT NULL,
            texts BIGINT NOT NULL,
            tokens BIGINT NOT NULL,
            calls BIGINT NOT NULL,
            failures BIGINT NOT NULL,
            PRIMARY KEY (day, encoder)
          )",
};

/// Products read at once.
const PAGE: usize = 256;
const KEY: &str = "MERX_EMBEDDINGS_KEY";

/// An encoder, and what it may spend.
pub(crate) struct Opened {
    pub(crate) encoder: Box<dyn TextEncoder>,
    budget: Option<Arc<Budget>>,
}

/// The encoder that is configured; `None`: the shop's own alone.
pub(crate) fn open(
    settings: &config::Encoder,
    records: &Arc<dyn Records>,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Opened>> {
    let (query_prefix, product_prefix) = (settings.query_prefix.clone(), settings.product_prefix.clone());
    match settings.kind.as_str() {
        "own" => Ok(None),
        "sentence" => {
            let settings_of_model =
                SentenceSettings { most_tokens: settings.most_tokens, query_prefix, product_prefix };
            let encoder = SentenceEncoder::open(&settings.folder, settings_of_model)?;
            if settings.dimensions > 0 && settings.dimensions != encoder.dimensions() {
                let (wanted, found) = (settings.dimensions, encoder.dimensions());
                bail!("search.encoder.dimensions = {wanted}, and the model's vectors have {found} components");
            }
            Ok(Some(Opened { encoder: Box::new(encoder), budget: None }))
        }
        "endpoint" => {
            let of_endpoint = EndpointSettings {
                url: settings.url.clone(),
                model: settings.model.clone(),
                dimensions: settings.dimensions,
                batch: settings.batch,
                timeout: Duration::from_millis(settings.timeout_ms),
                query_prefix,
                product_prefix,
                key: key(&settings.key_file)?,
            };
            let limits = Limits { texts_per_day: settings.texts_per_day, tokens_per_day: settings.tokens_per_day };
            let budget = Arc::new(Budget::new(Arc::clone(records), Arc::clone(clock), of_endpoint.id(), limits));
            let encoder = Endpoint::new(of_endpoint, Arc::clone(&budget), Arc::clone(clock));
            Ok(Some(Opened { encoder: Box::new(encoder), budget: Some(budget) }))
        }
        other => bail!("search.encoder.kind = {other:?}: expected own, sentence or endpoint"),
    }
}

fn key(file: &Path) -> Result<Option<Secret>> {
    if file.as_os_str().is_empty() {
        return Ok(Secret::new(&std::env::var(KEY).unwrap_or_default()));
    }
    let text = std::fs::read_to_string(file);
    let text = text.with_context(|| format!("search.encoder.key_file: cannot read {}", file.display()))?;
    let key = Secret::new(&text);
    Ok(Some(key.with_context(|| format!("search.encoder.key_file: {} is empty", file.display()))?))
}

/// An encoder at work for a shop.
pub(crate) struct Encoding {
    encoder: Box<dyn TextEncoder>,
    budget: Option<Arc<Budget>>,
    table: VectorTable,
    queries: Arc<QueryCache>,
    settings: config::Encoder,
    /// How far products have been followed; while it is locked somebody follows them.
    at: Mutex<Place>,
    /// With queries and with products.
    troubles: Mutex<[Option<String>; 2]>,
    whole: AtomicBool,
}

#[derive(Default)]
struct Place {
    seen: ChangeNumber,
    /// Texts that products have, until they have all been seen once.
    texts: Option<FxHashSet<TextHash>>,
}

impl Encoding {
    pub(crate) fn new(opened: Opened, records: Arc<dyn Records>, settings: config::Encoder) -> Self {
        let Opened { encoder, budget } = opened;
        Self {
            table: VectorTable::new(records, encoder.id()),
            queries: Arc::new(QueryCache::new(settings.kept_queries)),
            encoder,
            budget,
            settings,
            at: Mutex::new(Place { seen: ChangeNumber::default(), texts: Some(FxHashSet::default()) }),
            troubles: Mutex::default(),
            whole: AtomicBool::new(false),
        }
    }

    pub(crate) fn id(&self) -> &str {
        self.encoder.id()
    }

    pub(crate) fn queries(&self) -> &Arc<QueryCache> {
        &self.queries
    }

    /// Why it isn't used as it should be.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.troubles.lock().iter().flatten().next().cloned()
    }

    /// Vectors of texts; what goes wrong is told once.
    fn encode(&self, texts: &[&str], role: TextRole) -> Option<Vec<Vec<f32>>> {
        let outcome = self.encoder.encode(texts, role);
        let mut troubles = self.troubles.lock();
        let trouble = &mut troubles[role as usize];
        match outcome {
            Ok(vectors) => {
                *trouble = None;
                Some(vectors)
            }
            Err(error) => {
                let words = format!("search.encoder {}: {error}; the shop's own encoder answers", self.id());
                if trouble.as_ref() != Some(&words) {
                    tracing::warn!(encoder = self.id(), %error, ?role, "texts are not encoded");
                    *trouble = Some(words);
                }
                None
            }
        }
    }

    /// Asks for the vector of a query and waits for it as long as is configured, if at all.
    pub(crate) fn want(&self, text: &str, waits: bool) {
        let wait_ms = if waits { self.settings.wait_ms } else { 0 };
        self.queries.want(text, Duration::from_millis(wait_ms));
    }

    /// Makes vectors that searches wait for; `pause`: how long to wait for a search.
    pub(crate) fn answer_queries(&self, pause: Duration) {
        let texts = self.queries.next(self.queries_at_once(), pause);
        if !texts.is_empty() {
            self.encode_queries(&texts);
        }
    }

    /// One, where its vector must not depend on what is asked for beside it.
    fn queries_at_once(&self) -> usize {
        if self.encoder.is_repeatable() { 1 } else { self.encoder.batch() }
    }

    fn encode_queries(&self, texts: &[String]) -> bool {
        let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
        let vectors = self.encode(&borrowed, TextRole::Query);
        match &vectors {
            Some(vectors) => {
                texts.iter().zip(vectors).for_each(|(text, vector)| self.queries.put(text, vector.clone()))
            }
            None => self.queries.give_up(texts),
        }
        vectors.is_some()
    }

    /// Makes the vectors of popular queries that aren't at hand, until `may_go_on` says no.
    pub(crate) fn warm(&self, texts: impl Iterator<Item = String>, may_go_on: &dyn Fn() -> bool) {
        use merx_discovery::search::QueryVectors;
        let most = self.settings.warmed_queries.min(self.settings.kept_queries / 2);
        let missing: Vec<String> = texts.take(most).filter(|text| self.queries.at_hand(text).is_none()).collect();
        for texts in missing.chunks(self.queries_at_once()) {
            if !may_go_on() || !self.encode_queries(texts) {
                return;
            }
        }
    }

    /// The vector of a query of long ago, if it is the same again.
    pub(crate) fn bring_back(&self, text: &str) {
        use merx_discovery::search::QueryVectors;
        if self.encoder.is_repeatable() && self.queries.at_hand(text).is_none() {
            self.encode_queries(&[text.to_owned()]);
        }
    }

    /// Tells the engine the vectors of products that changed: those on record, and others as far as `may_encode` lets them be made. What
    /// fails is tried again from there.
    pub(crate) fn follow(&self, engine: &SearchEngine, ingest: &Ingest, may_encode: &dyn Fn() -> bool) -> Result<()> {
        let Some(mut at) = self.at.try_lock() else { return Ok(()) };
        loop {
            let products = ingest.catalogue.changed_since(at.seen, PAGE)?;
            let Some(reached) = products.last().map(|stored| stored.change) else { break };
            let text = |stored: &merx_ingest::StoredProduct| product_text(&stored.product, self.settings.text_bytes);
            let texts: Vec<(ProductNumber, String)> =
                products.iter().map(|stored| (stored.number, text(stored))).collect();
            let hashes: Vec<TextHash> = texts.iter().map(|(_, text)| hash_of(text)).collect();
            let mut known = self.table.get(&hashes)?;
            let all = self.encode_missing(&texts, &hashes, &mut known, may_encode)?;
            let vectors =
                texts.iter().zip(&hashes).filter_map(|((number, _), hash)| Some((*number, known.get(hash)?.clone())));
            engine.put_sentences(vectors);
            if !all {
                return Ok(());
            }
            at.seen = reached;
            if let Some(seen) = &mut at.texts {
                seen.extend(hashes);
            }
            engine.tell_state(|state| state.sentences = self.state_at(reached));
        }
        self.tell_whole(engine);
        if may_encode()
            && let Some(texts) = at.texts.take()
        {
            self.table.tidy(&|text| texts.contains(text))?;
        }
        Ok(())
    }

    /// Whether all were made.
    fn encode_missing(
        &self,
        texts: &[(ProductNumber, String)],
        hashes: &[TextHash],
        known: &mut FxHashMap<TextHash, Vec<f32>>,
        may_encode: &dyn Fn() -> bool,
    ) -> Result<bool> {
        let mut once = FxHashSet::default();
        let missing = texts.iter().zip(hashes).filter(|(_, hash)| !known.contains_key(*hash) && once.insert(**hash));
        let missing: Vec<(&str, TextHash)> = missing.map(|((_, text), hash)| (text.as_str(), *hash)).collect();
        for batch in missing.chunks(self.encoder.batch()) {
            if !may_encode() {
                return Ok(false);
            }
            let texts: Vec<&str> = batch.iter().map(|(text, _)| *text).collect();
            let Some(vectors) = self.encode(&texts, TextRole::Product) else { return Ok(false) };
            let made: Vec<(TextHash, Vec<f32>)> = batch.iter().map(|(_, hash)| *hash).zip(vectors).collect();
            self.table.put(&made)?;
            // As they will be read again.
            let kept: Vec<TextHash> = made.iter().map(|(hash, _)| *hash).collect();
            known.extend(self.table.get(&kept)?);
        }
        Ok(true)
    }

    fn state_at(&self, reached: ChangeNumber) -> u64 {
        let mut hasher = FxHasher::default();
        (self.id(), reached.0).hash(&mut hasher);
        hasher.finish()
    }

    fn tell_whole(&self, engine: &SearchEngine) {
        if engine.uses_sentences() && !self.whole.swap(true, Ordering::Relaxed) {
            tracing::info!(
                encoder = self.id(),
                products = engine.sentence_count(),
                "searches use the encoder's vectors"
            );
        }
    }

    /// What there is to see.
    pub(crate) fn status(&self, engine: &SearchEngine) -> Result<EncoderStatus, StoreError> {
        let counts = self.queries.counts();
        Ok(EncoderStatus {
            encoder: self.id().to_owned(),
            used: engine.uses_sentences(),
            products: engine.product_count() as u64,
            products_with_vectors: engine.sentence_count() as u64,
            queries: EncodedQueries {
                kept: self.queries.len() as u64,
                at_hand: counts.at_hand,
                in_time: counts.in_time,
                late: counts.late,
            },
            budget: self.budget.as_deref().map(Budget::status).transpose()?,
            trouble: self.trouble(),
        })
    }
}
