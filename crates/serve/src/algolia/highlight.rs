//! Texts with tags around what was searched for, and how much of the query they have.

use std::ops::Range;

use merx_domain::search::SearchedTerm;
use serde_json::{Value, json};

use super::params::Tags;
use crate::app::App;

/// What was searched for: words as typed, and the terms that stand for each.
pub(super) struct Searched<'a> {
    terms: &'a [SearchedTerm],
    /// The words, each once, in the order of the query; and by place of a term its word.
    words: Vec<&'a str>,
    word_of: Vec<usize>,
}

impl<'a> Searched<'a> {
    pub(super) fn of(terms: &'a [SearchedTerm]) -> Self {
        let mut words: Vec<&str> = Vec::new();
        let mut place_of = |word: &'a str| {
            words.iter().position(|known| *known == word).unwrap_or_else(|| {
                words.push(word);
                words.len() - 1
            })
        };
        let word_of = terms.iter().map(|searched| place_of(&searched.word)).collect();
        Self { terms, words, word_of }
    }

    /// How many words were searched for.
    pub(super) fn count(&self) -> usize {
        self.words.len()
    }
}

/// A stretch of a text, and which words of the query stand there, by place.
#[derive(Debug, Clone, PartialEq)]
struct Hit {
    range: Range<usize>,
    words: Vec<usize>,
}

/// A text and where in it words of the query stand.
pub(super) struct Marked<'a> {
    text: &'a str,
    hits: Vec<Hit>,
    words: &'a [&'a str],
}

impl<'a> Marked<'a> {
    pub(super) fn new(app: &App, text: &'a str, searched: &'a Searched<'_>) -> Self {
        let marks = app.parts.searches.highlight(text, searched.terms).into_iter();
        let sound = marks.filter(|mark| text.get(mark.range.clone()).is_some());
        let hit = |mark: merx_domain::search::Mark| {
            let words = mark.terms.iter().filter_map(|term| searched.word_of.get(*term).copied()).collect();
            Hit { range: mark.range, words }
        };
        Self { text, hits: sound.map(hit).collect(), words: &searched.words }
    }

