//! How often terms stand in the same product: what makes one reading of a query likelier than another.

use std::cell::RefCell;

use rustc_hash::FxHashMap;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, TERMINATED};

use crate::search::document::FIELD_COUNT;
use crate::search::lexicon::Lexicon;
use crate::search::spelling::Company;
use crate::search::text_index::{Opened, Segment, TermMaker};

/// Counts from the postings. The products of each term are read once for a query, as a set of bits.
pub(super) struct Postings<'a> {
    opened: &'a Opened,
    terms: TermMaker,
    lexicon: &'a Lexicon,
    products: RefCell<FxHashMap<u32, Vec<u64>>>,
}

impl<'a> Postings<'a> {
    pub(super) fn new(opened: &'a Opened, terms: TermMaker, lexicon: &'a Lexicon) -> Self {
        Self { opened, terms, lexicon, products: RefCell::default() }
    }

    /// Bits of documents, all segments one after the other. What can't be read counts as absent: a correction less.
    fn read(&self, term: u32) -> Vec<u64> {
        let mut bits = vec![0u64; (self.opened.documents as usize).div_ceil(64)];
        let mut first = 0;
        for segment in &self.opened.segments {
            for field in 0..FIELD_COUNT {
                let wanted = self.terms.term(field, self.lexicon.term(term));
                if let Ok(Some(mut postings)) = segment.terms[field].read_postings(&wanted, IndexRecordOption::Basic) {
                    while postings.doc() != TERMINATED {
                        let place = first + postings.doc() as usize;
                        bits[place / 64] |= 1 << (place % 64);
                        postings.advance();
                    }
                }
            }
            first += segment.reader.max_doc() as usize;
        }
        bits
    }
}

impl Company for Postings<'_> {
    fn together(&self, first: u32, second: u32) -> u32 {
        let mut known = self.products.borrow_mut();
        for term in [first, second] {
            known.entry(term).or_insert_with(|| self.read(term));
        }
        known[&first].iter().zip(&known[&second]).map(|(a, b)| (a & b).count_ones()).sum()
    }

    fn anywhere(&self, term: &str) -> u32 {
        let living = |segment: &Segment, field: usize| -> u32 {
            let read = segment.terms[field].read_postings(&self.terms.term(field, term), IndexRecordOption::Basic);
            let Ok(Some(mut postings)) = read else { return 0 };
            let mut living = 0;
            while postings.doc() != TERMINATED {
                living += u32::from(!segment.reader.is_deleted(postings.doc()));
                postings.advance();
            }
            living
        };
        let in_field = |field: usize| self.opened.segments.iter().map(|segment| living(segment, field)).sum();
        (0..FIELD_COUNT).map(in_field).max().unwrap_or(0)
    }
}
