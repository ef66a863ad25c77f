//! What a shop knows, on its way in: requests and files become validated, de-duplicated, consent-stamped events, and
//! catalogue, orders and stock become records. What names a person ends in the vault.

mod cache;
mod catalogue;
mod changes;
mod consent;
mod context;
mod device;
pub mod ga4;
pub mod import;
mod inflate;
mod json;
mod orders;
mod personal;
mod pipeline;
pub mod privacy;
mod properties;
mod raw;
mod rows;
mod rules;
pub mod segment;
pub mod vault;

pub use catalogue::{Catalogue, Stock, StockChange, StockKey, StoredProduct};
pub use changes::{ChangeNumber, Written};
pub use consent::Consents;
pub use inflate::{InflateError, gunzip};
pub use orders::{Orders, StoredOrder, subject_of_order};
pub use pipeline::{Alongside, CustomerOrder, Ingest, IngestError, MIGRATIONS};
pub use privacy::SUBJECT_COLUMNS;
pub use raw::{Arrival, BodyError, Identities, ProductMention, RawEvent, Reason, Rejection};
pub use rules::{ConsentCategories, Limits, MarketRules, Rules};
