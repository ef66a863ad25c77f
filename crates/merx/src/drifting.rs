//! Whether what engines are handed and what they answer is still what it was: references, comparisons, and what follows from them.

use merx_decide::{DecisionRecord, Wanted};
use merx_domain::{Answer, DecisionId, MINUTE_MS, ModelVersion, TimestampMs};
use merx_measure::drift::{Drift, FEWEST, Reference, Share};
use merx_models::registry::VersionStatus;
use merx_serve::{DriftLook, DriftPage, EngineDrift};
use merx_store::{Migration, StoreError, Value};
use serde::{Deserialize, Serialize};

use crate::books::{clicks, hits, record_error};
use crate::searching::SEARCH;
use crate::shop::{RECOMMEND, Shop};

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-21-merx-002-drift",
    sql: "CREATE TABLE drift_references (engine TEXT PRIMARY KEY, body TEXT NOT NULL)",
};
pub(crate) const HISTORY_MIGRATION: Migration = Migration {
    name: "2026-11-22-merx-004-drift-history",
    sql: "CREATE TABLE drift_history (
            engine TEXT NOT NULL,
            at_ms BIGINT NOT NULL,
            body TEXT NOT NULL,
            PRIMARY KEY (engine, at_ms)
          )",
};

const ENGINES: [&str; 2] = [RECOMMEND, SEARCH];
/// Decisions that are compared.
const LOOKED_AT: usize = 4_000;
/// A new version's decisions become the reference once there are so many.
const ENOUGH: usize = 1_000;
/// A decision has had its clicks after so long.
const CLICKED_WITHIN_MS: i64 = 30 * MINUTE_MS;
/// A fall of clicks by less of themselves doesn't matter.
const LEAST_DECAY: f64 = 0.1;
/// Looks that are remembered, of an engine: a month of hours.
const MOST_LOOKS: usize = 750;
/// Chance of a false alarm of one look at all numbers of an engine.
const ALPHA: f64 = 0.001;

/// What was usual for an engine.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Usual {
    at: TimestampMs,
    version: Option<ModelVersion>,
    numbers: Vec<Reference>,
    /// Of the decisions that a model made.
    #[serde(default)]
    clicked: Share,
    /// The version that a retraining put into the shadow.
    #[serde(default)]
    shadow: Option<ModelVersion>,
}

/// Compares the newest decisions with what was usual.
pub(crate) fn page(shop: &Shop) -> Result<DriftPage, StoreError> {
    let engines = ENGINES.iter().map(|engine| {
        let records = newest(shop, engine)?;
        let clicked = clicked(shop, &records)?;
        let found = compared(engine, usual(shop, engine)?, &records, clicked);
        Ok(EngineDrift { history: history(shop, engine)?, ..found })
    });
    Ok(DriftPage { engines: engines.collect::<Result<_, StoreError>>()? })
}

/// Writes down what a look found, so that the way there can be seen.
pub(crate) fn remember(shop: &Shop, engine: &EngineDrift, now: TimestampMs) -> Result<(), StoreError> {
    if engine.numbers.is_empty() {
        return Ok(());
    }
    let look = DriftLook { at: now.to_string(), numbers: engine.numbers.clone() };
    let body = serde_json::to_string(&look).map_err(|error| damaged(&error))?;
    let name = Value::Text(engine.engine.clone());
    shop.store.records.transaction(&mut |transaction| {
        transaction.execute(
            "INSERT INTO drift_history (engine, at_ms, body) VALUES ($1, $2, $3)
             ON CONFLICT (engine, at_ms) DO UPDATE SET body = excluded.body",
            &[name.clone(), Value::Integer(now.0), Value::Text(body.clone())],
        )?;
        transaction.execute(
            "DELETE FROM drift_history WHERE engine = $1 AND at_ms <=
               (SELECT at_ms FROM drift_history WHERE engine = $1 ORDER BY at_ms DESC LIMIT 1 OFFSET $2)",
            &[name.clone(), Value::Integer(MOST_LOOKS as i64)],
        )?;
        Ok(())
    })
}

