//! The catalogue as one request sees it, what it answered, and the same answers given again.

use std::cell::RefCell;
use std::sync::OnceLock;

use merx_domain::{Blocked, Fact, Filter, FilterError, MarketId, PreparedFilter, ProductNumber, Shelf, TimestampMs};
use serde::{Deserialize, Serialize};

use crate::catalogue::{CatalogueEntry, CatalogueReader};

/// What a boost looks at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BoostField {
    /// (price - cost) / price.
    Margin,
    /// 1 with plenty of stock, towards 0 with the last units.
    Stock,
    /// 1 for a product of today, halved every thirty days.
    Newness,
    /// 1 where the filter matches, else 0: provenance, sustainability, a brand.
    Matches(Filter),
}

impl BoostField {
    /// As requests, configuration and experiments write it: `margin`, `stock`, `newness` or a filter.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        match text {
            "margin" => Ok(Self::Margin),
            "stock" => Ok(Self::Stock),
            "newness" => Ok(Self::Newness),
            filter => Filter::parse(filter).map(Self::Matches),
        }
    }
}

/// Multiplies scores by `1 + strength x value`, value from 0 to 1; a negative strength buries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Boost {
    pub field: BoostField,
    /// -1 to 10.
    pub strength: f32,
}

/// The rules of one slot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SlotRules {
    pub filter: Option<Filter>,
    pub boosts: Vec<Boost>,
}

/// The live catalogue under the rules of a request.
pub struct RequestShelf<'a> {
    catalogue: CatalogueReader<'a>,
    market: MarketId,
    now: TimestampMs,
    slots: Vec<SlotRules>,
    /// The slots' filters, once they are asked for.
    filters: OnceLock<Vec<Option<PreparedFilter>>>,
    static_list: &'a [ProductNumber],
    /// By slot; empty or missing where a slot has none of its own.
    lists: Vec<Vec<ProductNumber>>,
}

impl<'a> RequestShelf<'a> {
    pub fn new(
        catalogue: CatalogueReader<'a>,
        market: MarketId,
        now: TimestampMs,
        slots: Vec<SlotRules>,
        static_list: &'a [ProductNumber],
    ) -> Self {
        Self { catalogue, market, now, slots, filters: OnceLock::new(), static_list, lists: Vec::new() }
    }

    /// Gives slots static lists of their own; a slot whose list is empty keeps the shop's.
    pub fn with_lists(self, lists: Vec<Vec<ProductNumber>>) -> Self {
        Self { lists, ..self }
    }

    /// Everything but the catalogue, to be asked again later.
    pub(crate) fn rest(&self) -> ShelfRest {
        ShelfRest {
            market: self.market.clone(),
            now: self.now,
            slots: self.slots.clone(),
            static_list: self.static_list.to_vec(),
            lists: self.lists.clone(),
        }
    }

    pub fn catalogue(&self) -> &CatalogueReader<'a> {
        &self.catalogue
    }

    pub fn rules(&self) -> &[SlotRules] {
        &self.slots
    }

    pub(crate) fn rules_mut(&mut self) -> &mut Vec<SlotRules> {
        self.filters.take();
        &mut self.slots
    }

    fn filter(&self, slot: usize) -> Option<&PreparedFilter> {
        let prepare = || self.slots.iter().map(|rules| rules.filter.as_ref().map(PreparedFilter::from)).collect();
        self.filters.get_or_init(prepare).get(slot)?.as_ref()
    }

    fn blocked(&self, entry: &CatalogueEntry, slot: usize) -> Option<Blocked> {
        if !entry.visible {
            return Some(Blocked::Hidden);
        }
        if !entry.sold_in(&self.market, self.now) {
            return Some(Blocked::NotSoldHere);
        }
        if entry.stock.is_some_and(|stock| stock <= 0) {
            return Some(Blocked::OutOfStock);
        }
        let filter = self.filter(slot)?;
        let passes = filter.matches(&|field| entry.values(field, &self.market));
        (!passes).then_some(Blocked::Filtered)
    }

    fn boost(&self, entry: &CatalogueEntry, rules: Option<&SlotRules>) -> f32 {
        let boosts = rules.map_or(&[][..], |rules| &rules.boosts);
        boosts.iter().fold(1.0, |factor, boost| {
            let value = match &boost.field {
                BoostField::Margin => entry.margin(&self.market),
                BoostField::Stock => {
                    entry.stock.map_or(1.0, |stock| stock.max(0) as f32 / (stock.max(0) as f32 + 10.0))
                }
                BoostField::Newness => {
                    let age_days = self.now.since(entry.created_at) as f32 / merx_domain::DAY_MS as f32;
                    (-age_days / 30.0).exp2()
                }
                BoostField::Matches(filter) => {
                    f32::from(u8::from(filter.matches(&|field| entry.values(field, &self.market))))
                }
            };
            factor * (1.0 + boost.strength * value).max(0.0)
        })
    }
}

