//! Products and stock in `Records`. A product is one row: its id, its dense number, and a JSON document with its variants.

use std::sync::Arc;

use merx_domain::{LocationId, Product, ProductId, ProductNumber, ProductStatus, StockLevel, TimestampMs, VariantId};
use merx_store::{Migration, Records, Row, StoreError, Transaction, Value};
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::cache::BoundedMap;
use crate::changes::{ChangeNumber, Written, limit_value, take};
use crate::raw::ProductMention;
use crate::rows::{Columns, Result, insert, query_in, text};

/// Needs the counters of [`crate::MIGRATIONS`].
pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-21-012-catalogue",
    sql: "CREATE TABLE products (
    id TEXT PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE,
    change_number BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    document TEXT NOT NULL
);
CREATE INDEX products_change_number ON products (change_number);
CREATE TABLE stock_levels (
    product TEXT NOT NULL,
    variant TEXT NOT NULL,
    location TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    removed BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    change_number BIGINT NOT NULL,
    PRIMARY KEY (product, variant, location)
);
CREATE INDEX stock_levels_change_number ON stock_levels (change_number);",
};

/// Numbers of products held in memory.
const CACHED_NUMBERS: usize = 1_000_000;

#[derive(Debug, Clone, PartialEq)]
pub struct StoredProduct {
    pub product: Product,
    pub number: ProductNumber,
    pub change: ChangeNumber,
}

/// A row as it stands, its document unread.
struct Standing {
    number: i64,
    created_at: TimestampMs,
    updated_at: TimestampMs,
    document: String,
}

/// Products by id, with a number that never changes.
pub struct Catalogue {
    records: Arc<dyn Records>,
    numbers: Mutex<BoundedMap<ProductId, ProductNumber>>,
}

impl Catalogue {
    pub fn new(records: Arc<dyn Records>) -> Self {
        Self { records, numbers: Mutex::new(BoundedMap::new(CACHED_NUMBERS)) }
    }

    /// Puts products in one transaction; each replaces the one of its id. `updated_at` is set here; `created_at`
    /// stays what it was first, and is never later than `at`.
    pub fn put(&self, products: &[Product], at: TimestampMs) -> Result<Vec<Written>> {
        let mut written = Vec::new();
        self.records.transaction(&mut |transaction| {
            written = put_in(transaction, products, at)?;
            Ok(())
        })?;
        Ok(written)
    }

    /// Changes products in place, in one transaction. `apply` gets the position and the product, and MAY run again after
    /// a conflict. `None`: there is no such product. The id can't be changed.
    pub fn patch(
        &self,
        ids: &[ProductId],
        at: TimestampMs,
        apply: &dyn Fn(usize, &mut Product),
    ) -> Result<Vec<Option<Written>>> {
        let mut written = Vec::new();
        self.records.transaction(&mut |transaction| {
            written = Vec::with_capacity(ids.len());
            for (position, id) in ids.iter().enumerate() {
                let rows = transaction.query("SELECT document FROM products WHERE id = $1", &[text(id.as_str())])?;
                let Some(row) = rows.first() else {
                    written.push(None);
                    continue;
                };
                let mut product = document(row.text(0)?)?;
                apply(position, &mut product);
                product.id = id.clone();
                written.extend(put_in(transaction, &[product], at)?.into_iter().map(Some));
            }
            Ok(())
        })?;
        Ok(written)
    }

    /// Takes products out of the shop for good. Their rows stay, because orders and events name them.
    pub fn archive(&self, ids: &[ProductId], at: TimestampMs) -> Result<Vec<Option<Written>>> {
        self.patch(ids, at, &|_, product| product.status = ProductStatus::Archived)
    }

    pub fn get(&self, ids: &[ProductId]) -> Result<Vec<Option<StoredProduct>>> {
        let list = unique_texts(ids.iter().map(ProductId::as_str));
        let sql = format!("SELECT {STORED} FROM products WHERE id IN ({{list}})");
        let rows = query_in(|sql, values| self.records.query(sql, values), &sql, &list)?;
        let mut found: FxHashMap<ProductId, StoredProduct> = FxHashMap::default();
        for row in &rows {
            let stored = stored(row)?;
            found.insert(stored.product.id.clone(), stored);
        }
        Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
    }

