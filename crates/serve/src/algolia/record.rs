//! Products as records of the protocol, and records as products.
//!
//! What a record may call its parts stands in `docs/guides/algolia.md`; whatever else it has becomes an attribute. An object
//! in it becomes attributes whose names have dots, as facets name them: `{"specs": {"weight": 5}}` is `specs.weight`.

use compact_str::CompactString;
use merx_decide::CatalogueEntry;
use merx_domain::{
    AttributeValue, Currency, MarketId, Money, Price, Product, ProductId, ProductStatus, TimestampMs, Variant,
    VariantId,
};
use serde_json::{Map, Value, json};

pub(super) type Record = Map<String, Value>;

const MOST_ATTRIBUTES: usize = 1_000;
const MOST_TEXT_BYTES: usize = 64 * 1024;
const MOST_VALUES: usize = 1_000;
const DEEPEST: usize = 8;
/// Between the levels of a path.
const LEVELS: &str = " > ";
/// Seconds lie below, milliseconds above: 1973 in the one, the year 5138 in the other.
const FIRST_MS: f64 = 1e11;

/// Names that say the same thing: where one of them is written, the others are no longer true.
pub(super) const SYNONYMOUS: [&[&str]; 3] =
    [&["category", "categories", "hierarchicalCategories"], &["image", "images"], &["stock", "in_stock"]];

/// Parts that belong to an answer, not to a product; front ends send hits back as they got them.
const OF_ANSWERS: [&str; 9] = [
    "objectID",
    "_highlightResult",
    "_snippetResult",
    "_rankingInfo",
    "_score",
    "_distinctSeqID",
    "__position",
    "__queryID",
    "__hitIndex",
];

/// What the catalogue in memory knows of a product.
pub(super) fn attributes_of(entry: &CatalogueEntry, market: &MarketId) -> Record {
    let mut record = Map::new();
    for (name, value) in &entry.attributes {
        let value = match value {
            AttributeValue::Text(text) => json!(text),
            AttributeValue::Number(number) => number_of(*number),
            AttributeValue::Flag(flag) => json!(flag),
            AttributeValue::List(list) => json!(list),
        };
        insert(&mut record, name, value);
    }
    let mut set = |name: &str, value: Value| record.insert(name.to_owned(), value);
    set("name", json!(entry.name));
    set("in_stock", json!(entry.stock.is_none_or(|stock| stock > 0)));
    set("created_at", json!(entry.created_at.0));
    if let Some(brand) = &entry.brand {
        set("brand", json!(brand));
    }
    if let Some(category) = entry.category_path.last() {
        set("category", json!(category));
        let level = |depth: usize| (format!("lvl{depth}"), json!(entry.category_path[..=depth].join(LEVELS)));
        set("categories", Value::Object((0..entry.category_path.len()).map(level).collect()));
    }
    if let Some(price) = entry.price(market) {
        set("price", json!(price.major_f64()));
        set("currency", json!(price.currency.to_string()));
    }
    if let Some(url) = &entry.url {
        set("url", json!(url));
    }
    if let Some(image) = &entry.image {
        set("image", json!(image));
    }
    record
}

/// Whole numbers are written without a point, as they came.
fn number_of(number: f64) -> Value {
    const EXACT: f64 = 9e15;
    if number.fract() == 0.0 && number.abs() < EXACT { json!(number as i64) } else { json!(number) }
}

/// The parts that only the product's record has, see [`details`].
pub(super) const DETAILS: [&str; 4] = ["description", "images", "sku", "gtin"];

/// What the product's record knows beyond the catalogue in memory.
pub(super) fn details(product: &Product) -> impl Iterator<Item = (String, Value)> + use<> {
    let one = if product.variants.len() == 1 { product.variants.first() } else { None };
    let sku = one.map(|variant| variant.id.as_str()).filter(|id| *id != product.id.as_str());
    let gtin = one.and_then(|variant| variant.gtin.as_deref());
    let description = Some(product.description.as_str()).filter(|text| !text.is_empty());
    let images = Some(json!(product.images)).filter(|_| !product.images.is_empty());
    let parts = [description.map(|text| json!(text)), images, sku.map(|sku| json!(sku)), gtin.map(|gtin| json!(gtin))];
    DETAILS.into_iter().zip(parts).filter_map(|(name, part)| Some((name.to_owned(), part?)))
}

