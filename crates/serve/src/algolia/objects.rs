//! Records by id, in batches, and one after the other (browse).

use std::ops::ControlFlow;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use merx_decide::CatalogueEntry;
use merx_domain::search::SortKey;
use merx_domain::{Filter, Product, ProductId, ProductNumber, ProductStatus};
use serde_json::{Value, json};

use super::chosen::Chosen;
use super::names::{Target, target};
use super::params::Params;
use super::reading::{self, Asker, Cursor, Search};
use super::record::{self, Record};
use super::writes::{self, Action, Change};
use super::{Plain, answered, settings};
use crate::app::App;
use crate::auth::Caller;
use crate::body::Query;
use crate::keys::Scope;
use crate::problem::{Code, Problem};
use crate::routes::Shared;

const MOST_READ: usize = 1_000;
const MOST_BROWSED: usize = 1_000;

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(crate) struct ObjectQuery {
    /// Names, separated by commas, or a JSON list of them.
    #[param(example = "name,price")]
    attributes_to_retrieve: Option<String>,
}

/// Read a record (Algolia)
#[utoipa::path(get, path = "/1/indexes/{index}/{objectID}", tag = "algolia", operation_id = "algolia_get_object", params(
        ("index" = String, Path, description = "Any name", example = "products"),
        ("objectID" = String, Path, description = "The product's id"), ObjectQuery),
    responses((status = 200, description = "The product as a record", body = Object)))]
pub(crate) async fn get_object(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path((index, id)): Path<(String, String)>,
    Query(query): Query<ObjectQuery>,
) -> Result<Response, Problem> {
    // Version 4 of the client writes the list as JSON, version 5 with commas.
    let names = query.attributes_to_retrieve.map(|names| Params::of(&json!({ "names": names }))).transpose()?;
    let names = names.and_then(|params| params.names("names"));
    answered(move || {
        let chosen = Chosen::of(names).without(&settings::hidden(&app, &index, &caller));
        let found = ProductId::new(&id).ok().map(|id| shown(&app, &caller, &[(id, chosen)])).transpose()?;
        let found = found.and_then(|mut found| found.pop().flatten());
        found.map(Value::Object).ok_or_else(|| missing(&id))
    })
    .await
}

fn missing(id: &str) -> Problem {
    let id: String = id.chars().take(200).collect();
    Problem::because(Code::NotFound, format!("ObjectID {id} does not exist"))
}

/// Read several records (Algolia)
#[utoipa::path(post, path = "/1/indexes/{index}/objects", tag = "algolia", operation_id = "algolia_get_objects",
    params(("index" = String, Path, description = "A star; each request names its own index", example = "*")),
    request_body(content = Object, example = json!({"requests": [{"indexName": "products", "objectID": "p1", "attributesToRetrieve": ["name"]}]})),
    responses((status = 200, description = "In the order of the requests; null where there is none", body = Object)))]
pub(crate) async fn get_objects(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(index): Path<String>,
    body: Plain,
) -> Result<Response, Problem> {
    let body = body.json()?;
    answered(move || {
        let requests = list(&body, MOST_READ)?;
        let mut hidden: Vec<(&str, Vec<String>)> = Vec::new();
        let mut wanted: Vec<(ProductId, Chosen)> = Vec::with_capacity(requests.len());
        for (place, request) in requests.iter().enumerate() {
            let id = writes::object_id(&request["objectID"]);
            let id = id.map_err(|wrong| Problem::mistake(format!("requests[{place}]"), "wrong_form", wrong))?;
            let names = request.get("attributesToRetrieve").map(|_| Params::of(request)).transpose()?;
            let chosen = Chosen::of(names.and_then(|params| params.names("attributesToRetrieve")));
            let index = request["indexName"].as_str().unwrap_or(&index);
            if !hidden.iter().any(|(known, _)| *known == index) {
                hidden.push((index, settings::hidden(&app, index, &caller)));
            }
            let hidden = hidden.iter().find(|(known, _)| *known == index).map_or(&[][..], |(_, names)| names);
            wanted.push((id, chosen.without(hidden)));
        }
        Ok(json!({"results": shown(&app, &caller, &wanted)?}))
    })
    .await
}

