//! A seeded shop with planted truth: products with readable names, shoppers with hidden tastes, and a year of what they
//! did, so that an engine can be asked whether it found what was hidden.
//!
//! The same [`ShopConfig`] gives the same shop and the same events, bit for bit. The shop knows nothing of how its
//! events are stored or learnt from.

mod catalogue;
mod day;
mod draw;
mod events;
mod knowable;
mod picture;
mod season;
mod session;
mod shopper;
mod truth;
mod vocabulary;

use compact_str::CompactString;
use merx_domain::{
    Currency, DAY_MS, LocationId, MarketId, Product, ProductId, ProductNumber, StockLevel, SubjectId, TimestampMs,
};
use merx_numeric::rng::Rng;

pub use catalogue::{Catalogue, Item};
pub use events::Events;
pub use knowable::Observed;
pub use picture::picture;
pub use season::{Season, Trend, TrendOf};
pub use shopper::{Shopper, Staple};
pub use truth::{Response, Truth};
pub use vocabulary::{Department, KINDS, Kind};

/// A country the shop sells to.
#[derive(Debug, Clone, PartialEq)]
pub struct MarketConfig {
    pub id: MarketId,
    pub currency: Currency,
    /// From the base price in major units to this market's.
    pub price_factor: f32,
    /// Share of shoppers who live here, relative to the other markets'.
    pub share: f32,
    pub locale: CompactString,
    pub utc_offset_hours: i8,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ShopConfig {
    pub products: u32,
    pub shoppers: u32,
    pub days: u32,
    /// Midnight UTC before the first event.
    pub start: TimestampMs,
    pub seed: u64,
    /// The first one's prices are the base. At most 32; where empty, the default ones.
    pub markets: Vec<MarketConfig>,
    pub locations: Vec<LocationId>,
    /// Visits of an average shopper in a year; sets the number of events, about nine a visit.
    pub visits_per_year: f32,
    /// Trends planted over the run.
    pub trends: usize,
}

impl Default for ShopConfig {
    fn default() -> Self {
        Self {
            products: 5_000,
            shoppers: 20_000,
            days: 365,
            // 1 January 2025.
            start: TimestampMs(20_089 * DAY_MS),
            seed: 7,
            markets: default_markets(),
            locations: ["hamburg", "leeds", "reno"].map(|name| catalogue::text_id(LocationId::new(name))).to_vec(),
            visits_per_year: shopper::USUAL_VISITS_PER_YEAR,
            trends: 18,
        }
    }
}

impl ShopConfig {
    /// The midnight after the last day.
    pub fn end(&self) -> TimestampMs {
        events::end(self.start, self.days)
    }
}

fn default_markets() -> Vec<MarketConfig> {
    let market = |id: &str, currency, price_factor, share, locale: &str, utc_offset_hours| MarketConfig {
        id: catalogue::text_id(MarketId::new(id)),
        currency,
        price_factor,
        share,
        locale: locale.into(),
        utc_offset_hours,
    };
    vec![
        market("de", Currency::EUR, 1.0, 0.45, "de-DE", 1),
        market("gb", Currency::GBP, 0.86, 0.35, "en-GB", 0),
        market("us", Currency::USD, 1.12, 0.20, "en-US", -5),
    ]
}

/// The shop: its catalogue, its fashions, its shoppers.
#[derive(Debug)]
pub struct Shop {
    config: ShopConfig,
    catalogue: Catalogue,
    trends: Vec<Trend>,
    /// Name of each kind's list page.
    slugs: Vec<CompactString>,
}

impl Shop {
    pub fn new(mut config: ShopConfig) -> Self {
        if config.markets.is_empty() {
            config.markets = default_markets();
        }
        config.markets.truncate(32);
        let catalogue = Catalogue::draw(&config);
        let mut rng = Rng::from_seed(draw::mix(&[config.seed, 0x74e]));
        let trends = season::draw_trends(&catalogue, config.trends, config.days, &mut rng);
        let slugs = KINDS.iter().map(|kind| slug(&[kind.department_words().name, kind.shelf])).collect();
        Self { config, catalogue, trends, slugs }
    }

    pub fn config(&self) -> &ShopConfig {
        &self.config
    }

    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    // ---- What a shop hands over ----

    /// Every product, in the order of creation: the `n`th has number `n`.
    pub fn products(&self) -> impl ExactSizeIterator<Item = Product> {
        self.catalogue.items().map(|(number, item)| catalogue::to_product(&self.config, number, item))
    }

    /// Units of every variant at every location, as they stand at the end of the run.
    pub fn stock(&self) -> impl Iterator<Item = StockLevel> {
        self.catalogue.items().flat_map(|(number, item)| catalogue::stock_levels(&self.config, number, item))
    }

    /// What shoppers do, in the order of time.
    pub fn events(&self) -> Events<'_> {
        Events::new(self)
    }

    // ---- Names, both ways ----

    pub fn product_id(&self, number: ProductNumber) -> ProductId {
        catalogue::product_id(number)
    }

    pub fn product_number(&self, id: &ProductId) -> Option<ProductNumber> {
        catalogue::product_number(id).filter(|number| number.index() < self.catalogue.len())
    }

    pub fn subject_id(&self, shopper: u32) -> SubjectId {
        shopper::subject_id(self.config.seed, shopper)
    }

    /// Who a shopper was before they signed in.
    pub fn anonymous_id(&self, shopper: u32) -> SubjectId {
        shopper::anonymous_id(self.config.seed, shopper)
    }

    /// The shopper behind a pseudonym, signed in or not.
    pub fn shopper_of(&self, subject: SubjectId) -> Option<u32> {
        shopper::shopper_index(self.config.seed, subject).filter(|index| *index < self.config.shoppers)
    }

    // ---- What is hidden ----

    pub fn shopper(&self, index: u32) -> Shopper {
        Shopper::draw(&self.config, index)
    }

    /// The truth of the day of `at`.
    pub fn truth(&self, at: TimestampMs) -> Truth<'_> {
        let number = (at.0 - self.config.start.0).div_euclid(DAY_MS) as i32;
        Truth::new(self, day::Day::new(self, number))
    }

    /// Pairs that are often bought together: a product and its partner.
    pub fn complements(&self) -> impl Iterator<Item = (ProductNumber, ProductNumber)> {
        self.catalogue.items().filter_map(|(number, item)| Some((number, item.partner?)))
    }

    pub fn trends(&self) -> &[Trend] {
        &self.trends
    }

    /// What a shopper buys again and again, and after how many days.
    pub fn staples(&self, shopper: u32) -> Vec<Staple> {
        self.shopper(shopper).staples(&self.config, &self.catalogue)
    }
}

/// `["Women", "Women's Belts"]` to `women/women-s-belts`.
fn slug(path: &[&str]) -> CompactString {
    let part = |text: &&str| {
        let words = text.split(|character: char| !character.is_ascii_alphanumeric());
        words.filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
    };
    path.iter().map(part).collect::<Vec<_>>().join("/").into()
}
