//! Content: products like those of the history by what they are, for products that nobody has met yet.
//!
//! Two views of an item's tokens (attributes, words). By themselves, TF-IDF vectors and their cosine: two products of one brand
//! are alike. By what shoppers take together, a static vector for each token (latent semantic analysis of histories by tokens: the
//! leading right singular vectors; Deerwester et al. 1990): brands bought by the same people are alike. An item's vector is the
//! weighted sum of its tokens', so a product is placed the moment its attributes are known. A price level far from that of the
//! history counts against an item.
//!
//! Candidates come from lists of a bounded number of items a token, the most wanted first: the best by the tokens they share
//! are scored exactly, as is whatever is asked for.

use std::cell::RefCell;

use merx_numeric::kernels::{axpy, chosen_dots, dot, prefetch};
use merx_numeric::rng::Rng;
use merx_numeric::sparse::SparseRows;
use merx_numeric::spectral::truncated_svd;
use merx_numeric::top_k::{Hit, TopK};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::recency::{Fading, Recent, largest_contributions, recent_items, wanted};
use crate::sparse_scores::SparseScores;
use crate::weighted_lists::WeightedLists;
use crate::{
    Contribution, ItemContent, Learner, Model, ModelError, OpenQuery, Query, Recommender, Scored, TrainingSet, artifact,
};

const FAMILY: &str = "content";
/// Format 1: `State` by postcard.
const FORMAT: u16 = 1;
/// Items scored exactly for each candidate asked for.
const SCORED_PER_CANDIDATE: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ContentSettings {
    /// Components of a token's vector; 0: tokens by themselves only.
    pub dimensions: usize,
    /// Between 0 (tokens by themselves) and 1 (vectors only).
    pub embedding_weight: f32,
    /// A score is divided by `1 + price_weight * |ln(price / price of the history)|`.
    pub price_weight: f32,
    /// Items that a token leads to.
    pub items_per_token: usize,
    /// Heaviest tokens of a query that are looked up.
    pub query_tokens: usize,
    /// Newest different items of a query that make up its profile.
    pub query_items: usize,
    /// An item of the query weighs `exp(-steps from the end / position_decay)`; 0: all alike.
    pub position_decay: f32,
    /// What items before the current session weigh beside those in it.
    pub earlier_weight: f32,
}

impl Default for ContentSettings {
    fn default() -> Self {
        Self {
            dimensions: 32,
            embedding_weight: 0.3,
            price_weight: 0.2,
            items_per_token: 400,
            query_tokens: 12,
            query_items: 20,
            position_decay: 5.0,
            earlier_weight: 0.5,
        }
    }
}

/// Fits [`Content`].
#[derive(Debug, Clone, Copy, Default)]
pub struct ContentLearner {
    pub settings: ContentSettings,
}

impl Learner for ContentLearner {
    type Set = TrainingSet;
    type Model = Content;

    fn family(&self) -> &'static str {
        FAMILY
    }

    fn fit(&self, set: &TrainingSet, seed: u64) -> Result<Content, ModelError> {
        let tokens = weigh_tokens(&set.content, set.item_count);
        if tokens.stored() == 0 {
            return Err(ModelError::NoData("no item has a token".to_owned()));
        }
        let vectors = token_vectors(set, &tokens, self.settings.dimensions, seed);
        let mut wants = vec![0u32; set.item_count];
        for entry in set.histories.iter().flatten().filter(|entry| wanted(entry.meaning)) {
            if let Some(count) = wants.get_mut(entry.item as usize) {
                *count += 1;
            }
        }
        let rows = (0..tokens.rows()).map(|item| tokens.row(item));
        let price_at = |item: usize| set.content.price_minor.get(item).copied().unwrap_or(0);
        Content::from_state(
            State {
                settings: self.settings,
                token_count: tokens.columns(),
                tokens: rows
                    .map(|(tokens, weights)| tokens.iter().copied().zip(weights.iter().copied()).collect())
                    .collect(),
                log_prices: (0..set.item_count).map(|item| log_price(price_at(item))).collect(),
                dimensions: vectors.len() / tokens.columns().max(1),
                vectors,
                wants,
            },
            FORMAT,
        )
    }

    fn load(&self, bytes: &[u8]) -> Result<Content, ModelError> {
        let (format, body) = artifact::split(FAMILY, bytes)?;
        match format {
            1 => Content::from_state(artifact::decode(FAMILY, format, body)?, format),
            _ => Err(artifact::refused(FAMILY, format, "unknown format")),
        }
    }
}