impl Shelf for RequestShelf<'_> {
    fn fact(&self, slot: usize, product: ProductNumber) -> Fact {
        let Some(entry) = self.catalogue.entry(product) else { return Fact::blocked(Blocked::Unknown) };
        let rules = self.slots.get(slot);
        Fact {
            blocked: self.blocked(entry, slot),
            boost: self.boost(entry, rules),
            price_minor: entry.price(&self.market).map_or(0, |price| price.minor),
            created_at: entry.created_at,
        }
    }

    fn listing(&self, slot: usize, limit: usize) -> Vec<ProductNumber> {
        let rules = self.slots.get(slot);
        let filter = rules.and_then(|rules| rules.filter.as_ref());
        self.catalogue
            .newest_first(filter)
            .filter(|(_, entry)| self.blocked(entry, slot).is_none())
            .map(|(product, _)| product)
            .take(limit)
            .collect()
    }

    fn static_list(&self, slot: usize) -> Vec<ProductNumber> {
        let own = self.lists.get(slot).filter(|list| !list.is_empty());
        own.map_or(self.static_list, Vec::as_slice).to_vec()
    }
}

/// A shelf without its catalogue.
pub(crate) struct ShelfRest {
    market: MarketId,
    now: TimestampMs,
    slots: Vec<SlotRules>,
    static_list: Vec<ProductNumber>,
    lists: Vec<Vec<ProductNumber>>,
}

impl ShelfRest {
    /// As the catalogue is now.
    pub(crate) fn shelf<'a>(&'a self, catalogue: CatalogueReader<'a>) -> RequestShelf<'a> {
        let shelf = RequestShelf::new(catalogue, self.market.clone(), self.now, self.slots.clone(), &self.static_list);
        shelf.with_lists(self.lists.clone())
    }
}

/// Every answer that a shelf gave, in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ShelfTrace {
    pub facts: Vec<(u8, ProductNumber, Fact)>,
    pub listings: Vec<Vec<ProductNumber>>,
}

/// Passes questions on and writes the answers down.
pub struct RecordingShelf<'a, S: Shelf> {
    shelf: &'a S,
    trace: RefCell<ShelfTrace>,
}

impl<'a, S: Shelf> RecordingShelf<'a, S> {
    pub fn new(shelf: &'a S) -> Self {
        Self { shelf, trace: RefCell::default() }
    }

    pub fn into_trace(self) -> ShelfTrace {
        self.trace.into_inner()
    }
}

impl<S: Shelf> Shelf for RecordingShelf<'_, S> {
    fn fact(&self, slot: usize, product: ProductNumber) -> Fact {
        let fact = self.shelf.fact(slot, product);
        self.trace.borrow_mut().facts.push((slot as u8, product, fact));
        fact
    }

    fn listing(&self, slot: usize, limit: usize) -> Vec<ProductNumber> {
        let listing = self.shelf.listing(slot, limit);
        self.trace.borrow_mut().listings.push(listing.clone());
        listing
    }

    fn static_list(&self, slot: usize) -> Vec<ProductNumber> {
        let list = self.shelf.static_list(slot);
        self.trace.borrow_mut().listings.push(list.clone());
        list
    }
}

/// Gives recorded answers again. An engine that asks something else than it asked then shows in [`Self::problem`].
pub struct ReplayShelf<'a> {
    trace: &'a ShelfTrace,
    next_fact: RefCell<usize>,
    next_listing: RefCell<usize>,
    problem: RefCell<Option<String>>,
}

impl<'a> ReplayShelf<'a> {
    pub fn new(trace: &'a ShelfTrace) -> Self {
        Self { trace, next_fact: RefCell::new(0), next_listing: RefCell::new(0), problem: RefCell::new(None) }
    }

    pub fn problem(&self) -> Option<String> {
        self.problem.borrow().clone()
    }

    fn next_listing(&self) -> Vec<ProductNumber> {
        let mut next = self.next_listing.borrow_mut();
        let listing = self.trace.listings.get(*next);
        *next += 1;
        listing.cloned().unwrap_or_else(|| {
            self.complain(format!("listing {} was not recorded", *next - 1));
            Vec::new()
        })
    }

    fn complain(&self, problem: String) {
        self.problem.borrow_mut().get_or_insert(problem);
    }
}

impl Shelf for ReplayShelf<'_> {
    fn fact(&self, slot: usize, product: ProductNumber) -> Fact {
        let mut next = self.next_fact.borrow_mut();
        match self.trace.facts.get(*next) {
            Some((recorded_slot, recorded, fact)) if *recorded == product && usize::from(*recorded_slot) == slot => {
                *next += 1;
                *fact
            }
            other => {
                self.complain(format!(
                    "question {next} was for {other:?}, now for product {} of slot {slot}",
                    product.0
                ));
                Fact::blocked(Blocked::Unknown)
            }
        }
    }

    fn listing(&self, _slot: usize, _limit: usize) -> Vec<ProductNumber> {
        self.next_listing()
    }

    fn static_list(&self, _slot: usize) -> Vec<ProductNumber> {
        self.next_listing()
    }
}
