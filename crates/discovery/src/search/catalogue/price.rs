//! What products cost in each market, in major units.

use std::collections::BTreeMap;

use merx_domain::{FilterValue, MarketId, Money, ProductNumber};
use rustc_hash::FxHashMap;

use super::column::{Column, add_equal};
use super::facets::Found;

/// Prices for everybody, and those of markets.
#[derive(Debug, Clone, Default)]
pub(super) struct PriceColumns {
    general: Column,
    markets: FxHashMap<MarketId, Column>,
}

/// More markets than these are a mistake of the feed: their prices are left out.
const MOST_MARKETS: usize = 256;

impl PriceColumns {
    pub(super) fn set(&mut self, product: ProductNumber, prices: &BTreeMap<Option<MarketId>, Money>) {
        self.clear(product);
        for (market, price) in prices {
            let column = match market {
                None => &mut self.general,
                Some(market) if self.markets.len() < MOST_MARKETS || self.markets.contains_key(market) => {
                    self.markets.entry(market.clone()).or_default()
                }
                Some(_) => continue,
            };
            column.set(product, vec![FilterValue::Number(price.major_f64())]);
        }
    }

    pub(super) fn clear(&mut self, product: ProductNumber) {
        for column in std::iter::once(&mut self.general).chain(self.markets.values_mut()) {
            column.clear(product);
        }
    }

    pub(super) fn of_market(&self, market: &MarketId) -> MarketPrices<'_> {
        MarketPrices { own: self.markets.get(market), general: &self.general }
    }
}

/// The prices of one market: its own, else the general ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct MarketPrices<'a> {
    own: Option<&'a Column>,
    general: &'a Column,
}

impl MarketPrices<'_> {
    #[inline]
    pub(super) fn get(self, product: ProductNumber) -> Option<f64> {
        self.own.and_then(|own| own.number(product)).or_else(|| self.general.number(product))
    }

    /// How many of the products found have any price, and the prices, each with how many have it.
    pub(super) fn count(self, found: &Found<'_>) -> (usize, Vec<(f64, u32)>) {
        let of_column = |column: &Column, found: &Found<'_>| {
            let counts = column.count(found);
            let price = |(value, count): (u32, u32)| match &column.all()[value as usize] {
                FilterValue::Number(price) => Some((*price, count)),
                FilterValue::Text(_) | FilterValue::Flag(_) => None,
            };
            (counts.covered, counts.of_values.into_iter().filter_map(price).collect::<Vec<(f64, u32)>>())
        };
        let Some(own) = self.own else { return of_column(self.general, found) };
        let others = found.products().iter().filter(|product| own.number(**product).is_none()).copied();
        let others: Vec<ProductNumber> = others.collect();
        let (with_own, mut prices) = of_column(own, found);
        let (with_general, further) = of_column(self.general, &Found::new(others));
        if !further.is_empty() {
            prices.extend(further);
            prices.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
            add_equal(&mut prices);
        }
        (with_own + with_general, prices)
    }
}
