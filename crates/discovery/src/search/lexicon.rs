//! The words of the catalogue: which there are, how often, and which stem each has.

use std::collections::BTreeMap;
use std::ops::Bound;

use compact_str::CompactString;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::search::text::Token;

/// A word as products write it, folded.
#[derive(Debug, Clone)]
pub(crate) struct Word {
    pub text: CompactString,
    /// The stem's number.
    pub term: u32,
    /// Products that have it.
    pub products: u32,
    /// Searches that had it and found something.
    pub asked: u32,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Lexicon {
    term_numbers: FxHashMap<CompactString, u32>,
    terms: Vec<CompactString>,
    /// Products that have each term.
    term_products: Vec<u32>,
    word_numbers: FxHashMap<CompactString, u32>,
    words: Vec<Word>,
    /// Words in the order of their letters.
    sorted: BTreeMap<CompactString, u32>,
}

impl Lexicon {
    /// Numbers the words and terms of a product and counts each once.
    pub(crate) fn add_product<'a>(&mut self, tokens: impl Iterator<Item = &'a Token>) {
        let mut words: FxHashSet<&str> = FxHashSet::default();
        let mut terms: FxHashSet<u32> = FxHashSet::default();
        for token in tokens {
            let term = self.add(token, !words.insert(&token.surface));
            if terms.insert(term) {
                self.term_products[term as usize] += 1;
            }
        }
    }

    /// Counts the terms of a product no more; whether one of them is left without a product. Words of long descriptions, which nobody keeps,
    /// go on counting until everything is counted anew.
    pub(crate) fn forget_product(&mut self, terms: impl Iterator<Item = u32>) -> bool {
        let terms: FxHashSet<u32> = terms.collect();
        let mut left = false;
        for term in terms {
            let products = &mut self.term_products[term as usize];
            *products = products.saturating_sub(1);
            left |= *products == 0;
        }
        left
    }

    /// Takes the words that no product has any more for what they are: nobody means them.
    pub(crate) fn forget_words(&mut self) {
        for word in self.words.iter_mut().filter(|word| self.term_products[word.term as usize] == 0) {
            word.products = 0;
        }
    }

    /// Numbers the token's term and counts its word; `counted` says that this product had it already.
    fn add(&mut self, token: &Token, counted: bool) -> u32 {
        let term = self.intern(&token.term);
        let word = match self.word_numbers.get(&token.surface) {
            Some(&word) => word,
            None => {
                let word = self.words.len() as u32;
                self.word_numbers.insert(token.surface.clone(), word);
                self.sorted.insert(token.surface.clone(), word);
                self.words.push(Word { text: token.surface.clone(), term, products: 0, asked: 0 });
                word
            }
        };
        self.words[word as usize].products += u32::from(!counted);
        term
    }

    /// How often shoppers searched for words, instead of what was known of that before.
    pub(crate) fn set_asked<'a>(&mut self, asked: impl Iterator<Item = (&'a str, u32)>) {
        self.words.iter_mut().for_each(|word| word.asked = 0);
        for (text, searches) in asked {
            if let Some(number) = self.word_numbers.get(text) {
                self.words[*number as usize].asked = searches;
            }
        }
    }

    fn intern(&mut self, term: &CompactString) -> u32 {
        if let Some(&number) = self.term_numbers.get(term) {
            return number;
        }
        let number = self.terms.len() as u32;
        self.term_numbers.insert(term.clone(), number);
        self.terms.push(term.clone());
        self.term_products.push(0);
        number
    }

    /// Products that have a term, 0 for an unknown one.
    pub(crate) fn term_products(&self, term: &str) -> u32 {
        self.term_number(term).map_or(0, |number| self.term_products[number as usize])
    }

    /// By term: products that have it.
    pub(crate) fn counts(&self) -> &[u32] {
        &self.term_products
    }

    pub(crate) fn term_number(&self, term: &str) -> Option<u32> {
        self.term_numbers.get(term).copied()
    }

    pub(crate) fn term(&self, number: u32) -> &str {
        self.terms.get(number as usize).map_or("", CompactString::as_str)
    }

    /// Words that begin with a prefix, the most frequent first. Of very many, only the first by letter are looked at.
    pub(crate) fn completions(&self, prefix: &str, most: usize) -> Vec<&Word> {
        const LOOKED_AT: usize = 2_000;
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let range = self.sorted.range::<str, _>(from).take_while(|(word, _)| word.starts_with(prefix));
        let found = range.take(LOOKED_AT).map(|(_, number)| &self.words[*number as usize]);
        let mut found: Vec<&Word> = found.filter(|word| word.products > 0).collect();
        found.sort_by(|a, b| b.products.cmp(&a.products).then_with(|| a.text.cmp(&b.text)));
        found.truncate(most);
        found
    }

    pub(crate) fn words(&self) -> &[Word] {
        &self.words
    }

    pub(crate) fn word(&self, surface: &str) -> Option<&Word> {
        self.words.get(*self.word_numbers.get(surface)? as usize)
    }

    /// Products that have the word, 0 for an unknown one.
    pub(crate) fn products_with(&self, surface: &str) -> u32 {
        self.word(surface).map_or(0, |word| word.products)
    }
}
