//! What a misspelt word was meant to be: a word of the catalogue, the likelier the more products have it and the more often shoppers search
//! for it.
//!
//! A noisy channel (Kernighan, Church, Gale 1990; Brill, Moore 2000): the best correction is the word that is likely by
//! itself, likely beside its neighbours, and likely to be typed as it was. Candidates come from a table of deletions
//! (Garbe's SymSpell, 2012) and of sounds. A word that the catalogue has is never taken away: a likelier one may only
//! stand beside it.

mod cost;
mod deletions;

use compact_str::CompactString;

use crate::search::lexicon::{Lexicon, Word};
use cost::typing_cost;
use deletions::Deletions;

/// How much a unit of typing cost weighs against the logarithm of a word's frequency, and what a joint appearance with the
/// neighbours weighs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpellingSettings {
    pub cost_weight: f32,
    pub frequency_weight: f32,
    /// Of the logarithm of how often shoppers searched for the word.
    pub asked_weight: f32,
    pub context_weight: f32,
    /// A known word gets a likelier one beside it when it scores so much better.
    pub doubt: f32,
}

impl Default for SpellingSettings {
    fn default() -> Self {
        Self { cost_weight: 4.0, frequency_weight: 0.6, asked_weight: 0.3, context_weight: 0.6, doubt: 2.5 }
    }
}

/// A word, or two, that may have been meant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Suggestion {
    /// As written in the catalogue.
    pub words: Vec<CompactString>,
    pub score: f32,
}

/// How many products have two terms together.
pub(crate) trait Company {
    fn together(&self, first: u32, second: u32) -> u32;
    /// Products that have a term anywhere, in article numbers too.
    fn anywhere(&self, term: &str) -> u32;
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Speller {
    settings: SpellingSettings,
    deletions: Deletions,
}

/// Words with fewer letters have too many neighbours.
const SHORTEST: usize = 3;
const SHORTEST_SPLIT: usize = 6;
const SHORTEST_PART: usize = 3;
/// The space that was forgotten.
const SPLIT_COST: f32 = 0.7;
/// Candidates looked at closely.
const MOST_CANDIDATES: usize = 12;

impl Speller {
    pub(crate) fn new(lexicon: &Lexicon, settings: SpellingSettings) -> Self {
        Self { settings, deletions: Deletions::new(lexicon) }
    }

    /// Takes in the words from number `known` on.
    pub(crate) fn learn(&mut self, lexicon: &Lexicon, known: usize) {
        for (number, word) in lexicon.words().iter().enumerate().skip(known) {
            self.deletions.add(number as u32, &word.text);
        }
    }

    /// What `word` may have been meant to be, likeliest first. `neighbours`: the terms beside it.
    pub(crate) fn suggest(
        &self,
        word: &str,
        neighbours: &[u32],
        lexicon: &Lexicon,
        company: &dyn Company,
    ) -> Vec<Suggestion> {
        self.suggest_above(f32::NEG_INFINITY, word, neighbours, lexicon, company)
    }

    /// What is so much likelier than a word that `products` have, as it stands, that it may stand beside it.
    pub(crate) fn doubted(
        &self,
        word: &str,
        products: u32,
        neighbours: &[u32],
        lexicon: &Lexicon,
        company: &dyn Company,
    ) -> Option<Suggestion> {
        let known = lexicon.word(word).map(|known| Word { products: known.products.max(products), ..known.clone() });
        let alone = match &known {
            Some(known) => self.frequency(known),
            None => self.settings.frequency_weight * logarithm(products),
        };
        // What its neighbours say of it is read only where something could be likelier without.
        let floor = alone + self.settings.doubt;
        let best = self.suggest_above(floor, word, neighbours, lexicon, company).into_iter().next()?;
        let context = known.map_or(0.0, |known| self.context(known.term, neighbours, company));
        (best.score > floor + context).then_some(best)
    }

