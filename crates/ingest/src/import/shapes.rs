//! Rows become products, orders, stock levels and events, and go where they belong.

use std::collections::BTreeMap;

use compact_str::CompactString;
use merx_domain::{
    AttributeValue, Currency, Event, EventKind, EventLine, LocationId, MarketId, Money, Order, OrderId, OrderLine,
    OrderLineKind, OrderStatus, Price, Product, ProductId, ProductStatus, StockLevel, SubjectId, TimestampMs, Variant,
    VariantId,
};
use merx_store::Appended;
use rustc_hash::FxHashMap;

use super::mapping::{Dialect, Field, Fields};
use super::source::Cell;
use super::{Reject, Result, feed_product, online_retail};
use crate::catalogue::StockKey;
use crate::changes::Written;
use crate::pipeline::{Alongside, CustomerOrder, Ingest};
use crate::raw::{Identities, RawEvent};
use crate::segment::EventIdHasher;

/// One kind of rows.
pub(super) trait Shape {
    type Row;

    fn read(&self, fields: Fields<'_>) -> Result<Self::Row, Reject>;

    /// Rows of one key, one after the other, are one entity; without a key each row is its own.
    fn key(row: &Self::Row) -> Option<&str>;

    /// Stores entities, durably, together with what runs `alongside`. Answers by entity.
    fn store(
        &self,
        ingest: &Ingest,
        entities: Vec<Vec<Self::Row>>,
        at: TimestampMs,
        alongside: Alongside<'_>,
    ) -> Result<Vec<Written>>;
}

// ---- Orders ----

/// One row of an order. A total that can't be divided by its quantity makes two lines, so that not a cent is lost.
pub(super) struct OrderRow {
    pub(super) order: OrderId,
    pub(super) placed_at: TimestampMs,
    pub(super) customer: Option<CompactString>,
    pub(super) market: MarketId,
    pub(super) currency: Currency,
    pub(super) status: OrderStatus,
    pub(super) lines: Vec<OrderLine>,
}

pub(super) struct OrderShape;

impl Shape for OrderShape {
    type Row = OrderRow;

    fn read(&self, fields: Fields<'_>) -> Result<OrderRow, Reject> {
        match fields.compiled.mapping.dialect {
            Dialect::OnlineRetail => online_retail::order_row(fields),
            Dialect::Plain | Dialect::GoogleFeed => order_row(fields),
        }
    }

    fn key(row: &OrderRow) -> Option<&str> {
        Some(row.order.as_str())
    }