/// All of a product. `stock` is for callers who may know it.
pub(super) fn record_of(product: &Product, stock: Option<i64>, market: &MarketId) -> Record {
    let mut record = attributes_of(&CatalogueEntry::new(product, stock), market);
    record.extend(details(product));
    record.insert("objectID".to_owned(), json!(product.id.as_str()));
    record
}

/// Puts a value under a name with dots into the objects that the dots stand for.
fn insert(record: &mut Record, name: &str, value: Value) {
    let Some((first, rest)) = name.split_once('.').filter(|(first, rest)| !first.is_empty() && !rest.is_empty()) else {
        record.insert(name.to_owned(), value);
        return;
    };
    match record.entry(first).or_insert_with(|| Value::Object(Map::new())) {
        Value::Object(inner) => insert(inner, rest, value),
        // Both `a` and `a.b` are attributes: no object can say so.
        _ => {
            record.insert(name.to_owned(), value);
        }
    }
}

/// Where a product is written to.
pub(super) struct Shop<'a> {
    pub(super) market: &'a MarketId,
    /// Of prices that don't name their own.
    pub(super) currency: Currency,
    pub(super) now: TimestampMs,
}

/// The product that a record describes; what a record can't say (costs, markets, several variants) stays as it was.
pub(super) fn product_of(
    shop: &Shop<'_>,
    id: ProductId,
    record: &Record,
    before: Option<&Product>,
) -> Result<Product, String> {
    check_forms(record)?;
    let created_at = record.get("created_at").and_then(time).unwrap_or(shop.now);
    let name = text(record, "name").or_else(|| text(record, "title")).unwrap_or(id.as_str()).to_owned();
    let mut product = Product::new(id, name, before.map_or(created_at, |before| before.created_at));
    product.description = text(record, "description").unwrap_or_default().to_owned();
    for (part, said) in [("name", &product.name), ("description", &product.description)] {
        if said.len() > MOST_TEXT_BYTES {
            return Err(format!("{part}: {} bytes are more than {MOST_TEXT_BYTES}", said.len()));
        }
    }
    product.updated_at = shop.now;
    product.status = ProductStatus::Visible;
    product.brand = text(record, "brand").map(CompactString::from);
    product.category_path = path(record);
    product.images = images(record);
    product.url = text(record, "url").map(str::to_owned);
    product.availability = before.map(|before| before.availability.clone()).unwrap_or_default();
    product.variants = variants(shop, &product.id, record, before)?;
    for (name, value) in record {
        if !is_mapped(name, value, product.variants.first()) {
            flatten(name, value, 0, &mut product)?;
        }
    }
    if product.attributes.len() > MOST_ATTRIBUTES {
        return Err(format!("{} attributes are more than {MOST_ATTRIBUTES}", product.attributes.len()));
    }
    Ok(product)
}

/// Parts that every product has can't be something else as well.
fn check_forms(record: &Record) -> Result<(), String> {
    for (name, value) in record {
        let (right, expected) = match name.as_str() {
            "name" => (value.is_string(), "a text"),
            "category" | "image" | "images" => (value.is_string() || is_texts(value), "a text or a list of texts"),
            "categories" | "hierarchicalCategories" => {
                (value.is_object() || is_texts(value), "levels (lvl0, lvl1 ..) or a list of texts")
            }
            "in_stock" => (value.is_boolean(), "true or false"),
            "created_at" => (time(value).is_some(), "milliseconds, seconds, or a time like 2026-01-31T12:00:00Z"),
            _ => (true, ""),
        };
        if !right && !value.is_null() {
            return Err(format!("{name}: expected {expected}"));
        }
    }
    Ok(())
}

/// Whether a part became something else than an attribute.
fn is_mapped(name: &str, value: &Value, variant: Option<&Variant>) -> bool {
    match name {
        "name"
        | "category"
        | "categories"
        | "hierarchicalCategories"
        | "image"
        | "images"
        | "in_stock"
        | "created_at" => true,
        "description" | "brand" | "url" => value.is_string(),
        "stock" => value.is_i64(),
        "sku" | "gtin" => value.is_string() || value.is_number(),
        "price" => !value.is_object() && !value.is_array(),
        "currency" => variant.is_some_and(|variant| !variant.prices.is_empty()),
        _ => OF_ANSWERS.contains(&name),
    }
}

fn is_texts(value: &Value) -> bool {
    value.as_array().is_some_and(|list| list.iter().all(Value::is_string))
}

fn text<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    record.get(name)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

/// Of a text or a list of them.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let listed = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    value.as_str().into_iter().chain(listed).map(str::trim).filter(|text| !text.is_empty())
}

