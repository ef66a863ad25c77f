//! Which products match a query, and how well their texts do.
//!
//! BM25F (Robertson, Zaragoza, Taylor 2004, "Simple BM25 extension to multiple weighted fields"): a term's occurrences in
//! all fields are added up, each weighted and set against its field's length, and saturate together. Postings are read
//! term by term into an array with a place a document, so that the set of matches is exact and facets can be counted on it.

use std::cell::RefCell;

use compact_str::CompactString;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use tantivy::postings::Postings;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, TERMINATED};

use crate::search::SearchError;
use crate::search::document::FIELD_COUNT;
use crate::search::features::Information;
use crate::search::query::{ParsedQuery, QueryTerm};
use crate::search::text_index::{Opened, Segment, TermMaker};

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LexicalSettings {
    /// How much one occurrence in each field counts.
    pub field_weights: [f32; FIELD_COUNT],
    /// How far occurrences are set against the field's length, 0 to 1.
    pub length_strength: [f32; FIELD_COUNT],
    /// Where repeated occurrences saturate.
    pub saturation: f32,
}

impl Default for LexicalSettings {
    fn default() -> Self {
        Self {
            field_weights: [3.0, 2.0, 1.5, 1.0, 0.5, 4.0],
            length_strength: [0.6, 0.0, 0.3, 0.5, 0.7, 0.0],
            saturation: 1.0,
        }
    }
}

/// A product that has at least one term.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match {
    pub product: u32,
    pub score: f32,
    /// Bit `n`: it has term `n` of the query, or an alternative.
    pub terms: u32,
}

#[derive(Debug, Clone, Default)]
pub struct Matches {
    /// In no particular order.
    pub matches: Vec<Match>,
    /// Bits of the terms that a product should have.
    pub required: u32,
    /// The information of each term of the query: ln((N - n + .5) / (n + .5) + 1).
    pub information: Vec<f32>,
}

impl Matches {
    /// Information of the required terms that a product has, beside that of all. Few sets of terms meet thousands of matches.
    pub fn coverages(&self) -> impl Fn(&Match) -> f32 + use<> {
        let information = Information::new(&self.information);
        let (required, all) = (self.required, information.of(self.required).max(f32::MIN_POSITIVE));
        move |matched| information.of(matched.terms & required) / all
    }

    /// The products of highest scores, in no order.
    pub fn strongest(&self, most: usize) -> Vec<u32> {
        let mut scored: Vec<(f32, u32)> = self.matches.iter().map(|found| (found.score, found.product)).collect();
        if scored.len() > most {
            scored.select_nth_unstable_by(most, |a, b| b.0.total_cmp(&a.0));
            scored.truncate(most);
        }
        scored.into_iter().map(|(_, product)| product).collect()
    }

    /// A match that covers most.
    pub fn best(&self) -> Option<&Match> {
        let coverage = self.coverages();
        self.matches.iter().max_by(|a, b| coverage(a).total_cmp(&coverage(b)))
    }

    pub fn best_coverage(&self) -> f32 {
        let coverage = self.coverages();
        self.matches.iter().map(coverage).fold(0.0, f32::max)
    }

    /// Keeps what covers at least `share` of what the best covers, and anything at all.
    pub fn keep_tier(&mut self, share: f32) {
        let coverage = self.coverages();
        let floor = (self.best_coverage() * share).max(f32::MIN_POSITIVE);
        self.matches.retain(|matched| coverage(matched) >= floor);
    }
}

#[derive(Default)]
struct Scratch {
    /// By document: weighted occurrences of the term at hand, and of one word of a phrase.
    occurrences: Vec<f32>,
    word: Vec<f32>,
    /// By document: the score and the terms so far, side by side: they are always read together.
    found: Vec<(f32, u32)>,
    /// Documents with occurrences of the term at hand; documents with any term.
    current: Vec<u32>,
    touched: Vec<u32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Every product that matches any term of the query.
pub(crate) fn matches(
    query: &ParsedQuery,
    opened: &Opened,
    terms: TermMaker,
    settings: &LexicalSettings,
) -> Result<Matches, SearchError> {
    let information =
        query.terms.iter().map(|term| information(term, opened, terms)).collect::<Result<Vec<f32>, SearchError>>()?;
    let mut matches = Vec::new();
    SCRATCH.with_borrow_mut(|scratch| {
        for segment in &opened.segments {
            let reading = Reading { segment, opened, terms, settings };
            reading.collect(query, &information, scratch, &mut matches)?;
        }
        let required = query.required().fold(0, |bits, (place, _)| bits | 1 << place);
        Ok(Matches { matches, required, information })
    })
}

/// From the most frequent alternative: a frequent synonym makes a rare word tell less.
fn information(term: &QueryTerm, opened: &Opened, terms: TermMaker) -> Result<f32, SearchError> {
    let mut most = 0;
    for alternative in
        term.alternatives.iter().filter(|alternative| alternative.weight >= 0.5 && alternative.terms.len() == 1)
    {
        let mut in_any_field = 0;
        for field in 0..FIELD_COUNT {
            let wanted = terms.term(field, &alternative.terms[0]);
            let mut count = 0;
            for segment in &opened.segments {
                count += segment.terms[field].doc_freq(&wanted)?;
            }
            in_any_field = in_any_field.max(count);
        }
        most = most.max(in_any_field);
    }
    let (total, most) = (opened.documents as f32, most as f32);
    Ok(((total - most + 0.5).max(0.5) / (most + 0.5)).ln_1p())
}

struct Reading<'a> {
    segment: &'a Segment,
    opened: &'a Opened,
    terms: TermMaker,
    settings: &'a LexicalSettings,
}

