//! What a search filters, counts and sorts by: the facts of every product in columns, changed in place.
//!
//! Prices, stock and visibility change from one second to the next; they are read here at every search, never from the
//! text index.

mod column;
mod facets;
mod predicate;
mod price;

pub use facets::{FacetCounts, FacetRequest, FacetValueCount, Found, NumberStatistics, Spread, text_of};
pub use predicate::Predicate;

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use compact_str::CompactString;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use merx_domain::{
    AttributeValue, FilterValue, MarketAvailability, MarketId, Money, Product, ProductId, ProductNumber, ProductStatus,
    TimestampMs,
};
use rustc_hash::FxBuildHasher;

use column::Column;
use price::PriceColumns;

/// What of a product isn't counted as a facet of few values. There are as many as products, so each byte counts.
#[derive(Debug, Clone)]
pub struct Row {
    pub id: ProductId,
    pub name: Box<str>,
    /// In a box, so that a row holds one word for it and not two.
    availability: Arc<Box<[MarketAvailability]>>,
    /// Units over all variants and locations; [`UNTRACKED`] where nobody counts them.
    stock: i64,
    /// Cost in major units, not a number where unknown.
    cost: f32,
    visible: bool,
}

const UNTRACKED: i64 = i64::MIN;

impl Row {
    fn new(product: &Product, availability: Arc<Box<[MarketAvailability]>>, stock: Option<i64>) -> Self {
        let cost = product.variants.iter().filter_map(|variant| variant.cost).min_by_key(|cost| cost.minor);
        Self {
            id: product.id.clone(),
            name: product.name.as_str().into(),
            availability,
            stock: stock.unwrap_or(UNTRACKED),
            cost: cost.map_or(f32::NAN, |cost| cost.major_f64() as f32),
            visible: product.status == ProductStatus::Visible,
        }
    }

    fn sold_in(&self, market: &MarketId, now: TimestampMs) -> bool {
        let holds = |rule: &MarketAvailability| {
            let begun = rule.from.is_none_or(|from| from <= now);
            rule.sold && rule.market == *market && begun && rule.until.is_none_or(|until| now < until)
        };
        self.availability.is_empty() || self.availability.iter().any(holds)
    }

    fn stock(&self) -> Option<i64> {
        Some(self.stock).filter(|stock| *stock != UNTRACKED)
    }

    pub fn in_stock(&self) -> bool {
        self.stock().is_none_or(|stock| stock > 0)
    }

    /// 1 with plenty of stock, towards 0 with the last units.
    pub fn plenty(&self) -> f32 {
        self.stock().map_or(1.0, |stock| stock.max(0) as f32 / (stock.max(0) as f32 + 10.0))
    }
}

/// Who looks, and when: prices and availability hang on it.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub market: &'a MarketId,
    pub now: TimestampMs,
}

/// Fields that can be filtered, counted and sorted by: those of the filter language, `category.lvl0`, `category.lvl1` .. with
/// the whole path down to that level, and `stock`.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    rows: Vec<Option<Row>>,
    /// By product: the code of what is known of its being shown without a look at its row.
    shown: Vec<u8>,
    /// Markets, and which of them products are sold in, a bit each: few combinations stand for all products.
    markets: Vec<MarketId>,
    sold_in: Vec<u64>,
    /// Rules of availability that many products share, the first ones met.
    availabilities: Vec<Arc<Box<[MarketAvailability]>>>,
    /// By product: how wanted it is among all, 0 to 1, and when it came.
    popularity: Vec<f32>,
    created_at: Vec<TimestampMs>,
    prices: PriceColumns,
    /// By the id that stands in the row.
    numbers: HashTable<ProductNumber>,
    /// `brand`, `category`, `category.lvl0` .., `attributes.NAME`.
    columns: BTreeMap<CompactString, Column>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// There is no such product.
    Gone,
    /// Hidden or sold out.
    Never,
    Everywhere,
    /// By market and time.
    Depends,
    /// In the markets of this place of `sold_in`.
    Sold(u8),
}

impl Shown {
    const GONE: u8 = 0;
    /// Codes from this on are places of `sold_in`.
    const FIRST_SOLD: u8 = 4;

    fn code(self) -> u8 {
        match self {
            Self::Gone => Self::GONE,
            Self::Never => 1,
            Self::Everywhere => 2,
            Self::Depends => 3,
            Self::Sold(place) => Self::FIRST_SOLD + place,
        }
    }

