//! Synonyms that shoppers teach: two queries that differ in one phrase and lead to the same products.
//!
//! Proposals only: a merchant decides.

pub use merx_domain::merchandising::ProposedSynonym;
use rustc_hash::FxHashMap;

use crate::search::clicks::ClickModel;

/// What must be seen before a synonym is proposed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MiningSettings {
    pub least_likeness: f32,
    pub least_looks: f32,
}

impl Default for MiningSettings {
    fn default() -> Self {
        Self { least_likeness: 0.6, least_looks: 50.0 }
    }
}

/// A phrase of more words is no synonym but another question.
const LONGEST: usize = 3;
/// Queries that share a product are compared, these many at most.
const MOST_SHARING: usize = 200;

struct Asked<'a> {
    text: &'a str,
    /// Product and how far it attracts above the mean, of length 1 together.
    vector: Vec<(u32, f32)>,
    looks: f32,
}

/// The likeliest first.
pub fn propose_synonyms(clicks: &ClickModel, settings: &MiningSettings) -> Vec<ProposedSynonym> {
    let mut texts: Vec<&str> = clicks.queries().collect();
    texts.sort_unstable();
    let asked: Vec<Asked<'_>> = texts
        .into_iter()
        .filter_map(|text| asked(text, clicks))
        .filter(|asked| asked.looks >= settings.least_looks)
        .collect();
    let mut sharing: FxHashMap<u32, Vec<usize>> = FxHashMap::default();
    for (number, query) in asked.iter().enumerate() {
        for (product, _) in &query.vector {
            let queries = sharing.entry(*product).or_default();
            if queries.len() < MOST_SHARING {
                queries.push(number);
            }
        }
    }
    let mut pairs: Vec<(usize, usize)> = sharing
        .values()
        .flat_map(|queries| {
            queries.iter().enumerate().flat_map(|(at, a)| queries[at + 1..].iter().map(move |b| (*a, *b)))
        })
        .collect();
    pairs.sort_unstable();
    pairs.dedup();
    let mut found: FxHashMap<[String; 2], ProposedSynonym> = FxHashMap::default();
    for (a, b) in pairs {
        let (a, b) = (&asked[a], &asked[b]);
        let likeness = cosine(&a.vector, &b.vector);
        let Some(words) = difference(a.text, b.text).filter(|_| likeness >= settings.least_likeness) else { continue };
        let looks = a.looks.min(b.looks);
        let known =
            found.entry(words.clone()).or_insert(ProposedSynonym { words, likeness: 0.0, pairs: 0, looks: 0.0 });
        known.pairs += 1;
        if likeness > known.likeness {
            (known.likeness, known.looks) = (likeness, looks);
        }
    }
    let mut proposals: Vec<ProposedSynonym> = found.into_values().collect();
    let order = |a: &ProposedSynonym, b: &ProposedSynonym| (b.pairs, b.likeness).partial_cmp(&(a.pairs, a.likeness));
    proposals.sort_by(|a, b| order(a, b).unwrap_or(std::cmp::Ordering::Equal).then_with(|| a.words.cmp(&b.words)));
    proposals
}

fn asked<'a>(text: &'a str, clicks: &'a ClickModel) -> Option<Asked<'a>> {
    let of_query = clicks.of_query(text)?;
    let looks = of_query.products().map(|(_, found)| found.looks).sum();
    let mut vector: Vec<(u32, f32)> = of_query
        .products()
        .map(|(product, _)| (product.0, of_query.lift(product)))
        .filter(|(_, lift)| *lift > 0.0)
        .collect();
    let length = vector.iter().map(|(_, lift)| lift * lift).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|(_, lift)| *lift /= length.max(f32::MIN_POSITIVE));
    Some(Asked { text, vector, looks })
}

/// Both in order of product.
fn cosine(a: &[(u32, f32)], b: &[(u32, f32)]) -> f32 {
    let of = |product: u32| b.binary_search_by_key(&product, |(known, _)| *known).map_or(0.0, |place| b[place].1);
    a.iter().map(|(product, value)| value * of(*product)).sum()
}

/// The phrases by which two texts differ, where the rest is the same words before and after. Without a rest, one must be a single
/// word: longer ones are other questions about the same products.
fn difference(a: &str, b: &str) -> Option<[String; 2]> {
    let (a, b): (Vec<&str>, Vec<&str>) = (a.split(' ').collect(), b.split(' ').collect());
    let before = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let shorter = a.len().min(b.len()) - before;
    let after = a.iter().rev().zip(b.iter().rev()).take(shorter).take_while(|(a, b)| a == b).count();
    let phrase = |words: &[&str]| words[before..words.len() - after].join(" ");
    let sensible = |words: &[&str]| (1..=LONGEST).contains(&(words.len() - before - after));
    let comparable = before + after > 0 || a.len().min(b.len()) == 1;
    let mut words = (comparable && sensible(&a) && sensible(&b)).then(|| [phrase(&a), phrase(&b)])?;
    words.sort_unstable();
    Some(words)
}

#[cfg(test)]
mod tests {
    use merx_domain::ProductNumber;
    use merx_numeric::rng::Rng;

    use super::*;
    use crate::search::clicks::{ClickSettings, Impression};

    #[test]
    fn the_planted_synonym_is_proposed_and_nothing_else() {
        let mut rng = Rng::from_seed(2);
        let mut impressions = Vec::new();
        // Sofas and couches are products 0 to 2; chairs 3 to 5; ten products are shown for each.
        for (query, wanted) in
            [("red sofa", 0..3), ("red couch", 0..3), ("sofa bed", 1..3), ("couch bed", 1..3), ("red chair", 3..6)]
        {
            for _ in 0..400 {
                let mut shown: Vec<u32> = (0..10).collect();
                rng.shuffle(&mut shown);
                let clicked =
                    shown.iter().map(|product| rng.chance(if wanted.contains(product) { 0.4 } else { 0.02 })).collect();
                impressions.push(Impression {
                    query: query.into(),
                    first_place: 0,
                    shown: shown.into_iter().map(ProductNumber).collect(),
                    clicked,
                });
            }
        }
        let clicks = ClickModel::fit(&impressions, &ClickSettings { sweeps: 50, ..ClickSettings::default() });
        let proposals = propose_synonyms(&clicks, &MiningSettings::default());
        assert_eq!(proposals.len(), 1, "{proposals:?}");
        assert_eq!((proposals[0].words.clone(), proposals[0].pairs), (["couch".to_owned(), "sofa".to_owned()], 2));
    }

    #[test]
    fn differences_are_phrases_between_the_same_words() {
        assert_eq!(difference("red sofa bed", "red couch bed"), Some(["couch".into(), "sofa".into()]));
        assert_eq!(difference("tv", "flat screen"), Some(["flat screen".into(), "tv".into()]));
        assert_eq!(difference("red sofa", "sofa"), None);
        assert_eq!(difference("a b c d", "e f g h"), None);
        assert_eq!(difference("red sofa", "couch bed"), None);
    }
}
