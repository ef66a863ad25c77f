//! What a person searched for, newest last: what they may want to search for again.

use compact_str::CompactString;
use merx_domain::{Event, EventKind, TimestampMs};

use crate::codec::{Encoded, Reader, write_text, write_time};

/// First byte of what is stored. Formats once written stay readable.
pub(crate) const FORMAT: u8 = 1;
const MOST: usize = 20;
/// Longer texts are no queries that anybody types again.
const LONGEST_BYTES: usize = 160;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Search {
    pub(crate) text: CompactString,
    pub(crate) at: TimestampMs,
}

impl Search {
    /// `None` for every other event.
    pub(crate) fn of(event: &Event) -> Option<Self> {
        let text = event.query.as_deref().filter(|_| event.kind == EventKind::ProductsSearched)?;
        let mut words = text.split_whitespace();
        let mut text = CompactString::from(words.next()?);
        words.for_each(|word| {
            text.push(' ');
            text.push_str(word);
        });
        (text.len() <= LONGEST_BYTES).then_some(Self { text, at: event.occurred_at.min(event.received_at) })
    }
}

/// Each text once, where it was searched for last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Searches(pub(crate) Vec<Search>);

impl Searches {
    pub(crate) fn add(&mut self, search: Search) {
        if let Some(known) = self.0.iter().position(|one| one.text.eq_ignore_ascii_case(&search.text)) {
            if self.0[known].at > search.at {
                return;
            }
            self.0.remove(known);
        }
        let place = self.0.partition_point(|one| one.at <= search.at);
        self.0.insert(place, search);
        if self.0.len() > MOST {
            self.0.remove(0);
        }
    }

    /// An empty value is somebody who searched for nothing; `None` are bytes that nobody wrote.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let Some((format, rest)) = bytes.split_first() else { return Some(Self::default()) };
        if *format != FORMAT {
            return None;
        }
        let input = &mut Reader(rest);
        let count = usize::try_from(input.varint()?).ok().filter(|count| *count <= MOST)?;
        (0..count).map(|_| Search::read(input)).collect::<Option<_>>().map(Self)
    }

    pub(crate) fn to_bytes(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend([FORMAT, self.0.len() as u8]);
        self.0.iter().for_each(|search| search.write(out));
    }
}

impl Encoded for Search {
    fn write(&self, out: &mut Vec<u8>) {
        write_time(out, self.at);
        write_text(out, &self.text);
    }

    fn read(input: &mut Reader<'_>) -> Option<Self> {
        Some(Self { at: input.time()?, text: input.text()?.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(text: &str, at: i64) -> Search {
        Search { text: text.into(), at: TimestampMs(at) }
    }

    #[test]
    fn the_last_of_each_text_counts_and_comes_back_from_its_bytes() {
        let mut searches = Searches::default();
        for one in [search("lamp", 20), search("shoes", 10), search("Lamp", 5), search("Shoes", 30)] {
            searches.add(one);
        }
        assert_eq!(searches.0, [search("lamp", 20), search("Shoes", 30)]);
        let mut bytes = Vec::new();
        searches.to_bytes(&mut bytes);
        assert_eq!(Searches::from_bytes(&bytes), Some(searches));
        assert_eq!(Searches::from_bytes(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Searches::from_bytes(&[9]), None);
    }

    #[test]
    fn nobody_keeps_more_than_so_many() {
        let mut searches = Searches::default();
        (0..200).for_each(|number| searches.add(search(&number.to_string(), number)));
        assert_eq!((searches.0.len(), searches.0[0].at), (MOST, TimestampMs(180)));
    }
}
