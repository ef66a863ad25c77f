//! Whether the statistics keep their word: simulations with a known truth, published cases, real experiments, and speed.
//! `merx bench experiments`.

mod asos;
mod cases;
mod family;
mod shoppers;
mod simulation;
mod speed;

use serde::Serialize;

pub use self::asos::{Checkpoint, read_series};
pub use self::cases::{CasesError, read_cases};
pub use self::simulation::simulate;
pub use self::speed::measure_speed;

/// One measured number; serialised, a line of the command's output.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    pub metric: String,
    pub value: f64,
    pub unit: &'static str,
    /// Where the truth lies with 95 % confidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    pub set: String,
    pub settings: serde_json::Value,
}

/// Takes each figure as soon as it is known.
pub type Emit<'a> = dyn FnMut(&Figure) + 'a;

/// A share of trials with its interval after Wilson, "Probable inference, the law of succession, and statistical
/// inference", 1927.
fn share(metric: &str, set: &str, hits: usize, trials: usize, settings: serde_json::Value) -> Figure {
    let (n, z) = (trials.max(1) as f64, 1.959_963_984_540_054);
    let p = hits as f64 / n;
    let middle = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    Figure {
        metric: metric.to_owned(),
        value: p,
        unit: "fraction",
        interval: Some([(middle - half).max(0.0), (middle + half).min(1.0)]),
        set: set.to_owned(),
        settings,
    }
}

fn number(metric: &str, unit: &'static str, set: &str, value: f64, settings: serde_json::Value) -> Figure {
    Figure { metric: metric.to_owned(), value, unit, interval: None, set: set.to_owned(), settings }
}
