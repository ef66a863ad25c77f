//! The training set of recommenders: who did what to which product, in order.

use merx_domain::{EventMeaning, MarketId};

/// One thing done to an item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interaction {
    pub item: u32,
    /// Seconds since 1970; where a source has only an order, its rank.
    pub at_s: i64,
    pub meaning: EventMeaning,
}

/// Rows (subjects, sessions or orders) of interactions, oldest first within a row.
#[derive(Debug, Clone, Default)]
pub struct Interactions {
    /// Row `r` is `entries[offsets[r]..offsets[r + 1]]`.
    offsets: Vec<usize>,
    entries: Vec<Interaction>,
}

impl Interactions {
    pub fn new() -> Self {
        Self { offsets: vec![0], entries: Vec::new() }
    }

    /// Adds a row; entries are sorted by time, equal times keep their order.
    pub fn push_row(&mut self, row: impl IntoIterator<Item = Interaction>) {
        if self.offsets.is_empty() {
            self.offsets.push(0);
        }
        let start = self.entries.len();
        self.entries.extend(row);
        self.entries[start..].sort_by_key(|entry| entry.at_s);
        self.offsets.push(self.entries.len());
    }

    pub fn rows(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn row(&self, row: usize) -> &[Interaction] {
        &self.entries[self.offsets[row]..self.offsets[row + 1]]
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[Interaction]> + Clone {
        (0..self.rows()).map(|row| self.row(row))
    }
}

/// What items are, apart from what people do with them: tokens of attributes and text, an item's tokens sorted.
/// Item ids and token ids are dense.
#[derive(Debug, Clone, Default)]
pub struct ItemContent {
    pub tokens: Vec<Vec<u32>>,
    pub token_names: Vec<String>,
    /// Price level in minor units, 0 where unknown.
    pub price_minor: Vec<i64>,
    /// Seconds since 1970 from when on it was there; empty where nobody knows.
    pub since_s: Vec<i64>,
}

/// Everything a recommender may learn from.
#[derive(Debug, Clone, Default)]
pub struct TrainingSet {
    pub item_count: usize,
    /// A row a subject (or a session, where the source knows no subjects).
    pub histories: Interactions,
    /// The market of each row of `histories`, a small number; empty where there is one.
    pub markets: Vec<u16>,
    /// Which market a number stands for; empty where there is one.
    pub market_names: Vec<MarketId>,
    /// A row an order; empty where there are none.
    pub baskets: Interactions,
    pub content: ItemContent,
    /// Seconds since 1970 at which training "now" stands: ages and decays count from here.
    pub now_s: i64,
}

impl TrainingSet {
    /// The market of a row of `histories`.
    pub fn market_of(&self, row: usize) -> u16 {
        self.markets.get(row).copied().unwrap_or(0)
    }
}
