//! The Segment tracking API, and RudderStack's dialect of it: from the bytes of a request to events.
//!
//! Pure: no clock, no store. Each event of a batch is read by itself, so that a bad one costs nothing but itself.

use std::borrow::Cow;

use compact_str::CompactString;
use merx_domain::{Event, EventId, EventKind, Identity, IdentityKind, MarketId, SubjectId, TimestampMs};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::context::{Context, MergedContext, path_of, region_of};
use crate::json::{text, timestamp};
use crate::personal::{looks_personal, without_query};
use crate::properties::{Properties, keep};
use crate::raw::{Arrival, BodyError, Identities, RawEvent, Reason, Rejection};
use crate::rules::{MarketRules, Rules};

/// Longest name of a custom event that is kept, in bytes.
const MAX_EVENT_NAME_BYTES: usize = 200;

/// Ids that broken senders make of nothing. Taken at their word, all their visitors would be one person.
const NOBODY: &[&str] = &["null", "undefined", "none", "nil", "nan", "[object object]", "anonymous"];

/// Which call a path stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Track,
    Page,
    Screen,
    Identify,
    Group,
    Alias,
    Batch,
}

impl Call {
    /// The call of a path's last part: the long names of the servers' libraries and the one-letter names of the browser's.
    pub fn from_path(part: &str) -> Option<Self> {
        match part {
            "track" | "t" => Some(Self::Track),
            "page" | "p" => Some(Self::Page),
            "screen" | "s" => Some(Self::Screen),
            "identify" | "i" => Some(Self::Identify),
            "group" | "g" => Some(Self::Group),
            "alias" | "a" => Some(Self::Alias),
            "batch" | "b" | "import" => Some(Self::Batch),
            _ => None,
        }
    }

    fn from_type(name: &str) -> Option<Self> {
        match name {
            "track" => Some(Self::Track),
            "page" => Some(Self::Page),
            "screen" => Some(Self::Screen),
            "identify" => Some(Self::Identify),
            "group" => Some(Self::Group),
            "alias" => Some(Self::Alias),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    batch: Vec<&'a RawValue>,
    #[serde(borrow, default, rename = "sentAt")]
    sent_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    context: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Item<'a> {
    #[serde(borrow, rename = "type")]
    call: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    user_id: Option<&'a RawValue>,
    #[serde(borrow)]
    anonymous_id: Option<&'a RawValue>,
    #[serde(borrow)]
    previous_id: Option<&'a RawValue>,
    #[serde(borrow)]
    group_id: Option<&'a RawValue>,
    #[serde(borrow)]
    message_id: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    original_timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    sent_at: Option<&'a RawValue>,
    #[serde(borrow)]
    properties: Option<&'a RawValue>,
    #[serde(borrow)]
    traits: Option<&'a RawValue>,
    #[serde(borrow)]
    context: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    category: Option<&'a RawValue>,
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
}

/// What the events of one request share.
struct Request<'r, 'a> {
    arrival: &'r Arrival<'r>,
    rules: &'r Rules,
    sent_at: Option<TimestampMs>,
    context: Option<Context<'a>>,
}

/// Reads a request's body, already un-gzipped and whatever its content type says: one answer an event, in the order sent.
pub fn read(
    body: &[u8],
    call: Call,
    arrival: &Arrival<'_>,
    rules: &Rules,
) -> Result<Vec<Result<RawEvent, Rejection>>, BodyError> {
    let body = as_text(body, rules.limits.body_bytes)?;
    if call != Call::Batch {
        let raw: &RawValue = serde_json::from_str(body).map_err(invalid_json)?;
        let request = Request { arrival, rules, sent_at: None, context: None };
        return Ok(vec![request.read_item(raw, Some(call), 0)]);
    }
    let batch: Batch<'_> = serde_json::from_str(body).map_err(invalid_json)?;
    if batch.batch.len() > rules.limits.batch_events {
        return Err(BodyError::TooManyEvents { events: batch.batch.len(), limit: rules.limits.batch_events });
    }
    let context = batch.context.map(|raw| Context::read(raw, rules)).transpose().map_err(invalid_json)?;
    let sent_at = text(batch.sent_at).as_deref().and_then(timestamp);
    let request = Request { arrival, rules, sent_at, context };
    Ok(batch.batch.iter().enumerate().map(|(position, raw)| request.read_item(raw, None, position)).collect())
}

/// The write key of a body that came without an `Authorization` header.
pub fn write_key(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Keyed<'a> {
        #[serde(borrow, rename = "writeKey")]
        write_key: Option<&'a RawValue>,
    }
    let keyed: Keyed<'_> = serde_json::from_slice(body).ok()?;
    text(keyed.write_key).map(Cow::into_owned)
}

pub(crate) fn as_text(body: &[u8], limit: usize) -> Result<&str, BodyError> {
    if body.len() > limit {
        return Err(BodyError::TooLarge { bytes: body.len(), limit });
    }
    let text = std::str::from_utf8(body).map_err(|error| BodyError::InvalidJson { detail: error.to_string() })?;
    Ok(text.trim_start_matches('\u{feff}'))
}

pub(crate) fn invalid_json(error: serde_json::Error) -> BodyError {
    BodyError::InvalidJson { detail: error.to_string() }
}

impl<'a> Request<'_, 'a> {
    fn read_item(&self, raw: &'a RawValue, call: Option<Call>, position: usize) -> Result<RawEvent, Rejection> {
        self.read_event(raw, call).map_err(|reason| Rejection { position, reason })
    }

