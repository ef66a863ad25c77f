//! Reads the sums.

use std::collections::BTreeMap;
use std::sync::Arc;

use merx_discovery::search::engine::LoggedQuery;
use merx_domain::{Currency, Money};
use merx_serve::{QueryFigures, QueryOrder, SearchFigures, SearchOverview, SearchReports, SearchSpan};
use merx_store::{Records, Row, StoreError, Value};

use super::{count, integer, string, text};

/// Suggestions come from these days, the last ones making a trend.
const SUGGESTED_DAYS: i32 = 90;
const TREND_DAYS: i32 = 3;
const TREND_BESIDE_DAYS: i32 = 28;
const TREND_FACTOR: f64 = 2.0;
/// A trend of fewer searches is chance.
const TREND_SEARCHES: u64 = 5;
const MOST_LOGGED: i64 = 100_000;
const MOST_REFINEMENTS: i64 = 1_000;
const MOST_CHOICES: i64 = 20_000;

pub(crate) struct Reports(pub(crate) Arc<dyn Records>);

const SUMS: &str = "COALESCE(SUM(searches), 0), COALESCE(SUM(without_results), 0), COALESCE(SUM(clicked), 0),
    COALESCE(SUM(clicks), 0), COALESCE(SUM(positions), 0), COALESCE(SUM(carts), 0), COALESCE(SUM(ordered), 0)";
/// `$3` is null for all markets.
const WITHIN: &str = "day >= $1 AND day < $2 AND (market = $3 OR $3 IS NULL)";

fn span_values(span: &SearchSpan) -> Vec<Value> {
    let market = span.market.as_ref().map_or(Value::Null, |market| text(market.as_str()));
    vec![Value::Integer(span.from_day.into()), Value::Integer(span.until_day.into()), market]
}

/// The sums of a row, from a column on.
fn figures(row: &Row, from: usize) -> SearchFigures {
    let clicked = count(row, from + 2);
    SearchFigures {
        // A search whose continuation was counted in its stead may have been clicked after all.
        searches: count(row, from).max(clicked),
        without_results: count(row, from + 1),
        clicked,
        clicks: count(row, from + 3),
        positions: count(row, from + 4),
        carts: count(row, from + 5),
        ordered: count(row, from + 6),
        revenue: Vec::new(),
    }
}

fn money(currency: &str, minor: i64) -> Option<Money> {
    currency.parse::<Currency>().ok().map(|currency| Money::new(minor, currency))
}

impl Reports {
    fn revenue<K: Ord>(
        &self,
        column: &str,
        span: &SearchSpan,
        key: impl Fn(&Row) -> K,
    ) -> Result<BTreeMap<K, Vec<Money>>, StoreError> {
        let sql = format!(
            "SELECT {column}, currency, SUM(minor) FROM search_revenue WHERE {WITHIN} GROUP BY {column}, currency
             ORDER BY {column}, currency"
        );
        let mut by: BTreeMap<K, Vec<Money>> = BTreeMap::new();
        for row in self.0.query(&sql, &span_values(span))? {
            by.entry(key(&row)).or_default().extend(money(string(&row, 1), integer(&row, 2)));
        }
        Ok(by)
    }
}

impl SearchReports for Reports {
    fn overview(&self, span: &SearchSpan) -> Result<SearchOverview, StoreError> {
        let values = span_values(span);
        let by_day = format!("SELECT day, {SUMS} FROM search_days WHERE {WITHIN} GROUP BY day ORDER BY day");
        let mut revenue = self.revenue("day", span, |row| integer(row, 0))?;
        let mut days = Vec::new();
        let mut total = SearchFigures::default();
        for row in self.0.query(&by_day, &values)? {
            let mut figures = figures(&row, 1);
            figures.revenue = revenue.remove(&integer(&row, 0)).unwrap_or_default();
            // A day of nothing but what events told of.
            if figures != SearchFigures::default() {
                add(&mut total, &figures);
                days.push((integer(&row, 0) as i32, figures));
            }
        }
        let refinements = format!(
            "SELECT field, SUM(chosen) FROM search_refinements WHERE {WITHIN} GROUP BY field
             ORDER BY SUM(chosen) DESC, field LIMIT {MOST_REFINEMENTS}"
        );
        let refinements = self.0.query(&refinements, &values)?;
        let latencies = "SELECT latency_us, SUM(searches) FROM search_latencies WHERE day >= $1 AND day < $2
                         GROUP BY latency_us ORDER BY latency_us";
        let latencies = self.0.query(latencies, &values[..2])?;
        Ok(SearchOverview {
            total,
            days,
            refinements: refinements.iter().map(|row| (string(row, 0).to_owned(), count(row, 1))).collect(),
            latency_us: latencies.iter().map(|row| (integer(row, 0) as u32, count(row, 1))).collect(),
        })
    }

