//! Leanings: what somebody takes up when it is shown to them unasked, from how well a product does and from what they lean to.
//!
//! A score is a rate times what is known of the person. The rate is how often a product is looked at, carted and bought for the time it
//! was there, shrunk towards what its category, its attributes and its price lead to expect (multiplicative factors by iterative
//! scaling, each with a gamma prior): a product that came yesterday is placed by what it is, and a lucky one is not believed.
//!
//! A person leans to an attribute's value as far as they chose it more often than others who stood before the same shelves:
//! `(chosen + s) / (expected + s)`, a gamma-Poisson ratio. What each attribute counts for is learnt from choices within a category
//! in later sessions (conditional logit; McFadden 1974): there, what somebody came for is the same for all that they could have
//! chosen. The category itself counts less than a history says: who looked for a tent last week is not after tents all the time.

mod choices;
mod wares;

use std::collections::BTreeMap;

use merx_domain::EventMeaning;
use merx_numeric::top_k::{TopK, top_k};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::recency::wanted;
use crate::strength::contributions;
use crate::{
    Contribution, Interaction, Learner, Model, ModelError, OpenQuery, Query, Recommender, Scored, TrainingSet, artifact,
};

use wares::{Wares, rates};

const FAMILY: &str = "leanings";
/// Format 1: `State` by postcard.
const FORMAT: u16 = 1;

const DAY_S: f32 = 86_400.0;
/// Entries of a history that a profile is made of.
const HISTORY: usize = 64;
/// Shrinks the mean price of a history towards what is usual, in products.
const PRICE_PRIOR: f32 = 4.0;
/// Candidates held ready: of all, and of each category.
const LEADERS: usize = 1_000;
const LEADERS_OF_CATEGORY: usize = 200;
/// Categories of a history whose leaders are looked through.
const CATEGORIES: usize = 16;
/// Keeps powers of e within an `f32`, a price's factor included.
const LARGEST_LOG: f32 = 40.0;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LeaningsSettings {
    /// A count halves in this time.
    pub half_life_s: f32,
    /// What a look, a cart and an order count in a rate.
    pub counts: [f32; 3],
    /// Counts that a product must have before its own rate weighs as much as what is expected of it.
    pub item_prior: f32,
    /// The same for the factor of a category, an attribute's value or a step of the price.
    pub factor_prior: f32,
    /// What a look, a cart and an order say of a person.
    pub strengths: [f32; 3],
    /// Choices that are expected of everybody before any: the `s` above, for attributes, departments and categories.
    pub attribute_prior: f32,
    pub department_prior: f32,
    pub category_prior: f32,
    /// Powers of the ratios: attributes' beyond what choices to look at something teach, since who buys chose twice.
    pub taste_weight: f32,
    pub department_weight: f32,
    pub category_weight: f32,
    /// Pull of the attributes' weights towards 0, in choices.
    pub regularization: f32,
}

impl Default for LeaningsSettings {
    fn default() -> Self {
        Self {
            half_life_s: 14.0 * DAY_S,
            counts: [1.0, 3.0, 6.0],
            item_prior: 5.0,
            factor_prior: 1_000.0,
            strengths: [1.0, 2.0, 3.0],
            attribute_prior: 2.0,
            department_prior: 2.0,
            category_prior: 1.0,
            taste_weight: 2.0,
            department_weight: 0.5,
            category_weight: 0.7,
            regularization: 5.0,
        }
    }
}

/// Fits [`Leanings`].
#[derive(Debug, Clone, Copy, Default)]
pub struct LeaningsLearner {
    pub settings: LeaningsSettings,
}

impl Learner for LeaningsLearner {
    type Set = TrainingSet;
    type Model = Leanings;

    fn family(&self) -> &'static str {
        FAMILY
    }

    fn fit(&self, set: &TrainingSet, _seed: u64) -> Result<Leanings, ModelError> {
        let wares = Wares::of(&set.content, set.item_count);
        if !set.histories.iter().flatten().any(|entry| wanted(entry.meaning)) {
            return Err(ModelError::NoData("no history names an item".to_owned()));
        }
        if wares.places.iter().all(|place| place.category == 0) {
            return Err(ModelError::NoData("no item has a category".to_owned()));
        }
        let counts = counts(set, &self.settings);
        let rates = rates(set, &wares, &counts, &self.settings);
        let weights = vec![0.0; wares.fields.len() + 1];
        let mut model = Leanings::from_state(State { settings: self.settings, wares, rates, weights }, FORMAT)?;
        model.state.weights = model.learn_weights(set, &counts);
        Ok(model)
    }

    fn load(&self, bytes: &[u8]) -> Result<Leanings, ModelError> {
        let (format, body) = artifact::split(FAMILY, bytes)?;
        match format {
            1 => Leanings::from_state(artifact::decode(FAMILY, format, body)?, format),
            _ => Err(artifact::refused(FAMILY, format, "unknown format")),
        }
    }
}

