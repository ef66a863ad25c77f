//! The thread that looks whether all is well: figures, data, drift. What isn't becomes an alert.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use merx_decide::{AlertKind, Raise};
use merx_domain::{HOUR_MS, MINUTE_MS, TimestampMs};
use merx_serve::{AskedBy, JobKind};
use serde_json::json;

use crate::background::Repeated;
use crate::drifting;
use crate::jobs::JobBoard;
use crate::shop::Shop;

const LOOK_ROUND: Duration = Duration::from_secs(5);
const LOSSES_EVERY_MS: i64 = 5 * MINUTE_MS;
const DRIFT_EVERY_MS: i64 = HOUR_MS;
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
            self.losses = Some(now);
        }
        if self.quality_of != Some(now.day()) {
            look_at_data(shop, now)?;
            self.quality_of = Some(now.day());
        }
        if is_due(self.drift, now, DRIFT_EVERY_MS) {
            self.look_at_drift(shop, board, now)?;
            self.drift = Some(now);
        }
        Ok(())
    }

    fn look_at_drift(&mut self, shop: &Shop, board: &JobBoard, now: TimestampMs) -> Result<()> {
        drifting::save_what_is_due(shop)?;
        for engine in drifting::page(shop)?.engines {
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
                board.ask(JobKind::Retraining, AskedBy::Schedule);
                self.retraining = Some(now);
            }
        }
        Ok(())
    }
}

fn look_at_data(shop: &Shop, now: TimestampMs) -> Result<()> {
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
