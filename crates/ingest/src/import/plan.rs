//! What is in the files: format, mapping, rows, and which orders or products have their rows in several places.

use std::fs::File;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use compact_str::CompactString;
use merx_domain::{Price, ProductId, TimestampMs, Variant, VariantId};
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};

use super::mapping::{Dialect, Entity, Field, Fields, Mapping};
use super::shapes::{OrderRow, OrderShape, ProductRow, ProductShape, Shape, Spellings};
use super::{Format, ImportError, Result, complete_journey, feed_product, online_retail, source};
use crate::catalogue::to_json;

/// How to read files.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum MappingChoice {
    /// By what the file looks like: a product feed, or one of the sets with a built-in mapping.
    #[default]
    Detect,
    /// `online-retail`, `complete-journey` or `google`.
    BuiltIn(String),
    /// A mapping file, in TOML.
    File(PathBuf),
    Given(Box<Mapping>),
}

/// One file and how it will be read.
#[derive(Debug)]
pub struct FilePlan {
    pub path: PathBuf,
    pub format: Format,
    pub mapping: Mapping,
    pub bytes: u64,
    pub rows: u64,
    /// Names this content under this mapping, wherever the file lies.
    pub(super) job: String,
    /// Hashed keys of entities whose rows don't follow each other.
    pub(super) scattered: FxHashSet<u64>,
    /// Products known from order lines only.
    pub(super) products: Vec<ProductRow>,
}

#[derive(Debug, Default)]
pub struct ImportPlan {
    /// Products first, then stock, orders and events.
    pub files: Vec<FilePlan>,
    pub ignored: Vec<(PathBuf, String)>,
}

/// Looks through files once, and through the files of folders, of which unknown ones are left aside. `at` decides which of a feed's prices are in effect.
pub fn plan(paths: &[PathBuf], choice: &MappingChoice, at: TimestampMs) -> Result<ImportPlan> {
    let mut plan = ImportPlan::default();
    for (path, named) in expand(paths)? {
        match mapping_for(&path, choice) {
            Ok(Ok((format, mapping))) => plan.files.push(scan(path, format, mapping, at)?),
            Ok(Err(reason)) => plan.ignored.push((path, reason)),
            Err(ImportError::Unknown { .. }) if !named => {
                plan.ignored.push((path, "what it holds is not known".to_owned()));
            }
            Err(error) => return Err(error),
        }
    }
    plan.files.sort_by_key(|file| file.mapping.entity);
    Ok(plan)
}

pub(super) fn hash_of(key: &str) -> u64 {
    let mut hasher = FxHasher::default();
    key.hash(&mut hasher);
    hasher.finish()
}

/// Files, and whether they were named or found in a folder.
fn expand(paths: &[PathBuf]) -> Result<Vec<(PathBuf, bool)>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push((path.clone(), true));
            continue;
        }
        let entries = std::fs::read_dir(path).map_err(|error| ImportError::io(path, &error))?;
        let inside = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file());
        let mut inside: Vec<_> = inside.map(|path| (path, false)).collect();
        inside.sort();
        files.extend(inside);
    }
    Ok(files)
}

/// Format and mapping of a file, or why it is left aside.
fn mapping_for(path: &Path, choice: &MappingChoice) -> Result<Result<(Format, Mapping), String>> {
    let Some(format) = Format::of_path(path) else {
        return Ok(Err("neither csv, tsv, jsonl, parquet nor xml by its name".to_owned()));
    };
    let header = source::header(path, format)?;
    let unknown = || ImportError::Unknown { path: path.display().to_string() };
    let mapping = match choice {
        MappingChoice::Given(mapping) => (**mapping).clone(),
        MappingChoice::File(file) => {
            std::fs::read_to_string(file).map_err(|error| ImportError::io(file, &error))?.parse()?
        }
        MappingChoice::Detect => detect(format, &header)?.ok_or_else(unknown)?,
        MappingChoice::BuiltIn(name) => match name.as_str() {
            "online-retail" => online_retail::MAPPING.parse()?,
            "google" => feed_product::mapping(&header),
            "complete-journey" => match complete_journey(&header)? {
                Some(mapping) => mapping,
                None => return Ok(Err("a table of the set that nothing is made of".to_owned())),
            },
            other => return Err(ImportError::Mapping { detail: format!("there is no built-in mapping {other:?}") }),
        },
    };
    Ok(Ok((format, mapping)))
}

fn detect(format: Format, header: &[CompactString]) -> Result<Option<Mapping>> {
    if format == Format::XmlFeed || feed_product::is_feed(header) {
        return Ok(Some(feed_product::mapping(header)));
    }
    if has_all(header, online_retail::COLUMNS) {
        return online_retail::MAPPING.parse().map(Some);
    }
    complete_journey(header)
}

