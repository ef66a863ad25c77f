//! Merchants' rules for recommendations, on record and at hand: what each says, where it applies, and what it does to a slot.

use std::sync::Arc;

use arc_swap::ArcSwap;
use merx_decide::{Act, AuditLog, Boost, CatalogueReader, Governed};
use merx_domain::{MarketId, Overruled, Pin, ProductId, ProductNumber, Scenario, TimestampMs};
use merx_store::{Migration, Records, Row, StoreError, Value};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-22-serve-005-slot-rules",
    sql: "CREATE TABLE slot_rules (id TEXT PRIMARY KEY, body TEXT NOT NULL)",
};

/// Every slot that is asked for looks at every rule.
const MOST_RULES: usize = 500;
/// Boosts that rules give one slot: each is tried on every product that is considered. Those of the highest priority come first.
const MOST_BOOSTS: usize = 50;

/// What a merchant wants of certain slots. It applies within its schedule where its slots, markets and campaigns are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SlotRule {
    pub id: String,
    /// What it is for, in the merchant's words.
    pub name: String,
    pub enabled: bool,
    /// Where only one rule can have its way, the one of the higher priority does; of equals the one whose id sorts first.
    pub priority: i32,
    /// Names of slots, or scenarios; empty: all.
    pub slots: Vec<String>,
    pub markets: Vec<MarketId>,
    pub campaigns: Vec<String>,
    pub from: Option<TimestampMs>,
    pub until: Option<TimestampMs>,
    pub consequences: Vec<SlotConsequence>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotConsequence {
    /// At this place, counted from 0.
    Pin {
        product: ProductId,
        place: usize,
    },
    Hide {
        product: ProductId,
    },
    Boost(Boost),
}

/// The slot that is asked for, and where.
pub(crate) struct Strip<'a> {
    /// As the request names it.
    pub(crate) name: &'a str,
    /// The configured slot, or the scenario, that was asked for.
    pub(crate) asked: &'a str,
    pub(crate) scenario: Scenario,
    pub(crate) market: &'a MarketId,
    pub(crate) campaign: Option<&'a str>,
}

impl SlotRule {
    pub(crate) fn applies(&self, strip: &Strip<'_>, now: TimestampMs) -> bool {
        let names = [strip.name, strip.asked, strip.scenario.name()];
        self.enabled
            && self.from.is_none_or(|from| from <= now)
            && self.until.is_none_or(|until| now < until)
            && (self.slots.is_empty() || self.slots.iter().any(|slot| names.contains(&slot.as_str())))
            && (self.markets.is_empty() || self.markets.contains(strip.market))
            && (self.campaigns.is_empty()
                || strip.campaign.is_some_and(|campaign| self.campaigns.iter().any(|known| known == campaign)))
    }
}

/// Puts what rules say of a slot into what is asked of the engine and of the shelf. `rules` come in the order in which they have their way.
pub(crate) fn overrule(
    rules: &[SlotRule],
    strip: &Strip<'_>,
    now: TimestampMs,
    catalogue: &CatalogueReader<'_>,
    boosts: &mut Vec<Boost>,
) -> Overruled {
    let mut overruled = Overruled::default();
    let mut room = MOST_BOOSTS;
    for rule in rules.iter().filter(|rule| rule.applies(strip, now)) {
        overruled.rules.push(rule.id.clone());
        for consequence in &rule.consequences {
            match consequence {
                SlotConsequence::Pin { product, place } => {
                    let number = catalogue.number(product);
                    let taken = |number: ProductNumber| {
                        overruled.pins.iter().any(|pin| pin.product == number || pin.place == *place)
                    };
                    if let Some(product) = number.filter(|number| !taken(*number)) {
                        overruled.pins.push(Pin { product, place: *place });
                    }
                }
                SlotConsequence::Hide { product } => overruled.hidden.extend(catalogue.number(product)),
                SlotConsequence::Boost(boost) if room > 0 => {
                    boosts.push(boost.clone());
                    room -= 1;
                }
                SlotConsequence::Boost(_) => {}
            }
        }
    }
    overruled
}

/// The order in which rules have their way.
pub(crate) fn in_order(mut rules: Vec<SlotRule>) -> Vec<SlotRule> {
    rules.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.id.cmp(&b.id)));
    rules
}

#[derive(Debug, thiserror::Error)]
pub enum SlotRuleError {
    #[error("there are {MOST_RULES} rules already")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The rules on record. All of them are in memory too: decisions wait for no disk.
pub struct SlotRuleBook {
    records: Arc<dyn Records>,
    rules: ArcSwap<Vec<SlotRule>>,
    /// Changes come one at a time.
    changing: Mutex<()>,
}

impl SlotRuleBook {
    pub fn open(records: Arc<dyn Records>) -> Result<Self, StoreError> {
        let book = Self { records, rules: ArcSwap::default(), changing: Mutex::default() };
        book.read_again()?;
        Ok(book)
    }

