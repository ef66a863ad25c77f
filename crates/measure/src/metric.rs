//! What is measured of a unit after its exposure.

use serde::{Deserialize, Serialize};

/// A stream of outcomes with a value each: purchases with their revenue, visits, margins. The caller numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SignalId(pub u16);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Share of units with at least one outcome: conversion.
    Share { signal: SignalId },
    /// Sum of the outcomes' values a unit: revenue per visitor, margin.
    Total { signal: SignalId },
    /// All values of one signal by all values of another: average order value.
    Ratio { numerator: SignalId, denominator: SignalId },
    /// Share of units that came back on days `from_day` (counted from 0) to `to_day`, the latter left out. Units exposed less
    /// than `to_day` days ago don't count yet.
    Retention { signal: SignalId, from_day: u16, to_day: u16 },
}

/// A metric of an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    pub name: String,
    pub shape: Shape,
    /// Outcomes count up to so many days after a unit's exposure. Of retention, its own days count.
    pub window_days: u16,
    /// The same quantity over so many days before the exposure is the covariate of CUPED; 0 for none.
    pub covariate_days: u16,
    /// Winsorising: larger values count as this quantile of all units' values (0.999, say), the same in all arms.
    pub cap_quantile: Option<f64>,
    /// Whether an increase is good.
    pub higher_is_better: bool,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MetricError {
    #[error("metric {name}: the window is empty; give at least one day")]
    EmptyWindow { name: String },
    #[error("metric {name}: the cap {quantile} is no quantile between 0.5 and 1")]
    Cap { name: String, quantile: f64 },
    #[error("metric {name}: a share is 0 or 1 and can't be capped")]
    CappedShare { name: String },
    #[error("metric {name}: a ratio of a signal to itself is 1")]
    RatioToItself { name: String },
    #[error("two metrics are named {name}")]
    Duplicate { name: String },
}

impl Metric {
    /// Two weeks after the exposure, no covariate, no cap, higher is better.
    pub fn new(name: impl Into<String>, shape: Shape) -> Self {
        Self {
            name: name.into(),
            shape,
            window_days: 14,
            covariate_days: 0,
            cap_quantile: None,
            higher_is_better: true,
        }
    }

    pub fn check_all(metrics: &[Self]) -> Result<(), MetricError> {
        for (place, metric) in metrics.iter().enumerate() {
            metric.check()?;
            if metrics[..place].iter().any(|other| other.name == metric.name) {
                return Err(MetricError::Duplicate { name: metric.name.clone() });
            }
        }
        Ok(())
    }

    pub fn check(&self) -> Result<(), MetricError> {
        let name = || self.name.clone();
        let empty = match self.shape {
            Shape::Retention { from_day, to_day, .. } => from_day >= to_day,
            _ => self.window_days == 0,
        };
        if empty {
            return Err(MetricError::EmptyWindow { name: name() });
        }
        if let Shape::Ratio { numerator, denominator } = self.shape
            && numerator == denominator
        {
            return Err(MetricError::RatioToItself { name: name() });
        }
        match self.cap_quantile {
            Some(_) if self.is_share() => Err(MetricError::CappedShare { name: name() }),
            Some(quantile) if !(0.5..1.0).contains(&quantile) => Err(MetricError::Cap { name: name(), quantile }),
            _ => Ok(()),
        }
    }

    pub fn is_ratio(&self) -> bool {
        matches!(self.shape, Shape::Ratio { .. })
    }

    pub fn is_share(&self) -> bool {
        matches!(self.shape, Shape::Share { .. } | Shape::Retention { .. })
    }
}