/// Which of three values an event has; `None` for those that say nothing.
fn value_of(meaning: EventMeaning, values: &[f32; 3]) -> Option<f32> {
    match meaning {
        EventMeaning::Viewed => Some(values[0]),
        EventMeaning::Carted => Some(values[1]),
        EventMeaning::Purchased => Some(values[2]),
        _ => None,
    }
}

/// What an entry adds to the count of its item, faded.
fn count_of(entry: &Interaction, now_s: i64, settings: &LeaningsSettings) -> f32 {
    let age_s = now_s.saturating_sub(entry.at_s).max(0) as f32;
    value_of(entry.meaning, &settings.counts).unwrap_or(0.0) * (-age_s / settings.half_life_s).exp2()
}

fn counts(set: &TrainingSet, settings: &LeaningsSettings) -> Vec<f32> {
    let mut counts = vec![0.0; set.item_count];
    for entry in set.histories.iter().flatten() {
        if let Some(count) = counts.get_mut(entry.item as usize) {
            *count += count_of(entry, set.now_s, settings);
        }
    }
    counts
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    settings: LeaningsSettings,
    wares: Wares,
    /// By product; 0 where nothing is known of it.
    rates: Vec<f32>,
    /// What each field's leaning counts for, then that to a price.
    weights: Vec<f32>,
}

/// Rates and leanings, fitted by [`LeaningsLearner`].
#[derive(Debug)]
pub struct Leanings {
    state: State,
    /// Shares of the summed rates.
    of_departments: FxHashMap<u32, f32>,
    of_categories: FxHashMap<u32, f32>,
    /// By category: each value's share within it, by field.
    usual: FxHashMap<u32, Vec<(usize, u32, f32)>>,
    /// By category, in the order of items.
    members: BTreeMap<u32, Vec<u32>>,
    leaders: Vec<u32>,
    leaders_of: FxHashMap<u32, Vec<u32>>,
}

impl Leanings {
    fn from_state(state: State, format: u16) -> Result<Self, ModelError> {
        let (items, fields) = (state.rates.len(), state.wares.fields.len());
        let sizes_agree = state.wares.places.len() == items
            && state.wares.values.len() == items * fields
            && state.weights.len() == fields + 1;
        if !sizes_agree {
            return Err(artifact::refused(FAMILY, format, "sizes don't agree"));
        }
        let mut members: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        let (mut of_departments, mut of_categories) = (FxHashMap::default(), FxHashMap::default());
        let total = state.rates.iter().sum::<f32>().max(f32::MIN_POSITIVE);
        for (item, place) in state.wares.places.iter().enumerate().filter(|(_, place)| place.category > 0) {
            members.entry(place.category).or_default().push(item as u32);
            *of_departments.entry(place.department).or_default() += state.rates[item] / total;
            *of_categories.entry(place.category).or_default() += state.rates[item] / total;
        }
        let usual = members.iter().map(|(category, members)| (*category, usual(&state, members))).collect();
        let leaders_of = members.iter().map(|(category, members)| (*category, leaders_of(&state.rates, members)));
        let leaders_of = leaders_of.collect();
        let leaders = top_k(&state.rates, LEADERS).into_iter().filter(|hit| hit.score > 0.0).map(|hit| hit.index);
        let leaders = leaders.collect();
        Ok(Self { state, of_departments, of_categories, usual, members, leaders, leaders_of })
    }

    pub fn settings(&self) -> &LeaningsSettings {
        &self.state.settings
    }

    /// What each attribute's leaning counts for.
    pub fn weights(&self) -> impl Iterator<Item = (&str, f32)> {
        self.state.wares.fields.iter().map(String::as_str).zip(self.state.weights.iter().copied())
    }

