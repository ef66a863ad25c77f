//! What the readers of requests and files hand on: events whose person is still named in clear, or a typed refusal.

use compact_str::CompactString;
use merx_domain::{ConsentStamp, Event, EventKind, Identity, MarketId, Money, ProductId, SubjectId, TimestampMs};

use crate::segment::EventIdHasher;

/// The sender's names of a person, as they stood on one event.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Identities {
    pub user_id: Option<CompactString>,
    pub anonymous_id: Option<CompactString>,
    /// Alias calls only: the id that turned out to be the same person as `user_id`.
    pub previous_id: Option<CompactString>,
    /// Mail address, phone, name, address of an identify call.
    pub details: Vec<Identity>,
    /// Whether an alias may join two customers. What stands in a web page for all to read may not: whoever guessed an id
    /// would take somebody else's history over, for good.
    pub joins_customers: bool,
}

impl std::fmt::Debug for Identities {
    /// Shows which ids there are and never their values, so that none reaches a log by accident.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identities")
            .field("user_id", &self.user_id.is_some())
            .field("anonymous_id", &self.anonymous_id.is_some())
            .field("previous_id", &self.previous_id.is_some())
            .field("details", &self.details)
            .finish()
    }
}

/// What an event tells of a product besides its id: enough to show a product that no catalogue has named yet.
#[derive(Debug, Clone, PartialEq)]
pub struct ProductMention {
    pub product: ProductId,
    pub name: Option<CompactString>,
    pub brand: Option<CompactString>,
    pub category: Option<CompactString>,
    pub url: Option<CompactString>,
    pub image_url: Option<CompactString>,
    pub price: Option<Money>,
}

/// A valid event before the vault has turned its names into a subject.
#[derive(Debug, Clone, PartialEq)]
pub struct RawEvent {
    pub identities: Identities,
    pub mentions: Vec<ProductMention>,
    /// Whether the shop itself sent it, so that a product may be listed because of it.
    vouched: bool,
    /// Complete but for the subject, which the pipeline sets.
    event: Event,
}

impl RawEvent {
    /// `event.subject` is not looked at: the vault finds it from `identities`.
    pub(crate) fn new(identities: Identities, mentions: Vec<ProductMention>, vouched: bool, event: Event) -> Self {
        let identities = Identities { joins_customers: vouched, ..identities };
        Self { identities, mentions, vouched, event }
    }

    /// What a person says of the use of their data, outside any tracking call. The same word at the same time is one event.
    pub fn consent(identities: Identities, stamp: ConsentStamp, market: MarketId, at: TimestampMs) -> Self {
        let mut hasher = EventIdHasher::new("consent");
        for id in [&identities.user_id, &identities.anonymous_id] {
            hasher.part(id.as_deref().unwrap_or_default().as_bytes());
        }
        let word = [stamp.granted.bits(), stamp.denied.bits(), stamp.global_privacy_control.into()];
        let id = hasher.part(&word).part(&at.0.to_le_bytes()).finish();
        let mut event = Event::new(id, SubjectId(0), EventKind::ConsentUpdated, at);
        event.consent = stamp;
        event.context.market = market;
        Self::new(identities, Vec::new(), false, event)
    }

    pub fn kind(&self) -> EventKind {
        self.event.kind
    }

    /// The event as it will be stored; its subject is not set yet.
    pub fn draft(&self) -> &Event {
        &self.event
    }

    pub(crate) fn vouched(&self) -> bool {
        self.vouched
    }

    pub(crate) fn into_parts(self) -> (Identities, Vec<ProductMention>, Event) {
        (self.identities, self.mentions, self.event)
    }
}

/// Facts of a request that aren't in its body.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    pub received_at: TimestampMs,
    /// Message ids are unique within this: the write key, or the source it belongs to.
    pub scope: &'a str,
    /// Whether the shop itself sends: with a key that only the shop holds. What a page's key sends anybody could have
    /// written, so a product that nobody else named stays hidden.
    pub vouched: bool,
    /// The request had `Sec-GPC: 1`.
    pub global_privacy_control: bool,
    /// The request's user agent, for events that don't bring the shopper's own.
    pub user_agent: Option<&'a str>,
}

