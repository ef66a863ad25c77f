//! The UCI "Online Retail" set: invoice lines of a real shop, with its book-keeping between them.

use std::collections::BTreeMap;

use compact_str::CompactString;
use merx_domain::{AttributeValue, MarketId, OrderLine, OrderLineKind, OrderStatus, ProductId, ProductStatus};

use super::Reject;
use super::mapping::{Field, Fields};
use super::shapes::{OrderRow, whole};

pub(super) const MAPPING: &str = r#"
entity = "orders"
dialect = "online-retail"
currency = "GBP"
time_zone = "Europe/London"
[fields]
order = "InvoiceNo"
product = "StockCode"
name = "Description"
quantity = "Quantity"
placed_at = "InvoiceDate"
unit_price = "UnitPrice"
customer = "CustomerID"
market = "Country"
"#;

/// Columns by which a file is recognised.
pub(super) const COLUMNS: &[&str] =
    &["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"];

/// Codes that stand for postage, fees, discounts and samples. Their lines belong to the order, but nobody can be shown
/// or recommended them.
const SERVICES: &[&str] = &["AMAZONFEE", "BANK CHARGES", "C2", "CRUK", "D", "DOT", "M", "PADS", "POST", "S"];

/// Countries as the shop writes them; others keep their names.
const COUNTRIES: &[(&str, &str)] = &[
    ("Australia", "AU"),
    ("Austria", "AT"),
    ("Bahrain", "BH"),
    ("Belgium", "BE"),
    ("Brazil", "BR"),
    ("Canada", "CA"),
    ("Cyprus", "CY"),
    ("Czech Republic", "CZ"),
    ("Denmark", "DK"),
    ("EIRE", "IE"),
    ("European Community", "EU"),
    ("Finland", "FI"),
    ("France", "FR"),
    ("Germany", "DE"),
    ("Greece", "GR"),
    ("Hong Kong", "HK"),
    ("Iceland", "IS"),
    ("Israel", "IL"),
    ("Italy", "IT"),
    ("Japan", "JP"),
    ("Lebanon", "LB"),
    ("Lithuania", "LT"),
    ("Malta", "MT"),
    ("Netherlands", "NL"),
    ("Norway", "NO"),
    ("Poland", "PL"),
    ("Portugal", "PT"),
    ("RSA", "ZA"),
    ("Saudi Arabia", "SA"),
    ("Singapore", "SG"),
    ("Spain", "ES"),
    ("Sweden", "SE"),
    ("Switzerland", "CH"),
    ("USA", "US"),
    ("United Arab Emirates", "AE"),
    ("United Kingdom", "GB"),
];

/// Invoices beginning with C are credit notes. What is neither a sale nor a credit is refused with its reason: stock
/// written off or found (no price, nobody's), and debts written off.
pub(super) fn order_row(fields: Fields<'_>) -> Result<OrderRow, Reject> {
    let order = fields.needed(Field::Order)?;
    let code = fields.needed(Field::Product)?.to_uppercase();
    let customer = fields.text(Field::Customer);
    let quantity = whole(fields.number(Field::Quantity)?.unwrap_or(0.0))?;
    let unit_price = fields.money(Field::UnitPrice)?;
    let unit_price = unit_price.ok_or_else(|| Reject::new("missing_value", "unit_price is empty"))?;
    let credit = order.starts_with(['C', 'c']);
    if code == "B" || unit_price.minor < 0 {
        return Err(Reject::new("not_a_sale", "a debt written off"));
    }
    if unit_price.minor == 0 && customer.is_none() {
        return Err(Reject::new("stock_adjustment", "a correction of the stock: no price and no customer"));
    }
    if credit != (quantity < 0) {
        return Err(Reject::new("stock_adjustment", "the sign of the quantity doesn't fit the kind of invoice"));
    }
    let invalid = |error: merx_domain::IdError| Reject::new("invalid_id", error.to_string());
    let line = OrderLine {
        product: ProductId::new(&code).map_err(invalid)?,
        variant: None,
        kind: if credit { OrderLineKind::Return } else { OrderLineKind::Sale },
        quantity: quantity.abs(),
        unit_price,
    };
    Ok(OrderRow {
        order: order.parse().map_err(invalid)?,
        placed_at: fields.needed_time(Field::PlacedAt)?,
        customer,
        market: market(fields)?,
        currency: unit_price.currency,
        status: OrderStatus::Completed,
        lines: vec![line],
    })
}

fn market(fields: Fields<'_>) -> Result<MarketId, Reject> {
    let country = fields.text(Field::Market).filter(|country| country != "Unspecified");
    let code = country.map(|country| match COUNTRIES.iter().find(|(name, _)| country == *name) {
        Some((_, code)) => CompactString::from(*code),
        None => country,
    });
    let market = code.map(MarketId::new).transpose();
    Ok(market.map_err(|error| Reject::new("invalid_id", error.to_string()))?.unwrap_or_default())
}

/// What is hidden from shoppers, and the attribute that says so.
pub(super) fn status(code: &ProductId) -> (Option<ProductStatus>, BTreeMap<CompactString, AttributeValue>) {
    if SERVICES.contains(&code.as_str()) || code.as_str().starts_with("GIFT_") {
        let flag = BTreeMap::from([(CompactString::const_new("service"), AttributeValue::Flag(true))]);
        return (Some(ProductStatus::Hidden), flag);
    }
    (None, BTreeMap::new())
}