    fn read_event(&self, raw: &'a RawValue, call: Option<Call>) -> Result<RawEvent, Reason> {
        let (bytes, limit) = (raw.get().len(), self.rules.limits.event_bytes);
        if bytes > limit {
            return Err(Reason::EventTooLarge { bytes, limit });
        }
        let item = read_object(raw).map_err(|error| Reason::InvalidEvent { detail: error.to_string() })?;
        let call = call.map_or_else(|| item.call(), Ok)?;
        let mut identities = item.identities(call)?;
        let own_context = item.context.map(|raw| Context::read(raw, self.rules)).transpose();
        let own_context = own_context.map_err(|error| Reason::InvalidContext { detail: error.to_string() })?;
        let context = MergedContext { own: own_context.as_ref(), batch: self.context.as_ref() };

        let mut event = Event::new(self.event_id(&item), SubjectId(0), item.kind(call)?, self.occurred_at(&item)?);
        event.received_at = self.arrival.received_at;
        event.consent = context.consent(&self.rules.consent, self.arrival.global_privacy_control);
        event.context = context.to_event(item.is_from_server(), self.arrival.user_agent);
        if event.kind == EventKind::Custom {
            event.custom_name = text(item.event).map(|name| cut(&name)).filter(|name| !looks_personal(name));
        }

        let mut market = None;
        let mut mentions = Vec::new();
        match (call, item.properties, item.traits) {
            (Call::Identify, _, Some(traits)) => read_traits(traits, &mut identities.details, &mut event)?,
            (Call::Group, properties, traits) => {
                for raw in properties.into_iter().chain(traits) {
                    Properties::read(raw, self.rules)?.fill(&mut event, self.rules)?;
                }
            }
            (Call::Page, Some(properties), _) => read_page(properties, &mut event)?,
            (_, Some(properties), _) => {
                let properties = Properties::read(properties, self.rules)?;
                market = properties.market();
                mentions = properties.fill(&mut event, self.rules)?;
            }
            _ => {}
        }
        item.keep_own_names(&mut event);
        event.decision = event.decision.or_else(|| context.decision_id()?.parse().ok());
        let locale = event.context.locale.as_deref();
        event.context.market = market_of(market.or_else(|| context.market()), locale, &self.rules.market);
        Ok(RawEvent::new(identities, mentions, self.arrival.vouched, event))
    }

    /// When it happened by our clock: the sender's clock counts only for the time between happening and sending.
    fn occurred_at(&self, item: &Item<'a>) -> Result<TimestampMs, Reason> {
        let original = match item.original_timestamp {
            Some(raw) => date("originalTimestamp", Some(raw))?,
            None => date("timestamp", item.timestamp)?,
        };
        let sent = date("sentAt", item.sent_at)?.or(self.sent_at);
        Ok(corrected(self.arrival.received_at, sent, original))
    }

