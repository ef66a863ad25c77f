//! Records that are written: a batch becomes changes of products and stock, or waits in a temporary index.

use std::collections::BTreeMap;

use merx_domain::{LocationId, MarketId, Product, ProductId, ProductStatus, StockLevel, VariantId};
use serde_json::{Value, json};

use super::names::{Target, target};
use super::record::{self, Record, Said, Shop};
use crate::app::App;
use crate::ports::StockPlace;
use crate::problem::{Code, Problem};

/// Changes of one call.
pub(super) const MOST_CHANGES: usize = 10_000;
/// Where stock lies that records speak of.
const LOCATION: &str = "default";

/// One change, as the protocol's `action` names it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// The whole record; one without `objectID` gets an id.
    Put,
    Change {
        create: bool,
    },
    Delete,
}

impl Action {
    fn of(name: &str, body: &Record) -> Option<Self> {
        let create = body.get("createIfNotExists").and_then(Value::as_bool).unwrap_or(true);
        match name {
            "addObject" | "updateObject" => Some(Self::Put),
            "partialUpdateObject" => Some(Self::Change { create }),
            "partialUpdateObjectNoCreate" => Some(Self::Change { create: false }),
            "deleteObject" => Some(Self::Delete),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub(super) action: Action,
    pub(super) id: ProductId,
    pub(super) record: Record,
    /// Where it stands in the request.
    pub(super) at: String,
}

impl Change {
    pub(super) fn refuse(&self, detail: impl Into<String>) -> Problem {
        Problem::mistake(self.at.clone(), "invalid_record", format!("objectID {}: {}", self.id, detail.into()))
    }

    /// An item of a batch: `{action, body}`.
    pub(super) fn read(app: &App, place: usize, request: &Value) -> Result<Self, Problem> {
        let at = format!("requests[{place}]");
        let wrong = |detail: String| Problem::mistake(at.clone(), "wrong_form", detail);
        let action = request["action"].as_str().unwrap_or_default();
        let empty = json!({});
        let body = request.get("body").unwrap_or(&empty).as_object();
        let body = body.ok_or_else(|| wrong("body: expected an object".to_owned()))?;
        let Some(read) = Action::of(action, body) else {
            let known = "addObject, updateObject, partialUpdateObject, partialUpdateObjectNoCreate, deleteObject";
            return Err(wrong(format!(
                "action: {action:?} is none of {known}; clear and delete have addresses of their own"
            )));
        };
        let id = body.get("objectID").filter(|id| !id.is_null());
        let id = match (id, &read) {
            (Some(id), _) => object_id(id).map_err(wrong)?,
            (None, Action::Put) => new_id(app)?,
            (None, _) => return Err(wrong("body: objectID is missing".to_owned())),
        };
        Ok(Self { action: read, id, record: body.clone(), at })
    }
}

/// Ids are texts; some clients write numbers.
pub(super) fn object_id(value: &Value) -> Result<ProductId, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err("objectID: expected a text".to_owned()),
    };
    ProductId::new(text).map_err(|error| format!("objectID: {error}"))
}

pub(super) fn new_id(app: &App) -> Result<ProductId, Problem> {
    let id = app.ids.request();
    ProductId::new(id).map_err(|error| Problem::because(Code::Internal, error.to_string()))
}

/// Does all of it or nothing of it; returns the task to wait for.
pub(super) fn write(app: &App, index: &str, changes: &[Change]) -> Result<i64, Problem> {
    if changes.len() > MOST_CHANGES {
        let detail = format!("{} changes are more than {MOST_CHANGES}", changes.len());
        return Err(Problem::mistake("requests", "out_of_range", detail));
    }
    match target(app, index)? {
        Target::Catalogue => write_products(app, changes),
        Target::Temporary => stage(app, index, changes),
    }?;
    begin_task(app)
}

pub(super) fn begin_task(app: &App) -> Result<i64, Problem> {
    Ok(app.parts.indexes.begin_task(app.parts.shop.catalogue_state()?, app.parts.clock.now()))
}

/// A product on its way through a batch.
struct State {
    before: Option<Product>,
    after: Option<Product>,
    stock: Option<Said>,
    at: String,
}

impl State {
    fn is_shown(product: &Product) -> bool {
        product.status == ProductStatus::Visible
    }
}

