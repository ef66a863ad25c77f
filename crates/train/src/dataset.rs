//! The training set of recommenders, by replay of the log.

use std::collections::BTreeMap;

use merx_domain::{
    AttributeValue, DAY_MS, Event, EventMeaning, MarketId, Product, ProductId, ProductNumber, Purposes, SubjectId,
    TimestampMs,
};
use merx_models::{Interaction, Interactions, ItemContent, TrainingSet};
use rustc_hash::FxHashMap;

/// A history longer than this keeps its newest entries: a crawler must not outweigh a thousand shoppers.
const MAX_HISTORY: usize = 1_000;
/// Baskets larger than this teach nothing about what belongs together.
const MAX_BASKET: usize = 200;
/// Markets that are told apart.
const MAX_MARKETS: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DatasetSettings {
    /// Events after it are left out.
    pub now: TimestampMs,
    /// How far back from the newest event the set reaches: an imported history ends where it ends, not today.
    pub window_days: u32,
}

/// Takes events in log order, gives a set. Rows are ordered by subject, so that the same log gives the same set.
pub struct DatasetBuilder<'a> {
    settings: DatasetSettings,
    number: &'a dyn Fn(&ProductId) -> Option<ProductNumber>,
    histories: BTreeMap<SubjectId, Vec<Interaction>>,
    /// Where a subject was seen last, as a place in `market_names`.
    markets: FxHashMap<SubjectId, u16>,
    market_names: Vec<MarketId>,
    /// Who a merged subject has become.
    merged: FxHashMap<SubjectId, SubjectId>,
    baskets: Vec<Vec<Interaction>>,
    events: u64,
    newest: TimestampMs,
}

impl<'a> DatasetBuilder<'a> {
    pub fn new(settings: DatasetSettings, number: &'a dyn Fn(&ProductId) -> Option<ProductNumber>) -> Self {
        Self {
            settings,
            number,
            histories: BTreeMap::new(),
            markets: FxHashMap::default(),
            market_names: Vec::new(),
            merged: FxHashMap::default(),
            baskets: Vec::new(),
            events: 0,
            newest: TimestampMs(i64::MIN),
        }
    }

    pub fn add(&mut self, event: &Event) {
        if let Some(from) = event.merged_from
            && from != event.subject
        {
            self.merge(from, event.subject);
        }
        if !self.may_learn_from(event) {
            return;
        }
        let meaning = event.kind.meaning();
        let teaches = matches!(meaning, EventMeaning::Viewed | EventMeaning::Carted | EventMeaning::Purchased);
        if !teaches || event.lines.is_empty() || event.occurred_at > self.settings.now {
            return;
        }
        self.newest = self.newest.max(event.occurred_at);
        let subject = self.current(event.subject);
        let at_s = event.occurred_at.seconds();
        let entries: Vec<Interaction> = event
            .lines
            .iter()
            .filter_map(|line| (self.number)(&line.product))
            .map(|number| Interaction { item: number.0, at_s, meaning })
            .collect();
        if meaning == EventMeaning::Purchased && (2..=MAX_BASKET).contains(&entries.len()) {
            self.baskets.push(entries.clone());
        }
        self.histories.entry(subject).or_default().extend(entries);
        if let Some(market) = self.market(&event.context.market) {
            self.markets.insert(subject, market);
        }
        self.events += 1;
    }

    /// A person who refuses to be known takes their history along; what they do after a later yes counts again.
    fn may_learn_from(&mut self, event: &Event) -> bool {
        let subject = self.current(event.subject);
        if event.consent.denied.contains(Purposes::PERSONALISATION) {
            self.histories.remove(&subject);
            self.markets.remove(&subject);
            return false;
        }
        true
    }

    /// A market's number, in the order of first mention. More markets than there are numbers are told apart no more.
    fn market(&mut self, id: &MarketId) -> Option<u16> {
        let known = self.market_names.iter().position(|known| known == id);
        let place = known.unwrap_or_else(|| {
            self.market_names.push(id.clone());
            self.market_names.len() - 1
        });
        self.market_names.truncate(MAX_MARKETS);
        u16::try_from(place).ok().filter(|_| place < MAX_MARKETS)
    }

