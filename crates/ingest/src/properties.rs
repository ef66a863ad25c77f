//! The `properties` of a track call: products, order, money, and whatever else the shop sends along.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use compact_str::CompactString;
use merx_domain::{
    Currency, DecisionId, Event, EventKind, EventLine, EventMeaning, IdError, Money, OrderId, ProductId, VariantId,
};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::context::Key;
use crate::json::{money, number_text, text};
use crate::personal::{clean, looks_personal, names_a_person, without_query};
use crate::raw::{ProductMention, Reason};
use crate::rules::Rules;

/// More of one product than this on one event is a mistake of the sender.
const MAX_QUANTITY: f64 = 1e6;

/// Longest search query and list name kept, in bytes.
const MAX_TEXT_BYTES: usize = 500;

macro_rules! known_properties {
    ($($field:ident: $($name:literal)|+;)*) => {
        /// The properties that mean something to Merx, and the rest. Values are read when they are needed; what nobody
        /// took goes along as text.
        #[derive(Debug, Default)]
        pub(crate) struct Properties<'a> {
            $(pub(crate) $field: Option<&'a RawValue>,)*
            market: Option<&'a RawValue>,
            rest: Vec<(Cow<'a, str>, &'a RawValue)>,
        }

        impl<'a> Properties<'a> {
            /// Files a value under its field; of two spellings of one field the first counts.
            fn set(&mut self, key: &str, value: &'a RawValue) -> bool {
                match key {
                    $($($name)|+ => { self.$field.get_or_insert(value); })*
                    _ => return false,
                }
                true
            }

            /// The values that nobody took, under the first of their names.
            fn leftovers(&self) -> impl Iterator<Item = (&'static str, &'a RawValue)> {
                let all = [$(([$($name),+][0], self.$field)),*];
                all.into_iter().filter_map(|(name, value)| Some((name, value?)))
            }
        }
    };
}

// Segment's names first, then camel case and v1 spellings, then GA4's.
known_properties! {
    product_id: "product_id" | "productId" | "item_id";
    id: "id";
    sku: "sku";
    quantity: "quantity";
    price: "price";
    position: "position";
    index: "index";
    name: "name" | "item_name";
    brand: "brand" | "item_brand";
    category: "category" | "item_category";
    url: "url";
    image_url: "image_url" | "imageUrl";
    products: "products" | "items";
    order_id: "order_id" | "orderId" | "transaction_id";
    currency: "currency";
    value: "value";
    revenue: "revenue";
    total: "total";
    discount: "discount";
    query: "query" | "search_term";
    list_id: "list_id" | "listId" | "list" | "item_list_id";
    decision_id: "decision_id" | "decisionId";
}

struct PropertiesSeed<'r> {
    market_key: Option<&'r str>,
    keep_rest: bool,
}

impl<'de> DeserializeSeed<'de> for PropertiesSeed<'_> {
    type Value = Properties<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for PropertiesSeed<'_> {
    type Value = Properties<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut properties = Properties::default();
        while let Some(Key(key)) = map.next_key()? {
            if self.market_key == Some(&*key) {
                properties.market = map.next_value()?;
                continue;
            }
            let value = map.next_value()?;
            if !properties.set(&key, value) && self.keep_rest {
                properties.rest.push((key, value));
            }
        }
        Ok(properties)
    }
}

/// One entry of `products`; unknown members are left out.
struct ProductItem<'a>(Properties<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for ProductItem<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        PropertiesSeed { market_key: None, keep_rest: false }.deserialize(deserializer).map(Self)
    }
}

impl<'a> Properties<'a> {
    pub(crate) fn read(raw: &'a RawValue, rules: &Rules) -> Result<Self, Reason> {
        let seed = PropertiesSeed { market_key: rules.market.property.as_deref(), keep_rest: true };
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        seed.deserialize(&mut deserializer).map_err(|error| Reason::InvalidProperties { detail: error.to_string() })
    }

