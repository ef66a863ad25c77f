//! Buy again: what is due.
//!
//! Each item has a typical interval between two purchases by the same person, log-normal, shrunk towards that of all items; and a
//! chance to be bought again at all. What a person bought scores by both, and by how often: the intervals of the person's own
//! purchases, where there are several, pull the item's towards them (after Bhagat et al., "Buy It Again: Modeling Repeat Purchase
//! Recommendations", KDD 2018), and a purchase counts less the longer ago it was, as in UP-CF (Faggioli, Polato and Aiolli, UMAP
//! 2020).

use merx_domain::EventMeaning;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::sparse_scores::{OpenSparse, SparseScores};
use crate::{
    Contribution, Interaction, Learner, Model, ModelError, OpenQuery, Query, Recommender, TrainingSet, artifact,
};

const FAMILY: &str = "buy_again";
/// Format 1: `State` by postcard.
const FORMAT: u16 = 1;
const DAY_S: f32 = 86_400.0;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BuyAgainSettings {
    /// Purchases less than this apart are one.
    pub apart_s: i64,
    /// Repeats that an item must have before its own figures weigh as much as those of all items.
    pub prior_strength: f32,
    /// Intervals that a person must have before they weigh as much as the item's.
    pub item_strength: f32,
    /// A purchase counts `exp(-purchases of the person since / fading)`; 0: all alike.
    pub fading: f32,
    /// How much the interval matters: 0 not at all, 1 as much as it says.
    pub interval_weight: f32,
}

impl Default for BuyAgainSettings {
    fn default() -> Self {
        Self { apart_s: 12 * 3_600, prior_strength: 20.0, item_strength: 2.0, fading: 6.0, interval_weight: 0.5 }
    }
}

/// Fits [`BuyAgain`].
#[derive(Debug, Clone, Copy, Default)]
pub struct BuyAgainLearner {
    pub settings: BuyAgainSettings,
}

impl Learner for BuyAgainLearner {
    type Set = TrainingSet;
    type Model = BuyAgain;

    fn family(&self) -> &'static str {
        FAMILY
    }

    fn fit(&self, set: &TrainingSet, _seed: u64) -> Result<BuyAgain, ModelError> {
        let mut counts = vec![Counts::default(); set.item_count];
        for row in set.histories.iter() {
            for (item, times) in purchases(row, self.settings.apart_s) {
                if let Some(counts) = counts.get_mut(item as usize) {
                    counts.add(&times);
                }
            }
        }
        let mut all = Counts::default();
        counts.iter().for_each(|counts| all.merge(counts));
        if all.buyers == 0.0 {
            return Err(ModelError::NoData("no history holds a purchase".to_owned()));
        }
        let overall = all.habit(&Habit::UNKNOWN, 1.0);
        let habits = counts.iter().map(|counts| counts.habit(&overall, self.settings.prior_strength)).collect();
        Ok(BuyAgain { state: State { settings: self.settings, habits } })
    }

    fn load(&self, bytes: &[u8]) -> Result<BuyAgain, ModelError> {
        let (format, body) = artifact::split(FAMILY, bytes)?;
        match format {
            1 => Ok(BuyAgain { state: artifact::decode(FAMILY, format, body)? }),
            _ => Err(artifact::refused(FAMILY, format, "unknown format")),
        }
    }
}

/// When each item was bought, oldest first, in order of first purchase. A return takes the last purchase back.
fn purchases(row: &[Interaction], apart_s: i64) -> Vec<(u32, Vec<i64>)> {
    let mut place: FxHashMap<u32, usize> = FxHashMap::default();
    let mut bought: Vec<(u32, Vec<i64>)> = Vec::new();
    for entry in row {
        match entry.meaning {
            EventMeaning::Purchased => {
                let at = *place.entry(entry.item).or_insert(bought.len());
                if at == bought.len() {
                    bought.push((entry.item, Vec::new()));
                }
                let times = &mut bought[at].1;
                if times.last().is_none_or(|last| entry.at_s.saturating_sub(*last) >= apart_s) {
                    times.push(entry.at_s);
                }
            }
            EventMeaning::Returned => {
                if let Some(at) = place.get(&entry.item) {
                    bought[*at].1.pop();
                }
            }
            _ => (),
        }
    }
    bought.retain(|(_, times)| !times.is_empty());
    bought
}

