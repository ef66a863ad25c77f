//! A value as it lies in Redis.
//!
//! Format 1: `[1][epoch u32][number u64][length of before u32, MAX: none][before][current]`, little-endian. The first 13
//! bytes are the version.

use std::collections::BTreeSet;

use merx_store::{Format, StoreError};

use super::WHAT;

const FORMAT: u8 = 1;
/// Of values of the online store, with their epochs.
pub const FORMATS: &[Format] = &[Format { name: "values with their epochs", reads: (1, 1), writes: FORMAT as u16 }];
pub(super) const VERSION_BYTES: usize = 13;
const NONE: u32 = u32::MAX;

/// Tells each writing of a value from every other: an epoch has one writer, which numbers what it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) epoch: u32,
    pub(super) number: u64,
}

impl Version {
    pub(super) fn bytes(self) -> [u8; VERSION_BYTES] {
        let mut bytes = [FORMAT; VERSION_BYTES];
        bytes[1..5].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[5..].copy_from_slice(&self.number.to_le_bytes());
        bytes
    }

    pub(super) fn read(bytes: &[u8; VERSION_BYTES]) -> Option<Self> {
        let (&format, rest) = bytes.split_first()?;
        let (epoch, number) = rest.split_at_checked(4)?;
        let version = Self {
            epoch: u32::from_le_bytes(epoch.try_into().ok()?),
            number: u64::from_le_bytes(number.try_into().ok()?),
        };
        (format == FORMAT).then_some(version)
    }
}

/// The epoch that is written now, and those whose writings don't count.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Epochs {
    pub(super) current: u32,
    pub(super) abandoned: BTreeSet<u32>,
    /// The first epoch since the server knew none. What is of an earlier one was still on its way when the memory was lost.
    pub(super) first: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) version: Version,
    /// The value at the snapshot before this version's epoch.
    before: Option<Vec<u8>>,
    /// Empty: removed.
    current: Vec<u8>,
}

impl Entry {
    /// What comes after `held` when `value` is written.
    pub(super) fn following(held: Option<&Self>, version: Version, value: Vec<u8>, epochs: &Epochs) -> Self {
        let before = match held {
            Some(held) if held.version.epoch == epochs.current => held.before.clone(),
            Some(held) => held.value(epochs).map(<[u8]>::to_vec),
            None => None,
        };
        Self { version, before, current: value }
    }

    pub(super) fn value(&self, epochs: &Epochs) -> Option<&[u8]> {
        if self.version.epoch < epochs.first {
            None
        } else if epochs.abandoned.contains(&self.version.epoch) {
            self.before.as_deref()
        } else {
            Some(self.current.as_slice()).filter(|current| !current.is_empty())
        }
    }

    /// Whether nothing is lost without it: neither now nor after a return to the last snapshot.
    pub(super) fn is_nothing(&self) -> bool {
        self.current.is_empty() && self.before.is_none()
    }

    pub(super) fn is_removed(&self) -> bool {
        self.current.is_empty()
    }

    /// The version that Redis has once this is written.
    pub(super) fn stored_version(&self) -> Option<Version> {
        (!self.is_nothing()).then_some(self.version)
    }

    /// Empty where there is nothing to store.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        if self.is_nothing() {
            return Vec::new();
        }
        let before = self.before.as_deref();
        let mut bytes = self.version.bytes().to_vec();
        bytes.extend(before.map_or(NONE, |before| before.len() as u32).to_le_bytes());
        bytes.extend(before.unwrap_or_default());
        bytes.extend(&self.current);
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        parse(bytes).ok_or_else(|| StoreError::Damaged {
            what: WHAT,
            detail: "a value is not in a known format; does something else use this prefix?".into(),
        })
    }
}

fn parse(bytes: &[u8]) -> Option<Entry> {
    let (version, rest) = bytes.split_first_chunk::<VERSION_BYTES>()?;
    let version = Version::read(version)?;
    let (length, rest) = rest.split_at_checked(4)?;
    let (before, current) = match u32::from_le_bytes(length.try_into().ok()?) {
        NONE => (None, rest),
        length => {
            let (before, current) = rest.split_at_checked(length as usize)?;
            (Some(before.to_vec()), current)
        }
    };
    Some(Entry { version, before, current: current.to_vec() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_known_value_stays_readable() {
        let bytes = [&[1, 7, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0][..], b"ab", b"cde"].concat();
        let entry = Entry::from_bytes(&bytes).unwrap();
        assert_eq!(entry.version, Version { epoch: 7, number: 9 });
        assert_eq!(entry.value(&Epochs { current: 7, ..Epochs::default() }), Some(&b"cde"[..]));
        assert_eq!(entry.value(&Epochs { current: 8, abandoned: BTreeSet::from([7]), first: 0 }), Some(&b"ab"[..]));
        assert_eq!(entry.value(&Epochs { current: 8, first: 8, ..Epochs::default() }), None);
        assert_eq!(entry.to_bytes(), bytes);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(entry) = Entry::from_bytes(&bytes) {
                let again = entry.to_bytes();
                prop_assert!(again == bytes || entry.is_nothing());
            }
        }

        /// Writings, snapshots and crashes against a map that remembers its last snapshot.
        #[test]
        fn a_crash_goes_back_to_the_snapshot(steps in prop::collection::vec((0..4_u8, any::<u8>()), 0..40)) {
            let mut epochs = Epochs::default();
            let (mut stored, mut now, mut saved) = (None::<Entry>, Vec::new(), Vec::new());
            for (number, (step, byte)) in steps.into_iter().enumerate() {
                match step {
                    0 | 1 => {
                        now = if byte < 60 { Vec::new() } else { vec![byte; usize::from(byte % 5) + 1] };
                        let version = Version { epoch: epochs.current, number: number as u64 };
                        let next = Entry::following(stored.as_ref(), version, now.clone(), &epochs);
                        stored = (!next.is_nothing()).then(|| Entry::from_bytes(&next.to_bytes()).unwrap());
                    }
                    2 => {
                        saved = now.clone();
                        epochs.current += 1;
                    }
                    _ => {
                        now = saved.clone();
                        epochs.abandoned.insert(epochs.current);
                        epochs.current += 1;
                    }
                }
                let value = stored.as_ref().and_then(|entry| entry.value(&epochs)).unwrap_or_default();
                prop_assert_eq!(value, &now[..]);
            }
        }
    }
}