    /// Products in the order of their ids, after one of them.
    pub fn list(&self, after: Option<&ProductId>, limit: usize) -> Result<Vec<StoredProduct>> {
        let sql = format!("SELECT {STORED} FROM products WHERE id > $1 ORDER BY id LIMIT $2");
        let after = text(after.map_or("", ProductId::as_str));
        self.records.query(&sql, &[after, limit_value(limit)])?.iter().map(stored).collect()
    }

    /// Products written after a change, oldest change first.
    pub fn changed_since(&self, change: ChangeNumber, limit: usize) -> Result<Vec<StoredProduct>> {
        let sql = format!("SELECT {STORED} FROM products WHERE change_number > $1 ORDER BY change_number LIMIT $2");
        self.records.query(&sql, &[Value::Integer(change.0), limit_value(limit)])?.iter().map(stored).collect()
    }

    /// The newest change, 0 where there was none.
    pub fn newest_change(&self) -> Result<ChangeNumber> {
        newest(&*self.records, "SELECT COALESCE(MAX(change_number), 0) FROM products")
    }

    pub fn count(&self) -> Result<u64> {
        let rows = self.records.query("SELECT COUNT(*) FROM products", &[])?;
        rows.first().map_or(Ok(0), |row| Ok(row.integer(0)?.unsigned_abs()))
    }

    /// Numbers of products by position. Products that nobody named before get a row of their own, as `unlisted` makes
    /// it from their position.
    pub(crate) fn numbers(
        &self,
        ids: &[ProductId],
        unlisted: impl Fn(usize) -> Product,
        at: TimestampMs,
    ) -> Result<Vec<ProductNumber>> {
        let mut numbers: Vec<Option<ProductNumber>> = {
            let mut cache = self.numbers.lock();
            ids.iter().map(|id| cache.get(id)).collect()
        };
        let unknown: Vec<usize> = (0..ids.len()).filter(|&position| numbers[position].is_none()).collect();
        if !unknown.is_empty() {
            let found = self.find_or_make(ids, &unknown, &unlisted, at)?;
            let mut cache = self.numbers.lock();
            for position in unknown {
                let number = found.get(ids[position].as_str()).copied();
                numbers[position] = number;
                if let Some(number) = number {
                    cache.insert(ids[position].clone(), number);
                }
            }
        }
        let missing = || StoreError::Damaged { what: "products", detail: "a product without a number".to_owned() };
        numbers.into_iter().map(|number| number.ok_or_else(missing)).collect()
    }

    fn find_or_make(
        &self,
        ids: &[ProductId],
        unknown: &[usize],
        unlisted: &dyn Fn(usize) -> Product,
        at: TimestampMs,
    ) -> Result<FxHashMap<String, ProductNumber>> {
        let list = unique_texts(unknown.iter().map(|&position| ids[position].as_str()));
        let sql = "SELECT id, number FROM products WHERE id IN ({list})";
        let found = numbers_of(&query_in(|sql, values| self.records.query(sql, values), sql, &list)?)?;
        let mut seen = FxHashSet::default();
        let new: Vec<Product> = unknown
            .iter()
            .filter(|&&position| !found.contains_key(ids[position].as_str()) && seen.insert(ids[position].as_str()))
            .map(|&position| unlisted(position))
            .collect();
        if new.is_empty() {
            return Ok(found);
        }
        let mut all = found;
        self.records.transaction(&mut |transaction| {
            // Another writer may have been faster: then theirs stands, as it knows more than a mention.
            let rows = query_in(|sql, values| transaction.query(sql, values), sql, &list)?;
            all = numbers_of(&rows)?;
            let new: Vec<Product> = new.iter().filter(|p| !all.contains_key(p.id.as_str())).cloned().collect();
            put_in(transaction, &new, at)?;
            all = numbers_of(&query_in(|sql, values| transaction.query(sql, values), sql, &list)?)?;
            Ok(())
        })?;
        Ok(all)
    }
}

