//! What clicks say of products, apart from where the products stood.
//!
//! The position-based model (Richardson et al. 2007; Chuklin, Markov, de Rijke 2015, section 3.3): a click needs a place that
//! is looked at and a product that attracts for the query; the two are told apart because products stand in different places at different
//! times. Fitted by expectation maximisation.

use std::collections::BTreeMap;

use merx_domain::ProductNumber;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::search::text::fold;

/// A list of products as it was shown for a query, first place first, and what was done with each.
#[derive(Debug, Clone, PartialEq)]
pub struct Impression {
    pub query: String,
    /// Of the first product shown, counted from 0: later pages begin further down.
    pub first_place: usize,
    pub shown: Vec<ProductNumber>,
    /// By place. A cart or an order counts as a click.
    pub clicked: Vec<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClickSettings {
    /// Expectation maximisation tells far places from unattractive products slowly.
    pub sweeps: usize,
    /// Looks that a product is believed to have had before its first, at the mean rate of all.
    pub prior_looks: f64,
    /// Places beyond these are looked at as often as the last of them.
    pub places: usize,
}

impl Default for ClickSettings {
    fn default() -> Self {
        Self { sweeps: 400, prior_looks: 5.0, places: 50 }
    }
}

/// How much a product attracts for a query.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Attraction {
    /// Share of those who look that click.
    pub rate: f32,
    /// How often it was looked at, by the places where it was shown.
    pub looks: f32,
}

/// Pairs of query and product beyond these, those with the fewest looks, are forgotten.
const MOST_PAIRS: usize = 2_000_000;

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ClickModel {
    /// By place: how likely it is looked at, the first being 1.
    pub examination: Vec<f32>,
    /// Mean rate of all that is looked at.
    pub mean_rate: f32,
    /// By query, in one spelling and in the order of letters, so that the same clicks have the same bytes: products in order of
    /// their numbers.
    attraction: BTreeMap<String, Vec<(u32, Attraction)>>,
}

/// What people whose judgement was asked for said of a product as an answer to a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    pub query: String,
    pub product: ProductNumber,
    /// 0: the worst that may be said, 1: the best.
    pub gain: f32,
}

/// One product at one place for one query.
struct Cell {
    pair: usize,
    place: usize,
    shown: f64,
    clicked: f64,
}

impl ClickModel {
    pub fn fit(impressions: &[Impression], settings: &ClickSettings) -> Self {
        let (pairs, cells) = counted(impressions, settings.places);
        let shown: f64 = cells.iter().map(|cell| cell.shown).sum();
        let clicked: f64 = cells.iter().map(|cell| cell.clicked).sum();
        if clicked == 0.0 {
            return Self::default();
        }
        let mean = clicked / shown;
        let places = cells.iter().map(|cell| cell.place + 1).max().unwrap_or(0);
        let mut examination: Vec<f64> = (0..places).map(|place| 1.0 / (place as f64 + 1.0).sqrt()).collect();
        let mut rates = vec![mean; pairs.len()];
        let mut looks = vec![0.0; pairs.len()];
        for _ in 0..settings.sweeps {
            let (mut looked, mut attracted) = (vec![0.0; places], vec![0.0; pairs.len()]);
            let mut shown_at = vec![0.0; places];
            looks.fill(0.0);
            for cell in &cells {
                let (theta, rate) = (examination[cell.place], rates[cell.pair]);
                let passed = (cell.shown - cell.clicked) / (1.0 - theta * rate).max(1e-9);
                looked[cell.place] += cell.clicked + passed * theta * (1.0 - rate);
                attracted[cell.pair] += cell.clicked + passed * rate * (1.0 - theta);
                shown_at[cell.place] += cell.shown;
                looks[cell.pair] += cell.shown * theta;
            }
            let totals = pair_totals(&cells, pairs.len());
            let overall = attracted.iter().sum::<f64>() / totals.iter().sum::<f64>();
            for (pair, rate) in rates.iter_mut().enumerate() {
                *rate = ((attracted[pair] + settings.prior_looks * overall) / (totals[pair] + settings.prior_looks))
                    .clamp(1e-6, 1.0 - 1e-6);
            }
            for (place, theta) in examination.iter_mut().enumerate() {
                *theta = ((looked[place] + 0.5) / (shown_at[place] + 1.0)).clamp(1e-6, 1.0 - 1e-6);
            }
        }
        Self::of(pairs, &rates, &looks, &examination)
    }

