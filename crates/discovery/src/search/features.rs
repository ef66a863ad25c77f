//! How a product's words meet a query's: the measurements that ranking weighs.

use rustc_hash::FxHashMap;

use crate::search::document::{FIELD_COUNT, Field};
use crate::search::lexicon::Lexicon;
use crate::search::query::ParsedQuery;
use crate::search::retrieve::Match;
use crate::search::text::{Token, TokenKind};

macro_rules! features {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Places of the measurements in a row.
        #[allow(non_camel_case_types, missing_docs)]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(usize)]
        pub(crate) enum Feature { $($(#[$doc])* $name),* }

        const NAMES: &[&str] = &[$(stringify!($name)),*];
        pub const FEATURES: usize = NAMES.len();
    };
}

features! {
    /// The lexical score beside the most that the query could give.
    Lexical,
    /// The lexical score beside the best of this query.
    LexicalOfBest,
    /// Information of the required terms that match, beside that of all.
    Coverage,
    /// Required terms that are missing.
    Missing,
    /// 1 where nothing is missing.
    Complete,
    /// Coverage by the name alone.
    NameCoverage,
    /// Coverage by the name before its first `with`, `for`, `in`.
    HeadCoverage,
    /// Share of the name's words that the query asks for.
    NamePrecision,
    /// The same before the first `with`, `for`, `in`.
    HeadPrecision,
    /// Neighbours of the query that are neighbours in the name, in order.
    Neighbours,
    /// Neighbours of the query that stand near each other in the name, in any order.
    Near,
    /// The last word before the first `with`, `for`, `in` says what the product is: whether it is asked for.
    HeadNoun,
    /// The last word of the query says what is asked for: whether the name has it, and has it in its head.
    QueryNoun,
    QueryNounInHead,
    /// The name's first word, often the brand, is asked for.
    FirstWord,
    /// Numbers and measures of the query: share matched.
    Numbers,
    /// Numbers and measures of the query that are missing.
    NumbersMissing,
    /// Readings beyond the words (measures, dimensions, joined words) that match.
    FurtherReadings,
    BrandCoverage,
    CategoryCoverage,
    AttributeCoverage,
    /// Logarithm of the name's length in words.
    NameLength,
    /// What the query is like, the same for all its products: trees use it to decide what else counts.
    QueryTerms,
    QueryInformation,
    QueryMatches,
    QueryBest,
    QueryNumbers,
    /// Information of the most telling required term that is missing, beside that of all.
    WorstMissing,
    /// Share of the best products at first look that are the same thing (its name's head ends with the same word), and
    /// that begin with the same word: often the brand.
    KindShare,
    MakerShare,
    /// Cosine of the vectors of query and product, and beside the best of this query.
    Meaning,
    MeaningOfBest,
    /// Cosine of the vectors of the query and of the word that says what the product is.
    KindMeaning,
    /// Likeness to the best products of the first look.
    Feedback,
    /// Place by lexical score and by meaning, as 1 / (60 + place).
    Place,
    MeaningPlace,
    /// What a sentence encoder says, 0 where none was asked: the cosine of query and product, beside the best of this query, likeness to the
    /// best products of the first look, and the place, as 1 / (60 + place). They stand last: rankers that were learnt before there were
    /// any read the measurements before them.
    Sentence,
    SentenceOfBest,
    SentenceFeedback,
    SentencePlace,
}

/// Measurements of a search that no sentence encoder was asked for.
pub(crate) const WITHOUT_SENTENCE: usize = Feature::Sentence as usize;

pub fn feature_names() -> &'static [&'static str] {
    NAMES
}

pub type FeatureRow = [f32; FEATURES];

/// The terms of a product that ranking looks at, in order; long descriptions are left to the inverted index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ProductTerms {
    /// Two bytes a term, for numbers are given as terms come and few of a catalogue's words come late; those are [`WIDE`] and four bytes.
    codes: Box<[u16]>,
    /// How many codes the name's head, the rest of the name, its further readings, brand, category and attributes have.
    lengths: [u8; 6],
    /// One more than the place of the code of the last word of the name's head, which says what the product is; 0 where there is none.
    kind: u8,
}

pub(crate) const NO_TERM: u32 = u32::MAX;
const WIDE: u16 = u16::MAX;

/// Attribute tables can be as long as descriptions.
const MOST_ATTRIBUTE_TERMS: usize = 64;
const MOST_NAME_TERMS: usize = 64;
/// With three codes each, as many as a byte can count.
const _: () = assert!(3 * MOST_ATTRIBUTE_TERMS < 255 && 3 * MOST_NAME_TERMS < 255);

