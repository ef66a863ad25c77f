//! Transitions: what follows what, item to item.
//!
//! Sequential rules (Ludewig and Jannach, "Evaluation of session-based recommendation algorithms", 2018, SR) with weights
//! that fade by distance and age, both directions, and a penalty for items that follow everything. The cheapest model of
//! sequences: a query adds up one short list for each of its newest items.
//!
//! Memory is bounded: an item keeps its `neighbours` strongest followers.

use merx_numeric::top_k::TopK;
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::recency::{Fading, Recent, largest_contributions, moments, recent_items, sessions, wanted};
use crate::sparse_scores::{OpenSparse, SparseScores};
use crate::{Learner, Model, ModelError, OpenQuery, Query, Recommender, TrainingSet, artifact};

const FAMILY: &str = "transitions";
/// Format 1: `State` by postcard.
const FORMAT: u16 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TransitionsSettings {
    /// A pause longer than this ends a session; transitions never cross it.
    pub session_gap_s: i64,
    /// Followers kept of an item.
    pub neighbours: usize,
    /// Entries on each side of an entry that make transitions with it.
    pub reach: usize,
    /// A transition over `d` moments weighs `exp(-(d - 1) / distance_decay)`; items of one moment (a basket) are as near as
    /// those of the next.
    pub distance_decay: f32,
    /// What a transition backwards weighs beside one forwards.
    pub backward_weight: f32,
    /// A transition weighs `exp(-age / age_decay_s)`; 0: all alike.
    pub age_decay_s: f32,
    /// Weights are divided by (weight of the follower overall)^this: 0 favours what sells, 1 what is typical.
    pub popularity_penalty: f32,
    /// Newest different items of a query that are looked up.
    pub query_items: usize,
    /// An item of the query weighs `exp(-steps from the end / position_decay)`; 0: all alike.
    pub position_decay: f32,
    /// What items before the current session weigh beside those in it.
    pub earlier_weight: f32,
}

impl Default for TransitionsSettings {
    fn default() -> Self {
        Self {
            session_gap_s: 1_800,
            neighbours: 200,
            reach: 10,
            distance_decay: 2.0,
            backward_weight: 0.3,
            age_decay_s: 0.0,
            popularity_penalty: 0.0,
            query_items: 20,
            position_decay: 1.5,
            earlier_weight: 0.3,
        }
    }
}

/// Fits [`Transitions`].
#[derive(Debug, Clone, Copy, Default)]
pub struct TransitionsLearner {
    pub settings: TransitionsSettings,
}

impl Learner for TransitionsLearner {
    type Set = TrainingSet;
    type Model = Transitions;

    fn family(&self) -> &'static str {
        FAMILY
    }

    fn fit(&self, set: &TrainingSet, _seed: u64) -> Result<Transitions, ModelError> {
        let walks = Walks::of(set, &self.settings);
        if walks.items.is_empty() {
            return Err(ModelError::NoData("no history names an item".to_owned()));
        }
        let lists: Vec<Vec<(u32, f32)>> =
            (0..set.item_count as u32).into_par_iter().map(|item| walks.followers(item, &self.settings)).collect();
        let mut state = State { settings: self.settings, offsets: vec![0], followers: Vec::new(), weights: Vec::new() };
        for list in lists {
            state.followers.extend(list.iter().map(|(item, _)| *item));
            state.weights.extend(list.iter().map(|(_, weight)| *weight));
            state.offsets.push(state.followers.len() as u32);
        }
        Ok(Transitions { state })
    }

    fn load(&self, bytes: &[u8]) -> Result<Transitions, ModelError> {
        let (format, body) = artifact::split(FAMILY, bytes)?;
        match format {
            1 => {
                let state: State = artifact::decode(FAMILY, format, body)?;
                let sound = state.is_sound();
                sound.then_some(Transitions { state }).ok_or(artifact::refused(FAMILY, format, "sizes don't agree"))
            }
            _ => Err(artifact::refused(FAMILY, format, "unknown format")),
        }
    }
}

/// All sessions one behind the other, and where each item stands in them.
#[derive(Debug, Default)]
struct Walks {
    items: Vec<u32>,
    /// The session of each entry and what it weighs by age.
    session: Vec<u32>,
    moments: Vec<u16>,
    session_weights: Vec<f32>,
    /// Item `i` stands at `places[place_offsets[i]..place_offsets[i + 1]]`.
    place_offsets: Vec<u32>,
    places: Vec<u32>,
    /// Sum of weights of an item's entries.
    mass: Vec<f32>,
}

