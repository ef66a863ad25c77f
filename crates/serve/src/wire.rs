//! How money and time stand in JSON, and how mistakes in them are named.

use merx_domain::{Money, TimestampMs};
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::problem::Mistake;

/// An amount in the currency's minor units: 1899 of EUR is 18.99 €.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Money)]
pub(crate) struct MoneyWire {
    #[schema(example = 1899)]
    pub(crate) minor: i64,
    /// ISO 4217.
    #[schema(example = "EUR", pattern = "^[A-Za-z]{3}$")]
    pub(crate) currency: String,
}

impl From<Money> for MoneyWire {
    fn from(money: Money) -> Self {
        Self { minor: money.minor, currency: money.currency.to_string() }
    }
}

/// How an id of the shop's own stands in the OpenAPI document.
pub(crate) struct Id;

impl PartialSchema for Id {
    fn schema() -> RefOr<Schema> {
        // Not only blanks, no control characters.
        const PATTERN: &str =
            "^[^\\u0000-\\u001f\\u007f-\\u009f]*[^\\u0000-\\u0020\\u007f-\\u00a0][^\\u0000-\\u001f\\u007f-\\u009f]*$";
        let id = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(200));
        id.pattern(Some(PATTERN)).description(Some("The shop's own id: 1 to 200 bytes.")).into()
    }
}

impl ToSchema for Id {}

/// Reads the parts of an entity and collects what is wrong with them, each with its place.
pub(crate) struct Reading<'a> {
    /// Where the entity stands: `upsert[3]`; empty for a body of its own.
    at: String,
    mistakes: &'a mut Vec<Mistake>,
}

impl<'a> Reading<'a> {
    pub(crate) fn at(at: impl Into<String>, mistakes: &'a mut Vec<Mistake>) -> Self {
        Self { at: at.into(), mistakes }
    }

    fn place(&self, field: &str) -> String {
        if self.at.is_empty() { field.to_owned() } else { format!("{}.{field}", self.at) }
    }

    pub(crate) fn refuse(&mut self, field: &str, code: &'static str, detail: impl Into<String>) {
        self.mistakes.push(Mistake::new(self.place(field), code, detail));
    }

    /// An id of any kind.
    pub(crate) fn id<T: std::str::FromStr<Err: std::fmt::Display>>(&mut self, field: &str, text: &str) -> Option<T> {
        text.parse().map_err(|error: T::Err| self.refuse(field, "invalid_id", error.to_string())).ok()
    }

    pub(crate) fn money(&mut self, field: &str, wire: &MoneyWire) -> Option<Money> {
        match wire.currency.parse() {
            Ok(currency) => Some(Money::new(wire.minor, currency)),
            Err(error) => {
                self.refuse(&format!("{field}.currency"), "invalid_currency", error.to_string());
                None
            }
        }
    }

    pub(crate) fn time(&mut self, field: &str, text: &str) -> Option<TimestampMs> {
        let time = TimestampMs::parse(text);
        if time.is_none() {
            self.refuse(field, "invalid_timestamp", "write times as 2026-01-31T12:00:00Z");
        }
        time
    }

    pub(crate) fn bounded(&mut self, field: &str, count: usize, limit: usize) {
        if count > limit {
            self.refuse(field, "too_many", format!("{count} is above the limit of {limit}"));
        }
    }
}
