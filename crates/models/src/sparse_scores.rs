//! Scores of the few items a query touches, as the models that follow lists give them.

use std::cell::RefCell;

use merx_numeric::top_k::TopK;

use crate::{Contribution, OpenQuery, Scored};

/// Stands where nothing was added.
const UNTOUCHED: f32 = f32::NEG_INFINITY;
/// Tables that a thread keeps from query to query: as many as the lists of one blend take.
const SPARE_TABLES: usize = 8;

thread_local! {
    static SPARE: RefCell<Vec<Table>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug, Default)]
struct Table {
    /// By item; `UNTOUCHED` but for the items in `touched`.
    scores: Vec<f32>,
    touched: Vec<u32>,
}

/// Sums of scores by item; an item never added to scores 0. The table behind it serves the next query again, so that a query
/// costs what its lists hold and not what the catalogue holds.
#[derive(Debug)]
pub(crate) struct SparseScores {
    table: Table,
}

impl SparseScores {
    pub(crate) fn new(item_count: usize) -> Self {
        let mut table = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
        if table.scores.len() < item_count {
            table.scores.resize(item_count, UNTOUCHED);
        }
        Self { table }
    }

    /// `item` must be below the number of items.
    #[inline]
    pub(crate) fn add(&mut self, item: u32, score: f32) {
        let sum = &mut self.table.scores[item as usize];
        if *sum == UNTOUCHED {
            *sum = 0.0;
            self.table.touched.push(item);
        }
        *sum += score;
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, f32)> {
        self.table.touched.iter().map(|item| (*item, self.table.scores[*item as usize]))
    }

    pub(crate) fn get(&self, item: u32) -> f32 {
        self.table.scores.get(item as usize).copied().filter(|score| *score != UNTOUCHED).unwrap_or(0.0)
    }
}

impl Drop for SparseScores {
    fn drop(&mut self) {
        let mut table = std::mem::take(&mut self.table);
        table.touched.drain(..).for_each(|item| table.scores[item as usize] = UNTOUCHED);
        // A thread that ends has no place for spare tables any more.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_TABLES {
                spare.push(table);
            }
        });
    }
}

/// An open query whose scores were all computed when it was opened. `explain` is asked for one item at a time.
pub(crate) struct OpenSparse<E> {
    pub(crate) scores: SparseScores,
    pub(crate) explain: E,
}

impl<E: Fn(u32, usize) -> Vec<Contribution>> OpenQuery for OpenSparse<E> {
    fn candidates(&mut self, limit: usize, out: &mut Vec<Scored>) {
        let mut best = TopK::new(limit);
        for (item, score) in self.scores.iter() {
            if score > 0.0 {
                best.offer(item, score);
            }
        }
        best.shrink();
        out.extend(best.kept().iter().take(limit).map(|hit| Scored { item: hit.index, score: hit.score }));
    }

    fn score(&mut self, items: &[u32], out: &mut [f32]) {
        for (&item, out) in items.iter().zip(out) {
            *out = self.scores.get(item);
        }
    }

    fn score_all(&mut self, out: &mut [f32]) {
        out.fill(0.0);
        for (item, score) in self.scores.iter() {
            if let Some(place) = out.get_mut(item as usize) {
                *place = score;
            }
        }
    }

    fn explain(&mut self, item: u32, limit: usize) -> Vec<Contribution> {
        (self.explain)(item, limit)
    }
}
