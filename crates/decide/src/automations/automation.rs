//! What an automation is.

use std::collections::BTreeMap;

use merx_domain::experiment::{BUCKETS, bucket};
use merx_domain::{MarketId, SubjectId, TimestampMs};
use serde::{Deserialize, Serialize};

/// How much an engine does by itself, from nothing to everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    Off,
    /// Computed and recorded, never shown.
    Shadow,
    /// As `Shadow`, and going live waits for somebody's approval.
    Suggest,
    /// For so many of 10,000 people.
    Canary {
        share: u16,
    },
    Live,
}

/// Where an automation that was too much is taken back to first.
const FIRST_STEP_BACK: u16 = BUCKETS / 10;

impl Mode {
    pub fn acts(self) -> bool {
        self >= Self::Canary { share: 0 }
    }

    /// One step less: live to a tenth of the people, a canary to shadow.
    pub fn stepped_back(self) -> Self {
        match self {
            Self::Live => Self::Canary { share: FIRST_STEP_BACK },
            Self::Canary { .. } => Self::Shadow,
            other => other,
        }
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Shadow => f.write_str("shadow"),
            Self::Suggest => f.write_str("suggest"),
            Self::Canary { share } => write!(f, "canary {} %", f64::from(*share) / 100.0),
            Self::Live => f.write_str("live"),
        }
    }
}

/// What a guardrail looks at; everything in the guardrail's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Share of decisions that no model answered.
    FallbackShare,
    /// Share of decisions on whose way something went wrong.
    TroubleShare,
    /// 95th percentile, in milliseconds.
    LatencyMs,
    /// By how much revenue a visitor is lower, at the least, than of those who go without: the near end of an interval that stays valid
    /// however often somebody looks. 0 while it may as well be higher.
    KpiLoss,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Guardrail {
    pub measure: Measure,
    /// Above it is a breach.
    pub at_most: f64,
    /// Of decisions; fewer in the window say nothing.
    pub fewest: u64,
    /// Up to an hour.
    pub window_minutes: u32,
}

/// What an automation costs the shop, in minor units of its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Costs {
    pub one_time_minor: i64,
    pub monthly_minor: i64,
    pub per_thousand_decisions_minor: i64,
}

/// An engine's action and its limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Automation {
    /// The engine: `recommend`, `search`.
    pub name: String,
    pub owner: String,
    pub purpose: String,
    /// The metric that it is kept for.
    pub kpi: String,
    pub mode: Mode,
    /// Where a market has another mode.
    pub markets: BTreeMap<MarketId, Mode>,
    pub guardrails: Vec<Guardrail>,
    /// Decisions an hour; beyond them the generic answer is served.
    pub most_per_hour: Option<u64>,
    pub starts_at: Option<TimestampMs>,
    pub ends_at: Option<TimestampMs>,
    /// More of it needs a second person.
    pub four_eyes: bool,
    pub killed: bool,
    /// Stays listed, does nothing.
    pub retired: bool,
    pub revision: u64,
    pub updated_at: TimestampMs,
    #[serde(default)]
    pub costs: Costs,
    /// Since when it has its mode: what it earns is counted from then on.
    #[serde(default)]
    pub mode_since: TimestampMs,
}

/// What an automation was allowed in one decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Taken {
    Live,
    Canary,
    /// The canary is for others.
    OutsideCanary,
    Shadow,
    Suggest,
    Off,
    /// It has decided enough for this hour.
    Capped,
}

impl Taken {
    pub fn acts(self) -> bool {
        matches!(self, Self::Live | Self::Canary)
    }

    /// Whether the proposal is computed and recorded beside what is served.
    pub fn is_watched(self) -> bool {
        matches!(self, Self::Shadow | Self::Suggest)
    }

