//! The words of a shop: ids, money, time, events, products, orders, consent, experiments, and what a decision is.
//!
//! This crate knows nothing of files, sockets, databases or clocks. Time and randomness come in as arguments, so
//! that whatever is built from these words can be replayed.

mod clock;
mod consent;
mod decision;
mod event;
pub mod experiment;
mod filter;
mod identity;
mod ids;
mod layout;
pub mod merchandising;
mod money;
mod order;
mod product;
pub mod search;
mod time;

pub use clock::{Clock, ManualClock, SystemClock};
pub use consent::{
    ConsentPolicy, ConsentStamp, Grant, PolicyDocument, PolicyMistake, PolicySet, Purposes, RegionDocument, tcf,
};
pub use decision::{
    Affinity, Answer, Ask, Blocked, Candidate, Decision, Engine, EngineError, Fact, FallbackLevel, Goal, HistoryEntry,
    Overruled, Pin, Proposal, Reason, Scenario, Shelf, Situation, Slot, SlotAnswer, Stakes, SubjectFeatures,
};
pub use event::{Device, Event, EventContext, EventKind, EventLine, EventMeaning};
pub use filter::{Comparison, Condition, Filter, FilterError, FilterValue, OneOf, PreparedFilter, Test};
pub use identity::{Identity, IdentityKind};
pub use ids::{
    DecisionId, EventId, IdError, LocationId, MarketId, ModelVersion, OrderId, ProductId, ProductNumber, SubjectId,
    VariantId,
};
pub use layout::{LayoutAnswer, LayoutAsk, LayoutBlock, LayoutReason, PlacedBlock};
pub use money::{Currency, Money, MoneyError};
pub use order::{Order, OrderLine, OrderLineKind, OrderStatus};
pub use product::{AttributeValue, MarketAvailability, Price, Product, ProductStatus, StockLevel, Variant};
pub use time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, TimestampMs};