impl Reading<'_> {
    fn collect(
        &self,
        query: &ParsedQuery,
        information: &[f32],
        scratch: &mut Scratch,
        found: &mut Vec<Match>,
    ) -> Result<(), SearchError> {
        let documents = self.segment.reader.max_doc() as usize;
        scratch.occurrences.resize(scratch.occurrences.len().max(documents), 0.0);
        scratch.found.resize(scratch.found.len().max(documents), (0.0, 0));
        for (number, (term, information)) in query.terms.iter().zip(information).enumerate() {
            self.add_term(term, scratch)?;
            self.saturate(number, term.weight * information, scratch);
        }
        found.reserve(scratch.touched.len());
        for document in scratch.touched.drain(..) {
            let place = document as usize;
            let (score, terms) = std::mem::take(&mut scratch.found[place]);
            if !self.segment.reader.is_deleted(document) {
                found.push(Match { product: self.segment.products[place], score, terms });
            }
        }
        Ok(())
    }

    fn add_term(&self, term: &QueryTerm, scratch: &mut Scratch) -> Result<(), SearchError> {
        for alternative in &term.alternatives {
            match alternative.terms.as_slice() {
                [] => {}
                [word] => self.add_word(word, alternative.weight, &mut scratch.occurrences, &mut scratch.current)?,
                words => self.add_phrase(words, alternative.weight, scratch)?,
            }
        }
        Ok(())
    }

    /// Adds the weighted occurrences of a word in all fields.
    fn add_word(
        &self,
        word: &str,
        weight: f32,
        occurrences: &mut [f32],
        current: &mut Vec<u32>,
    ) -> Result<(), SearchError> {
        for field in (0..FIELD_COUNT).filter(|field| self.settings.field_weights[*field] > 0.0) {
            let term = self.terms.term(field, word);
            let Some(mut postings) = self.segment.terms[field].read_postings(&term, IndexRecordOption::WithFreqs)?
            else {
                continue;
            };
            let weight = weight * self.settings.field_weights[field];
            let strength = self.settings.length_strength[field];
            let per_token = strength / self.opened.mean_lengths[field].max(1.0);
            let lengths = &self.segment.lengths[field];
            let mut document = postings.doc();
            while document != TERMINATED {
                let length = 1.0 - strength + per_token * lengths.fieldnorm(document) as f32;
                let place = &mut occurrences[document as usize];
                if *place == 0.0 {
                    current.push(document);
                }
                *place += weight * postings.term_freq() as f32 / length;
                document = postings.advance();
            }
        }
        Ok(())
    }

    /// Documents with all words count as often as the rarest of them stands there.
    fn add_phrase(&self, words: &[CompactString], weight: f32, scratch: &mut Scratch) -> Result<(), SearchError> {
        let documents = self.segment.reader.max_doc() as usize;
        scratch.word.resize(scratch.word.len().max(documents), 0.0);
        let mut rarest: Option<FxHashMap<u32, f32>> = None;
        for word in words {
            let mut documents = Vec::new();
            self.add_word(word, weight, &mut scratch.word, &mut documents)?;
            let mut both: FxHashMap<u32, f32> = FxHashMap::default();
            for document in documents {
                let occurrences = std::mem::take(&mut scratch.word[document as usize]);
                let before = rarest.as_ref().map_or(Some(occurrences), |rarest| rarest.get(&document).copied());
                if let Some(before) = before {
                    both.insert(document, occurrences.min(before));
                }
            }
            rarest = Some(both);
        }
        for (document, occurrences) in rarest.unwrap_or_default() {
            let place = &mut scratch.occurrences[document as usize];
            if *place == 0.0 {
                scratch.current.push(document);
            }
            *place += occurrences;
        }
        Ok(())
    }

    /// Turns the occurrences of one term into score and clears them.
    fn saturate(&self, number: usize, weight: f32, scratch: &mut Scratch) {
        for document in scratch.current.drain(..) {
            let place = document as usize;
            let occurrences = std::mem::take(&mut scratch.occurrences[place]);
            let (score, terms) = &mut scratch.found[place];
            *score += weight * occurrences / (self.settings.saturation + occurrences);
            if *terms == 0 {
                scratch.touched.push(document);
            }
            *terms |= 1 << number;
        }
    }
}