fn list(body: &Value, most: usize) -> Result<&[Value], Problem> {
    let Some(requests) = body.get("requests").and_then(Value::as_array) else {
        return Err(Problem::because(Code::InvalidJson, "requests: expected a list"));
    };
    if requests.len() > most {
        let detail = format!("{} requests are more than {most}", requests.len());
        return Err(Problem::mistake("requests", "out_of_range", detail));
    }
    Ok(requests)
}

/// Products by position, as far as the caller may see them.
fn shown(app: &App, caller: &Caller, wanted: &[(ProductId, Chosen)]) -> Result<Vec<Option<Record>>, Problem> {
    let market = &app.parts.settings.default_market;
    let may_see_stock = caller.0.as_ref().is_some_and(|key| key.scope.reaches(Scope::Secret));
    let ids: Vec<ProductId> = wanted.iter().map(|(id, _)| id.clone()).collect();
    let products = app.parts.shop.products_by_id(&ids)?;
    let record = |(product, (_, chosen)): (Option<Product>, &(ProductId, Chosen))| {
        let now = app.parts.clock.now();
        let is_shown = |product: &Product| {
            product.status == ProductStatus::Visible && (may_see_stock || product.sold_in(market, now))
        };
        let Some(product) = product.filter(is_shown) else { return Ok(None) };
        let record = if may_see_stock {
            writes::whole_record(app, &product, market)?
        } else {
            record::record_of(&product, writes::units(app, &product.id, None)?, market)
        };
        Ok(Some(chosen_record(&record, chosen)))
    };
    products.into_iter().zip(wanted).map(record).collect()
}

fn chosen_record(record: &Record, chosen: &Chosen) -> Record {
    let mut shown = chosen.of_record(record);
    shown.extend(record.get("objectID").map(|id| ("objectID".to_owned(), id.clone())));
    shown
}

/// Browse (Algolia)
///
/// All products that pass the filters, page by page: each answer but the last has the `cursor` of the next. With a query, or around a place,
/// all that a search of words finds.
#[utoipa::path(post, path = "/1/indexes/{index}/browse", tag = "algolia", operation_id = "algolia_browse",
    params(("index" = String, Path, description = "Any name", example = "products")),
    request_body(content = Object, example = json!({"hitsPerPage": 100, "filters": "in_stock:true"})),
    responses((status = 200, description = "A page of records", body = Object)))]
pub(crate) async fn browse(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(index): Path<String>,
    body: Plain,
) -> Result<Response, Problem> {
    let params = Params::of(&body.json()?)?;
    // Whoever copies a catalogue is no shopper.
    let asker = Asker { caller, privacy_signal: false };
    answered(move || {
        // A cursor remembers how it was asked for.
        let cursor = params.part("cursor").filter(|cursor| !cursor.is_null());
        let cursor = cursor.map(|cursor| Cursor::read(cursor.as_str().unwrap_or_default())).transpose()?;
        browsed(&app, &index, cursor, params, &asker)
    })
    .await
}

/// A page of a browse, where the next one begins, and how many there are in all.
struct Browsed {
    page: Vec<ProductId>,
    next: Option<u32>,
    total: usize,
}

fn browsed(app: &App, index: &str, cursor: Option<Cursor>, asked: Params, asker: &Asker) -> Result<Value, Problem> {
    let (from, page, counted, params) = match cursor {
        Some(cursor) => (Some(cursor.from), cursor.page, cursor.total, cursor.params),
        None => (None, asked.number("page").unwrap_or(0), None, asked),
    };
    let count = params.number("hitsPerPage").unwrap_or(MOST_BROWSED).clamp(1, MOST_BROWSED);
    let skipped = page.saturating_mul(count);
    let says = |name: &str| params.text(name).is_some_and(|text| !text.trim().is_empty());
    let found = if says("query") || says("aroundLatLng") {
        search_page(app, index, &params, asker, from.map_or(skipped, |from| from as usize), count)?
    } else {
        catalogue_page(app, &params, from, skipped, count, counted)?
    };
    let chosen = Chosen::of(params.names("attributesToRetrieve"));
    let chosen = chosen.without(&settings::hidden(app, index, &asker.caller));
    let products = app.parts.shop.products_by_id(&found.page)?;
    let mut hits = Vec::with_capacity(found.page.len());
    // What left the catalogue since is not listed any more.
    for product in products.into_iter().flatten().filter(|product| product.status == ProductStatus::Visible) {
        let record = writes::whole_record(app, &product, &app.parts.settings.default_market)?;
        hits.push(chosen_record(&record, &chosen));
    }
    let mut answer = json!({
        "hits": hits, "nbHits": found.total, "page": page, "nbPages": found.total.div_ceil(count), "hitsPerPage": count,
        "exhaustiveNbHits": true, "query": params.text("query").unwrap_or_default(), "params": params.encoded(),
        "index": index, "processingTimeMS": 0,
    });
    if let Some(from) = found.next {
        let next = Cursor { from, page: page.saturating_add(1), total: Some(found.total), params };
        answer["cursor"] = json!(next.text());
    }
    Ok(answer)
}

