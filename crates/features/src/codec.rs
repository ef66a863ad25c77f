//! Compact bytes of feature states: variable-length integers, floats as they are. Reading checks everything, because
//! the bytes come from disk or from another process.

use merx_domain::TimestampMs;

/// A state that can be kept.
pub(crate) trait Encoded: Sized {
    fn write(&self, out: &mut Vec<u8>);
    /// `None` where the bytes are not what [`Encoded::write`] wrote.
    fn read(input: &mut Reader<'_>) -> Option<Self>;
}

/// Bytes still to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    /// A variable-length integer: seven bits a byte, lowest first.
    pub(crate) fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    pub(crate) fn varint_u32(&mut self) -> Option<u32> {
        self.varint().and_then(|value| u32::try_from(value).ok())
    }

    pub(crate) fn float(&mut self) -> Option<f32> {
        self.array().map(f32::from_le_bytes)
    }

    pub(crate) fn floats<const N: usize>(&mut self) -> Option<[f32; N]> {
        let mut values = [0.0; N];
        for value in &mut values {
            *value = self.float()?;
        }
        Some(values)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A text after its length.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.varint()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    pub(crate) fn time(&mut self) -> Option<TimestampMs> {
        self.array().map(i64::from_le_bytes).map(TimestampMs)
    }
}

pub(crate) fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    write_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn write_floats(out: &mut Vec<u8>, values: &[f32]) {
    for value in values {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

pub(crate) fn write_time(out: &mut Vec<u8>, at: TimestampMs) {
    out.extend_from_slice(&at.0.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn integers_read_what_they_write(value in any::<u64>()) {
            let mut bytes = Vec::new();
            write_varint(&mut bytes, value);
            prop_assert_eq!(Reader(&bytes).varint(), Some(value));
            prop_assert_eq!(Reader(&bytes[..bytes.len() - 1]).varint(), None);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            let mut reader = Reader(&bytes);
            while reader.varint().is_some() && reader.float().is_some() && reader.time().is_some() {}
        }
    }
}
