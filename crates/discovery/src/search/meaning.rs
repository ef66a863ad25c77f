//! What products and queries are about, beyond the words they share: vectors learnt from the shop's own catalogue.
//!
//! Latent semantic analysis (Deerwester et al. 1990): the leading singular vectors of the products-by-terms matrix, terms
//! weighted by how much they tell. A text is the sum of its terms' vectors. Needs no download, no behaviour and no GPU.

use std::borrow::Cow;
use std::sync::Arc;

use merx_numeric::directions::DirectionIndex;
use merx_numeric::kernels::{axpy, dot};
use merx_numeric::rng::Rng;
use merx_numeric::sparse::SparseRows;
use merx_numeric::spectral::truncated_svd;
use merx_numeric::top_k::top_k;
use rayon::prelude::*;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeaningSettings {
    pub dimensions: usize,
    /// Sharpens the singular vectors; each costs two passes over the catalogue.
    pub power_iterations: usize,
    /// Terms of fewer products have no vector of their own.
    pub least_products: u32,
    /// Directions count by their singular value to this power: 1 is plain projection, 0 makes all directions equal.
    pub value_power: f32,
    /// Products that the vectors are learnt from, evenly spread over the catalogue.
    pub most_products: usize,
    pub seed: u64,
}

impl Default for MeaningSettings {
    fn default() -> Self {
        Self {
            dimensions: 128,
            power_iterations: 1,
            least_products: 2,
            value_power: 1.0,
            most_products: 200_000,
            seed: 1,
        }
    }
}

/// The encoder: a vector a term.
#[derive(Debug, Clone, Default)]
pub(super) struct Encoder {
    dimensions: usize,
    /// A row a term, each weighted by what the term tells; terms that came later have none.
    terms: Vec<f32>,
}

impl Encoder {
    /// `terms_of`: the terms of each of so many products. `counts`: in how many products each term is.
    pub(super) fn learn(
        products: usize,
        terms_of: impl Fn(usize) -> Vec<u32>,
        counts: &[u32],
        settings: &MeaningSettings,
    ) -> Self {
        let total = products as f32;
        let step = products.div_ceil(settings.most_products.max(1)).max(1);
        let tells = |term: u32| {
            let count = counts[term as usize];
            if count < settings.least_products { 0.0 } else { (total / count as f32).ln_1p() }
        };
        let rows = (0..products).step_by(step).map(|product| weighted(&terms_of(product), &tells));
        let matrix = SparseRows::from_rows(counts.len(), rows);
        let transposed = matrix.transposed();
        let svd = truncated_svd(
            &matrix,
            &transposed,
            settings.dimensions,
            settings.power_iterations,
            &mut Rng::from_seed(settings.seed),
        );
        let dimensions = svd.values.len();
        let powers: Vec<f32> = svd.values.iter().map(|value| value.powf(settings.value_power - 1.0)).collect();
        let mut terms = svd.right;
        for (row, term) in terms.chunks_exact_mut(dimensions.max(1)).zip(0..) {
            let weight = tells(term);
            row.iter_mut().zip(&powers).for_each(|(value, power)| *value *= power * weight);
        }
        Self { dimensions, terms }
    }

    pub(super) fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The vector of a term; `None` where nothing was learnt of it.
    pub(super) fn term(&self, term: u32) -> Option<&[f32]> {
        let start = term as usize * self.dimensions;
        self.terms.get(start..start + self.dimensions).filter(|vector| !vector.is_empty())
    }

    /// The direction of a text, of length 1; zeros where nothing is known of its terms.
    pub(super) fn text(&self, terms: impl Iterator<Item = (u32, f32)>) -> Vec<f32> {
        let mut sum = vec![0.0; self.dimensions];
        for (term, weight) in terms {
            if let Some(vector) = self.term(term) {
                axpy(weight, vector, &mut sum);
            }
        }
        normalised(sum)
    }
}

/// Terms once each, of unit length together.
fn weighted(terms: &[u32], tells: &impl Fn(u32) -> f32) -> Vec<(u32, f32)> {
    let mut row: Vec<(u32, f32)> =
        terms.iter().map(|term| (*term, tells(*term))).filter(|(_, weight)| *weight > 0.0).collect();
    row.sort_unstable_by_key(|(term, _)| *term);
    row.dedup_by_key(|(term, _)| *term);
    let length = row.iter().map(|(_, weight)| weight * weight).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    row.iter_mut().for_each(|(_, weight)| *weight /= length);
    row
}

pub(super) fn normalised(mut vector: Vec<f32>) -> Vec<f32> {
    let length = dot(&vector, &vector).sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value /= length);
    }
    vector
}

