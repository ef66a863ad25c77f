//! The planted truth: what a shopper wants of what there is, as an oracle knows it.

use merx_domain::ProductNumber;
use merx_numeric::rng::Rng;

use crate::Shop;
use crate::catalogue::Item;
use crate::day::Day;
use crate::draw::Draw;
use crate::season::traffic;
use crate::session::still_wanted;
use crate::shopper::Shopper;
use crate::vocabulary::KINDS;

/// Products on a list page.
pub(crate) const PAGE: usize = 12;

/// Kinds that a visit looks into, on average.
pub(crate) const KINDS_PER_VISIT: f32 = 1.6;

/// Probability that someone who looks at position `place` (from 0) of a list looks at the next one too.
pub(crate) const LOOK_ON: f32 = 0.93;

/// What the shopper looks for when it is their own need: probability of a click on a product that was looked at.
pub(crate) fn click_probability(utility: f32) -> f32 {
    sigmoid(utility - 2.6)
}

/// Probability that a product whose page was opened goes into the cart.
pub(crate) fn cart_probability(utility: f32) -> f32 {
    sigmoid(1.3 * utility - 3.2)
}

fn sigmoid(value: f32) -> f32 {
    1.0 / (1.0 + (-value).exp())
}

/// The truth of one day. Ask [`Shop::truth`] for it; it holds tables, so keep it for many questions.
#[derive(Debug)]
pub struct Truth<'a> {
    pub(crate) shop: &'a Shop,
    pub(crate) day: Day,
}

/// What a shopper did with what was shown, in the order of showing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Response {
    pub clicked: Vec<ProductNumber>,
    pub carted: Vec<ProductNumber>,
    pub bought: Vec<ProductNumber>,
}

impl<'a> Truth<'a> {
    pub(crate) fn new(shop: &'a Shop, day: Day) -> Self {
        Self { shop, day }
    }

    /// How much a shopper likes a product now, once they need something of its kind: taste, brand, colour, price,
    /// quality, fashion and newness. About 0 for an average product, about 2 for what suits; negative infinity for
    /// what they can't buy.
    pub fn utility(&self, shopper: &Shopper, product: ProductNumber) -> f32 {
        match self.on_sale(shopper, product) {
            Some(item) => shopper.liking(item) + self.day.lift(product, item),
            None => f32::NEG_INFINITY,
        }
    }

    /// How likely it is that a kind of product catches their eye when shown unasked: 0 to 1, with the season.
    pub fn interest(&self, shopper: &Shopper, kind: usize) -> f32 {
        let weights = kind_weights(shopper, &self.day);
        interest(&weights, weights.iter().sum(), kind)
    }

    /// Probability of a click when a product is shown in the first place of a strip that was not asked for.
    pub fn expected_click(&self, shopper: &Shopper, product: ProductNumber) -> f32 {
        self.chain(shopper, product).0
    }

    /// Probability that a product shown that way ends in a completed order.
    pub fn expected_purchase(&self, shopper: &Shopper, product: ProductNumber) -> f32 {
        let (click, cart) = self.chain(shopper, product);
        click * cart * (1.0 - shopper.abandonment)
    }

    /// Probability that a product whose page was opened goes into the cart.
    pub fn expected_cart(&self, shopper: &Shopper, product: ProductNumber) -> f32 {
        self.chain(shopper, product).1
    }

    fn chain(&self, shopper: &Shopper, product: ProductNumber) -> (f32, f32) {
        let Some(item) = self.on_sale(shopper, product) else { return (0.0, 0.0) };
        let utility = self.utility(shopper, product);
        (self.interest(shopper, usize::from(item.kind)) * click_probability(utility), cart_probability(utility))
    }

    /// The products that a shop which knows everything would show: by [`Truth::expected_purchase`].
    pub fn taste_top(&self, shopper: &Shopper, count: usize) -> Vec<ProductNumber> {
        let weights = kind_weights(shopper, &self.day);
        let total = weights.iter().sum();
        top(count, self.candidates(shopper), |product, item| {
            let utility = shopper.liking(item) + self.day.lift(product, item);
            let interest = interest(&weights, total, usize::from(item.kind));
            interest * click_probability(utility) * cart_probability(utility)
        })
    }