    /// The newest event that teaches; the clock where there is none.
    pub fn window_until(&self) -> TimestampMs {
        if self.events == 0 { self.settings.now } else { self.newest }
    }

    pub fn window_from(&self) -> TimestampMs {
        self.window_until().plus_ms(-i64::from(self.settings.window_days) * DAY_MS)
    }

    /// Events that taught something.
    pub fn events(&self) -> u64 {
        self.events
    }

    pub fn build(self, item_count: usize, content: ItemContent) -> TrainingSet {
        let from_s = self.window_from().seconds();
        let mut histories = Interactions::new();
        let mut markets = Vec::new();
        for (subject, mut row) in self.histories {
            row.retain(|entry| entry.at_s >= from_s);
            row.sort_by_key(|entry| entry.at_s);
            let newest = row.len().saturating_sub(MAX_HISTORY);
            if !row.is_empty() {
                histories.push_row(row.drain(newest..));
                markets.push(self.markets.get(&subject).copied().unwrap_or(0));
            }
        }
        let mut baskets = Interactions::new();
        for basket in self.baskets.into_iter().filter(|basket| basket.iter().all(|entry| entry.at_s >= from_s)) {
            baskets.push_row(basket);
        }
        let now_s = self.newest.seconds();
        TrainingSet { item_count, histories, markets, market_names: self.market_names, baskets, content, now_s }
    }

    fn current(&self, mut subject: SubjectId) -> SubjectId {
        // Chains are short; the bound keeps a damaged log from looping.
        for _ in 0..16 {
            match self.merged.get(&subject) {
                Some(next) => subject = *next,
                None => break,
            }
        }
        subject
    }

    fn merge(&mut self, from: SubjectId, into: SubjectId) {
        let (from, into) = (self.current(from), self.current(into));
        if from == into {
            return;
        }
        self.merged.insert(from, into);
        if let Some(row) = self.histories.remove(&from) {
            self.histories.entry(into).or_default().extend(row);
        }
        if let Some(market) = self.markets.remove(&from) {
            self.markets.entry(into).or_insert(market);
        }
    }
}

/// What products are, as tokens: category levels, brand, attributes and the words of the name.
pub fn content<'p>(products: impl IntoIterator<Item = (ProductNumber, &'p Product)>, item_count: usize) -> ItemContent {
    let mut content = ItemContent {
        tokens: vec![Vec::new(); item_count],
        token_names: Vec::new(),
        price_minor: vec![0; item_count],
        since_s: vec![0; item_count],
    };
    let mut ids: FxHashMap<String, u32> = FxHashMap::default();
    for (number, product) in products {
        let Some(tokens) = content.tokens.get_mut(number.index()) else { continue };
        for name in token_names(product) {
            let next = content.token_names.len() as u32;
            let id = *ids.entry(name).or_insert_with_key(|name| {
                content.token_names.push(name.clone());
                next
            });
            tokens.push(id);
        }
        tokens.sort_unstable();
        tokens.dedup();
        let prices = product.variants.iter().flat_map(|variant| &variant.prices);
        content.since_s[number.index()] = product.created_at.seconds();
        content.price_minor[number.index()] = prices.map(|price| price.amount.minor).min().unwrap_or(0);
    }
    content
}

fn token_names(product: &Product) -> Vec<String> {
    let mut names: Vec<String> =
        product.category_path.iter().map(|level| format!("category={}", level.to_lowercase())).collect();
    names.extend(product.brand.iter().map(|brand| format!("brand={}", brand.to_lowercase())));
    for (name, value) in &product.attributes {
        match value {
            AttributeValue::Text(value) => names.push(format!("{name}={}", value.to_lowercase())),
            AttributeValue::List(values) => {
                names.extend(values.iter().map(|value| format!("{name}={}", value.to_lowercase())));
            }
            AttributeValue::Flag(true) => names.push(name.to_string()),
            AttributeValue::Flag(false) | AttributeValue::Number(_) => {}
        }
    }
    let words = product.name.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() > 1);
    names.extend(words.map(str::to_lowercase));
    names
}