    fn of(code: u8) -> Self {
        match code {
            Self::GONE => Self::Gone,
            1 => Self::Never,
            2 => Self::Everywhere,
            3 => Self::Depends,
            sold => Self::Sold(sold - Self::FIRST_SOLD),
        }
    }
}

/// Between the levels of a path in the values of `category.lvl1` and deeper.
pub const PATH_SEPARATOR: &str = " > ";
/// Attributes with more names than these are a mistake of the feed: the rest isn't counted.
const MOST_COLUMNS: usize = 2_000;
/// Each product's rules are compared with these.
const MOST_SHARED: usize = 64;

impl Catalogue {
    pub fn put(&mut self, number: ProductNumber, product: &Product, stock: Option<i64>) {
        self.remove(number);
        if self.rows.len() <= number.index() {
            self.rows.resize(number.index() + 1, None);
        }
        let availability = self.availability(&product.availability);
        self.rows[number.index()] = Some(Row::new(product, availability, stock));
        let Self { numbers, rows, .. } = self;
        let id = |number: ProductNumber| rows.get(number.index())?.as_ref().map(|row| &row.id);
        let same = |known: &ProductNumber| id(*known) == Some(&product.id);
        let hash = |number: &ProductNumber| FxBuildHasher.hash_one(id(*number));
        match numbers.entry(hash(&number), same, hash) {
            // The same product under another number: the newer one holds.
            Entry::Occupied(mut known) => *known.get_mut() = number,
            Entry::Vacant(place) => {
                place.insert(number);
            }
        }
        let length = self.rows.len();
        self.popularity.resize(length, 0.0);
        self.created_at.resize(length, TimestampMs(0));
        self.created_at[number.index()] = product.created_at;
        self.prices.set(number, &lowest_prices(product));
        self.note_shown(number);
        for (field, values) in facet_values(product) {
            if self.columns.len() < MOST_COLUMNS || self.columns.contains_key(&field) {
                self.columns.entry(field).or_default().set(number, values);
            }
        }
    }

    fn availability(&mut self, rules: &[MarketAvailability]) -> Arc<Box<[MarketAvailability]>> {
        if let Some(known) = self.availabilities.iter().find(|known| known[..] == *rules) {
            return known.clone();
        }
        let new: Arc<Box<[MarketAvailability]>> = Arc::new(rules.into());
        if self.availabilities.len() < MOST_SHARED {
            self.availabilities.push(new.clone());
        }
        new
    }

    pub fn remove(&mut self, number: ProductNumber) {
        let Some(row) = self.rows.get_mut(number.index()).and_then(Option::take) else { return };
        let hash = FxBuildHasher.hash_one(Some(&row.id));
        if let Ok(known) = self.numbers.find_entry(hash, |known| *known == number) {
            known.remove();
        }
        self.prices.clear(number);
        self.note_shown(number);
        self.columns.values_mut().for_each(|column| column.clear(number));
    }

    pub fn set_stock(&mut self, number: ProductNumber, stock: Option<i64>) {
        if let Some(Some(row)) = self.rows.get_mut(number.index()) {
            row.stock = stock.unwrap_or(UNTRACKED);
        }
        self.note_shown(number);
    }

    fn note_shown(&mut self, number: ProductNumber) {
        let shown = match self.rows.get(number.index()).and_then(Option::as_ref) {
            Some(row) if row.visible && row.in_stock() => {
                shown_by(&row.availability, &mut self.markets, &mut self.sold_in)
            }
            Some(_) => Shown::Never,
            None => Shown::Gone,
        };
        if self.shown.len() <= number.index() {
            self.shown.resize(number.index() + 1, Shown::GONE);
        }
        self.shown[number.index()] = shown.code();
    }

    /// Whether shoppers may see a product now: visible, in stock, sold in their market.
    pub fn shown_to<'a>(&'a self, view: View<'a>) -> impl Fn(ProductNumber) -> bool + use<'a> {
        let market = self.markets.iter().position(|market| market == view.market).map_or(0, |place| 1_u64 << place);
        // Asked of millions of products: a code is looked up rather than read.
        let by_code: [Option<bool>; 256] = std::array::from_fn(|code| match Shown::of(code as u8) {
            Shown::Everywhere => Some(true),
            Shown::Sold(place) => Some(self.sold_in.get(usize::from(place)).is_some_and(|sold| sold & market != 0)),
            Shown::Depends => None,
            Shown::Never | Shown::Gone => Some(false),
        });
        move |number| {
            let code = self.shown.get(number.index()).copied().unwrap_or(Shown::GONE);
            by_code[usize::from(code)]
                .unwrap_or_else(|| self.row(number).is_some_and(|row| row.sold_in(view.market, view.now)))
        }
    }