/// Vectors by product, of length 1 or 0; those that came or changed since are kept beside, and not rounded.
#[derive(Debug, Clone, Default)]
pub(super) struct VectorIndex {
    dimensions: usize,
    /// Shared by copies: only what changed is copied.
    index: Arc<DirectionIndex>,
    /// Products whose vector in `index` doesn't hold any more, ascending, and the vectors that do.
    changed: Vec<u32>,
    fresh: Vec<Arc<[f32]>>,
}

impl VectorIndex {
    /// Of row-major vectors, a row a product.
    pub(super) fn new(vectors: &[f32], dimensions: usize) -> Self {
        Self {
            dimensions,
            index: Arc::new(DirectionIndex::new(vectors, dimensions)),
            changed: Vec::new(),
            fresh: Vec::new(),
        }
    }

    pub(super) fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// How many vectors are kept beside the index, where they cost more.
    pub(super) fn changes(&self) -> usize {
        self.changed.len()
    }

    fn products(&self) -> u32 {
        let last = self.changed.last().map_or(0, |last| *last as usize + 1);
        self.index.len().max(last) as u32
    }

    /// The same with all vectors in the index.
    pub(super) fn settled(&self) -> Self {
        let vectors: Vec<f32> = (0..self.products()).flat_map(|product| self.vector(product).into_owned()).collect();
        Self::new(&vectors, self.dimensions)
    }

    pub(super) fn put(&mut self, product: u32, vector: Vec<f32>) {
        let vector: Arc<[f32]> = vector.into();
        match self.changed.binary_search(&product) {
            Ok(place) => self.fresh[place] = vector,
            Err(place) => {
                self.changed.insert(place, product);
                self.fresh.insert(place, vector);
            }
        }
    }

    /// Zeros where nothing is known of the product.
    pub(super) fn vector(&self, product: u32) -> Cow<'_, [f32]> {
        match self.changed.binary_search(&product) {
            Ok(place) => Cow::Borrowed(&self.fresh[place][..]),
            Err(_) if (product as usize) < self.index.len() => Cow::Owned(self.index.vector(product)),
            Err(_) => Cow::Owned(vec![0.0; self.dimensions]),
        }
    }

    /// The inner product with each of some products; 0 for all where there is no vector to compare with.
    pub(super) fn products_with(&self, products: &[u32], query: &[f32]) -> Vec<f32> {
        let mut with = vec![0.0; products.len()];
        if query.len() != self.dimensions {
            return with;
        }
        self.index.chosen_products(products, query, &mut with);
        if !self.changed.is_empty() {
            for (with, product) in with.iter_mut().zip(products) {
                if let Ok(place) = self.changed.binary_search(product) {
                    *with = dot(&self.fresh[place], query);
                }
            }
        }
        with
    }

    /// The nearest of those that are accepted, of cosines above 0 and no less than `least`. Where the nearest of all are mostly refused,
    /// all that are accepted are looked at. `guesses` are probably among them.
    pub(super) fn nearest_accepted(
        &self,
        query: &[f32],
        limit: usize,
        least: f32,
        guesses: &[u32],
        accepts: impl Fn(u32) -> bool,
    ) -> Vec<(u32, f32)> {
        let mut products = self.nearest(query, limit, least, guesses);
        // Fewer than `limit` say nothing of what else there is: not every group was read.
        let found = products.len();
        products.retain(|(product, _)| accepts(*product));
        if products.len() < found / 4 {
            products = self.nearest_among(query, limit, accepts);
            products.retain(|(_, cosine)| *cosine >= least);
        }
        products
    }

    /// The nearest of those that are wanted, each compared.
    fn nearest_among(&self, query: &[f32], limit: usize, wanted: impl Fn(u32) -> bool) -> Vec<(u32, f32)> {
        let products: Vec<u32> = (0..self.products()).filter(|product| wanted(*product)).collect();
        let best = top_k(&self.products_with(&products, query), limit);
        let best = best.into_iter().filter(|hit| hit.score > 0.0);
        best.map(|hit| (products[hit.index as usize], hit.score)).collect()
    }

    /// The products nearest to a vector by cosine, nearest first; only those that point the same way at all.
    fn nearest(&self, query: &[f32], limit: usize, least: f32, guesses: &[u32]) -> Vec<(u32, f32)> {
        if query.iter().all(|value| *value == 0.0) {
            return Vec::new();
        }
        let least = least.max(f32::MIN_POSITIVE);
        let kept = self.index.search(query, limit, least, &self.changed, guesses);
        let kept = kept.into_iter().map(|hit| (hit.index, hit.score));
        let fresh = self.changed.iter().zip(&self.fresh).map(|(product, vector)| (*product, dot(vector, query)));
        let mut found: Vec<(u32, f32)> = kept.chain(fresh).filter(|(_, cosine)| *cosine >= least).collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found.truncate(limit);
        found
    }
}

/// What the shop's own encoder says of products.
#[derive(Debug, Clone, Default)]
pub(super) struct ProductVectors {
    pub(super) encoder: Encoder,
    pub(super) vectors: VectorIndex,
}