    fn queries(&self, span: &SearchSpan, order: QueryOrder, most: usize) -> Result<Vec<QueryFigures>, StoreError> {
        let by = match order {
            QueryOrder::Searches => "SUM(searches)",
            QueryOrder::WithoutResults => "SUM(without_results)",
            QueryOrder::WithoutClicks => "SUM(searches) - SUM(without_results) - SUM(clicked)",
            QueryOrder::Clicks => "SUM(clicks)",
            QueryOrder::Orders => "SUM(ordered)",
        };
        let sql = format!(
            "SELECT query, {SUMS} FROM search_days WHERE {WITHIN} GROUP BY query HAVING {by} > 0
             ORDER BY {by} DESC, query LIMIT $4"
        );
        let mut values = span_values(span);
        values.push(Value::Integer(most as i64));
        let rows = self.0.query(&sql, &values)?;
        let mut revenue = self.revenue("query", span, |row| string(row, 0).to_owned())?;
        let found = |row: &Row| {
            let query = string(row, 0).to_owned();
            let revenue = revenue.remove(&query).unwrap_or_default();
            QueryFigures { query, figures: SearchFigures { revenue, ..figures(row, 1) } }
        };
        Ok(rows.iter().map(found).collect())
    }
}

fn add(total: &mut SearchFigures, day: &SearchFigures) {
    total.searches += day.searches;
    total.without_results += day.without_results;
    total.clicked += day.clicked;
    total.clicks += day.clicks;
    total.positions += day.positions;
    total.carts += day.carts;
    total.ordered += day.ordered;
    for money in &day.revenue {
        match total.revenue.iter_mut().find(|known| known.currency == money.currency) {
            Some(known) => known.minor += money.minor,
            None => total.revenue.push(*money),
        }
    }
}

/// Queries of the last months that found something, and which of them are on the rise.
pub(crate) fn logged_queries(records: &dyn Records, today: i32) -> Result<Vec<LoggedQuery>, StoreError> {
    // A search that events tell of may have found nothing: it counts as one that did, and is tried before it is suggested.
    let sql = "SELECT query, SUM(searches - without_results + tracked),
                 SUM(CASE WHEN day >= $2 THEN searches - without_results + tracked ELSE 0 END),
                 SUM(CASE WHEN day >= $3 AND day < $2 THEN searches - without_results + tracked ELSE 0 END)
               FROM search_days WHERE day >= $1 AND query <> '' GROUP BY query
               HAVING SUM(searches - without_results + tracked) > 0 ORDER BY 2 DESC, query LIMIT $4";
    let recent = today + 1 - TREND_DAYS;
    let values = [today - SUGGESTED_DAYS, recent, recent - TREND_BESIDE_DAYS].map(|day| Value::Integer(day.into()));
    let values: Vec<Value> = values.into_iter().chain([Value::Integer(MOST_LOGGED)]).collect();
    let logged = |row: &Row| LoggedQuery {
        text: string(row, 0).to_owned(),
        searches: u32::try_from(count(row, 1)).unwrap_or(u32::MAX),
        trending: trends(count(row, 2), count(row, 3)),
    };
    Ok(records.query(sql, &values)?.iter().map(logged).collect())
}

/// Whether so many searches in the last days are far more than so many in the weeks before let expect.
fn trends(recent: u64, before: u64) -> bool {
    let expected = (before as f64 + 1.0) * f64::from(TREND_DAYS) / f64::from(TREND_BESIDE_DAYS);
    recent >= TREND_SEARCHES && recent as f64 >= TREND_FACTOR * expected
}

/// How often shoppers chose in a facet, by the category page that they were on.
pub(crate) fn facet_choices(
    records: &dyn Records,
    today: i32,
) -> Result<Vec<(Option<String>, String, u32)>, StoreError> {
    let sql = "SELECT category, field, SUM(chosen) FROM search_refinements WHERE day >= $1 GROUP BY category, field
               ORDER BY SUM(chosen) DESC, category, field LIMIT $2";
    let values = [Value::Integer((today - SUGGESTED_DAYS).into()), Value::Integer(MOST_CHOICES)];
    let choice = |row: &Row| {
        let category = Some(string(row, 0)).filter(|category| !category.is_empty()).map(str::to_owned);
        (category, string(row, 1).to_owned(), u32::try_from(count(row, 2)).unwrap_or(u32::MAX))
    };
    Ok(records.query(sql, &values)?.iter().map(choice).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trend_is_more_than_before_and_more_than_chance() {
        assert!(trends(5, 0) && trends(30, 100));
        assert!(!trends(4, 0), "chance");
        assert!(!trends(12, 100), "as ever");
    }
}
