//! Texts with tags around what was searched for.

use std::ops::Range;

use serde_json::{Value, json};

use super::params::Tags;
use crate::app::App;

/// A text, where its hits stand, and what was searched for.
pub(super) struct Marked<'a> {
    text: &'a str,
    ranges: Vec<Range<usize>>,
    /// Words of the query.
    words: usize,
}

impl<'a> Marked<'a> {
    pub(super) fn new(app: &App, text: &'a str, terms: &[String], query: &str) -> Self {
        let mut ranges = app.parts.searches.highlight(text, terms);
        ranges.retain(|range| text.get(range.clone()).is_some());
        Self { text, ranges, words: query.split_whitespace().count() }
    }

    fn level(&self) -> &'static str {
        match self.ranges.len() {
            0 => "none",
            hits if hits >= self.words => "full",
            _ => "partial",
        }
    }

    fn matched_words(&self) -> Vec<String> {
        let mut words: Vec<String> = self.ranges.iter().map(|range| self.text[range.clone()].to_lowercase()).collect();
        words.sort_unstable();
        words.dedup();
        words
    }

    pub(super) fn highlight(&self, tags: &Tags) -> Value {
        let marked: usize = self.ranges.iter().map(Range::len).sum();
        let letters = self.text.chars().filter(|c| c.is_alphanumeric()).map(char::len_utf8).sum::<usize>();
        json!({
            "value": tagged(self.text, &self.ranges, tags), "matchLevel": self.level(),
            "fullyHighlighted": !self.ranges.is_empty() && marked >= letters, "matchedWords": self.matched_words(),
        })
    }

    /// Of the text no more than `words` words around the first hit.
    pub(super) fn snippet(&self, words: usize, ellipsis: &str, tags: &Tags) -> Value {
        let starts = word_starts(self.text);
        let first = self.ranges.first().map_or(0, |range| starts.partition_point(|start| *start <= range.start));
        let begin = first.saturating_sub(1 + words / 2).min(starts.len().saturating_sub(words));
        let from = starts.get(begin).copied().unwrap_or(0);
        let to = starts.get(begin + words).copied().unwrap_or(self.text.len());
        let inside = self.ranges.iter().filter(|range| range.start >= from && range.end <= to);
        let ranges: Vec<Range<usize>> = inside.map(|range| range.start - from..range.end - from).collect();
        let shown = tagged(self.text[from..to].trim_end(), &ranges, tags);
        let before = if begin > 0 { ellipsis } else { "" };
        let after = if to < self.text.len() { ellipsis } else { "" };
        json!({"value": format!("{before}{shown}{after}"), "matchLevel": self.level()})
    }
}

fn word_starts(text: &str) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut in_word = false;
    for (at, letter) in text.char_indices() {
        if !in_word && !letter.is_whitespace() {
            starts.push(at);
        }
        in_word = !letter.is_whitespace();
    }
    starts
}

fn tagged(text: &str, ranges: &[Range<usize>], tags: &Tags) -> String {
    let mut marked = String::with_capacity(text.len() + ranges.len() * (tags.before.len() + tags.after.len()));
    let mut at = 0;
    for range in ranges {
        let (Some(plain), Some(hit)) = (text.get(at..range.start), text.get(range.clone())) else { continue };
        marked.push_str(plain);
        marked.push_str(&tags.before);
        marked.push_str(hit);
        marked.push_str(&tags.after);
        at = range.end;
    }
    marked.push_str(text.get(at..).unwrap_or_default());
    marked
}

/// Marks what begins as the words of `typed` do: for values and suggestions.
pub(super) fn beginnings(text: &str, typed: &str, tags: &Tags) -> String {
    let wanted: Vec<String> = typed.split_whitespace().map(str::to_lowercase).collect();
    let found = |start: &usize| {
        let rest = &text[*start..];
        let lengths = wanted.iter().filter_map(|word| {
            let letters = word.chars().count();
            let begun: String = rest.chars().take(letters).collect();
            (begun.to_lowercase() == *word).then_some(begun.len())
        });
        lengths.max().map(|length| *start..*start + length)
    };
    let ranges: Vec<Range<usize>> = word_starts(text).iter().filter_map(found).collect();
    tagged(text, &ranges, tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags() -> Tags {
        Tags { before: "<".into(), after: ">".into() }
    }

    #[test]
    fn beginnings_of_words_are_marked() {
        assert_eq!(beginnings("Nike Éclair nikon", "ni éc", &tags()), "<Ni>ke <Éc>lair <ni>kon");
        assert_eq!(beginnings("Nike", "", &tags()), "Nike");
    }

    #[test]
    fn snippets_stand_around_the_first_hit() {
        let text = "one two three four five six seven eight nine ten";
        let at = text.find("eight").unwrap();
        let marked = Marked { text, ranges: std::iter::once(at..at + 5).collect(), words: 1 };
        assert_eq!(marked.snippet(4, "..", &tags())["value"], "..six seven <eight> nine..");
        assert_eq!(marked.snippet(100, "..", &tags())["value"], "one two three four five six seven <eight> nine ten");
        assert_eq!(marked.highlight(&tags())["matchLevel"], "full");
        let none = Marked { text: "", ranges: Vec::new(), words: 1 };
        assert_eq!(none.snippet(4, "..", &tags())["value"], "");
    }
}