    /// Suggestions, some of those left out that score no more than `floor`.
    fn suggest_above(
        &self,
        floor: f32,
        word: &str,
        neighbours: &[u32],
        lexicon: &Lexicon,
        company: &dyn Company,
    ) -> Vec<Suggestion> {
        if word.chars().count() < SHORTEST || !word.chars().any(char::is_alphabetic) {
            return Vec::new();
        }
        let mut found: Vec<Suggestion> = self.near(floor, word, neighbours, lexicon, company);
        if lexicon.products_with(word) == 0 {
            found.extend(self.splits(word, neighbours, lexicon, company));
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.words.cmp(&b.words)));
        found
    }

    /// The two words that a word is made of, and how many products have both, where they are met together most.
    pub(crate) fn parted(
        &self,
        word: &str,
        lexicon: &Lexicon,
        company: &dyn Company,
    ) -> Option<(CompactString, CompactString, u32)> {
        let part = |text: &str| (text.chars().count() >= SHORTEST_PART).then(|| lexicon.word(text)).flatten();
        let parts = word.char_indices().map(|(at, _)| word.split_at(at));
        let both = parts.filter_map(|(left, right)| Some((part(left)?, part(right)?)));
        let counted =
            both.map(|(left, right)| (left.text.clone(), right.text.clone(), company.together(left.term, right.term)));
        counted.max_by_key(|(.., together)| *together)
    }

    fn near(
        &self,
        floor: f32,
        word: &str,
        neighbours: &[u32],
        lexicon: &Lexicon,
        company: &dyn Company,
    ) -> Vec<Suggestion> {
        let words = lexicon.words();
        let mut candidates: Vec<(f32, u32)> = Vec::new();
        for number in self.deletions.candidates(word) {
            let candidate = &words[number as usize];
            if candidate.text != word
                && candidate.products > 0
                && self.most(candidate, neighbours, lexicon) > floor
                && let Some(cost) = typing_cost(word, &candidate.text)
            {
                candidates.push((self.frequency(candidate) - self.settings.cost_weight * cost, number));
            }
        }
        candidates.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        candidates.truncate(MOST_CANDIDATES);
        let suggest = |(score, number): (f32, u32)| {
            let candidate = &words[number as usize];
            let score = score + self.context(candidate.term, neighbours, company);
            Suggestion { words: vec![candidate.text.clone()], score }
        };
        candidates.into_iter().map(suggest).collect()
    }

    /// Two words without their space, one of them perhaps misspelt.
    fn splits(&self, word: &str, neighbours: &[u32], lexicon: &Lexicon, company: &dyn Company) -> Vec<Suggestion> {
        if word.chars().count() < SHORTEST_SPLIT {
            return Vec::new();
        }
        let places = word.char_indices().map(|(at, _)| at);
        let long_enough = |part: &str| part.chars().count() >= SHORTEST_PART;
        let halves = places.map(|at| word.split_at(at)).filter(|(left, right)| long_enough(left) && long_enough(right));
        let mut found = Vec::new();
        for (left, right) in halves {
            for (first, first_cost) in self.readings(left, lexicon) {
                for (second, second_cost) in self.readings(right, lexicon) {
                    if first_cost > 0.0 && second_cost > 0.0 {
                        continue;
                    }
                    let (Some(a), Some(b)) = (lexicon.word(&first), lexicon.word(&second)) else { continue };
                    let together = company.together(a.term, b.term);
                    if together == 0 {
                        continue;
                    }
                    let cost = SPLIT_COST + first_cost + second_cost;
                    let score = self.settings.frequency_weight * logarithm(together) - self.settings.cost_weight * cost
                        + self.context(a.term, neighbours, company).max(self.context(b.term, neighbours, company));
                    found.push(Suggestion { words: vec![first.clone(), second], score });
                }
            }
        }
        found
    }