    fn store(
        &self,
        ingest: &Ingest,
        entities: Vec<Vec<OrderRow>>,
        at: TimestampMs,
        alongside: Alongside<'_>,
    ) -> Result<Vec<Written>> {
        let orders = entities.into_iter().filter_map(order).collect();
        Ok(ingest.put_orders(orders, at, alongside)?)
    }
}

fn order(rows: Vec<OrderRow>) -> Option<CustomerOrder> {
    let mut rows = rows.into_iter();
    let first = rows.next()?;
    let mut order = Order {
        id: first.order,
        subject: None,
        placed_at: first.placed_at,
        market: first.market,
        currency: first.currency,
        status: first.status,
        lines: first.lines,
    };
    let mut customer = first.customer;
    for row in rows {
        customer = customer.or(row.customer);
        order.lines.extend(row.lines);
    }
    Some(CustomerOrder { customer, order })
}

fn order_row(fields: Fields<'_>) -> Result<OrderRow, Reject> {
    let product: ProductId = fields.needed_id(Field::Product)?;
    let quantity = whole(fields.number(Field::Quantity)?.unwrap_or(1.0))?;
    let line = |quantity: i64, unit_price: Money| OrderLine {
        product: product.clone(),
        variant: None,
        kind: OrderLineKind::Sale,
        quantity,
        unit_price,
    };
    let mut lines = match (fields.money(Field::UnitPrice)?, fields.money(Field::LineTotal)?) {
        (Some(unit_price), _) => vec![line(quantity.abs(), unit_price)],
        (None, Some(total)) => {
            let parts = split(total.minor.unsigned_abs(), quantity.unsigned_abs());
            parts.into_iter().map(|(units, minor)| line(units, Money::new(minor, total.currency))).collect()
        }
        (None, None) => return Err(Reject::new("missing_value", "neither unit_price nor line_total")),
    };
    let variant: Option<VariantId> = fields.id(Field::Variant)?;
    for line in &mut lines {
        line.variant = variant.clone();
        if quantity < 0 {
            line.kind = OrderLineKind::Return;
        }
    }
    let currency = match lines.first() {
        Some(line) => line.unit_price.currency,
        None => fields.currency()?,
    };
    Ok(OrderRow {
        order: fields.needed_id(Field::Order)?,
        placed_at: fields.needed_time(Field::PlacedAt)?,
        customer: fields.text(Field::Customer),
        market: fields.market()?,
        currency,
        status: status(fields)?,
        lines,
    })
}

fn status(fields: Fields<'_>) -> Result<OrderStatus, Reject> {
    let Some(text) = fields.text(Field::Status) else { return Ok(OrderStatus::Completed) };
    match text.to_lowercase().as_str() {
        "completed" | "complete" | "paid" | "shipped" | "delivered" | "fulfilled" | "closed" => {
            Ok(OrderStatus::Completed)
        }
        "cancelled" | "canceled" | "voided" => Ok(OrderStatus::Cancelled),
        "refunded" | "returned" => Ok(OrderStatus::Refunded),
        other => Err(Reject::new("invalid_status", format!("{other:?} is no status of an order"))),
    }
}

/// Units as a whole number other than 0; a part of a unit counts as one.
pub(super) fn whole(quantity: f64) -> Result<i64, Reject> {
    /// More than this is a mistake of the file.
    const MOST: f64 = 1e9;
    if quantity == 0.0 {
        return Err(Reject::new("no_quantity", "the quantity is 0"));
    }
    if quantity.abs() > MOST {
        return Err(Reject::new("invalid_number", "the quantity is beyond all bounds"));
    }
    Ok((quantity.abs().ceil() * quantity.signum()) as i64)
}

/// Units and their price in minor units, so that the sum is exactly `total`: some units cost one more than the others.
fn split(total: u64, units: u64) -> Vec<(i64, i64)> {
    let (price, dearer) = (total / units, total % units);
    let parts = [(dearer, price + 1), (units - dearer, price)];
    parts.into_iter().filter(|(units, _)| *units > 0).map(|(units, price)| (units as i64, price as i64)).collect()
}

// ---- Products ----

/// What one row says of a product and of one of its variants.
#[derive(Debug)]
pub(super) struct ProductRow {
    pub(super) id: ProductId,
    pub(super) name: Option<CompactString>,
    pub(super) description: Option<CompactString>,
    pub(super) brand: Option<CompactString>,
    pub(super) category_path: Vec<CompactString>,
    pub(super) attributes: BTreeMap<CompactString, AttributeValue>,
    pub(super) images: Vec<String>,
    pub(super) url: Option<String>,
    pub(super) status: Option<ProductStatus>,
    /// What a feed knows of the stock.
    pub(super) in_stock: Option<bool>,
    pub(super) variant: Option<Variant>,
}

impl ProductRow {
    /// A row that says nothing yet.
    pub(super) fn new(id: ProductId) -> Self {
        Self {
            id,
            name: None,
            description: None,
            brand: None,
            category_path: Vec::new(),
            attributes: BTreeMap::new(),
            images: Vec::new(),
            url: None,
            status: None,
            in_stock: None,
            variant: None,
        }
    }
}

pub(super) struct ProductShape {
    /// Decides which of a feed's prices are in effect.
    pub(super) at: TimestampMs,
}

impl Shape for ProductShape {
    type Row = ProductRow;

    fn read(&self, fields: Fields<'_>) -> Result<ProductRow, Reject> {
        match fields.compiled.mapping.dialect {
            Dialect::GoogleFeed => feed_product::row(fields, self.at),
            Dialect::Plain | Dialect::OnlineRetail => product_row(fields),
        }
    }

    fn key(row: &ProductRow) -> Option<&str> {
        Some(row.id.as_str())
    }