    /// Marks what begins as `words` do: for values and suggestions.
    pub(super) fn beginnings(text: &'a str, words: &'a [&'a str]) -> Self {
        let hits = word_starts(text).into_iter().filter_map(|start| {
            let rest = &text[start..];
            let begun = |word: &str| {
                let begun: String = rest.chars().take(word.chars().count()).collect();
                (begun.to_lowercase() == word.to_lowercase()).then_some(begun.len())
            };
            let found = || words.iter().enumerate().filter_map(|(place, word)| Some((place, begun(word)?)));
            let longest = found().map(|(_, length)| length).max()?;
            Some(Hit { range: start..start + longest, words: found().map(|(place, _)| place).collect() })
        });
        Self { text, hits: hits.collect(), words }
    }

    pub(super) fn tagged(&self, tags: &Tags) -> String {
        tagged(self.text, &self.hits, tags)
    }

    pub(super) fn highlight(&self, tags: &Tags) -> Value {
        let matched = matched(self.words, &self.hits);
        let mut highlight = json!({
            "value": self.tagged(tags), "matchLevel": level(self.words, &matched), "matchedWords": matched,
        });
        if !matched.is_empty() {
            highlight["fullyHighlighted"] = json!(!self.gaps().any(|gap| gap.contains(char::is_alphanumeric)));
        }
        highlight
    }

    /// The text between hits.
    fn gaps(&self) -> impl Iterator<Item = &'a str> + '_ {
        let begins = std::iter::once(0).chain(self.hits.iter().map(|hit| hit.range.end));
        let ends = self.hits.iter().map(|hit| hit.range.start).chain(std::iter::once(self.text.len()));
        begins.zip(ends).filter_map(|(begin, end)| self.text.get(begin..end))
    }

    /// Of the text no more than `words` words: where most of the query stands, the first such place.
    pub(super) fn snippet(&self, words: usize, ellipsis: &str, tags: &Tags) -> Value {
        let starts = word_starts(self.text);
        let word_at = |at: usize| starts.partition_point(|start| *start <= at).saturating_sub(1);
        let begin = match self.densest(words, &word_at) {
            None => 0,
            Some((first, last)) => {
                let spare = words.saturating_sub(last + 1 - first);
                first.saturating_sub(spare.div_ceil(2)).min(starts.len().saturating_sub(words))
            }
        };
        let from = starts.get(begin).copied().unwrap_or(0);
        let to = starts.get(begin + words).copied().unwrap_or(self.text.len());
        let inside = self.hits.iter().filter(|hit| hit.range.start >= from && hit.range.end <= to);
        let moved = |hit: &Hit| Hit { range: hit.range.start - from..hit.range.end - from, words: hit.words.clone() };
        let hits: Vec<Hit> = inside.map(moved).collect();
        let shown = tagged(self.text[from..to].trim_end(), &hits, tags);
        let before = if begin > 0 { ellipsis } else { "" };
        let after = if to < self.text.len() { ellipsis } else { "" };
        let level = level(self.words, &matched(self.words, &hits));
        json!({"value": format!("{before}{shown}{after}"), "matchLevel": level})
    }

    /// The first and the last word of the text in the stretch of `words` words that has most words of the query.
    fn densest(&self, words: usize, word_at: &dyn Fn(usize) -> usize) -> Option<(usize, usize)> {
        let mut best: Option<(usize, (usize, usize))> = None;
        for (place, hit) in self.hits.iter().enumerate() {
            let first = word_at(hit.range.start);
            let near = |other: &&Hit| word_at(other.range.start) < first + words;
            let near: Vec<&Hit> = self.hits[place..].iter().take(words).take_while(near).collect();
            let mut known: Vec<usize> = near.iter().flat_map(|hit| hit.words.iter().copied()).collect();
            known.sort_unstable();
            known.dedup();
            if best.is_none_or(|(most, _)| known.len() > most) {
                let last = near.last().map_or(first, |hit| word_at(hit.range.start));
                best = Some((known.len(), (first, last)));
            }
            if known.len() == self.words.len() {
                break;
            }
        }
        best.map(|(_, stretch)| stretch)
    }
}

/// The words of the query that stand in a text, in the order of the query.
fn matched<'a>(words: &[&'a str], hits: &[Hit]) -> Vec<&'a str> {
    let stands = |place: usize| hits.iter().any(|hit| hit.words.contains(&place));
    words.iter().enumerate().filter(|(place, _)| stands(*place)).map(|(_, word)| *word).collect()
}