    /// The part itself where the catalogue has it, and its nearest word.
    fn readings(&self, part: &str, lexicon: &Lexicon) -> Vec<(CompactString, f32)> {
        const COMMON: u32 = 2;
        if lexicon.products_with(part) >= COMMON {
            return vec![(part.into(), 0.0)];
        }
        let words = lexicon.words();
        let cost_of = |number: u32| {
            let candidate = &words[number as usize];
            (candidate.products >= COMMON)
                .then(|| typing_cost(part, &candidate.text))
                .flatten()
                .map(|cost| (cost, number))
        };
        let best = self.deletions.candidates(part).into_iter().filter_map(cost_of).min_by(|a, b| {
            a.0.total_cmp(&b.0)
                .then(words[b.1 as usize].products.cmp(&words[a.1 as usize].products))
                .then(a.1.cmp(&b.1))
        });
        best.filter(|(cost, _)| *cost <= 1.0)
            .map(|(cost, number)| (words[number as usize].text.clone(), cost))
            .into_iter()
            .collect()
    }

    fn frequency(&self, word: &Word) -> f32 {
        self.settings.frequency_weight * logarithm(word.products) + self.settings.asked_weight * logarithm(word.asked)
    }

    /// What a word scores at most, whatever was typed.
    fn most(&self, word: &Word, neighbours: &[u32], lexicon: &Lexicon) -> f32 {
        let together = if neighbours.is_empty() { 0 } else { lexicon.counts()[word.term as usize] };
        self.frequency(word) - self.settings.cost_weight * cost::LEAST
            + self.settings.context_weight * logarithm(together)
    }

    fn context(&self, term: u32, neighbours: &[u32], company: &dyn Company) -> f32 {
        let together = neighbours.iter().map(|neighbour| company.together(term, *neighbour)).max().unwrap_or(0);
        self.settings.context_weight * logarithm(together)
    }
}

fn logarithm(count: u32) -> f32 {
    (count as f32).ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::text::{Analyser, Language};

    struct Alone;

    impl Company for Alone {
        fn together(&self, _: u32, _: u32) -> u32 {
            1
        }

        fn anywhere(&self, _: &str) -> u32 {
            0
        }
    }

    fn lexicon(words: &[(&str, u32)]) -> Lexicon {
        let analyser = Analyser::new(&[Language::English]);
        let mut lexicon = Lexicon::default();
        for (word, count) in words {
            let tokens = analyser.tokens(word);
            (0..*count).for_each(|_| lexicon.add_product(tokens.iter()));
        }
        lexicon
    }

    fn best(lexicon: &Lexicon, word: &str) -> String {
        let speller = Speller::new(lexicon, SpellingSettings::default());
        speller.suggest(word, &[], lexicon, &Alone).first().map(|found| found.words.join(" ")).unwrap_or_default()
    }

    #[test]
    fn the_usual_slips_are_forgiven() {
        let lexicon = lexicon(&[
            ("toilet", 300),
            ("seat", 200),
            ("faucet", 400),
            ("milwaukee", 100),
            ("light", 900),
            ("bulb", 300),
            ("fluorescent", 50),
            ("husqvarna", 20),
            ("shelf", 200),
            ("shell", 10),
            ("heater", 80),
            ("cedar", 90),
        ]);
        for (typed, meant) in [
            ("tiolet", "toilet"),
            ("tolet", "toilet"),
            ("toillet", "toilet"),
            ("fuacet", "faucet"),
            ("milwoki", "milwaukee"),
            ("flourescent", "fluorescent"),
            ("huskavarna", "husqvarna"),
            ("lightbulb", "light bulb"),
            ("tolietseat", "toilet seat"),
            ("shelg", "shelf"),
            ("hester", "heater"),
            ("cedart", "cedar"),
        ] {
            assert_eq!(best(&lexicon, typed), meant, "{typed}");
        }
        assert_eq!(best(&lexicon, "xylophone"), "");
        assert_eq!(best(&lexicon, "12"), "");
    }
}