/// What follows these says what comes with the product or what it is for.
const CONNECTORS: &[&str] =
    &["with", "for", "in", "w", "mit", "fur", "avec", "pour", "con", "para", "per", "met", "voor", "med", "til", "for"];

impl ProductTerms {
    pub(crate) fn of(tokens: &[Vec<Token>; FIELD_COUNT], lexicon: &Lexicon) -> Self {
        let number = |token: &Token| lexicon.term_number(&token.term);
        let name = &tokens[Field::Name as usize];
        let primary: Vec<&Token> = name.iter().filter(|token| token.is_primary()).take(MOST_NAME_TERMS).collect();
        let connector = primary.iter().skip(1).position(|token| CONNECTORS.contains(&token.surface.as_str()));
        let (head, tail) = primary.split_at(connector.map_or(primary.len(), |place| place + 1));
        let further = name.iter().filter(|token| !token.is_primary()).take(MOST_NAME_TERMS);
        let noun = head.iter().rposition(|token| token.kind == TokenKind::Word && token.surface.len() > 2);
        let noun = noun.filter(|place| number(head[*place]).is_some());
        let mut codes = Vec::new();
        let before = head[..noun.unwrap_or(0)].iter().filter_map(|token| number(token));
        let kind = noun.map_or(0, |_| encode(before, &mut Vec::new()) + 1);
        let mut lengths = [0; 6];
        lengths[0] = encode(head.iter().filter_map(|token| number(token)), &mut codes);
        lengths[1] = encode(tail.iter().filter_map(|token| number(token)), &mut codes);
        lengths[2] = encode(further.filter_map(number), &mut codes);
        for (place, field) in [(3, Field::Brand), (4, Field::Category), (5, Field::Attributes)] {
            let tokens = tokens[field as usize].iter().take(MOST_ATTRIBUTE_TERMS);
            lengths[place] = encode(tokens.filter_map(number), &mut codes);
        }
        Self { codes: codes.into(), lengths, kind }
    }

    pub(crate) fn kind(&self) -> u32 {
        let place = usize::from(self.kind).checked_sub(1);
        place.and_then(|place| decoded(self.codes.get(place..)?).next()).unwrap_or(NO_TERM)
    }

    pub(crate) fn first(&self) -> u32 {
        self.all().next().unwrap_or(NO_TERM)
    }

    #[inline]
    fn part(&self, part: usize) -> impl Iterator<Item = u32> {
        let start: usize = self.lengths[..part].iter().map(|length| usize::from(*length)).sum();
        decoded(self.codes.get(start..start + usize::from(self.lengths[part])).unwrap_or_default())
    }

    pub(crate) fn head(&self) -> impl Iterator<Item = u32> {
        self.part(0)
    }

    /// The name after its head.
    pub(crate) fn tail(&self) -> impl Iterator<Item = u32> {
        self.part(1)
    }

    /// Further readings of the name's words.
    pub(crate) fn name_variants(&self) -> impl Iterator<Item = u32> {
        self.part(2)
    }

    pub(crate) fn brand(&self) -> impl Iterator<Item = u32> {
        self.part(3)
    }

    pub(crate) fn category(&self) -> impl Iterator<Item = u32> {
        self.part(4)
    }

    pub(crate) fn attributes(&self) -> impl Iterator<Item = u32> {
        self.part(5)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = u32> {
        decoded(&self.codes)
    }

    /// Something of both ends of the terms, to be read before they are needed.
    pub(crate) fn touched(&self) -> u16 {
        self.codes.first().copied().unwrap_or(0) ^ self.codes.last().copied().unwrap_or(0)
    }
}

/// Adds the codes of terms; how many there are.
fn encode(terms: impl Iterator<Item = u32>, codes: &mut Vec<u16>) -> u8 {
    let before = codes.len();
    for term in terms {
        match u16::try_from(term) {
            Ok(code) if code != WIDE => codes.push(code),
            _ => codes.extend([WIDE, (term >> 16) as u16, term as u16]),
        }
    }
    (codes.len() - before) as u8
}

#[inline]
fn decoded(codes: &[u16]) -> impl Iterator<Item = u32> {
    let mut codes = codes.iter();
    std::iter::from_fn(move || {
        let code = *codes.next()?;
        if code != WIDE {
            return Some(u32::from(code));
        }
        let (high, low) = (*codes.next()?, *codes.next()?);
        Some(u32::from(high) << 16 | u32::from(low))
    })
}

/// Information of sets of a query's terms. Few sets meet thousands of products, so those of the first terms are added up once.
pub(super) struct Information {
    of_terms: Vec<f32>,
    /// By set of the first terms, in the order of terms.
    of_sets: Vec<f32>,
}

impl Information {
    /// Queries of more terms are rare and may take longer.
    const TABLED: usize = 8;