/// Counted for the first page alone: the cursor tells the others.
fn catalogue_page(
    app: &App,
    params: &Params,
    from: Option<u32>,
    skipped: usize,
    count: usize,
    counted: Option<usize>,
) -> Result<Browsed, Problem> {
    let filter = reading::filter(params).map_err(|detail| Problem::because(Code::InvalidRequest, detail))?;
    let mut total = 0;
    if counted.is_none() {
        walk(app, filter.as_ref(), 0, &mut |_, _| {
            total += 1;
            ControlFlow::Continue(())
        });
    }
    let (mut page, mut next) = (Vec::new(), None);
    let mut skipped = if from.is_some() { 0 } else { skipped };
    walk(app, filter.as_ref(), from.unwrap_or(0), &mut |number, entry| {
        if skipped > 0 {
            skipped -= 1;
        } else if page.len() < count {
            page.push(entry.id.clone());
        } else {
            next = Some(number.0);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    Ok(Browsed { page, next, total: counted.unwrap_or(total) })
}

/// Products that pass, from a number on, a stretch at a time: whoever changes the catalogue needn't wait until all were looked at.
fn walk(
    app: &App,
    filter: Option<&Filter>,
    from: u32,
    each: &mut dyn FnMut(ProductNumber, &CatalogueEntry) -> ControlFlow<()>,
) {
    const AT_ONCE: usize = 5_000;
    let market = &app.parts.settings.default_market;
    let passes = |entry: &CatalogueEntry| {
        entry.visible && filter.is_none_or(|filter| filter.matches(&|field| entry.values(field, market)))
    };
    let mut from = ProductNumber(from);
    loop {
        let catalogue = app.parts.catalogue.read();
        let mut last = None;
        for (number, entry) in catalogue.from(from).take(AT_ONCE) {
            last = Some(number);
            if passes(entry) && each(number, entry).is_break() {
                return;
            }
        }
        let Some(next) = last.and_then(|last| last.0.checked_add(1)) else { return };
        from = ProductNumber(next);
    }
}

/// What has the words: in the order of ids, because nobody ranks what is copied, and nothing that is only near to it.
fn search_page(
    app: &App,
    index: &str,
    params: &Params,
    asker: &Asker,
    from: usize,
    count: usize,
) -> Result<Browsed, Problem> {
    crate::search::check_ready(app)?;
    let Search { mut asked, .. } = Search::read(app, index, params, asker)?;
    let ask = &mut asked.ask;
    (ask.offset, ask.count, ask.without_rules) = (from, count, true);
    (ask.facets, ask.preferences, ask.distinct) = (Vec::new(), Vec::new(), None);
    ask.sort = vec![SortKey { field: "id".to_owned(), descending: false }];
    if ask.fields.is_empty() {
        ask.fields = crate::search::SEARCHED_FIELDS.map(str::to_owned).to_vec();
    }
    asked.look(app, |answer, catalogue| {
        // Where nothing is found a search shows what is popular.
        let hits = answer.hits.iter().filter(|_| answer.total > 0);
        let page = hits.filter_map(|hit| Some(catalogue.entry(hit.product)?.id.clone())).collect();
        let next = from.saturating_add(count);
        let next = (next < answer.total).then(|| u32::try_from(next).ok()).flatten();
        Browsed { page, next, total: answer.total }
    })
}

/// Change several records (Algolia)
///
/// All of it or nothing. Actions: addObject, updateObject, partialUpdateObject, partialUpdateObjectNoCreate, deleteObject.
#[utoipa::path(post, path = "/1/indexes/{index}/batch", tag = "algolia", operation_id = "algolia_batch",
    params(("index" = String, Path, description = "The catalogue's name, or a star where each request names it", example = "products")),
    request_body(content = Object, example = json!({"requests": [{"action": "addObject", "body": {"objectID": "p1", "name": "Canvas Bag", "brand": "Acme", "price": 18.99}}]})),
    responses((status = 200, description = "The task to wait for", body = Object)))]
pub(crate) async fn batch(
    State(app): State<Shared>,
    Path(index): Path<String>,
    body: Plain,
) -> Result<Response, Problem> {
    let body = body.json()?;
    answered(move || {
        let requests = list(&body, writes::MOST_CHANGES)?;
        let read = |(place, request): (usize, &Value)| Change::read(&app, place, request);
        let changes: Vec<Change> = requests.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        let ids: Vec<&str> = changes.iter().map(|change| change.id.as_str()).collect();
        if index != "*" {
            let task = writes::write(&app, &index, &changes)?;
            return Ok(json!({"taskID": task, "objectIDs": ids}));
        }
        // Every name is looked at before anything is written.
        let mut names: Vec<&str> = Vec::new();
        for (place, request) in requests.iter().enumerate() {
            let at = format!("requests[{place}].indexName");
            let name =
                request["indexName"].as_str().ok_or_else(|| Problem::mistake(at, "wrong_form", "expected a text"))?;
            target(&app, name)?;
            names.push(name);
        }
        let mut tasks = serde_json::Map::new();
        let mut different = names.clone();
        different.sort_unstable();
        different.dedup();
        for name in different {
            let of_name = names.iter().zip(&changes).filter(|(one, _)| **one == name);
            let of_name: Vec<Change> = of_name.map(|(_, change)| change.clone()).collect();
            tasks.insert(name.to_owned(), json!(writes::write(&app, name, &of_name)?));
        }
        Ok(json!({"taskID": tasks, "objectIDs": ids}))
    })
    .await
}

fn one(app: &App, index: &str, action: Action, id: ProductId, body: Value) -> Result<i64, Problem> {
    let Value::Object(record) = body else {
        return Err(Problem::because(Code::InvalidJson, "expected an object"));
    };
    writes::write(app, index, &[Change { action, id, record, at: "body".to_owned() }])
}

fn id_of(text: &str) -> Result<ProductId, Problem> {
    ProductId::new(text).map_err(|error| Problem::because(Code::InvalidParameter, error.to_string()))
}

fn now(app: &App) -> String {
    app.parts.clock.now().to_string()
}

/// Add a record without an id (Algolia)
#[utoipa::path(post, path = "/1/indexes/{index}", tag = "algolia", operation_id = "algolia_add_object",
    params(("index" = String, Path, description = "The catalogue's name", example = "products")),
    request_body(content = Object, example = json!({"name": "Canvas Bag", "price": 18.99})),
    responses((status = 201, description = "Its id, and the task to wait for", body = Object)))]