fn log_days(from_s: i64, to_s: i64) -> f32 {
    (to_s.saturating_sub(from_s).max(0) as f32 / DAY_S + 0.5).ln()
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    buyers: f32,
    repeaters: f32,
    intervals: f32,
    sum: f32,
    squares: f32,
}

impl Counts {
    fn add(&mut self, times: &[i64]) {
        self.buyers += 1.0;
        self.repeaters += f32::from(u8::from(times.len() > 1));
        for pair in times.windows(2) {
            let interval = log_days(pair[0], pair[1]);
            self.intervals += 1.0;
            self.sum += interval;
            self.squares += interval * interval;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.buyers += other.buyers;
        self.repeaters += other.repeaters;
        self.intervals += other.intervals;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    fn habit(&self, prior: &Habit, strength: f32) -> Habit {
        let weight = self.intervals + strength;
        let mean = (self.sum + strength * prior.log_days) / weight;
        let prior_square = prior.deviation * prior.deviation + prior.log_days * prior.log_days;
        let variance = (self.squares + strength * prior_square) / weight - mean * mean;
        Habit {
            again: (self.repeaters + strength * prior.again) / (self.buyers + strength),
            log_days: mean,
            deviation: variance.max(0.04).sqrt(),
        }
    }
}

/// Whether and when an item is bought again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Habit {
    /// Share of buyers who buy it again.
    again: f32,
    /// Mean and deviation of the logarithm of the days between.
    log_days: f32,
    deviation: f32,
}

impl Habit {
    const UNKNOWN: Self = Self { again: 0.1, log_days: 3.4, deviation: 1.0 };
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    settings: BuyAgainSettings,
    habits: Vec<Habit>,
}

/// Habits of repeat purchase, fitted by [`BuyAgainLearner`].
#[derive(Debug)]
pub struct BuyAgain {
    state: State,
}

impl BuyAgain {
    pub fn settings(&self) -> &BuyAgainSettings {
        &self.state.settings
    }

    /// How much an item bought at `times` is due at `now_s`. `visits`: when the person bought anything, oldest first.
    fn due(&self, habit: &Habit, times: &[i64], visits: &[i64], now_s: i64) -> f32 {
        let settings = &self.state.settings;
        let since = |at_s: i64| visits.len() - visits.partition_point(|visit| *visit <= at_s);
        let count: f32 = times
            .iter()
            .map(|at_s| if settings.fading > 0.0 { (-(since(*at_s) as f32) / settings.fading).exp() } else { 1.0 })
            .sum();
        let own = times.windows(2).map(|pair| log_days(pair[0], pair[1]));
        let (own_sum, own_count) = own.fold((0.0, 0.0), |(sum, count), interval| (sum + interval, count + 1.0));
        let expected = (habit.log_days * settings.item_strength + own_sum) / (settings.item_strength + own_count);
        let elapsed = times.last().map_or(0.0, |last| log_days(*last, now_s));
        let off = (elapsed - expected) / habit.deviation;
        // Too early counts in full; too late counts half, for late is also "never again" of those who left.
        let off = if off > 0.0 { 0.5 * off } else { off };
        habit.again * count * (-0.5 * settings.interval_weight * off * off).exp()
    }
}

/// When the person bought anything, oldest first, purchases less than `apart_s` apart as one.
fn visits(row: &[Interaction], apart_s: i64) -> Vec<i64> {
    let mut visits: Vec<i64> = Vec::new();
    for entry in row.iter().filter(|entry| entry.meaning == EventMeaning::Purchased) {
        if visits.last().is_none_or(|last| entry.at_s.saturating_sub(*last) >= apart_s) {
            visits.push(entry.at_s);
        }
    }
    visits
}

impl Model for BuyAgain {
    fn family(&self) -> &'static str {
        FAMILY
    }

