//! What automations did in all processes of a shop, for the guardrails of the one that leads.
//!
//! Each process that follows writes down what it has counted since it began; the one that leads adds what came since it last looked. No clock
//! is asked: a decision counts in the minute in which the one that leads learns of it.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use anyhow::Result;
use merx_decide::Tally;
use merx_store::{Migration, Row, Value};

use crate::shop::Shop;
use crate::training::stopwatch;

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-22-merx-003-tallies",
    sql: "CREATE TABLE decision_tallies (process TEXT PRIMARY KEY, body TEXT NOT NULL)",
};

/// Between two writings, or two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// A process that has told nothing new for so long is taken off the list; it writes itself down again when it has.
const GONE: Duration = Duration::from_secs(600);

type Told = BTreeMap<String, Tally>;

/// What this process has told, or what it knows of the others.
#[derive(Default)]
pub(crate) struct Tallies {
    last: Option<Instant>,
    told: Option<Told>,
    /// Of each other process, and when it changed; `None` where this process has not led before: what stands there already was counted by
    /// who led.
    others: Option<HashMap<String, (Told, Instant)>>,
}

impl Tallies {
    /// Tells, or counts, whichever is this process's part now.
    pub(crate) fn go(&mut self, shop: &Shop) -> Result<()> {
        let Some(lead) = &shop.lead else { return Ok(()) };
        if self.last.is_some_and(|last| last.elapsed() < PAUSE) {
            return Ok(());
        }
        self.last = Some(stopwatch());
        if lead.leads() {
            return self.count(shop, lead.holder());
        }
        self.others = None;
        self.tell(shop, lead.holder())
    }

    fn tell(&mut self, shop: &Shop, own_name: &str) -> Result<()> {
        let tallies = shop.automations.tallies();
        if self.told.as_ref() == Some(&tallies) {
            return Ok(());
        }
        let row = [text(own_name), text(&serde_json::to_string(&tallies)?)];
        shop.recording.transaction(&mut |transaction| {
            let sql = "INSERT INTO decision_tallies (process, body) VALUES ($1, $2)
                       ON CONFLICT (process) DO UPDATE SET body = excluded.body";
            transaction.execute(sql, &row).map(drop)
        })?;
        self.told = Some(tallies);
        Ok(())
    }

    fn count(&mut self, shop: &Shop, own_name: &str) -> Result<()> {
        // Who follows again tells all anew.
        self.told = None;
        let rows = shop.store.records.query("SELECT process, body FROM decision_tallies", &[])?;
        let told: HashMap<String, Told> = rows.iter().filter_map(read).filter(|(name, _)| name != own_name).collect();
        let now = shop.clock.now();
        let Some(others) = &mut self.others else {
            self.others = Some(told.into_iter().map(|(name, told)| (name, (told, stopwatch()))).collect());
            return Ok(());
        };
        for (name, told) in told {
            let (known, changed) = others.entry(name).or_insert_with(|| (Told::new(), stopwatch()));
            if *known == told {
                continue;
            }
            for (engine, tally) in &told {
                let before = known.get(engine).copied().unwrap_or_default();
                shop.automations.count_elsewhere(engine, now, &tally.since(&before));
            }
            (*known, *changed) = (told, stopwatch());
        }
        let gone: Vec<String> =
            others.iter().filter(|(_, (_, at))| at.elapsed() > GONE).map(|(name, _)| name.clone()).collect();
        for name in gone {
            shop.store.records.transaction(&mut |transaction| {
                transaction.execute("DELETE FROM decision_tallies WHERE process = $1", &[text(&name)]).map(drop)
            })?;
            others.remove(&name);
        }
        Ok(())
    }
}

/// A row that can't be read is of another version, and counts nothing.
fn read(row: &Row) -> Option<(String, Told)> {
    match row.0.as_slice() {
        [Value::Text(name), Value::Text(body)] => Some((name.clone(), serde_json::from_str(body).ok()?)),
        _ => None,
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}