    /// The strip that brings most, as a shop which knows everything would show it: by purchase times what the product is worth to the shop. No
    /// other strip of this length brings more, as a shopper looks on with the same probability whatever they have seen.
    pub fn worthiest(
        &self,
        shopper: &Shopper,
        count: usize,
        owned: &[ProductNumber],
        exclude: &[ProductNumber],
        worth: impl Fn(ProductNumber) -> f32,
    ) -> Vec<ProductNumber> {
        let weights = kind_weights(shopper, &self.day);
        let total = weights.iter().sum();
        let candidates = self.candidates(shopper).filter(|(product, _)| !exclude.contains(product));
        top(count, candidates, |product, item| {
            let utility = shopper.liking(item) + self.day.lift(product, item);
            let interest = interest(&weights, total, usize::from(item.kind));
            let wanted = still_wanted(owned, product, item).powi(2);
            wanted * interest * click_probability(utility) * cart_probability(utility) * worth(product)
        })
    }

    /// Different products that they could buy, without preference.
    pub fn any(&self, shopper: &Shopper, count: usize, exclude: &[ProductNumber], rng: &mut Rng) -> Vec<ProductNumber> {
        let candidates = self.candidates(shopper).map(|(product, _)| product);
        let candidates: Vec<_> = candidates.filter(|product| !exclude.contains(product)).collect();
        rng.sample(candidates.len(), count).into_iter().map(|place| candidates[place]).collect()
    }

    /// What [`Truth::respond`] buys of a strip, on average: units of each product, in the order of showing.
    pub fn expected_units(&self, shopper: &Shopper, owned: &[ProductNumber], shown: &[ProductNumber]) -> Vec<f32> {
        let weights = kind_weights(shopper, &self.day);
        let total = weights.iter().sum();
        let units = |(place, product): (usize, &ProductNumber)| {
            let Some(item) = self.on_sale(shopper, *product) else { return 0.0 };
            let utility = shopper.liking(item) + self.day.lift(*product, item);
            let click = interest(&weights, total, usize::from(item.kind)) * click_probability(utility);
            let wanted = still_wanted(owned, *product, item).powi(2);
            LOOK_ON.powi(place as i32) * wanted * click * cart_probability(utility) * (1.0 - shopper.abandonment)
        };
        shown.iter().enumerate().map(units).collect()
    }

    /// How far a planted trend covers a product: 0, or up to 1 at its peak.
    pub fn trend_level(&self, product: ProductNumber) -> f32 {
        self.shop.catalogue.item(product).map_or(0.0, |item| self.day.trend_level(product, item))
    }

    /// The best possible forecast of what they buy today in the shop as it is: by expected purchases, what the shop's
    /// own lists show included, and staples by how often they are bought.
    pub fn oracle_top(&self, shopper: &Shopper, count: usize) -> Vec<ProductNumber> {
        let weights = kind_weights(shopper, &self.day);
        let total: f32 = weights.iter().sum();
        let staples = shopper.staples(&self.shop.config, &self.shop.catalogue);
        top(count, self.candidates(shopper), |product, item| {
            let chosen = self.purchases_by_choice(shopper, product, item, weights[usize::from(item.kind)] / total);
            let repeated = staples.iter().filter(|staple| staple.product == product);
            chosen + repeated.map(|staple| 1.0 / f32::from(staple.interval_days.max(1))).sum::<f32>()
        })
    }

    /// Purchases a day that begin with a list page, roughly: the page shows it, it is looked at, clicked and bought.
    fn purchases_by_choice(&self, shopper: &Shopper, product: ProductNumber, item: &Item, kind_share: f32) -> f32 {
        let share = self.day.exposure_of(product, item) / self.day.kind_exposure(usize::from(item.kind)).max(1e-9);
        let shown = 1.0 - (1.0 - share.min(1.0)).powi(PAGE as i32);
        let looked_at = (1.0 - LOOK_ON.powi(PAGE as i32)) / (1.0 - LOOK_ON) / PAGE as f32;
        let utility = shopper.liking(item) + self.day.lift(product, item);
        let bought = click_probability(utility) * cart_probability(utility) * (1.0 - shopper.abandonment);
        let visits = shopper.visits_per_day * traffic(self.day.begins_at) * KINDS_PER_VISIT;
        visits * kind_share * shown * looked_at * bought
    }

