//! What became of searches, over HTTP.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use merx_domain::{DAY_MS, MarketId, TimestampMs};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::body::{Answered, Query, blocking};
use crate::ports::{QueryFigures, QueryOrder, SearchFigures, SearchOverview, SearchSpan};
use crate::problem::{Mistakes, Problem};
use crate::routes::Shared;
use crate::wire::{Id, MoneyWire};

const MAX_DAYS: i32 = 3_660;
const USUAL_DAYS: i32 = 30;
const MAX_QUERIES: usize = 1_000;
const USUAL_QUERIES: usize = 50;

/// What became of searches. A search while the shopper is still typing, or that only adds a filter, is one with the next.
#[derive(Serialize, ToSchema)]
#[schema(as = SearchFigures)]
pub(crate) struct FiguresAnswer {
    searches: u64,
    without_results: u64,
    no_result_rate: f64,
    /// Searches with a click at least.
    clicked: u64,
    clicks: u64,
    /// Searches with a click, of those that found something.
    click_rate: f64,
    /// Mean place of the clicks, counted from 1; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    mean_click_position: Option<f64>,
    carts: u64,
    /// Searches of which something was bought.
    ordered: u64,
    conversion_rate: f64,
    /// Of what was bought, by currency.
    revenue: Vec<MoneyWire>,
}

impl From<SearchFigures> for FiguresAnswer {
    fn from(figures: SearchFigures) -> Self {
        let share = |part: u64, of: u64| if of == 0 { 0.0 } else { part as f64 / of as f64 };
        let SearchFigures { searches, without_results, clicked, clicks, positions, carts, ordered, revenue } = figures;
        Self {
            searches,
            without_results,
            no_result_rate: share(without_results, searches),
            clicked,
            clicks,
            click_rate: share(clicked, searches.saturating_sub(without_results)),
            mean_click_position: (clicks > 0).then(|| share(positions, clicks)),
            carts,
            ordered,
            conversion_rate: share(ordered, searches),
            revenue: revenue.into_iter().map(MoneyWire::from).collect(),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = SearchDay)]
pub(crate) struct DayAnswer {
    #[schema(format = Date)]
    day: String,
    #[serde(flatten)]
    figures: FiguresAnswer,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SearchRefinement)]
pub(crate) struct RefinementAnswer {
    field: String,
    /// Times that a shopper chose in it.
    count: u64,
}

/// How long searches took in the server, within an eighth.
#[derive(Serialize, ToSchema)]
#[schema(as = SearchLatency)]
pub(crate) struct LatencyAnswer {
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
}

impl LatencyAnswer {
    fn of(counts: &[(u32, u64)]) -> Self {
        let total: u64 = counts.iter().map(|(_, count)| count).sum();
        let quantile = |share: f64| {
            let wanted = (total as f64 * share).ceil() as u64;
            let mut passed = 0;
            let found = counts.iter().find(|(_, count)| {
                passed += count;
                passed >= wanted
            });
            found.map_or(0.0, |(us, _)| f64::from(*us) / 1e3)
        };
        Self { p50_ms: quantile(0.5), p95_ms: quantile(0.95), p99_ms: quantile(0.99) }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = SearchAnalytics)]
pub(crate) struct OverviewAnswer {
    #[serde(flatten)]
    total: FiguresAnswer,
    /// Days with a search, ascending.
    days: Vec<DayAnswer>,
    /// Facets that shoppers chose in, most often first.
    refinements: Vec<RefinementAnswer>,
    /// Over all markets.
    latency: LatencyAnswer,
}

