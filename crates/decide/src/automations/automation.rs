//! What an automation is.

use std::collections::BTreeMap;

use compact_str::CompactString;
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

impl Measure {
    fn name(self) -> &'static str {
        match self {
            Self::FallbackShare => "fallback_share",
            Self::TroubleShare => "trouble_share",
            Self::LatencyMs => "latency_ms",
            Self::KpiLoss => "kpi_loss",
        }
    }
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

impl Guardrail {
    /// Whether whatever breaches the other one breaches this one too. Windows of two lengths can't be compared.
    fn holds_as_much_as(&self, other: &Self) -> bool {
        self.measure == other.measure
            && self.at_most <= other.at_most
            && self.fewest <= other.fewest
            && self.window_minutes == other.window_minutes
    }
}

/// What an automation costs the shop, in minor units of its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Costs {
    pub one_time_minor: i64,
    pub monthly_minor: i64,
    pub per_thousand_decisions_minor: i64,
}

impl Costs {
    fn is_below(&self, other: &Self) -> bool {
        self.one_time_minor < other.one_time_minor
            || self.monthly_minor < other.monthly_minor
            || self.per_thousand_decisions_minor < other.per_thousand_decisions_minor
    }
}

/// Campaigns that may have a mode of their own at a time.
pub(super) const MOST_CAMPAIGNS: usize = 200;

/// Where a decision is made, as far as modes differ by it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub market: &'a MarketId,
    /// The campaign that the page belongs to.
    pub campaign: Option<&'a str>,
}