/// Why one event of a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("the event is not a JSON object of the expected form")]
    InvalidEvent { detail: String },
    #[error("the event has {bytes} bytes, the limit is {limit}")]
    EventTooLarge { bytes: usize, limit: usize },
    #[error("the type of the event is missing or unknown")]
    UnknownType { detail: String },
    #[error("the event names no person: userId and anonymousId are both missing")]
    NoUserAnonId,
    #[error("a track call needs the name of its event")]
    MissingEventName,
    #[error("an alias call needs previousId and userId")]
    MissingPreviousId,
    #[error("{field} is not a date")]
    InvalidTimestamp { field: &'static str, detail: String },
    #[error("the properties don't have the expected form")]
    InvalidProperties { detail: String },
    #[error("the context doesn't have the expected form")]
    InvalidContext { detail: String },
    #[error("{event} needs a product_id")]
    MissingProductId { event: &'static str },
    #[error("{field} is not a usable identifier")]
    InvalidId { field: &'static str, detail: String },
    #[error("the quantity is not a number above zero")]
    InvalidQuantity { detail: String },
}

impl Reason {
    /// Stable: clients may branch on it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidEvent { .. } => "invalid_event",
            Self::EventTooLarge { .. } => "event_too_large",
            Self::UnknownType { .. } => "unknown_type",
            Self::NoUserAnonId => "no_user_anon_id",
            Self::MissingEventName => "missing_event_name",
            Self::MissingPreviousId => "missing_previous_id",
            Self::InvalidTimestamp { .. } => "invalid_timestamp",
            Self::InvalidProperties { .. } => "invalid_properties",
            Self::InvalidContext { .. } => "invalid_context",
            Self::MissingProductId { .. } => "missing_product_id",
            Self::InvalidId { .. } => "invalid_id",
            Self::InvalidQuantity { .. } => "invalid_quantity",
        }
    }

    /// What the data itself said, where that helps to find it.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::InvalidEvent { detail }
            | Self::UnknownType { detail }
            | Self::InvalidTimestamp { detail, .. }
            | Self::InvalidProperties { detail }
            | Self::InvalidContext { detail }
            | Self::InvalidId { detail, .. }
            | Self::InvalidQuantity { detail } => Some(detail),
            Self::EventTooLarge { .. }
            | Self::NoUserAnonId
            | Self::MissingEventName
            | Self::MissingPreviousId
            | Self::MissingProductId { .. } => None,
        }
    }

    /// What the sender can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::InvalidEvent { .. } => "send one JSON object an event, ids and names as text",
            Self::EventTooLarge { .. } => "leave out large properties, or split the products over several events",
            Self::UnknownType { .. } => "use track, page, screen, identify, group or alias",
            Self::NoUserAnonId => "send userId for signed-in customers, anonymousId for visitors",
            Self::MissingEventName => "set event, for example \"Product Viewed\"",
            Self::MissingPreviousId => "send both ids, or leave the call out",
            Self::InvalidTimestamp { .. } => "write dates as 2026-01-31T12:00:00.000Z",
            Self::InvalidProperties { .. } => "send properties as an object and products as a list of objects",
            Self::InvalidContext { .. } => "send context as an object; page, campaign, library and consent are objects",
            Self::MissingProductId { .. } => "set properties.product_id to the id the catalogue uses",
            Self::InvalidId { .. } => "use 1 to 200 bytes without control characters",
            Self::InvalidQuantity { .. } => "leave quantity out for one unit; refunds have events of their own",
        }
    }
}

/// One refused event and its place in the request, from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {position}: {reason}")]
pub struct Rejection {
    pub position: usize,
    pub reason: Reason,
}

/// Why a whole request was refused; nothing of it was taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("the body has {bytes} bytes, the limit is {limit}")]
    TooLarge { bytes: usize, limit: usize },
    #[error("the batch has {events} events, the limit is {limit}")]
    TooManyEvents { events: usize, limit: usize },
    #[error("the body is not valid JSON: {detail}")]
    InvalidJson { detail: String },
}

impl BodyError {
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "body_too_large",
            Self::TooManyEvents { .. } => "too_many_events",
            Self::InvalidJson { .. } => "invalid_json",
        }
    }
}
