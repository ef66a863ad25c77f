//! The catalogue in memory: what guardrails, filters and boosts ask for, kept current by the change feed.

use std::collections::BTreeMap;

use compact_str::CompactString;
use merx_domain::{
    AttributeValue, Comparison, Filter, FilterValue, MarketAvailability, MarketId, Money, Product, ProductId,
    ProductNumber, ProductStatus, TimestampMs,
};
use parking_lot::{RwLock, RwLockReadGuard};
use rustc_hash::FxHashMap;

/// How many entries a listing looks at before it gives up: a filter that fits almost nothing must stay cheap.
const LISTING_SCAN: usize = 50_000;

/// A product, cut down to what is asked at request time.
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogueEntry {
    pub id: ProductId,
    pub name: Box<str>,
    pub url: Option<Box<str>>,
    pub image: Option<Box<str>>,
    pub brand: Option<CompactString>,
    pub category_path: Box<[CompactString]>,
    pub attributes: Box<[(CompactString, AttributeValue)]>,
    pub visible: bool,
    availability: Box<[MarketAvailability]>,
    /// Lowest price a market, `None` for all others.
    prices: Box<[(Option<MarketId>, Money)]>,
    /// What one unit of its cheapest variant costs the shop.
    pub cost: Option<Money>,
    /// Units over all variants and locations; `None`: not tracked.
    pub stock: Option<i64>,
    pub created_at: TimestampMs,
}

impl CatalogueEntry {
    pub fn new(product: &Product, stock: Option<i64>) -> Self {
        let mut prices: BTreeMap<Option<MarketId>, Money> = BTreeMap::new();
        for price in product.variants.iter().flat_map(|variant| &variant.prices) {
            let lowest = prices.entry(price.market.clone()).or_insert(price.amount);
            if price.amount.minor < lowest.minor {
                *lowest = price.amount;
            }
        }
        Self {
            id: product.id.clone(),
            name: product.name.as_str().into(),
            url: product.url.as_deref().map(Into::into),
            image: product.images.first().map(|image| image.as_str().into()),
            brand: product.brand.clone(),
            category_path: product.category_path.clone().into(),
            attributes: product.attributes.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            visible: product.status == ProductStatus::Visible,
            availability: product.availability.clone().into(),
            prices: prices.into_iter().collect(),
            cost: product.variants.iter().filter_map(|variant| variant.cost).min_by_key(|cost| cost.minor),
            stock,
            created_at: product.created_at,
        }
    }

    pub fn sold_in(&self, market: &MarketId, at: TimestampMs) -> bool {
        self.availability.is_empty()
            || self.availability.iter().any(|rule| {
                rule.sold
                    && rule.market == *market
                    && rule.from.is_none_or(|from| from <= at)
                    && rule.until.is_none_or(|until| at < until)
            })
    }

    /// The market's own price, else the general one.
    pub fn price(&self, market: &MarketId) -> Option<Money> {
        let find = |wanted: Option<&MarketId>| self.prices.iter().find(|(market, _)| market.as_ref() == wanted);
        find(Some(market)).or_else(|| find(None)).map(|(_, price)| *price)
    }

    /// Markets that it names: those with a price of their own, and those that it is or isn't sold in.
    pub fn named_markets(&self) -> impl Iterator<Item = &MarketId> {
        let priced = self.prices.iter().filter_map(|(market, _)| market.as_ref());
        priced.chain(self.availability.iter().map(|rule| &rule.market))
    }

    pub fn has_own_price(&self, market: &MarketId) -> bool {
        self.prices.iter().any(|(priced, _)| priced.as_ref() == Some(market))
    }

    /// What one unit of the cheapest variant costs the shop.
    pub fn cost(&self) -> Option<Money> {
        self.cost
    }

    /// (price - cost) / price, 0 where either is unknown.
    pub fn margin(&self, market: &MarketId) -> f32 {
        match (self.price(market), self.cost) {
            (Some(price), Some(cost)) if price.minor > 0 && price.currency == cost.currency => {
                ((price.minor - cost.minor) as f32 / price.minor as f32).clamp(0.0, 1.0)
            }
            _ => 0.0,
        }
    }

    /// The values of a field of the filter language.
    pub fn values(&self, field: &str, market: &MarketId) -> Vec<FilterValue> {
        let text = |text: &str| FilterValue::Text(text.to_owned());
        match field {
            "id" => vec![text(self.id.as_str())],
            "name" => vec![text(&self.name)],
            "brand" => self.brand.iter().map(|brand| text(brand)).collect(),
            "category" => self.category_path.iter().map(|level| text(level)).collect(),
            "price" => self.price(market).map(|price| FilterValue::Number(price.major_f64())).into_iter().collect(),
            "in_stock" => vec![FilterValue::Flag(self.stock.is_none_or(|stock| stock > 0))],
            "created_at" => vec![FilterValue::Number(self.created_at.0 as f64)],
            _ => {
                if let Some(depth) = field.strip_prefix("category.lvl") {
                    let path = depth.parse::<usize>().ok().and_then(|depth| self.category_path.get(..=depth));
                    return path.map(|path| text(&path.join(" > "))).into_iter().collect();
                }
                let Some(name) = field.strip_prefix("attributes.") else { return Vec::new() };
                let Some((_, value)) = self.attributes.iter().find(|(known, _)| known == name) else {
                    return Vec::new();
                };
                match value {
                    AttributeValue::Text(value) => vec![text(value)],
                    AttributeValue::Number(value) => vec![FilterValue::Number(*value)],
                    AttributeValue::Flag(value) => vec![FilterValue::Flag(*value)],
                    AttributeValue::List(values) => values.iter().map(|value| text(value)).collect(),
                }
            }
        }
    }
}

