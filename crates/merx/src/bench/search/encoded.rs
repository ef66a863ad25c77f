//! Vectors of judged products and queries by a sentence encoder.

use std::sync::Arc;

use anyhow::{Context, Result};
use merx_discovery::search::judged::JudgedQuery;
use merx_discovery::search::{Field, SearchDocument, Sentence, SentenceVectors, query_text};
use merx_domain::{Clock, SystemClock};
use merx_models::TextRole;
use merx_store::Records;
use merx_store::embedded::SqliteRecords;
use rustc_hash::FxHashMap;

use super::{Stopwatch, median, seconds};
use crate::{config, encoding};

pub(super) struct Asked<'a> {
    pub kind: &'a str,
    pub model: &'a str,
    pub url: &'a str,
}

pub(super) struct Encoded {
    pub encoder: String,
    vectors: SentenceVectors,
    queries: FxHashMap<String, Vec<f32>>,
    /// For all products.
    pub encode_s: f64,
    pub query_p50_ms: f64,
}

impl Encoded {
    /// `None`: the shop's own encoder alone.
    pub(super) fn by(
        asked: &Asked<'_>,
        documents: &[SearchDocument],
        queries: &[JudgedQuery],
        clock: &dyn Clock,
    ) -> Result<Option<Self>> {
        let flag = |key: &str, value: &str| format!("search.encoder.{key}={value}");
        let of_kind = if asked.kind == "sentence" { flag("folder", asked.model) } else { flag("model", asked.model) };
        let flags = [flag("kind", asked.kind), flag("url", asked.url), of_kind, flag("texts_per_day", "0")];
        let settings = config::load(None, Vec::new(), &flags)?.config.search.encoder;
        let folder = tempfile::tempdir()?;
        let records: Arc<dyn Records> =
            Arc::new(SqliteRecords::open(&folder.path().join("records.db"), &[encoding::MIGRATION])?);
        let opened = encoding::open(&settings, &records, &(Arc::new(SystemClock) as Arc<dyn Clock>))?;
        let Some(encoding::Opened { encoder, .. }) = opened else { return Ok(None) };
        let begun = clock.now();
        let mut vectors = SentenceVectors::new(encoder.id());
        for documents in documents.chunks(encoder.batch()) {
            let names: Vec<&str> = documents.iter().map(|document| document.text(Field::Name)).collect();
            for (document, vector) in documents.iter().zip(encoder.encode(&names, TextRole::Product)?) {
                vectors.put(document.number.0, vector);
            }
        }
        vectors.settle();
        let encode_s = seconds(begun, clock);
        let mut times_ms = Vec::new();
        let mut of_queries = FxHashMap::default();
        for query in queries {
            let text = query_text(&query.text);
            let begun = Stopwatch::start();
            let vector = encoder.encode(&[&text], TextRole::Query)?.pop().context("an encoder without an answer")?;
            times_ms.push(begun.elapsed_ms());
            of_queries.insert(text, vector);
        }
        Ok(Some(Self {
            encoder: encoder.id().to_owned(),
            vectors,
            queries: of_queries,
            encode_s,
            query_p50_ms: median(&mut times_ms),
        }))
    }

    pub(super) fn sentence(&self, query: &str) -> Option<Sentence<'_>> {
        Sentence::new(&self.vectors, self.queries.get(&query_text(query))?)
    }
}