/// 0 where the price is unknown.
fn log_price(price_minor: i64) -> f32 {
    if price_minor > 0 { (1.0 + price_minor as f32).ln() } else { 0.0 }
}

/// A row an item, a column a token: inverse document frequencies, rows of length 1.
fn weigh_tokens(content: &ItemContent, item_count: usize) -> SparseRows {
    let tokens_of = |item: usize| content.tokens.get(item).map_or(&[][..], |tokens| tokens);
    let token_count = content.tokens.iter().flatten().max().map_or(0, |largest| *largest as usize + 1);
    let mut items_with = vec![0u32; token_count];
    for item in 0..item_count {
        tokens_of(item).iter().for_each(|token| items_with[*token as usize] += 1);
    }
    let rarity = |token: u32| (1.0 + item_count as f32 / (1.0 + items_with[token as usize] as f32)).ln();
    let row = |item: usize| {
        let length = tokens_of(item).iter().map(|token| rarity(*token).powi(2)).sum::<f32>().sqrt();
        tokens_of(item).iter().map(move |token| (*token, rarity(*token) / length)).collect::<Vec<_>>()
    };
    SparseRows::from_rows(token_count, (0..item_count).map(row))
}

/// A row-major vector for each token, from what shoppers take together.
fn token_vectors(set: &TrainingSet, tokens: &SparseRows, dimensions: usize, seed: u64) -> Vec<f32> {
    let profile = |row: &[crate::Interaction]| {
        let mut profile: FxHashMap<u32, f32> = FxHashMap::default();
        for entry in row.iter().filter(|entry| wanted(entry.meaning) && (entry.item as usize) < tokens.rows()) {
            let (columns, values) = tokens.row(entry.item as usize);
            columns.iter().zip(values).for_each(|(token, weight)| *profile.entry(*token).or_default() += weight);
        }
        let length = profile.values().map(|weight| weight * weight).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        profile.into_iter().map(|(token, weight)| (token, weight / length)).collect::<Vec<_>>()
    };
    let long_enough = set.histories.iter().filter(|row| row.len() > 1);
    let profiles = SparseRows::from_rows(tokens.columns(), long_enough.map(profile));
    if dimensions == 0 || profiles.stored() == 0 {
        return Vec::new();
    }
    let svd = truncated_svd(&profiles, &profiles.transposed(), dimensions, 3, &mut Rng::from_seed(seed));
    svd.right
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    settings: ContentSettings,
    token_count: usize,
    /// Tokens of each item with their weights, ascending; taken apart when loaded.
    tokens: Vec<Vec<(u32, f32)>>,
    log_prices: Vec<f32>,
    /// A row of `dimensions` a token.
    vectors: Vec<f32>,
    dimensions: usize,
    /// How often each item was wanted: the most wanted stand first in the lists.
    wants: Vec<u32>,
}

/// Items by their tokens, fitted by [`ContentLearner`].
#[derive(Debug)]
pub struct Content {
    state: State,
    /// The tokens of each item with their weights, ascending.
    tokens: WeightedLists,
    /// The items a token leads to and its weight in each, most wanted first.
    by_token: WeightedLists,
    /// A row of `dimensions` an item, of length 1 or 0.
    item_vectors: Vec<f32>,
}