fn level(words: &[&str], matched: &[&str]) -> &'static str {
    match matched.len() {
        0 => "none",
        all if all == words.len() => "full",
        _ => "partial",
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

fn tagged(text: &str, hits: &[Hit], tags: &Tags) -> String {
    let mut marked = String::with_capacity(text.len() + hits.len() * (tags.before.len() + tags.after.len()));
    let mut at = 0;
    for hit in hits {
        let (Some(plain), Some(hit_text)) = (text.get(at..hit.range.start), text.get(hit.range.clone())) else {
            continue;
        };
        marked.push_str(plain);
        marked.push_str(&tags.before);
        marked.push_str(hit_text);
        marked.push_str(&tags.after);
        at = hit.range.end;
    }
    marked.push_str(text.get(at..).unwrap_or_default());
    marked
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tags() -> Tags {
        Tags { before: "<".into(), after: ">".into() }
    }

    fn marked<'a>(text: &'a str, words: &'a [&'a str]) -> Marked<'a> {
        let hit = |(place, word): (usize, &&str)| Some((text.find(word)?, place, word.len()));
        let mut hits: Vec<_> = words.iter().enumerate().filter_map(hit).collect();
        hits.sort_unstable();
        let hits = hits.into_iter().map(|(at, place, length)| Hit { range: at..at + length, words: vec![place] });
        Marked { text, hits: hits.collect(), words }
    }

    #[test]
    fn beginnings_of_words_are_marked() {
        let words = ["ni", "éc"];
        assert_eq!(Marked::beginnings("Nike Éclair nikon", &words).tagged(&tags()), "<Ni>ke <Éc>lair <ni>kon");
        assert_eq!(Marked::beginnings("Nike", &[]).tagged(&tags()), "Nike");
        let partly = Marked::beginnings("Nike shoe", &words).highlight(&tags());
        let wanted =
            json!({"value": "<Ni>ke shoe", "matchLevel": "partial", "matchedWords": ["ni"], "fullyHighlighted": false});
        assert_eq!(partly, wanted);
    }

    #[test]
    fn levels_say_how_much_of_the_query_is_there() {
        let words = ["red", "shoe"];
        let of = |text| marked(text, &words).highlight(&tags());
        assert_eq!(
            of("a red shoe, red"),
            json!({"value": "a <red> <shoe>, red", "matchLevel": "full", "matchedWords": ["red", "shoe"], "fullyHighlighted": false})
        );
        assert_eq!(
            of("“red”"),
            json!({"value": "“<red>”", "matchLevel": "partial", "matchedWords": ["red"], "fullyHighlighted": true})
        );
        assert_eq!(of("lamp"), json!({"value": "lamp", "matchLevel": "none", "matchedWords": []}));
        // One word of the query that stands twice is still one word.
        let twice = Marked {
            text: "red red",
            hits: vec![Hit { range: 0..3, words: vec![0] }, Hit { range: 4..7, words: vec![0] }],
            words: &words,
        };
        assert_eq!(twice.highlight(&tags())["matchLevel"], "partial");
    }

    #[test]
    fn snippets_stand_where_most_of_the_query_is() {
        let text = "one two three four five six seven eight nine ten";
        let one = marked(text, &["eight"]);
        assert_eq!(one.snippet(4, "..", &tags())["value"], "..six seven <eight> nine..");
        assert_eq!(one.snippet(100, "..", &tags())["value"], "one two three four five six seven <eight> nine ten");
        let words = ["one", "eight", "nine"];
        let most = marked(text, &words).snippet(4, "..", &tags());
        assert_eq!(most, json!({"value": "..seven <eight> <nine> ten", "matchLevel": "partial"}));
        assert_eq!(marked("", &["eight"]).snippet(4, "..", &tags()), json!({"value": "", "matchLevel": "none"}));
        assert_eq!(marked(text, &[]).snippet(2, "..", &tags()), json!({"value": "one two..", "matchLevel": "none"}));
    }

    fn without_tags(marked: &str) -> String {
        marked.replace("__on__", "").replace("__off__", "")
    }

    proptest! {
        /// Whatever is marked, the text is still there; and of a snippet it is a part.
        #[test]
        fn marking_adds_tags_and_nothing_else(
            text in "[a-zé&< \\n日]{0,40}", places in prop::collection::vec((0_usize..60, 0_usize..8), 0..6), words in 1_usize..6
        ) {
            let tags = Tags { before: "__on__".into(), after: "__off__".into() };
            // As a search names them: in order, apart, between letters; and others, that must do no harm.
            let ranges = places.iter().map(|(start, length)| *start..start + length).filter(|range| text.get(range.clone()).is_some());
            let mut hits: Vec<Hit> = ranges.enumerate().map(|(place, range)| Hit { range, words: vec![place % 3] }).collect();
            prop_assert_eq!(without_tags(&tagged(&text, &hits, &tags)), text.clone());
            hits.sort_by_key(|hit| (hit.range.start, hit.range.end));
            let marked = Marked { text: &text, hits, words: &["a", "b", "c"] };
            let highlight = marked.highlight(&tags);
            prop_assert_eq!(without_tags(highlight["value"].as_str().unwrap()), text.clone());
            let snippet = marked.snippet(words, "", &tags);
            let shown = without_tags(snippet["value"].as_str().unwrap());
            prop_assert!(text.contains(&shown), "{shown:?} of {text:?}");
            prop_assert!(shown.split_whitespace().count() <= words);
        }

        #[test]
        fn beginnings_only_add_tags(text in "[a-zé日 ]{0,30}", typed in "[a-zéß日 ]{0,8}") {
            let tags = Tags { before: "__on__".into(), after: "__off__".into() };
            let words: Vec<&str> = typed.split_whitespace().collect();
            prop_assert_eq!(without_tags(&Marked::beginnings(&text, &words).tagged(&tags)), text);
        }
    }
}
