//! Consent strings of IAB Europe's Transparency and Consent Framework, version 2: what they say of the eleven purposes.
//!
//! The core segment is a row of bits in base64url (IAB Tech Lab, "Consent string and vendor list formats v2", section
//! "The core string"): version 6, created 36, last updated 36, CMP 12 + 12, screen 6, language 12, vendor list 12, policy
//! 6, flags 2, special features 12, then 24 bits of consent and 24 of legitimate interest, one a purpose. What follows
//! (vendors, restrictions) says nothing about a shop's own use and is not read, nor are the segments behind a dot.

use super::{ConsentStamp, Purposes};

const VERSION_BITS: usize = 6;
const PURPOSES_AT: usize = 152;
const PURPOSES: usize = 24;
/// Strings that platforms write have some hundreds of characters, some thousands with many vendors.
const MAX_CHARS: usize = 20_000;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TcfError {
    #[error("a consent string has at most {MAX_CHARS} characters")]
    TooLong,
    #[error("character {at} is no base64url")]
    Character { at: usize },
    #[error("it is too short to say anything of purposes")]
    Short,
    #[error("it is of version {0}; version 2 is read")]
    Version(u64),
}

/// What a string says: purpose n of the framework is bit n - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcfPurposes {
    pub consent: u32,
    pub legitimate_interest: u32,
}

/// Purposes of the framework that one of ours stands on: all of them must be consented to.
const NEEDED: [(Purposes, &[u8]); 3] = [
    // Measure content performance, understand audiences through statistics.
    (Purposes::ANALYTICS, &[8, 9]),
    // Create profiles for, and use them to select personalised content.
    (Purposes::PERSONALISATION, &[5, 6]),
    // Create profiles for, and use them to select personalised advertising.
    (Purposes::MARKETING, &[3, 4]),
];

pub fn decode(text: &str) -> Result<TcfPurposes, TcfError> {
    let text = text.trim();
    if text.len() > MAX_CHARS {
        return Err(TcfError::TooLong);
    }
    let core = text.split('.').next().unwrap_or_default();
    let mut bits = Vec::with_capacity(core.len() * 6);
    for (at, byte) in core.bytes().enumerate() {
        let value = sextet(byte).ok_or(TcfError::Character { at: at + 1 })?;
        bits.extend((0..6).rev().map(|place| value >> place & 1 == 1));
    }
    let number = |from: usize, count: usize| -> Result<u64, TcfError> {
        let bits = bits.get(from..from + count).ok_or(TcfError::Short)?;
        Ok(bits.iter().fold(0_u64, |number, bit| number << 1 | u64::from(*bit)))
    };
    let version = number(0, VERSION_BITS)?;
    if version != 2 {
        return Err(TcfError::Version(version));
    }
    let purposes = |from: usize| -> Result<u32, TcfError> {
        let bits = bits.get(from..from + PURPOSES).ok_or(TcfError::Short)?;
        Ok(bits.iter().enumerate().fold(0_u32, |set, (place, bit)| set | u32::from(*bit) << place))
    };
    Ok(TcfPurposes { consent: purposes(PURPOSES_AT)?, legitimate_interest: purposes(PURPOSES_AT + PURPOSES)? })
}

impl TcfPurposes {
    pub fn consents(self, purpose: u8) -> bool {
        (1..=PURPOSES as u8).contains(&purpose) && self.consent >> (purpose - 1) & 1 == 1
    }

    /// A yes or a no for each of our purposes that the framework knows. Legitimate interest is no consent.
    pub fn stamp(self) -> ConsentStamp {
        let mut stamp = ConsentStamp::default();
        for (ours, theirs) in NEEDED {
            let granted = theirs.iter().all(|purpose| self.consents(*purpose));
            if granted { stamp.granted |= ours } else { stamp.denied |= ours }
        }
        stamp
    }
}

fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As `@iabtcf/core` 1.5 encodes them.
    const KNOWN: [(&str, &[u8], &[u8]); 5] = [
        ("CQuCLYAQuCLYAAfACBENCWEAAP_gAAAAAAYgAAAAAAAA.IAAA", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], &[]),
        ("CQuCLYAQuCLYAAfACBENCWEAAAAAAAAAAAYgAAAAAAAA.IAAA", &[], &[]),
        ("CQuCLYAQuCLYAAfACBENCWEAAIwAAAEAAAYgAAAAAAAA.IAAA", &[1, 5, 6], &[8]),
        ("CQuCLYAQuCLYAAfACBENCWEAAIOAAEAAAAYgAAAAAAAA.IAAA", &[1, 7, 8, 9], &[2]),
        ("CQuCLYAQuCLYAAfACBENCWEAAFAAAAAAAAYgAAAAAAAA", &[2, 4], &[]),
    ];

    fn set(purposes: &[u8]) -> u32 {
        purposes.iter().fold(0, |set, purpose| set | 1 << (purpose - 1))
    }

    #[test]
    fn strings_of_the_official_library_are_read() {
        for (text, consent, interest) in KNOWN {
            let expected = TcfPurposes { consent: set(consent), legitimate_interest: set(interest) };
            assert_eq!(decode(text), Ok(expected), "{text}");
        }
        // The example of the specification.
        let example = decode("COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA").unwrap();
        assert_eq!(example.consent, set(&[1, 2, 3]));
    }

    #[test]
    fn all_that_a_purpose_needs_must_be_there() {
        let stamp = |number: usize| decode(KNOWN[number].0).unwrap().stamp();
        let known = Purposes::ANALYTICS | Purposes::PERSONALISATION | Purposes::MARKETING;
        assert_eq!((stamp(0).granted, stamp(0).denied), (known, Purposes::empty()));
        assert_eq!((stamp(1).granted, stamp(1).denied), (Purposes::empty(), known));
        assert_eq!(stamp(2).granted, Purposes::PERSONALISATION);
        assert_eq!(stamp(3).granted, Purposes::ANALYTICS);
        assert_eq!(stamp(4).granted, Purposes::empty());
    }

    #[test]
    fn what_is_none_is_named() {
        assert_eq!(decode(""), Err(TcfError::Short));
        assert_eq!(decode("CQuCLYAQuCLYAAfACBENCWEAAP"), Err(TcfError::Short));
        assert_eq!(decode("BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA"), Err(TcfError::Version(1)));
        assert_eq!(decode("CQuCLYAQ+CLYAA"), Err(TcfError::Character { at: 9 }));
        assert_eq!(decode(&"C".repeat(MAX_CHARS + 1)), Err(TcfError::TooLong));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(consent in 0_u32..1 << 24, interest in 0_u32..1 << 24, rest in 0_usize..40) {
            let mut bits = vec![false; PURPOSES_AT];
            bits[4] = true;
            bits.extend((0..PURPOSES).map(|place| consent >> place & 1 == 1));
            bits.extend((0..PURPOSES).map(|place| interest >> place & 1 == 1));
            bits.extend(vec![true; 4 + rest * 6]);
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let letter = |six: &[bool]| char::from(alphabet[six.iter().fold(0, |n, bit| n << 1 | usize::from(*bit))]);
            let text: String = bits.chunks(6).filter(|six| six.len() == 6).map(letter).collect();
            prop_assert_eq!(decode(&text), Ok(TcfPurposes { consent, legitimate_interest: interest }));
        }

        #[test]
        fn nothing_makes_it_stumble(text in ".{0,200}") {
            let _ = decode(&text);
        }
    }
}