    /// Only products of examination and rate are seen: the first place is taken to be looked at always.
    fn of(pairs: Vec<(String, u32)>, rates: &[f64], looks: &[f64], examination: &[f64]) -> Self {
        let first = examination.first().copied().unwrap_or(1.0);
        let total: f64 = looks.iter().sum();
        let clicks: f64 = rates.iter().zip(looks).map(|(rate, looks)| rate * looks).sum();
        let mut kept: Vec<(String, u32, Attraction)> = pairs
            .into_iter()
            .zip(rates.iter().zip(looks))
            .map(|((query, product), (rate, looks))| {
                (query, product, Attraction { rate: (rate * first) as f32, looks: (looks / first) as f32 })
            })
            .collect();
        if kept.len() > MOST_PAIRS {
            kept.sort_by(|a, b| b.2.looks.total_cmp(&a.2.looks).then_with(|| (&a.0, a.1).cmp(&(&b.0, b.1))));
            kept.truncate(MOST_PAIRS);
        }
        let mut attraction: BTreeMap<String, Vec<(u32, Attraction)>> = BTreeMap::new();
        for (query, product, found) in kept {
            attraction.entry(query).or_default().push((product, found));
        }
        attraction.values_mut().for_each(|products| products.sort_by_key(|(product, _)| *product));
        Self {
            examination: examination.iter().map(|theta| (theta / first) as f32).collect(),
            mean_rate: (clicks / total.max(1e-9) * first) as f32,
            attraction,
        }
    }

    /// Takes labels in, each as so many looks at a product whose rate lies as far above or below the mean as the label says: clicks
    /// that say otherwise outweigh it once there are more of them.
    #[must_use]
    pub fn with_labels(mut self, labels: &[Labelled]) -> Self {
        const LABEL_LOOKS: f32 = 100.0;
        /// In logits, of the best label above the mean of all and of the worst below it.
        const REACH: f32 = 2.0;
        if self.mean_rate <= 0.0 {
            return self;
        }
        for label in labels {
            let rate = sigmoid(logit(self.mean_rate) + (2.0 * label.gain - 1.0) * REACH);
            let products = self.attraction.entry(spelling(&label.query)).or_default();
            match products.binary_search_by_key(&label.product.0, |(known, _)| *known) {
                Ok(place) => {
                    let known = &mut products[place].1;
                    let looks = known.looks + LABEL_LOOKS;
                    known.rate = (known.rate * known.looks + rate * LABEL_LOOKS) / looks;
                    known.looks = looks;
                }
                Err(place) => products.insert(place, (label.product.0, Attraction { rate, looks: LABEL_LOOKS })),
            }
        }
        self
    }

    pub fn attraction(&self, query: &str, product: ProductNumber) -> Option<Attraction> {
        self.of_query(query)?.attraction(product)
    }

    /// What is known of one query's products; `None` where nobody searched for it.
    pub fn of_query(&self, query: &str) -> Option<QueryClicks<'_>> {
        let products = self.attraction.get(&spelling(query))?;
        Some(QueryClicks { products, mean_rate: self.mean_rate })
    }

    /// How likely a product is clicked at a place.
    pub fn click_rate(&self, query: &str, product: ProductNumber, place: usize) -> f32 {
        let theta = self.examination.get(place).or(self.examination.last()).copied().unwrap_or(0.0);
        theta * self.attraction(query, product).map_or(self.mean_rate, |found| found.rate)
    }

    pub fn queries(&self) -> impl Iterator<Item = &str> {
        self.attraction.keys().map(String::as_str)
    }
}

/// What clicks say of one query.
#[derive(Debug, Clone, Copy)]
pub struct QueryClicks<'a> {
    products: &'a [(u32, Attraction)],
    mean_rate: f32,
}

