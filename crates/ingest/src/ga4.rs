//! The GA4 Measurement Protocol: the same events under Google's names.

use compact_str::CompactString;
use merx_domain::{Device, Event, EventKind, Purposes, SubjectId, TimestampMs};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::device;
use crate::json::{number_text, text};
use crate::properties::Properties;
use crate::raw::{Arrival, BodyError, Identities, RawEvent, Reason, Rejection};
use crate::rules::Rules;
use crate::segment::{EventIdHasher, as_text, corrected, invalid_json, market_of, somebody};

/// Google's own bound.
const MAX_EVENTS: usize = 25;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    client_id: Option<&'a RawValue>,
    #[serde(borrow)]
    user_id: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp_micros: Option<&'a RawValue>,
    #[serde(borrow)]
    consent: Option<Consent<'a>>,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Consent<'a> {
    #[serde(borrow)]
    ad_user_data: Option<&'a RawValue>,
    #[serde(borrow)]
    ad_personalization: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp_micros: Option<&'a RawValue>,
}

/// Reads the body of `POST /mp/collect`: one answer an event, in the order sent. The protocol has no message ids; an
/// event is known by its content and its date.
pub fn read(body: &[u8], arrival: &Arrival<'_>, rules: &Rules) -> Result<Vec<Result<RawEvent, Rejection>>, BodyError> {
    let body: Body<'_> = serde_json::from_str(as_text(body, rules.limits.body_bytes)?).map_err(invalid_json)?;
    if body.events.len() > MAX_EVENTS {
        return Err(BodyError::TooManyEvents { events: body.events.len(), limit: MAX_EVENTS });
    }
    let read = |(position, raw): (usize, &&RawValue)| {
        read_event(raw, position, &body, arrival, rules).map_err(|reason| Rejection { position, reason })
    };
    Ok(body.events.iter().enumerate().map(read).collect())
}

fn read_event(
    raw: &RawValue,
    position: usize,
    body: &Body<'_>,
    arrival: &Arrival<'_>,
    rules: &Rules,
) -> Result<RawEvent, Reason> {
    let (bytes, limit) = (raw.get().len(), rules.limits.event_bytes);
    if bytes > limit {
        return Err(Reason::EventTooLarge { bytes, limit });
    }
    let item: Item<'_> =
        serde_json::from_str(raw.get()).map_err(|error| Reason::InvalidEvent { detail: error.to_string() })?;
    let name = text(item.name).ok_or(Reason::MissingEventName)?;
    let identities = identities(body)?;
    let micros = item.timestamp_micros.or(body.timestamp_micros);
    let occurred_at =
        micros.and_then(|raw| number_text(raw).parse::<i64>().ok()).map(|micros| TimestampMs(micros / 1_000));

    let kind = EventKind::from_ga4_name(&name).unwrap_or(EventKind::Custom);
    let id = event_id(body, position, raw, micros, arrival);
    let mut event = Event::new(id, SubjectId(0), kind, corrected(arrival.received_at, None, occurred_at));
    event.received_at = arrival.received_at;
    event.consent = body.consent.as_ref().map(stamp).unwrap_or_default();
    event.consent.global_privacy_control = arrival.global_privacy_control;
    event.context.device = arrival.user_agent.map_or(Device::Unknown, device::of_user_agent);
    event.context.library = Some(CompactString::const_new("measurement-protocol"));
    event.custom_name = (kind == EventKind::Custom).then(|| name.chars().take(40).collect());
    let mut mentions = Vec::new();
    let mut market = None;
    if let Some(params) = item.params {
        let properties = Properties::read(params, rules)?;
        market = properties.market();
        mentions = properties.fill(&mut event, rules)?;
    }
    event.context.market = market_of(market, None, &rules.market);
    Ok(RawEvent::new(identities, mentions, arrival.vouched, event))
}

fn identities(body: &Body<'_>) -> Result<Identities, Reason> {
    let identities =
        Identities { user_id: somebody(body.user_id), anonymous_id: somebody(body.client_id), ..Identities::default() };
    if identities.user_id.is_none() && identities.anonymous_id.is_none() {
        return Err(Reason::NoUserAnonId);
    }
    Ok(identities)
}

fn event_id(
    body: &Body<'_>,
    position: usize,
    raw: &RawValue,
    micros: Option<&RawValue>,
    arrival: &Arrival<'_>,
) -> merx_domain::EventId {
    let mut hasher = EventIdHasher::new(arrival.scope);
    hasher.part(b"ga4").part(&position.to_le_bytes());
    for part in [body.client_id, body.user_id, micros, Some(raw)] {
        hasher.part(part.map_or("", RawValue::get).as_bytes());
    }
    if micros.is_none() {
        hasher.part(&arrival.received_at.0.to_le_bytes());
    }
    hasher.finish()
}

/// `ad_user_data` is about handing data to others, `ad_personalization` about advertising.
fn stamp(consent: &Consent<'_>) -> merx_domain::ConsentStamp {
    let mut stamp = merx_domain::ConsentStamp::default();
    let answers = [(consent.ad_user_data, Purposes::SALE_SHARING), (consent.ad_personalization, Purposes::MARKETING)];
    for (answer, purpose) in answers {
        match text(answer).as_deref() {
            Some(yes) if yes.eq_ignore_ascii_case("granted") => stamp.granted |= purpose,
            Some(_) => stamp.denied |= purpose,
            None => {}
        }
    }
    stamp
}