    pub(super) fn new(of_terms: &[f32]) -> Self {
        let mut of_sets = vec![0.0];
        for information in &of_terms[..of_terms.len().min(Self::TABLED)] {
            for set in 0..of_sets.len() {
                of_sets.push(of_sets[set] + information);
            }
        }
        Self { of_terms: of_terms.to_vec(), of_sets }
    }

    pub(super) fn of(&self, terms: u32) -> f32 {
        match self.of_sets.get(terms as usize) {
            Some(information) => *information,
            None => members(&self.of_terms, terms).sum(),
        }
    }

    fn greatest(&self, terms: u32) -> f32 {
        members(&self.of_terms, terms).fold(0.0, f32::max)
    }
}

fn members(of_terms: &[f32], terms: u32) -> impl Iterator<Item = f32> {
    of_terms.iter().enumerate().filter(move |(place, _)| terms & (1 << place) != 0).map(|(_, information)| *information)
}

/// Which terms of a query a term of the index answers. Hardly any does, so most are told by a bit.
#[derive(Default)]
struct Asked {
    terms: FxHashMap<u32, u32>,
    bits: [u64; Self::WORDS],
}

impl Asked {
    const WORDS: usize = 32;

    fn place(term: u32) -> (usize, u64) {
        (term as usize / 64 % Self::WORDS, 1 << (term % 64))
    }

    fn add(&mut self, term: u32, asked: u32) {
        let (word, bit) = Self::place(term);
        self.bits[word] |= bit;
        *self.terms.entry(term).or_default() |= asked;
    }

    #[inline]
    fn of(&self, term: u32) -> u32 {
        let (word, bit) = Self::place(term);
        if self.bits[word] & bit == 0 { 0 } else { self.terms.get(&term).copied().unwrap_or(0) }
    }
}

/// A query, ready to be measured against products.
pub(crate) struct QueryView {
    information: Information,
    asked: Asked,
    required: u32,
    numeric: u32,
    further: u32,
    /// The required terms in order.
    order: Vec<u32>,
    /// The last required term that is a word.
    noun: u32,
    total: f32,
    /// The most that the lexical score can be.
    ceiling: f32,
    best: f32,
    found: usize,
}

impl QueryView {
    pub(crate) fn new(query: &ParsedQuery, information: &[f32], lexicon: &Lexicon, best: f32, found: usize) -> Self {
        let mut asked = Asked::default();
        let (mut required, mut numeric, mut further, mut noun) = (0, 0, 0, 0);
        let mut order = Vec::new();
        for (place, term) in query.terms.iter().enumerate() {
            let bit = 1 << place;
            for word in term.alternatives.iter().flat_map(|alternative| &alternative.terms) {
                if let Some(number) = lexicon.term_number(word) {
                    asked.add(number, bit);
                }
            }
            let is_numeric = term.surface.starts_with(|c: char| c.is_ascii_digit());
            if term.required {
                required |= bit;
                order.push(bit);
                noun = if is_numeric { noun } else { bit };
            } else {
                further |= bit;
            }
            numeric |= if is_numeric { bit } else { 0 };
        }
        let ceiling = query.terms.iter().zip(information).map(|(term, information)| term.weight * information).sum();
        let information = Information::new(information);
        let total = information.of(required);
        Self { information, asked, required, numeric, further, order, noun, total, ceiling, best, found }
    }

    fn share(&self, terms: u32) -> f32 {
        if self.total > 0.0 { self.information.of(terms & self.required) / self.total } else { 0.0 }
    }

    fn answered_by(&self, terms: impl Iterator<Item = u32>) -> u32 {
        terms.fold(0, |bits, term| bits | self.asked.of(term))
    }

