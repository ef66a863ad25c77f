//! The mapping file: which column is which field, and how dates, amounts and categories are written.
//!
//! ```toml
//! entity = "orders"              # products, orders, stock or events
//! currency = "GBP"
//! time_zone = "Europe/London"    # of dates that don't name theirs
//! date_formats = ["%d/%m/%Y %H:%M"]
//! [fields]                       # field = column, or several columns that belong together
//! order = "InvoiceNo"
//! placed_at = "InvoiceDate"
//! product = "StockCode"
//! quantity = "Quantity"
//! unit_price = "UnitPrice"
//! [constants]
//! market = "GB"
//! ```

use std::collections::BTreeMap;
use std::str::FromStr;

use compact_str::CompactString;
use jiff::civil;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use merx_domain::{Currency, IdError, MarketId, Money, TimestampMs};
use serde::{Deserialize, Serialize};

use super::source::Cell;
use super::{ImportError, Reject, Result};
use crate::json::timestamp;

/// What a file's rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entity {
    Products,
    Stock,
    Orders,
    Events,
}

/// What a column may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    Product,
    Variant,
    Name,
    Description,
    Brand,
    Category,
    Url,
    Images,
    Price,
    ListPrice,
    Cost,
    Currency,
    Gtin,
    Market,
    Status,
    Order,
    PlacedAt,
    Customer,
    Quantity,
    UnitPrice,
    LineTotal,
    Location,
    UpdatedAt,
    Event,
    User,
    Anonymous,
    OccurredAt,
    Query,
    List,
    MessageId,
}

const FIELDS: usize = Field::MessageId as usize + 1;

impl Field {
    pub(crate) fn name(self) -> &'static str {
        use Field as F;
        match self {
            F::Product => "product",
            F::Variant => "variant",
            F::Name => "name",
            F::Description => "description",
            F::Brand => "brand",
            F::Category => "category",
            F::Url => "url",
            F::Images => "images",
            F::Price => "price",
            F::ListPrice => "list_price",
            F::Cost => "cost",
            F::Currency => "currency",
            F::Gtin => "gtin",
            F::Market => "market",
            F::Status => "status",
            F::Order => "order",
            F::PlacedAt => "placed_at",
            F::Customer => "customer",
            F::Quantity => "quantity",
            F::UnitPrice => "unit_price",
            F::LineTotal => "line_total",
            F::Location => "location",
            F::UpdatedAt => "updated_at",
            F::Event => "event",
            F::User => "user",
            F::Anonymous => "anonymous",
            F::OccurredAt => "occurred_at",
            F::Query => "query",
            F::List => "list",
            F::MessageId => "message_id",
        }
    }
}

/// One column, or several whose texts belong together: a name in parts, a category path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Columns {
    One(CompactString),
    Several(Vec<CompactString>),
}

impl Columns {
    fn names(&self) -> &[CompactString] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

/// Rules beyond a table of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    #[default]
    Plain,
    OnlineRetail,
    GoogleFeed,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    pub entity: Entity,
    #[serde(default)]
    pub dialect: Dialect,
    /// Of amounts that don't name theirs.
    #[serde(default)]
    pub currency: Option<Currency>,
    #[serde(default = "utc")]
    pub time_zone: CompactString,
    /// In the notation of `strptime`, tried in order; without any, ISO 8601 and numbers since 1970 are read.
    #[serde(default)]
    pub date_formats: Vec<String>,
    /// `1.234,50` instead of `1234.50`.
    #[serde(default)]
    pub decimal_comma: bool,
    #[serde(default = "category_separator")]
    pub category_separator: CompactString,
    #[serde(default = "list_separator")]
    pub list_separator: CompactString,
    pub fields: BTreeMap<Field, Columns>,
    /// Values of fields that no column has, or where it is empty.
    #[serde(default)]
    pub constants: BTreeMap<Field, CompactString>,
    /// Of products: attribute = column.
    #[serde(default)]
    pub attributes: BTreeMap<CompactString, CompactString>,
}

fn utc() -> CompactString {
    CompactString::const_new("UTC")
}

fn category_separator() -> CompactString {
    CompactString::const_new(">")
}

fn list_separator() -> CompactString {
    CompactString::const_new(",")
}

impl FromStr for Mapping {
    type Err = ImportError;

    fn from_str(toml: &str) -> Result<Self> {
        let mapping: Self = toml::from_str(toml).map_err(|error| ImportError::Mapping { detail: error.to_string() })?;
        mapping.check()?;
        Ok(mapping)
    }
}

