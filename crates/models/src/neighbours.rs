//! For each item, the items that stand in the same histories: lists of bounded length, and the scores they add up to.
//!
//! Item kNN, the graph filter and EASE differ in the weight between two items only; this is what they share.

use merx_numeric::sparse::SparseRows;
use merx_numeric::top_k::{Hit, TopK};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::sparse_scores::SparseScores;
use crate::strength::contributions;
use crate::{Contribution, OpenQuery, Query, Scored};

/// Items whose lists one task makes.
const ITEMS_PER_TASK: usize = 64;
/// A history of more items says little about each pair, and its pairs are too many: it is left out of the count.
const LONGEST_HISTORY: usize = 2_000;

/// A list of weighted items for each item. An entry's score for an item is its strength times the weight in its list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Neighbours {
    /// The list of item `i` is `items[offsets[i]..offsets[i + 1]]`, with the weights at the same places.
    offsets: Vec<u32>,
    items: Vec<u32>,
    weights: Vec<f32>,
}

impl Neighbours {
    pub(crate) fn from_lists(lists: impl IntoIterator<Item = Vec<Hit>>) -> Self {
        let mut neighbours = Self { offsets: vec![0], items: Vec::new(), weights: Vec::new() };
        for list in lists {
            neighbours.items.extend(list.iter().map(|hit| hit.index));
            neighbours.weights.extend(list.iter().map(|hit| hit.score));
            neighbours.offsets.push(neighbours.items.len() as u32);
        }
        neighbours
    }

    /// Counts items that stand in one history, and keeps the `limit` largest weights of each item's list.
    ///
    /// `by_subject` has a row a history and a column an item, `by_item` is its transpose, with the values the second item
    /// of a pair brings in; `weight(from, to, sum)` makes the weight of a pair from the sum over histories.
    pub(crate) fn from_co_occurrence(
        by_subject: &SparseRows,
        by_item: &SparseRows,
        limit: usize,
        weight: impl Fn(usize, usize, f32) -> f32 + Sync,
    ) -> Self {
        let item_count = by_item.rows();
        let tasks = item_count.div_ceil(ITEMS_PER_TASK);
        let lists: Vec<Vec<Vec<Hit>>> = (0..tasks)
            .into_par_iter()
            .map_init(
                || (vec![0.0f32; item_count], Vec::new()),
                |(sums, touched), task| {
                    let items = task * ITEMS_PER_TASK..((task + 1) * ITEMS_PER_TASK).min(item_count);
                    items
                        .map(|item| {
                            add_up_pairs(by_subject, by_item.row(item), sums, touched);
                            let mut best = TopK::new(limit);
                            for other in touched.drain(..) {
                                let sum = std::mem::take(&mut sums[other as usize]);
                                if other as usize != item {
                                    best.offer(other, weight(item, other as usize, sum));
                                }
                            }
                            best.drain_sorted()
                        })
                        .collect()
                },
            )
            .collect();
        Self::from_lists(lists.into_iter().flatten())
    }

    pub(crate) fn item_count(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether offsets ascend to the end of the lists and all items exist: true of what was saved whole.
    pub(crate) fn is_sound(&self) -> bool {
        let ends = (self.offsets.first(), self.offsets.last().map(|&end| end as usize));
        ends == (Some(&0), Some(self.items.len()))
            && self.offsets.is_sorted()
            && self.items.len() == self.weights.len()
            && self.items.iter().all(|&item| (item as usize) < self.item_count())
    }

    pub(crate) fn list(&self, item: u32) -> (&[u32], &[f32]) {
        let range = self.offsets[item as usize] as usize..self.offsets[item as usize + 1] as usize;
        (&self.items[range.clone()], &self.weights[range])
    }

    /// Opens a query whose entries are `entries`, items with the factor of their lists.
    pub(crate) fn open<'a>(&'a self, query: &Query<'a>, entries: Vec<(u32, f32)>) -> OpenNeighbours<'a> {
        let mut sums = SparseScores::new(self.item_count());
        for &(entry, factor) in &entries {
            let (items, weights) = self.list(entry);
            items.iter().zip(weights).for_each(|(item, weight)| sums.add(*item, factor * weight));
        }
        OpenNeighbours { neighbours: self, query: *query, entries, sums }
    }
}

/// Adds to `sums` what each other item has in common with the item of this row of `by_item`; `touched` gets the items.
fn add_up_pairs(
    by_subject: &SparseRows,
    (subjects, values): (&[u32], &[f32]),
    sums: &mut [f32],
    touched: &mut Vec<u32>,
) {
    for (&subject, &value) in subjects.iter().zip(values) {
        if by_subject.row_len(subject as usize) > LONGEST_HISTORY {
            continue;
        }
        let (items, others) = by_subject.row(subject as usize);
        for (&item, &other) in items.iter().zip(others) {
            let sum = &mut sums[item as usize];
            if *sum == 0.0 {
                touched.push(item);
            }
            *sum += value * other;
        }
    }
}

pub(crate) struct OpenNeighbours<'a> {
    neighbours: &'a Neighbours,
    query: Query<'a>,
    entries: Vec<(u32, f32)>,
    sums: SparseScores,
}

impl OpenNeighbours<'_> {
    pub(crate) fn score_of(&self, item: u32) -> f32 {
        self.sums.get(item)
    }

    /// What each entry adds to the score of an item.
    pub(crate) fn shares(&self, item: u32) -> impl Iterator<Item = (u32, f32)> {
        self.entries.iter().filter_map(move |&(entry, factor)| {
            let (items, weights) = self.neighbours.list(entry);
            let place = items.iter().position(|other| *other == item)?;
            Some((entry, factor * weights[place]))
        })
    }
}

impl OpenQuery for OpenNeighbours<'_> {
    fn candidates(&mut self, limit: usize, out: &mut Vec<Scored>) {
        self.candidates_without(&[], limit, out);
    }

    fn candidates_without(&mut self, skipped: &[u32], limit: usize, out: &mut Vec<Scored>) {
        let mut best = TopK::new(limit);
        for (item, score) in self.sums.iter() {
            if score >= best.threshold() && skipped.binary_search(&item).is_err() {
                best.offer(item, score);
            }
        }
        out.extend(best.drain_sorted().into_iter().map(|hit| Scored { item: hit.index, score: hit.score }));
    }

    fn score(&mut self, items: &[u32], out: &mut [f32]) {
        for (&item, out) in items.iter().zip(out) {
            *out = self.score_of(item);
        }
    }

    fn score_all(&mut self, out: &mut [f32]) {
        out.fill(0.0);
        for (item, score) in self.sums.iter() {
            if let Some(place) = out.get_mut(item as usize) {
                *place = score;
            }
        }
    }

    fn explain(&mut self, item: u32, limit: usize) -> Vec<Contribution> {
        contributions(&self.query, self.shares(item), limit)
    }
}
