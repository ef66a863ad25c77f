//! An event as features read it: when, and which products it touched.

use merx_domain::{
    ConsentStamp, Device, Event, EventLine, EventMeaning, ProductId, ProductNumber, Purposes, TimestampMs,
};

/// What features ask about a product. Numbers are given once and never reused for something else, because states keep
/// them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProductFacts<'a> {
    pub number: ProductNumber,
    /// Numbers of the categories whose affinities it feeds; usually the most specific one.
    pub categories: &'a [u32],
    pub brand: Option<u32>,
    /// Where its price stands within its category: 0 is the cheapest level.
    pub price_level: Option<u8>,
}

/// The catalogue as features see it; the caller keeps it. For a replay to give the same values as the live run, it must
/// answer as it did then: facts that features use should not change in place.
pub trait Products {
    /// `None`: the product is unknown, and what happened to it teaches nothing yet.
    fn facts(&self, product: &ProductId) -> Option<ProductFacts<'_>>;
    fn category_name(&self, category: u32) -> Option<&str>;
    fn brand_name(&self, brand: u32) -> Option<&str>;
}

/// A product on an event, looked up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Touch<'a> {
    pub facts: ProductFacts<'a>,
    pub meaning: EventMeaning,
    /// Units, at least 1.
    pub quantity: f32,
    /// The same again a moment later: a click and the page it opened, a reload. It is not counted twice.
    pub repeat: bool,
}

/// An event, looked up once for all features.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moment<'a> {
    pub at: TimestampMs,
    /// A server's report (a refund, an import) is no visit.
    pub from_shopper: bool,
    /// Empty where nothing but a list was shown.
    pub touches: Vec<Touch<'a>>,
}

impl<'a> Moment<'a> {
    pub(crate) fn resolve(event: &Event, products: &'a dyn Products) -> Self {
        let meaning = event.kind.meaning();
        let touches = match meaning {
            EventMeaning::Shown | EventMeaning::Other => Vec::new(),
            _ => {
                let touch = |line: &EventLine| {
                    let quantity = line.quantity.max(1) as f32;
                    products.facts(&line.product).map(|facts| Touch { facts, meaning, quantity, repeat: false })
                };
                event.lines.iter().filter_map(touch).collect()
            }
        };
        Self {
            // Nothing happens after it was received: a clock that runs ahead must not age everything else.
            at: event.occurred_at.min(event.received_at),
            from_shopper: event.context.device != Device::Server,
            touches,
        }
    }
}

/// Whether a person said no to being known. What they do still counts for products, not for them.
pub(crate) fn declines(consent: ConsentStamp) -> bool {
    consent.denied.contains(Purposes::PERSONALISATION)
}
