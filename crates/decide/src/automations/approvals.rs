//! What waits for a second pair of eyes.

use merx_domain::{MarketId, TimestampMs};
use serde::{Deserialize, Serialize};

use super::automation::Mode;

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

/// A mode that somebody asked for and somebody else has to agree to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// From 1.
    pub number: u64,
    pub automation: String,
    /// `None`: in every market without a mode of its own.
    pub market: Option<MarketId>,
    pub mode: Mode,
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