impl Walks {
    fn of(set: &TrainingSet, settings: &TransitionsSettings) -> Self {
        let mut walks = Self::default();
        for entries in set.histories.iter().flat_map(|row| sessions(row, settings.session_gap_s)) {
            for (entry, moment) in entries.iter().zip(moments(entries)) {
                if wanted(entry.meaning) && (entry.item as usize) < set.item_count {
                    walks.items.push(entry.item);
                    walks.moments.push(moment);
                    walks.session.push(walks.session_weights.len() as u32);
                }
            }
            let ended_s = entries.last().map_or(set.now_s, |entry| entry.at_s);
            let age_s = set.now_s.saturating_sub(ended_s).max(0) as f32;
            let faded = if settings.age_decay_s > 0.0 { (-age_s / settings.age_decay_s).exp() } else { 1.0 };
            walks.session_weights.push(faded);
        }
        walks.index(set.item_count);
        walks
    }

    /// Finds the places of each item.
    fn index(&mut self, item_count: usize) {
        self.mass = vec![0.0; item_count];
        self.place_offsets = vec![0; item_count + 1];
        for (item, session) in self.items.iter().zip(&self.session) {
            self.mass[*item as usize] += self.session_weights[*session as usize];
            self.place_offsets[*item as usize + 1] += 1;
        }
        for item in 0..item_count {
            self.place_offsets[item + 1] += self.place_offsets[item];
        }
        let mut next = self.place_offsets.clone();
        self.places = vec![0; self.items.len()];
        for (place, item) in self.items.iter().enumerate() {
            self.places[next[*item as usize] as usize] = place as u32;
            next[*item as usize] += 1;
        }
    }

    /// The strongest followers of an item and their weights.
    fn followers(&self, item: u32, settings: &TransitionsSettings) -> Vec<(u32, f32)> {
        let places = self.place_offsets[item as usize] as usize..self.place_offsets[item as usize + 1] as usize;
        let mut sums: FxHashMap<u32, f32> = FxHashMap::default();
        for &place in &self.places[places] {
            self.add_around(place as usize, settings, &mut sums);
        }
        let mass = self.mass[item as usize].max(f32::MIN_POSITIVE);
        let mut best = TopK::new(settings.neighbours);
        for (&other, &sum) in sums.iter().filter(|(_, sum)| **sum > 0.0) {
            let penalty = self.mass[other as usize].max(f32::MIN_POSITIVE).powf(settings.popularity_penalty);
            best.offer(other, sum / mass / penalty);
        }
        best.drain_sorted().into_iter().map(|hit| (hit.index, hit.score)).collect()
    }

