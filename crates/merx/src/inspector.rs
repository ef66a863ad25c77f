//! The thread that looks whether all is well: figures, data, drift. What isn't becomes an alert.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use merx_decide::{AlertKind, Raise};
use merx_domain::{Filter, HOUR_MS, MINUTE_MS, TimestampMs};
use merx_measure::drift::Share;
use merx_serve::{AskedBy, EngineDrift, FairnessQuestion, JobKind, ProductGroup, ShopperGroups};
use serde_json::json;

use crate::background::Repeated;
use crate::drifting;
use crate::jobs::JobBoard;
use crate::shop::{RECOMMEND, Shop};

const LOOK_ROUND: Duration = Duration::from_secs(5);
const LOSSES_EVERY_MS: i64 = 5 * MINUTE_MS;
const DRIFT_EVERY_MS: i64 = HOUR_MS;
const FAIRNESS_LOOKED_AT: usize = 5_000;
/// Drift asks for a training at most so often.
const RETRAINING_EVERY_MS: i64 = 24 * HOUR_MS;

/// Looks until the returned thread is dropped.
pub(crate) fn inspect(shop: Arc<Shop>, board: Arc<JobBoard>) -> Result<Repeated> {
    let mut rounds = Rounds::default();
    Repeated::start("inspector", LOOK_ROUND, move |_| if shop.leads() { rounds.look(&shop, &board) } else { Ok(()) })
}

/// When what was looked at last.
#[derive(Default)]
struct Rounds {
    losses: Option<TimestampMs>,
    quality_of: Option<i32>,
    drift: Option<TimestampMs>,
    retraining: Option<TimestampMs>,
}

fn is_due(last: Option<TimestampMs>, now: TimestampMs, every_ms: i64) -> bool {
    last.is_none_or(|last| now.since(last) >= every_ms)
}

impl Rounds {
    fn look(&mut self, shop: &Shop, board: &JobBoard) -> Result<()> {
        let now = shop.clock.now();
        shop.bandits.publish(shop)?;
        if shop.books.catch_up(shop)? > 0 {
            return Ok(());
        }
        if is_due(self.losses, now, LOSSES_EVERY_MS) {
            shop.books.tell_losses(shop)?;
            shop.books.tell_costs(shop)?;
            self.losses = Some(now);
        }
        if self.quality_of != Some(now.day()) {
            look_at_data(shop, now)?;
            self.quality_of = Some(now.day());
        }
        if is_due(self.drift, now, DRIFT_EVERY_MS) {
            self.look_at_drift(shop, board, now)?;
            look_at_fairness(shop, now)?;
            self.drift = Some(now);
        }
        Ok(())
    }

    fn look_at_drift(&mut self, shop: &Shop, board: &JobBoard, now: TimestampMs) -> Result<()> {
        drifting::save_what_is_due(shop)?;
        for engine in drifting::page(shop)?.engines {
            look_at_quality(shop, &engine, now)?;
            drifting::remember(shop, &engine, now)?;
            let key = format!("drift:{}", engine.engine);
            if !engine.drifted {
                shop.automations.book().resolve(&key, now)?;
                continue;
            }
            let drifted = engine.numbers.iter().filter(|number| number.drifted);
            let names: Vec<&str> = drifted.clone().map(|number| number.name.as_str()).collect();
            let asks = is_due(self.retraining, now, RETRAINING_EVERY_MS);
            let follows = if asks { "; a training into shadow was asked for" } else { "" };
            let words = format!("{}: {} are not what they were{follows}", engine.engine, names.join(", "));
            let detail = json!({ "numbers": drifted.collect::<Vec<_>>() });
            let raise = Raise::new(AlertKind::Drift, key, words).of(&engine.engine);
            shop.automations.book().raise(raise.with_detail(detail), now)?;
            if asks {
                board.ask(JobKind::Retraining, AskedBy::Schedule)?;
                self.retraining = Some(now);
            }
        }
        Ok(())
    }
}