impl Mapping {
    /// The field whose equal values make rows one product or one order.
    pub(crate) fn key(&self) -> Option<Field> {
        match self.entity {
            Entity::Products => Some(Field::Product),
            Entity::Orders => Some(Field::Order),
            Entity::Stock | Entity::Events => None,
        }
    }

    fn check(&self) -> Result<()> {
        use Field as F;
        let has = |field: &Field| self.fields.contains_key(field) || self.constants.contains_key(field);
        let needed: &[&[Field]] = match self.entity {
            Entity::Products => &[&[F::Product]],
            Entity::Orders => {
                &[&[F::Order], &[F::PlacedAt], &[F::Product], &[F::Quantity], &[F::UnitPrice, F::LineTotal]]
            }
            Entity::Stock => &[&[F::Product, F::Variant], &[F::Quantity]],
            Entity::Events => &[&[F::Event], &[F::OccurredAt], &[F::User, F::Anonymous]],
        };
        for options in needed {
            if !options.iter().any(has) {
                let names: Vec<_> = options.iter().map(|field| field.name()).collect();
                let detail = format!("{:?} need the field {}", self.entity, names.join(" or "));
                return Err(ImportError::Mapping { detail });
            }
        }
        let amounts = [F::Price, F::ListPrice, F::Cost, F::UnitPrice, F::LineTotal];
        if amounts.iter().any(has) && self.currency.is_none() && !has(&F::Currency) && self.dialect == Dialect::Plain {
            return Err(ImportError::Mapping { detail: "amounts need a currency".to_owned() });
        }
        Ok(())
    }

    /// Finds the place of each field among the columns to read.
    pub(crate) fn compile(&self) -> Result<Compiled<'_>> {
        let mut columns: Vec<CompactString> = Vec::new();
        let mut place = |name: &CompactString| {
            columns.iter().position(|column| column == name).unwrap_or_else(|| {
                columns.push(name.clone());
                columns.len() - 1
            })
        };
        let mut places = vec![Vec::new(); FIELDS];
        for (&field, names) in &self.fields {
            places[field as usize] = names.names().iter().map(&mut place).collect();
        }
        let attributes = self.attributes.iter().map(|(name, column)| (name.clone(), place(column))).collect();
        let zone = TimeZone::get(&self.time_zone);
        let zone = zone.map_err(|error| ImportError::Mapping { detail: error.to_string() })?;
        Ok(Compiled { mapping: self, columns, places, attributes, zone })
    }
}

/// A mapping ready to read rows of its columns.
pub(crate) struct Compiled<'m> {
    pub(crate) mapping: &'m Mapping,
    pub(crate) columns: Vec<CompactString>,
    places: Vec<Vec<usize>>,
    attributes: Vec<(CompactString, usize)>,
    zone: TimeZone,
}

/// One row under a mapping.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'r> {
    pub(crate) compiled: &'r Compiled<'r>,
    pub(crate) cells: &'r [Cell],
}

