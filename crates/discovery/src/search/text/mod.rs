//! From text to tokens: the same way for products and for queries.
//!
//! A token is a stem, a number in one spelling (`1/2`, `.5` and `0.50` are `0.5`), a measure in one unit (`6 ft` and `72"`
//! are `72in`), a dimension (`2 in. x 4 in.` and `2x4` are `2x4`), a code (`SC-141` is `sc141`) or two neighbouring
//! characters of a script without spaces. What has two readings has both, at the same position.

mod language;
mod scan;
mod stopwords;
mod units;

pub use language::Language;
pub use scan::fold;
pub(crate) use units::is_unit;

use std::cell::RefCell;

use compact_str::CompactString;
use rust_stemmers::Stemmer;
use rustc_hash::FxHashMap;

use scan::{Chunk, ChunkKind};

/// Longer words are cut; no word of a language is so long, and an index of them would only grow.
const MAX_WORD_BYTES: usize = 64;

/// How a token came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    Word,
    Number,
    /// Number and unit, in the unit's base: `72in`.
    Measure,
    /// Two numbers with an x between: `2x4`.
    Dimension,
    /// Letters and digits: a model, an article number.
    Code,
    /// Two words that stood with a hyphen, written as one; or one of the words that a capital letter within a word shows.
    Variant,
    /// Another stem of the word before it: as if it had no accents, as many people type it, or by another language.
    OtherStem,
    /// Two characters of a script that writes no spaces, or one that stands alone.
    Ideograph,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What is indexed: stemmed where it is a word.
    pub term: CompactString,
    /// Lower case, without accents, not stemmed.
    pub surface: CompactString,
    pub kind: TokenKind,
    pub position: u32,
    /// Bytes of the analysed text.
    pub start: usize,
    pub end: usize,
}

impl Token {
    /// Whether it takes a place in the text; the other readings share the place of one that does.
    pub fn is_primary(&self) -> bool {
        matches!(self.kind, TokenKind::Word | TokenKind::Number | TokenKind::Code | TokenKind::Ideograph)
    }

    pub fn is_numeric(&self) -> bool {
        matches!(self.kind, TokenKind::Number | TokenKind::Measure | TokenKind::Dimension)
    }
}

/// Reads texts of the languages it was made for; whatever stands in another script is read as well.
pub struct Analyser {
    /// The first of them gives a word its term, the others give it further ones.
    languages: Vec<(Language, Option<Stemmer>)>,
}

impl Analyser {
    /// Nobody has to know which language a text is in: every word has a stem by each of `languages`, and a query finds what
    /// shares one. No language leaves words as they are.
    pub fn new(languages: &[Language]) -> Self {
        let mut known: Vec<(Language, Option<Stemmer>)> = Vec::new();
        for language in languages {
            if known.iter().all(|(other, _)| other != language) {
                known.push((*language, language.algorithm().map(Stemmer::create)));
            }
        }
        Self { languages: known }
    }

    /// Whether a word says nothing in the languages of `spoken`, or in any of the analyser's where none of those is spoken.
    pub fn is_stop_word(&self, surface: &str, spoken: &[Language]) -> bool {
        let ours = || self.languages.iter().map(|(language, _)| *language);
        let told = ours().any(|language| spoken.contains(&language));
        let mut read = ours().filter(|language| !told || spoken.contains(language));
        read.any(|language| stopwords::of(language).contains(&surface))
    }

    /// The stem of a folded word in the first language: the one that any word is found by.
    pub fn stem(&self, surface: &str) -> CompactString {
        match self.languages.first() {
            Some((language, stemmer)) => stemmed(*language, stemmer.as_ref(), surface),
            None => surface.into(),
        }
    }

    pub fn tokens(&self, text: &str) -> Vec<Token> {
        let chunks = scan::chunks(text);
        let mut writer = Writer { analyser: self, tokens: Vec::with_capacity(chunks.len() + 4), position: 0 };
        let mut at = 0;
        while at < chunks.len() {
            at += writer.take(&chunks[at..]);
        }
        writer.tokens
    }
}

struct Writer<'a> {
    analyser: &'a Analyser,
    tokens: Vec<Token>,
    position: u32,
}

