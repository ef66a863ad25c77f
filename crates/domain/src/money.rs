//! Money is an integer of minor units with its currency; decimals are read from text, never through a float.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("{0:?} is not a currency code of three letters")]
    Currency(String),
    #[error("{0:?} is not a decimal amount")]
    Amount(String),
    #[error("amount {0:?} is too large")]
    TooLarge(String),
    #[error("currencies differ: {0} and {1}")]
    Mixed(Currency, Currency),
}

/// ISO 4217 code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

impl Currency {
    pub const EUR: Self = Self(*b"EUR");
    pub const GBP: Self = Self(*b"GBP");
    pub const USD: Self = Self(*b"USD");

    pub fn as_str(&self) -> &str {
        // Only ASCII capitals are ever stored.
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// Digits after the point (ISO 4217 minor unit).
    pub fn exponent(self) -> u32 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG" | b"RWF" | b"UGX"
            | b"UYI" | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            b"CLF" | b"UYW" => 4,
            _ => 2,
        }
    }
}

impl FromStr for Currency {
    type Err = MoneyError;
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let upper = text.trim().to_ascii_uppercase();
        match upper.as_bytes() {
            &[a, b, c] if upper.bytes().all(|byte| byte.is_ascii_uppercase()) => Ok(Self([a, b, c])),
            _ => Err(MoneyError::Currency(text.chars().take(20).collect())),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = compact_str::CompactString::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An amount: `minor` is in the currency's minor units (cents for EUR).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    pub minor: i64,
    pub currency: Currency,
}

impl Money {
    pub fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Reads `19.50`, `-3` and `2.5e1`, in major units: digits, one point, a sign and an exponent as JSON numbers have
    /// them, no thousands separators. Digits beyond the minor unit are rounded half away from zero.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let bad = || MoneyError::Amount(text.chars().take(40).collect());
        let too_large = || MoneyError::TooLarge(text.chars().take(40).collect());
        let trimmed = text.trim();
        let (mantissa, exponent) = match trimmed.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| bad())?),
            None => (trimmed, 0),
        };
        let (negative, digits) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.len() + fraction.len() == 0 || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        // The amount is the digit string times ten to `shift`, in minor units.
        let shift = i64::from(exponent) + i64::from(currency.exponent()) - fraction.len() as i64;
        let mut minor: i128 = 0;
        for byte in whole.bytes().chain(fraction.bytes()) {
            minor = minor.checked_mul(10).and_then(|m| m.checked_add(i128::from(byte - b'0'))).ok_or_else(too_large)?;
        }
        if shift >= 0 {
            let factor = u32::try_from(shift).ok().and_then(|s| 10_i128.checked_pow(s)).ok_or_else(too_large)?;
            minor = minor.checked_mul(factor).ok_or_else(too_large)?;
        } else if shift < -36 {
            minor = 0;
        } else {
            let factor = 10_i128.pow((-shift) as u32);
            minor = (minor + factor / 2) / factor;
        }
        let minor = i64::try_from(if negative { -minor } else { minor }).map_err(|_| too_large())?;
        Ok(Self { minor, currency })
    }

    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Mixed(self.currency, other.currency));
        }
        let minor = self.minor.checked_add(other.minor).ok_or_else(|| MoneyError::TooLarge(self.to_string()))?;
        Ok(Self { minor, ..self })
    }

    pub fn times(self, quantity: i64) -> Result<Self, MoneyError> {
        let minor = self.minor.checked_mul(quantity).ok_or_else(|| MoneyError::TooLarge(self.to_string()))?;
        Ok(Self { minor, ..self })
    }

    /// The amount in major units, for models and charts only; never to be turned back into money.
    pub fn major_f64(self) -> f64 {
        self.minor as f64 / 10_f64.powi(self.currency.exponent() as i32)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exponent = self.currency.exponent() as usize;
        let sign = if self.minor < 0 { "-" } else { "" };
        let digits = format!("{:0width$}", self.minor.unsigned_abs(), width = exponent + 1);
        let (whole, fraction) = digits.split_at(digits.len() - exponent);
        let point = if exponent == 0 { "" } else { "." };
        write!(f, "{sign}{whole}{point}{fraction} {}", self.currency)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_decimals_exactly() {
        let eur = |text| Money::parse(text, Currency::EUR).map(|m| m.minor);
        assert_eq!(eur("18.99"), Ok(1899));
        assert_eq!(eur("-0.5"), Ok(-50));
        assert_eq!(eur("1.005"), Ok(101));
        assert_eq!(eur("2.5e1"), Ok(2500));
        assert_eq!(Money::parse("1200", "JPY".parse().unwrap()).map(|m| m.minor), Ok(1200));
        assert!(matches!(eur("1,5"), Err(MoneyError::Amount(_))));
        assert!(matches!(eur(""), Err(MoneyError::Amount(_))));
        assert!(matches!(eur("1e400"), Err(MoneyError::TooLarge(_))));
        assert_eq!(eur("1e-400"), Ok(0));
        assert!(Money::new(i64::MAX, Currency::EUR).times(2).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
            let _ = Money::parse(&text, Currency::EUR);
        }

        #[test]
        fn what_is_written_is_read(minor in any::<i64>()) {
            let money = Money::new(minor, Currency::GBP);
            let text = money.to_string();
            prop_assert_eq!(Money::parse(text.trim_end_matches(" GBP"), Currency::GBP), Ok(money));
        }
    }
}