/// An article number, which some write as a number.
fn code(record: &Record, name: &str) -> Option<String> {
    match record.get(name)? {
        Value::Number(number) => Some(number.to_string()),
        _ => text(record, name).map(str::to_owned),
    }
}

/// Milliseconds, seconds, or a text of RFC 3339.
fn time(value: &Value) -> Option<TimestampMs> {
    match value {
        Value::Number(number) => {
            let number = number.as_f64()?;
            let ms = if number.abs() < FIRST_MS { number * 1e3 } else { number };
            (ms.abs() < 1e15).then_some(TimestampMs(ms as i64))
        }
        Value::String(text) => TimestampMs::parse(text).or_else(|| TimestampMs::parse(&format!("{text}T00:00:00Z"))),
        _ => None,
    }
}

/// From levels (`lvl0` ..) the deepest; else a list as a path; else the one category.
fn path(record: &Record) -> Vec<CompactString> {
    let levels = ["categories", "hierarchicalCategories"].into_iter().filter_map(|name| record.get(name));
    let mut path = levels.map(path_of).find(|path| !path.is_empty()).unwrap_or_default();
    let category = record.get("category").map(path_of).unwrap_or_default();
    match category.last() {
        Some(category) if path.iter().any(|level| level.eq_ignore_ascii_case(category)) => {}
        _ if path.is_empty() => path = category,
        Some(category) => path.push(category.clone()),
        None => {}
    }
    path
}

fn path_of(value: &Value) -> Vec<CompactString> {
    let split = |path: &str| {
        path.split(LEVELS).map(str::trim).filter(|level| !level.is_empty()).map(CompactString::from).collect()
    };
    match value {
        Value::Object(levels) => {
            let named = (0..levels.len()).map_while(|depth| levels.get(&format!("lvl{depth}")));
            // A product in several categories has a list at each level: its first path is taken.
            named.filter_map(|level| texts(level).next()).last().map(split).unwrap_or_default()
        }
        Value::String(path) => split(path),
        list => texts(list).map(CompactString::from).collect(),
    }
}

fn images(record: &Record) -> Vec<String> {
    let mut images: Vec<String> = Vec::new();
    for image in ["image", "images"].into_iter().filter_map(|name| record.get(name)).flat_map(texts).take(MOST_VALUES) {
        if !images.iter().any(|known| known == image) {
            images.push(image.to_owned());
        }
    }
    images
}

fn variants(
    shop: &Shop<'_>,
    id: &ProductId,
    record: &Record,
    before: Option<&Product>,
) -> Result<Vec<Variant>, String> {
    let standing = before.map_or(&[][..], |before| &before.variants);
    let price = price(shop, record)?;
    let (sku, gtin) = (code(record, "sku"), code(record, "gtin"));
    if standing.len() > 1 {
        let shown = before.and_then(|before| before.price_in(shop.market));
        if price.is_some_and(|price| shown != Some(price)) || sku.is_some() || gtin.is_some() {
            let many = standing.len();
            return Err(format!(
                "{id} has {many} variants: price, sku and gtin are written with PUT /v1/products/{id}"
            ));
        }
        return Ok(standing.to_vec());
    }
    if standing.is_empty() && price.is_none() && sku.is_none() && gtin.is_none() {
        return Ok(Vec::new());
    }
    let named = VariantId::new(sku.as_deref().unwrap_or(id.as_str())).map_err(|error| format!("sku: {error}"))?;
    let mut variant = match standing.first() {
        // A product that came with a variant keeps its name unless the record has another.
        Some(variant) if sku.is_none() => variant.clone(),
        Some(variant) => Variant { id: named, ..variant.clone() },
        None => Variant::new(named),
    };
    variant.gtin = gtin.map(CompactString::from);
    set_price(&mut variant, price, shop.market);
    Ok(vec![variant])
}

/// Sets the price that the market shows.
fn set_price(variant: &mut Variant, price: Option<Money>, market: &MarketId) {
    let own = variant.prices.iter().position(|price| price.market.as_ref() == Some(market));
    let shown = own.or_else(|| variant.prices.iter().position(|price| price.market.is_none()));
    match (shown, price) {
        (Some(place), Some(amount)) => variant.prices[place].amount = amount,
        (Some(place), None) => {
            variant.prices.remove(place);
        }
        (None, Some(amount)) => variant.prices.push(Price { market: None, amount, list_amount: None }),
        (None, None) => {}
    }
}

