//! The catalogue at a glance, as decisions see it: a line a product, and what the products lack.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use merx_decide::{CatalogueEntry, CatalogueReader};
use merx_domain::{MarketId, ProductNumber};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::body::{Answered, Query, blocking};
use crate::problem::Problem;
use crate::routes::Shared;
use crate::wire::{Id, MoneyWire};

const DEFAULT_PAGE: usize = 1_000;
const MAX_PAGE: usize = 10_000;
/// Attributes that are reported by themselves, the most frequent ones.
const MOST_ATTRIBUTES: usize = 100;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AssortmentQuery {
    /// Whose prices.
    #[param(value_type = Option<Id>)]
    market: Option<String>,
    #[param(minimum = 1, maximum = 10000, default = 1000)]
    limit: Option<usize>,
    /// `next` of the page before.
    #[param(minimum = 0)]
    after: Option<u32>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CoverageQuery {
    /// Whose prices.
    #[param(value_type = Option<Id>)]
    market: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Assortment {
    /// Products in all.
    total: usize,
    items: Vec<AssortmentLine>,
    /// Where the next page begins; null after the last.
    next: Option<u32>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct AssortmentLine {
    product_id: String,
    name: String,
    brand: Option<String>,
    /// From the department down.
    category: Vec<String>,
    /// The lowest of its variants.
    price: Option<MoneyWire>,
    /// (price - cost) / price; null where the cost is not known.
    margin: Option<f32>,
    /// Units over all variants and locations; null: not tracked.
    stock: Option<i64>,
    visible: bool,
    image: Option<String>,
    /// How many attributes it has.
    attributes: usize,
    /// What a listing would miss: `price`, `image`, `brand`, `category`, `cost`.
    #[schema(example = json!(["image"]))]
    lacks: Vec<&'static str>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Coverage {
    products: usize,
    hidden: usize,
    /// Tracked, and nothing is left.
    sold_out: usize,
    /// Without any stock level; counts as available.
    untracked: usize,
    /// How many products lack what a listing needs.
    #[schema(example = json!({"image": 12}))]
    lacks: BTreeMap<&'static str, usize>,
    /// How many products have an attribute, most frequent first.
    attributes: Vec<AttributeCoverage>,
    /// Products by department, most first.
    departments: Vec<DepartmentCount>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct AttributeCoverage {
    name: String,
    products: usize,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DepartmentCount {
    name: String,
    products: usize,
    sold_out: usize,
}

fn market(app: &Shared, text: Option<&str>) -> Result<MarketId, Problem> {
    match text {
        None => Ok(app.parts.settings.default_market.clone()),
        Some(text) => text.parse().map_err(|error| Problem::mistake("market", "invalid_id", format!("{error}"))),
    }
}

fn lacks(entry: &CatalogueEntry, market: &MarketId) -> Vec<&'static str> {
    let missing = [
        ("price", entry.price(market).is_none()),
        ("image", entry.image.is_none()),
        ("brand", entry.brand.is_none()),
        ("category", entry.category_path.is_empty()),
        ("cost", entry.cost.is_none()),
    ];
    missing.into_iter().filter(|(_, missing)| *missing).map(|(what, _)| what).collect()
}

fn line(entry: &CatalogueEntry, market: &MarketId) -> AssortmentLine {
    AssortmentLine {
        product_id: entry.id.to_string(),
        name: entry.name.to_string(),
        brand: entry.brand.as_ref().map(ToString::to_string),
        category: entry.category_path.iter().map(ToString::to_string).collect(),
        price: entry.price(market).map(MoneyWire::from),
        margin: entry.cost.map(|_| entry.margin(market)),
        stock: entry.stock,
        visible: entry.visible,
        image: entry.image.as_deref().map(str::to_owned),
        attributes: entry.attributes.len(),
        lacks: lacks(entry, market),
    }
}

fn page(catalogue: &CatalogueReader<'_>, market: &MarketId, after: Option<u32>, limit: usize) -> Assortment {
    let later = |number: ProductNumber| after.is_none_or(|after| number.0 > after);
    let mut found = catalogue.iter().filter(|(number, _)| later(*number));
    let mut last = None;
    let items: Vec<AssortmentLine> = found
        .by_ref()
        .take(limit)
        .map(|(number, entry)| {
            last = Some(number.0);
            line(entry, market)
        })
        .collect();
    let next = last.filter(|_| found.next().is_some());
    Assortment { total: catalogue.len(), items, next }
}

fn cover(catalogue: &CatalogueReader<'_>, market: &MarketId) -> Coverage {
    let mut coverage = Coverage {
        products: catalogue.len(),
        hidden: 0,
        sold_out: 0,
        untracked: 0,
        lacks: BTreeMap::new(),
        attributes: Vec::new(),
        departments: Vec::new(),
    };
    let mut attributes: BTreeMap<&str, usize> = BTreeMap::new();
    let mut departments: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (_, entry) in catalogue.iter() {
        let sold_out = entry.stock.is_some_and(|stock| stock <= 0);
        coverage.hidden += usize::from(!entry.visible);
        coverage.sold_out += usize::from(sold_out);
        coverage.untracked += usize::from(entry.stock.is_none());
        for what in lacks(entry, market) {
            *coverage.lacks.entry(what).or_default() += 1;
        }
        for (name, _) in &entry.attributes {
            *attributes.entry(name).or_default() += 1;
        }
        let department = departments.entry(entry.category_path.first().map_or("", |name| name)).or_default();
        department.0 += 1;
        department.1 += usize::from(sold_out);
    }
    let attribute = |(name, products): (&str, usize)| AttributeCoverage { name: name.to_owned(), products };
    coverage.attributes = attributes.into_iter().map(attribute).collect();
    coverage.attributes.sort_by_key(|attribute| std::cmp::Reverse(attribute.products));
    coverage.attributes.truncate(MOST_ATTRIBUTES);
    let department = |(name, (products, sold_out)): (&str, (usize, usize))| DepartmentCount {
        name: name.to_owned(),
        products,
        sold_out,
    };
    coverage.departments = departments.into_iter().map(department).collect();
    coverage.departments.sort_by_key(|department| std::cmp::Reverse(department.products));
    coverage.departments.truncate(MOST_ATTRIBUTES);
    coverage
}

/// List the assortment
///
/// A line a product, as decisions see it: price, stock, margin, and what it lacks.
#[utoipa::path(get, path = "/v1/assortment", tag = "catalogue", params(AssortmentQuery),
    responses((status = 200, description = "A page", body = Assortment)))]
pub(crate) async fn list_assortment(
    State(app): State<Shared>,
    Query(query): Query<AssortmentQuery>,
) -> Result<Response, Problem> {
    let limit = query.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::mistake("limit", "out_of_range", format!("{limit} is not from 1 to {MAX_PAGE}")));
    }
    let market = market(&app, query.market.as_deref())?;
    blocking(move || {
        let page = page(&app.parts.catalogue.read(), &market, query.after, limit);
        Ok(Answered(page).into_response())
    })
    .await
}

/// Coverage of the assortment
///
/// What products lack, how many have which attribute, and what is sold out where.
#[utoipa::path(get, path = "/v1/assortment/coverage", tag = "catalogue", params(CoverageQuery),
    responses((status = 200, description = "Counts", body = Coverage)))]
pub(crate) async fn coverage(
    State(app): State<Shared>,
    Query(query): Query<CoverageQuery>,
) -> Result<Response, Problem> {
    let market = market(&app, query.market.as_deref())?;
    blocking(move || {
        let coverage = cover(&app.parts.catalogue.read(), &market);
        Ok(Answered(coverage).into_response())
    })
    .await
}
