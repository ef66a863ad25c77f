//! Identifiers. Each has a type of its own, so that a product never stands where a subject is asked for.

use std::fmt;
use std::str::FromStr;

use compact_str::CompactString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest identifier a shop may use, in bytes. Platforms stay far below (Google Merchant: 50 characters).
const MAX_ID_BYTES: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("{kind} is empty")]
    Empty { kind: &'static str },
    #[error("{kind} has {bytes} bytes, the limit is {MAX_ID_BYTES}")]
    TooLong { kind: &'static str, bytes: usize },
    #[error("{kind} contains a control character")]
    ControlCharacter { kind: &'static str },
    #[error("{kind} is not 32 hexadecimal digits")]
    NotHex { kind: &'static str },
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(CompactString);

        impl $name {
            /// Trims the text and refuses what is empty, longer than 200 bytes or has control characters.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                let text = text.as_ref().trim();
                if text.is_empty() {
                    return Err(IdError::Empty { kind: $kind });
                }
                if text.len() > MAX_ID_BYTES {
                    return Err(IdError::TooLong { kind: $kind, bytes: text.len() });
                }
                if text.chars().any(char::is_control) {
                    return Err(IdError::ControlCharacter { kind: $kind });
                }
                Ok(Self(CompactString::new(text)))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.0.as_str())
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = CompactString::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_id!(
    /// A product as the shop names it: what a page is about. Its sizes and colours are variants.
    ProductId, "product id");
text_id!(
    /// One buyable form of a product (SKU).
    VariantId, "variant id");
text_id!(OrderId, "order id");
text_id!(
    /// Where stock lies: a warehouse, a store.
    LocationId, "location id");
text_id!(
    /// A country or sales channel with its own prices and availability. `default` where a shop has only one.
    MarketId, "market id");

impl Default for MarketId {
    fn default() -> Self {
        Self(CompactString::const_new("default"))
    }
}

macro_rules! wide_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u128);

        impl $name {
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(u128::from_be_bytes(bytes))
            }

            pub fn to_bytes(self) -> [u8; 16] {
                self.0.to_be_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:032x})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let error = IdError::NotHex { kind: $kind };
                // `from_str_radix` would take a sign; an id has none.
                if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(error);
                }
                u128::from_str_radix(text, 16).map(Self).map_err(|_| error)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.to_bytes().serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = CompactString::deserialize(deserializer)?;
                    text.parse().map_err(serde::de::Error::custom)
                } else {
                    <[u8; 16]>::deserialize(deserializer).map(Self::from_bytes)
                }
            }
        }
    };
}

wide_id!(
    /// A person, under a pseudonym. What names them is in the vault and nowhere else.
    SubjectId, "subject id");
wide_id!(
    /// One event. Made from the sender's message id, so that a repeated delivery has the same id.
    EventId, "event id");
wide_id!(
    /// One decision; outcomes carry it back.
    DecisionId, "decision id");

/// A product's dense number, given once when the shop first names the product and never reused.
/// Histories and models hold numbers; texts stay at the edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProductNumber(pub u32);

impl ProductNumber {
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A version of a model in the registry, counted from 1 within its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelVersion(pub u32);

impl fmt::Display for ModelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_ids_are_trimmed_and_bounded() {
        assert_eq!(ProductId::new(" p1 ").unwrap().as_str(), "p1");
        assert_eq!(ProductId::new(" "), Err(IdError::Empty { kind: "product id" }));
        assert!(ProductId::new("x".repeat(201)).is_err());
        assert!(ProductId::new("a\nb").is_err());
    }

    #[test]
    fn wide_ids_read_what_they_write() {
        let id = SubjectId(0xabc);
        assert_eq!(id.to_string().parse::<SubjectId>(), Ok(id));
        assert!("+0000000000000000000000000000abc".parse::<SubjectId>().is_err());
        assert_eq!(serde_json::from_str::<SubjectId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
    }
}