    /// 1 for a product of today, halved every thirty days.
    pub fn newness(&self, number: ProductNumber, now: TimestampMs) -> f32 {
        let age_days = now.since(self.created_at(number)) as f32 / merx_domain::DAY_MS as f32;
        (-age_days / 30.0).exp2().min(1.0)
    }

    fn created_at(&self, number: ProductNumber) -> TimestampMs {
        self.created_at.get(number.index()).copied().unwrap_or_default()
    }

    #[inline]
    pub(super) fn exists(&self, number: ProductNumber) -> bool {
        self.shown.get(number.index()).is_some_and(|shown| *shown != Shown::GONE)
    }

    /// The numbers of all products, in order, without a look at their rows.
    pub fn numbers_of_all(&self) -> impl Iterator<Item = ProductNumber> {
        let numbered = (0u32..).zip(&self.shown);
        numbered.filter(|(_, shown)| **shown != Shown::GONE).map(|(number, _)| ProductNumber(number))
    }

    /// In major units.
    pub fn price(&self, number: ProductNumber, view: View<'_>) -> Option<f64> {
        self.prices.of_market(view.market).get(number)
    }

    /// (price - cost) / price, 0 where either is unknown.
    pub fn margin(&self, number: ProductNumber, view: View<'_>) -> f32 {
        match (self.price(number, view), self.row(number)) {
            (Some(price), Some(row)) if price > 0.0 && !row.cost.is_nan() => {
                ((price - f64::from(row.cost)) / price).clamp(0.0, 1.0) as f32
            }
            _ => 0.0,
        }
    }

    /// 0 to 1. Kept while the product changes.
    pub fn set_popularity(&mut self, number: ProductNumber, popularity: f32) {
        if let Some(known) = self.popularity.get_mut(number.index()) {
            *known = popularity;
        }
    }

    pub fn popularity(&self, number: ProductNumber) -> f32 {
        self.popularity.get(number.index()).copied().unwrap_or(0.0)
    }

    /// The first `most` of some products: the most popular first, the newest of equally popular ones.
    pub fn most_popular(&self, products: &[ProductNumber], most: usize) -> Vec<ProductNumber> {
        /// One product in so many is looked at first.
        const SAMPLED: usize = 64;
        let mut kept = Popular { best: Vec::new(), most, last: None };
        let candidate = |product: &ProductNumber| (self.popularity(*product), self.created_at(*product), *product);
        // The last of the first of some products is before none of the first of all: whatever order the products come in, most are refused.
        if products.len() / SAMPLED > most {
            products.iter().step_by(SAMPLED).for_each(|product| kept.offer(candidate(product)));
            kept.settle();
            kept.best.clear();
        }
        products.iter().for_each(|product| kept.offer(candidate(product)));
        kept.settle();
        kept.best.sort_unstable_by(Popular::order);
        kept.best.into_iter().map(|(.., product)| product).collect()
    }

    pub fn row(&self, number: ProductNumber) -> Option<&Row> {
        self.rows.get(number.index())?.as_ref()
    }

    pub fn number(&self, id: &ProductId) -> Option<ProductNumber> {
        let same = |number: &ProductNumber| self.row(*number).is_some_and(|row| row.id == *id);
        self.numbers.find(FxBuildHasher.hash_one(Some(id)), same).copied()
    }

    /// All products, by number.
    pub fn products(&self) -> impl Iterator<Item = (ProductNumber, &Row)> {
        let numbered = (0u32..).zip(&self.rows);
        numbered.filter_map(|(number, row)| Some((ProductNumber(number), row.as_ref()?)))
    }

    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Fields that facets can be asked for.
    pub fn facet_fields(&self) -> impl Iterator<Item = &str> {
        self.columns.keys().map(CompactString::as_str)
    }

    /// The distinct values of a field, with how many products have each.
    pub fn values(&self, field: &str) -> impl Iterator<Item = (&FilterValue, u32)> {
        self.columns.get(field).into_iter().flat_map(Column::values)
    }

    /// The values of one product's field.
    pub fn values_of(&self, field: &str, number: ProductNumber, view: View<'_>) -> Vec<FilterValue> {
        let Some(row) = self.row(number) else { return Vec::new() };
        let text = |text: &str| FilterValue::Text(text.to_owned());
        match field {
            "id" => vec![text(row.id.as_str())],
            "name" => vec![text(&row.name)],
            "price" => self.price(number, view).map(FilterValue::Number).into_iter().collect(),
            "in_stock" => vec![FilterValue::Flag(row.in_stock())],
            "created_at" => vec![FilterValue::Number(self.created_at(number).0 as f64)],
            "popularity" => vec![FilterValue::Number(f64::from(self.popularity(number)))],
            _ => self.columns.get(field).map(|column| column.of(number)).unwrap_or_default(),
        }
    }
}

