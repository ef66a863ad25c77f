//! Plays one shop from its first day on: the same visitors in every arm, who answer by the planted truth.

use anyhow::{Context, Result};
use merx_domain::{
    DecisionId, Event, EventContext, EventId, EventKind, EventLine, EventMeaning, Money, OrderId, Product, ProductId,
    ProductNumber, Purposes, SECOND_MS, TimestampMs,
};
use merx_numeric::rng::Rng;
use merx_simulate::{Observed, Response, Shop as Simulated, ShopConfig, Shopper, Truth};
use rustc_hash::FxHashMap;

use super::learner::{Learner, Moment, STRIP, Visitor, Way};
use super::tally::{Arm, Part, Tally};
use super::visits::{Day, Days, Visit};

/// A product younger than this has had little time to be found.
const NEW_DAYS: i32 = 14;
/// A trend above this level can be felt.
const IN_TREND: f32 = 0.3;
/// How long before a visit's first event it is shown something, and how long after its last.
const AROUND_MS: i64 = 120 * SECOND_MS;

/// How a shop is played.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Share of the visits that are shown strips; the others shop all the same, and are learnt from.
    pub(super) shown_share: f64,
    /// Nights between trainings; in the first week after 1, 2 and 4.
    pub(super) learn_every: i32,
    /// Days before strips are shown at all: a history that every arm learns from before its first decision.
    pub(super) quiet_days: i32,
}

impl Pace {
    fn learns_before(self, day: i32) -> bool {
        // Before the first strip from what history there is.
        let day = day - self.quiet_days;
        (day == 0 && self.quiet_days > 0)
            || (day > 0 && (day % self.learn_every == 0 || (day < self.learn_every && day.count_ones() == 1)))
    }
}

/// Plays all days of a shop.
pub(super) fn play(config: ShopConfig, pace: Pace) -> Result<Tally> {
    let seed = config.seed;
    let simulated = Simulated::new(config);
    let market = &simulated.config().markets.first().context("a shop sells somewhere")?.id;
    let learners = [
        Learner::open(Way::Popularity, market)?,
        Learner::open(Way::BestSellers, market)?,
        Learner::open(Way::Merx, market)?,
    ];
    let products: Vec<Product> = simulated.products().collect();
    let prices = products.iter().map(home_price).collect();
    let mut stage = Stage {
        learners,
        products,
        prices,
        known: FxHashMap::default(),
        observed: FxHashMap::default(),
        bought: FxHashMap::default(),
        bought_of_strips: Default::default(),
        rng: Rng::from_seed(seed),
        tally: Tally::new(simulated.config().days - pace.quiet_days.unsigned_abs()),
        simulated: &simulated,
        pace,
    };
    for day in Days::new(&simulated) {
        stage.open_shop(&day)?;
        stage.play_day(day)?;
    }
    stage.tally.nights = stage.learners[2].nights;
    stage.tally.promoted = stage.learners[2].promoted;
    Ok(stage.tally)
}

/// What Merx goes by where nothing else is configured: who said yes.
fn may_be_known(shopper: &Shopper) -> bool {
    (shopper.consent.granted - shopper.consent.denied).contains(Purposes::PERSONALISATION)
}

/// In minor units of the home market, whatever market it is sold in, so that money can be added.
fn home_price(product: &Product) -> i64 {
    let prices = product.variants.first().map_or(&[][..], |variant| &variant.prices);
    prices.iter().find(|price| price.market.is_none()).map_or(0, |price| price.amount.minor)
}

struct Stage<'a> {
    simulated: &'a Simulated,
    /// Popularity, best sellers, Merx.
    learners: [Learner; 3],
    products: Vec<Product>,
    prices: Vec<i64>,
    /// How much a shopper has shown of themselves: products viewed, carted and bought outside the strips.
    known: FxHashMap<u32, u32>,
    /// The same in full, of those who let themselves be known.
    observed: FxHashMap<u32, Observed>,
    /// What a shopper bought outside the strips, and of the strips of each arm.
    bought: FxHashMap<u32, Vec<ProductNumber>>,
    bought_of_strips: [FxHashMap<u32, Vec<ProductNumber>>; Arm::ALL.len()],
    rng: Rng,
    tally: Tally,
    pace: Pace,
}

