//! Layouts: the engine's versions, and what they are learnt from: which blocks visitors saw, used, and bought after.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use merx_discovery::layout::{LayoutEngine, LayoutGate, LayoutLearner, LayoutModel, LayoutRow, LayoutVerdict, Visit};
use merx_domain::{
    DAY_MS, DecisionId, Event, EventKind, LayoutAnswer, LayoutAsk, ModelVersion, Purposes, SubjectId, TimestampMs,
};
use merx_models::registry::{Lineage, RegisteredModel, Registry, VersionStatus};
use merx_models::{Learner, Model};
use merx_store::LogOffset;
use rustc_hash::FxHashMap;
use serde_json::{Value, json};

use crate::jobs::{Say, Step};
use crate::shop::Shop;
use crate::training::stopwatch;

/// The layout model's name in the registry, and its engine's.
pub(crate) const LAYOUT: &str = "layout";

/// Pages change: what was learnt long ago counts no more.
const WINDOW_DAYS: i64 = 28;
/// The newest are learnt from.
const MOST_DECISIONS: usize = 500_000;
/// Blocks that were seen; with fewer there is nothing to fit.
const LEAST_SEEN: usize = 200;
/// An order counts so long after its block was used.
const ORDER_WITHIN_MS: i64 = DAY_MS;
/// What it is worth that somebody used a block, beside an order after it, which is worth 1.
const USED: f64 = 0.3;
/// Blocks that somebody used lately, at most.
const MOST_USED: usize = 20;
const PAGE: usize = 10_000;
/// Properties of the two events that tell of blocks, by the vocabulary's own name.
const BLOCK: &str = "promotion_id";

pub(crate) fn engine(registry: &Arc<Registry>) -> LayoutEngine {
    let registry = Arc::clone(registry);
    LayoutEngine::new(Box::new(move |version: ModelVersion| load(&registry, &registry.get(LAYOUT, version).ok()?).ok()))
}

pub(crate) fn load(registry: &Registry, model: &RegisteredModel) -> Result<LayoutModel> {
    Ok(LayoutLearner.load(&registry.load(model)?)?)
}

/// What a training did.
#[derive(Debug)]
pub(crate) enum Report {
    /// There is too little to learn from.
    Skipped {
        seen: usize,
    },
    Trained {
        version: ModelVersion,
        verdict: LayoutVerdict,
        seen: usize,
        used: usize,
        elapsed: Duration,
    },
}

impl Report {
    /// As a part of the job's result.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Skipped { seen } => json!({
                "model": LAYOUT,
                "skipped": format!("{seen} blocks were seen; from {LEAST_SEEN} on there is something to learn"),
            }),
            Self::Trained { version, verdict, seen, used, elapsed } => json!({
                "model": LAYOUT,
                "version": version.0,
                "promoted": verdict.passed,
                "gate": verdict.words,
                "seconds": elapsed.as_secs_f64(),
                "blocks_seen": seen,
                "blocks_used": used,
            }),
        }
    }
}

/// Learns from layouts up to `now`. The new version goes live where it passes the gate: then what it doesn't know it tries with the chance
/// that records keep, and the automation's mode, guardrails and holdout stand before it.
pub(crate) fn train(shop: &Shop, now: TimestampMs, say: Say) -> Result<Report> {
    let started = stopwatch();
    shop.recorder.flush();
    let from = now.plus_ms(-WINDOW_DAYS * DAY_MS);
    let shown = shown(shop, from, now, say)?;
    let (outcomes, offset, events) = outcomes(shop, &shown, say)?;
    let rows = rows(&shown, &outcomes);
    if rows.len() < LEAST_SEEN {
        return Ok(Report::Skipped { seen: rows.len() });
    }
    let live = shop.registry.with_status(LAYOUT, VersionStatus::Live)?;
    let live_model = live.as_ref().map(|live| load(&shop.registry, live)).transpose()?;
    let learnt_until = live.as_ref().map(|live| first_id(live.lineage.window_until.plus_ms(1)));
    let verdict = LayoutGate::default().judge(&rows, live_model.as_ref().zip(learnt_until))?;
    let fitted: Vec<LayoutRow> = rows.iter().map(|(_, row)| row.clone()).collect();
    let model = LayoutLearner.fit(&fitted, shop.config.train.seed)?;
    let used = fitted.iter().filter(|row| row.reward > 0.0).count();
    let lineage = Lineage {
        log_offset: offset.map(|offset| offset.0),
        window_from: from,
        window_until: now,
        events,
        subjects: shown.values().filter_map(|shown| shown.subject).collect::<BTreeSet<_>>().len() as u64,
        items: fitted.iter().map(|row| (&row.page, &row.block)).collect::<BTreeSet<_>>().len() as u64,
        code: env!("CARGO_PKG_VERSION").to_owned(),
        seed: shop.config.train.seed,
        parameters: model.parameters(),
        metrics: BTreeMap::from([
            ("blocks_seen".to_owned(), fitted.len() as f64),
            ("used_share".to_owned(), used as f64 / fitted.len() as f64),
            ("mean_reward".to_owned(), fitted.iter().map(|row| row.reward).sum::<f64>() / fitted.len() as f64),
            ("held_out_error".to_owned(), verdict.quality.error),
            ("held_out_error_of_mean".to_owned(), verdict.quality.error_of_mean),
            ("held_out_blocks".to_owned(), verdict.quality.compared as f64),
        ]),
        fit_s: started.elapsed().as_secs_f64(),
        gate: verdict.words.clone(),
        parent: live.map(|live| live.version),
    };
    let version = shop.registry.register(LAYOUT, &model.save(), &lineage, shop.clock.now())?;
    if verdict.passed {
        let grounds = serde_json::json!({ "gate": verdict.words });
        shop.promote(LAYOUT, version, merx_decide::Act::of_merx(shop.clock.now()), &grounds)?;
        shop.load_models()?;
    }
    Ok(Report::Trained { version, verdict, seen: fitted.len(), used, elapsed: started.elapsed() })
}