    pub(crate) fn market(&self) -> Option<Cow<'a, str>> {
        text(self.market)
    }

    /// Moves what is known into the event, and the rest into its properties.
    pub(crate) fn fill(mut self, event: &mut Event, rules: &Rules) -> Result<Vec<ProductMention>, Reason> {
        let currency = self.take_currency(rules.currency);
        let mentions = self.take_lines(event, currency)?;
        event.order = id::<OrderId>("order_id", text(self.order_id.take()))?;
        event.value = currency.and_then(|currency| self.take_value(event.kind, currency));
        event.decision = self.take_decision().or(event.decision);
        event.query = short(text(self.query.take()));
        event.list = self.take_list(event.kind);
        self.keep_rest(event);
        Ok(mentions)
    }

    /// `None` where the sender named a currency that is none: its amounts mean nothing then.
    fn take_currency(&mut self, default: Currency) -> Option<Currency> {
        let Some(code) = text(self.currency) else { return Some(default) };
        let currency = code.parse().ok()?;
        self.currency = None;
        Some(currency)
    }

    fn take_lines(&mut self, event: &mut Event, currency: Option<Currency>) -> Result<Vec<ProductMention>, Reason> {
        let about_products = event.kind.meaning() != EventMeaning::Other;
        let mut mentions = Vec::new();
        if let Some(products) = self.products.take() {
            let items: Vec<ProductItem<'_>> = serde_json::from_str(products.get())
                .map_err(|error| Reason::InvalidProperties { detail: format!("products: {error}") })?;
            for mut item in items {
                let currency = text(item.0.currency).map_or(currency, |code| code.parse().ok());
                // Pages name the decision of each line where they differ; an event has one, that of the first that has any.
                let decision = item.0.take_decision();
                event.decision = event.decision.or(decision);
                let line = item.0.take_line(true, currency)?;
                let (line, mention) = line.ok_or(Reason::MissingProductId { event: event.kind.name() })?;
                event.lines.push(line);
                mentions.extend(mention);
            }
        } else if let Some((line, mention)) = self.take_line(about_products, currency)? {
            event.lines.push(line);
            mentions.extend(mention);
        }
        if event.lines.is_empty() && needs_product(event.kind) {
            return Err(Reason::MissingProductId { event: event.kind.name() });
        }
        Ok(mentions)
    }

    /// The product these properties describe. `loosely`: v1 named the product `id`, some shops only know SKUs.
    fn take_line(
        &mut self,
        loosely: bool,
        currency: Option<Currency>,
    ) -> Result<Option<(EventLine, Option<ProductMention>)>, Reason> {
        let sku = if loosely || self.product_id.is_some() { text(self.sku.take()) } else { None };
        let own = text(self.product_id.take());
        let product = if loosely { own.or_else(|| text(self.id.take())).or_else(|| sku.clone()) } else { own };
        let Some(product) = id::<ProductId>("product_id", product)? else { return Ok(None) };
        let variant = id::<VariantId>("sku", sku.filter(|sku| **sku != *product.as_str()))?;
        let unit_price = currency.and_then(|currency| money(self.price, currency));
        if unit_price.is_some() {
            self.price = None;
        }
        let line = EventLine {
            variant,
            quantity: quantity(self.quantity.take())?,
            unit_price,
            position: place(self.position.take(), 0).or_else(|| place(self.index.take(), 1)),
            product: product.clone(),
        };
        Ok(Some((line, self.take_mention(product, unit_price))))
    }

    fn take_mention(&mut self, product: ProductId, price: Option<Money>) -> Option<ProductMention> {
        let web = |raw| text(raw).map(|url| CompactString::from(without_query(&url)));
        let mention = ProductMention {
            name: short(text(self.name.take())),
            brand: short(text(self.brand.take())),
            category: short(text(self.category)),
            url: web(self.url.take()),
            image_url: web(self.image_url.take()),
            price,
            product,
        };
        mention.name.is_some().then_some(mention)
    }

    /// An order is worth its revenue; where that isn't sent its total, with shipping and tax, is the next best.
    fn take_value(&mut self, kind: EventKind, currency: Currency) -> Option<Money> {
        use EventKind as K;
        let candidates: &mut [&mut Option<&RawValue>] = match kind {
            K::CheckoutStarted | K::OrderUpdated | K::OrderCompleted | K::OrderRefunded | K::OrderCancelled => {
                &mut [&mut self.revenue, &mut self.total, &mut self.value]
            }
            K::CouponApplied | K::CouponRemoved => &mut [&mut self.discount, &mut self.value],
            _ => &mut [&mut self.value],
        };
        candidates.iter_mut().find_map(|candidate| {
            let amount = money(**candidate, currency)?;
            **candidate = None;
            Some(amount)
        })
    }

    /// A decision id that isn't one stays among the properties, where it can be seen.
    fn take_decision(&mut self) -> Option<DecisionId> {
        let decision = text(self.decision_id)?.parse().ok()?;
        self.decision_id = None;
        Some(decision)
    }

    fn take_list(&mut self, kind: EventKind) -> Option<CompactString> {
        if let Some(list) = short(text(self.list_id.take())) {
            return Some(list);
        }
        let of_category = matches!(kind, EventKind::ProductListViewed | EventKind::ProductListFiltered);
        if of_category { short(text(self.category.take())) } else { None }
    }

    fn keep_rest(self, event: &mut Event) {
        let leftovers = self.leftovers().map(|(name, value)| (Cow::Borrowed(name), value));
        for (key, value) in leftovers.chain(self.rest.iter().map(|(key, value)| (key.clone(), *value))) {
            keep(&mut event.properties, &key, value);
        }
    }
}