impl<'a> QueryClicks<'a> {
    pub fn products(&self) -> impl Iterator<Item = (ProductNumber, Attraction)> + 'a {
        self.products.iter().map(|(product, found)| (ProductNumber(*product), *found))
    }

    fn attraction(&self, product: ProductNumber) -> Option<Attraction> {
        let place = self.products.binary_search_by_key(&product.0, |(known, _)| *known).ok()?;
        Some(self.products[place].1)
    }

    /// How far a product's rate lies above or below the mean of all, in logits; nothing is known of what nobody looked at.
    pub fn lift(&self, product: ProductNumber) -> f32 {
        const ENOUGH_LOOKS: f32 = 20.0;
        self.attraction(product).map_or(0.0, |found| {
            let sure = found.looks / (found.looks + ENOUGH_LOOKS);
            sure * (logit(found.rate) - logit(self.mean_rate))
        })
    }
}

/// What an order of the products of an impression would be worth: clicks weighed by one over how likely their place was looked
/// at, discounted by their new place, unbiased but for the bound on the weights (Joachims, Swaminathan, Schnabel 2017).
pub fn weighed_dcg(impression: &Impression, order: &[ProductNumber], examination: &[f32]) -> f64 {
    const MOST: f64 = 20.0;
    const CUT: usize = 10;
    let looked_at = |place: usize| f64::from(examination.get(place).copied().unwrap_or(0.1));
    let weight = |place: usize| (1.0 / looked_at(impression.first_place + place).max(1e-3)).min(MOST);
    let clicked = impression.clicked.iter().enumerate().filter(|(_, clicked)| **clicked);
    let gains: FxHashMap<u32, f64> = clicked.map(|(place, _)| (impression.shown[place].0, weight(place))).collect();
    let gain = |product: &ProductNumber| gains.get(&product.0).copied().unwrap_or(0.0);
    order.iter().take(CUT).enumerate().map(|(place, product)| gain(product) / (place as f64 + 2.0).log2()).sum()
}