    /// Everything that product and query alone tell; what the other products tell is added by [`super::measure`].
    pub(crate) fn measure(&self, found: &Match, product: &ProductTerms) -> FeatureRow {
        let mut row = [0.0; FEATURES];
        let mut set = |feature: Feature, value: f32| row[feature as usize] = value;
        let missing = self.required & !found.terms;
        set(Feature::Lexical, found.score / self.ceiling.max(1e-6));
        set(Feature::LexicalOfBest, found.score / self.best.max(1e-6));
        set(Feature::Coverage, self.share(found.terms));
        set(Feature::Missing, missing.count_ones() as f32);
        set(Feature::Complete, f32::from(u8::from(missing == 0)));
        set(Feature::WorstMissing, self.information.greatest(missing) / self.total.max(1e-6));

        let mut places = [0; MOST_NAME_TERMS];
        let mut written = 0;
        let mut write = |terms: &mut dyn Iterator<Item = u32>| {
            for term in terms.take(MOST_NAME_TERMS - written) {
                places[written] = self.asked.of(term);
                written += 1;
            }
            written
        };
        let head = write(&mut product.head());
        let name = write(&mut product.tail());
        let (head, places) = (&places[..head], &places[..name]);
        let in_head = head.iter().fold(0, |bits, place| bits | place);
        let in_name = places.iter().fold(self.answered_by(product.name_variants()), |bits, place| bits | place);
        set(Feature::NameCoverage, self.share(in_name));
        set(Feature::HeadCoverage, self.share(in_head));
        set(Feature::NamePrecision, matched_share(places));
        set(Feature::HeadPrecision, matched_share(head));
        let (neighbours, near) = self.pairs(places);
        set(Feature::Neighbours, neighbours);
        set(Feature::Near, near);
        set(Feature::HeadNoun, f32::from(u8::from(self.asked.of(product.kind()) != 0)));
        set(Feature::QueryNoun, f32::from(u8::from(in_name & self.noun != 0)));
        set(Feature::QueryNounInHead, f32::from(u8::from(in_head & self.noun != 0)));
        set(Feature::FirstWord, f32::from(u8::from(places.first().is_some_and(|bits| *bits != 0))));

        let numbers = self.numeric.count_ones() as f32;
        let numbers_found = (self.numeric & found.terms).count_ones() as f32;
        set(Feature::Numbers, if numbers > 0.0 { numbers_found / numbers } else { 0.0 });
        set(Feature::NumbersMissing, numbers - numbers_found);
        set(Feature::FurtherReadings, (self.further & found.terms).count_ones() as f32);
        set(Feature::BrandCoverage, self.share(self.answered_by(product.brand())));
        set(Feature::CategoryCoverage, self.share(self.answered_by(product.category())));
        set(Feature::AttributeCoverage, self.share(self.answered_by(product.attributes())));
        set(Feature::NameLength, (1.0 + places.len() as f32).ln());

        set(Feature::QueryTerms, self.required.count_ones() as f32);
        set(Feature::QueryInformation, self.total);
        set(Feature::QueryMatches, (1.0 + self.found as f32).ln());
        set(Feature::QueryBest, self.best / self.ceiling.max(1e-6));
        set(Feature::QueryNumbers, numbers);
        row
    }

    /// Shares of the query's neighbours that stand in the name side by side in order, and within a few words.
    fn pairs(&self, places: &[u32]) -> (f32, f32) {
        const WINDOW: usize = 4;
        let pairs = self.order.len().saturating_sub(1);
        if pairs == 0 {
            return (0.0, 0.0);
        }
        let (mut neighbours, mut near) = (0, 0);
        let in_places = places.iter().fold(0, |bits, place| bits | place);
        for pair in self.order.windows(2) {
            if in_places & pair[0] == 0 || in_places & pair[1] == 0 {
                continue;
            }
            let side_by_side = places.windows(2).any(|two| two[0] & pair[0] != 0 && two[1] & pair[1] != 0);
            let both = |window: &[u32]| {
                let bits = window.iter().fold(0, |bits, place| bits | place);
                bits & pair[0] != 0 && bits & pair[1] != 0
            };
            let close = places.windows(WINDOW.min(places.len().max(1))).any(both);
            neighbours += usize::from(side_by_side);
            near += usize::from(close);
        }
        (neighbours as f32 / pairs as f32, near as f32 / pairs as f32)
    }
}

fn matched_share(places: &[u32]) -> f32 {
    let matched = places.iter().filter(|bits| **bits != 0).count();
    matched as f32 / (places.len() as f32).max(1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn terms_are_kept_as_they_are(parts in prop::collection::vec(prop::collection::vec(any::<u32>(), 0..70), 6)) {
            // Numbers around those that two bytes can tell.
            let near = |term: &u32| if term.is_multiple_of(2) { term % 7 + u32::from(WIDE) - 3 } else { *term };
            let parts: Vec<Vec<u32>> = parts.iter().map(|part| part.iter().map(near).collect()).collect();
            let mut codes = Vec::new();
            let lengths = std::array::from_fn(|part| encode(parts[part].iter().copied(), &mut codes));
            let noun = parts[0].len().checked_sub(1);
            let kind = noun.map_or(0, |noun| encode(parts[0][..noun].iter().copied(), &mut Vec::new()) + 1);
            let terms = ProductTerms { codes: codes.into(), lengths, kind };
            prop_assert_eq!(terms.kind(), parts[0].last().copied().unwrap_or(NO_TERM));
            for (part, wanted) in parts.iter().enumerate() {
                prop_assert_eq!(&terms.part(part).collect::<Vec<u32>>(), wanted);
            }
            prop_assert_eq!(terms.all().collect::<Vec<u32>>(), parts.concat());
        }
    }
}