/// What a mode is set for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Wherever neither the market nor the campaign has one of its own.
    Everywhere,
    Market(MarketId),
    Campaign(CompactString),
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
    /// Where a campaign has another mode; where its market has one too, the more careful of both counts.
    #[serde(default)]
    pub campaigns: BTreeMap<CompactString, Mode>,
    pub guardrails: Vec<Guardrail>,
    /// Decisions an hour; beyond them the generic answer is served.
    pub most_per_hour: Option<u64>,
    pub starts_at: Option<TimestampMs>,
    pub ends_at: Option<TimestampMs>,
    /// More of it, and looser limits, need a second person.
    pub four_eyes: bool,
    pub killed: bool,
    /// Stays listed, does nothing.
    pub retired: bool,
    pub revision: u64,
    pub updated_at: TimestampMs,
    #[serde(default)]
    pub costs: Costs,
    /// What it may cost in a calendar month (UTC), in minor units; beyond it the generic answer is served until the month is over.
    #[serde(default)]
    pub monthly_budget_minor: Option<i64>,
    /// The end of the month whose budget is used up.
    #[serde(default)]
    pub spent_until: Option<TimestampMs>,
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
    /// It has decided enough for this hour, or cost enough for this month.
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
            Self::Capped => {
                "the automation has decided as much as it may in an hour, or cost as much as it may in a month"
            }
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
            campaigns: BTreeMap::new(),
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
            monthly_budget_minor: None,
            spent_until: None,
            mode_since: at,
        }
    }

    /// How likely somebody whom no holdout keeps from it meets it in a place; nobody is in a canary without a name.
    pub(super) fn chance(&self, place: Place<'_>, is_known: bool, now: TimestampMs) -> f64 {
        match self.mode_at(place) {
            mode if !self.may_act_at(now) || !mode.acts() => 0.0,
            Mode::Canary { share } if is_known => (f64::from(share) / f64::from(BUCKETS)).min(1.0),
            Mode::Canary { .. } => 0.0,
            _ => 1.0,
        }
    }

    /// Whether this month's budget is used up.
    pub(super) fn is_spent(&self, now: TimestampMs) -> bool {
        self.spent_until.is_some_and(|until| now < until)
    }

    /// Neither stopped nor retired, and within its time.
    fn may_act_at(&self, now: TimestampMs) -> bool {
        let begun = self.starts_at.is_none_or(|start| start <= now);
        let over = self.ends_at.is_some_and(|end| end <= now);
        !self.killed && !self.retired && begun && !over
    }

    /// The same description of an automation whose mode, stops and history are another's.
    pub(super) fn in_the_state_of(self, other: &Self) -> Self {
        Self {
            mode: other.mode,
            markets: other.markets.clone(),
            campaigns: other.campaigns.clone(),
            // Another budget has to be used up anew.
            spent_until: other.spent_until.filter(|_| self.monthly_budget_minor == other.monthly_budget_minor),
            killed: other.killed,
            retired: other.retired,
            revision: other.revision,
            updated_at: other.updated_at,
            mode_since: other.mode_since,
            ..self
        }
    }

    /// What another description would let it do that this one doesn't, in words: a guardrail that would be breached later or not at all,
    /// a higher cap, a longer time, less that its earnings have to make up for, another measure of them.
    pub(super) fn loosened_by(&self, wanted: &Self) -> Vec<String> {
        let mut loosened = Vec::new();
        for guardrail in &self.guardrails {
            if !wanted.guardrails.iter().any(|other| other.holds_as_much_as(guardrail)) {
                let Guardrail { measure, at_most, fewest, window_minutes } = guardrail;
                loosened.push(format!(
                    "the guardrail on {} (at most {at_most}, of {fewest} or more in {window_minutes} minutes) is loosened or left out",
                    measure.name()
                ));
            }
        }
        if let Some(most) = self.most_per_hour
            && wanted.most_per_hour.is_none_or(|other| other > most)
        {
            let words = wanted.most_per_hour.map_or_else(|| "no cap".to_owned(), |other| other.to_string());
            loosened.push(format!("the cap goes from {most} decisions an hour to {words}"));
        }
        if let Some(start) = self.starts_at
            && wanted.starts_at.is_none_or(|other| other < start)
        {
            loosened.push(format!("it starts before {start}"));
        }
        if let Some(end) = self.ends_at
            && wanted.ends_at.is_none_or(|other| other > end)
        {
            loosened.push(format!("it goes on after {end}"));
        }
        if let Some(budget) = self.monthly_budget_minor
            && wanted.monthly_budget_minor.is_none_or(|other| other > budget)
        {
            loosened.push("it may cost more in a month".to_owned());
        }
        if wanted.costs.is_below(&self.costs) {
            loosened.push("its earnings have to make up for less".to_owned());
        }
        if wanted.kpi != self.kpi {
            loosened.push(format!("it is kept for {} and no longer for {}", wanted.kpi, self.kpi));
        }
        loosened
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
        self.may_act_at(now) && self.mode.acts()
    }

    /// A mode of the market's or the campaign's own counts over the one for everywhere; of both the more careful.
    pub fn mode_at(&self, place: Place<'_>) -> Mode {
        let of_market = self.markets.get(place.market).copied();
        let of_campaign = place.campaign.and_then(|campaign| self.campaigns.get(campaign)).copied();
        of_market.into_iter().chain(of_campaign).min().unwrap_or(self.mode)
    }

    /// The mode that counts for a reach now.
    pub(super) fn mode_of(&self, reach: &Reach) -> Mode {
        let own = match reach {
            Reach::Everywhere => None,
            Reach::Market(market) => self.markets.get(market),
            Reach::Campaign(campaign) => self.campaigns.get(campaign),
        };
        own.copied().unwrap_or(self.mode)
    }

    /// Every mode that stands somewhere.
    pub(super) fn modes_mut(&mut self) -> impl Iterator<Item = &mut Mode> {
        std::iter::once(&mut self.mode).chain(self.markets.values_mut()).chain(self.campaigns.values_mut())
    }

    /// What it may do for somebody now. The same person is always on the same side of a canary.
    pub(super) fn allows(&self, place: Place<'_>, subject: Option<SubjectId>, now: TimestampMs) -> Taken {
        if !self.may_act_at(now) {
            return Taken::Off;
        }
        match self.mode_at(place) {
            Mode::Off => Taken::Off,
            Mode::Shadow => Taken::Shadow,
            Mode::Suggest => Taken::Suggest,
            _ if self.is_spent(now) => Taken::Capped,
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
        let place = Place { market: &market, campaign: None };
        let automation =
            |share| Automation { mode: Mode::Canary { share }, ..Automation::of_engine("recommend", TimestampMs(0)) };
        let acts = |share, subject| automation(share).allows(place, Some(SubjectId(subject)), TimestampMs(1)).acts();
        let count = (0..10_000).filter(|subject| acts(2_000, *subject)).count();
        assert!((1_850..2_150).contains(&count), "{count}");
        assert!((0..2_000).all(|subject| !acts(2_000, subject) || acts(3_000, subject)), "more of it moves nobody out");
        assert_eq!(automation(9_999).allows(place, None, TimestampMs(1)), Taken::OutsideCanary);
    }

    #[test]
    fn the_more_careful_of_a_market_and_a_campaign_counts() {
        let (us, de) = (MarketId::new("us").unwrap(), MarketId::new("de").unwrap());
        let automation = Automation {
            mode: Mode::Shadow,
            markets: BTreeMap::from([(us.clone(), Mode::Off)]),
            campaigns: BTreeMap::from([("sale".into(), Mode::Live)]),
            ..Automation::of_engine("recommend", TimestampMs(0))
        };
        let mode = |market, campaign| automation.mode_at(Place { market, campaign });
        assert_eq!(mode(&de, None), Mode::Shadow);
        assert_eq!(mode(&de, Some("sale")), Mode::Live);
        assert_eq!(mode(&de, Some("another")), Mode::Shadow);
        assert_eq!(mode(&us, Some("sale")), Mode::Off, "what a market forbids no campaign allows");
    }
}