fn complete_journey(header: &[CompactString]) -> Result<Option<Mapping>> {
    if has_all(header, complete_journey::TRANSACTION_COLUMNS) {
        complete_journey::TRANSACTIONS.parse().map(Some)
    } else if has_all(header, complete_journey::PRODUCT_COLUMNS) {
        complete_journey::PRODUCTS.parse().map(Some)
    } else {
        Ok(None)
    }
}

fn has_all(header: &[CompactString], names: &[&str]) -> bool {
    names.iter().all(|name| header.iter().any(|column| column == name))
}

fn scan(path: PathBuf, format: Format, mapping: Mapping, at: TimestampMs) -> Result<FilePlan> {
    let (hash, bytes) = hash_file(&path)?;
    let job = blake3::hash(format!("{hash} {}", to_json(&mapping)?).as_bytes()).to_hex().to_string();
    let mut scan = Scan::default();
    {
        let compiled = mapping.compile()?;
        let mut rows = source::open(&path, format, &compiled.columns)?;
        let products = ProductShape { at };
        loop {
            let batch = rows.next_rows()?;
            if batch.is_empty() {
                break;
            }
            scan.rows += batch.len() as u64;
            for row in &batch {
                let Ok(cells) = &row.cells else { continue };
                let fields = Fields { compiled: &compiled, cells };
                match mapping.entity {
                    Entity::Orders => scan.order(fields),
                    Entity::Products => {
                        if let Ok(row) = products.read(fields) {
                            scan.key(row.id.as_str());
                        }
                    }
                    Entity::Stock | Entity::Events => {}
                }
            }
        }
    }
    let products = scan.products(mapping.dialect);
    Ok(FilePlan { path, format, mapping, bytes, rows: scan.rows, job, scattered: scan.scattered, products })
}

fn hash_file(path: &Path) -> Result<(String, u64)> {
    let io = |error: std::io::Error| ImportError::io(path, &error);
    let mut file = File::open(path).map_err(io)?;
    let mut hasher = blake3::Hasher::new();
    let bytes = std::io::copy(&mut file, &mut hasher).map_err(io)?;
    Ok((hasher.finalize().to_hex().to_string(), bytes))
}

/// What one look through a file finds.
#[derive(Default)]
struct Scan {
    rows: u64,
    last_key: CompactString,
    seen: FxHashSet<u64>,
    scattered: FxHashSet<u64>,
    facts: FxHashMap<ProductId, Facts>,
}

/// What order lines say of a product.
#[derive(Default)]
struct Facts {
    spellings: Spellings,
    /// The last price it was sold at.
    price: Option<merx_domain::Money>,
}

impl Scan {
    fn key(&mut self, key: &str) {
        if self.last_key == key {
            return;
        }
        self.last_key = key.into();
        let hash = hash_of(key);
        if !self.seen.insert(hash) {
            self.scattered.insert(hash);
        }
    }

    fn order(&mut self, fields: Fields<'_>) {
        let Ok(row) = OrderShape.read(fields) else { return };
        self.key(row.order.as_str());
        if let Some(name) = fields.text(Field::Name) {
            self.facts(&row, &name);
        }
    }

    fn facts(&mut self, row: &OrderRow, name: &str) {
        for line in &row.lines {
            let facts = match self.facts.get_mut(&line.product) {
                Some(facts) => facts,
                None => self.facts.entry(line.product.clone()).or_default(),
            };
            facts.spellings.add(name);
            if line.kind == merx_domain::OrderLineKind::Sale && line.unit_price.minor > 0 {
                facts.price = Some(line.unit_price);
            }
        }
    }

    fn products(&mut self, dialect: Dialect) -> Vec<ProductRow> {
        let facts = std::mem::take(&mut self.facts);
        let mut rows: Vec<ProductRow> = facts.into_iter().map(|(id, facts)| product(id, &facts, dialect)).collect();
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        rows
    }
}

fn product(id: ProductId, facts: &Facts, dialect: Dialect) -> ProductRow {
    let (status, attributes) = match dialect {
        Dialect::OnlineRetail => online_retail::status(&id),
        Dialect::Plain | Dialect::GoogleFeed => Default::default(),
    };
    let variant = VariantId::new(id.as_str()).ok().zip(facts.price).map(|(id, amount)| {
        let mut variant = Variant::new(id);
        variant.prices.push(Price { market: None, amount, list_amount: None });
        variant
    });
    ProductRow { name: facts.spellings.best().cloned(), status, attributes, variant, ..ProductRow::new(id) }
}