    fn profile<'h>(&self, history: impl Iterator<Item = &'h Interaction>, seeds: &[u32]) -> Profile {
        let strengths = &self.state.settings.strengths;
        let of_history = history.filter_map(|entry| Some((entry.item, value_of(entry.meaning, strengths)?)));
        let of_seeds = seeds.iter().map(|seed| (*seed, strengths[0]));
        let mut items: BTreeMap<u32, f32> = BTreeMap::new();
        for (item, strength) in of_history.chain(of_seeds) {
            let known = items.entry(item).or_default();
            *known = known.max(strength);
        }
        let mut profile = Profile { items, ..Profile::default() };
        for (item, strength) in &profile.items {
            let Some(place) = self.state.wares.places.get(*item as usize).filter(|place| place.category > 0) else {
                continue;
            };
            profile.total += strength;
            profile.price += strength * place.price;
            *profile.departments.entry(place.department).or_default() += strength;
            *profile.categories.entry(place.category).or_default() += strength;
            let values = self.state.wares.values(*item as usize).iter().enumerate();
            for (field, value) in values.filter(|(_, value)| **value > 0) {
                profile.chosen.entry((field, *value)).or_default().0 += strength;
            }
            for (field, value, share) in self.usual.get(&place.category).into_iter().flatten() {
                profile.chosen.entry((*field, *value)).or_default().1 += strength * share;
            }
        }
        profile.price /= profile.total + PRICE_PRIOR;
        profile
    }

    /// How far a person leans to each of a product's values, and to its price.
    fn write_leanings(&self, profile: &Profile, item: usize, out: &mut [f32]) {
        let prior = self.state.settings.attribute_prior;
        let (price, fields) = out.split_last_mut().map_or((None, &mut [][..]), |(price, fields)| (Some(price), fields));
        for (field, (value, out)) in self.state.wares.values(item).iter().zip(fields).enumerate() {
            *out = match profile.chosen.get(&(field, *value)).filter(|_| *value > 0) {
                Some((chosen, expected)) => ((chosen + prior) / (expected + prior)).ln(),
                None => 0.0,
            };
        }
        if let Some(price) = price {
            *price = profile.price * self.state.wares.places[item].price;
        }
    }
}

/// The shares of values among the products of a category, weighed by their rates.
fn usual(state: &State, members: &[u32]) -> Vec<(usize, u32, f32)> {
    let total = members.iter().map(|item| state.rates[*item as usize]).sum::<f32>().max(f32::MIN_POSITIVE);
    let mut shares: BTreeMap<(usize, u32), f32> = BTreeMap::new();
    for item in members {
        let values = state.wares.values(*item as usize).iter().enumerate();
        for (field, value) in values.filter(|(_, value)| **value > 0) {
            *shares.entry((field, *value)).or_default() += state.rates[*item as usize] / total;
        }
    }
    shares.into_iter().map(|((field, value), share)| (field, value, share)).collect()
}

fn leaders_of(rates: &[f32], members: &[u32]) -> Vec<u32> {
    let mut best = TopK::new(LEADERS_OF_CATEGORY);
    members.iter().for_each(|item| best.offer(*item, rates[*item as usize]));
    best.drain_sorted().into_iter().map(|hit| hit.index).collect()
}

fn weighed(row: &[f32], weights: &[f32]) -> f32 {
    row.iter().zip(weights).map(|(value, weight)| value * weight).sum()
}

/// What a history says of a person.
#[derive(Debug, Default)]
struct Profile {
    /// Ascending, with the strongest that was done to each.
    items: BTreeMap<u32, f32>,
    total: f32,
    /// By field and value: how often chosen, and how often it would have been by anybody.
    chosen: FxHashMap<(usize, u32), (f32, f32)>,
    departments: BTreeMap<u32, f32>,
    categories: BTreeMap<u32, f32>,
    /// Mean distance of prices from what is usual.
    price: f32,
}

impl Profile {
    /// More or less than anybody's.
    fn ratio(&self, deeds: &BTreeMap<u32, f32>, usual: &FxHashMap<u32, f32>, number: u32, prior: f32) -> f32 {
        let done = deeds.get(&number).copied().unwrap_or(0.0);
        (done + prior) / (self.total * usual.get(&number).copied().unwrap_or(0.0) + prior)
    }
}

impl Model for Leanings {
    fn family(&self) -> &'static str {
        FAMILY
    }

    fn save(&self) -> Vec<u8> {
        artifact::encode(FORMAT, &self.state)
    }
}

impl Recommender for Leanings {
    fn item_count(&self) -> usize {
        self.state.rates.len()
    }

    fn open<'a>(&'a self, query: &Query<'a>) -> Box<dyn OpenQuery + 'a> {
        let newest = &query.history[query.history.len().saturating_sub(HISTORY)..];
        let profile = self.profile(newest.iter(), query.seeds);
        Box::new(OpenLeanings { model: self, query: *query, profile, leanings: vec![0.0; self.state.weights.len()] })
    }
}