/// Puts products within a transaction that does more.
pub(crate) fn put_in(transaction: &mut dyn Transaction, products: &[Product], at: TimestampMs) -> Result<Vec<Written>> {
    let mut standing = standing(transaction, products)?;
    let mut written = Vec::with_capacity(products.len());
    // Within a batch the last product of an id is what is stored.
    let mut latest: FxHashMap<&str, usize> = FxHashMap::default();
    let mut documents = Vec::new();
    for product in products {
        let before = standing.get(product.id.as_str());
        let mut product = product.clone();
        product.created_at = before.map_or(product.created_at.min(at), |before| before.created_at);
        product.updated_at = before.map_or(at, |before| before.updated_at);
        if before.is_some_and(|before| to_json(&product).is_ok_and(|json| json == before.document)) {
            written.push(Written::Unchanged);
            continue;
        }
        written.push(if before.is_some() { Written::Updated } else { Written::Created });
        product.updated_at = at;
        let document = to_json(&product)?;
        let number = before.map_or(-1, |before| before.number);
        let created_at = product.created_at;
        let id = product.id.to_string();
        standing.insert(id, Standing { number, created_at, updated_at: at, document });
        documents.push(product.id);
    }
    let mut changed: Vec<&str> = Vec::new();
    for id in &documents {
        if latest.insert(id.as_str(), changed.len()).is_none() {
            changed.push(id.as_str());
        }
    }
    write_rows(transaction, &changed, &mut standing)?;
    Ok(written)
}

fn write_rows(
    transaction: &mut dyn Transaction,
    changed: &[&str],
    standing: &mut FxHashMap<String, Standing>,
) -> Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    let new = changed.iter().filter(|id| standing.get(**id).is_some_and(|row| row.number < 0)).count();
    // Counters start at 1, product numbers at 0.
    let mut number = if new > 0 { take(transaction, "product_numbers", new)? - 1 } else { 0 };
    let first_change = take(transaction, "product_changes", changed.len())?;
    let mut values = Vec::with_capacity(changed.len() * 6);
    for (&id, change) in changed.iter().zip(first_change..) {
        let Some(row) = standing.get_mut(id) else { continue };
        if row.number < 0 {
            row.number = number;
            number += 1;
        }
        values.extend([
            text(id),
            Value::Integer(row.number),
            Value::Integer(change),
            Value::Integer(row.created_at.0),
            Value::Integer(row.updated_at.0),
            text(std::mem::take(&mut row.document)),
        ]);
    }
    let head = "INSERT INTO products (id, number, change_number, created_at_ms, updated_at_ms, document)";
    let tail = "ON CONFLICT (id) DO UPDATE SET change_number = excluded.change_number, \
                updated_at_ms = excluded.updated_at_ms, document = excluded.document";
    insert(transaction, head, 6, tail, &values)
}

fn standing(transaction: &mut dyn Transaction, products: &[Product]) -> Result<FxHashMap<String, Standing>> {
    let list = unique_texts(products.iter().map(|product| product.id.as_str()));
    let sql = "SELECT id, number, created_at_ms, updated_at_ms, document FROM products WHERE id IN ({list})";
    let rows = query_in(|sql, values| transaction.query(sql, values), sql, &list)?;
    let standing = |row: &Row| {
        let standing = Standing {
            number: row.integer(1)?,
            created_at: TimestampMs(row.integer(2)?),
            updated_at: TimestampMs(row.integer(3)?),
            document: row.text(4)?.to_owned(),
        };
        Ok((row.text(0)?.to_owned(), standing))
    };
    rows.iter().map(standing).collect()
}

/// Columns that [`stored`] reads.
const STORED: &str = "number, change_number, document";

fn stored(row: &Row) -> Result<StoredProduct> {
    let number = u32::try_from(row.integer(0)?)
        .map_err(|_| StoreError::Damaged { what: "products", detail: "a product number out of range".to_owned() })?;
    Ok(StoredProduct {
        number: ProductNumber(number),
        change: ChangeNumber(row.integer(1)?),
        product: document(row.text(2)?)?,
    })
}

fn numbers_of(rows: &[Row]) -> Result<FxHashMap<String, ProductNumber>> {
    rows.iter().map(|row| Ok((row.text(0)?.to_owned(), ProductNumber(row.integer(1)? as u32)))).collect()
}

