//! What waits for a second pair of eyes.

use compact_str::CompactString;
use merx_domain::{MarketId, TimestampMs};
use serde::{Deserialize, Serialize};

use super::automation::{Automation, Mode, Reach};
use crate::audit::Act;

/// Why somebody should agree: each part is asked for, none may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Case {
    pub why: String,
    pub expected_effect: String,
    pub risk: String,
    pub roll_back: String,
}

impl Case {
    /// Parts that are empty.
    pub fn missing(&self) -> Vec<&'static str> {
        let parts = [
            ("why", &self.why),
            ("expected_effect", &self.expected_effect),
            ("risk", &self.risk),
            ("roll_back", &self.roll_back),
        ];
        parts.into_iter().filter(|(_, text)| text.trim().is_empty()).map(|(name, _)| name).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    Waiting,
    Approved,
    Refused,
}

/// Looser limits that somebody wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// As it was when they asked: an agreement to change something else is none.
    pub before: Automation,
    pub wanted: Automation,
    /// What it would loosen, in words.
    pub loosened: Vec<String>,
}

/// A mode, or looser limits, that somebody asked for and somebody else has to agree to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// From 1.
    pub number: u64,
    pub automation: String,
    /// `None`: in every market without a mode of its own.
    pub market: Option<MarketId>,
    /// Only where a page belongs to it.
    #[serde(default)]
    pub campaign: Option<CompactString>,
    /// `None`: it is about terms.
    pub mode: Option<Mode>,
    #[serde(default)]
    pub terms: Option<Box<Terms>>,
    pub case: Case,
    pub asked_by: String,
    pub asked_at: TimestampMs,
    pub state: ApprovalState,
    pub decided_by: Option<String>,
    pub decided_at: Option<TimestampMs>,
    /// Why it was decided so, in the words of who did.
    #[serde(default)]
    pub reason: String,
}

impl Approval {
    /// Where the mode that is asked for would count.
    pub(super) fn reach(&self) -> Reach {
        match (&self.market, &self.campaign) {
            (Some(market), _) => Reach::Market(market.clone()),
            (None, Some(campaign)) => Reach::Campaign(campaign.clone()),
            (None, None) => Reach::Everywhere,
        }
    }

    /// Waits, for nothing yet.
    pub(super) fn asked(automation: String, case: Case, act: Act<'_>) -> Self {
        Self {
            number: 0,
            automation,
            market: None,
            campaign: None,
            mode: None,
            terms: None,
            case,
            asked_by: act.by.to_owned(),
            asked_at: act.at,
            state: ApprovalState::Waiting,
            decided_by: None,
            decided_at: None,
            reason: String::new(),
        }
    }
}