/// A layout that was decided.
struct Shown {
    page: String,
    visit: Visit,
    blocks: Vec<String>,
    subject: Option<SubjectId>,
}

fn shown(shop: &Shop, from: TimestampMs, until: TimestampMs, say: Say) -> Result<BTreeMap<DecisionId, Shown>> {
    let mut found = BTreeMap::new();
    let before = first_id(until.plus_ms(1));
    let mut after = Some(first_id(from));
    loop {
        say(Step::new(format!("reading layouts: {}", found.len())))?;
        let page = shop.recorder.page(LAYOUT, after, before, PAGE)?;
        let Some(last) = page.last else { return Ok(found) };
        after = Some(last);
        for record in page.records {
            let (Ok(ask), Ok(answer)) = (record.ask::<LayoutAsk>(), record.answer::<LayoutAnswer>()) else { continue };
            let visit = Visit::of(&record.situation, &record.features);
            let blocks = answer.blocks.into_iter().map(|block| block.id).collect();
            found.insert(record.id, Shown { page: ask.page, visit, blocks, subject: record.situation.subject });
            if found.len() > MOST_DECISIONS {
                found.pop_first();
            }
        }
    }
}

/// The smallest id of a moment: ids begin with their time.
fn first_id(at: TimestampMs) -> DecisionId {
    DecisionId(u128::from(at.0.max(0).unsigned_abs()) << 80)
}

/// What became of a block of a layout: what it was worth to those who saw it.
type Outcomes = BTreeMap<(DecisionId, String), f64>;

fn outcomes(shop: &Shop, shown: &BTreeMap<DecisionId, Shown>, say: Say) -> Result<(Outcomes, Option<LogOffset>, u64)> {
    let mut watched = Watched { shown, outcomes: Outcomes::new(), used: FxHashMap::default(), events: 0 };
    let mut after = None;
    if shown.is_empty() {
        return Ok((watched.outcomes, after, 0));
    }
    let end = shop.store.log.end()?.map_or(0, |end| end.0);
    loop {
        say(Step::part("reading what became of layouts", after.map_or(0, |offset: LogOffset| offset.0), end))?;
        let page = shop.store.log.read(after, PAGE)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        page.iter().for_each(|(_, event)| watched.take(event));
    }
    Ok((watched.outcomes, after, watched.events))
}

/// When a block of a decision was used.
type Use = (TimestampMs, (DecisionId, String));

/// The log's events, one after the other.
struct Watched<'a> {
    shown: &'a BTreeMap<DecisionId, Shown>,
    outcomes: Outcomes,
    /// Blocks that somebody used, with when.
    used: FxHashMap<SubjectId, VecDeque<Use>>,
    events: u64,
}

