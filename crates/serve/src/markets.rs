//! The shop's markets: what is sold where, in which currency, under which policy, and what runs otherwise there.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use merx_decide::CatalogueEntry;
use merx_domain::{MarketId, PolicySet, TimestampMs};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::body::{Answered, blocking};
use crate::problem::Problem;
use crate::routes::Shared;

/// Shops have tens; every product is looked at for each.
const MOST_MARKETS: usize = 200;

#[derive(Serialize, ToSchema)]
pub(crate) struct MarketList {
    /// What amounts of the shop are added up in, unless they say otherwise.
    #[schema(example = "EUR")]
    currency: String,
    /// The default first, then by name.
    items: Vec<MarketAnswer>,
}

/// A market that the configuration, a product, the policy or an automation names.
#[derive(Serialize, ToSchema)]
#[schema(as = Market)]
pub(crate) struct MarketAnswer {
    #[schema(example = "de")]
    market: String,
    /// That of what names none.
    default: bool,
    /// Of the prices that apply there, most first.
    currencies: Vec<CurrencyCount>,
    /// Products that are shown and sold there now.
    sold: usize,
    /// Of those: without any price that applies there.
    without_price: usize,
    /// Products with a price of the market's own.
    own_prices: usize,
    /// The region of the policy in force.
    #[schema(example = "default")]
    region: String,
    /// Automations with a mode of their own there.
    automations: Vec<MarketMode>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct CurrencyCount {
    #[schema(example = "EUR")]
    currency: String,
    products: usize,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct MarketMode {
    #[schema(example = "recommend")]
    automation: String,
    #[schema(example = "canary 10 %")]
    mode: String,
}

/// What the catalogue says of a market.
#[derive(Default)]
struct Shelf {
    currencies: BTreeMap<String, usize>,
    sold: usize,
    without_price: usize,
    own_prices: usize,
}

impl Shelf {
    fn add(&mut self, entry: &CatalogueEntry, market: &MarketId, now: TimestampMs) {
        self.own_prices += usize::from(entry.has_own_price(market));
        if !entry.visible || !entry.sold_in(market, now) {
            return;
        }
        self.sold += 1;
        match entry.price(market) {
            Some(price) => *self.currencies.entry(price.currency.to_string()).or_default() += 1,
            None => self.without_price += 1,
        }
    }
}

/// List markets
///
/// Every market that the configuration, the catalogue, the policy in force or an automation names: products, currency, policy, and what runs otherwise there.
#[utoipa::path(get, path = "/v1/markets", tag = "catalogue",
    responses((status = 200, description = "The default first", body = MarketList)))]
pub(crate) async fn list_markets(State(app): State<Shared>) -> Result<Response, Problem> {
    blocking(move || {
        let (_, document) = app.parts.policies.current()?;
        let policy = app.parts.policies.book().current();
        let modes = modes(&app);
        let default = &app.parts.settings.default_market;
        let mut markets: BTreeSet<MarketId> = modes.keys().cloned().collect();
        markets.insert(default.clone());
        let of_policy = document.regions.values().flat_map(|region| &region.markets);
        markets.extend(of_policy.filter_map(|name| name.parse::<MarketId>().ok()));
        let shelves = shelves(&app, markets);
        let mut items: Vec<MarketAnswer> =
            shelves.into_iter().map(|(market, shelf)| answer(&app, market, shelf, &policy, &modes)).collect();
        items.sort_by_key(|market| !market.default);
        Ok(Answered(MarketList { currency: app.parts.settings.rules.currency.to_string(), items }).into_response())
    })
    .await
}

/// By market: those that are handed in, and those that products name.
fn shelves(app: &App, markets: BTreeSet<MarketId>) -> BTreeMap<MarketId, Shelf> {
    let now = app.parts.clock.now();
    let catalogue = app.parts.catalogue.read();
    let mut shelves: BTreeMap<MarketId, Shelf> = markets.into_iter().map(|market| (market, Shelf::default())).collect();
    for (_, entry) in catalogue.iter() {
        for market in entry.named_markets() {
            if !shelves.contains_key(market) && shelves.len() < MOST_MARKETS {
                shelves.insert(market.clone(), Shelf::default());
            }
        }
    }
    for (_, entry) in catalogue.iter() {
        shelves.iter_mut().for_each(|(market, shelf)| shelf.add(entry, market, now));
    }
    shelves
}

fn modes(app: &App) -> BTreeMap<MarketId, Vec<MarketMode>> {
    let mut modes: BTreeMap<MarketId, Vec<MarketMode>> = BTreeMap::new();
    for automation in app.parts.automations.list() {
        for (market, mode) in &automation.markets {
            let one = MarketMode { automation: automation.name.to_string(), mode: mode.to_string() };
            modes.entry(market.clone()).or_default().push(one);
        }
    }
    modes
}

fn answer(
    app: &App,
    market: MarketId,
    shelf: Shelf,
    policy: &PolicySet,
    modes: &BTreeMap<MarketId, Vec<MarketMode>>,
) -> MarketAnswer {
    let count = |(currency, products)| CurrencyCount { currency, products };
    let mut currencies: Vec<CurrencyCount> = shelf.currencies.into_iter().map(count).collect();
    currencies.sort_by_key(|one| std::cmp::Reverse(one.products));
    let mode = |one: &MarketMode| MarketMode { automation: one.automation.clone(), mode: one.mode.clone() };
    MarketAnswer {
        default: market == app.parts.settings.default_market,
        currencies,
        sold: shelf.sold,
        without_price: shelf.without_price,
        own_prices: shelf.own_prices,
        region: policy.region_of(&market).to_owned(),
        automations: modes.get(&market).map(|modes| modes.iter().map(mode).collect()).unwrap_or_default(),
        market: market.to_string(),
    }
}