thread_local! {
    /// What each item shares with the query at hand; zeros between queries.
    static SHARED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

impl Content {
    fn from_state(mut state: State, format: u16) -> Result<Self, ModelError> {
        let items = state.tokens.len();
        let tokens_known = state.tokens.iter().flatten().all(|(token, _)| (*token as usize) < state.token_count);
        let sizes_agree = state.log_prices.len() == items
            && state.wants.len() == items
            && state.vectors.len() == state.dimensions * state.token_count;
        if !tokens_known || !sizes_agree {
            return Err(artifact::refused(FAMILY, format, "sizes don't agree"));
        }
        let mut order: Vec<u32> = (0..items as u32).collect();
        order.sort_by_key(|item| std::cmp::Reverse(state.wants[*item as usize]));
        let mut by_token: Vec<Vec<(u32, f32)>> = vec![Vec::new(); state.token_count];
        for item in order {
            for (token, weight) in &state.tokens[item as usize] {
                let list = &mut by_token[*token as usize];
                if list.len() < state.settings.items_per_token {
                    list.push((item, *weight));
                }
            }
        }
        let item_vectors = state.tokens.iter().flat_map(|tokens| state.vector_of(tokens)).collect();
        let tokens = WeightedLists::new(std::mem::take(&mut state.tokens).iter().map(Vec::as_slice));
        let by_token = WeightedLists::new(by_token.iter().map(Vec::as_slice));
        Ok(Self { state, tokens, by_token, item_vectors })
    }

    pub fn settings(&self) -> &ContentSettings {
        &self.state.settings
    }

    fn item_vector(&self, item: u32) -> &[f32] {
        &self.item_vectors[item as usize * self.state.dimensions..][..self.state.dimensions]
    }

    /// How alike two items are.
    fn likeness_of(&self, one: u32, other: u32) -> f32 {
        let others = self.tokens.list(other);
        let in_other =
            |token: u32| others.binary_search_by_key(&token, |(token, _)| *token).map_or(0.0, |at| others[at].1);
        let by_tokens = self.tokens.list(one).iter().map(|(token, weight)| weight * in_other(*token)).sum();
        self.mixed(by_tokens, dot(self.item_vector(one), self.item_vector(other)))
    }

    fn mixed(&self, by_tokens: f32, by_vectors: f32) -> f32 {
        let mix = if self.state.dimensions == 0 { 0.0 } else { self.state.settings.embedding_weight };
        (1.0 - mix) * by_tokens + mix * by_vectors.max(0.0)
    }

    /// The `limit` items of the tokens' lists that share most with them.
    fn sharing(&self, tokens: &[Hit], limit: usize) -> Vec<Hit> {
        let lists = || tokens.iter().map(|token| (self.by_token.list(token.index), token.score));
        let mut best = TopK::new(limit);
        SHARED.with_borrow_mut(|shared| {
            if shared.len() < self.item_count() {
                shared.resize(self.item_count(), 0.0);
            }
            for (list, of_token) in lists() {
                list.iter().for_each(|(item, weight)| shared[*item as usize] += of_token * weight);
            }
            for (item, _) in lists().flat_map(|(list, _)| list) {
                let sum = std::mem::take(&mut shared[*item as usize]);
                if sum > 0.0 {
                    best.offer(*item, sum);
                }
            }
        });
        best.drain_sorted()
    }
}

impl State {
    fn vector_of(&self, tokens: &[(u32, f32)]) -> Vec<f32> {
        let mut sum = vec![0.0; self.dimensions];
        for (token, weight) in tokens {
            axpy(*weight, &self.vectors[*token as usize * self.dimensions..][..self.dimensions], &mut sum);
        }
        let length = dot(&sum, &sum).sqrt();
        if length > 0.0 {
            sum.iter_mut().for_each(|value| *value /= length);
        }
        sum
    }
}

impl Model for Content {
    fn family(&self) -> &'static str {
        FAMILY
    }

    fn save(&self) -> Vec<u8> {
        let tokens = (0..self.tokens.len() as u32).map(|item| self.tokens.list(item).to_vec()).collect();
        artifact::encode(FORMAT, &State { tokens, ..self.state.clone() })
    }
}