impl ProductVectors {
    /// `terms_of`: the terms of each of so many products.
    pub(super) fn build(
        products: usize,
        terms_of: impl Fn(usize) -> Vec<u32> + Sync,
        counts: &[u32],
        settings: &MeaningSettings,
    ) -> Self {
        let encoder = Encoder::learn(products, &terms_of, counts, settings);
        let dimensions = encoder.dimensions();
        // Each thread writes where its part belongs: parts that are put together later would stand in memory twice.
        let mut vectors = vec![0.0; products * dimensions];
        vectors.par_chunks_exact_mut(dimensions.max(1)).enumerate().for_each(|(product, vector)| {
            vector.copy_from_slice(&encoder.text(unweighted(terms_of(product))));
        });
        let vectors = VectorIndex::new(&vectors, dimensions);
        Self { encoder, vectors }
    }

    /// Gives a product the vector of its new terms; none removes it.
    pub(super) fn put(&mut self, product: u32, terms: Vec<u32>) {
        self.vectors.put(product, self.encoder.text(unweighted(terms)));
    }
}

fn unweighted(mut terms: Vec<u32>) -> impl Iterator<Item = (u32, f32)> {
    terms.sort_unstable();
    terms.dedup();
    terms.into_iter().map(|term| (term, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two worlds: terms 0 to 4 stand together, and terms 5 to 9; no product has both 0 and 4.
    fn worlds() -> Vec<Vec<u32>> {
        let mut rng = Rng::from_seed(3);
        let product = |at: usize, rng: &mut Rng| -> Vec<u32> {
            let first = if at.is_multiple_of(2) { 0 } else { 5 };
            let mut terms: Vec<u32> = rng.sample(5, 3).into_iter().map(|term| first + term as u32).collect();
            if terms.contains(&first) {
                terms.retain(|term| *term != first + 4);
            }
            terms
        };
        (0..400).map(|at| product(at, &mut rng)).collect()
    }

    fn vectors() -> (Vec<Vec<u32>>, ProductVectors) {
        let products = worlds();
        let mut counts = vec![0; 10];
        products.iter().flatten().for_each(|term| counts[*term as usize] += 1);
        let settings = MeaningSettings { dimensions: 2, ..MeaningSettings::default() };
        let vectors = ProductVectors::build(products.len(), |product| products[product].clone(), &counts, &settings);
        (products, vectors)
    }

    #[test]
    fn a_text_is_near_what_it_shares_no_word_with() {
        let (products, vectors) = vectors();
        let query = vectors.encoder.text([(0, 1.0)].into_iter());
        let nearest = vectors.vectors.nearest(&query, 150, 0.0, &[]);
        assert!(nearest.iter().all(|(product, _)| products[*product as usize][0] < 5));
        assert!(nearest.iter().any(|(product, _)| products[*product as usize].contains(&4)));
    }

    #[test]
    fn what_a_filter_leaves_is_found_wherever_it_stands() {
        let mut rng = Rng::from_seed(4);
        let (products, dimensions) = (20_000, 32);
        let mut direction = || normalised((0..dimensions).map(|_| rng.normal() as f32).collect());
        let vectors: Vec<f32> = (0..products).flat_map(|_| direction()).collect();
        let query = direction();
        let index = VectorIndex::new(&vectors, dimensions);
        let passes = |product: u32| product.is_multiple_of(50);
        for least in [0.0, 0.4] {
            let found = index.nearest_accepted(&query, 200, least, &[], passes);
            let cosine = |product: u32| dot(&vectors[product as usize * dimensions..][..dimensions], &query);
            // Bytes round: what is a hair above the least cosine may be a hair below.
            let wanted = (0..products).filter(|product| passes(*product) && cosine(*product) > least + 0.01);
            let wanted: Vec<u32> = wanted.collect();
            assert!(!wanted.is_empty() && wanted.len() < 200);
            assert!(wanted.iter().all(|wanted| found.iter().any(|(product, _)| product == wanted)), "{least}");
        }
    }

    #[test]
    fn changed_products_are_found_by_what_they_are_now() {
        let (_, mut vectors) = vectors();
        let query = vectors.encoder.text([(5, 1.0)].into_iter());
        assert!(dot(&vectors.vectors.vector(0), &query) < 0.1);
        vectors.put(0, vec![5, 6]);
        vectors.put(400, vec![5]);
        vectors.put(1, vec![]);
        let of = |vectors: &VectorIndex| -> Vec<u32> {
            vectors.nearest(&query, 401, 0.0, &[]).into_iter().map(|(product, _)| product).collect()
        };
        let nearest = of(&vectors.vectors);
        assert!(nearest.contains(&0) && nearest.contains(&400) && !nearest.contains(&1));
        let settled = vectors.vectors.settled();
        assert_eq!((settled.changes(), of(&settled)), (0, nearest));
    }
}