impl From<SearchOverview> for OverviewAnswer {
    fn from(overview: SearchOverview) -> Self {
        let day = |(day, figures): (i32, SearchFigures)| DayAnswer { day: day_text(day), figures: figures.into() };
        let refinement = |(field, count)| RefinementAnswer { field, count };
        Self {
            latency: LatencyAnswer::of(&overview.latency_us),
            total: overview.total.into(),
            days: overview.days.into_iter().map(day).collect(),
            refinements: overview.refinements.into_iter().map(refinement).collect(),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = QueryFigures)]
pub(crate) struct QueryAnswer {
    /// In lower case; empty where rare queries of old days were put together.
    query: String,
    #[serde(flatten)]
    figures: FiguresAnswer,
}

#[derive(Serialize, ToSchema)]
#[schema(as = QueryFiguresList)]
pub(crate) struct QueryList {
    items: Vec<QueryAnswer>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SpanQuery {
    /// First day; thirty days back where it is left out.
    #[param(format = Date, example = "2026-11-01")]
    from: Option<String>,
    /// Day after the last; tomorrow where it is left out.
    #[param(format = Date)]
    until: Option<String>,
    #[param(value_type = Option<Id>)]
    market: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct QueriesQuery {
    /// First day; thirty days back where it is left out.
    #[param(format = Date, example = "2026-11-01")]
    from: Option<String>,
    /// Day after the last; tomorrow where it is left out.
    #[param(format = Date)]
    until: Option<String>,
    #[param(value_type = Option<Id>)]
    market: Option<String>,
    /// Which come first.
    #[param(inline)]
    order: Option<QueryOrder>,
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<usize>,
}

fn day_text(day: i32) -> String {
    TimestampMs(i64::from(day) * DAY_MS).to_string().chars().take(10).collect()
}

impl SpanQuery {
    fn read(self, app: &App, mistakes: &mut Mistakes) -> SearchSpan {
        let today = app.parts.clock.now().day();
        let mut day = |name: &str, text: Option<String>, usual: i32| {
            let Some(text) = text else { return usual };
            let read = Some(&text).filter(|text| text.len() == 10).and_then(|text| TimestampMs::parse(text));
            if read.is_none() {
                mistakes.add(name.to_owned(), "invalid_date", "write days as 2026-01-31");
            }
            read.map_or(usual, TimestampMs::day)
        };
        let until_day = day("until", self.until, today + 1);
        let from_day = day("from", self.from, until_day - USUAL_DAYS);
        if mistakes.0.is_empty() && !(1..=MAX_DAYS).contains(&until_day.saturating_sub(from_day)) {
            mistakes.add("until".into(), "out_of_range", format!("expected 1 to {MAX_DAYS} days after from"));
        }
        let market =
            self.market.and_then(|market| mistakes.taken("market".into(), "invalid_id", MarketId::new(market)));
        SearchSpan { from_day, until_day, market }
    }
}

/// Search analytics
///
/// How many searches there were, what was found, clicked and bought of them, which facets were chosen in and how long answers took. Clicks, carts and
/// orders count for the search that led to them: by the decision id that events carry, and orders also by the same shopper's click on the product
/// in the seven days before. Shoppers who refused analytics are left out. Figures follow within seconds.
#[utoipa::path(get, path = "/v1/search/analytics", tag = "search", params(SpanQuery),
    responses((status = 200, description = "In all and by day", body = OverviewAnswer)))]
pub(crate) async fn overview(State(app): State<Shared>, Query(query): Query<SpanQuery>) -> Result<Response, Problem> {
    let mut mistakes = Mistakes::default();
    let span = query.read(&app, &mut mistakes);
    if !mistakes.0.is_empty() {
        return Err(Problem::mistakes(mistakes.0));
    }
    blocking(move || Ok(Answered(OverviewAnswer::from(app.parts.search_figures.overview(&span)?)).into_response()))
        .await
}

/// Search analytics by query
///
/// The same of each query: what is searched for most, what finds nothing, what is never clicked.
#[utoipa::path(get, path = "/v1/search/analytics/queries", operation_id = "search_queries", tag = "search", params(QueriesQuery),
    responses((status = 200, description = "In the order asked for", body = QueryList)))]
pub(crate) async fn queries(State(app): State<Shared>, Query(query): Query<QueriesQuery>) -> Result<Response, Problem> {
    let mut mistakes = Mistakes::default();
    let limit = mistakes.within("limit".into(), query.limit.unwrap_or(USUAL_QUERIES), 1, MAX_QUERIES);
    let order = query.order.unwrap_or_default();
    let span = SpanQuery { from: query.from, until: query.until, market: query.market }.read(&app, &mut mistakes);
    if !mistakes.0.is_empty() {
        return Err(Problem::mistakes(mistakes.0));
    }
    blocking(move || {
        let found = app.parts.search_figures.queries(&span, order, limit)?.into_iter();
        let item = |QueryFigures { query, figures }| QueryAnswer { query, figures: figures.into() };
        Ok(Answered(QueryList { items: found.map(item).collect() }).into_response())
    })
    .await
}
