//! What a change to the shop was worth: experiments, from exposures to a verdict.
//!
//! [`join`] turns exposures and outcomes into [`Moments`], sums that merge; [`Arm`] reads a metric off them (mean, share,
//! ratio by the delta method, adjusted by CUPED); [`Effect`] compares two arms; [`report`] is the page that asks all
//! questions in order. Intervals come in three kinds that don't mix: for one look ([`Effect::fixed`]), for any number of
//! looks ([`Sequential`]), and Bayesian ([`bayes`]).
//!
//! [`shop`] reads a shop's experiments off its event log. Nothing here knows who is to be assigned to what
//! (`domain::experiment`), which backend keeps the log, or what time it is.

pub mod agreement;
mod arm;
pub mod bandit;
pub mod bayes;
pub mod drift;
mod effect;
pub mod fairness;
pub mod heterogeneity;
pub mod holdout;
mod metric;
mod moments;
pub mod multiple;
pub mod off_policy;
mod panel;
mod periods;
pub mod power;
pub mod protocols;
mod quantiles;
pub mod report;
pub mod sample_ratio;
mod sequential;
pub mod shop;

pub use arm::Arm;
pub use effect::{Alternative, Effect, Reading, Scale, Unreadable};
pub use metric::{Metric, MetricError, Shape, SignalId};
pub use moments::{Moments, Observation, Sums};
pub use panel::{Exposure, Outcome, Panel, PanelError, PanelShape, join};
pub use periods::{LongTerm, PeriodEffects, Periods};
pub use quantiles::{QuantileEstimate, Sketch};
pub use sequential::Sequential;
