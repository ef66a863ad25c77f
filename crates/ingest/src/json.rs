//! Lenient reading of JSON scalars: senders write ids as numbers and prices as text.

use std::borrow::Cow;

use merx_domain::{Currency, Money, TimestampMs};
use serde_json::value::RawValue;

/// A text, a number or a flag read as text, trimmed. `null`, the empty text, objects and lists are nothing.
pub(crate) fn text(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let raw = raw?.get();
    let text = match raw.as_bytes().first()? {
        b'"' => unquoted(raw)?,
        b'n' | b'{' | b'[' => return None,
        _ => Cow::Borrowed(raw),
    };
    let trimmed = match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    };
    (!trimmed.is_empty()).then_some(trimmed)
}

/// The text between the quotes of a valid JSON string; borrowed where nothing is escaped.
pub(crate) fn unquoted(raw: &str) -> Option<Cow<'_, str>> {
    match raw.get(1..raw.len().checked_sub(1)?)? {
        plain if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
        _ => serde_json::from_str(raw).ok().map(Cow::Owned),
    }
}

/// The characters of a number, written bare or in quotes.
pub(crate) fn number_text(raw: &RawValue) -> &str {
    raw.get().trim_matches('"').trim()
}

/// Reads an amount from the digits that were sent, so that no float rounds it.
pub(crate) fn money(raw: Option<&RawValue>, currency: Currency) -> Option<Money> {
    Money::parse(number_text(raw?), currency).ok()
}

/// A date in RFC 3339, or a number of seconds or milliseconds since 1970.
pub(crate) fn timestamp(text: &str) -> Option<TimestampMs> {
    /// Seconds beyond this would be after the year 5000: such a number counts milliseconds.
    const LARGEST_SECONDS: f64 = 1e11;
    if let Some(timestamp) = TimestampMs::parse(text) {
        return Some(timestamp);
    }
    let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)?;
    let milliseconds = if number > LARGEST_SECONDS { number } else { number * 1_000.0 };
    Some(TimestampMs(milliseconds as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_read_as_text() {
        let cases = [
            ("\" a \"", Some("a")),
            ("12", Some("12")),
            ("1.5", Some("1.5")),
            ("true", Some("true")),
            ("null", None),
            ("\"\"", None),
            ("{}", None),
            ("\"a\\u0062\"", Some("ab")),
        ];
        for (json, expected) in cases {
            assert_eq!(text(serde_json::from_str(json).ok()).as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn amounts_keep_the_digits_that_were_sent() {
        let amount = |json: &str| money(serde_json::from_str(json).ok(), Currency::EUR).map(|money| money.minor);
        assert_eq!(amount("0.285"), Some(29));
        assert_eq!(amount("\"19.90\""), Some(1990));
        assert_eq!(amount("1e2"), Some(10_000));
        assert_eq!(amount("\"free\""), None);
    }

    #[test]
    fn dates_come_as_text_or_as_numbers() {
        let expected = Some(TimestampMs(1_767_323_045_678));
        assert_eq!(timestamp("2026-01-02T03:04:05.678Z"), expected);
        assert_eq!(timestamp("1767323045678"), expected);
        assert_eq!(timestamp("1767323045"), Some(TimestampMs(1_767_323_045_000)));
        assert_eq!(timestamp("soon"), None);
        assert_eq!(timestamp("-5"), None);
    }
}