impl Recommender for Content {
    fn item_count(&self) -> usize {
        self.tokens.len()
    }

    fn open<'a>(&'a self, query: &Query<'a>) -> Box<dyn OpenQuery + 'a> {
        let settings = &self.state.settings;
        let fading = Fading { decay: settings.position_decay, earlier_weight: settings.earlier_weight };
        let recent = recent_items(query, self.item_count(), settings.query_items);
        let weights: Vec<f32> = recent.iter().map(|entry| fading.weight(entry)).collect();
        let total: f32 = weights.iter().sum::<f32>().max(f32::MIN_POSITIVE);
        let entries: Vec<(Recent, f32)> = recent.into_iter().zip(weights.iter().map(|weight| weight / total)).collect();
        Box::new(OpenContent::new(self, entries))
    }
}

struct OpenContent<'a> {
    model: &'a Content,
    /// Items of the query with weights that sum to 1.
    entries: Vec<(Recent, f32)>,
    /// The weights of their tokens.
    tokens: SparseScores,
    vector: Vec<f32>,
    /// Mean logarithm of the known prices; 0 where none is known.
    log_price: f32,
}

impl<'a> OpenContent<'a> {
    fn new(model: &'a Content, entries: Vec<(Recent, f32)>) -> Self {
        let state = &model.state;
        let (tokens, vector) = (SparseScores::new(state.token_count), vec![0.0; state.dimensions]);
        let mut open = Self { model, tokens, vector, log_price: 0.0, entries };
        let mut priced = 0.0;
        for (entry, weight) in &open.entries {
            for &(token, of_token) in model.tokens.list(entry.item) {
                open.tokens.add(token, weight * of_token);
            }
            axpy(*weight, model.item_vector(entry.item), &mut open.vector);
            let log_price = state.log_prices[entry.item as usize];
            if log_price > 0.0 {
                open.log_price += weight * log_price;
                priced += weight;
            }
        }
        open.log_price /= if priced > 0.0 { priced } else { 1.0 };
        open
    }

    /// What the profile and an item share, from the product of their vectors.
    fn likeness(&self, item: u32, by_vectors: f32) -> f32 {
        let tokens = self.model.tokens.list(item).iter();
        let by_tokens = tokens.map(|(token, weight)| weight * self.tokens.get(*token)).sum();
        self.model.mixed(by_tokens, by_vectors) / self.price_distance(item)
    }

    fn price_distance(&self, item: u32) -> f32 {
        let log_price = self.model.state.log_prices[item as usize];
        let known = log_price > 0.0 && self.log_price > 0.0;
        1.0 + if known { self.model.state.settings.price_weight * (log_price - self.log_price).abs() } else { 0.0 }
    }
}

impl OpenQuery for OpenContent<'_> {
    fn candidates(&mut self, limit: usize, out: &mut Vec<Scored>) {
        let mut heaviest = TopK::new(self.model.state.settings.query_tokens);
        self.tokens.iter().for_each(|(token, weight)| heaviest.offer(token, weight));
        let sharing = self.model.sharing(&heaviest.drain_sorted(), limit.saturating_mul(SCORED_PER_CANDIDATE));
        let items: Vec<u32> = sharing.iter().map(|hit| hit.index).collect();
        let mut scores = vec![0.0; items.len()];
        self.score(&items, &mut scores);
        let mut best = TopK::new(limit);
        items.iter().zip(scores).for_each(|(item, score)| best.offer(*item, score));
        let best = best.drain_sorted().into_iter().filter(|hit| hit.score > 0.0);
        out.extend(best.map(|hit| Scored { item: hit.index, score: hit.score }));
    }

    fn score(&mut self, items: &[u32], out: &mut [f32]) {
        let model = self.model;
        chosen_dots(&model.item_vectors, items, &self.vector, out);
        for (place, (&item, out)) in items.iter().zip(out).enumerate() {
            // Items lie anywhere in tables larger than the caches: those to come are asked for in time.
            items.get(place + 16).iter().for_each(|item| model.tokens.prefetch_offset(**item));
            items.get(place + 8).iter().for_each(|item| {
                model.tokens.prefetch_list(**item);
                prefetch(&model.state.log_prices, **item as usize, 1);
            });
            *out = if (item as usize) < model.item_count() { self.likeness(item, *out) } else { 0.0 };
        }
    }

    /// How alike each item of the query is by itself.
    fn explain(&mut self, item: u32, limit: usize) -> Vec<Contribution> {
        if item as usize >= self.model.item_count() {
            return Vec::new();
        }
        let distance = self.price_distance(item);
        let part = |(entry, weight): &(Recent, f32)| {
            let likeness = self.model.likeness_of(entry.item, item);
            (*entry, weight * likeness / distance)
        };
        largest_contributions(self.entries.iter().map(part), limit)
    }
}