    fn save(&self) -> Vec<u8> {
        artifact::encode(FORMAT, &self.state)
    }
}

impl Recommender for BuyAgain {
    fn item_count(&self) -> usize {
        self.state.habits.len()
    }

    fn open<'a>(&'a self, query: &Query<'a>) -> Box<dyn OpenQuery + 'a> {
        let apart_s = self.state.settings.apart_s;
        let visits = visits(query.history, apart_s);
        let mut scores = SparseScores::new(self.item_count());
        for (item, times) in purchases(query.history, apart_s) {
            if let Some(habit) = self.state.habits.get(item as usize) {
                scores.add(item, self.due(habit, &times, &visits, query.now_s));
            }
        }
        let bought: FxHashMap<u32, f32> = scores.iter().collect();
        let explain = move |item, limit: usize| {
            let part = |weight: &f32| Contribution { item, meaning: Some(EventMeaning::Purchased), weight: *weight };
            bought.get(&item).map(part).into_iter().take(limit).collect()
        };
        Box::new(OpenSparse { scores, explain })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Interactions;

    const DAY: i64 = 86_400;

    fn bought(item: u32, day: i64) -> Interaction {
        Interaction { item, at_s: day * DAY, meaning: EventMeaning::Purchased }
    }

    /// Item 0 is bought every 7 days, item 1 every 60, item 2 once.
    fn model() -> BuyAgain {
        let mut histories = Interactions::new();
        for person in 0..30 {
            let weekly = (0..9).map(|week| bought(0, person + 7 * week));
            let rarely = (0..2).map(|time| bought(1, person + 60 * time));
            histories.push_row(weekly.chain(rarely).chain([bought(2, person)]));
        }
        let set = TrainingSet { item_count: 4, histories, ..TrainingSet::default() };
        BuyAgainLearner::default().fit(&set, 1).unwrap()
    }

    fn scores(model: &BuyAgain, history: &[Interaction], day: i64) -> Vec<f32> {
        let query = Query { history, session_start: 0, seeds: &[], now_s: day * DAY, market: 0 };
        let mut out = vec![0.0; 4];
        model.open(&query).score_all(&mut out);
        out
    }

    #[test]
    fn what_is_due_ranks_first() {
        let model = model();
        let history = [bought(0, 0), bought(1, 0), bought(2, 0)];
        let after_a_week = scores(&model, &history, 7);
        assert!(after_a_week[0] > after_a_week[1] && after_a_week[1] > 0.0, "{after_a_week:?}");
        let late = scores(&model, &[bought(1, 0), bought(0, 59)], 60);
        assert!(late[1] > late[0], "{late:?}");
    }

    #[test]
    fn what_nobody_buys_twice_ranks_low_and_the_unknown_not_at_all() {
        let found = scores(&model(), &[bought(1, 0), bought(2, 0)], 60);
        assert!(found[1] > found[2]);
        assert_eq!((found[0], found[3]), (0.0, 0.0));
    }

    #[test]
    fn a_return_takes_the_purchase_back() {
        let returned = Interaction { meaning: EventMeaning::Returned, ..bought(0, 1) };
        assert_eq!(scores(&model(), &[bought(0, 0), returned], 7)[0], 0.0);
    }

    #[test]
    fn saving_keeps_the_habits() {
        let model = model();
        assert_eq!(BuyAgainLearner::default().load(&model.save()).unwrap().state, model.state);
        assert!(BuyAgainLearner::default().load(&[]).is_err());
    }
}
