//! What products cost in each market, in major units.

use std::collections::BTreeMap;

use merx_domain::{MarketId, Money, ProductNumber};
use rustc_hash::FxHashMap;

/// A value a product, not a number where it has no price of that sort.
#[derive(Debug, Clone, Default)]
pub(super) struct PriceColumns {
    general: Vec<f64>,
    markets: FxHashMap<MarketId, Vec<f64>>,
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
            if column.len() <= product.index() {
                column.resize(product.index() + 1, f64::NAN);
            }
            column[product.index()] = price.major_f64();
        }
    }

    pub(super) fn clear(&mut self, product: ProductNumber) {
        for column in std::iter::once(&mut self.general).chain(self.markets.values_mut()) {
            if let Some(price) = column.get_mut(product.index()) {
                *price = f64::NAN;
            }
        }
    }

    pub(super) fn of_market(&self, market: &MarketId) -> MarketPrices<'_> {
        MarketPrices { own: self.markets.get(market).map_or(&[], Vec::as_slice), general: &self.general }
    }
}

/// The prices of one market: its own, else the general ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct MarketPrices<'a> {
    own: &'a [f64],
    general: &'a [f64],
}

impl MarketPrices<'_> {
    #[inline]
    pub(super) fn get(self, product: ProductNumber) -> Option<f64> {
        let of = |column: &[f64]| column.get(product.index()).copied().filter(|price| !price.is_nan());
        of(self.own).or_else(|| of(self.general))
    }
}