fn price(shop: &Shop<'_>, record: &Record) -> Result<Option<Money>, String> {
    let written = match record.get("price") {
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::String(text)) if !text.trim().is_empty() => text.clone(),
        Some(Value::Bool(flag)) => return Err(format!("price: {flag} is no amount")),
        _ => return Ok(None),
    };
    let currency =
        text(record, "currency").map(str::parse).transpose().map_err(|error| format!("currency: {error}"))?;
    let price = Money::parse(&written, currency.unwrap_or(shop.currency)).map_err(|error| format!("price: {error}"))?;
    if price.minor < 0 {
        return Err(format!("price: {written} is below nothing"));
    }
    Ok(Some(price))
}

fn flatten(name: &str, value: &Value, depth: usize, product: &mut Product) -> Result<(), String> {
    if depth > DEEPEST {
        return Err(format!("{name}: objects in objects, deeper than {DEEPEST}"));
    }
    let value = match value {
        Value::Null => return Ok(()),
        Value::Bool(flag) => AttributeValue::Flag(*flag),
        Value::Number(number) => AttributeValue::Number(number.as_f64().unwrap_or_default()),
        Value::String(text) if text.len() > MOST_TEXT_BYTES => {
            return Err(format!("{name}: {} bytes are more than {MOST_TEXT_BYTES}", text.len()));
        }
        Value::String(text) => AttributeValue::Text(text.into()),
        Value::Object(parts) => {
            return parts
                .iter()
                .try_for_each(|(part, value)| flatten(&format!("{name}.{part}"), value, depth + 1, product));
        }
        Value::Array(list) if list.len() > MOST_VALUES => {
            return Err(format!("{name}: {} values are more than {MOST_VALUES}", list.len()));
        }
        Value::Array(list) => {
            for one in list {
                collect(name, one, depth + 1, product)?;
            }
            return Ok(());
        }
    };
    product.attributes.insert(name.into(), value);
    Ok(())
}

/// Adds a value of a list to the attribute of its name; of objects each part to its own.
fn collect(name: &str, value: &Value, depth: usize, product: &mut Product) -> Result<(), String> {
    if depth > DEEPEST {
        return Err(format!("{name}: lists and objects, deeper than {DEEPEST}"));
    }
    let text = match value {
        Value::Null => return Ok(()),
        Value::String(text) => CompactString::from(text),
        Value::Bool(flag) => CompactString::from(flag.to_string()),
        Value::Number(number) => CompactString::from(number.to_string()),
        Value::Array(list) => return list.iter().try_for_each(|one| collect(name, one, depth + 1, product)),
        Value::Object(parts) => {
            return parts
                .iter()
                .try_for_each(|(part, value)| collect(&format!("{name}.{part}"), value, depth + 1, product));
        }
    };
    match product.attributes.entry(name.into()).or_insert_with(|| AttributeValue::List(Vec::new())) {
        AttributeValue::List(list) if list.len() >= MOST_VALUES => {
            Err(format!("{name}: more than {MOST_VALUES} values"))
        }
        AttributeValue::List(list) => {
            list.push(text);
            Ok(())
        }
        _ => Err(format!("{name}: both a value and a list")),
    }
}

/// Changes a record as a partial update says: members replace, `{"_operation": .., "value": ..}` computes.
pub(super) fn apply(record: &mut Record, update: &Record) -> Result<(), String> {
    for names in SYNONYMOUS {
        if names.iter().any(|name| update.contains_key(*name)) {
            let kept: Vec<&&str> = names.iter().filter(|name| update.contains_key(**name)).collect();
            names.iter().filter(|name| !kept.contains(name)).for_each(|name| {
                record.remove(*name);
            });
        }
    }
    for (name, change) in update {
        let operation = change.as_object().and_then(|change| Some((change.get("_operation")?, change.get("value"))));
        let Some((operation, value)) = operation else {
            record.insert(name.clone(), change.clone());
            continue;
        };
        let value = value.ok_or_else(|| format!("{name}: the operation has no value"))?;
        let operation = operation.as_str().unwrap_or_default();
        if let Some(after) = operated(operation, record.get(name), value).map_err(|wrong| format!("{name}: {wrong}"))? {
            record.insert(name.clone(), after);
        }
    }
    Ok(())
}