impl Writer<'_> {
    /// Writes what the first chunks mean; gives how many were read, at least one.
    fn take(&mut self, chunks: &[Chunk]) -> usize {
        let chunk = &chunks[0];
        match chunk.kind {
            ChunkKind::Number => self.take_number(chunks),
            ChunkKind::Word => self.take_word(chunks),
            ChunkKind::Code => {
                self.push(&chunk.text, &chunk.text, TokenKind::Code, chunk);
                self.position += 1;
                1
            }
            ChunkKind::Ideographs => self.take_ideographs(chunk),
            ChunkKind::Mark => 1,
        }
    }

    fn take_word(&mut self, chunks: &[Chunk]) -> usize {
        let chunk = &chunks[0];
        let word = cut(&chunk.text);
        let accented = chunk.accented.as_deref().map(cut);
        let mut stems: Vec<CompactString> = Vec::with_capacity(2);
        for (language, stemmer) in &self.analyser.languages {
            let readings = [accented, Some(word)].into_iter().flatten();
            stems.extend(
                readings.map(|reading| stemmed(*language, stemmer.as_ref(), reading)).filter(|stem| !stem.is_empty()),
            );
        }
        let first = stems.first().cloned().unwrap_or_else(|| word.into());
        self.push(&first, word, TokenKind::Word, chunk);
        for place in 1..stems.len() {
            if !stems[..place].contains(&stems[place]) {
                self.push(&stems[place], word, TokenKind::OtherStem, chunk);
            }
        }
        for part in &chunk.parts {
            let stem = self.analyser.stem(part);
            self.push(&stem, part, TokenKind::Variant, chunk);
        }
        if let [_, hyphen, next, ..] = chunks
            && hyphen.is_joining('-')
            && !next.spaced
            && matches!(next.kind, ChunkKind::Word | ChunkKind::Number)
        {
            let joined = format!("{word}{}", next.text);
            let joined = cut(&joined);
            let is_word = next.kind == ChunkKind::Word;
            let stem = if is_word { self.analyser.stem(joined) } else { joined.into() };
            self.push(&stem, joined, TokenKind::Variant, &Chunk { end: next.end, ..chunk.clone() });
        }
        self.position += 1;
        1
    }

    fn take_number(&mut self, chunks: &[Chunk]) -> usize {
        let chunk = &chunks[0];
        self.push(&chunk.text, &chunk.text, TokenKind::Number, chunk);
        let mut read = 1;
        if let Some((unit, length)) = units::unit_after(&chunks[1..]) {
            let (value, base) = unit.in_base(chunk.value);
            let measure = format!("{}{base}", scan::number_text(value));
            let whole = Chunk { end: chunks[length].end, ..chunk.clone() };
            self.push(&measure, &measure, TokenKind::Measure, &whole);
            read += length;
        }
        if let Some((next, length)) = next_of_dimension(&chunks[read..]) {
            let dimension = format!("{}x{}", chunk.text, next.text);
            let whole = Chunk { end: next.end, ..chunk.clone() };
            self.push(&dimension, &dimension, TokenKind::Dimension, &whole);
            read += length;
        }
        self.position += 1;
        read
    }

    fn take_ideographs(&mut self, chunk: &Chunk) -> usize {
        let places: Vec<(usize, char)> = chunk.text.char_indices().collect();
        let width = if places.len() == 1 { 1 } else { 2 };
        for pair in places.windows(width) {
            let last = pair[pair.len() - 1];
            let text = &chunk.text[pair[0].0..last.0 + last.1.len_utf8()];
            // Folding keeps the length of these scripts only mostly; the whole run is what is surely meant.
            self.push(text, text, TokenKind::Ideograph, chunk);
            self.position += 1;
        }
        1
    }

    fn push(&mut self, term: &str, surface: &str, kind: TokenKind, chunk: &Chunk) {
        // One letter may stand for several words (U+FDFA); a term is one.
        let one = |text: &str| -> CompactString {
            if text.is_ascii() { text.into() } else { text.chars().filter(|letter| !letter.is_whitespace()).collect() }
        };
        self.tokens.push(Token {
            term: one(term),
            surface: one(surface),
            kind,
            position: self.position,
            start: chunk.start,
            end: chunk.end,
        });
    }
}

/// Words whose stems a thread remembers, by language: a catalogue says much with few.
const REMEMBERED: usize = 4_096;

thread_local! {
    static STEMS: RefCell<FxHashMap<Language, FxHashMap<CompactString, CompactString>>> = RefCell::default();
}

fn stemmed(language: Language, stemmer: Option<&Stemmer>, word: &str) -> CompactString {
    let Some(stemmer) = stemmer.filter(|_| word.chars().any(char::is_alphabetic)) else { return word.into() };
    STEMS.with_borrow_mut(|stems| {
        let stems = stems.entry(language).or_default();
        if let Some(stem) = stems.get(word) {
            return stem.clone();
        }
        let stem = CompactString::from(fold(&stemmer.stem(word)));
        if stems.len() >= REMEMBERED {
            stems.clear();
        }
        stems.insert(word.into(), stem.clone());
        stem
    })
}