fn logit(rate: f32) -> f32 {
    let rate = rate.clamp(1e-4, 1.0 - 1e-4);
    (rate / (1.0 - rate)).ln()
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

fn spelling(query: &str) -> String {
    fold(query).split_whitespace().collect::<Vec<&str>>().join(" ")
}

fn pair_totals(cells: &[Cell], pairs: usize) -> Vec<f64> {
    let mut totals = vec![0.0; pairs];
    cells.iter().for_each(|cell| totals[cell.pair] += cell.shown);
    totals
}

fn counted(impressions: &[Impression], most_places: usize) -> (Vec<(String, u32)>, Vec<Cell>) {
    let mut pairs: Vec<(String, u32)> = Vec::new();
    let mut numbers: FxHashMap<(String, u32), usize> = FxHashMap::default();
    let mut counts: FxHashMap<(usize, usize), (f64, f64)> = FxHashMap::default();
    for impression in impressions {
        let query = spelling(&impression.query);
        for (place, (product, clicked)) in impression.shown.iter().zip(&impression.clicked).enumerate() {
            let pair = *numbers.entry((query.clone(), product.0)).or_insert_with_key(|key| {
                pairs.push(key.clone());
                pairs.len() - 1
            });
            let place = (impression.first_place + place).min(most_places.max(1) - 1);
            let (shown, clicks) = counts.entry((pair, place)).or_default();
            *shown += 1.0;
            *clicks += f64::from(u8::from(*clicked));
        }
    }
    let mut cells: Vec<Cell> =
        counts.into_iter().map(|((pair, place), (shown, clicked))| Cell { pair, place, shown, clicked }).collect();
    cells.sort_by_key(|cell| (cell.pair, cell.place));
    (pairs, cells)
}

#[cfg(test)]
mod tests {
    use merx_numeric::rng::Rng;

    use super::*;
    use crate::search::judged::{Figures, JudgedQuery, mean_interval};

    const LOOKED_AT: [f64; 10] = [1.0, 0.7, 0.5, 0.4, 0.32, 0.26, 0.22, 0.18, 0.15, 0.12];

    /// How wanted product `product` is for query `query`.
    fn wanted(query: usize, product: usize) -> f64 {
        0.05 + 0.6 * ((query * 7 + product * 13) % 10) as f64 / 10.0
    }

    /// Lists that begin as the shop ranks, some neighbours exchanged as stock and personal rankings do.
    fn impressions(count: usize) -> Vec<Impression> {
        let mut rng = Rng::from_seed(5);
        (0..count)
            .map(|at| {
                let query = at % 40;
                let mut order: Vec<usize> = (0..10).collect();
                for _ in 0..6 {
                    let place = rng.below(9);
                    order.swap(place, place + 1);
                }
                let clicked = order
                    .iter()
                    .enumerate()
                    .map(|(place, product)| rng.chance(LOOKED_AT[place] * wanted(query, *product)))
                    .collect();
                Impression {
                    query: format!("Query {query}"),
                    first_place: 0,
                    shown: order.iter().map(|product| ProductNumber(*product as u32)).collect(),
                    clicked,
                }
            })
            .collect()
    }

    #[test]
    fn the_bias_of_places_is_recovered() {
        let model = ClickModel::fit(&impressions(40_000), &ClickSettings::default());
        for (found, planted) in model.examination.iter().zip(LOOKED_AT) {
            assert!((f64::from(*found) - planted).abs() < 0.06, "{:?}", model.examination);
        }
    }

    #[test]
    fn ranking_by_what_attracts_beats_the_ranking_that_was_shown() {
        let model = ClickModel::fit(&impressions(8_000), &ClickSettings::default());
        let mut gains = Vec::new();
        for query in 0..40 {
            let judged = JudgedQuery {
                text: String::new(),
                gains: (0..10).map(|product| (product as u32, wanted(query, product) as f32)).collect(),
            };
            let clicks = model.of_query(&format!("query  {query}")).unwrap();
            let mut learnt: Vec<u32> = (0..10).collect();
            let shown = learnt.clone();
            learnt.sort_by(|a, b| clicks.lift(ProductNumber(*b)).total_cmp(&clicks.lift(ProductNumber(*a))));
            gains.push(Figures::of(&learnt, &judged).ndcg_at_10 - Figures::of(&shown, &judged).ndcg_at_10);
        }
        let (low, _) = mean_interval(&gains, 1);
        assert!(low > 0.1, "{low}");
    }

    #[test]
    fn labels_count_until_clicks_outweigh_them() {
        let model = ClickModel::fit(&impressions(8_000), &ClickSettings::default());
        let label =
            |query: &str, product, gain| Labelled { query: query.into(), product: ProductNumber(product), gain };
        let lift = |model: &ClickModel, query: &str, product| {
            model.of_query(query).map_or(0.0, |clicks| clicks.lift(ProductNumber(product)))
        };
        // Product 3 of query 0 is clicked most often, product 7 was never shown for it, and nobody asked the other query.
        let taught = model.clone().with_labels(&[
            label("QUERY  0", 3, 0.0),
            label("query 0", 77, 1.0),
            label("query 0", 78, 0.5),
            label("unheard of", 5, 1.0),
        ]);
        assert!(lift(&taught, "query 0", 3) < lift(&model, "query 0", 3));
        assert!(lift(&taught, "query 0", 77) > 1.0 && lift(&taught, "unheard of", 5) > 1.0);
        assert!(lift(&taught, "query 0", 78).abs() < 0.1);
        assert_eq!(lift(&taught, "query 1", 4), lift(&model, "query 1", 4));
        let few = ClickModel::fit(&impressions(400), &ClickSettings::default());
        let fall = |model: &ClickModel| {
            lift(model, "query 0", 3) - lift(&model.clone().with_labels(&[label("query 0", 3, 0.0)]), "query 0", 3)
        };
        assert!(fall(&few) > fall(&model), "many clicks are moved less than few");
        let untaught = ClickModel::default().with_labels(&[label("query 0", 3, 1.0)]);
        assert_eq!(untaught, ClickModel::default(), "without clicks there is no mean to stand above");
    }

    #[test]
    fn nothing_shown_or_clicked_teaches_nothing() {
        assert_eq!(ClickModel::fit(&[], &ClickSettings::default()), ClickModel::default());
        let shown =
            Impression { query: "x".into(), first_place: 0, shown: vec![ProductNumber(1)], clicked: vec![false] };
        let model = ClickModel::fit(&[shown], &ClickSettings::default());
        assert!(model.of_query("x").is_none() && model.click_rate("x", ProductNumber(1), 3) == 0.0);
    }
}