    /// What a file doesn't say of a product stays as it is.
    fn store(
        &self,
        ingest: &Ingest,
        entities: Vec<Vec<ProductRow>>,
        at: TimestampMs,
        alongside: Alongside<'_>,
    ) -> Result<Vec<Written>> {
        let ids: Vec<ProductId> = entities.iter().filter_map(|rows| rows.first()).map(|row| row.id.clone()).collect();
        let standing = ingest.catalogue.get(&ids)?;
        let (sold_out, back) = stock_of_feed(&entities, at);
        let products: Vec<Product> = entities
            .into_iter()
            .zip(standing)
            .zip(ids)
            .map(|((rows, standing), id)| {
                let new = || Product::new(id.clone(), id.as_str(), at);
                rows.into_iter().fold(standing.map_or_else(new, |standing| standing.product), with_row)
            })
            .collect();
        if !sold_out.is_empty() {
            ingest.stock.put(&sold_out)?;
        }
        if !back.is_empty() {
            ingest.stock.remove(&back, at)?;
        }
        Ok(ingest.put_products(&products, at, alongside)?)
    }
}

/// Where the stock lies that a feed calls sold out.
const FEED_LOCATION: &str = "feed";

/// A feed knows no quantities: what it calls sold out gets a level of 0, which goes when it is back.
fn stock_of_feed(entities: &[Vec<ProductRow>], at: TimestampMs) -> (Vec<StockLevel>, Vec<StockKey>) {
    let (mut sold_out, mut back) = (Vec::new(), Vec::new());
    for row in entities.iter().flatten() {
        let (Some(in_stock), Some(variant)) = (row.in_stock, &row.variant) else { continue };
        let Ok(location) = LocationId::new(FEED_LOCATION) else { continue };
        let (product, variant) = (row.id.clone(), variant.id.clone());
        if in_stock {
            back.push(StockKey { product, variant, location });
        } else {
            sold_out.push(StockLevel { product, variant, location, quantity: 0, updated_at: at });
        }
    }
    (sold_out, back)
}

fn with_row(mut product: Product, row: ProductRow) -> Product {
    if let Some(name) = row.name {
        product.name = name.into();
    }
    if let Some(description) = row.description {
        product.description = description.into();
    }
    product.brand = row.brand.or(product.brand);
    product.url = row.url.or(product.url);
    product.status = row.status.unwrap_or(product.status);
    if !row.category_path.is_empty() {
        product.category_path = row.category_path;
    }
    if !row.images.is_empty() {
        product.images = row.images;
    }
    product.attributes.extend(row.attributes);
    if let Some(variant) = row.variant {
        match product.variants.iter_mut().find(|other| other.id == variant.id) {
            Some(standing) => update_variant(standing, variant),
            None => product.variants.push(variant),
        }
    }
    product
}

fn update_variant(standing: &mut Variant, variant: Variant) {
    standing.gtin = variant.gtin.or_else(|| standing.gtin.take());
    standing.cost = variant.cost.or(standing.cost);
    standing.attributes.extend(variant.attributes);
    if !variant.images.is_empty() {
        standing.images = variant.images;
    }
    for price in variant.prices {
        match standing.prices.iter_mut().find(|other| other.market == price.market) {
            Some(known) => *known = price,
            None => standing.prices.push(price),
        }
    }
}

fn product_row(fields: Fields<'_>) -> Result<ProductRow, Reject> {
    let id: ProductId = fields.needed_id(Field::Product)?;
    let mut attributes = BTreeMap::new();
    for (name, cell) in fields.attributes() {
        if let Some(value) = attribute(cell) {
            attributes.insert(name.clone(), value);
        }
    }
    let variant_id: Option<VariantId> = fields.id(Field::Variant)?;
    let market: Option<MarketId> = fields.id(Field::Market)?;
    let price = fields.money(Field::Price)?;
    let (cost, gtin) = (fields.money(Field::Cost)?, fields.text(Field::Gtin));
    let mut variant = None;
    if variant_id.is_some() || price.is_some() || cost.is_some() || gtin.is_some() {
        let same = || VariantId::new(id.as_str()).map_err(|error| Reject::new("invalid_id", error.to_string()));
        let mut new = Variant::new(variant_id.map_or_else(same, Ok)?);
        let list_amount = fields.money(Field::ListPrice)?;
        new.prices.extend(price.map(|amount| Price { market: market.clone(), amount, list_amount }));
        (new.cost, new.gtin) = (cost, gtin);
        variant = Some(new);
    }
    Ok(ProductRow {
        id,
        name: fields.text(Field::Name),
        description: fields.text(Field::Description),
        brand: fields.text(Field::Brand),
        category_path: fields.category(),
        attributes,
        images: images(fields),
        url: fields.text(Field::Url).map(String::from),
        status: product_status(fields)?,
        in_stock: None,
        variant,
    })
}

fn images(fields: Fields<'_>) -> Vec<String> {
    let separator = &fields.compiled.mapping.list_separator;
    fields.list(Field::Images, separator).into_iter().map(String::from).collect()
}

fn attribute(cell: &Cell) -> Option<AttributeValue> {
    match cell {
        Cell::Integer(number) => Some(AttributeValue::Number(*number as f64)),
        Cell::Real(number) => Some(AttributeValue::Number(*number)),
        other => other.to_text().map(AttributeValue::Text),
    }
}

fn product_status(fields: Fields<'_>) -> Result<Option<ProductStatus>, Reject> {
    let Some(text) = fields.text(Field::Status) else { return Ok(None) };
    match text.to_lowercase().as_str() {
        "visible" | "active" | "published" | "enabled" | "true" | "1" => Ok(Some(ProductStatus::Visible)),
        "hidden" | "draft" | "inactive" | "disabled" | "false" | "0" => Ok(Some(ProductStatus::Hidden)),
        "archived" | "deleted" => Ok(Some(ProductStatus::Archived)),
        other => Err(Reject::new("invalid_status", format!("{other:?} is no status of a product"))),
    }
}

// ---- Stock ----

pub(super) struct StockShape {
    /// Of rows without a date.
    pub(super) at: TimestampMs,
}

impl Shape for StockShape {
    type Row = StockLevel;

