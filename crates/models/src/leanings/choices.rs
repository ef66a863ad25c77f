//! What each attribute counts for, learnt from choices within a category.

use merx_domain::EventMeaning;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{HISTORY, Leanings, count_of, weighed};
use crate::recency::sessions;
use crate::{Interaction, TrainingSet};

const SESSION_GAP_S: i64 = 1_800;
/// Choices that weights are learnt from, and products that each is set against, at most.
const CHOICES: usize = 6_000;
const RIVALS: usize = 40;
const STEPS: usize = 25;
/// Shorter than Newton's step along each axis, since axes share what they explain.
const DAMPING: f64 = 0.6;
/// What a product that nobody else met counts in a choice.
const UNKNOWN_RATE: f32 = 0.5;

impl Leanings {
    /// By damped steps of Newton's method along each axis.
    pub(super) fn learn_weights(&self, set: &TrainingSet, counts: &[f32]) -> Vec<f32> {
        let choices = self.choices(set, counts);
        let inputs = self.state.weights.len();
        let mut weights = vec![0.0f32; inputs];
        let pull = f64::from(self.state.settings.regularization);
        for _ in 0..STEPS {
            let mut slopes: Vec<f64> = weights.iter().map(|weight| -pull * f64::from(*weight)).collect();
            let mut curves = vec![pull; inputs];
            for choice in &choices {
                let shares = choice.shares(&weights);
                for input in 0..inputs {
                    let at = |rival: usize| choice.leanings[rival * inputs + input];
                    let mean: f32 = shares.iter().enumerate().map(|(rival, share)| share * at(rival)).sum();
                    let square: f32 = shares.iter().enumerate().map(|(rival, share)| share * at(rival).powi(2)).sum();
                    slopes[input] += f64::from(at(choice.chosen) - mean);
                    curves[input] += f64::from(square - mean * mean);
                }
            }
            for ((weight, slope), curve) in weights.iter_mut().zip(slopes).zip(curves) {
                *weight += (DAMPING * slope / curve) as f32;
            }
        }
        weights
    }

    /// What was chosen for the first time in a session after others, among what else its category held, by people of whom the earlier
    /// sessions tell.
    fn choices(&self, set: &TrainingSet, counts: &[f32]) -> Vec<Choice> {
        let mut asked: Vec<(usize, usize, usize)> = Vec::new();
        for (number, row) in set.histories.iter().enumerate() {
            let mut known = FxHashSet::default();
            let mut begins = 0;
            for session in sessions(row, SESSION_GAP_S) {
                for (place, entry) in session.iter().enumerate() {
                    let looked_or_carted = matches!(entry.meaning, EventMeaning::Viewed | EventMeaning::Carted);
                    if looked_or_carted
                        && known.insert((entry.item, entry.meaning == EventMeaning::Carted))
                        && begins > 0
                    {
                        asked.push((number, begins, begins + place));
                    }
                }
                begins += session.len();
            }
        }
        let step = asked.len().div_ceil(CHOICES).max(1);
        let chosen = asked.into_iter().step_by(step);
        chosen
            .filter_map(|(row, begins, place)| self.choice(set, counts, set.histories.row(row), begins, place))
            .collect()
    }

    fn choice(
        &self,
        set: &TrainingSet,
        counts: &[f32],
        row: &[Interaction],
        begins: usize,
        place: usize,
    ) -> Option<Choice> {
        let chosen = row[place].item;
        let profile = self.profile(row[begins.saturating_sub(HISTORY)..begins].iter(), &[]);
        let category = self.state.wares.places.get(chosen as usize)?.category;
        let members = self.members.get(&category)?;
        let others: Vec<u32> =
            members.iter().copied().filter(|item| *item != chosen && !profile.items.contains_key(item)).collect();
        if profile.items.contains_key(&chosen) || others.is_empty() {
            return None;
        }
        let step = others.len().div_ceil(RIVALS);
        let mut own: FxHashMap<u32, f32> = FxHashMap::default();
        for entry in row {
            *own.entry(entry.item).or_default() += count_of(entry, set.now_s, &self.state.settings);
        }
        let mut choice = Choice { chosen: 0, leanings: Vec::new(), offsets: Vec::new() };
        for item in std::iter::once(chosen).chain(others.into_iter().step_by(step)) {
            // Without what this very person added to it.
            let count = counts[item as usize].max(f32::MIN_POSITIVE);
            let of_others = 1.0 - own.get(&item).copied().unwrap_or(0.0).min(count) / count;
            choice.offsets.push((self.state.rates[item as usize] * of_others + UNKNOWN_RATE).ln());
            let start = choice.leanings.len();
            choice.leanings.resize(start + self.state.weights.len(), 0.0);
            self.write_leanings(&profile, item as usize, &mut choice.leanings[start..]);
        }
        Some(choice)
    }
}

/// A product that was chosen among others of its category.
#[derive(Debug)]
struct Choice {
    chosen: usize,
    /// A row a product.
    leanings: Vec<f32>,
    /// Logarithms of what they are without leanings.
    offsets: Vec<f32>,
}

impl Choice {
    /// How likely each is to be chosen.
    fn shares(&self, weights: &[f32]) -> Vec<f32> {
        let rows = self.leanings.chunks_exact(weights.len());
        let logits = rows.zip(&self.offsets).map(|(row, offset)| offset + weighed(row, weights));
        let mut shares: Vec<f32> = logits.collect();
        let largest = shares.iter().copied().fold(f32::MIN, f32::max);
        shares.iter_mut().for_each(|share| *share = (*share - largest).exp());
        let total: f32 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= total);
        shares
    }
}