struct OpenLeanings<'a> {
    model: &'a Leanings,
    query: Query<'a>,
    profile: Profile,
    leanings: Vec<f32>,
}

impl OpenLeanings<'_> {
    fn score_of(&mut self, item: u32) -> f32 {
        let (model, state) = (self.model, &self.model.state);
        let rate = state.rates.get(item as usize).copied().unwrap_or(0.0);
        if rate <= 0.0 || self.profile.total <= 0.0 {
            return rate;
        }
        let settings = &state.settings;
        let place = state.wares.places[item as usize];
        model.write_leanings(&self.profile, item as usize, &mut self.leanings);
        let taste = settings.taste_weight * weighed(&self.leanings, &state.weights);
        let Profile { departments, categories, .. } = &self.profile;
        let of_department =
            self.profile.ratio(departments, &model.of_departments, place.department, settings.department_prior);
        let of_category = self.profile.ratio(categories, &model.of_categories, place.category, settings.category_prior);
        let shelf = settings.department_weight * of_department.ln() + settings.category_weight * of_category.ln();
        rate * (taste + shelf).clamp(-LARGEST_LOG, LARGEST_LOG).exp()
    }
}

impl OpenQuery for OpenLeanings<'_> {
    fn candidates(&mut self, limit: usize, out: &mut Vec<Scored>) {
        let mut categories: Vec<(u32, f32)> = self.profile.categories.iter().map(|(a, b)| (*a, *b)).collect();
        categories.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let of_categories =
            categories.iter().take(CATEGORIES).filter_map(|(number, _)| self.model.leaders_of.get(number));
        let mut items: Vec<u32> = self.model.leaders.iter().chain(of_categories.flatten()).copied().collect();
        items.sort_unstable();
        items.dedup();
        let mut best = TopK::new(limit);
        items.iter().for_each(|item| best.offer(*item, self.score_of(*item)));
        let best = best.drain_sorted().into_iter().filter(|hit| hit.score > 0.0);
        out.extend(best.map(|hit| Scored { item: hit.index, score: hit.score }));
    }

    fn score(&mut self, items: &[u32], out: &mut [f32]) {
        items.iter().zip(out).for_each(|(item, out)| *out = self.score_of(*item));
    }

    /// Products of the history that share what the person leans to.
    fn explain(&mut self, item: u32, limit: usize) -> Vec<Contribution> {
        let wares = &self.model.state.wares;
        if item as usize >= wares.places.len() {
            return Vec::new();
        }
        self.model.write_leanings(&self.profile, item as usize, &mut self.leanings);
        let place = wares.places[item as usize];
        let shared = |other: u32| {
            let other = other as usize;
            let values = wares.values(item as usize).iter().zip(wares.values(other)).zip(&self.leanings);
            let values =
                values.zip(&self.model.state.weights).filter(|(((one, other), _), _)| **one > 0 && one == other);
            let of_values: f32 = values.map(|((_, leaning), weight)| (leaning * weight).max(0.0)).sum();
            of_values + if wares.places[other].category == place.category { SAME_CATEGORY } else { 0.0 }
        };
        let known = self.profile.items.iter().filter(|(other, _)| (**other as usize) < wares.places.len());
        let shares =
            known.map(|(other, strength)| (*other, strength * shared(*other))).filter(|(_, share)| *share > 0.0);
        contributions(&self.query, shares, limit)
    }
}

/// What the same category explains, beside leanings.
const SAME_CATEGORY: f32 = 0.5;

#[cfg(test)]
mod tests {
    use EventMeaning::{Purchased, Viewed};

    use super::*;
    use crate::{Interactions, ItemContent};

    const DAY: i64 = 86_400;
    /// Two categories of eight products: the even ones are plain, the odd ones gaudy; a ninth of the second came on the last day.
    const ITEMS: u32 = 17;

    fn content() -> ItemContent {
        let token_names = ["category=all", "category=lamps", "category=rugs", "style=plain", "style=gaudy"];
        let token_names = token_names.map(str::to_owned).to_vec();
        let tokens = (0..ITEMS).map(|item| vec![0, 1 + u32::from(item >= 8), 3 + item % 2]).collect();
        let since_s = (0..ITEMS).map(|item| if item == 16 { 29 * DAY } else { 0 }).collect();
        ItemContent { tokens, token_names, price_minor: vec![1_000; ITEMS as usize], since_s }
    }