/// How wanted a product is, when it came, which it is.
type Candidate = (f32, TimestampMs, ProductNumber);

/// The first of many candidates.
struct Popular {
    /// The first of what was offered, and some more, in no order.
    best: Vec<Candidate>,
    most: usize,
    /// What comes after this is not among the first.
    last: Option<Candidate>,
}

impl Popular {
    fn order(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
        b.0.total_cmp(&a.0).then(b.1.0.cmp(&a.1.0)).then(a.2.cmp(&b.2))
    }

    #[inline]
    fn offer(&mut self, candidate: Candidate) {
        if self.last.as_ref().is_some_and(|last| Self::order(&candidate, last).is_gt()) {
            return;
        }
        self.best.push(candidate);
        if self.best.len() >= self.most.saturating_mul(2).saturating_add(64) {
            self.settle();
        }
    }

    /// Lets go of what isn't among the first.
    fn settle(&mut self) {
        if self.most > 0 && self.best.len() > self.most {
            self.last = Some(*self.best.select_nth_unstable_by(self.most - 1, Self::order).1);
        }
        self.best.truncate(self.most);
    }
}

/// Of a product that is visible and in stock. Markets and combinations of them are remembered as long as there is room for them.
fn shown_by(availability: &[MarketAvailability], markets: &mut Vec<MarketId>, sold_in: &mut Vec<u64>) -> Shown {
    if availability.is_empty() {
        return Shown::Everywhere;
    }
    let mut sold = 0;
    for rule in availability {
        if rule.from.is_some() || rule.until.is_some() {
            return Shown::Depends;
        }
        let place = markets.iter().position(|market| *market == rule.market).unwrap_or_else(|| {
            markets.push(rule.market.clone());
            markets.len() - 1
        });
        if place >= 64 {
            markets.truncate(64);
            return Shown::Depends;
        }
        sold |= u64::from(rule.sold) << place;
    }
    let place = sold_in.iter().position(|known| *known == sold).unwrap_or(sold_in.len());
    match u8::try_from(place).ok().filter(|place| *place <= u8::MAX - Shown::FIRST_SOLD) {
        Some(number) => {
            if place == sold_in.len() {
                sold_in.push(sold);
            }
            Shown::Sold(number)
        }
        None => Shown::Depends,
    }
}

/// Of all variants, by market; `None` for markets without a price of their own.
fn lowest_prices(product: &Product) -> BTreeMap<Option<MarketId>, Money> {
    let mut prices: BTreeMap<Option<MarketId>, Money> = BTreeMap::new();
    for price in product.variants.iter().flat_map(|variant| &variant.prices) {
        let lowest = prices.entry(price.market.clone()).or_insert(price.amount);
        if price.amount.minor < lowest.minor {
            *lowest = price.amount;
        }
    }
    prices
}

fn facet_values(product: &Product) -> Vec<(CompactString, Vec<FilterValue>)> {
    let text = |text: &CompactString| FilterValue::Text(text.to_string());
    let mut fields = Vec::new();
    if let Some(brand) = &product.brand {
        fields.push(("brand".into(), vec![text(brand)]));
    }
    if !product.category_path.is_empty() {
        fields.push(("category".into(), product.category_path.iter().map(text).collect()));
        for level in 0..product.category_path.len() {
            let path = product.category_path[..=level].join(PATH_SEPARATOR);
            fields.push((CompactString::from(format!("category.lvl{level}")), vec![FilterValue::Text(path)]));
        }
    }
    let mut attributes: BTreeMap<&CompactString, Vec<FilterValue>> = BTreeMap::new();
    let own = product.attributes.iter();
    for (name, value) in own.chain(product.variants.iter().flat_map(|variant| &variant.attributes)) {
        let values = attributes.entry(name).or_default();
        match value {
            AttributeValue::Text(value) => values.push(text(value)),
            AttributeValue::Number(value) if value.is_finite() => values.push(FilterValue::Number(*value)),
            AttributeValue::Number(_) => {}
            AttributeValue::Flag(value) => values.push(FilterValue::Flag(*value)),
            AttributeValue::List(list) => values.extend(list.iter().map(text)),
        }
    }
    fields.extend(
        attributes.into_iter().map(|(name, values)| (CompactString::from(format!("attributes.{name}")), values)),
    );
    fields
}