/// A model whose decisions are clicked less than when they became the reference.
fn look_at_quality(shop: &Shop, engine: &EngineDrift, now: TimestampMs) -> Result<()> {
    let (book, key) = (shop.automations.book(), format!("quality:{}", engine.engine));
    if !engine.decayed {
        return Ok(book.resolve(&key, now)?);
    }
    let percent = |share: Share| format!("{:.1} %", 100.0 * share.rate().unwrap_or_default());
    let words = format!(
        "{}: {} of its model's decisions are clicked on, {} were when they became the reference",
        engine.engine,
        percent(engine.clicked),
        percent(engine.clicked_before)
    );
    let detail = json!({ "clicked": engine.clicked, "clicked_before": engine.clicked_before });
    book.raise(Raise::new(AlertKind::Quality, key, words).of(&engine.engine).with_detail(detail), now)?;
    Ok(())
}

/// Groups of products that are shown less than their share, and shoppers whom models serve worse than others.
fn look_at_fairness(shop: &Shop, now: TimestampMs) -> Result<()> {
    /// Beyond so many standard errors a difference is no chance.
    const BEYOND: f64 = 3.0;
    /// A share of fallbacks below this doesn't matter.
    const LEAST: f64 = 0.05;
    let book = shop.automations.book();
    let tell = |key: String, words: Option<String>, detail: serde_json::Value| -> Result<()> {
        match words {
            None => book.resolve(&key, now)?,
            Some(words) => {
                let raise = Raise::new(AlertKind::Fairness, key, words).of(RECOMMEND).with_detail(detail);
                book.raise(raise, now)?;
            }
        }
        Ok(())
    };
    for shoppers in [ShopperGroups::Device, ShopperGroups::Market] {
        let products = if shoppers == ShopperGroups::Device { groups_of(shop)? } else { Vec::new() };
        let question = FairnessQuestion { products, shoppers, decisions: FAIRNESS_LOOKED_AT };
        let page = shop.books.fairness(shop, &question)?;
        for group in &page.groups {
            let below = (group.verdict == "below").then(|| {
                format!(
                    "{}: {:.1} % of what is shown, and {:.1} % of what is on sale",
                    group.group,
                    100.0 * group.share_of_exposure,
                    100.0 * group.share_of_catalogue
                )
            });
            tell(format!("fairness:products:{}", group.group), below, json!(group))?;
        }
        for group in &page.shoppers {
            let worse = group.fallback_z.is_some_and(|z| z > BEYOND) && group.fallback_share > LEAST;
            let words = worse.then(|| {
                let share = 100.0 * group.fallback_share;
                format!("shoppers {}: no model answers {share:.1} % of their requests, more than others'", group.group)
            });
            tell(format!("fairness:{shoppers:?}:{}", group.group), words, json!(group))?;
        }
    }
    Ok(())
}

/// The groups that the configuration names.
fn groups_of(shop: &Shop) -> Result<Vec<ProductGroup>> {
    let groups = shop.config.alerts.fairness_groups.iter().map(|(name, filter)| {
        let filter = Filter::parse(filter).with_context(|| format!("alerts.fairness_groups.{name} = {filter:?}"))?;
        Ok(ProductGroup { name: name.clone(), filter })
    });
    groups.collect()
}

fn look_at_data(shop: &Shop, now: TimestampMs) -> Result<()> {
    look_at_dead_letters(shop, now)?;
    let page = shop.books.data_quality(shop)?;
    for check in page.checks {
        let key = format!("data:{}", check.name);
        if check.state != "trouble" {
            shop.automations.book().resolve(&key, now)?;
            continue;
        }
        let usual =
            check.usual.map_or_else(|| "nothing known before".to_owned(), |usual| format!("{usual:.3} as usual"));
        let words = format!("{}: {} were {:.3}, {usual}", page.day, check.words, check.value);
        let raise = Raise::new(AlertKind::DataQuality, key, words).with_detail(json!(check));
        shop.automations.book().raise(raise, now)?;
    }
    Ok(())
}

fn look_at_dead_letters(shop: &Shop, now: TimestampMs) -> Result<()> {
    const KEY: &str = "data:dead_letters";
    let letters = shop.projection.dead_letters.list()?;
    let Some(first) = letters.first() else {
        shop.automations.book().resolve(KEY, now)?;
        return Ok(());
    };
    let words = format!(
        "{} events could not be applied to what is known of shoppers and products and are set aside; the first: {}",
        letters.len(),
        first.detail
    );
    let raise = Raise::new(AlertKind::DataQuality, KEY, words).with_detail(json!({ "events": letters.len() }));
    shop.automations.book().raise(raise, now)?;
    Ok(())
}