/// A product that no catalogue has named yet, with the name, brand and picture of a mention, where there is one.
pub(crate) fn unlisted(id: &ProductId, mention: Option<ProductMention>, vouched: bool, at: TimestampMs) -> Product {
    let mut product = Product::new(id.clone(), id.as_str(), at);
    if !vouched {
        product.status = ProductStatus::Hidden;
    }
    let Some(mention) = mention else { return product };
    if let Some(name) = mention.name {
        product.name = name.into();
    }
    product.brand = mention.brand;
    product.category_path.extend(mention.category);
    product.url = mention.url.map(String::from);
    product.images.extend(mention.image_url.map(String::from));
    if let (Some(price), Ok(variant)) = (mention.price, VariantId::new(id.as_str())) {
        let mut variant = merx_domain::Variant::new(variant);
        variant.prices.push(merx_domain::Price { market: None, amount: price, list_amount: None });
        product.variants.push(variant);
    }
    product
}

pub(crate) fn to_json<T: serde::Serialize>(document: &T) -> Result<String> {
    serde_json::to_string(document)
        .map_err(|error| StoreError::Unavailable { what: "document", detail: error.to_string() })
}

pub(crate) fn from_json<'a, T: serde::Deserialize<'a>>(document: &'a str) -> Result<T> {
    serde_json::from_str(document).map_err(|error| StoreError::Damaged { what: "document", detail: error.to_string() })
}

fn document(json: &str) -> Result<Product> {
    from_json(json)
}

pub(crate) fn unique_texts<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Value> {
    let mut seen = FxHashSet::default();
    texts.filter(|text| seen.insert(*text)).map(text).collect()
}

/// Where a stock level lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StockKey {
    pub product: ProductId,
    pub variant: VariantId,
    pub location: LocationId,
}

impl StockKey {
    pub fn of(level: &StockLevel) -> Self {
        Self { product: level.product.clone(), variant: level.variant.clone(), location: level.location.clone() }
    }

    fn values(&self) -> [Value; 3] {
        [text(self.product.as_str()), text(self.variant.as_str()), text(self.location.as_str())]
    }
}

/// A change of stock: the new level, or that there is none any more.
#[derive(Debug, Clone, PartialEq)]
pub struct StockChange {
    pub level: StockLevel,
    pub removed: bool,
    pub change: ChangeNumber,
}

/// Units per variant and location.
pub struct Stock {
    records: Arc<dyn Records>,
}

impl Stock {
    pub fn new(records: Arc<dyn Records>) -> Self {
        Self { records }
    }

    pub fn put(&self, levels: &[StockLevel]) -> Result<Vec<Written>> {
        let mut written = Vec::new();
        self.records.transaction(&mut |transaction| {
            written = put_stock_in(transaction, levels)?;
            Ok(())
        })?;
        Ok(written)
    }

    /// Stops tracking levels; readers of changes are told. `false`: there was none.
    pub fn remove(&self, keys: &[StockKey], at: TimestampMs) -> Result<Vec<bool>> {
        let mut removed = Vec::new();
        self.records.transaction(&mut |transaction| {
            removed = Vec::with_capacity(keys.len());
            let first = take(transaction, "stock_changes", keys.len())?;
            for (key, change) in keys.iter().zip(first..) {
                let [product, variant, location] = key.values();
                let sql = "UPDATE stock_levels SET removed = 1, updated_at_ms = $1, change_number = $2 \
                           WHERE product = $3 AND variant = $4 AND location = $5 AND removed = 0";
                let values = [Value::Integer(at.0), Value::Integer(change), product, variant, location];
                removed.push(transaction.execute(sql, &values)? > 0);
            }
            Ok(())
        })?;
        Ok(removed)
    }

    /// The levels of a product, in the order of variant and location.
    pub fn of_product(&self, product: &ProductId) -> Result<Vec<StockLevel>> {
        let sql =
            format!("SELECT {LEVEL} FROM stock_levels WHERE product = $1 AND removed = 0 ORDER BY variant, location");
        self.records.query(&sql, &[text(product.as_str())])?.iter().map(level).collect()
    }