impl Watched<'_> {
    fn take(&mut self, event: &Event) {
        if let Some(from) = event.merged_from.filter(|from| *from != event.subject)
            && let Some(used) = self.used.remove(&from)
        {
            self.used.entry(event.subject).or_default().extend(used);
        }
        if event.consent.denied.contains(Purposes::ANALYTICS) {
            return;
        }
        match event.kind {
            EventKind::PromotionViewed => self.block_of(event).into_iter().for_each(|block| {
                self.outcomes.entry(block).or_insert(0.0);
                self.events += 1;
            }),
            EventKind::PromotionClicked => {
                self.block_of(event).into_iter().for_each(|block| self.use_block(event, block))
            }
            EventKind::OrderCompleted => self.order(event),
            _ => {}
        }
    }

    /// The block that an event tells of, where it was shown.
    fn block_of(&self, event: &Event) -> Option<(DecisionId, String)> {
        let decision = event.decision?;
        let block: String = serde_json::from_str(event.properties.get(BLOCK)?).ok()?;
        self.shown.get(&decision)?.blocks.contains(&block).then_some((decision, block))
    }

    fn use_block(&mut self, event: &Event, block: (DecisionId, String)) {
        self.events += 1;
        let worth = self.outcomes.entry(block.clone()).or_insert(0.0);
        *worth = worth.max(USED);
        let used = self.used.entry(event.subject).or_default();
        used.push_back((event.occurred_at, block));
        if used.len() > MOST_USED {
            used.pop_front();
        }
    }

    fn order(&mut self, event: &Event) {
        let Some(used) = self.used.remove(&event.subject) else { return };
        self.events += 1;
        for (at, block) in used {
            if event.occurred_at.since(at) <= ORDER_WITHIN_MS {
                self.outcomes.insert(block, 1.0);
            }
        }
    }
}

/// Oldest first.
fn rows(shown: &BTreeMap<DecisionId, Shown>, outcomes: &Outcomes) -> Vec<(DecisionId, LayoutRow)> {
    let row = |((decision, block), reward): (&(DecisionId, String), &f64)| {
        let shown = shown.get(decision)?;
        let row = LayoutRow { page: shown.page.clone(), block: block.clone(), visit: shown.visit, reward: *reward };
        Some((*decision, row))
    };
    outcomes.iter().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use merx_domain::EventId;
    use merx_domain::experiment::CONTEXT;

    use super::*;

    fn event(kind: EventKind, subject: u128, minute: i64, block: Option<&str>) -> Event {
        let mut event = Event::new(EventId(minute as u128), SubjectId(subject), kind, TimestampMs(minute * 60_000));
        if let Some(block) = block {
            event.decision = Some(DecisionId(1));
            event.properties.insert(BLOCK.into(), serde_json::to_string(block).unwrap());
        }
        event
    }

    fn told(events: &[Event]) -> Vec<(String, f64)> {
        let blocks = ["new", "trending", "for_you"].map(str::to_owned).to_vec();
        let page = Shown { page: "home".into(), visit: Visit([1.0; CONTEXT]), blocks, subject: None };
        let shown = BTreeMap::from([(DecisionId(1), page)]);
        let mut watched = Watched { shown: &shown, outcomes: Outcomes::new(), used: FxHashMap::default(), events: 0 };
        events.iter().for_each(|event| watched.take(event));
        rows(&shown, &watched.outcomes).into_iter().map(|(_, row)| (row.block, row.reward)).collect()
    }

    #[test]
    fn what_was_seen_counts_and_an_order_after_it_counts_most() {
        use EventKind::{OrderCompleted, PromotionClicked, PromotionViewed};
        let seen = |block| event(PromotionViewed, 7, 1, Some(block));
        let used = |block| event(PromotionClicked, 7, 2, Some(block));
        let of = |name: &str, worth: f64| (name.to_owned(), worth);
        assert_eq!(told(&[seen("new"), seen("elsewhere")]), [of("new", 0.0)], "of blocks that were shown");
        assert_eq!(told(&[seen("new"), seen("for_you"), used("new")]), [of("for_you", 0.0), of("new", USED)]);
        let order = |subject, minute| event(OrderCompleted, subject, minute, None);
        assert_eq!(told(&[seen("new"), used("new"), order(7, 30)]), [of("new", 1.0)]);
        assert_eq!(told(&[seen("new"), used("new"), order(8, 30)]), [of("new", USED)], "somebody else's");
        assert_eq!(told(&[seen("new"), used("new"), order(7, 3 + 24 * 60)]), [of("new", USED)], "too late");
    }

    #[test]
    fn who_signs_in_takes_along_what_they_used_and_who_refuses_teaches_nothing() {
        use EventKind::{Alias, OrderCompleted, PromotionClicked};
        let mut alias = event(Alias, 9, 3, None);
        alias.merged_from = Some(SubjectId(7));
        let used = event(PromotionClicked, 7, 2, Some("new"));
        assert_eq!(told(&[used.clone(), alias, event(OrderCompleted, 9, 4, None)]), [("new".to_owned(), 1.0)]);
        let mut refused = used;
        refused.consent.denied = Purposes::ANALYTICS;
        assert!(told(&[refused]).is_empty());
    }
}
