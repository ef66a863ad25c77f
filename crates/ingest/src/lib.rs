//! What a shop knows, on its way in: requests and files become validated, de-duplicated, consent-stamped events, and
//! catalogue, orders and stock become records. What names a person ends in the vault.

mod cache;
mod context;
mod device;
pub mod ga4;
mod inflate;
mod json;
mod personal;
mod properties;
mod raw;
mod rows;
mod rules;
pub mod segment;
pub mod vault;

pub use inflate::{InflateError, gunzip};
pub use raw::{Arrival, BodyError, Identities, ProductMention, RawEvent, Reason, Rejection};
pub use rules::{ConsentCategories, Limits, MarketRules, Rules};
