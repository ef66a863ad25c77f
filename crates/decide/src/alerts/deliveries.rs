//! What is to be carried, when it is tried again, and when it is given up.

use merx_domain::{MINUTE_MS, SECOND_MS, TimestampMs};
use serde::{Deserialize, Serialize};

/// Waits after each failed try, as the Standard Webhooks specification (1.0, "deliverability and reliability") suggests them.
const WAITS_MS: [i64; 7] =
    [5 * SECOND_MS, 5 * MINUTE_MS, 30 * MINUTE_MS, 120 * MINUTE_MS, 300 * MINUTE_MS, 600 * MINUTE_MS, 600 * MINUTE_MS];
/// After so many a delivery is dead.
pub const MOST_TRIES: u32 = WAITS_MS.len() as u32 + 1;

/// Who is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// By its id.
    Webhook(String),
    /// Whoever the configuration names.
    Mail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    Waiting,
    Delivered,
    /// Given up.
    Dead,
}

impl DeliveryState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

/// An alert on its way to somebody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// From 1; receivers know repeats of it by its id.
    pub number: u64,
    pub alert: u64,
    pub target: Target,
    pub state: DeliveryState,
    pub tries: u32,
    pub created_at: TimestampMs,
    /// Not before.
    pub due_at: TimestampMs,
    pub ended_at: Option<TimestampMs>,
    pub last_error: Option<String>,
}

impl Delivery {
    /// The same for every try, and for no other delivery.
    pub fn id(&self) -> String {
        format!("msg_{:08}_{:08}", self.alert, self.number)
    }

    /// After a try.
    pub(super) fn tried(mut self, outcome: Result<(), String>, now: TimestampMs) -> Self {
        self.tries += 1;
        match outcome {
            Ok(()) => {
                (self.state, self.ended_at, self.last_error) = (DeliveryState::Delivered, Some(now), None);
            }
            Err(error) => {
                self.last_error = Some(error.chars().take(500).collect());
                match WAITS_MS.get(self.tries as usize - 1) {
                    Some(wait) => self.due_at = now.plus_ms(*wait),
                    None => (self.state, self.ended_at) = (DeliveryState::Dead, Some(now)),
                }
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_grow_rarer_and_end() {
        let mut delivery = Delivery {
            number: 1,
            alert: 3,
            target: Target::Mail,
            state: DeliveryState::Waiting,
            tries: 0,
            created_at: TimestampMs(0),
            due_at: TimestampMs(0),
            ended_at: None,
            last_error: None,
        };
        let mut waits = Vec::new();
        while delivery.state == DeliveryState::Waiting {
            let now = delivery.due_at;
            delivery = delivery.tried(Err("no".repeat(400)), now);
            waits.push(delivery.due_at.since(now));
        }
        assert_eq!(waits.len(), MOST_TRIES as usize);
        assert!(waits[..MOST_TRIES as usize - 1].is_sorted());
        assert_eq!((delivery.state, delivery.last_error.unwrap().len()), (DeliveryState::Dead, 500));
    }
}