fn write_products(app: &App, changes: &[Change]) -> Result<(), Problem> {
    // Between reading what stands and writing what becomes of it nobody else may write.
    let _patching = app.patching.lock();
    let mut states = standing(app, changes)?;
    for change in changes {
        let Some(state) = states.get_mut(&change.id) else { continue };
        one_change(app, change, state)?;
        state.at.clone_from(&change.at);
    }
    let mut put = Vec::new();
    let mut remove = Vec::new();
    let (mut levels, mut untracked) = (Vec::new(), Vec::new());
    for (id, state) in states {
        match (state.before, state.after) {
            (_, Some(after)) => {
                if let Some(said) = state.stock {
                    let moved = level(app, &after, said);
                    let (set, forgotten) =
                        moved.map_err(|detail| Problem::mistake(state.at, "invalid_record", detail))?;
                    levels.extend(set);
                    untracked.extend(forgotten);
                }
                put.push(after);
            }
            (Some(_), None) => remove.push(id),
            (None, None) => {}
        }
    }
    if !put.is_empty() || !remove.is_empty() {
        app.parts.shop.write_products(put, remove)?;
    }
    if !levels.is_empty() || !untracked.is_empty() {
        app.parts.shop.write_stock(levels, untracked)?;
    }
    Ok(())
}

fn standing(app: &App, changes: &[Change]) -> Result<BTreeMap<ProductId, State>, Problem> {
    let mut ids: Vec<ProductId> = changes.iter().map(|change| change.id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    let products = app.parts.shop.products_by_id(&ids)?;
    let state = |(id, before): (ProductId, Option<Product>)| {
        // What is hidden or gone is in the catalogue's records, but not in this index.
        let after = before.clone().filter(State::is_shown);
        (id, State { before, after, stock: None, at: String::new() })
    };
    Ok(ids.into_iter().zip(products).map(state).collect())
}

fn one_change(app: &App, change: &Change, state: &mut State) -> Result<(), Problem> {
    let market = &app.parts.settings.default_market;
    let known = state.after.as_ref().or(state.before.as_ref());
    let record = match change.action {
        Action::Delete => {
            state.after = None;
            return Ok(());
        }
        Action::Change { create: false } if state.after.is_none() => return Ok(()),
        Action::Put => change.record.clone(),
        Action::Change { .. } => {
            let mut record = match &state.after {
                Some(product) => record::record_of(product, None, market),
                None => Record::new(),
            };
            // What isn't said of stock stays; what is computed needs the units.
            record.remove("in_stock");
            if change.record.get("stock").is_some_and(Value::is_object) {
                record.insert("stock".to_owned(), json!(units(app, &change.id, state.stock)?.unwrap_or(0)));
            }
            let mut update = change.record.clone();
            update.remove("createIfNotExists");
            record::apply(&mut record, &update).map_err(|wrong| change.refuse(wrong))?;
            record
        }
    };
    let said = record::stock_of(&record);
    if said != Said::Nothing {
        state.stock = Some(said);
    }
    let product = record::product_of(&shop(app), change.id.clone(), &record, known);
    state.after = Some(product.map_err(|wrong| change.refuse(wrong))?);
    Ok(())
}

fn shop(app: &App) -> Shop<'_> {
    let settings = &app.parts.settings;
    Shop { market: &settings.default_market, currency: settings.rules.currency, now: app.parts.clock.now() }
}

pub(super) fn total(levels: &[StockLevel]) -> i64 {
    levels.iter().fold(0, |sum, level| sum.saturating_add(level.quantity))
}

/// Units of a product over all places; `None`: not tracked.
pub(super) fn units(app: &App, id: &ProductId, said: Option<Said>) -> Result<Option<i64>, Problem> {
    match said {
        Some(Said::Units(units)) => Ok(Some(units)),
        Some(Said::SoldOut) => Ok(Some(0)),
        Some(Said::InStock | Said::Nothing) | None => {
            let levels = app.parts.shop.stock(id)?;
            Ok((!levels.is_empty()).then(|| total(&levels)))
        }
    }
}