#[derive(Default)]
struct Table {
    entries: Vec<Option<CatalogueEntry>>,
    numbers: FxHashMap<ProductId, ProductNumber>,
    /// Product numbers by age, oldest first.
    by_age: Vec<(TimestampMs, ProductNumber)>,
    /// Lower-cased category level -> products.
    by_category: FxHashMap<CompactString, Vec<ProductNumber>>,
}

/// Read by every decision, written by the change feed.
#[derive(Default)]
pub struct Catalogue {
    table: RwLock<Table>,
}

impl Catalogue {
    /// Puts a product in its place, new or changed.
    pub fn put(&self, number: ProductNumber, entry: CatalogueEntry) {
        self.table.write().put(number, entry);
    }

    pub fn put_all(&self, entries: impl IntoIterator<Item = (ProductNumber, CatalogueEntry)>) {
        let mut table = self.table.write();
        for (number, entry) in entries {
            table.put(number, entry);
        }
    }

    pub fn remove(&self, number: ProductNumber) {
        self.table.write().remove(number);
    }

    pub fn set_stock(&self, number: ProductNumber, stock: Option<i64>) {
        if let Some(Some(entry)) = self.table.write().entries.get_mut(number.index()) {
            entry.stock = stock;
        }
    }

    /// Holds changes back while it lives: take it for one request.
    pub fn read(&self) -> CatalogueReader<'_> {
        CatalogueReader(self.table.read())
    }
}

impl Table {
    fn put(&mut self, number: ProductNumber, entry: CatalogueEntry) {
        self.remove(number);
        if self.entries.len() <= number.index() {
            self.entries.resize(number.index() + 1, None);
        }
        self.numbers.insert(entry.id.clone(), number);
        let age = (entry.created_at, number);
        if let Err(place) = self.by_age.binary_search(&age) {
            self.by_age.insert(place, age);
        }
        for level in &entry.category_path {
            let products = self.by_category.entry(level.to_lowercase()).or_default();
            if let Err(place) = products.binary_search(&number) {
                products.insert(place, number);
            }
        }
        self.entries[number.index()] = Some(entry);
    }

    fn remove(&mut self, number: ProductNumber) {
        let Some(entry) = self.entries.get_mut(number.index()).and_then(Option::take) else { return };
        self.numbers.remove(&entry.id);
        if let Ok(place) = self.by_age.binary_search(&(entry.created_at, number)) {
            self.by_age.remove(place);
        }
        for level in &entry.category_path {
            if let Some(products) = self.by_category.get_mut(&level.to_lowercase()) {
                products.retain(|known| *known != number);
            }
        }
    }
}

/// The catalogue, held still for one request.
pub struct CatalogueReader<'a>(RwLockReadGuard<'a, Table>);

impl CatalogueReader<'_> {
    pub fn entry(&self, number: ProductNumber) -> Option<&CatalogueEntry> {
        self.0.entries.get(number.index())?.as_ref()
    }

    pub fn number(&self, id: &ProductId) -> Option<ProductNumber> {
        self.0.numbers.get(id).copied()
    }

    pub fn len(&self) -> usize {
        self.0.numbers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.numbers.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (ProductNumber, &CatalogueEntry)> {
        self.from(ProductNumber(0))
    }

    /// In the order of their numbers, from one on.
    pub fn from(&self, first: ProductNumber) -> impl Iterator<Item = (ProductNumber, &CatalogueEntry)> {
        let numbers = (first.0..).take(self.0.entries.len().saturating_sub(first.index())).map(ProductNumber);
        numbers.filter_map(|number| Some((number, self.entry(number)?)))
    }

    /// Entries that may pass the filter, newest first: of one category where the filter asks for one.
    pub fn newest_first(
        &self,
        filter: Option<&Filter>,
    ) -> impl Iterator<Item = (ProductNumber, &CatalogueEntry)> + use<'_> {
        let mut of_category: Vec<(TimestampMs, ProductNumber)> = Vec::new();
        let category = filter.and_then(required_category);
        if let Some(category) = &category {
            let products = self.0.by_category.get(category.to_lowercase().as_str()).map_or(&[][..], Vec::as_slice);
            of_category.extend(products.iter().filter_map(|number| Some((self.entry(*number)?.created_at, *number))));
            of_category.sort_unstable();
        }
        let all = if category.is_some() { &[][..] } else { &self.0.by_age };
        let newest = of_category.into_iter().rev().chain(all.iter().rev().copied());
        newest.take(LISTING_SCAN).filter_map(|(_, number)| Some((number, self.entry(number)?)))
    }
}

/// The category that everything passing the filter must have, where the filter says so at its top.
fn required_category(filter: &Filter) -> Option<String> {
    match filter {
        Filter::Compare { field, comparison: Comparison::Equal, value: FilterValue::Text(category) }
            if field == "category" =>
        {
            Some(category.clone())
        }
        Filter::All(parts) => parts.iter().find_map(required_category),
        _ => None,
    }
}