    /// The same message has the same id however often it comes. A message without an id is known by its content; if it
    /// has no date either, by the moment it came, since two equal messages may well be two events.
    fn event_id(&self, item: &Item<'a>) -> EventId {
        let mut hasher = EventIdHasher::new(self.arrival.scope);
        if let Some(message_id) = text(item.message_id) {
            return hasher.part(b"message").part(message_id.as_bytes()).finish();
        }
        hasher.part(b"content");
        let parts = [
            item.call,
            item.event,
            item.user_id,
            item.anonymous_id,
            item.previous_id,
            item.timestamp,
            item.original_timestamp,
            item.properties,
            item.traits,
            item.name,
        ];
        for part in parts {
            hasher.part(part.map_or("", RawValue::get).as_bytes());
        }
        if item.timestamp.or(item.original_timestamp).is_none() {
            hasher.part(&self.arrival.received_at.0.to_le_bytes());
        }
        hasher.finish()
    }
}

/// Makes event ids: BLAKE3 over parts that can't run into each other, cut to 128 bits.
pub(crate) struct EventIdHasher(blake3::Hasher);

impl EventIdHasher {
    pub(crate) fn new(scope: &str) -> Self {
        let mut hasher = Self(blake3::Hasher::new());
        hasher.part(b"merx event 1").part(scope.as_bytes());
        hasher
    }

    pub(crate) fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        self
    }

    pub(crate) fn finish(&self) -> EventId {
        let mut id = [0; 16];
        self.0.finalize_xof().fill(&mut id);
        EventId::from_bytes(id)
    }
}

/// Derived structs would take a list for their fields in order; only objects are meant.
fn read_object(raw: &RawValue) -> Result<Item<'_>, serde_json::Error> {
    if !raw.get().starts_with('{') {
        return Err(serde::de::Error::custom("expected an object"));
    }
    serde_json::from_str(raw.get())
}

impl Item<'_> {
    fn call(&self) -> Result<Call, Reason> {
        let name = text(self.call).unwrap_or_default();
        Call::from_type(&name).ok_or_else(|| Reason::UnknownType { detail: name.chars().take(40).collect() })
    }

    fn kind(&self, call: Call) -> Result<EventKind, Reason> {
        Ok(match call {
            Call::Track => {
                let name = text(self.event).ok_or(Reason::MissingEventName)?;
                EventKind::from_track_name(&name).unwrap_or(EventKind::Custom)
            }
            Call::Page => EventKind::Page,
            Call::Screen => EventKind::Screen,
            Call::Identify => EventKind::Identify,
            Call::Group => EventKind::Group,
            Call::Alias => EventKind::Alias,
            Call::Batch => return Err(Reason::UnknownType { detail: "batch".to_owned() }),
        })
    }

    fn identities(&self, call: Call) -> Result<Identities, Reason> {
        let identities = Identities {
            user_id: somebody(self.user_id),
            anonymous_id: somebody(self.anonymous_id),
            previous_id: if call == Call::Alias { somebody(self.previous_id) } else { None },
            ..Identities::default()
        };
        if call == Call::Alias && (identities.user_id.is_none() || identities.previous_id.is_none()) {
            return Err(Reason::MissingPreviousId);
        }
        if identities.user_id.is_none() && identities.anonymous_id.is_none() {
            return Err(Reason::NoUserAnonId);
        }
        Ok(identities)
    }

    /// RudderStack marks what a server sent.
    fn is_from_server(&self) -> bool {
        self.channel.is_some_and(|channel| channel.get() == "\"server\"")
    }

    /// Names that stand beside the properties: of a page, a screen, a group.
    fn keep_own_names(&self, event: &mut Event) {
        for (key, value) in [("name", self.name), ("category", self.category), ("group_id", self.group_id)] {
            if let Some(value) = value {
                keep(&mut event.properties, key, value);
            }
        }
    }
}