    fn add_around(&self, place: usize, settings: &TransitionsSettings, sums: &mut FxHashMap<u32, f32>) {
        let session = self.session[place];
        let weight = self.session_weights[session as usize];
        let mut add = |other: usize, direction: f32| {
            if self.items[other] != self.items[place] {
                let distance = self.moments[other].abs_diff(self.moments[place]);
                let near = (-f32::from(distance.saturating_sub(1)) / settings.distance_decay).exp();
                let direction = if distance == 0 { 1.0 } else { direction };
                *sums.entry(self.items[other]).or_default() += weight * direction * near;
            }
        };
        let ahead = (place + 1..self.items.len()).take(settings.reach);
        for other in ahead.take_while(|other| self.session[*other] == session) {
            add(other, 1.0);
        }
        let behind = (0..place).rev().take(settings.reach);
        for other in behind.take_while(|other| self.session[*other] == session) {
            add(other, settings.backward_weight);
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct State {
    settings: TransitionsSettings,
    /// Item `i` is followed by `followers[offsets[i]..offsets[i + 1]]`, strongest first.
    offsets: Vec<u32>,
    followers: Vec<u32>,
    weights: Vec<f32>,
}

impl State {
    fn is_sound(&self) -> bool {
        self.offsets.first() == Some(&0)
            && self.offsets.is_sorted()
            && self.offsets.last().is_some_and(|end| *end as usize == self.followers.len())
            && self.followers.len() == self.weights.len()
            && self.followers.iter().all(|item| (*item as usize) < self.offsets.len() - 1)
    }
}

/// Lists of followers, fitted by [`TransitionsLearner`].
#[derive(Debug)]
pub struct Transitions {
    state: State,
}

impl Transitions {
    pub fn settings(&self) -> &TransitionsSettings {
        &self.state.settings
    }

    /// What follows an item, strongest first, with weights.
    pub fn followers(&self, item: u32) -> impl Iterator<Item = (u32, f32)> {
        let at = item as usize;
        let range = self.state.offsets[at] as usize..self.state.offsets[at + 1] as usize;
        self.state.followers[range.clone()].iter().copied().zip(self.state.weights[range].iter().copied())
    }

    fn weighted(&self, query: &Query) -> Vec<(Recent, f32)> {
        let settings = &self.state.settings;
        let fading = Fading { decay: settings.position_decay, earlier_weight: settings.earlier_weight };
        let recent = recent_items(query, self.item_count(), settings.query_items);
        recent.into_iter().map(|entry| (entry, fading.weight(&entry))).collect()
    }
}

impl Model for Transitions {
    fn family(&self) -> &'static str {
        FAMILY
    }

    fn save(&self) -> Vec<u8> {
        artifact::encode(FORMAT, &self.state)
    }
}

impl Recommender for Transitions {
    fn item_count(&self) -> usize {
        self.state.offsets.len() - 1
    }

    fn open<'a>(&'a self, query: &Query<'a>) -> Box<dyn OpenQuery + 'a> {
        let query = self.weighted(query);
        let mut scores = SparseScores::new(self.item_count());
        for (entry, weight) in &query {
            self.followers(entry.item).for_each(|(item, strength)| scores.add(item, weight * strength));
        }
        let explain = move |item, limit| {
            let strength =
                |from| self.followers(from).find(|(to, _)| *to == item).map_or(0.0, |(_, strength)| strength);
            largest_contributions(query.iter().map(|(entry, weight)| (*entry, weight * strength(entry.item))), limit)
        };
        Box::new(OpenSparse { scores, explain })
    }
}

#[cfg(test)]
mod tests {
    use merx_domain::EventMeaning;

    use super::*;
    use crate::{Interaction, Interactions};

    fn row(items: &[u32]) -> Vec<Interaction> {
        let viewed = |(item, at_s)| Interaction { item, at_s, meaning: EventMeaning::Viewed };
        items.iter().copied().zip(0..).map(viewed).collect()
    }

    fn fit(rows: &[&[u32]], change: impl Fn(&mut TransitionsSettings)) -> Transitions {
        let mut settings = TransitionsSettings::default();
        change(&mut settings);
        let mut histories = Interactions::new();
        rows.iter().for_each(|items| histories.push_row(row(items)));
        let set = TrainingSet { item_count: 8, histories, ..TrainingSet::default() };
        TransitionsLearner { settings }.fit(&set, 1).unwrap()
    }

    fn strongest(model: &Transitions, item: u32) -> Vec<u32> {
        model.followers(item).map(|(item, _)| item).collect()
    }

    #[test]
    fn followers_rank_by_how_often_and_how_closely_they_follow() {
        let model = fit(&[&[1, 2, 3], &[1, 2, 4], &[5, 1]], |s| s.backward_weight = 0.0);
        assert_eq!(strongest(&model, 1), [2, 3, 4]);
        assert_eq!(strongest(&model, 5), [1]);
        assert!(strongest(&model, 3).is_empty());
    }

    #[test]
    fn backwards_counts_only_where_asked_and_no_item_follows_itself() {
        let model = fit(&[&[1, 2, 2, 1]], |s| s.backward_weight = 0.5);
        assert_eq!(strongest(&model, 1), [2]);
        assert_eq!(strongest(&model, 2), [1]);
    }

    #[test]
    fn a_penalty_prefers_the_typical_follower() {
        let rows: &[&[u32]] = &[&[1, 2], &[1, 2], &[1, 3], &[4, 2], &[5, 2], &[6, 2], &[7, 2]];
        assert_eq!(strongest(&fit(rows, |s| s.backward_weight = 0.0), 1), [2, 3]);
        let penalised = fit(rows, |s| {
            s.backward_weight = 0.0;
            s.popularity_penalty = 1.0;
        });
        assert_eq!(strongest(&penalised, 1), [3, 2]);
    }

    #[test]
    fn lists_are_cut_to_length_and_saving_keeps_them() {
        let model = fit(&[&[0, 1, 2, 3, 4, 5, 6]], |s| s.neighbours = 3);
        assert!((0..8).all(|item| strongest(&model, item).len() <= 3));
        let loaded = TransitionsLearner::default().load(&model.save()).unwrap();
        assert_eq!(loaded.state, model.state);
        assert!(TransitionsLearner::default().load(&model.save()[..9]).is_err());
    }

    #[test]
    fn explanations_add_up_to_the_score() {
        let model = fit(&[&[1, 2, 3], &[2, 3, 4]], |_| ());
        let history = row(&[1, 2]);
        let query = Query { history: &history, session_start: 0, seeds: &[4], now_s: 0, market: 0 };
        let mut open = model.open(&query);
        let mut score = [0.0];
        open.score(&[3], &mut score);
        let parts = open.explain(3, 9);
        assert!((parts.iter().map(|part| part.weight).sum::<f32>() - score[0]).abs() < 1e-6);
        assert_eq!(parts.iter().find(|part| part.item == 4).map(|part| part.meaning), Some(None), "{parts:?}");
    }
}