pub(crate) async fn add_object(
    State(app): State<Shared>,
    Path(index): Path<String>,
    body: Plain,
) -> Result<Response, Problem> {
    let body = body.json()?;
    let mut response = answered(move || {
        let named = body.get("objectID").filter(|id| !id.is_null()).map(writes::object_id);
        let id = match named {
            Some(id) => id.map_err(|wrong| Problem::mistake("body", "wrong_form", wrong))?,
            None => writes::new_id(&app)?,
        };
        let task = one(&app, &index, Action::Put, id.clone(), body)?;
        Ok(json!({"objectID": id.as_str(), "taskID": task, "createdAt": now(&app)}))
    })
    .await?;
    *response.status_mut() = axum::http::StatusCode::CREATED;
    Ok(response)
}

/// Put a record in place (Algolia)
#[utoipa::path(put, path = "/1/indexes/{index}/{objectID}", tag = "algolia", operation_id = "algolia_put_object", params(
        ("index" = String, Path, description = "The catalogue's name", example = "products"),
        ("objectID" = String, Path, description = "The product's id")),
    request_body(content = Object, example = json!({"name": "Canvas Bag", "price": 18.99})),
    responses((status = 200, description = "The task to wait for", body = Object)))]
pub(crate) async fn put_object(
    State(app): State<Shared>,
    Path((index, id)): Path<(String, String)>,
    body: Plain,
) -> Result<Response, Problem> {
    let body = body.json()?;
    answered(move || {
        let task = one(&app, &index, Action::Put, id_of(&id)?, body)?;
        Ok(json!({"objectID": id, "taskID": task, "updatedAt": now(&app)}))
    })
    .await
}

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(crate) struct CreateQuery {
    /// False leaves it when there is none.
    create_if_not_exists: Option<bool>,
}

