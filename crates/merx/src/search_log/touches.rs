//! Which search a click, a cart or an order came from.
//!
//! A click that names its decision is remembered with the shopper and the product. What happens later counts for that search: by the
//! decision that it names, or else by the newest click of the same shopper on the product.

use merx_decide::DecisionRecord;
use merx_domain::search::{SearchAnswer, SearchAsk};
use merx_domain::{
    DAY_MS, DecisionId, Event, EventKind, EventLine, EventMeaning, ProductId, ProductNumber, TimestampMs,
};
use merx_store::{Row, StoreError, Transaction, Value};
use rustc_hash::FxHashMap;

use super::sums::{Key, Sums};
use super::{integer, spelling, string, text};

/// So long after a click an order still counts for its search.
const ATTRIBUTED_MS: i64 = 7 * DAY_MS;
/// When a click is forgotten: orders may arrive late.
pub(super) const KEPT_MS: i64 = 30 * DAY_MS;

/// A shopper's interest in a product that came from a search.
struct Touch {
    decision: Vec<u8>,
    key: Key,
    carted: bool,
    ordered: bool,
}

pub(super) struct Touches<'a> {
    pub(super) transaction: &'a mut dyn Transaction,
    pub(super) sums: &'a mut Sums,
    /// The searches that the events name.
    pub(super) decisions: &'a FxHashMap<DecisionId, DecisionRecord>,
    pub(super) number: &'a dyn Fn(&ProductId) -> Option<ProductNumber>,
}

