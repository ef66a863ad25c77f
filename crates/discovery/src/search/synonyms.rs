//! Words that a merchant declares to mean the same, or one to include another.

use compact_str::CompactString;
pub use merx_domain::merchandising::Synonym;

use crate::search::query::{Alternative, ParsedQuery};
use crate::search::text::Analyser;

/// Synonyms as a query is read by them: stemmed, by what is asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Synonyms {
    /// The asked words and the words that are found by them too, longest first.
    pairs: Vec<(Vec<CompactString>, Vec<CompactString>)>,
}

/// A synonym is worth nearly what was asked for.
const WEIGHT: f32 = 0.9;
/// More words than these are a sentence.
const MOST_WORDS: usize = 6;
const MOST_PAIRS: usize = 50_000;

impl Synonyms {
    pub const NONE: Self = Self { pairs: Vec::new() };

    pub fn new(declared: &[Synonym], analyser: &Analyser) -> Self {
        let mut pairs = Vec::new();
        for synonym in declared {
            match synonym {
                Synonym::Equal { words } => {
                    for from in words {
                        let others = words.iter().filter(|word| *word != from);
                        pairs.extend(others.map(|to| (stems(from, analyser), stems(to, analyser))));
                    }
                }
                Synonym::OneWay { from, to } => {
                    pairs.extend(to.iter().map(|to| (stems(from, analyser), stems(to, analyser))))
                }
            }
        }
        let sensible = |words: &Vec<CompactString>| (1..=MOST_WORDS).contains(&words.len());
        pairs.retain(|(from, to)| sensible(from) && sensible(to) && from != to);
        pairs.truncate(MOST_PAIRS);
        pairs.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        pairs.dedup();
        Self { pairs }
    }

    /// Adds to the words of a query what they are found by too.
    pub(super) fn widen(&self, query: &mut ParsedQuery) {
        if self.pairs.is_empty() {
            return;
        }
        let asked: Vec<(usize, CompactString)> =
            query.required().map(|(place, term)| (place, term.alternatives[0].terms[0].clone())).collect();
        for (from, to) in &self.pairs {
            for run in asked.windows(from.len()) {
                if run.iter().zip(from).all(|((_, asked), from)| asked == from) {
                    for (place, _) in run {
                        query.terms[*place].add(Alternative { terms: to.clone(), weight: WEIGHT });
                    }
                }
            }
        }
    }
}

fn stems(text: &str, analyser: &Analyser) -> Vec<CompactString> {
    let tokens = analyser.tokens(text);
    let spoken = tokens.iter().filter(|token| token.is_primary() && !analyser.is_stop_word(&token.surface, &[]));
    spoken.map(|token| token.term.clone()).collect()
}
