//! What a query asks for, as terms with alternatives.

use compact_str::CompactString;
use merx_domain::search::SearchedTerm;

use crate::search::text::{Analyser, Language, Token, TokenKind};

/// Longer queries are cut: what a shopper means stands in the first words.
const MAX_QUERY_BYTES: usize = 512;
/// Terms beyond these are dropped. A document's matched terms are bits of 32.
pub(crate) const MAX_TERMS: usize = 24;

/// One way to say a term: a word of the index, or several that must all be there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Alternative {
    pub terms: Vec<CompactString>,
    /// What a match is worth beside the term as typed.
    pub weight: f32,
}

impl Alternative {
    pub(crate) fn word(term: impl Into<CompactString>, weight: f32) -> Self {
        Self { terms: vec![term.into()], weight }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct QueryTerm {
    /// As typed, folded.
    pub surface: CompactString,
    pub kind: TokenKind,
    pub position: u32,
    /// The first is the term as typed or as corrected.
    pub alternatives: Vec<Alternative>,
    /// Factor on the score of its matches.
    pub weight: f32,
    /// Whether a product without it lacks something that was asked for. Further readings of a word aren't missed.
    pub required: bool,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct ParsedQuery {
    pub terms: Vec<QueryTerm>,
}

impl ParsedQuery {
    /// The terms of a text in one of the languages of `spoken`, empty: in any. Stop words are left out unless there is nothing
    /// else.
    pub(crate) fn parse(text: &str, analyser: &Analyser, spoken: &[Language]) -> Self {
        let tokens = analyser.tokens(cut(text));
        let speaks = |token: &&Token| !(token.kind == TokenKind::Word && analyser.is_stop_word(&token.surface, spoken));
        let silent = tokens.iter().filter(|token| token.is_primary()).filter(speaks).count() == 0;
        let mut query = Self::default();
        for token in tokens.iter().filter(|token| silent || speaks(token)) {
            query.push(token);
        }
        query
    }

    fn push(&mut self, token: &Token) {
        let known = self.terms.iter().any(|term| term.alternatives[0].terms[0] == token.term);
        if known || self.terms.len() >= MAX_TERMS {
            return;
        }
        if token.kind == TokenKind::OtherStem {
            if let Some(word) = self.terms.last_mut().filter(|word| word.position == token.position) {
                word.alternatives.push(Alternative::word(token.term.clone(), 1.0));
            }
            return;
        }
        let required = token.is_primary();
        self.terms.push(QueryTerm {
            surface: token.surface.clone(),
            kind: token.kind,
            position: token.position,
            alternatives: vec![Alternative::word(token.term.clone(), 1.0)],
            weight: if required { 1.0 } else { FURTHER_READING_WEIGHT },
            required,
        });
    }

    /// What is highlighted: every way to say each word, in the order of the query. A further reading stands for the word that it is
    /// written at, and where it holds the next one too (`pop-up` is `popup` as well) for both.
    pub(crate) fn searched_terms(&self, unfinished: bool) -> Vec<SearchedTerm> {
        let mut searched: Vec<SearchedTerm> = Vec::new();
        let mut add = |word: &str, term: String| {
            let searched_term = SearchedTerm { word: word.to_owned(), term };
            if !searched.contains(&searched_term) {
                searched.push(searched_term);
            }
        };
        for term in &self.terms {
            let stands_for = |word: &QueryTerm| {
                let at = word.position == term.position;
                at || word.position == term.position + 1 && term.surface.ends_with(word.surface.as_str())
            };
            let own = term.required.then_some(term);
            let others = self.terms.iter().filter(|word| !term.required && word.required && stands_for(word));
            for word in own.into_iter().chain(others) {
                term.alternatives.iter().for_each(|alternative| add(&word.surface, alternative.terms.join(" ")));
            }
        }
        if let Some((_, last)) = self.required().last().filter(|_| unfinished) {
            add(&last.surface, format!("{}*", last.surface));
        }
        searched
    }

    pub(crate) fn required(&self) -> impl Iterator<Item = (usize, &QueryTerm)> {
        self.terms.iter().enumerate().filter(|(_, term)| term.required)
    }
}

/// A measure repeats its number, a joined word its parts.
const FURTHER_READING_WEIGHT: f32 = 0.6;

fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_QUERY_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