/// Change a record (Algolia)
#[utoipa::path(post, path = "/1/indexes/{index}/{objectID}/partial", tag = "algolia", operation_id = "algolia_change_object", params(
        ("index" = String, Path, description = "The catalogue's name", example = "products"),
        ("objectID" = String, Path, description = "The product's id"), CreateQuery),
    request_body(content = Object, example = json!({"stock": {"_operation": "Increment", "value": 2}})),
    responses((status = 200, description = "The task to wait for", body = Object)))]
pub(crate) async fn change_object(
    State(app): State<Shared>,
    Path((index, id)): Path<(String, String)>,
    Query(query): Query<CreateQuery>,
    body: Plain,
) -> Result<Response, Problem> {
    let body = body.json()?;
    answered(move || {
        let action = Action::Change { create: query.create_if_not_exists.unwrap_or(true) };
        let task = one(&app, &index, action, id_of(&id)?, body)?;
        Ok(json!({"objectID": id, "taskID": task, "updatedAt": now(&app)}))
    })
    .await
}

/// Remove a record (Algolia)
#[utoipa::path(delete, path = "/1/indexes/{index}/{objectID}", tag = "algolia", operation_id = "algolia_delete_object", params(
        ("index" = String, Path, description = "The catalogue's name", example = "products"),
        ("objectID" = String, Path, description = "The product's id", example = "no-such-product")),
    responses((status = 200, description = "The task to wait for; removing what isn't there is no error", body = Object)))]
pub(crate) async fn delete_object(
    State(app): State<Shared>,
    Path((index, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    answered(move || {
        let task = one(&app, &index, Action::Delete, id_of(&id)?, json!({}))?;
        Ok(json!({"taskID": task, "deletedAt": now(&app)}))
    })
    .await
}

/// Remove what passes filters (Algolia)
#[utoipa::path(post, path = "/1/indexes/{index}/deleteByQuery", tag = "algolia", operation_id = "algolia_delete_by",
    params(("index" = String, Path, description = "The catalogue's name", example = "products")),
    request_body(content = Object, example = json!({"filters": "brand:\"No such brand\""})),
    responses((status = 200, description = "The task to wait for", body = Object)))]
pub(crate) async fn delete_by(
    State(app): State<Shared>,
    Path(index): Path<String>,
    body: Plain,
) -> Result<Response, Problem> {
    let params = Params::of(&body.json()?)?;
    answered(move || {
        if target(&app, &index)? == Target::Temporary {
            return Err(Problem::because(Code::Forbidden, "a temporary index takes whole records and removals by id"));
        }
        // What is not understood must not widen what is removed.
        if let Some(name) =
            ["aroundLatLng", "aroundLatLngViaIP", "insidePolygon"].into_iter().find(|name| params.part(name).is_some())
        {
            return Err(Problem::mistake(name, "not_supported", "remove by filters or insideBoundingBox"));
        }
        let filter = reading::filter(&params).map_err(|detail| Problem::because(Code::InvalidRequest, detail))?;
        let Some(filter) = filter else {
            return Err(Problem::mistake(
                "filters",
                "missing",
                "without a filter this would remove everything: use clear",
            ));
        };
        // A name that is misspelt must not remove what it seems to exclude.
        let mut mistakes = crate::problem::Mistakes::default();
        crate::search::check_filter(&app, "filters", &filter, &mut mistakes);
        if !mistakes.0.is_empty() {
            return Err(Problem::mistakes(mistakes.0));
        }
        let market = &app.parts.settings.default_market;
        let _patching = app.patching.lock();
        // What can't be read stays: nothing goes because its stock was not known.
        writes::remove_products(&app, &|product| {
            let Ok(stock) = app.parts.shop.stock(&product.id) else { return false };
            let units = (!stock.is_empty()).then(|| writes::total(&stock));
            let entry = CatalogueEntry::new(product, units);
            filter.matches(&|field| entry.values(field, market))
        })?;
        Ok(json!({"taskID": writes::begin_task(&app)?, "updatedAt": now(&app)}))
    })
    .await
}