impl Stage<'_> {
    /// The night before a day: what comes in, what is sold out, what is learnt.
    fn open_shop(&mut self, day: &Day) -> Result<()> {
        let on_sale = |item: &merx_simulate::Item, number: i32| number >= 0 && item.on_sale(number);
        let (mut new, mut sold_out) = (Vec::new(), Vec::new());
        for (number, item) in self.simulated.catalogue().items() {
            match (on_sale(item, day.number - 1), on_sale(item, day.number)) {
                (false, true) => new.push(self.products[number.index()].clone()),
                (true, false) => sold_out.push(self.products[number.index()].clone()),
                _ => {}
            }
        }
        for learner in &mut self.learners {
            learner.restock(&new, &sold_out, day.begins_at)?;
            if self.pace.learns_before(day.number) {
                learner.learn(day.begins_at)?;
            }
        }
        Ok(())
    }

    fn play_day(&mut self, day: Day) -> Result<()> {
        let truth = self.simulated.truth(day.begins_at);
        let is_open = day.number >= self.pace.quiet_days;
        let is_shown = |visit: &Visit| is_open && self.rng.split(visit.number << 2 | 2).chance(self.pace.shown_share);
        let (shown, others): (Vec<Visit>, Vec<Visit>) = day.visits.into_iter().partition(is_shown);
        let mut unseen = day.loose;
        for visit in others {
            self.learn_of(&truth, &visit);
            unseen.extend(visit.sign_in);
            unseen.extend(visit.events);
        }
        unseen.sort_by_key(|event| event.occurred_at);
        for learner in &self.learners {
            learner.tell(unseen.clone())?;
        }
        for visit in shown {
            self.play_visit(&truth, day.number, visit)?;
        }
        Ok(())
    }

    fn play_visit(&mut self, truth: &Truth, day: i32, visit: Visit) -> Result<()> {
        let shopper = self.simulated.shopper(visit.shopper);
        let visitor = Visitor {
            visit: visit.number,
            subject: visit.subject,
            market: self.simulated.config().markets[shopper.market].id.clone(),
            device: shopper.device,
            consent: shopper.consent,
        };
        let part = self.part_of(&shopper);
        let observed = self.observed.get(&visit.shopper).cloned().unwrap_or_default();
        let ordered = visit.events.iter().filter(|event| event.kind == EventKind::OrderCompleted);
        let ordered = ordered.flat_map(|event| &event.lines);
        let ordered: Vec<_> = ordered.filter_map(|line| self.simulated.product_number(&line.product)).collect();
        for arm in Arm::ALL {
            self.tally.day(arm, day - self.pace.quiet_days).visits += 1.0;
            if let Some(learner) = self.learner(arm) {
                learner.tell(visit.sign_in.clone())?;
            }
            let mut seen: Vec<ProductNumber> = Vec::new();
            let mut owned = self.owned(arm, shopper.index);
            let mut observed = observed.clone();
            for moment in Moment::ALL {
                let at = match moment {
                    Moment::Arrival => visit.begins_at.plus_ms(-AROUND_MS),
                    Moment::Leaving => visit.ends_at.plus_ms(AROUND_MS),
                };
                let (decision, shown) =
                    self.shown(arm, truth, &shopper, &owned, &observed, &visitor, moment, at, &seen);
                // The same luck in every arm.
                let mut luck = self.rng.split(visit.number << 2 | u64::from(moment == Moment::Leaving));
                let response = truth.respond(&shopper, &owned, &shown, &mut luck);
                self.count(arm, truth, day, &shopper, &owned, part, &shown, &response);
                if let Some(learner) = self.learner(arm) {
                    let mut events = self.events(&visitor, decision, &shown, &response, at);
                    if moment == Moment::Arrival {
                        events.extend(visit.events.iter().cloned());
                    }
                    learner.tell(events)?;
                }
                if may_be_known(&shopper) && moment == Moment::Arrival {
                    observed.add(truth, &visit.events);
                }
                if !response.bought.is_empty() {
                    let of_strips = &mut self.bought_of_strips[arm as usize];
                    of_strips.entry(shopper.index).or_default().extend(&response.bought);
                }
                owned.extend(response.bought);
                owned.extend(&ordered);
                seen.extend(shown);
            }
        }
        self.learn_of(truth, &visit);
        Ok(())
    }

    fn learn_of(&mut self, truth: &Truth, visit: &Visit) {
        if may_be_known(&self.simulated.shopper(visit.shopper)) {
            self.observed.entry(visit.shopper).or_default().add(truth, &visit.events);
        }
        let acts = visit.events.iter().filter(|event| {
            matches!(event.kind.meaning(), EventMeaning::Viewed | EventMeaning::Carted | EventMeaning::Purchased)
        });
        *self.known.entry(visit.shopper).or_default() += acts.count() as u32;
        let orders = visit.events.iter().filter(|event| event.kind == EventKind::OrderCompleted);
        let products = orders.flat_map(|event| &event.lines);
        let products: Vec<_> = products.filter_map(|line| self.simulated.product_number(&line.product)).collect();
        if !products.is_empty() {
            self.bought.entry(visit.shopper).or_default().extend(products);
        }
    }

    /// What a shopper has bought so far, where an arm chose the strips.
    fn owned(&self, arm: Arm, shopper: u32) -> Vec<ProductNumber> {
        let places = [&self.bought, &self.bought_of_strips[arm as usize]];
        places.into_iter().filter_map(|bought| bought.get(&shopper)).flatten().copied().collect()
    }

    fn learner(&self, arm: Arm) -> Option<&Learner> {
        match arm {
            Arm::Popularity => Some(&self.learners[0]),
            Arm::BestSellers => Some(&self.learners[1]),
            Arm::Merx => Some(&self.learners[2]),
            Arm::Random | Arm::Knowable | Arm::Oracle => None,
        }
    }

    #[allow(clippy::too_many_arguments, reason = "everything that an arm is shown")]
    fn shown(
        &self,
        arm: Arm,
        truth: &Truth,
        shopper: &Shopper,
        owned: &[ProductNumber],
        observed: &Observed,
        visitor: &Visitor,
        moment: Moment,
        at: TimestampMs,
        seen: &[ProductNumber],
    ) -> (DecisionId, Vec<ProductNumber>) {
        let Some(learner) = self.learner(arm) else {
            let worth = |product: ProductNumber| self.prices[product.index()] as f32;
            let mut chance = self.rng.split(visitor.visit << 2 | moment as u64).split(3);
            let strip = match arm {
                Arm::Random => truth.any(shopper, STRIP, seen, &mut chance),
                Arm::Knowable => {
                    let owned = if may_be_known(shopper) { owned } else { &[] };
                    truth.worthiest_by_deeds(shopper.market, observed, STRIP, owned, seen, worth, &mut chance)
                }
                _ => truth.worthiest(shopper, STRIP, owned, seen, worth),
            };
            return (DecisionId(0), strip);
        };
        let exclude: Vec<ProductId> = seen.iter().map(|product| self.simulated.product_id(*product)).collect();
        let (decision, shown) = learner.choose(visitor, moment, at, &exclude);
        (decision, shown.iter().filter_map(|id| self.simulated.product_number(id)).collect())
    }

    #[allow(clippy::too_many_arguments, reason = "who was shown what, and what became of it")]
    fn count(
        &mut self,
        arm: Arm,
        truth: &Truth,
        day: i32,
        shopper: &Shopper,
        owned: &[ProductNumber],
        part: Part,
        shown: &[ProductNumber],
        response: &Response,
    ) {
        let revenue: i64 = response.bought.iter().map(|product| self.prices[product.index()]).sum();
        let units = truth.expected_units(shopper, owned, shown);
        let place = day - self.pace.quiet_days;
        let expected_units: f32 = units.iter().sum();
        let mut expected = 0.0;
        for (product, units) in shown.iter().zip(units) {
            let worth = f64::from(units) * self.prices[product.index()] as f64;
            expected += worth;
            self.tally.add_part(arm, place, self.kind_of(truth, day, *product), worth);
            let is_gone = self.simulated.catalogue().item(*product).is_none_or(|item| !item.on_sale(day));
            self.tally.sold_out_shown += u64::from(is_gone);
        }
        self.tally.add_part(arm, place, part, expected);
        let sums = self.tally.day(arm, place);
        sums.revenue += revenue as f64;
        sums.units += response.bought.len() as f64;
        sums.expected += expected;
        sums.expected_units += f64::from(expected_units);
    }

    fn part_of(&self, shopper: &Shopper) -> Part {
        if shopper.consent.denied.contains(Purposes::PERSONALISATION) {
            return Part::Refused;
        }
        match self.known.get(&shopper.index).copied().unwrap_or(0) {
            0 => Part::Stranger,
            1..10 => Part::Acquaintance,
            10..40 => Part::Known,
            _ => Part::WellKnown,
        }
    }

    fn kind_of(&self, truth: &Truth, day: i32, product: ProductNumber) -> Part {
        let age = self.simulated.catalogue().item(product).map_or(0, |item| item.age_days(day));
        if age <= NEW_DAYS {
            Part::NewProduct
        } else if truth.trend_level(product) > IN_TREND {
            Part::TrendingProduct
        } else {
            Part::OtherProduct
        }
    }

    /// What the page sends back: what was shown, opened, put into the basket, ordered.
    fn events(
        &self,
        visitor: &Visitor,
        decision: DecisionId,
        shown: &[ProductNumber],
        response: &Response,
        at: TimestampMs,
    ) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        let mut say = |kind: EventKind, products: &[ProductNumber]| {
            let number = events.len() as u128;
            let id = EventId(1 << 127 | decision.0 << 16 | number);
            let mut event = Event::new(id, visitor.subject, kind, at.plus_ms(number as i64 * SECOND_MS));
            event.consent = visitor.consent;
            event.context =
                EventContext { market: visitor.market.clone(), device: visitor.device, ..Default::default() };
            event.decision = Some(decision);
            event.list = Some("strip".into());
            event.lines = products.iter().map(|product| self.line(*product)).collect();
            events.push(event);
            events.len() - 1
        };
        say(EventKind::RecommendationShown, shown);
        for product in &response.clicked {
            say(EventKind::ProductClicked, &[*product]);
            say(EventKind::ProductViewed, &[*product]);
            if response.carted.contains(product) {
                say(EventKind::ProductAdded, &[*product]);
            }
        }
        if !response.bought.is_empty() {
            let place = say(EventKind::OrderCompleted, &response.bought);
            events[place].order = OrderId::new(format!("strip-{}", decision.0)).ok();
            let sum = response.bought.iter().map(|product| self.prices[product.index()]).sum();
            events[place].value = Some(Money::new(sum, self.simulated.config().markets[0].currency));
        }
        events
    }

    fn line(&self, product: ProductNumber) -> EventLine {
        EventLine {
            product: self.simulated.product_id(product),
            variant: None,
            quantity: 1,
            unit_price: None,
            position: None,
        }
    }
}