#[cfg(test)]
mod tests {
    use merx_domain::{EventId, EventKind};

    use super::*;

    fn number(id: &ProductId) -> Option<ProductNumber> {
        id.as_str().strip_prefix('p')?.parse().ok().map(ProductNumber)
    }

    fn event(subject: u128, kind: EventKind, day: i64, products: &[&str]) -> Event {
        let at = TimestampMs(day * DAY_MS);
        let event = Event::new(EventId(day as u128), SubjectId(subject), kind, at);
        products.iter().fold(event, |event, id| event.with_product(ProductId::new(id).unwrap()))
    }

    #[test]
    fn the_past_of_a_merged_subject_counts_for_the_other() {
        let settings = DatasetSettings { now: TimestampMs(100 * DAY_MS), window_days: 50 };
        let mut builder = DatasetBuilder::new(settings, &number);
        builder.add(&event(1, EventKind::ProductViewed, 10, &["p0"])); // older than the window: 53 days before the newest
        builder.add(&event(1, EventKind::ProductViewed, 60, &["p1"]));
        builder.add(&event(2, EventKind::OrderCompleted, 61, &["p2", "p3", "unknown"]));
        let mut alias = event(2, EventKind::Alias, 62, &[]);
        alias.merged_from = Some(SubjectId(1));
        builder.add(&alias);
        builder.add(&event(1, EventKind::ProductViewed, 63, &["p4"]));
        builder.add(&event(2, EventKind::ProductViewed, 101, &["p5"]));
        assert_eq!(builder.window_until(), TimestampMs(63 * DAY_MS));
        let set = builder.build(6, ItemContent::default());
        assert_eq!(set.histories.rows(), 1);
        let items: Vec<u32> = set.histories.row(0).iter().map(|entry| entry.item).collect();
        assert_eq!(items, [1, 2, 3, 4], "older than the window and newer than now are left out");
        assert_eq!(set.baskets.rows(), 1);
    }

    #[test]
    fn nothing_is_learnt_from_somebody_who_refuses() {
        let settings = DatasetSettings { now: TimestampMs(100 * DAY_MS), window_days: 50 };
        let mut builder = DatasetBuilder::new(settings, &number);
        let mut view = |subject, day, product: &str, denied| {
            let mut event = event(subject, EventKind::ProductViewed, day, &[product]);
            event.consent.denied = denied;
            builder.add(&event);
        };
        let (silence, no) = (Purposes::empty(), Purposes::PERSONALISATION);
        view(1, 60, "p1", silence);
        view(1, 61, "p2", no);
        view(2, 60, "p1", Purposes::MARKETING);
        view(3, 60, "p1", no);
        view(3, 62, "p3", silence);
        let set = builder.build(4, ItemContent::default());
        let rows: Vec<Vec<u32>> = (0..set.histories.rows())
            .map(|row| set.histories.row(row).iter().map(|entry| entry.item).collect())
            .collect();
        assert_eq!(rows, [[1], [3]], "the first took theirs along, the third said yes later");
    }

    #[test]
    fn a_row_has_the_market_where_its_subject_was_last() {
        let settings = DatasetSettings { now: TimestampMs(100 * DAY_MS), window_days: 50 };
        let mut builder = DatasetBuilder::new(settings, &number);
        let mut view = |subject, day, market: &str| {
            let mut event = event(subject, EventKind::ProductViewed, day, &["p1"]);
            event.context.market = MarketId::new(market).unwrap();
            builder.add(&event);
        };
        view(1, 60, "de");
        view(2, 61, "gb");
        view(1, 62, "gb");
        view(3, 63, "de");
        let set = builder.build(2, ItemContent::default());
        let names: Vec<&str> = (0..3).map(|row| set.market_names[usize::from(set.market_of(row))].as_str()).collect();
        assert_eq!(names, ["gb", "gb", "de"]);
    }
}