pub(crate) fn somebody(raw: Option<&RawValue>) -> Option<CompactString> {
    let id = text(raw)?;
    (!NOBODY.iter().any(|nobody| id.eq_ignore_ascii_case(nobody))).then(|| id.into())
}

fn date(field: &'static str, raw: Option<&RawValue>) -> Result<Option<TimestampMs>, Reason> {
    let Some(date) = text(raw) else { return Ok(None) };
    let invalid = || Reason::InvalidTimestamp { field, detail: date.chars().take(40).collect() };
    timestamp(&date).map(Some).ok_or_else(invalid)
}

/// `received - (sent - original)`, never after `received`; a result from before there were shops on the web is taken
/// for a clock that was never set, and the event for one of now.
pub(crate) fn corrected(
    received: TimestampMs,
    sent: Option<TimestampMs>,
    original: Option<TimestampMs>,
) -> TimestampMs {
    /// 1994-01-01T00:00:00Z.
    const FIRST_SHOPS: TimestampMs = TimestampMs(757_382_400_000);
    let Some(original) = original else { return received };
    let occurred = match sent {
        Some(sent) => received.plus_ms(-sent.since(original)),
        None => original.min(received),
    };
    if occurred < FIRST_SHOPS { received } else { occurred }
}

fn cut(name: &str) -> CompactString {
    let end = name.char_indices().map(|(start, c)| start + c.len_utf8()).take_while(|end| *end <= MAX_EVENT_NAME_BYTES);
    name[..end.last().unwrap_or(0)].into()
}

pub(crate) fn market_of(named: Option<Cow<'_, str>>, locale: Option<&str>, rules: &MarketRules) -> MarketId {
    let named = named.and_then(|name| MarketId::new(name).ok());
    let region = || region_of(locale?).and_then(|region| MarketId::new(region.to_ascii_uppercase()).ok());
    named.or_else(|| if rules.locale_region { region() } else { None }).unwrap_or_else(|| rules.default.clone())
}

/// Members of an object in the order sent.
fn members(raw: &RawValue) -> Result<Vec<(CompactString, &RawValue)>, Reason> {
    let members: std::collections::BTreeMap<Cow<'_, str>, &RawValue> =
        serde_json::from_str(raw.get()).map_err(|error| Reason::InvalidProperties { detail: error.to_string() })?;
    Ok(members.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

/// Traits that name the person go to the vault, the others (plan, newsletter, size) stay with the event.
fn read_traits(raw: &RawValue, details: &mut Vec<Identity>, event: &mut Event) -> Result<(), Reason> {
    let mut names = [None, None];
    for (key, value) in members(raw)? {
        let kind = match key.as_str() {
            "email" => IdentityKind::Email,
            "phone" => IdentityKind::Phone,
            "name" => IdentityKind::Name,
            "address" => IdentityKind::Address,
            "firstName" | "first_name" => {
                names[0] = text(Some(value));
                continue;
            }
            "lastName" | "last_name" => {
                names[1] = text(Some(value));
                continue;
            }
            _ => {
                keep(&mut event.properties, &key, value);
                continue;
            }
        };
        // An address is an object: it is kept as it came.
        if let Some(value) = text(Some(value)).or_else(|| value.get().starts_with('{').then(|| value.get().into())) {
            details.push(Identity::new(kind, value));
        }
    }
    if !details.iter().any(|detail| detail.kind == IdentityKind::Name) {
        let name = names.into_iter().flatten().collect::<Vec<_>>().join(" ");
        if !name.is_empty() {
            details.push(Identity::new(IdentityKind::Name, name));
        }
    }
    Ok(())
}

/// Page calls repeat their place in the properties; it belongs to the context, without its query string.
fn read_page(raw: &RawValue, event: &mut Event) -> Result<(), Reason> {
    for (key, value) in members(raw)? {
        match key.as_str() {
            "path" | "url" => {
                let path = text(Some(value)).filter(|path| !looks_personal(path));
                if let Some(path) = path.filter(|_| event.context.page_path.is_none()) {
                    event.context.page_path = Some(cut(without_query(path_of(&path))));
                }
            }
            "search" | "referrer" => {}
            _ => keep(&mut event.properties, &key, value),
        }
    }
    Ok(())
}