/// Oldest first.
fn history(shop: &Shop, engine: &str) -> Result<Vec<DriftLook>, StoreError> {
    let sql = "SELECT body FROM drift_history WHERE engine = $1 ORDER BY at_ms";
    let rows = shop.store.records.query(sql, &[Value::Text(engine.to_owned())])?;
    let bodies = rows.iter().filter_map(|row| match row.0.first() {
        Some(Value::Text(body)) => Some(body),
        _ => None,
    });
    bodies.map(|body| serde_json::from_str(body).map_err(|error| damaged(&error))).collect()
}

/// Calls the newest decisions usual.
pub(crate) fn save(shop: &Shop) -> Result<DriftPage, StoreError> {
    for engine in ENGINES {
        let records = newest(shop, engine)?;
        if records.len() >= FEWEST {
            keep(shop, engine, &Usual::of(&records, clicked(shop, &records)?, shop.clock.now()))?;
        }
    }
    page(shop)
}

/// Saves references of versions that have decided enough since they went live.
pub(crate) fn save_what_is_due(shop: &Shop) -> Result<(), StoreError> {
    for engine in ENGINES {
        let live = shop.registry.with_status(engine, VersionStatus::Live);
        let live = live.map_err(crate::serving::store_error_of_registry)?.map(|model| model.version);
        let known = usual(shop, engine)?;
        if known.as_ref().is_some_and(|known| known.version == live) {
            continue;
        }
        let mut records = newest(shop, engine)?;
        records.retain(|record| record.model == live);
        if records.len() >= ENOUGH {
            keep(shop, engine, &Usual::of(&records, clicked(shop, &records)?, shop.clock.now()))?;
        }
    }
    Ok(())
}

/// Remembers the version that runs in the shadow of live decisions.
pub(crate) fn put_into_shadow(shop: &Shop, engine: &str, version: ModelVersion) -> Result<(), StoreError> {
    let known = usual(shop, engine)?;
    let known = known.unwrap_or(Usual {
        at: shop.clock.now(),
        version: None,
        numbers: Vec::new(),
        clicked: Share::default(),
        shadow: None,
    });
    keep(shop, engine, &Usual { shadow: Some(version), ..known })?;
    watch_shadows(shop)
}

/// The version that a retraining put into the shadow of live decisions.
pub(crate) fn shadow(shop: &Shop) -> Result<Option<ModelVersion>, StoreError> {
    Ok(usual(shop, RECOMMEND)?.and_then(|usual| usual.shadow))
}

/// Sets the pipelines to what is remembered, but for versions that went live since.
pub(crate) fn watch_shadows(shop: &Shop) -> Result<(), StoreError> {
    let candidate = shadow(shop)?.filter(|version| {
        let found = shop.registry.get(RECOMMEND, *version);
        found.is_ok_and(|model| model.status == VersionStatus::Candidate)
    });
    shop.pipeline.watch_version(candidate);
    Ok(())
}

impl Usual {
    fn of(records: &[DecisionRecord], clicked: Share, at: TimestampMs) -> Self {
        let numbers = numbers(records).into_iter().filter_map(|(name, values)| Reference::of(name, &values)).collect();
        Self { at, version: records.first().and_then(|record| record.model), numbers, clicked, shadow: None }
    }
}

fn newest(shop: &Shop, engine: &str) -> Result<Vec<DecisionRecord>, StoreError> {
    let wanted = Wanted { limit: LOOKED_AT, engine: Some(engine.to_owned()), ..Wanted::default() };
    shop.recorder.find(&wanted).map_err(record_error)
}

/// How many of a model's decisions were clicked on, of those that had time for it.
fn clicked(shop: &Shop, records: &[DecisionRecord]) -> Result<Share, StoreError> {
    let settled = shop.clock.now().plus_ms(-CLICKED_WITHIN_MS);
    let by_model = records.iter().filter(|record| record.model.is_some() && record.situation.now <= settled);
    let ids: rustc_hash::FxHashSet<DecisionId> = by_model.map(|record| record.id).collect();
    let clicked: rustc_hash::FxHashSet<DecisionId> = clicks(shop, &ids)?.into_iter().map(|(id, _)| id).collect();
    Ok(Share { count: clicked.len() as u64, of: ids.len() as u64 })
}

