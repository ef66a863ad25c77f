//! What becomes of searches: counted by day and query, from the records of decisions and the log of events.
//!
//! `follow.rs` reads both as they grow and writes sums, each batch in one transaction with how far it came, so that nothing counts twice
//! and memory holds one batch. `touches.rs` leads clicks, carts and orders back to their search. `reports.rs` reads the sums.
//! `impressions.rs` reads the same sources for what ranking learns from. Shoppers who refuse analytics are left out everywhere.

mod follow;
mod impressions;
mod reports;
mod sums;
mod touches;

pub(crate) use follow::{SearchLog, follow};
pub(crate) use impressions::{Window, impressions};
pub(crate) use reports::{Reports, facet_choices, logged_queries};

use merx_store::{Migration, OnErasure, Row, SubjectColumn, Value};

pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    name: "2026-11-21-merx-001-search-log",
    sql: "CREATE TABLE search_days (
            day BIGINT NOT NULL,
            market TEXT NOT NULL,
            query TEXT NOT NULL,
            searches BIGINT NOT NULL,
            without_results BIGINT NOT NULL,
            clicked BIGINT NOT NULL,
            clicks BIGINT NOT NULL,
            positions BIGINT NOT NULL,
            carts BIGINT NOT NULL,
            ordered BIGINT NOT NULL,
            tracked BIGINT NOT NULL,
            PRIMARY KEY (day, market, query)
          );
          CREATE TABLE search_revenue (
            day BIGINT NOT NULL,
            market TEXT NOT NULL,
            query TEXT NOT NULL,
            currency TEXT NOT NULL,
            minor BIGINT NOT NULL,
            PRIMARY KEY (day, market, query, currency)
          );
          CREATE TABLE search_refinements (
            day BIGINT NOT NULL,
            market TEXT NOT NULL,
            category TEXT NOT NULL,
            field TEXT NOT NULL,
            chosen BIGINT NOT NULL,
            PRIMARY KEY (day, market, category, field)
          );
          CREATE TABLE search_latencies (
            day BIGINT NOT NULL,
            latency_us BIGINT NOT NULL,
            searches BIGINT NOT NULL,
            PRIMARY KEY (day, latency_us)
          );
          CREATE TABLE search_touches (
            decision BYTEA NOT NULL,
            product TEXT NOT NULL,
            subject BYTEA NOT NULL,
            day BIGINT NOT NULL,
            market TEXT NOT NULL,
            query TEXT NOT NULL,
            at_ms BIGINT NOT NULL,
            carted BIGINT NOT NULL,
            ordered BIGINT NOT NULL,
            PRIMARY KEY (decision, product)
          );
          CREATE INDEX search_touches_by_subject ON search_touches (subject, product);
          CREATE INDEX search_touches_by_time ON search_touches (at_ms);
          CREATE TABLE search_readers (
            name TEXT PRIMARY KEY,
            place BYTEA NOT NULL
          )",
}];

/// Where pseudonyms stand in these tables. Sums have none.
pub(crate) const SUBJECT_COLUMNS: &[SubjectColumn] =
    &[SubjectColumn { table: "search_touches", column: "subject", on_erasure: OnErasure::Delete }];

/// A query as sums know it: lower case, single spaces, not too long.
fn spelling(query: &str) -> String {
    const MOST_CHARS: usize = 100;
    let folded = merx_discovery::search::text::fold(query);
    folded.split_whitespace().collect::<Vec<&str>>().join(" ").chars().take(MOST_CHARS).collect()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn integer(row: &Row, place: usize) -> i64 {
    match row.0.get(place) {
        Some(Value::Integer(number)) => *number,
        _ => 0,
    }
}

pub(crate) fn count(row: &Row, place: usize) -> u64 {
    integer(row, place).max(0) as u64
}

fn string(row: &Row, place: usize) -> &str {
    match row.0.get(place) {
        Some(Value::Text(text)) => text,
        _ => "",
    }
}