/// `None`: stays as it is.
fn operated(operation: &str, before: Option<&Value>, value: &Value) -> Result<Option<Value>, String> {
    let number = |value: Option<&Value>| match value {
        None | Some(Value::Null) => Ok(0.0),
        Some(value) => value.as_f64().ok_or_else(|| format!("{value} is no number")),
    };
    let list = || match before {
        Some(Value::Array(list)) => list.clone(),
        None | Some(Value::Null) => Vec::new(),
        Some(one) => vec![one.clone()],
    };
    // Numbers in lists are kept as texts.
    let same = |a: &Value, b: &Value| a == b || plain(a) == plain(b);
    let counted = |amount: f64| Ok(Some(number_of(number(before)? + amount)));
    match operation {
        "Increment" => counted(number(Some(value))?),
        "Decrement" => counted(-number(Some(value))?),
        "IncrementFrom" if number(before)? != number(Some(value))? => Ok(None),
        "IncrementFrom" => counted(1.0),
        "IncrementSet" => Ok((number(before)? < number(Some(value))?).then(|| value.clone())),
        "Add" => {
            let mut list = list();
            list.push(value.clone());
            Ok(Some(Value::Array(list)))
        }
        "AddUnique" => {
            let mut list = list();
            if !list.iter().any(|one| same(one, value)) {
                list.push(value.clone());
            }
            Ok(Some(Value::Array(list)))
        }
        "Remove" => Ok(Some(list().into_iter().filter(|one| !same(one, value)).collect())),
        other => Err(format!("{other:?} is no operation that is known here")),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What a record says about stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    Units(i64),
    InStock,
    SoldOut,
}

pub(super) fn stock_of(record: &Record) -> Said {
    match (record.get("stock").and_then(Value::as_i64), record.get("in_stock").and_then(Value::as_bool)) {
        (Some(units), _) => Said::Units(units),
        (None, Some(true)) => Said::InStock,
        (None, Some(false)) => Said::SoldOut,
        (None, None) => Said::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(value: Value) -> Record {
        value.as_object().unwrap().clone()
    }

    fn read(value: Value, before: Option<&Product>) -> Result<Product, String> {
        let shop = Shop { market: &MarketId::default(), currency: Currency::EUR, now: TimestampMs(1_800_000_000_000) };
        product_of(&shop, ProductId::new("p1").unwrap(), &record(value), before)
    }

    fn written(product: &Product) -> Record {
        record_of(product, None, &MarketId::default())
    }

    #[test]
    fn a_record_becomes_a_product_and_comes_back() {
        let value = json!({
            "objectID": "p1", "name": "Blue shoe", "description": "For rain.", "brand": "Nike", "price": 19.99, "currency": "USD",
            "categories": {"lvl0": "Shoes", "lvl1": "Shoes > Boots"}, "image": "a.jpg", "images": ["a.jpg", "b.jpg"], "url": "/p1",
            "in_stock": true, "created_at": 1_700_000_000_000_i64, "sku": "S-1", "gtin": "4006381333931", "rating": 4, "weight": 0.5,
            "free_shipping": true, "colours": ["blue", "red"], "specs": {"width": 5, "heel": {"height": 2}}, "_tags": ["new"],
        });
        let product = read(value.clone(), None).unwrap();
        assert_eq!(product.category_path, ["Shoes", "Boots"]);
        assert_eq!(product.attributes["specs.heel.height"], AttributeValue::Number(2.0));
        let mut back = written(&product);
        assert_eq!(back.remove("category"), Some(json!("Boots")));
        assert_eq!(Value::Object(back), value);
    }

    #[test]
    fn other_forms_of_the_same_are_read() {
        let product = read(
            json!({"title": "Boot", "price": "5", "category": "Shoes > Boots", "created_at": 1_700_000_000}),
            None,
        );
        let product = product.unwrap();
        assert_eq!((product.name.as_str(), product.category_path.len()), ("Boot", 2));
        assert_eq!(product.created_at, TimestampMs(1_700_000_000_000));
        assert_eq!(product.attributes["title"], AttributeValue::Text("Boot".into()));
        let listed = json!({"categories": ["Shoes", "Boots"], "sizes": [38, 39], "colours": [{"name": "red"}, {"name": "blue"}]});
        let product = read(listed, None).unwrap();
        assert_eq!((product.name.as_str(), product.category_path.len()), ("p1", 2));
        assert_eq!(product.attributes["sizes"], AttributeValue::List(vec!["38".into(), "39".into()]));
        assert_eq!(product.attributes["colours.name"], AttributeValue::List(vec!["red".into(), "blue".into()]));
        let several = json!({"hierarchicalCategories": {"lvl0": ["A", "C"], "lvl1": ["A > B", "C > D"]}});
        assert_eq!(read(several, None).unwrap().category_path, ["A", "B"]);
        let by_currency = read(json!({"price": {"EUR": 5}}), None).unwrap();
        assert!(by_currency.variants.is_empty() && by_currency.attributes.contains_key("price.EUR"));
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        let mut deep = json!(1);
        for _ in 0..20 {
            deep = json!({ "a": deep });
        }
        let many: Map<String, Value> = (0..1_001).map(|number| (format!("a{number}"), json!(1))).collect();
        for (wrong, word) in [
            (json!({"price": "much"}), "price"),
            (json!({"price": -1}), "below"),
            (json!({"price": 1, "currency": "Euro"}), "currency"),
            (json!({"deep": deep.clone()}), "deeper"),
            (json!({"deep": [[deep]]}), "deeper"),
            (Value::Object(many), "attributes"),
            (json!({"list": vec![1; 1_001]}), "values"),
            (json!({"name": "x".repeat(70_000)}), "bytes"),
        ] {
            let error = read(wrong, None).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn what_a_record_cannot_say_stays() {
        let mut before = read(json!({"name": "Boot", "price": 10}), None).unwrap();
        before.variants[0].cost = Some(Money::new(400, Currency::EUR));
        let after = read(json!({"name": "Boot", "price": 12}), Some(&before)).unwrap();
        assert_eq!((after.variants[0].prices[0].amount.minor, after.variants[0].cost.unwrap().minor), (1_200, 400));
        assert!(read(json!({"name": "Boot"}), Some(&before)).unwrap().variants[0].prices.is_empty());
        before.variants.push(Variant { id: VariantId::new("large").unwrap(), ..before.variants[0].clone() });
        assert!(read(json!({"price": 11}), Some(&before)).unwrap_err().contains("2 variants"));
        assert_eq!(read(json!({"price": 10, "colour": "red"}), Some(&before)).unwrap().variants, before.variants);
    }

    #[test]
    fn partial_updates_replace_and_compute() {
        let mut base =
            record(json!({"objectID": "p1", "stock": 3, "in_stock": true, "tags": ["a", "1"], "category": "Shoes",
            "categories": {"lvl0": "Shoes"}, "rating": 4}));
        let update = record(json!({"stock": {"_operation": "Increment", "value": 2}, "category": "Boots",
            "tags": {"_operation": "AddUnique", "value": "b"}, "rating": {"_operation": "IncrementSet", "value": 3}}));
        apply(&mut base, &update).unwrap();
        assert_eq!(
            base,
            record(json!({"objectID": "p1", "stock": 5, "tags": ["a", "1", "b"], "category": "Boots", "rating": 4}))
        );
        let of = |operation, before: Value, value: Value| operated(operation, Some(&before), &value);
        assert_eq!(of("Decrement", json!(5), json!(2)), Ok(Some(json!(3))));
        assert_eq!(of("IncrementFrom", json!(5), json!(5)), Ok(Some(json!(6))));
        assert_eq!(of("IncrementFrom", json!(5), json!(4)), Ok(None));
        assert_eq!(of("IncrementSet", json!(5), json!(9)), Ok(Some(json!(9))));
        assert_eq!(of("Add", json!(["a"]), json!("a")), Ok(Some(json!(["a", "a"]))));
        assert_eq!(of("Remove", json!(["a", "1"]), json!(1)), Ok(Some(json!(["a"]))));
        assert!(of("Multiply", json!(1), json!(1)).is_err() && of("Increment", json!("x"), json!(1)).is_err());
        assert!(apply(&mut base, &record(json!({"a": {"_operation": "Add"}}))).is_err());
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-z .]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 30, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z.]{0,4}", inner, 0..4)
                    .prop_map(|parts| Value::Object(parts.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Written, read and written again it is the same: a partial update changes nothing but what it names.
        #[test]
        fn products_survive_their_records(
            parts in prop::collection::btree_map(
                prop_oneof!["[a-z]{1,6}", Just("price".to_owned()), Just("categories".to_owned()), Just("category".to_owned()),
                    Just("image".to_owned()), Just("images".to_owned()), Just("sku".to_owned()), Just("name".to_owned())],
                any_value(), 0..8)
        ) {
            if let Ok(first) = read(Value::Object(parts.into_iter().collect()), None) {
                let again = read(Value::Object(written(&first)), Some(&first)).unwrap();
                prop_assert_eq!(again, first);
            }
        }
    }
}
