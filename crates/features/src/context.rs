//! When, where and on what: features that need no state, the same for an event and for a request.

use merx_domain::{Device, Event, MarketId, Situation, TimestampMs};

#[derive(Debug, Clone, PartialEq)]
pub struct Context {
    /// 0 to 23, UTC.
    pub hour: u8,
    /// Monday is 0, UTC.
    pub weekday: u8,
    pub market: MarketId,
    pub device: Device,
}

impl Context {
    pub const NAME: &'static str = "context";

    pub fn of_event(event: &Event) -> Self {
        Self::at(event.occurred_at, event.context.market.clone(), event.context.device)
    }

    pub fn of_request(situation: &Situation) -> Self {
        Self::at(situation.now, situation.market.clone(), situation.device)
    }

    fn at(at: TimestampMs, market: MarketId, device: Device) -> Self {
        Self { hour: at.hour(), weekday: at.weekday(), market, device }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use merx_domain::{ConsentStamp, DecisionId, EventId, EventKind, SubjectId};

    #[test]
    fn an_event_and_a_request_of_the_same_moment_agree() {
        let at = TimestampMs::parse("2026-01-02T13:45:00Z").unwrap();
        let mut event = Event::new(EventId(1), SubjectId(1), EventKind::Page, at);
        event.context.device = Device::Phone;
        let situation = Situation {
            decision: DecisionId(1),
            subject: None,
            market: MarketId::default(),
            device: Device::Phone,
            now: at,
            seed: 0,
            consent: ConsentStamp::default(),
        };
        assert_eq!(Context::of_event(&event), Context::of_request(&situation));
        assert_eq!((Context::of_event(&event).hour, Context::of_event(&event).weekday), (13, 4));
    }
}
