//! One item of a Google Merchant feed: a variant, and what it says of its product.

use std::collections::BTreeMap;

use compact_str::CompactString;
use merx_domain::{AttributeValue, Money, Price, ProductId, TimestampMs, Variant, VariantId};

use super::Reject;
use super::mapping::{Columns, Dialect, Entity, Field, Fields, Mapping};
use super::shapes::ProductRow;

/// Members that mean something, by field.
const FIELDS: &[(Field, &str)] = &[
    (Field::Variant, "id"),
    (Field::Product, "item_group_id"),
    (Field::Name, "title"),
    (Field::Description, "description"),
    (Field::Url, "link"),
    (Field::Brand, "brand"),
    (Field::Gtin, "gtin"),
    (Field::Category, "product_type"),
    (Field::ListPrice, "price"),
    (Field::Price, "sale_price"),
    (Field::UpdatedAt, "sale_price_effective_date"),
    (Field::Cost, "cost_of_goods_sold"),
    (Field::Status, "availability"),
];

/// Members with the pictures, the main one first.
const IMAGES: &[&str] = &["image_link", "additional_image_link"];

/// Members that become attributes under their own names.
const ATTRIBUTES: &[&str] = &[
    "color",
    "size",
    "gender",
    "age_group",
    "material",
    "pattern",
    "condition",
    "mpn",
    "google_product_category",
    "energy_efficiency_class",
    "unit_pricing_measure",
    "multipack",
    "is_bundle",
    "adult",
    "availability_date",
    "custom_label_0",
    "custom_label_1",
    "custom_label_2",
    "custom_label_3",
    "custom_label_4",
];

/// Attributes that tell the variants of a product apart.
const OF_VARIANT: &[&str] = &["color", "size", "material", "pattern", "mpn"];

/// Whether a header is that of a feed.
pub(super) fn is_feed(header: &[CompactString]) -> bool {
    ["id", "title", "link", "price", "availability"].iter().all(|needed| header.iter().any(|name| name == needed))
}

/// The mapping for a feed with this header; an XML feed, which has none, may have every member.
pub(super) fn mapping(header: &[CompactString]) -> Mapping {
    let has = |name: &str| header.is_empty() || header.iter().any(|column| column == name);
    let one = |(field, name): &(Field, &str)| (*field, Columns::One((*name).into()));
    let mut fields: BTreeMap<Field, Columns> = FIELDS.iter().filter(|(_, name)| has(name)).map(one).collect();
    let pictures = IMAGES.iter().filter(|name| has(name)).map(|name| CompactString::from(*name)).collect();
    fields.insert(Field::Images, Columns::Several(pictures));
    Mapping {
        entity: Entity::Products,
        dialect: Dialect::GoogleFeed,
        currency: None,
        time_zone: "UTC".into(),
        date_formats: Vec::new(),
        decimal_comma: false,
        category_separator: ">".into(),
        list_separator: ",".into(),
        fields,
        constants: BTreeMap::new(),
        attributes: ATTRIBUTES
            .iter()
            .filter(|name| has(name))
            .map(|name| (CompactString::from(*name), CompactString::from(*name)))
            .collect(),
    }
}

pub(super) fn row(fields: Fields<'_>, at: TimestampMs) -> Result<ProductRow, Reject> {
    let id: VariantId = fields.needed_id(Field::Variant)?;
    let own = || ProductId::new(id.as_str()).map_err(|error| Reject::new("invalid_id", error.to_string()));
    let mut variant = Variant::new(id.clone());
    variant.prices.extend(price(fields, at)?);
    variant.cost = fields.money(Field::Cost)?;
    variant.gtin = fields.text(Field::Gtin);
    let mut attributes = BTreeMap::new();
    for (name, cell) in fields.attributes() {
        let Some(text) = cell.to_text() else { continue };
        let to = if OF_VARIANT.contains(&name.as_str()) { &mut variant.attributes } else { &mut attributes };
        to.insert(name.clone(), AttributeValue::Text(text));
    }
    // The pictures of both members, still joined, are taken apart like a list.
    let joined = fields.parts(Field::Images);
    let pictures = joined.iter().flat_map(|joined| joined.split(',')).map(str::trim);
    variant.images = pictures.filter(|url| !url.is_empty()).map(str::to_owned).collect();
    Ok(ProductRow {
        id: fields.id(Field::Product)?.map_or_else(own, Ok)?,
        name: Some(fields.needed(Field::Name)?),
        description: fields.text(Field::Description),
        brand: fields.text(Field::Brand),
        category_path: category(fields, &attributes),
        attributes,
        images: variant.images.clone(),
        url: fields.text(Field::Url).map(String::from),
        status: None,
        in_stock: in_stock(fields)?,
        variant: Some(variant),
    })
}

/// The shop's own path, else Google's where it is written out.
fn category(fields: Fields<'_>, attributes: &BTreeMap<CompactString, AttributeValue>) -> Vec<CompactString> {
    let own = fields.category();
    match attributes.get("google_product_category") {
        Some(AttributeValue::Text(path)) if own.is_empty() && path.contains('>') => {
            path.split('>').map(|part| part.trim().into()).collect()
        }
        _ => own,
    }
}

/// The sale price while it is in effect, over the regular one.
fn price(fields: Fields<'_>, at: TimestampMs) -> Result<Option<Price>, Reject> {
    let Some(regular) = fields.money(Field::ListPrice)? else {
        return Err(Reject::new("missing_value", "price is empty"));
    };
    let sale = fields.money(Field::Price)?.filter(|_| in_effect(fields.text(Field::UpdatedAt).as_deref(), at));
    let price = |amount: Money, list_amount| Price { market: None, amount, list_amount };
    Ok(Some(sale.map_or_else(|| price(regular, None), |sale| price(sale, Some(regular)))))
}

/// Whether `at` lies in `2026-01-01T00:00+0100/2026-01-31T23:59+0100`; without dates a sale is on.
fn in_effect(period: Option<&str>, at: TimestampMs) -> bool {
    let Some((from, until)) = period.and_then(|period| period.split_once('/')) else { return true };
    let moment = |text: &str| {
        let parsed = jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M%z", text.trim()).ok()?.to_timestamp().ok()?;
        Some(TimestampMs(parsed.as_millisecond()))
    };
    let moment = |text: &str| TimestampMs::parse(text.trim()).or_else(|| moment(text));
    match (moment(from), moment(until)) {
        (Some(from), Some(until)) => from <= at && at < until,
        _ => false,
    }
}

fn in_stock(fields: Fields<'_>) -> Result<Option<bool>, Reject> {
    let Some(text) = fields.text(Field::Status) else { return Ok(None) };
    match text.to_lowercase().replace([' ', '-'], "_").as_str() {
        "in_stock" | "preorder" | "backorder" | "available_for_order" => Ok(Some(true)),
        "out_of_stock" | "discontinued" => Ok(Some(false)),
        other => Err(Reject::new("invalid_status", format!("{other:?} is no availability"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sale_is_on_between_its_dates() {
        let period = Some("2026-01-01T00:00+0100/2026-01-31T23:59+0100");
        let at = |text: &str| TimestampMs::parse(text).unwrap();
        assert!(in_effect(period, at("2025-12-31T23:00:00Z")));
        assert!(!in_effect(period, at("2025-12-31T22:59:00Z")));
        assert!(!in_effect(period, at("2026-02-01T00:00:00Z")));
        assert!(in_effect(None, at("2026-02-01T00:00:00Z")));
        assert!(!in_effect(Some("soon/later"), at("2026-02-01T00:00:00Z")));
    }
}
