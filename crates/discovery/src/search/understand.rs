//! Reads a query beside the catalogue: words that it doesn't know are corrected, words are joined and parted as products
//! write them. What the catalogue knows stays in the query; further readings stand beside it.

use compact_str::CompactString;

use crate::search::lexicon::Lexicon;
use crate::search::query::{Alternative, ParsedQuery, QueryTerm};
use crate::search::spelling::{Company, Speller, Suggestion};
use crate::search::text::{Analyser, TokenKind};

/// What further readings are worth beside the word as typed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReadingSettings {
    /// The best correction of a word that no product has.
    pub correction: f32,
    /// Others that score nearly as well, and how near they must be.
    pub other_correction: f32,
    pub near: f32,
    /// A likelier word beside one that the catalogue has.
    pub doubted: f32,
    /// Two words written as one, one written as two.
    pub joined: f32,
    pub parted: f32,
    /// A word that begins as typed, while the shopper is typing.
    pub completed: f32,
}

impl Default for ReadingSettings {
    fn default() -> Self {
        Self {
            correction: 1.0,
            other_correction: 0.4,
            near: 1.5,
            doubted: 0.7,
            joined: 0.8,
            parted: 0.7,
            completed: 0.6,
        }
    }
}

/// A word that was read as another.
#[derive(Debug, Clone, PartialEq)]
pub struct Correction {
    pub typed: CompactString,
    pub meant: CompactString,
    /// Nothing has the word as typed: the answer shows what was meant instead. Otherwise it shows both.
    pub replaces: bool,
}

pub(super) struct Reader<'a> {
    pub analyser: &'a Analyser,
    pub lexicon: &'a Lexicon,
    pub speller: &'a Speller,
    pub company: &'a dyn Company,
    pub settings: ReadingSettings,
}

/// Corrections beyond these are left out.
const MOST_READINGS: usize = 3;
const MOST_COMPLETIONS: usize = 16;

impl Reader<'_> {
    /// Adds readings to the terms of a query; gives what was corrected.
    pub(super) fn read(&self, query: &mut ParsedQuery, forgives: bool, unfinished: bool) -> Vec<Correction> {
        self.join(query);
        self.part(query);
        if unfinished {
            self.complete(query);
        }
        if forgives { self.correct(query) } else { Vec::new() }
    }

    /// `cordless dri`: the words that begin so.
    fn complete(&self, query: &mut ParsedQuery) {
        let Some(last) = query.terms.iter_mut().rev().find(|term| term.required) else { return };
        for word in self.lexicon.completions(&last.surface.clone(), MOST_COMPLETIONS) {
            last.add(Alternative::word(self.analyser.stem(&word.text), self.settings.completed));
        }
    }

    fn products(&self, term: &QueryTerm) -> u32 {
        let stems = term.alternatives.iter().filter(|alternative| alternative.terms.len() == 1);
        let stems = stems.map(|alternative| self.lexicon.term_products(&alternative.terms[0]));
        match stems.max() {
            Some(products) if products > 0 => products,
            _ => self.company.anywhere(&term.alternatives[0].terms[0]),
        }
    }

    /// `base board`: products write `baseboard`.
    fn join(&self, query: &mut ParsedQuery) {
        let words: Vec<usize> = (0..query.terms.len())
            .filter(|place| query.terms[*place].required && query.terms[*place].is_word())
            .collect();
        for pair in words.windows(2) {
            let (first, second) = (&query.terms[pair[0]], &query.terms[pair[1]]);
            if second.position != first.position + 1 {
                continue;
            }
            let joined = format!("{}{}", first.surface, second.surface);
            let stem = self.analyser.stem(&joined);
            if self.lexicon.term_products(&stem) > 0 {
                for place in pair {
                    query.terms[*place].add(Alternative::word(stem.clone(), self.settings.joined));
                }
            }
        }
    }

    /// `lightbulb`: products write `light bulb` far more often.
    fn part(&self, query: &mut ParsedQuery) {
        for term in query.terms.iter_mut().filter(|term| term.required && term.is_word()) {
            let known = self.lexicon.term_products(&term.alternatives[0].terms[0]);
            if known > 0
                && let Some((first, second, together)) = self.speller.parted(&term.surface, self.lexicon, self.company)
                && together > known
            {
                let stems = vec![self.analyser.stem(&first), self.analyser.stem(&second)];
                term.add(Alternative { terms: stems, weight: self.settings.parted });
            }
        }
    }

    fn correct(&self, query: &mut ParsedQuery) -> Vec<Correction> {
        let stems: Vec<Option<u32>> = query
            .terms
            .iter()
            .map(|term| term.required.then(|| self.lexicon.term_number(&term.alternatives[0].terms[0])).flatten())
            .collect();
        let mut corrections = Vec::new();
        for (place, term) in query.terms.iter_mut().enumerate() {
            if !(term.required && term.is_word()) {
                continue;
            }
            let beside = stems.iter().enumerate().filter(|(other, _)| *other != place);
            let neighbours: Vec<u32> = beside.filter_map(|(_, stem)| *stem).collect();
            let known = self.products(term);
            if known > 0 {
                let likelier = self.speller.doubted(&term.surface, known, &neighbours, self.lexicon, self.company);
                corrections.extend(likelier.map(|likelier| self.add(term, &likelier, self.settings.doubted, false)));
                continue;
            }
            let suggestions = self.speller.suggest(&term.surface, &neighbours, self.lexicon, self.company);
            let best = suggestions.first().map_or(f32::NEG_INFINITY, |suggestion| suggestion.score);
            let near = suggestions
                .iter()
                .take(MOST_READINGS)
                .filter(|suggestion| suggestion.score >= best - self.settings.near);
            for (number, suggestion) in near.enumerate() {
                let weight = if number == 0 { self.settings.correction } else { self.settings.other_correction };
                let correction = self.add(term, suggestion, weight, true);
                if number == 0 {
                    corrections.push(correction);
                }
            }
        }
        corrections
    }

    fn add(&self, term: &mut QueryTerm, suggestion: &Suggestion, weight: f32, replaces: bool) -> Correction {
        let stems = suggestion.words.iter().map(|word| self.analyser.stem(word)).collect();
        term.add(Alternative { terms: stems, weight });
        Correction { typed: term.surface.clone(), meant: suggestion.words.join(" ").into(), replaces }
    }
}

impl QueryTerm {
    /// A word that may be misspelt; numbers and short codes are what they are.
    fn is_word(&self) -> bool {
        self.kind == TokenKind::Word
    }

    pub(super) fn add(&mut self, alternative: Alternative) {
        if !self.alternatives.iter().any(|known| known.terms == alternative.terms) {
            self.alternatives.push(alternative);
        }
    }
}