    fn read(&self, fields: Fields<'_>) -> Result<StockLevel, Reject> {
        let invalid = |error: merx_domain::IdError| Reject::new("invalid_id", error.to_string());
        let (product, variant) =
            match (fields.id::<ProductId>(Field::Product)?, fields.id::<VariantId>(Field::Variant)?) {
                (Some(product), Some(variant)) => (product, variant),
                (Some(product), None) => (product.clone(), product.as_str().parse().map_err(invalid)?),
                (None, Some(variant)) => (variant.as_str().parse().map_err(invalid)?, variant),
                (None, None) => return Err(Reject::new("missing_value", "neither product nor variant")),
            };
        let quantity = fields.number(Field::Quantity)?;
        let quantity = quantity.ok_or_else(|| Reject::new("missing_value", "quantity is empty"))?;
        Ok(StockLevel {
            product,
            variant,
            location: fields.id(Field::Location)?.map_or_else(|| LocationId::new("default").map_err(invalid), Ok)?,
            quantity: quantity.floor() as i64,
            updated_at: fields.time(Field::UpdatedAt)?.unwrap_or(self.at),
        })
    }

    fn key(_: &StockLevel) -> Option<&str> {
        None
    }

    fn store(
        &self,
        ingest: &Ingest,
        entities: Vec<Vec<StockLevel>>,
        _: TimestampMs,
        alongside: Alongside<'_>,
    ) -> Result<Vec<Written>> {
        let levels: Vec<StockLevel> = entities.into_iter().flatten().collect();
        Ok(ingest.put_stock(&levels, alongside)?)
    }
}

// ---- Events ----

pub(super) struct EventShape {
    pub(super) at: TimestampMs,
}

impl Shape for EventShape {
    type Row = RawEvent;

