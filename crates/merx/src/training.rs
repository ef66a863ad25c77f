//! The training job: set by replay, fit, gate, registry.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use merx_discovery::recommend::{RecommendLearner, RecommendModel, Role};
use merx_domain::{ModelVersion, ProductNumber, TimestampMs};
use merx_models::registry::{Lineage, VersionStatus};
use merx_models::{Model, Recommender, TrainingSet};
use merx_store::LogOffset;
use merx_train::{DatasetBuilder, DatasetSettings, Gate, Live, Quality, Verdict, content, fit};

use crate::jobs::{Say, Step};
use crate::search_training;
use crate::shop::{RECOMMEND, Shop};

const PAGE: usize = 10_000;

type Window = (TimestampMs, TimestampMs);

/// What a training did.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) version: ModelVersion,
    pub(crate) promoted: bool,
    pub(crate) quality: Quality,
    pub(crate) verdict: Verdict,
    pub(crate) events: u64,
    pub(crate) subjects: usize,
    pub(crate) items: usize,
    pub(crate) elapsed: Duration,
}

impl Report {
    /// As the job's result.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "model": RECOMMEND,
            "version": self.version.0,
            "promoted": self.promoted,
            "seconds": self.elapsed.as_secs_f64(),
            "events": self.events,
            "shoppers": self.subjects,
            "products": self.items,
            "metrics": self.quality.metrics(),
            "gate": self.verdict.words,
        })
    }
}

/// Trains everything, and tells what came of it. What one model lacks to learn from keeps no other from learning.
pub(crate) fn train_all(shop: &Shop, say: Say) -> Result<serde_json::Value> {
    let recommend = train(shop, shop.clock.now(), say, Goes::Live);
    let search = search_training::train(shop, shop.clock.now(), say)?;
    let mut result = recommend?.to_json();
    result["search"] = search.to_json();
    Ok(result)
}

/// What becomes of a candidate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goes {
    /// At once, where it passes the gate.
    Live,
    /// It is watched beside the live one until somebody promotes it.
    IntoShadow,
}

/// Trains because data are not what they were: somebody should look before what is learnt of them goes live.
pub(crate) fn train_into_shadow(shop: &Shop, say: Say) -> Result<serde_json::Value> {
    let report = train(shop, shop.clock.now(), say, Goes::IntoShadow)?;
    crate::drifting::put_into_shadow(shop, RECOMMEND, report.version)?;
    Ok(report.to_json())
}

/// Trains on the log as it is now, up to `now`.
fn train(shop: &Shop, now: TimestampMs, say: Say, goes: Goes) -> Result<Report> {
    let started = stopwatch();
    let (set, window, events, offset) = training_set(shop, now, say)?;
    let settings = &shop.config.train;
    let live = shop.registry.with_status(RECOMMEND, VersionStatus::Live)?;
    let live_model = shop.engine.live_model();
    let then = live.as_ref().map(|live| Quality::of_metrics(&live.lineage.metrics)).unwrap_or_default();
    let until = live.as_ref().map(|live| live.lineage.window_until);
    let compared = live_model.as_deref().and_then(for_you).zip(until).map(|(model, until)| Live {
        model,
        learnt_until_s: until.0.div_euclid(1_000) + 1,
        then: &then,
    });
    let size = format!("{} interactions of {} shoppers", set.histories.len(), set.histories.rows());
    say(Step::new(format!("fitting on {size}")))?;
    let fitted =
        fit(&RecommendLearner, &set, settings.held_out, settings.seed, compared, &for_you, &|| started.elapsed())?;
    let gate =
        Gate { margin: settings.gate_margin, coverage: settings.gate_coverage, latency_ms: settings.gate_latency_ms };
    let verdict = gate.judge(&fitted.quality, fitted.live.as_ref());
    let lineage = Lineage {
        log_offset: offset.map(|offset| offset.0),
        window_from: window.0,
        window_until: window.1,
        events,
        subjects: set.histories.rows() as u64,
        items: set.item_count as u64,
        code: env!("CARGO_PKG_VERSION").to_owned(),
        seed: settings.seed,
        parameters: fitted.model.parameters(),
        metrics: fitted.quality.metrics(),
        fit_s: started.elapsed().as_secs_f64(),
        gate: verdict.words.clone(),
        parent: live.map(|model| model.version),
    };
    say(Step::new("registering"))?;
    let version = shop.registry.register(RECOMMEND, &fitted.model.save(), &lineage, shop.clock.now())?;
    let promoted = verdict.passed && goes == Goes::Live;
    if promoted {
        shop.registry.promote(RECOMMEND, version)?;
        shop.load_models()?;
    }
    Ok(Report {
        version,
        promoted,
        quality: fitted.quality,
        verdict,
        events,
        subjects: set.histories.rows(),
        items: set.item_count,
        elapsed: started.elapsed(),
    })
}

/// The part of the model that is measured.
fn for_you(model: &RecommendModel) -> Option<&dyn Recommender> {
    model.member(Role::ForYou).or_else(|| model.member(Role::Popular))
}

/// The set, from when until when, the events it is made of, and how far the log was read.
fn training_set(shop: &Shop, now: TimestampMs, say: Say) -> Result<(TrainingSet, Window, u64, Option<LogOffset>)> {
    shop.projection.catch_up()?;
    let end = shop.store.log.end()?.map_or(0, |end| end.0);
    let number = |id: &merx_domain::ProductId| shop.projection.number(id);
    let settings = DatasetSettings { now, window_days: shop.config.train.window_days };
    let mut builder = DatasetBuilder::new(settings, &number);
    let mut after = None;
    loop {
        say(Step::part("reading the log", after.map_or(0, |offset: LogOffset| offset.0), end))?;
        let page = shop.store.log.read(after, PAGE).context("reading the log")?;
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        page.iter().for_each(|(_, event)| builder.add(event));
    }
    let item_count = shop.projection.directory.read().number_end();
    let products = products(shop)?;
    let content = content(products.iter().map(|(number, product)| (*number, product)), item_count);
    let events = builder.events();
    let window = (builder.window_from(), builder.window_until());
    Ok((builder.build(item_count, content), window, events, after))
}

fn products(shop: &Shop) -> Result<Vec<(ProductNumber, merx_domain::Product)>> {
    let mut products = Vec::new();
    let mut after = None;
    loop {
        let page = shop.ingest.catalogue.list(after.as_ref(), PAGE)?;
        let Some(last) = page.last() else { return Ok(products) };
        after = Some(last.product.id.clone());
        products.extend(page.into_iter().map(|stored| (stored.number, stored.product)));
    }
}

#[allow(clippy::disallowed_methods, reason = "how long a job takes is reported, nothing depends on it but the gate")]
pub(crate) fn stopwatch() -> Instant {
    Instant::now()
}