/// `x 4` and `* 4` after a number.
fn next_of_dimension(chunks: &[Chunk]) -> Option<(&Chunk, usize)> {
    let dot = usize::from(chunks.first().is_some_and(|chunk| chunk.text == "."));
    match chunks.get(dot..)? {
        [by, next, ..] if by.is_times() && next.kind == ChunkKind::Number => Some((next, dot + 1)),
        _ => None,
    }
}

fn cut(word: &str) -> &str {
    let mut end = word.len().min(MAX_WORD_BYTES);
    while !word.is_char_boundary(end) {
        end -= 1;
    }
    &word[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str) -> Vec<String> {
        Analyser::new(&[Language::English]).tokens(text).into_iter().map(|token| token.term.to_string()).collect()
    }

    #[test]
    fn one_length_has_one_spelling() {
        for text in ["1/2 in.", "1/2\"", "0.5 inch", ".5in", "1/2-in", "½ inches"] {
            assert_eq!(terms(text), ["0.5", "0.5in"], "{text}");
        }
        assert_eq!(terms("6 ft."), ["6", "72in"]);
        assert_eq!(terms("72\""), ["72", "72in"]);
        assert_eq!(terms("1-1/2 in"), ["1.5", "1.5in"]);
        assert_eq!(terms("1 1/2 in"), ["1.5", "1.5in"]);
        assert_eq!(terms("500ml"), ["500", "500ml"]);
        assert_eq!(terms("0,5 l"), ["0.5", "500ml"]);
    }

    #[test]
    fn dimensions_meet() {
        for text in ["2x4", "2 x 4", "2*4", "2 X 4"] {
            assert_eq!(terms(text), ["2", "2x4", "4"], "{text}");
        }
        assert!(terms("2 in. x 4 in. x 8 ft.").contains(&"2x4".to_owned()));
    }

    #[test]
    fn words_and_codes_have_their_readings() {
        assert_eq!(terms("Faucets"), ["faucet"]);
        assert_eq!(terms("pop-up"), ["pop", "popup", "up"]);
        assert_eq!(terms("SC-141"), ["sc", "sc141", "141"]);
        assert_eq!(terms("DeckOver"), ["deckov", "deck", "over"]);
        assert_eq!(terms("LS1234"), ["ls1234"]);
        assert_eq!(terms("men's"), ["men"]);
        assert_eq!(terms("Briggs &amp; Stratton"), ["brigg", "stratton"]);
        assert_eq!(terms("1.9 cu. ft."), ["1.9", "1.9cuft"]);
        assert_eq!(terms("1,000 watts"), ["1000", "1000w"]);
        assert_eq!(terms("Crème brûlée"), ["creme", "brulee", "brule"]);
    }

    #[test]
    fn a_word_has_a_stem_by_each_language() {
        let analyser = Analyser::new(&[Language::English, Language::German, Language::English]);
        let stems = |text: &str| -> Vec<String> {
            analyser.tokens(text).into_iter().map(|token| format!("{}:{}", token.position, token.term)).collect()
        };
        assert_eq!(stems("Lampen shoes"), ["0:lampen", "0:lamp", "1:shoe", "1:shoes"]);
        assert!(analyser.is_stop_word("the", &[]) && analyser.is_stop_word("die", &[]));
        assert!(
            !analyser.is_stop_word("die", &[Language::English]) && analyser.is_stop_word("the", &[Language::English])
        );
        // Of a language that the analyser doesn't read nothing is known.
        assert!(analyser.is_stop_word("die", &[Language::Turkish]));
    }

    #[test]
    fn scripts_without_spaces_are_read_in_pairs() {
        assert_eq!(terms("電気ケトル"), ["電気", "気ケ", "ケト", "トル"]);
        assert_eq!(terms("茶"), ["茶"]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "(\\PC|\\s|\\pC){0,60}") {
            for token in Analyser::new(&[Language::German, Language::French]).tokens(&text) {
                assert!(token.start < token.end && token.end <= text.len());
                assert!(text.is_char_boundary(token.start) && text.is_char_boundary(token.end));
                assert!(!token.term.is_empty() && !token.term.contains(char::is_whitespace));
            }
        }

        #[test]
        fn numbers_and_signs_are_read(text in "[0-9x/.,\" '#½ftincu*-]{0,24}") {
            Analyser::new(&[Language::English]).tokens(&text);
        }
    }
}