fn compared(engine: &str, usual: Option<Usual>, records: &[DecisionRecord], clicked: Share) -> EngineDrift {
    let clicked_before = usual.as_ref().map_or_else(Share::default, |usual| usual.clicked);
    let now = numbers(records);
    let references = usual.as_ref().map_or(&[][..], |usual| usual.numbers.as_slice());
    // Two measures of every number share the chance of a false alarm.
    let alpha = ALPHA / (2 * references.len().max(1)) as f64;
    let drifts: Vec<Drift> = references
        .iter()
        .filter_map(|reference| {
            let (_, values) = now.iter().find(|(name, _)| *name == reference.name)?;
            reference.drift(values, alpha)
        })
        .collect();
    EngineDrift {
        engine: engine.to_owned(),
        reference_at: usual.as_ref().map(|usual| usual.at.to_string()),
        reference_version: usual.as_ref().and_then(|usual| usual.version).map(|version| version.0),
        decisions: records.len() as u64,
        drifted: drifts.iter().any(|drift| drift.drifted),
        numbers: drifts,
        clicked_before,
        clicked,
        decayed: clicked_before.fell_to(clicked, LEAST_DECAY, ALPHA),
        shadow_version: usual.and_then(|usual| usual.shadow).map(|version| version.0),
        history: Vec::new(),
    }
}

/// What is looked at of decisions: what engines were handed of people they know, and what they answered.
fn numbers(records: &[DecisionRecord]) -> Vec<(&'static str, Vec<f64>)> {
    let known = || records.iter().filter(|record| !record.features.history.is_empty());
    let feature = |value: fn(&DecisionRecord) -> f64| known().map(value).collect::<Vec<f64>>();
    let tops: Vec<f64> = records.iter().filter_map(top_score).collect();
    let hits: Vec<f64> = records.iter().filter(|record| record.engine == SEARCH).filter_map(hits).collect();
    vec![
        (
            "feature.known",
            records.iter().map(|record| f64::from(u8::from(!record.features.history.is_empty()))).collect(),
        ),
        ("feature.history", feature(|record| record.features.history.len() as f64)),
        ("feature.sessions", feature(|record| f64::from(record.features.sessions))),
        ("feature.views", feature(|record| f64::from(record.features.views))),
        ("feature.carts", feature(|record| f64::from(record.features.carts))),
        ("feature.purchases", feature(|record| f64::from(record.features.purchases))),
        ("prediction.top_score", tops),
        ("prediction.hits", hits),
        ("prediction.fallback", records.iter().map(|record| f64::from(record.fallback as u8)).collect()),
    ]
}

fn top_score(record: &DecisionRecord) -> Option<f64> {
    if record.engine == SEARCH || record.model.is_none() {
        return None;
    }
    let answer = record.answer::<Answer>().ok()?;
    let item = answer.slots.first()?.items.first()?;
    Some(f64::from(item.score))
}

fn usual(shop: &Shop, engine: &str) -> Result<Option<Usual>, StoreError> {
    let sql = "SELECT body FROM drift_references WHERE engine = $1";
    let rows = shop.store.records.query(sql, &[Value::Text(engine.to_owned())])?;
    match rows.first().and_then(|row| row.0.first()) {
        Some(Value::Text(body)) => serde_json::from_str(body).map(Some).map_err(|error| damaged(&error)),
        _ => Ok(None),
    }
}

fn keep(shop: &Shop, engine: &str, usual: &Usual) -> Result<(), StoreError> {
    let body = serde_json::to_string(usual).map_err(|error| damaged(&error))?;
    shop.store.records.transaction(&mut |transaction| {
        transaction.execute(
            "INSERT INTO drift_references (engine, body) VALUES ($1, $2) ON CONFLICT (engine) DO UPDATE SET body = excluded.body",
            &[Value::Text(engine.to_owned()), Value::Text(body.clone())],
        )?;
        Ok(())
    })
}

fn damaged(error: &serde_json::Error) -> StoreError {
    StoreError::Damaged { what: "drift references", detail: error.to_string() }
}