/// The stock level to write and the one to forget, so that what was said becomes true.
fn level(app: &App, product: &Product, said: Said) -> Result<(Option<StockLevel>, Option<StockPlace>), String> {
    let standing = app.parts.shop.stock(&product.id).map_err(|error| error.to_string())?;
    let total = total(&standing);
    let has_units = standing.is_empty() || total > 0;
    let wanted = match said {
        Said::Units(units) if !standing.is_empty() && units == total => return Ok((None, None)),
        Said::Nothing => return Ok((None, None)),
        Said::InStock if has_units => return Ok((None, None)),
        Said::SoldOut if !has_units => return Ok((None, None)),
        Said::Units(units) => Some(units),
        Said::SoldOut => Some(0),
        Said::InStock => None,
    };
    if standing.iter().any(|level| level.location.as_str() != LOCATION) || standing.len() > 1 {
        let id = &product.id;
        return Err(format!("objectID {id}: its stock lies at several places, which POST /v1/stock/batch writes"));
    }
    let variant = product.variants.first().map(|variant| variant.id.clone());
    let own = || VariantId::new(product.id.as_str()).map_err(|error| error.to_string());
    let variant = match standing.first() {
        Some(level) => level.variant.clone(),
        None => variant.map_or_else(own, Ok)?,
    };
    let location = LocationId::new(LOCATION).map_err(|error| error.to_string())?;
    let place = (product.id.clone(), variant, location);
    Ok(match wanted {
        None => (None, Some(place)),
        Some(quantity) => {
            let (product, variant, location) = place;
            (Some(StockLevel { product, variant, location, quantity, updated_at: app.parts.clock.now() }), None)
        }
    })
}

/// Records of a temporary index are checked when they come, so that nothing is refused when they take the catalogue's place.
fn stage(app: &App, index: &str, changes: &[Change]) -> Result<(), Problem> {
    let mut put = Vec::new();
    let mut remove = Vec::new();
    for change in changes {
        match change.action {
            Action::Put => {
                let read = record::product_of(&shop(app), change.id.clone(), &change.record, None);
                read.map_err(|wrong| change.refuse(wrong))?;
                put.push((change.id.to_string(), Value::Object(change.record.clone()).to_string()));
            }
            Action::Delete => remove.push(change.id.to_string()),
            Action::Change { .. } => {
                return Err(change.refuse("a temporary index takes whole records, not changes of them"));
            }
        }
    }
    Ok(app.parts.indexes.stage(index, &put, &remove, app.parts.clock.now())?)
}

/// The records of a temporary index become the catalogue; what is not among them leaves it. Products come before others go,
/// so that the shop is never empty.
pub(super) fn replace_catalogue(app: &App, temporary: &str) -> Result<(), Problem> {
    const PAGE: usize = 2_000;
    let mut kept = rustc_hash::FxHashSet::default();
    let mut after = String::new();
    loop {
        let page = app.parts.indexes.staged(temporary, &after, PAGE)?;
        let Some((last, _)) = page.last() else { break };
        after.clone_from(last);
        let change = |(id, record): (String, Record)| {
            let id = ProductId::new(&id).map_err(|error| Problem::because(Code::Internal, error.to_string()))?;
            Ok(Change { action: Action::Put, at: format!("objectID {id}"), id, record })
        };
        let changes: Vec<Change> = page.into_iter().map(change).collect::<Result<_, Problem>>()?;
        write_products(app, &changes)?;
        kept.extend(changes.into_iter().map(|change| change.id));
    }
    remove_products(app, &|product| !kept.contains(&product.id))?;
    Ok(app.parts.indexes.drop_staged(temporary)?)
}

/// Takes what `goes` out of the catalogue's index.
pub(super) fn remove_products(app: &App, goes: &dyn Fn(&Product) -> bool) -> Result<u64, Problem> {
    const PAGE: usize = 2_000;
    let mut removed = 0;
    let mut after: Option<ProductId> = None;
    loop {
        let products = app.parts.shop.products(after.as_ref(), PAGE)?;
        let Some(last) = products.last() else { return Ok(removed) };
        after = Some(last.id.clone());
        let ids: Vec<ProductId> = products
            .iter()
            .filter(|product| State::is_shown(product) && goes(product))
            .map(|product| product.id.clone())
            .collect();
        if !ids.is_empty() {
            removed += app.parts.shop.write_products(Vec::new(), ids)?;
        }
    }
}

/// A product as callers of a secret key see it.
pub(super) fn whole_record(app: &App, product: &Product, market: &MarketId) -> Result<Record, Problem> {
    let stock = units(app, &product.id, None)?;
    let mut record = record::record_of(product, stock, market);
    if let Some(units) = stock {
        record.insert("stock".to_owned(), json!(units));
    }
    Ok(record)
}
