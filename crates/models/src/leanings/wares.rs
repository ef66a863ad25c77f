//! What products are, and how well those that are like them do.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::{DAY_S, LeaningsSettings};
use crate::{ItemContent, TrainingSet};

/// Attributes that are told apart, those that most products carry.
const FIELDS: usize = 12;
const ROUNDS: usize = 12;
/// A step of the price within a category, on the logarithmic scale, and how many of them there are to both sides.
const PRICE_STEP: f32 = 0.3;
const PRICE_STEPS: f32 = 3.0;
/// A product that came within the hour has been there for this long.
const LEAST_S: f32 = 0.3 * DAY_S;

/// Where a product stands: numbers of its broadest and its most particular category from 1 (0: none), and how dear it is beside the
/// others of the latter, on the logarithmic scale.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) department: u32,
    pub(super) category: u32,
    pub(super) price: f32,
}

/// What products are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Wares {
    /// Names of attributes.
    pub(super) fields: Vec<String>,
    /// A row of values a product, a column a field; 0: none.
    pub(super) values: Vec<u32>,
    pub(super) places: Vec<Place>,
}

impl Wares {
    pub(super) fn of(content: &ItemContent, item_count: usize) -> Self {
        let tokens_of = |item: usize| content.tokens.get(item).map_or(&[][..], Vec::as_slice);
        let parts = |token: u32| content.token_names.get(token as usize).and_then(|name| name.split_once('='));
        let mut carriers: FxHashMap<u32, u32> = FxHashMap::default();
        let mut of_field: BTreeMap<&str, usize> = BTreeMap::new();
        for token in (0..item_count).flat_map(tokens_of) {
            *carriers.entry(*token).or_default() += 1;
            if let Some((field, _)) = parts(*token).filter(|(field, _)| *field != "category") {
                *of_field.entry(field).or_default() += 1;
            }
        }
        let mut fields: Vec<(&str, usize)> = of_field.into_iter().collect();
        fields.sort_by_key(|(_, carried)| std::cmp::Reverse(*carried));
        fields.truncate(FIELDS);
        let mut values = vec![0; item_count * fields.len()];
        let mut places = vec![Place::default(); item_count];
        for item in 0..item_count {
            let mut categories: Vec<u32> = Vec::new();
            for token in tokens_of(item) {
                match parts(*token) {
                    Some(("category", _)) => categories.push(*token),
                    Some((field, _)) => {
                        if let Some(place) = fields.iter().position(|(known, _)| *known == field) {
                            values[item * fields.len() + place] = token + 1;
                        }
                    }
                    None => {}
                }
            }
            categories.sort_by_key(|token| (carriers[token], *token));
            places[item].category = categories.first().map_or(0, |token| token + 1);
            places[item].department = categories.last().map_or(0, |token| token + 1);
        }
        let fields = fields.into_iter().map(|(field, _)| field.to_owned()).collect();
        let mut wares = Self { fields, values, places };
        wares.place_prices(&content.price_minor);
        wares
    }

    /// Beside the mean of a category; what has no price is as dear as usual.
    fn place_prices(&mut self, prices: &[i64]) {
        let log = |item: usize| prices.get(item).filter(|price| **price > 0).map(|price| (*price as f32).ln());
        let mut sums: FxHashMap<u32, (f32, f32)> = FxHashMap::default();
        for (item, place) in self.places.iter().enumerate() {
            if let Some(price) = log(item) {
                let sum = sums.entry(place.category).or_default();
                *sum = (sum.0 + price, sum.1 + 1.0);
            }
        }
        for (item, place) in self.places.iter_mut().enumerate() {
            if let (Some(price), Some((sum, priced))) = (log(item), sums.get(&place.category)) {
                place.price = price - sum / priced;
            }
        }
    }

    pub(super) fn values(&self, item: usize) -> &[u32] {
        &self.values[item * self.fields.len()..][..self.fields.len()]
    }

    /// What a rate is a product of: category, department, step of the price, attributes.
    fn factor(&self, item: usize, factor: usize) -> u32 {
        let place = self.places[item];
        match factor {
            0 => place.department,
            1 => place.category,
            2 => (PRICE_STEPS + (place.price / PRICE_STEP).round().clamp(-PRICE_STEPS, PRICE_STEPS)) as u32,
            _ => self.values(item)[factor - 3],
        }
    }
}

/// Counts by faded time on sale, shrunk towards the product of what is usual for each part of what a product is.
pub(super) fn rates(set: &TrainingSet, wares: &Wares, counts: &[f32], settings: &LeaningsSettings) -> Vec<f32> {
    let mut met_s = vec![i64::MAX; set.item_count];
    let mut begun_s = set.now_s;
    for entry in set.histories.iter().flatten() {
        begun_s = begun_s.min(entry.at_s);
        if let Some(met_s) = met_s.get_mut(entry.item as usize) {
            *met_s = entry.at_s.min(*met_s);
        }
    }
    let faded = |since_s: i64| {
        let there_s = (set.now_s.saturating_sub(since_s) as f32).max(LEAST_S);
        1.0 - (-there_s / settings.half_life_s).exp2()
    };
    // What was met before it came was there all the same.
    let since = |item: usize| set.content.since_s.get(item).map_or(begun_s, |since_s| *since_s).min(met_s[item]);
    let on_sale: Vec<usize> = (0..set.item_count).filter(|item| wares.places[*item].category > 0).collect();
    let times: Vec<f32> = on_sale.iter().map(|item| faded(since(*item).max(begun_s))).collect();
    let mean = on_sale.iter().map(|item| counts[*item]).sum::<f32>() / times.iter().sum::<f32>().max(f32::MIN_POSITIVE);
    let mut expected = vec![mean; on_sale.len()];
    for _ in 0..ROUNDS {
        for factor in 0..wares.fields.len() + 3 {
            let mut sums: FxHashMap<u32, (f32, f32)> = FxHashMap::default();
            for ((item, expected), time) in on_sale.iter().zip(&expected).zip(&times) {
                let sum = sums.entry(wares.factor(*item, factor)).or_default();
                *sum = (sum.0 + counts[*item], sum.1 + expected * time);
            }
            for (item, expected) in on_sale.iter().zip(&mut expected) {
                let (counted, usual) = sums[&wares.factor(*item, factor)];
                *expected *= (counted + settings.factor_prior) / (usual + settings.factor_prior);
            }
        }
    }
    let mut rates = vec![0.0; set.item_count];
    for ((item, expected), time) in on_sale.iter().zip(&expected).zip(&times) {
        let prior_time = settings.item_prior / expected.max(f32::MIN_POSITIVE);
        rates[*item] = (counts[*item] + settings.item_prior) / (time + prior_time);
    }
    rates
}