#[cfg(test)]
mod tests {
    use merx_domain::EventMeaning::Purchased;

    use super::*;
    use crate::{Interaction, Interactions};

    /// Items 0 to 3 of brand 0, 4 to 7 of brand 1, 8 and 9 of brand 2; item 3 and item 7 are of kind 4, the others of kind 3.
    /// People who buy brand 0 buy brand 2.
    fn set() -> TrainingSet {
        let tokens = vec![
            vec![0, 3],
            vec![0, 3],
            vec![0, 3],
            vec![0, 4],
            vec![1, 3],
            vec![1, 3],
            vec![1, 3],
            vec![1, 4],
            vec![2, 3],
            vec![2],
        ];
        let mut histories = Interactions::new();
        for row in [[0, 8], [1, 8], [2, 8], [4, 5], [5, 6], [6, 4]].repeat(4) {
            histories.push_row(row.map(|item| Interaction { item, at_s: 0, meaning: Purchased }));
        }
        let price_minor = vec![100, 100, 10_000, 0, 100, 100, 100, 100, 100, 100];
        let content = ItemContent { tokens, token_names: Vec::new(), price_minor, since_s: Vec::new() };
        TrainingSet { item_count: 10, histories, content, ..TrainingSet::default() }
    }

    fn scores(settings: ContentSettings, item: u32) -> Vec<f32> {
        let model = ContentLearner { settings }.fit(&set(), 1).unwrap();
        let loaded = ContentLearner::default().load(&model.save()).unwrap();
        let history = [Interaction { item, at_s: 0, meaning: Purchased }];
        let query = Query { history: &history, session_start: 0, seeds: &[], now_s: 0, market: 0 };
        let (mut out, mut again) = (vec![0.0; 10], vec![0.0; 10]);
        model.open(&query).score_all(&mut out);
        loaded.open(&query).score_all(&mut again);
        assert_eq!(out, again);
        out
    }

    #[test]
    fn a_product_that_nobody_met_is_found_by_its_brand() {
        let found = scores(ContentSettings { embedding_weight: 0.0, ..ContentSettings::default() }, 0);
        assert!(found[3] > found[7], "{found:?}");
        assert!(found[1] > found[3]);
    }

    #[test]
    fn vectors_know_which_brands_go_together() {
        let alone = scores(ContentSettings { embedding_weight: 0.0, ..ContentSettings::default() }, 3);
        assert_eq!(alone[9], 0.0);
        let settings = ContentSettings { embedding_weight: 1.0, dimensions: 2, ..ContentSettings::default() };
        let together = scores(settings, 3);
        assert!(together[9] > together[5], "{together:?}");
    }

    #[test]
    fn a_price_far_off_counts_against_an_item() {
        let found = scores(ContentSettings { embedding_weight: 0.0, ..ContentSettings::default() }, 0);
        assert!(found[1] > found[2] && found[2] > 0.0);
    }
}