impl Fields<'_> {
    /// The cell of a field with one column.
    fn cell(&self, field: Field) -> Option<&Cell> {
        let place = *self.compiled.places[field as usize].first()?;
        self.cells.get(place).filter(|cell| **cell != Cell::Missing)
    }

    fn constant(&self, field: Field) -> Option<CompactString> {
        self.compiled.mapping.constants.get(&field).cloned()
    }

    /// The field's text; the texts of several columns with a space between.
    pub(crate) fn text(&self, field: Field) -> Option<CompactString> {
        let places = &self.compiled.places[field as usize];
        let own = match places.as_slice() {
            [] => None,
            [place] => self.cells.get(*place)?.to_text(),
            _ => Some(self.parts(field).join(" ").into()).filter(|text: &CompactString| !text.is_empty()),
        };
        own.or_else(|| self.constant(field))
    }

    pub(crate) fn needed(&self, field: Field) -> Result<CompactString, Reject> {
        self.text(field).ok_or_else(|| Reject::new("missing_value", format!("{} is empty", field.name())))
    }

    pub(crate) fn parts(&self, field: Field) -> Vec<CompactString> {
        let places = &self.compiled.places[field as usize];
        places.iter().filter_map(|&place| self.cells.get(place)?.to_text()).collect()
    }

    /// From the department down: of several columns, or of one with separators.
    pub(crate) fn category(&self) -> Vec<CompactString> {
        match self.compiled.places[Field::Category as usize].len() {
            0 | 1 => self.list(Field::Category, &self.compiled.mapping.category_separator),
            _ => self.parts(Field::Category),
        }
    }

    pub(crate) fn list(&self, field: Field, separator: &str) -> Vec<CompactString> {
        let text = self.text(field).unwrap_or_default();
        text.split(separator).map(str::trim).filter(|part| !part.is_empty()).map(CompactString::from).collect()
    }

    pub(crate) fn attributes(&self) -> impl Iterator<Item = (&CompactString, &Cell)> {
        let attributes = self.compiled.attributes.iter();
        attributes.filter_map(|(name, place)| Some((name, self.cells.get(*place)?)))
    }

    pub(crate) fn id<T: FromStr<Err = IdError>>(&self, field: Field) -> Result<Option<T>, Reject> {
        let text = self.text(field);
        let id = text.map(|text| text.parse()).transpose();
        id.map_err(|error: IdError| Reject::new("invalid_id", error.to_string()))
    }

    pub(crate) fn needed_id<T: FromStr<Err = IdError>>(&self, field: Field) -> Result<T, Reject> {
        self.id(field)?.ok_or_else(|| Reject::new("missing_value", format!("{} is empty", field.name())))
    }

    pub(crate) fn market(&self) -> Result<MarketId, Reject> {
        Ok(self.id(Field::Market)?.unwrap_or_default())
    }

    pub(crate) fn currency(&self) -> Result<Currency, Reject> {
        let own = self.text(Field::Currency).map(|code| code.parse()).transpose();
        let own = own.map_err(|error| Reject::new("invalid_currency", format!("{error}")))?;
        own.or(self.compiled.mapping.currency).ok_or_else(|| Reject::new("invalid_currency", "no currency"))
    }

    /// An amount; one that names its currency (`19.50 EUR`) is in that.
    pub(crate) fn money(&self, field: Field) -> Result<Option<Money>, Reject> {
        let Some(text) = self.text(field) else { return Ok(None) };
        let (amount, currency) = match text.rsplit_once(char::is_whitespace) {
            Some((amount, code)) if code.len() == 3 && code.bytes().all(|b| b.is_ascii_alphabetic()) => {
                let code = code.parse().map_err(|error| Reject::new("invalid_currency", format!("{error}")))?;
                (amount, code)
            }
            _ => (text.as_str(), self.currency()?),
        };
        let money = Money::parse(&self.plain_number(amount), currency);
        money.map(Some).map_err(|error| Reject::new("invalid_amount", format!("{}: {error}", field.name())))
    }

    pub(crate) fn number(&self, field: Field) -> Result<Option<f64>, Reject> {
        let Some(text) = self.text(field) else { return Ok(None) };
        let number = self.plain_number(&text).parse::<f64>().ok().filter(|number| number.is_finite());
        let bad = || Reject::new("invalid_number", format!("{}: {text:?} is not a number", field.name()));
        number.map(Some).ok_or_else(bad)
    }

    /// A number as Rust writes it, without separators of thousands.
    fn plain_number(&self, text: &str) -> String {
        let spaceless = text.chars().filter(|c| !c.is_whitespace() && *c != '\'');
        if self.compiled.mapping.decimal_comma {
            spaceless.filter(|c| *c != '.').map(|c| if c == ',' { '.' } else { c }).collect()
        } else {
            spaceless.collect()
        }
    }

    pub(crate) fn needed_time(&self, field: Field) -> Result<TimestampMs, Reject> {
        self.time(field)?.ok_or_else(|| Reject::new("missing_value", format!("{} is empty", field.name())))
    }

    pub(crate) fn time(&self, field: Field) -> Result<Option<TimestampMs>, Reject> {
        let time = match self.cell(field) {
            None => match self.constant(field) {
                None => return Ok(None),
                Some(text) => self.read_time(&text),
            },
            Some(Cell::Instant(time)) => Some(*time),
            Some(Cell::Civil(time)) => self.zoned(*time),
            Some(cell) => self.read_time(&cell.to_text().unwrap_or_default()),
        };
        let bad = || Reject::new("invalid_date", format!("{} is not a date as the mapping writes them", field.name()));
        time.map(Some).ok_or_else(bad)
    }

    fn zoned(&self, wall: TimestampMs) -> Option<TimestampMs> {
        if self.compiled.zone == TimeZone::UTC {
            return Some(wall);
        }
        let wall = jiff::Timestamp::from_millisecond(wall.0).ok()?;
        self.in_zone(TimeZone::UTC.to_datetime(wall))
    }

    fn in_zone(&self, wall: civil::DateTime) -> Option<TimestampMs> {
        let zoned = self.compiled.zone.to_ambiguous_timestamp(wall).compatible().ok()?;
        Some(TimestampMs(zoned.as_millisecond()))
    }

    fn read_time(&self, text: &str) -> Option<TimestampMs> {
        let formats = &self.compiled.mapping.date_formats;
        if formats.is_empty() {
            return self.read_iso(text);
        }
        formats.iter().find_map(|format| {
            let parsed = strtime::parse(format, text).ok()?;
            if let Ok(instant) = parsed.to_timestamp() {
                return Some(TimestampMs(instant.as_millisecond()));
            }
            let wall =
                parsed.to_datetime().or_else(|_| parsed.to_date().map(|date| date.to_datetime(Default::default())));
            self.in_zone(wall.ok()?)
        })
    }

    fn read_iso(&self, text: &str) -> Option<TimestampMs> {
        if let Ok(instant) = text.parse::<jiff::Timestamp>() {
            return Some(TimestampMs(instant.as_millisecond()));
        }
        match text.parse::<civil::DateTime>() {
            Ok(wall) => self.in_zone(wall),
            Err(_) => timestamp(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields_of(toml: &str, cells: &[Cell], check: impl Fn(Fields<'_>)) {
        let mapping: Mapping = toml.parse().unwrap();
        let compiled = mapping.compile().unwrap();
        check(Fields { compiled: &compiled, cells });
    }

    const STOCK: &str = "entity = \"stock\"\n[fields]\nproduct = \"p\"\nquantity = \"q\"\nupdated_at = \"t\"\n";

    #[test]
    fn dates_are_read_in_the_mappings_format_and_zone() {
        let german =
            format!("time_zone = \"Europe/Berlin\"\ndate_formats = [\"%d.%m.%Y %H:%M\", \"%d.%m.%Y\"]\n{STOCK}");
        for (text, expected) in [
            ("01.07.2026 12:30", Some("2026-07-01T10:30:00.000Z")),
            ("01.01.2026", Some("2025-12-31T23:00:00.000Z")),
            ("2026-01-01", None),
        ] {
            fields_of(&german, &[Cell::Missing, Cell::Missing, Cell::text(text)], |fields| {
                let time = fields.time(Field::UpdatedAt).ok().flatten().map(|time| time.to_string());
                assert_eq!(time.as_deref(), expected, "{text}");
            });
        }
        let wall = Cell::Civil(TimestampMs::parse("2026-07-01T12:30:00Z").unwrap());
        fields_of(&german, &[Cell::Missing, Cell::Missing, wall], |fields| {
            assert_eq!(fields.time(Field::UpdatedAt).unwrap().unwrap().to_string(), "2026-07-01T10:30:00.000Z");
        });
    }

    #[test]
    fn amounts_are_read_as_the_mapping_writes_them() {
        let toml = "entity = \"products\"\ncurrency = \"EUR\"\ndecimal_comma = true\n[fields]\nproduct = \"p\"\nprice = \"c\"\n";
        for (text, expected) in [
            ("1.234,50", Some("1234.50 EUR")),
            ("12 345,6", Some("12345.60 EUR")),
            ("9,99 USD", Some("9.99 USD")),
            ("x", None),
        ] {
            // Columns stand in the order of the fields.
            fields_of(toml, &[Cell::Missing, Cell::text(text)], |fields| {
                let money = fields.money(Field::Price).ok().flatten().map(|money| money.to_string());
                assert_eq!(money.as_deref(), expected, "{text}");
            });
        }
    }

    #[test]
    fn a_mapping_says_what_it_lacks() {
        for toml in [
            "entity = \"orders\"\n[fields]\norder = \"o\"\n",
            "entity = \"products\"\n[fields]\nproduct = \"p\"\nprice = \"c\"\n",
            "entity = \"products\"\n[fields]\nproduct = \"p\"\ncolour = \"c\"\n",
            "entity = \"products\"\n[fields]\n",
        ] {
            assert!(matches!(toml.parse::<Mapping>(), Err(ImportError::Mapping { .. })), "{toml}");
        }
    }
}
