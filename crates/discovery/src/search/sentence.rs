//! What a sentence encoder says of products, beside what the shop's own encoder does.
//!
//! Its vectors are made elsewhere and handed in; they make measurements of their own, so that nothing is ever compared across two spaces,
//! and a search without them is ranked by the others as if there were no such encoder.

use std::sync::Arc;

use merx_domain::Product;

use crate::search::meaning::VectorIndex;

/// From this share of products with vectors on, searches use them: what has none would be found less.
const WHOLE: f64 = 0.99;
/// Vectors beside the index, in parts of all, before they are put into it.
const MOST_CHANGED: usize = 4;
const FEW_CHANGED: usize = 1_000;

/// The vectors of queries in the space of an encoder, as far as they are at hand.
pub trait QueryVectors: Send + Sync {
    /// `text` is as [`query_text`] writes it.
    fn at_hand(&self, text: &str) -> Option<Arc<[f32]>>;
}

/// The vectors of products in the space of an encoder.
#[derive(Debug, Clone, Default)]
pub struct SentenceVectors {
    encoder: String,
    vectors: VectorIndex,
    /// By product.
    known: Vec<bool>,
    count: usize,
}

impl SentenceVectors {
    pub fn new(encoder: impl Into<String>) -> Self {
        Self { encoder: encoder.into(), ..Self::default() }
    }

    /// The id of the encoder.
    pub fn encoder(&self) -> &str {
        &self.encoder
    }

    /// Products that have a vector.
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// 0: not known before the first vector.
    pub fn dimensions(&self) -> usize {
        self.vectors.dimensions()
    }

    /// Of length 1. One of another number of components than the first is left out: false.
    pub fn put(&mut self, product: u32, vector: Vec<f32>) -> bool {
        if self.is_empty() && self.vectors.dimensions() != vector.len() {
            self.vectors = VectorIndex::new(&[], vector.len());
        }
        if vector.is_empty() || vector.len() != self.dimensions() {
            return false;
        }
        self.vectors.put(product, vector);
        let place = product as usize;
        self.known.resize(self.known.len().max(place + 1), false);
        self.count += usize::from(!std::mem::replace(&mut self.known[place], true));
        true
    }

    /// Whether enough of so many products have a vector.
    pub fn is_whole(&self, products: usize) -> bool {
        self.count > 0 && self.count as f64 >= products as f64 * WHOLE
    }

    /// Puts vectors that came since into the index, where they are many.
    pub fn settle(&mut self) {
        if self.vectors.changes() > FEW_CHANGED.max(self.count / MOST_CHANGED) {
            self.vectors = self.vectors.settled();
        }
    }

    pub(super) fn index(&self) -> &VectorIndex {
        &self.vectors
    }
}

/// Where the sentences of many searches come from.
#[derive(Clone, Copy)]
pub struct Sentences<'a> {
    pub vectors: &'a SentenceVectors,
    pub queries: &'a dyn QueryVectors,
}

impl Sentences<'_> {
    /// The vector of a query that is at hand and can be compared.
    pub fn query(&self, text: &str) -> Option<Arc<[f32]>> {
        self.queries.at_hand(&query_text(text)).filter(|query| Sentence::new(self.vectors, query).is_some())
    }
}

/// A query's vector and the products' in the same space.
#[derive(Debug, Clone, Copy)]
pub struct Sentence<'a> {
    pub vectors: &'a SentenceVectors,
    pub query: &'a [f32],
}

impl<'a> Sentence<'a> {
    /// `None` where the query's vector can't be compared with the products'.
    pub fn new(vectors: &'a SentenceVectors, query: &'a [f32]) -> Option<Self> {
        (!vectors.is_empty() && vectors.dimensions() == query.len()).then_some(Self { vectors, query })
    }
}

/// A query as encoders get it: in small letters, a space between words.
pub fn query_text(query: &str) -> String {
    query.split_whitespace().map(str::to_lowercase).collect::<Vec<String>>().join(" ")
}

/// What an encoder is told of a product, the most telling first, no longer than so many bytes: name, brand, category, description.
pub fn product_text(product: &Product, most_bytes: usize) -> String {
    let brand = product.brand.as_deref().filter(|brand| !product.name.to_lowercase().contains(&brand.to_lowercase()));
    let category = product.category_path.last().map(|category| category.as_str());
    let description = Some(product.description.as_str());
    let parts = [Some(product.name.as_str()), brand, category, description];
    let told: Vec<&str> = parts.into_iter().flatten().map(str::trim).filter(|part| !part.is_empty()).collect();
    let mut text = if told.is_empty() { product.id.to_string() } else { told.join(". ") };
    let mut end = text.len().min(most_bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::meaning::normalised;

    #[test]
    fn vectors_are_counted_and_never_mixed() {
        let mut vectors = SentenceVectors::new("a");
        assert!(vectors.put(3, vec![1.0, 0.0]) && vectors.put(3, vec![0.0, 1.0]) && vectors.put(0, vec![1.0, 0.0]));
        assert!(!vectors.put(1, vec![1.0, 0.0, 0.0]), "another space");
        assert_eq!((vectors.len(), vectors.dimensions()), (2, 2));
        assert!(vectors.is_whole(2) && !vectors.is_whole(3) && !SentenceVectors::new("b").is_whole(0));
        assert!(Sentence::new(&vectors, &[1.0]).is_none() && Sentence::new(&vectors, &[0.6, 0.8]).is_some());
    }

    #[test]
    fn many_new_vectors_are_put_into_the_index() {
        let mut vectors = SentenceVectors::new("a");
        let direction = |at: u32| {
            let mut rng = merx_numeric::rng::Rng::from_seed(u64::from(at));
            normalised((0..8).map(|_| rng.normal() as f32).collect())
        };
        (0..1_500).for_each(|product| assert!(vectors.put(product, direction(product))));
        let nearest = |vectors: &SentenceVectors| -> Vec<u32> {
            let found = vectors.index().nearest_accepted(&direction(700), 3, 0.0, &[], |product| product != 700);
            found.into_iter().map(|(product, _)| product).collect()
        };
        let before = nearest(&vectors);
        assert_eq!(vectors.index().changes(), 1_500);
        vectors.settle();
        assert_eq!((vectors.index().changes(), nearest(&vectors)), (0, before.clone()));
        assert!(before.len() == 2 && !before.contains(&700));
    }

    #[test]
    fn queries_are_written_alike() {
        assert_eq!(query_text("  Canvas\tBAG "), "canvas bag");
    }
}