    /// Plays a shopper before a strip of products: looks from the first on, loses patience, clicks, buys; what they own and what lasts
    /// they rarely want again, here as on the shop's own pages.
    pub fn respond(
        &self,
        shopper: &Shopper,
        owned: &[ProductNumber],
        shown: &[ProductNumber],
        rng: &mut Rng,
    ) -> Response {
        let weights = kind_weights(shopper, &self.day);
        let total = weights.iter().sum();
        let mut response = Response::default();
        for &product in shown {
            if let Some(item) = self.on_sale(shopper, product) {
                let utility = shopper.liking(item) + self.day.lift(product, item);
                let click = interest(&weights, total, usize::from(item.kind)) * click_probability(utility);
                let wanted = still_wanted(owned, product, item);
                if rng.happens(wanted * click) {
                    response.clicked.push(product);
                    if rng.happens(wanted * cart_probability(utility)) {
                        response.carted.push(product);
                    }
                }
            }
            if !rng.happens(LOOK_ON) {
                break;
            }
        }
        if !response.carted.is_empty() && !rng.happens(shopper.abandonment) {
            response.bought.clone_from(&response.carted);
        }
        response
    }

    /// Probability of a click by somebody who searched for such a product and looks at it.
    pub fn expected_search_click(&self, shopper: &Shopper, product: ProductNumber) -> f32 {
        if self.on_sale(shopper, product).is_none() {
            return 0.0;
        }
        click_probability(self.utility(shopper, product))
    }

    /// Plays a shopper before the hits of a search: looks from the first on, goes on to the next ever more rarely. The places of their clicks,
    /// from 0, ascending.
    pub fn respond_to_search(&self, shopper: &Shopper, shown: &[ProductNumber], rng: &mut Rng) -> Vec<usize> {
        let mut clicked = Vec::new();
        for (place, &product) in shown.iter().enumerate() {
            if rng.happens(self.expected_search_click(shopper, product)) {
                clicked.push(place);
            }
            if !rng.happens(LOOK_ON) {
                break;
            }
        }
        clicked
    }

    fn on_sale(&self, shopper: &Shopper, product: ProductNumber) -> Option<&'a Item> {
        let item = self.shop.catalogue.item(product)?;
        (item.on_sale(self.day.number) && item.sold_in(shopper.market)).then_some(item)
    }

    fn candidates(&self, shopper: &Shopper) -> impl Iterator<Item = (ProductNumber, &'a Item)> {
        self.sold_in(shopper.market)
    }

    pub(crate) fn sold_in(&self, market: usize) -> impl Iterator<Item = (ProductNumber, &'a Item)> {
        let number = self.day.number;
        self.shop.catalogue.items().filter(move |(_, item)| item.on_sale(number) && item.sold_in(market))
    }
}

/// How much each kind is wanted by a shopper on a day.
pub(crate) fn kind_weights(shopper: &Shopper, day: &Day) -> Vec<f32> {
    day.demand.iter().enumerate().map(|(kind, demand)| demand * shopper.kind_weight(kind)).collect()
}

/// A half where the kind has twice the average share of what they want.
pub(crate) fn interest(weights: &[f32], total: f32, kind: usize) -> f32 {
    let share = weights[kind] / total.max(1e-9);
    share / (share + 2.0 / KINDS.len() as f32)
}

/// The `count` best of the candidates; of equal scores the lower number wins.
pub(crate) fn top<'a>(
    count: usize,
    candidates: impl Iterator<Item = (ProductNumber, &'a Item)>,
    score: impl Fn(ProductNumber, &Item) -> f32,
) -> Vec<ProductNumber> {
    let mut scored: Vec<_> = candidates.map(|(number, item)| (score(number, item), number)).collect();
    let best_first = |a: &(f32, ProductNumber), b: &(f32, ProductNumber)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if count < scored.len() {
        scored.select_nth_unstable_by(count, best_first);
        scored.truncate(count);
    }
    scored.sort_unstable_by(best_first);
    scored.into_iter().map(|(_, number)| number).collect()
}
