//! How long statistics over many exposures take: join, sums and the whole report.

use merx_domain::Clock;
use merx_numeric::rng::Rng;
use rayon::prelude::*;
use serde_json::json;

use super::{Emit, number};
use crate::report::{ReportSettings, report};
use crate::{Exposure, Metric, Outcome, PanelError, PanelShape, Shape, SignalId, join};

const DAY_MS: i64 = 86_400_000;
const ORDERS: SignalId = SignalId(0);
const REVENUE: SignalId = SignalId(1);
const ARMS: u16 = 3;
const SEGMENTS: u16 = 5;
/// Rows made with one stream of random numbers.
const BLOCK: usize = 1 << 16;
/// Times that are measured; the median is told.
const REPEATS: usize = 5;

/// `exposures` rows of half as many units over 28 days, every tenth unit with an order; three arms, five segments, conversion,
/// order value and revenue, the last with CUPED and a cap.
pub fn measure_speed(exposures: usize, seed: u64, clock: &dyn Clock, emit: &mut Emit<'_>) -> Result<(), PanelError> {
    let rng = Rng::from_seed(seed);
    let units = (exposures / 2).max(1);
    let shown = rows(exposures, &rng.split(1), |rng, _| exposure(rng, units));
    let orders = rows(units / 10, &rng.split(2), |rng, _| order(rng, units));
    let outcomes: Vec<Outcome> = orders.into_iter().flatten().collect();
    let shape = PanelShape { arms: ARMS, segments: SEGMENTS, now_ms: 42 * DAY_MS };
    let metrics = metrics();
    let mut seconds = Vec::new();
    let mut counted = 0;
    for _ in 0..REPEATS {
        let begun = clock.now();
        let panel = join(&shown, &outcomes, &metrics, shape)?;
        let report = report(&panel, &ReportSettings::of_equal_arms(usize::from(ARMS)));
        seconds.push((clock.now().0 - begun.0) as f64 / 1_000.0);
        counted = report.units.iter().sum::<u64>();
    }
    seconds.sort_by(f64::total_cmp);
    let settings = json!({
        "exposures": exposures, "outcomes": outcomes.len(), "units": counted, "metrics": metrics.len(),
        "arms": ARMS, "segments": SEGMENTS, "repeats": REPEATS, "slowest_s": seconds[REPEATS - 1],
    });
    emit(&number("statistics_s", "s", "exposures", seconds[REPEATS / 2], settings));
    Ok(())
}

fn metrics() -> [Metric; 3] {
    let total = Shape::Total { signal: REVENUE };
    [
        Metric::new("conversion", Shape::Share { signal: ORDERS }),
        Metric { covariate_days: 14, cap_quantile: Some(0.999), ..Metric::new("revenue_per_visitor", total) },
        Metric::new("average_order_value", Shape::Ratio { numerator: REVENUE, denominator: ORDERS }),
    ]
}

fn rows<T: Send>(count: usize, rng: &Rng, row: impl Fn(&mut Rng, usize) -> T + Sync) -> Vec<T> {
    let block = |start: usize| -> Vec<T> {
        let mut rng = rng.split(start as u64);
        (start..(start + BLOCK).min(count)).map(|place| row(&mut rng, place)).collect()
    };
    (0..count).into_par_iter().step_by(BLOCK).flat_map_iter(block).collect()
}

/// A unit's hash, from which its arm follows.
fn unit(rng: &mut Rng, units: usize) -> u64 {
    (rng.below(units) as u64 + 1).wrapping_mul(0xd134_2543_de82_ef95)
}

fn exposure(rng: &mut Rng, units: usize) -> Exposure {
    let unit = unit(rng, units);
    let at_ms = 14 * DAY_MS + rng.below(28 * DAY_MS as usize) as i64;
    Exposure { unit, at_ms, arm: (unit >> 20) as u16 % ARMS, segment: (unit >> 40) as u16 % SEGMENTS }
}

fn order(rng: &mut Rng, units: usize) -> [Outcome; 2] {
    let (unit, at_ms) = (unit(rng, units), rng.below(42 * DAY_MS as usize) as i64);
    let revenue = 40.0 * (0.8 * rng.normal()).exp();
    [(ORDERS, 1.0), (REVENUE, revenue)].map(|(signal, value)| Outcome { unit, at_ms, signal, value })
}
