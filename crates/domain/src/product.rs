//! The catalogue: products, their variants, prices, stock and where they are sold.

use std::collections::BTreeMap;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::{LocationId, MarketId, Money, ProductId, TimestampMs, VariantId};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributeValue {
    Text(CompactString),
    Number(f64),
    Flag(bool),
    List(Vec<CompactString>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProductStatus {
    #[default]
    Visible,
    /// Not shown to shoppers for now; its history still teaches.
    Hidden,
    /// Gone for good; kept because orders and events name it.
    Archived,
}

/// What a variant costs in one market (`None`: in every market without a price of its own).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Price {
    pub market: Option<MarketId>,
    pub amount: Money,
    /// The price before a reduction.
    pub list_amount: Option<Money>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    pub id: VariantId,
    pub gtin: Option<CompactString>,
    pub prices: Vec<Price>,
    /// What one unit costs the shop.
    pub cost: Option<Money>,
    pub attributes: BTreeMap<CompactString, AttributeValue>,
    pub images: Vec<String>,
}

/// Whether and when a product is sold in a market.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MarketAvailability {
    pub market: MarketId,
    pub sold: bool,
    pub from: Option<TimestampMs>,
    pub until: Option<TimestampMs>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Product {
    pub id: ProductId,
    pub name: String,
    pub description: String,
    pub brand: Option<CompactString>,
    /// From the department down: `["Women", "Shoes", "Boots"]`.
    pub category_path: Vec<CompactString>,
    pub attributes: BTreeMap<CompactString, AttributeValue>,
    pub images: Vec<String>,
    pub url: Option<String>,
    pub status: ProductStatus,
    /// Empty: sold in every market.
    pub availability: Vec<MarketAvailability>,
    pub variants: Vec<Variant>,
    pub created_at: TimestampMs,
    pub updated_at: TimestampMs,
}

impl Product {
    /// A visible product without variants, as an event that names an unknown product makes it.
    pub fn new(id: ProductId, name: impl Into<String>, at: TimestampMs) -> Self {
        Self {
            id,
            name: name.into(),
            description: String::new(),
            brand: None,
            category_path: Vec::new(),
            attributes: BTreeMap::new(),
            images: Vec::new(),
            url: None,
            status: ProductStatus::Visible,
            availability: Vec::new(),
            variants: Vec::new(),
            created_at: at,
            updated_at: at,
        }
    }

    pub fn sold_in(&self, market: &MarketId, at: TimestampMs) -> bool {
        if self.availability.is_empty() {
            return true;
        }
        self.availability.iter().any(|rule| {
            rule.sold
                && rule.market == *market
                && rule.from.is_none_or(|from| from <= at)
                && rule.until.is_none_or(|until| at < until)
        })
    }

    /// The lowest price of any variant in a market.
    pub fn price_in(&self, market: &MarketId) -> Option<Money> {
        self.variants.iter().filter_map(|variant| variant.price_in(market)).min_by_key(|price| price.minor)
    }
}

impl Variant {
    pub fn new(id: VariantId) -> Self {
        Self { id, gtin: None, prices: Vec::new(), cost: None, attributes: BTreeMap::new(), images: Vec::new() }
    }

    /// The market's own price, else the one for every market.
    pub fn price_in(&self, market: &MarketId) -> Option<Money> {
        let own = self.prices.iter().find(|price| price.market.as_ref() == Some(market));
        own.or_else(|| self.prices.iter().find(|price| price.market.is_none())).map(|price| price.amount)
    }
}

/// Units of a variant at a location. A variant without any stock level is not tracked and counts as available.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StockLevel {
    pub product: ProductId,
    pub variant: VariantId,
    pub location: LocationId,
    /// Negative where more was sold than was there.
    pub quantity: i64,
    pub updated_at: TimestampMs,
}