    /// Reads them again: another process may have changed them.
    pub fn reload(&self) -> Result<(), StoreError> {
        let _changing = self.changing.lock();
        self.read_again()
    }

    fn read_again(&self) -> Result<(), StoreError> {
        let rows = self.records.query("SELECT body FROM slot_rules", &[])?;
        let rules = rows.iter().map(read).collect::<Result<Vec<SlotRule>, StoreError>>()?;
        self.rules.store(Arc::new(in_order(rules)));
        Ok(())
    }

    /// In the order in which they have their way.
    pub fn rules(&self) -> Arc<Vec<SlotRule>> {
        self.rules.load_full()
    }

    pub fn rule(&self, id: &str) -> Option<SlotRule> {
        self.rules.load().iter().find(|rule| rule.id == id).cloned()
    }

    /// With its entry in the audit log, which holds what stood there before and what does since. Setting a rule as it is changes nothing.
    pub fn put(&self, rule: &SlotRule, detail: serde_json::Value, act: Act<'_>) -> Result<(), SlotRuleError> {
        let _changing = self.changing.lock();
        let known = self.rules.load();
        let before = known.iter().find(|known| known.id == rule.id);
        if before == Some(rule) {
            return Ok(());
        }
        if before.is_none() && known.len() >= MOST_RULES {
            return Err(SlotRuleError::TooMany);
        }
        let body = serde_json::to_string(rule).map_err(|error| damaged(&error))?;
        let change = Governed { action: "slot_rule.set", target: &rule.id, detail };
        AuditLog::govern(self.records.as_ref(), act, &change, &mut |transaction| {
            transaction.execute(
                "INSERT INTO slot_rules (id, body) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
                &[Value::Text(rule.id.clone()), Value::Text(body.clone())],
            )?;
            Ok(true)
        })?;
        Ok(self.read_again()?)
    }

    /// Whether it was there.
    pub fn remove(&self, id: &str, detail: serde_json::Value, act: Act<'_>) -> Result<bool, StoreError> {
        let _changing = self.changing.lock();
        let change = Governed { action: "slot_rule.removed", target: id, detail };
        let removed = AuditLog::govern(self.records.as_ref(), act, &change, &mut |transaction| {
            let removed = transaction.execute("DELETE FROM slot_rules WHERE id = $1", &[Value::Text(id.to_owned())])?;
            Ok(removed > 0)
        })?;
        self.read_again()?;
        Ok(removed)
    }
}

fn read(row: &Row) -> Result<SlotRule, StoreError> {
    match row.0.first() {
        Some(Value::Text(body)) => serde_json::from_str(body).map_err(|error| damaged(&error)),
        _ => Err(StoreError::Damaged { what: "slot rules", detail: "a row has another form than written".to_owned() }),
    }
}

fn damaged(error: &serde_json::Error) -> StoreError {
    StoreError::Damaged { what: "slot rules", detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applies(rule: &SlotRule, name: &str, market: &str, campaign: Option<&str>, now: i64) -> bool {
        let market = MarketId::new(market).unwrap();
        let strip = Strip { name, asked: "home", scenario: Scenario::ForYou, market: &market, campaign };
        rule.applies(&strip, TimestampMs(now))
    }

    #[test]
    fn a_rule_applies_where_and_when_it_says() {
        let everywhere = SlotRule { enabled: true, ..SlotRule::default() };
        assert!(applies(&everywhere, "x", "de", None, 0));
        assert!(!applies(&SlotRule { enabled: false, ..everywhere.clone() }, "x", "de", None, 0));
        for name in ["for_you", "home", "hero"] {
            let rule = SlotRule { slots: vec![name.to_owned()], ..everywhere.clone() };
            assert!(applies(&rule, "hero", "de", None, 0), "{name}: by what it is, by what was asked, by its own name");
        }
        assert!(!applies(&SlotRule { slots: vec!["similar".to_owned()], ..everywhere.clone() }, "x", "de", None, 0));
        let german = SlotRule { markets: vec![MarketId::new("de").unwrap()], ..everywhere.clone() };
        assert_eq!(["de", "at"].map(|market| applies(&german, "x", market, None, 0)), [true, false]);
        let sale = SlotRule { campaigns: vec!["sale".to_owned()], ..everywhere.clone() };
        assert_eq!(
            [Some("sale"), Some("x"), None].map(|name| applies(&sale, "x", "de", name, 0)),
            [true, false, false]
        );
        let today = SlotRule { from: Some(TimestampMs(10)), until: Some(TimestampMs(20)), ..everywhere };
        assert_eq!([9, 10, 19, 20].map(|now| applies(&today, "x", "de", None, now)), [false, true, true, false]);
    }

    #[test]
    fn the_higher_priority_comes_first() {
        let rule = |id: &str, priority| SlotRule { id: id.to_owned(), priority, ..SlotRule::default() };
        let ordered = in_order(vec![rule("b", 0), rule("c", 5), rule("a", 0)]);
        assert_eq!(ordered.iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>(), ["c", "a", "b"]);
    }
}
