//! What rankers learn from: the measured candidates of queries whose wanted products are known.

use rustc_hash::FxHashMap;

use crate::search::SearchError;
use crate::search::boosted::Example;
use crate::search::clicks::ClickModel;
use crate::search::judged::{CONDENSED_DEPTH, JudgedQuery};
use crate::search::sentence::{Sentence, Sentences};
use crate::search::shop_index::SearchIndex;

/// Of a query's candidates the first are all learnt from, of the rest every so many. What was judged must not count in this:
/// if all judged ones were kept, those far down would seem the better for being there.
const LEARNT_FIRST: usize = 100;
const LEARNT_EVERY: usize = 5;
/// How much it counts that a judged product stands above one that nobody judged: it may be as good.
const UNJUDGED_TRUST: f32 = 0.5;
/// Products that were looked at so often are half sure.
const SURE_LOOKS: f32 = 20.0;
/// Queries that are learnt from at most.
const MOST_QUERIES: usize = 20_000;

/// The candidates of a judged query.
pub fn judged_example(
    index: &SearchIndex,
    query: &JudgedQuery,
    sentence: Option<Sentence<'_>>,
) -> Result<Example, SearchError> {
    let mut example = Example { ideal: query.ideal() as f32, ..Example::default() };
    let learnt = |place: usize| place < LEARNT_FIRST || place.is_multiple_of(LEARNT_EVERY);
    let hits = index.candidates(&query.text, sentence, CONDENSED_DEPTH)?;
    for (_, hit) in hits.iter().enumerate().filter(|(place, _)| learnt(*place)) {
        let gain = query.gains.get(&hit.product.0);
        example.push(&hit.features, gain.copied().unwrap_or(0.0), if gain.is_some() { 1.0 } else { UNJUDGED_TRUST });
    }
    Ok(example)
}

/// The candidates of each query that shoppers clicked for: how much they attract, and how sure that is. What was never shown
/// says nothing. Queries whose vectors aren't at hand teach to rank without.
pub fn clicked_examples(
    index: &SearchIndex,
    clicks: &ClickModel,
    sentences: Option<Sentences<'_>>,
) -> Result<Vec<Example>, SearchError> {
    let mut queries: Vec<&str> = clicks.queries().collect();
    queries.sort_unstable();
    let step = queries.len().div_ceil(MOST_QUERIES).max(1);
    let mut examples = Vec::new();
    for query in queries.into_iter().step_by(step) {
        let Some(of_query) = clicks.of_query(query) else { continue };
        let attraction: FxHashMap<u32, (f32, f32)> =
            of_query.products().map(|(product, found)| (product.0, (found.rate, found.looks))).collect();
        let best = attraction.values().map(|(rate, _)| *rate).fold(f32::MIN_POSITIVE, f32::max);
        let gains = attraction.iter().map(|(product, (rate, _))| (*product, rate / best)).collect();
        let ideal = JudgedQuery { text: query.to_owned(), gains }.ideal() as f32;
        let mut example = Example { ideal, ..Example::default() };
        let vector = sentences.and_then(|sentences| sentences.query(query));
        let sentence = sentences.zip(vector.as_deref());
        let sentence = sentence.and_then(|(sentences, vector)| Sentence::new(sentences.vectors, vector));
        for hit in index.candidates(query, sentence, CONDENSED_DEPTH)? {
            if let Some((rate, looks)) = attraction.get(&hit.product.0) {
                example.push(&hit.features, rate / best, looks / (looks + SURE_LOOKS));
            }
        }
        examples.push(example);
    }
    Ok(examples)
}
