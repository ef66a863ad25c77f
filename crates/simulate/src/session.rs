//! One visit to the shop, from the first page to the order.

use compact_str::{CompactString, ToCompactString, format_compact};
use merx_domain::{
    Event, EventContext, EventId, EventKind, EventLine, HOUR_MS, MINUTE_MS, Money, OrderId, ProductNumber, SECOND_MS,
    SubjectId, TimestampMs,
};
use merx_numeric::rng::Rng;

use crate::Shop;
use crate::catalogue::{Item, market_price, product_id, variant_count, variant_id};
use crate::day::Day;
use crate::draw::Draw;
use crate::season::{HOURS, TrendOf};
use crate::shopper::Shopper;
use crate::truth::{KINDS_PER_VISIT, LOOK_ON, PAGE, cart_probability, click_probability, interest, kind_weights};
use crate::vocabulary::{CONSUMABLES, DEPARTMENTS};

/// Who takes a product often takes its planted partner too.
const TAKES_PARTNER: f32 = 0.38;
/// A product that lasts is rarely wanted twice.
const WANTED_TWICE: f32 = 0.1;

/// What a search is for, beside the kind of product.
enum Wish {
    Noun(&'static str),
    Colour(&'static str),
    Material(&'static str),
    Brand(&'static str),
}

impl Wish {
    fn is_met(&self, item: &Item) -> bool {
        match *self {
            Self::Noun(noun) => item.noun_name() == noun,
            Self::Colour(colour) => item.colour_family() == Some(colour),
            Self::Material(material) => item.material_name() == material,
            Self::Brand(brand) => item.brand_name() == brand,
        }
    }
}

/// A visit that is being played.
pub(crate) struct Visit<'a> {
    shop: &'a Shop,
    day: &'a Day,
    shopper: &'a Shopper,
    subject: SubjectId,
    context: EventContext,
    /// What this person wants of each kind today.
    kinds: Vec<f32>,
    owned: &'a [ProductNumber],
    rng: Rng,
    now: TimestampMs,
    cart: Vec<EventLine>,
    carted: Vec<ProductNumber>,
    seen: Vec<ProductNumber>,
    /// Product pages they will still open.
    patience: usize,
    events: Vec<Event>,
}

/// What a visit leaves behind.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) events: Vec<Event>,
    pub(crate) bought: Vec<ProductNumber>,
}

impl<'a> Visit<'a> {
    /// `shopper` is whose tastes count: for gifts, the recipient's.
    pub(crate) fn new(
        shop: &'a Shop,
        day: &'a Day,
        shopper: &'a Shopper,
        subject: SubjectId,
        owned: &'a [ProductNumber],
        mut rng: Rng,
    ) -> Self {
        let market = &shop.config.markets[shopper.market];
        let local_hour = rng.weighted(&HOURS).unwrap_or(12) as i64;
        let offset = local_hour * HOUR_MS + (rng.share() * HOUR_MS as f32) as i64;
        let utc = (offset - i64::from(market.utc_offset_hours) * HOUR_MS).rem_euclid(24 * HOUR_MS);
        let context = EventContext {
            market: market.id.clone(),
            device: shopper.device,
            locale: Some(market.locale.clone()),
            library: Some(CompactString::const_new("simulate/1")),
            ..EventContext::default()
        };
        Self {
            now: day.begins_at.plus_ms(utc),
            patience: 1 + (-rng.share().max(1e-6).ln() * 4.5) as usize,
            kinds: kind_weights(shopper, day),
            shop,
            day,
            shopper,
            subject,
            context,
            owned,
            rng,
            cart: Vec::new(),
            carted: Vec::new(),
            seen: Vec::new(),
            events: Vec::new(),
        }
    }

    /// The moment a shopper signs in: who they were before becomes who they are.
    pub(crate) fn sign_in(&mut self, anonymous: SubjectId) {
        let event = self.emit(EventKind::Alias);
        event.merged_from = Some(anonymous);
    }

    /// Looks into some kinds of products, one after the other, then at the cart.
    pub(crate) fn shop_around(mut self, order: OrderId) -> Outcome {
        self.arrive();
        let more = 1.0 - 1.0 / KINDS_PER_VISIT;
        while let Some(kind) = self.rng.weighted(&self.kinds) {
            match self.rng.share() {
                luck if luck < 0.55 => self.browse(kind),
                luck if luck < 0.85 => self.search(kind),
                _ => self.land(kind),
            }
            if self.patience == 0 || !self.rng.happens(more) {
                break;
            }
        }
        let abandonment = self.shopper.abandonment;
        self.check_out(order, abandonment)
    }

    /// Buys what has run out: they know what they want.
    pub(crate) fn restock(mut self, staples: &[ProductNumber], order: OrderId) -> Outcome {
        for &product in staples {
            self.page_view(product);
            self.add(product);
        }
        self.check_out(order, 0.05)
    }

    /// The first page: the home page with what is popular, or straight to what everyone talks about.
    fn arrive(&mut self) {
        let viral = self.day.trends.iter().find_map(|(trend, level)| match trend.of {
            TrendOf::Product(product) if self.rng.happens(0.04 * level) => Some(product),
            _ => None,
        });
        if let Some(product) = viral {
            self.context.referrer_host = Some(CompactString::const_new("social.example"));
            self.open(product, None);
            return;
        }
        if self.rng.happens(0.5) {
            self.page(CompactString::const_new("/"));
            if self.rng.happens(0.4) {
                self.home_strip();
            }
        }
    }

    /// Popular products of many kinds: only some of them are of interest.
    fn home_strip(&mut self) {
        let mut shown = Vec::with_capacity(8);
        for _ in 0..8 {
            let Some(kind) = self.rng.weighted(&self.day.demand) else { break };
            let one = self.day.shown(self.shop, kind, self.shopper.market, 1, &mut self.rng);
            if let Some(product) = one.first().filter(|product| !shown.contains(*product)) {
                shown.push(*product);
            }
        }
        let total = self.kinds.iter().sum();
        self.list(&CompactString::const_new("home/popular"), &shown, |visit, item| {
            interest(&visit.kinds, total, usize::from(item.kind))
        });
    }

    fn browse(&mut self, kind: usize) {
        let list = self.shop.slugs[kind].clone();
        for page in 0..3 {
            let shown = self.day.shown(self.shop, kind, self.shopper.market, PAGE, &mut self.rng);
            self.list(&list, &shown, |_, _| 1.0);
            if self.patience == 0 || page == 2 || !self.rng.happens(0.25) {
                break;
            }
        }
    }

    fn search(&mut self, kind: usize) {
        let found = self.day.shown(self.shop, kind, self.shopper.market, 2 * PAGE, &mut self.rng);
        let Some(&wanted) = found.first() else { return };
        let Some(item) = self.shop.catalogue.item(wanted) else { return };
        let (query, found) = self.ask(item, found);
        self.emit(EventKind::ProductsSearched).query = Some(query);
        self.list(&CompactString::const_new("search"), &found, |_, _| 1.0);
    }

    /// What they type, and what is found: products that match it first, others of the kind to fill the page.
    fn ask(&mut self, item: &Item, found: Vec<ProductNumber>) -> (CompactString, Vec<ProductNumber>) {
        let noun = item.noun_name().to_lowercase();
        let noun = if self.rng.happens(0.4) { last_word(&noun) } else { &noun };
        let wish = self.wish(item);
        let query = match wish {
            Wish::Noun(_) => noun.to_compact_string(),
            Wish::Colour(word) | Wish::Material(word) | Wish::Brand(word) => {
                format_compact!("{} {noun}", word.to_lowercase())
            }
        };
        let matches =
            |product: &ProductNumber| self.shop.catalogue.item(*product).is_some_and(|item| wish.is_met(item));
        let (mut matching, others): (Vec<_>, Vec<_>) = found.into_iter().partition(matches);
        matching.extend(others);
        matching.truncate(PAGE);
        let query = if self.rng.happens(0.04) { misspell(&query, &mut self.rng) } else { query };
        (query, matching)
    }

    fn wish(&mut self, item: &Item) -> Wish {
        let department = item.kind().department as usize;
        match self.rng.below(5) {
            0 if item.kind().coloured() => Wish::Colour(self.shopper.favourite_colour()),
            1 if !item.noun_name().contains(item.material_name()) => Wish::Material(item.material_name()),
            2 => Wish::Brand(DEPARTMENTS[department].brands[self.shopper.favourite_brand(department)]),
            _ => Wish::Noun(item.noun_name()),
        }
    }

    /// Comes by a link to something that suits, as from a newsletter.
    fn land(&mut self, kind: usize) {
        self.context.campaign_source = Some(CompactString::const_new("newsletter"));
        let some = self.day.shown(self.shop, kind, self.shopper.market, 16, &mut self.rng);
        let best = some.into_iter().max_by(|a, b| self.utility(*a).total_cmp(&self.utility(*b)));
        if let Some(product) = best {
            self.open(product, None);
        }
    }

    /// Shows a list; clicks fall with the position because fewer look that far.
    fn list(&mut self, list: &CompactString, shown: &[ProductNumber], attention: impl Fn(&Self, &Item) -> f32) {
        if shown.is_empty() {
            return;
        }
        let line = |(place, product): (usize, &ProductNumber)| EventLine {
            product: product_id(*product),
            variant: None,
            quantity: 1,
            unit_price: None,
            position: Some(place as u32 + 1),
        };
        let event = self.emit(EventKind::ProductListViewed);
        event.list = Some(list.clone());
        event.lines = shown.iter().enumerate().map(line).collect();
        for (place, &product) in shown.iter().enumerate() {
            let Some(item) = self.shop.catalogue.item(product) else { continue };
            let wanted = attention(self, item) * still_wanted(self.owned, product, item);
            if !self.seen.contains(&product) && self.rng.happens(wanted * click_probability(self.utility(product))) {
                self.open(product, Some((list, place)));
            }
            if self.patience == 0 || !self.rng.happens(LOOK_ON) {
                break;
            }
        }
    }

    /// Opens a product's page, perhaps takes it, perhaps goes on to a similar one.
    fn open(&mut self, product: ProductNumber, from: Option<(&CompactString, usize)>) {
        if let Some((list, place)) = from {
            let line = self.line(product, Some(place));
            let event = self.emit(EventKind::ProductClicked);
            event.list = Some(list.clone());
            event.lines.extend(line);
        }
        self.page_view(product);
        self.patience = self.patience.saturating_sub(1);
        if let Some(item) = self.shop.catalogue.item(product)
            && self.rng.happens(cart_probability(self.utility(product)) * still_wanted(self.owned, product, item))
        {
            self.add(product);
        }
        let from_similar = from.is_some_and(|(list, _)| list == "similar");
        if self.patience > 0 && !from_similar && self.rng.happens(0.3) {
            self.similar(product);
        }
    }

    fn similar(&mut self, product: ProductNumber) {
        let Some(item) = self.shop.catalogue.item(product) else { return };
        let mut some = self.day.shown(self.shop, usize::from(item.kind), self.shopper.market, 2 * PAGE, &mut self.rng);
        some.retain(|other| *other != product);
        let nearness = |other: &ProductNumber| {
            let other = self.shop.catalogue.item(*other).map_or([0.0; 8], |other| other.vector);
            item.vector.iter().zip(other).map(|(a, b)| a * b).sum::<f32>()
        };
        some.sort_by(|a, b| nearness(b).total_cmp(&nearness(a)));
        some.truncate(6);
        self.list(&CompactString::const_new("similar"), &some, |_, _| 1.0);
    }

    fn page_view(&mut self, product: ProductNumber) {
        self.seen.push(product);
        let line = self.line(product, None);
        let event = self.emit(EventKind::ProductViewed);
        event.context.page_path = Some(format_compact!("/p/{}", product_id(product)));
        event.lines.extend(line);
        let reading = 8.0 - 25.0 * self.rng.share().max(1e-4).ln();
        self.wait(reading);
    }

    fn add(&mut self, product: ProductNumber) {
        self.take(product);
        let partner = self.shop.catalogue.item(product).and_then(|item| item.partner);
        if let Some(partner) = partner
            && self.on_sale(partner)
            && !self.carted.contains(&partner)
            && self.rng.happens(TAKES_PARTNER)
        {
            self.page_view(partner);
            self.take(partner);
        }
    }

    fn take(&mut self, product: ProductNumber) {
        let Some(mut line) = self.line(product, None) else { return };
        let consumable = self.shop.catalogue.item(product).is_some_and(is_consumable);
        if consumable && self.rng.happens(0.35) {
            line.quantity = 2 + self.rng.below(2) as i32;
        }
        self.emit(EventKind::ProductAdded).lines.push(line.clone());
        self.cart.push(line);
        self.carted.push(product);
    }

    /// Second thoughts, then the order, or an abandoned cart.
    fn check_out(mut self, order: OrderId, abandonment: f32) -> Outcome {
        for place in (0..self.cart.len()).rev() {
            if self.rng.happens(0.08) {
                let line = self.cart.remove(place);
                self.carted.remove(place);
                self.emit(EventKind::ProductRemoved).lines.push(line);
            }
        }
        if self.cart.is_empty() {
            return Outcome { events: self.events, bought: Vec::new() };
        }
        let lines = std::mem::take(&mut self.cart);
        let value = order_value(&lines);
        self.emit(EventKind::CartViewed).value = value;
        if self.rng.happens(abandonment) {
            if self.rng.happens(0.4) {
                self.emit(EventKind::CheckoutStarted).value = value;
            }
            return Outcome { events: self.events, bought: Vec::new() };
        }
        self.emit(EventKind::CheckoutStarted).value = value;
        self.wait(90.0);
        let event = self.emit(EventKind::OrderCompleted);
        event.order = Some(order);
        event.value = value;
        event.lines = lines;
        Outcome { events: self.events, bought: self.carted }
    }

    fn page(&mut self, path: CompactString) {
        self.emit(EventKind::Page).context.page_path = Some(path);
    }

    /// Writes an event down and lets some seconds pass.
    fn emit(&mut self, kind: EventKind) -> &mut Event {
        let mut event = Event::new(EventId(0), self.subject, kind, self.now);
        event.consent = self.shopper.consent;
        event.context = self.context.clone();
        let place = self.events.len();
        self.events.push(event);
        let pause = 2.0 + 10.0 * self.rng.share();
        self.wait(pause);
        &mut self.events[place]
    }

    fn wait(&mut self, seconds: f32) {
        let limit = 12.0 * MINUTE_MS as f32;
        self.now = self.now.plus_ms((seconds * SECOND_MS as f32).min(limit) as i64);
    }

    fn line(&self, product: ProductNumber, place: Option<usize>) -> Option<EventLine> {
        let item = self.shop.catalogue.item(product)?;
        let variant = self.shopper.variant_of(item, variant_count(product, item));
        Some(EventLine {
            product: product_id(product),
            variant: Some(variant_id(product, item, variant)),
            quantity: 1,
            unit_price: Some(market_price(&self.shop.config, item, self.shopper.market)),
            position: place.map(|place| place as u32 + 1),
        })
    }

    fn utility(&self, product: ProductNumber) -> f32 {
        self.shop
            .catalogue
            .item(product)
            .map_or(f32::NEG_INFINITY, |item| self.shopper.liking(item) + self.day.lift(product, item))
    }

    fn on_sale(&self, product: ProductNumber) -> bool {
        let item = self.shop.catalogue.item(product);
        item.is_some_and(|item| item.on_sale(self.day.number) && item.sold_in(self.shopper.market))
    }
}

/// Factor on clicks and on purchases of what somebody may own.
pub(crate) fn still_wanted(owned: &[ProductNumber], product: ProductNumber, item: &Item) -> f32 {
    if owned.contains(&product) && !is_consumable(item) { WANTED_TWICE } else { 1.0 }
}

pub(crate) fn is_consumable(item: &Item) -> bool {
    CONSUMABLES.iter().any(|(shelf, _)| *shelf == item.kind().shelf)
}

/// The sum of a cart; all its prices are in the market's currency.
pub(crate) fn order_value(lines: &[EventLine]) -> Option<Money> {
    let mut prices = lines.iter().filter_map(|line| line.unit_price.map(|price| (price, i64::from(line.quantity))));
    let (first, quantity) = prices.next()?;
    prices.try_fold(first.times(quantity).ok()?, |sum, (price, quantity)| {
        sum.checked_add(price.times(quantity).ok()?).ok()
    })
}

fn last_word(text: &str) -> &str {
    text.rsplit(' ').next().unwrap_or(text)
}

/// Swaps two neighbouring letters, as hurried fingers do.
fn misspell(query: &str, rng: &mut Rng) -> CompactString {
    let mut letters: Vec<char> = query.chars().collect();
    if letters.len() >= 4 {
        let place = 1 + rng.below(letters.len() - 2);
        letters.swap(place, place - 1);
    }
    letters.into_iter().collect()
}
