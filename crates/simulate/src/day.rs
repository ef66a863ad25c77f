//! One day of the shop: what is wanted, what rises, and what the shop shows.

use merx_domain::{DAY_MS, ProductNumber, TimestampMs};
use merx_numeric::rng::Rng;

use crate::Shop;
use crate::catalogue::Item;
use crate::draw::Draw;
use crate::season::{Trend, day_of_year};
use crate::vocabulary::KINDS;

/// How much a trend at its peak adds to the utility of what it covers.
const TREND_UTILITY: f32 = 1.2;
/// How much more often it is shown then.
const TREND_EXPOSURE: f32 = 6.0;
/// What is new is a little more interesting, and shown more, for some weeks.
const NEW_UTILITY: f32 = 0.4;
const NEW_EXPOSURE: f32 = 1.0;
const NEW_DAYS: f32 = 20.0;

#[derive(Debug)]
pub(crate) struct Day {
    pub(crate) number: i32,
    pub(crate) begins_at: TimestampMs,
    /// How much each kind is wanted in this season.
    pub(crate) demand: Vec<f32>,
    /// Trends above 0, with their level.
    pub(crate) trends: Vec<(Trend, f32)>,
    /// Running sums of what the shop shows in each kind, in the order of [`crate::Catalogue::of_kind`].
    exposure: Vec<Vec<f32>>,
}

impl Day {
    pub(crate) fn new(shop: &Shop, number: i32) -> Self {
        let begins_at = shop.config.start.plus_ms(i64::from(number) * DAY_MS);
        let trends = shop.trends.iter().map(|trend| (*trend, trend.level(number))).filter(|(_, level)| *level > 0.0);
        let mut day = Self {
            number,
            begins_at,
            demand: KINDS.iter().map(|kind| kind.demand * kind.season.level(day_of_year(begins_at))).collect(),
            trends: trends.collect(),
            exposure: Vec::with_capacity(KINDS.len()),
        };
        for kind in 0..KINDS.len() {
            let running = shop.catalogue.of_kind(kind).iter().scan(0.0, |sum, number| {
                *sum += shop.catalogue.item(*number).map_or(0.0, |item| day.exposure_of(*number, item));
                Some(*sum)
            });
            let running = running.collect();
            day.exposure.push(running);
        }
        day
    }

    /// Weight with which the shop shows an item among those of its kind; 0 while it is not on sale.
    pub(crate) fn exposure_of(&self, number: ProductNumber, item: &Item) -> f32 {
        if !item.on_sale(self.number) {
            return 0.0;
        }
        item.quality.exp() * (1.0 + TREND_EXPOSURE * self.trend_level(number, item) + NEW_EXPOSURE * self.newness(item))
    }

    pub(crate) fn kind_exposure(&self, kind: usize) -> f32 {
        self.exposure[kind].last().copied().unwrap_or(0.0)
    }

    /// What the day adds to the utility of an item.
    pub(crate) fn lift(&self, number: ProductNumber, item: &Item) -> f32 {
        TREND_UTILITY * self.trend_level(number, item) + NEW_UTILITY * self.newness(item)
    }

    pub(crate) fn trend_level(&self, number: ProductNumber, item: &Item) -> f32 {
        self.trends.iter().filter(|(trend, _)| trend.covers(number, item)).map(|(_, level)| level).sum()
    }

    fn newness(&self, item: &Item) -> f32 {
        (-(self.number - item.created_day).max(0) as f32 / NEW_DAYS).exp()
    }

    /// Up to `count` different products of a kind as a list page of a market shows them, more popular ones sooner.
    pub(crate) fn shown(
        &self,
        shop: &Shop,
        kind: usize,
        market: usize,
        count: usize,
        rng: &mut Rng,
    ) -> Vec<ProductNumber> {
        let mut shown = Vec::with_capacity(count);
        for _ in 0..3 * count {
            if shown.len() == count {
                break;
            }
            let Some(number) = self.draw(shop, kind, rng) else { break };
            let sold_here = shop.catalogue.item(number).is_some_and(|item| item.sold_in(market));
            if sold_here && !shown.contains(&number) {
                shown.push(number);
            }
        }
        shown
    }

    fn draw(&self, shop: &Shop, kind: usize, rng: &mut Rng) -> Option<ProductNumber> {
        let total = self.kind_exposure(kind);
        if total <= 0.0 {
            return None;
        }
        let at = rng.share() * total;
        let place = self.exposure[kind].partition_point(|sum| *sum <= at);
        shop.catalogue.of_kind(kind).get(place).copied()
    }
}