impl Touches<'_> {
    pub(super) fn add(&mut self, event: &Event) -> Result<(), StoreError> {
        if let Some(from) = event.merged_from {
            // What a visitor clicked before they signed in is what the customer orders.
            let subjects = [event.subject, from].map(|subject| Value::Bytes(subject.to_bytes().to_vec()));
            self.transaction.execute("UPDATE search_touches SET subject = $1 WHERE subject = $2", &subjects)?;
        }
        match event.kind.meaning() {
            EventMeaning::Viewed => event.lines.iter().try_for_each(|line| self.click(event, line)),
            EventMeaning::Carted => event.lines.iter().try_for_each(|line| self.cart(event, line)),
            EventMeaning::Purchased => event.lines.iter().try_for_each(|line| self.order(event, line)),
            _ => Ok(()),
        }
    }

    /// Counts once for each product of a search.
    fn click(&mut self, event: &Event, line: &EventLine) -> Result<(), StoreError> {
        let Some(decision) = event.decision else { return Ok(()) };
        if self.touch(decision, &line.product)?.is_none() {
            let position = if event.kind == EventKind::ProductClicked { line.position } else { None };
            self.begin(decision, event, &line.product, position)?;
        }
        Ok(())
    }

    fn cart(&mut self, event: &Event, line: &EventLine) -> Result<(), StoreError> {
        let Some(touch) = self.of_line(event, line)? else { return Ok(()) };
        if !touch.carted {
            self.sums.of(&touch.key).carts += 1;
            self.mark("carted", &touch.decision, &line.product)?;
        }
        Ok(())
    }

    fn order(&mut self, event: &Event, line: &EventLine) -> Result<(), StoreError> {
        let Some(touch) = self.of_line(event, line)? else { return Ok(()) };
        if touch.ordered {
            return Ok(());
        }
        let earlier = "SELECT 1 FROM search_touches WHERE decision = $1 AND ordered = 1 LIMIT 1";
        if self.transaction.query(earlier, &[Value::Bytes(touch.decision.clone())])?.is_empty() {
            self.sums.of(&touch.key).ordered += 1;
        }
        if let Some(price) = line.unit_price {
            let minor = price.minor.saturating_mul(i64::from(line.quantity.max(0)));
            *self.sums.revenue.entry((touch.key, price.currency)).or_default() += minor;
        }
        self.mark("ordered", &touch.decision, &line.product)
    }

    /// The search that a line of a cart or an order came from.
    fn of_line(&mut self, event: &Event, line: &EventLine) -> Result<Option<Touch>, StoreError> {
        if let Some(decision) = event.decision {
            let touch = match self.touch(decision, &line.product)? {
                Some(touch) => Some(touch),
                // Straight from the list of hits.
                None => self.begin(decision, event, &line.product, None)?,
            };
            // An order names one decision; its other lines may have come from elsewhere.
            if touch.is_some() {
                return Ok(touch);
            }
        }
        let sql = "SELECT decision, day, market, query, carted, ordered FROM search_touches
                   WHERE subject = $1 AND product = $2 AND at_ms <= $3 AND at_ms >= $4 ORDER BY at_ms DESC LIMIT 1";
        let TimestampMs(at) = event.occurred_at;
        let rows = self.transaction.query(
            sql,
            &[
                Value::Bytes(event.subject.to_bytes().to_vec()),
                text(line.product.as_str()),
                Value::Integer(at),
                Value::Integer(at - ATTRIBUTED_MS),
            ],
        )?;
        Ok(rows.first().and_then(read))
    }

    fn touch(&mut self, decision: DecisionId, product: &ProductId) -> Result<Option<Touch>, StoreError> {
        let sql = "SELECT decision, day, market, query, carted, ordered FROM search_touches
                   WHERE decision = $1 AND product = $2";
        let key = [Value::Bytes(decision.to_bytes().to_vec()), text(product.as_str())];
        Ok(self.transaction.query(sql, &key)?.first().and_then(read))
    }

    /// Counts a click, where the search of that decision has shown the product.
    fn begin(
        &mut self,
        decision: DecisionId,
        event: &Event,
        product: &ProductId,
        position: Option<u32>,
    ) -> Result<Option<Touch>, StoreError> {
        let Some(record) = self.decisions.get(&decision) else { return Ok(None) };
        let (Ok(ask), Ok(answer)) = (record.ask::<SearchAsk>(), record.answer::<SearchAnswer>()) else {
            return Ok(None);
        };
        let number = (self.number)(product);
        let Some(place) = answer.hits.iter().position(|hit| Some(hit.product) == number) else { return Ok(None) };
        let position = position.map_or((ask.offset + place + 1) as i64, i64::from);
        let (day, market) = (record.situation.now.day(), record.situation.market.clone());
        let key = Key { day, market, query: spelling(&ask.query) };
        // A category page is no search.
        if key.query.is_empty() {
            return Ok(None);
        }
        let bytes = Value::Bytes(decision.to_bytes().to_vec());
        let first = "SELECT 1 FROM search_touches WHERE decision = $1 LIMIT 1";
        let is_first = self.transaction.query(first, std::slice::from_ref(&bytes))?.is_empty();
        let counts = self.sums.of(&key);
        counts.clicks += 1;
        counts.positions += position;
        // A later page belongs to its search, which counted; popular products in place of hits are no success.
        counts.clicked += i64::from(is_first && ask.offset == 0 && answer.total > 0);
        self.transaction.execute(
            "INSERT INTO search_touches (decision, product, subject, day, market, query, at_ms, carted, ordered)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0)",
            &[
                bytes,
                text(product.as_str()),
                Value::Bytes(event.subject.to_bytes().to_vec()),
                Value::Integer(key.day.into()),
                text(key.market.as_str()),
                text(&key.query),
                Value::Integer(event.occurred_at.0),
            ],
        )?;
        let decision = decision.to_bytes().to_vec();
        Ok(Some(Touch { decision, key, carted: false, ordered: false }))
    }

    fn mark(&mut self, what: &str, decision: &[u8], product: &ProductId) -> Result<(), StoreError> {
        let sql = format!("UPDATE search_touches SET {what} = 1 WHERE decision = $1 AND product = $2");
        self.transaction.execute(&sql, &[Value::Bytes(decision.to_vec()), text(product.as_str())])?;
        Ok(())
    }
}

fn read(row: &Row) -> Option<Touch> {
    let Some(Value::Bytes(decision)) = row.0.first() else { return None };
    let market = string(row, 2).parse().ok()?;
    let key = Key { day: integer(row, 1) as i32, market, query: string(row, 3).to_owned() };
    Some(Touch { decision: decision.clone(), key, carted: integer(row, 4) == 1, ordered: integer(row, 5) == 1 })
}