    /// Levels in the order of their keys, after one of them.
    pub fn list(&self, after: Option<&StockKey>, limit: usize) -> Result<Vec<StockLevel>> {
        let sql = format!(
            "SELECT {LEVEL} FROM stock_levels WHERE removed = 0 AND (product, variant, location) > ($1, $2, $3) \
             ORDER BY product, variant, location LIMIT $4"
        );
        let [product, variant, location] = after.map_or([text(""), text(""), text("")], StockKey::values);
        self.records.query(&sql, &[product, variant, location, limit_value(limit)])?.iter().map(level).collect()
    }

    /// The newest change, 0 where there was none.
    pub fn newest_change(&self) -> Result<ChangeNumber> {
        newest(&*self.records, "SELECT COALESCE(MAX(change_number), 0) FROM stock_levels")
    }

    /// Levels written or removed after a change, oldest change first.
    pub fn changed_since(&self, change: ChangeNumber, limit: usize) -> Result<Vec<StockChange>> {
        let sql = format!(
            "SELECT {LEVEL}, removed, change_number FROM stock_levels WHERE change_number > $1 \
             ORDER BY change_number LIMIT $2"
        );
        let rows = self.records.query(&sql, &[Value::Integer(change.0), limit_value(limit)])?;
        let changed = |row: &Row| {
            let (removed, change) = (row.integer(5)? != 0, ChangeNumber(row.integer(6)?));
            Ok(StockChange { level: level(row)?, removed, change })
        };
        rows.iter().map(changed).collect()
    }
}

fn newest(records: &dyn Records, sql: &str) -> Result<ChangeNumber> {
    records.query(sql, &[])?.first().map_or(Ok(ChangeNumber::default()), |row| Ok(ChangeNumber(row.integer(0)?)))
}

/// Columns that [`level`] reads.
const LEVEL: &str = "product, variant, location, quantity, updated_at_ms";

fn level(row: &Row) -> Result<StockLevel> {
    let bad = |error: merx_domain::IdError| StoreError::Damaged { what: "stock", detail: error.to_string() };
    Ok(StockLevel {
        product: row.text(0)?.parse().map_err(bad)?,
        variant: row.text(1)?.parse().map_err(bad)?,
        location: row.text(2)?.parse().map_err(bad)?,
        quantity: row.integer(3)?,
        updated_at: TimestampMs(row.integer(4)?),
    })
}

/// Puts stock levels within a transaction that does more.
pub(crate) fn put_stock_in(transaction: &mut dyn Transaction, levels: &[StockLevel]) -> Result<Vec<Written>> {
    let list = unique_texts(levels.iter().map(|level| level.product.as_str()));
    let sql = format!("SELECT {LEVEL} FROM stock_levels WHERE removed = 0 AND product IN ({{list}})");
    let mut standing: FxHashMap<StockKey, StockLevel> = FxHashMap::default();
    for row in query_in(|sql, values| transaction.query(sql, values), &sql, &list)? {
        let level = level(&row)?;
        standing.insert(StockKey::of(&level), level);
    }
    let mut written = Vec::with_capacity(levels.len());
    let mut changed: FxHashMap<StockKey, &StockLevel> = FxHashMap::default();
    for level in levels {
        let key = StockKey::of(level);
        let before = standing.insert(key.clone(), level.clone());
        match before {
            Some(before) if before.quantity == level.quantity => {
                written.push(Written::Unchanged);
                continue;
            }
            Some(_) => written.push(Written::Updated),
            None => written.push(Written::Created),
        }
        changed.insert(key, level);
    }
    let mut changed: Vec<_> = changed.into_iter().collect();
    changed.sort_by(|a, b| a.0.cmp(&b.0));
    if changed.is_empty() {
        return Ok(written);
    }
    let first = take(transaction, "stock_changes", changed.len())?;
    let mut values = Vec::with_capacity(changed.len() * 7);
    for ((key, level), change) in changed.iter().zip(first..) {
        values.extend(key.values());
        values.extend([level.quantity, 0, level.updated_at.0, change].map(Value::Integer));
    }
    let head = "INSERT INTO stock_levels (product, variant, location, quantity, removed, updated_at_ms, change_number)";
    let tail = "ON CONFLICT (product, variant, location) DO UPDATE SET quantity = excluded.quantity, removed = 0, \
                updated_at_ms = excluded.updated_at_ms, change_number = excluded.change_number";
    insert(transaction, head, 7, tail, &values)?;
    Ok(written)
}