    /// Everybody looks at two lamps in one visit and, days later, at two rugs of the same style.
    fn set() -> TrainingSet {
        let mut histories = Interactions::new();
        for shopper in 0..200u32 {
            let at = |step: i64| i64::from(shopper % 14) * DAY + step;
            let item = |shelf: u32, step: u32| 8 * shelf + (2 * (shopper / 2 + step) + shopper) % 8;
            let entry = |item, at_s| Interaction { item, at_s, meaning: Viewed };
            histories.push_row([
                entry(item(0, 0), at(0)),
                entry(item(0, 1), at(60)),
                entry(item(1, 2), at(10 * DAY)),
                entry(item(1, 3), at(10 * DAY + 60)),
            ]);
        }
        TrainingSet {
            item_count: ITEMS as usize,
            histories,
            content: content(),
            now_s: 30 * DAY,
            ..TrainingSet::default()
        }
    }

    fn fitted() -> Leanings {
        LeaningsLearner::default().fit(&set(), 1).unwrap()
    }

    fn scores(model: &Leanings, history: &[Interaction]) -> Vec<f32> {
        let query = Query { history, session_start: 0, seeds: &[], now_s: 30 * DAY, market: 0 };
        let mut out = vec![0.0; ITEMS as usize];
        model.open(&query).score_all(&mut out);
        out
    }

    fn looked_at(items: &[u32]) -> Vec<Interaction> {
        items.iter().map(|item| Interaction { item: *item, at_s: 29 * DAY, meaning: Viewed }).collect()
    }

    #[test]
    fn a_style_shown_in_one_category_counts_in_another() {
        let model = fitted();
        let (_, weight) = model.weights().next().unwrap();
        assert!(weight > 0.5, "{weight}");
        let found = scores(&model, &looked_at(&[1, 3]));
        assert!(found[9] > 1.5 * found[8] && found[11] > 1.5 * found[10], "{found:?}");
        let stranger = scores(&model, &[]);
        assert!(stranger[9] < 1.2 * stranger[8] && stranger[8] < 1.2 * stranger[9], "{stranger:?}");
    }

    #[test]
    fn a_product_that_came_yesterday_is_placed_by_what_it_is() {
        let found = scores(&fitted(), &[]);
        assert!(found[16] > 0.3 * found[14], "{found:?}");
        let mut old = set();
        old.content.since_s = vec![0; ITEMS as usize];
        let unwanted = scores(&LeaningsLearner::default().fit(&old, 1).unwrap(), &[]);
        assert!(
            unwanted[16] < 0.8 * found[16],
            "who was there all along and was passed by is worth less: {unwanted:?}"
        );
    }

    #[test]
    fn an_order_says_more_than_a_look() {
        let model = fitted();
        let looked = scores(&model, &looked_at(&[1]));
        let bought = scores(&model, &[Interaction { meaning: Purchased, ..looked_at(&[1])[0] }]);
        assert!(bought[9] / bought[8] > looked[9] / looked[8]);
    }

    #[test]
    fn candidates_agree_with_scores_and_are_explained_by_the_history() {
        let model = fitted();
        let history = looked_at(&[0, 3]);
        let query = Query { history: &history, session_start: 0, seeds: &[], now_s: 30 * DAY, market: 0 };
        let mut open = model.open(&query);
        let mut found = Vec::new();
        open.candidates(5, &mut found);
        let all = scores(&model, &history);
        assert_eq!(found.len(), 5);
        assert!(found.iter().all(|scored| scored.score == all[scored.item as usize]));
        let lamp = open.explain(2, 3);
        assert_eq!((lamp[0].item, lamp[0].meaning), (0, Some(Viewed)), "{lamp:?}");
        assert!(open.explain(ITEMS, 3).is_empty());
    }

    #[test]
    fn saving_keeps_the_scores_and_damage_is_refused() {
        let model = fitted();
        let bytes = model.save();
        let loaded = LeaningsLearner::default().load(&bytes).unwrap();
        assert_eq!(scores(&loaded, &looked_at(&[1])), scores(&model, &looked_at(&[1])));
        assert!(LeaningsLearner::default().load(&bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn without_categories_there_is_nothing_to_lean_to() {
        let bare = TrainingSet { content: ItemContent::default(), ..set() };
        assert!(matches!(LeaningsLearner::default().fit(&bare, 1), Err(ModelError::NoData(_))));
    }
}