    fn read(&self, fields: Fields<'_>) -> Result<RawEvent, Reject> {
        let name = fields.needed(Field::Event)?;
        let kind = EventKind::from_track_name(&name).or_else(|| EventKind::from_ga4_name(&name));
        let identities = Identities {
            user_id: fields.text(Field::User),
            anonymous_id: fields.text(Field::Anonymous),
            ..Identities::default()
        };
        if identities.user_id.is_none() && identities.anonymous_id.is_none() {
            return Err(Reject::new("no_user_anon_id", "user and anonymous are both empty"));
        }
        let occurred_at = fields.needed_time(Field::OccurredAt)?;
        let mut event = Event::new(event_id(fields), SubjectId(0), kind.unwrap_or(EventKind::Custom), occurred_at);
        event.received_at = self.at;
        event.context.market = fields.market()?;
        event.custom_name = kind.is_none().then_some(name);
        event.order = fields.id(Field::Order)?;
        event.query = fields.text(Field::Query);
        event.list = fields.text(Field::List);
        if let Some(product) = fields.id(Field::Product)? {
            let quantity = whole(fields.number(Field::Quantity)?.unwrap_or(1.0))?;
            event.lines.push(EventLine {
                product,
                variant: fields.id(Field::Variant)?,
                quantity: i32::try_from(quantity.abs()).unwrap_or(i32::MAX),
                unit_price: fields.money(Field::Price)?,
                position: None,
            });
        }
        Ok(RawEvent::new(identities, Vec::new(), true, event))
    }

    fn key(_: &RawEvent) -> Option<&str> {
        None
    }

    /// The log and the records are two stores: the checkpoint follows the events, whose ids make a repeat harmless.
    fn store(
        &self,
        ingest: &Ingest,
        entities: Vec<Vec<RawEvent>>,
        at: TimestampMs,
        alongside: Alongside<'_>,
    ) -> Result<Vec<Written>> {
        let appended = ingest.accept(entities.into_iter().flatten().collect(), at)?;
        let written = |appended| match appended {
            Appended::Stored => Written::Created,
            Appended::Duplicate => Written::Unchanged,
        };
        let written: Vec<Written> = appended.into_iter().map(written).collect();
        ingest.records().transaction(&mut |transaction| alongside(transaction, &written))?;
        Ok(written)
    }
}

/// The row's own message id, or its content: a row told twice is one event.
fn event_id(fields: Fields<'_>) -> merx_domain::EventId {
    let mut hasher = EventIdHasher::new("import");
    if let Some(message_id) = fields.text(Field::MessageId) {
        return hasher.part(b"message").part(message_id.as_bytes()).finish();
    }
    hasher.part(b"content");
    for (column, cell) in fields.compiled.columns.iter().zip(fields.cells) {
        hasher.part(column.as_bytes()).part(cell.to_text().unwrap_or_default().as_bytes());
    }
    hasher.finish()
}

/// How often each spelling was seen; bounded, since notes of the warehouse stand in the same column.
#[derive(Debug, Default)]
pub(super) struct Spellings(FxHashMap<CompactString, u32>);

impl Spellings {
    /// Spellings of one product.
    const MOST: usize = 32;

    pub(super) fn add(&mut self, spelling: &str) {
        if let Some(count) = self.0.get_mut(spelling) {
            *count += 1;
        } else if self.0.len() < Self::MOST {
            self.0.insert(spelling.into(), 1);
        }
    }

    /// The most frequent one; of two alike the first in the alphabet.
    pub(super) fn best(&self) -> Option<&CompactString> {
        let most = self.0.iter().max_by(|(a, n), (b, m)| n.cmp(m).then_with(|| b.cmp(a)));
        most.map(|(spelling, _)| spelling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_is_split_without_losing_a_cent() {
        assert_eq!(split(100, 3), [(1, 34), (2, 33)]);
        assert_eq!(split(600, 3), [(3, 200)]);
        assert_eq!(split(2, 5), [(2, 1), (3, 0)]);
    }

    #[test]
    fn the_most_frequent_spelling_wins() {
        let mut spellings = Spellings::default();
        for text in ["HOSE", "hose?", "HOSE", "damaged"] {
            spellings.add(text);
        }
        assert_eq!(spellings.best().map(CompactString::as_str), Some("HOSE"));
    }
}
