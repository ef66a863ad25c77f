//! What one batch adds to the sums.

use std::collections::BTreeMap;

use merx_domain::{Currency, MarketId};
use merx_store::{StoreError, Transaction, Value};

use super::text;

/// Rare queries of a day beyond these are counted together, under no text.
const MOST_QUERIES_A_DAY: i64 = 20_000;

/// Where a search is counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) day: i32,
    pub(super) market: MarketId,
    /// In one spelling.
    pub(super) query: String,
}

/// Differences: a search that turns out to be the beginning of another is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) searches: i64,
    pub(super) without_results: i64,
    pub(super) clicked: i64,
    pub(super) clicks: i64,
    pub(super) positions: i64,
    pub(super) carts: i64,
    pub(super) ordered: i64,
    /// Searches that only an event tells of: from before Merx answered them.
    pub(super) tracked: i64,
}

#[derive(Debug, Default)]
pub(super) struct Sums {
    pub(super) counts: BTreeMap<Key, Counts>,
    pub(super) revenue: BTreeMap<(Key, Currency), i64>,
    /// By day, market, category page and field.
    pub(super) refinements: BTreeMap<(i32, MarketId, String, String), i64>,
    /// By day and the lower end of a step of an eighth.
    pub(super) latencies: BTreeMap<(i32, u32), i64>,
}

impl Sums {
    pub(super) fn of(&mut self, key: &Key) -> &mut Counts {
        if !self.counts.contains_key(key) {
            self.counts.insert(key.clone(), Counts::default());
        }
        self.counts.entry(key.clone()).or_default()
    }

    pub(super) fn add_latency(&mut self, day: i32, latency_us: u32) {
        *self.latencies.entry((day, step(latency_us))).or_default() += 1;
    }

    pub(super) fn write(&self, transaction: &mut dyn Transaction) -> Result<(), StoreError> {
        let mut rooms: BTreeMap<(i32, MarketId), i64> = BTreeMap::new();
        for (key, counts) in self.counts.iter().filter(|(_, counts)| **counts != Counts::default()) {
            write_counts(transaction, &mut rooms, key, counts)?;
        }
        for ((key, currency), minor) in &self.revenue {
            transaction.execute(
                "INSERT INTO search_revenue (day, market, query, currency, minor) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (day, market, query, currency) DO UPDATE SET minor = search_revenue.minor + $5",
                &[
                    Value::Integer(key.day.into()),
                    text(key.market.as_str()),
                    text(&key.query),
                    text(&currency.to_string()),
                    Value::Integer(*minor),
                ],
            )?;
        }
        for ((day, market, category, field), chosen) in &self.refinements {
            transaction.execute(
                "INSERT INTO search_refinements (day, market, category, field, chosen) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (day, market, category, field) DO UPDATE SET chosen = search_refinements.chosen + $5",
                &[
                    Value::Integer((*day).into()),
                    text(market.as_str()),
                    text(category),
                    text(field),
                    Value::Integer(*chosen),
                ],
            )?;
        }
        for ((day, latency_us), searches) in &self.latencies {
            transaction.execute(
                "INSERT INTO search_latencies (day, latency_us, searches) VALUES ($1, $2, $3)
                 ON CONFLICT (day, latency_us) DO UPDATE SET searches = search_latencies.searches + $3",
                &[Value::Integer((*day).into()), Value::Integer((*latency_us).into()), Value::Integer(*searches)],
            )?;
        }
        Ok(())
    }
}

fn write_counts(
    transaction: &mut dyn Transaction,
    rooms: &mut BTreeMap<(i32, MarketId), i64>,
    key: &Key,
    counts: &Counts,
) -> Result<(), StoreError> {
    let place = |query: &str| [Value::Integer(key.day.into()), text(key.market.as_str()), text(query)];
    let known = "SELECT 1 FROM search_days WHERE day = $1 AND market = $2 AND query = $3";
    let mut query = key.query.as_str();
    if transaction.query(known, &place(query))?.is_empty() {
        let room = match rooms.entry((key.day, key.market.clone())) {
            std::collections::btree_map::Entry::Occupied(room) => room.into_mut(),
            std::collections::btree_map::Entry::Vacant(unknown) => {
                let count = "SELECT COUNT(*) FROM search_days WHERE day = $1 AND market = $2";
                let rows = transaction.query(count, &place(query)[..2])?;
                unknown.insert(MOST_QUERIES_A_DAY - rows.first().map_or(0, |row| super::integer(row, 0)))
            }
        };
        if *room > 0 {
            *room -= 1;
        } else {
            query = "";
        }
    }
    let numbers = [
        counts.searches,
        counts.without_results,
        counts.clicked,
        counts.clicks,
        counts.positions,
        counts.carts,
        counts.ordered,
        counts.tracked,
    ];
    transaction.execute(
        "INSERT INTO search_days
           (day, market, query, searches, without_results, clicked, clicks, positions, carts, ordered, tracked)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (day, market, query) DO UPDATE SET
           searches = search_days.searches + $4, without_results = search_days.without_results + $5,
           clicked = search_days.clicked + $6, clicks = search_days.clicks + $7,
           positions = search_days.positions + $8, carts = search_days.carts + $9,
           ordered = search_days.ordered + $10, tracked = search_days.tracked + $11",
        &place(query).into_iter().chain(numbers.map(Value::Integer)).collect::<Vec<Value>>(),
    )?;
    Ok(())
}

/// Steps of an eighth of a doubling's width: 8, 9, .. 15, 16, 18, ..
fn step(latency_us: u32) -> u32 {
    let shift = (32 - latency_us.leading_zeros()).saturating_sub(4);
    latency_us >> shift << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_kept_within_an_eighth() {
        assert_eq!([0, 7, 15, 16, 17, 999].map(step), [0, 7, 15, 16, 16, 960]);
        assert!((1..2_000_000).step_by(997).all(|us| step(us) <= us && us - step(us) <= us / 8));
        assert_eq!(step(u32::MAX), 0xf000_0000);
    }
}
