//! The words of the catalogue: which there are, how often, and which stem each has.

use compact_str::CompactString;
use rustc_hash::FxHashMap;

use crate::search::text::Token;

/// A word as products write it, folded.
#[derive(Debug, Clone)]
pub struct Word {
    pub text: CompactString,
    /// The stem's number.
    pub term: u32,
    /// Products that have it.
    pub products: u32,
}

#[derive(Debug, Clone, Default)]
pub struct Lexicon {
    term_numbers: FxHashMap<CompactString, u32>,
    terms: Vec<CompactString>,
    word_numbers: FxHashMap<CompactString, u32>,
    words: Vec<Word>,
}

impl Lexicon {
    /// Numbers the token's term and counts its word where it is one; `counted` says that this product had it already.
    pub fn add(&mut self, token: &Token, counted: bool) -> u32 {
        let term = self.intern(&token.term);
        let word = match self.word_numbers.get(&token.surface) {
            Some(&word) => word,
            None => {
                let word = self.words.len() as u32;
                self.word_numbers.insert(token.surface.clone(), word);
                self.words.push(Word { text: token.surface.clone(), term, products: 0 });
                word
            }
        };
        self.words[word as usize].products += u32::from(!counted);
        term
    }

    fn intern(&mut self, term: &CompactString) -> u32 {
        if let Some(&number) = self.term_numbers.get(term) {
            return number;
        }
        let number = self.terms.len() as u32;
        self.term_numbers.insert(term.clone(), number);
        self.terms.push(term.clone());
        number
    }

    pub fn term_number(&self, term: &str) -> Option<u32> {
        self.term_numbers.get(term).copied()
    }

    pub fn term(&self, number: u32) -> &str {
        self.terms.get(number as usize).map_or("", CompactString::as_str)
    }

    pub fn term_count(&self) -> usize {
        self.terms.len()
    }

    pub fn words(&self) -> &[Word] {
        &self.words
    }

    pub fn word(&self, surface: &str) -> Option<&Word> {
        self.words.get(*self.word_numbers.get(surface)? as usize)
    }

    /// Products that have the word, 0 for an unknown one.
    pub fn products_with(&self, surface: &str) -> u32 {
        self.word(surface).map_or(0, |word| word.products)
    }
}