/// Keeps one property unless its name or its value gives a person away.
pub(crate) fn keep(properties: &mut BTreeMap<CompactString, String>, key: &str, value: &RawValue) {
    if names_a_person(key) {
        return;
    }
    if let Some(cleaned) = clean(value) {
        properties.insert(key.into(), cleaned);
    }
}

/// Events that say nothing without their product.
fn needs_product(kind: EventKind) -> bool {
    use EventKind as K;
    matches!(
        kind,
        K::ProductClicked
            | K::ProductViewed
            | K::ProductAdded
            | K::ProductRemoved
            | K::ProductAddedToWishlist
            | K::ProductRemovedFromWishlist
            | K::WishlistProductAddedToCart
            | K::ProductShared
            | K::ProductReviewed
    )
}

fn id<T: FromStr<Err = IdError>>(field: &'static str, text: Option<Cow<'_, str>>) -> Result<Option<T>, Reason> {
    let parsed = text.map(|text| text.parse()).transpose();
    parsed.map_err(|error: IdError| Reason::InvalidId { field, detail: error.to_string() })
}

/// Whole units; a part of one (cloth, cheese) counts as one.
fn quantity(raw: Option<&RawValue>) -> Result<i32, Reason> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(1) };
    match number_text(raw).parse::<f64>() {
        Ok(number) if number > 0.0 && number <= MAX_QUANTITY => Ok(number.ceil() as i32),
        _ => Err(Reason::InvalidQuantity { detail: raw.get().chars().take(40).collect() }),
    }
}

/// A place in a list counted from 1; `first` is what the sender's first place lacks to it.
fn place(raw: Option<&RawValue>, first: u32) -> Option<u32> {
    number_text(raw?).parse::<u32>().ok()?.checked_add(first)
}

/// A text that may be kept: not endless, and not about a person.
fn short(text: Option<Cow<'_, str>>) -> Option<CompactString> {
    text.filter(|text| text.len() <= MAX_TEXT_BYTES && !looks_personal(text)).map(CompactString::from)
}