    /// In words, for who asks why; `None` where nothing was held back.
    pub fn words(self) -> Option<&'static str> {
        Some(match self {
            Self::Live | Self::Canary => return None,
            Self::OutsideCanary => "the automation runs for a part of the shoppers only, and this one isn't among them",
            Self::Shadow => "the automation is in shadow: its proposal was recorded and not shown",
            Self::Suggest => "the automation waits for an approval: its proposal was recorded and not shown",
            Self::Off => "the automation is off",
            Self::Capped => "the automation has decided as much as it may in an hour",
        })
    }
}

impl Automation {
    /// As every engine begins: live, with nothing but its name.
    pub fn of_engine(name: &str, at: TimestampMs) -> Self {
        Self {
            name: name.to_owned(),
            owner: String::new(),
            purpose: String::new(),
            kpi: "conversion".to_owned(),
            mode: Mode::Live,
            markets: BTreeMap::new(),
            guardrails: Vec::new(),
            most_per_hour: None,
            starts_at: None,
            ends_at: None,
            four_eyes: false,
            killed: false,
            retired: false,
            revision: 0,
            updated_at: at,
            costs: Costs::default(),
            mode_since: at,
        }
    }

    /// Whether somebody is in the canary of the mode that counts everywhere, where it is one.
    pub fn is_in_canary(&self, subject: SubjectId) -> Option<bool> {
        match self.mode {
            Mode::Canary { share } => Some(bucket(&self.name, &subject.to_string()) < share),
            _ => None,
        }
    }

    /// Whether it does anything by itself, in the mode that counts everywhere.
    pub fn acts_at(&self, now: TimestampMs) -> bool {
        let begun = self.starts_at.is_none_or(|start| start <= now);
        let over = self.ends_at.is_some_and(|end| end <= now);
        !self.killed && !self.retired && begun && !over && self.mode.acts()
    }

    pub fn mode_in(&self, market: &MarketId) -> Mode {
        self.markets.get(market).copied().unwrap_or(self.mode)
    }

    /// What it may do for somebody now. The same person is always on the same side of a canary.
    pub(super) fn allows(&self, market: &MarketId, subject: Option<SubjectId>, now: TimestampMs) -> Taken {
        let begun = self.starts_at.is_none_or(|start| start <= now);
        let over = self.ends_at.is_some_and(|end| end <= now);
        if self.killed || self.retired || !begun || over {
            return Taken::Off;
        }
        match self.mode_in(market) {
            Mode::Off => Taken::Off,
            Mode::Shadow => Taken::Shadow,
            Mode::Suggest => Taken::Suggest,
            Mode::Live => Taken::Live,
            Mode::Canary { share } => {
                let lot = subject.map(|subject| bucket(&self.name, &subject.to_string()));
                if lot.is_some_and(|lot| lot < share) { Taken::Canary } else { Taken::OutsideCanary }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_grow_and_step_back() {
        let modes =
            [Mode::Off, Mode::Shadow, Mode::Suggest, Mode::Canary { share: 0 }, Mode::Canary { share: 5 }, Mode::Live];
        assert!(modes.is_sorted());
        assert_eq!(modes.map(Mode::acts), [false, false, false, true, true, true]);
        assert_eq!(Mode::Live.stepped_back().to_string(), "canary 10 %");
        assert_eq!(Mode::Live.stepped_back().stepped_back(), Mode::Shadow);
    }

    #[test]
    fn a_canary_is_as_large_as_it_says_and_always_the_same_people() {
        let market = MarketId::default();
        let automation =
            |share| Automation { mode: Mode::Canary { share }, ..Automation::of_engine("recommend", TimestampMs(0)) };
        let acts = |share, subject| automation(share).allows(&market, Some(SubjectId(subject)), TimestampMs(1)).acts();
        let count = (0..10_000).filter(|subject| acts(2_000, *subject)).count();
        assert!((1_850..2_150).contains(&count), "{count}");
        assert!((0..2_000).all(|subject| !acts(2_000, subject) || acts(3_000, subject)), "more of it moves nobody out");
        assert_eq!(automation(9_999).allows(&market, None, TimestampMs(1)), Taken::OutsideCanary);
    }
}
