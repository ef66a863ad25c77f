//! Here is a vector: which of very many have the largest inner product with it?
//!
//! Exact, and much faster than computing all of them, by three means that each prove what they leave out:
//! vectors stand in order of their length, so that Cauchy and Schwarz end the scan early; each is first read as one byte a
//! component, with a bound on what rounding can have changed; only those that may still be among the best are computed in
//! full. Good for thousands to a few millions of vectors in memory. The index owns the vectors, longest first: those that
//! most searches look at stand together.

use crate::kernels::{chosen_dots, dot, mat_vec};
use crate::top_k::{Hit, TopK};

/// Vectors in a block: one 32-bit lane each of an AVX-512 register.
const BLOCK: usize = 16;
/// Components that one 32-bit lane multiplies at once.
const GROUP: usize = 4;
/// Blocks scanned between two looks at the threshold.
const STRIDE: usize = 4;
/// A stored component is at most this many steps.
const CODE_MAX: f32 = 127.0;
/// A component of the query is at most this many steps, so that two products fit 16 bits on processors without VNNI.
const QUERY_MAX: f32 = 63.0;
/// Queries are stored with this added, because the instructions want one unsigned factor.
const QUERY_OFFSET: i32 = 64;
/// Bounds are widened by so much, for what is rounded when they are computed.
const ROUNDING: f32 = 1e-5;
/// Up to so many vectors, computing all products costs less than avoiding it.
const SMALL: usize = 256;

/// The codes of `BLOCK` vectors and what they can be wrong by.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Block {
    /// Steps of a code in one unit.
    per_unit: f32,
    /// The longest vector, before and after rounding to codes.
    longest: f32,
    longest_code: f32,
    /// The longest difference between a vector and its codes.
    largest_error: f32,
}

/// An index for the largest inner products with vectors of one length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InnerProductIndex {
    dimensions: usize,
    /// `dimensions` rounded up to whole groups.
    padded: usize,
    /// Which vector stands at each place, longest first, and at which place each vector stands.
    order: Vec<u32>,
    places: Vec<u32>,
    /// A row a place.
    vectors: Vec<f32>,
    blocks: Vec<Block>,
    /// A block after the other; within a block group by group, within a group vector by vector.
    codes: Vec<i8>,
    /// For each place, what the query's offset adds to the product, negated.
    biases: Vec<i32>,
}

impl InnerProductIndex {
    /// An index of row-major `vectors` of `dimensions` columns. Components that aren't finite numbers count as 0.
    pub fn new(vectors: &[f32], dimensions: usize) -> Self {
        if dimensions == 0 {
            return Self::default();
        }
        let lengths: Vec<f32> = vectors.chunks_exact(dimensions).map(length).collect();
        let mut order: Vec<u32> = (0..lengths.len() as u32).collect();
        order.sort_by(|&a, &b| lengths[b as usize].total_cmp(&lengths[a as usize]).then(a.cmp(&b)));
        let mut place_of = vec![0u32; order.len()];
        order.iter().zip(0..).for_each(|(&member, place)| place_of[member as usize] = place);
        let sorted = order.iter().flat_map(|&member| &vectors[member as usize * dimensions..][..dimensions]).copied();
        let padded = dimensions.next_multiple_of(GROUP);
        let places = order.len().next_multiple_of(BLOCK * STRIDE);
        let mut index = Self {
            dimensions,
            padded,
            blocks: Vec::with_capacity(places / BLOCK),
            codes: vec![0; places * padded],
            biases: vec![0; places],
            vectors: sorted.collect(),
            places: place_of,
            order,
        };
        (0..places / BLOCK).for_each(|block| index.fill_block(block));
        index
    }

    fn fill_block(&mut self, block: usize) {
        let places = (block * BLOCK).min(self.order.len())..((block + 1) * BLOCK).min(self.order.len());
        let members = &self.vectors[places.start * self.dimensions..places.end * self.dimensions];
        let step = step_of(members, CODE_MAX);
        let mut bounds = Block { per_unit: step.recip(), longest: 0.0, longest_code: 0.0, largest_error: 0.0 };
        let codes = &mut self.codes[block * BLOCK * self.padded..][..BLOCK * self.padded];
        for (lane, vector) in members.chunks_exact(self.dimensions).enumerate() {
            let (mut error, mut code_length, mut sum) = (0.0f32, 0.0f32, 0i32);
            for (at, &value) in vector.iter().enumerate() {
                let value = finite(value);
                let code = (value / step).round().clamp(-CODE_MAX, CODE_MAX);
                codes[at / GROUP * BLOCK * GROUP + lane * GROUP + at % GROUP] = code as i8;
                error += (value - code * step).powi(2);
                code_length += (code * step).powi(2);
                sum += code as i32;
            }
            self.biases[block * BLOCK + lane] = -QUERY_OFFSET * sum;
            bounds.longest = bounds.longest.max(length(vector));
            bounds.longest_code = bounds.longest_code.max(code_length.sqrt());
            bounds.largest_error = bounds.largest_error.max(error.sqrt());
        }
        self.blocks.push(bounds);
    }

    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The vector with this number.
    #[inline]
    pub fn vector(&self, index: u32) -> &[f32] {
        self.vector_at(self.places[index as usize] as usize)
    }

    #[inline]
    fn vector_at(&self, place: usize) -> &[f32] {
        &self.vectors[place * self.dimensions..][..self.dimensions]
    }

    /// The inner products of `query` with the vectors of these numbers; 0 where there is no such vector.
    pub fn chosen_products(&self, numbers: &[u32], query: &[f32], out: &mut [f32]) {
        let place = |number: &u32| self.places.get(*number as usize).copied().unwrap_or(u32::MAX);
        let places: Vec<u32> = numbers.iter().map(place).collect();
        chosen_dots(&self.vectors, &places, query, out);
    }

    /// All vectors, row-major, in the order of their numbers.
    pub fn vectors(&self) -> Vec<f32> {
        (0..self.len() as u32).flat_map(|index| self.vector(index)).copied().collect()
    }

    /// All vectors, row-major, longest first, and the row of each number.
    pub fn rows(&self) -> (&[f32], &[u32]) {
        (&self.vectors, &self.places)
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The `limit` vectors with the largest inner products with `query`, best first. Equal products rank by number. The
    /// numbers in `skipped`, ascending, are left out.
    pub fn search(&self, query: &[f32], limit: usize, skipped: &[u32]) -> Vec<Hit> {
        let mut best = TopK::new(limit.min(self.len()));
        let wanted = |member: u32| skipped.is_empty() || skipped.binary_search(&member).is_err();
        if self.len() <= SMALL || limit * 4 >= self.len() {
            let products = self.products(query).filter(|(member, _)| wanted(*member));
            products.for_each(|(member, product)| best.offer(member, product));
        } else {
            self.scan(&Coded::new(query, self.padded), wanted, &mut best);
        }
        best.drain_sorted()
    }

    /// The inner products of `query` with all vectors, by number, in no order.
    pub fn products(&self, query: &[f32]) -> impl Iterator<Item = (u32, f32)> {
        let mut products = vec![0.0; self.len()];
        mat_vec(&self.vectors, query, &mut products);
        self.order.iter().copied().zip(products)
    }

    fn scan(&self, query: &Coded, wanted: impl Fn(u32) -> bool, best: &mut TopK) {
        let stride_codes = STRIDE * BLOCK * self.padded;
        let strides = self.codes.chunks_exact(stride_codes).zip(self.biases.chunks_exact(STRIDE * BLOCK));
        let shrink_at = best.limit() + best.limit() / 4 + 4;
        for (stride, (codes, biases)) in strides.enumerate() {
            let blocks: &[Block; STRIDE] = &self.blocks.as_chunks().0[stride];
            let threshold = best.threshold();
            if blocks[0].longest * query.length * (1.0 + ROUNDING) < threshold {
                return;
            }
            let least = blocks.map(|block| query.least_product(&block, threshold));
            let mut reaching = reaching(codes, biases, &query.codes, &least);
            while reaching != 0 {
                let place = stride * STRIDE * BLOCK + reaching.trailing_zeros() as usize;
                reaching &= reaching - 1;
                if place < self.len() && wanted(self.order[place]) {
                    best.offer(self.order[place], dot(self.vector_at(place), query.vector));
                }
            }
            // Sooner than the selection would by itself: a higher threshold saves products.
            if best.kept().len() >= shrink_at {
                best.shrink();
            }
        }
    }
}

/// A query rounded to codes.
struct Coded<'a> {
    vector: &'a [f32],
    /// Four components to an integer, each with `QUERY_OFFSET` added.
    codes: Vec<i32>,
    per_unit: f32,
    length: f32,
    error: f32,
}

impl<'a> Coded<'a> {
    fn new(vector: &'a [f32], padded: usize) -> Self {
        let step = step_of(vector, QUERY_MAX);
        let mut bytes = vec![QUERY_OFFSET as u8; padded];
        let mut error = 0.0f32;
        for (byte, &value) in bytes.iter_mut().zip(vector) {
            let value = finite(value);
            let code = (value / step).round().clamp(-QUERY_MAX, QUERY_MAX);
            *byte = (code as i32 + QUERY_OFFSET) as u8;
            error += (value - code * step).powi(2);
        }
        let codes = bytes.as_chunks::<GROUP>().0.iter().map(|group| i32::from_le_bytes(*group)).collect();
        Self { vector, codes, per_unit: step.recip(), length: length(vector), error: error.sqrt() }
    }

    /// The smallest product of codes with which a vector of the block may reach `threshold`. With codes x' and y' of x and
    /// y, |xy - x'y'| <= |x| |y - y'| + |x - x'| |y'|.
    fn least_product(&self, block: &Block, threshold: f32) -> i32 {
        let slack = self.length * block.largest_error + self.error * block.longest_code;
        let widened = threshold - slack - ROUNDING * self.length * block.longest;
        // A cast saturates: no threshold yet is the smallest integer, and everything passes. It cuts towards 0, hence the 1.
        ((widened * self.per_unit * block.per_unit) as i32).saturating_sub(1)
    }
}

fn finite(value: f32) -> f32 {
    if value.is_finite() { value } else { 0.0 }
}

fn length(vector: &[f32]) -> f32 {
    vector.iter().map(|&value| finite(value) * finite(value)).sum::<f32>().sqrt()
}

/// The step with which the largest of `values` is `steps` steps; never 0.
fn step_of<'a>(values: impl IntoIterator<Item = &'a f32>, steps: f32) -> f32 {
    let largest = values.into_iter().fold(0.0f32, |largest, &value| largest.max(finite(value).abs()));
    (largest / steps).max(f32::MIN_POSITIVE * 1e6)
}

/// A bit for each place of a stride where `bias + query . codes` is at least what its block asks for.
fn reaching(codes: &[i8], biases: &[i32], query: &[i32], least: &[i32; STRIDE]) -> u64 {
    assert!(codes.len() == STRIDE * BLOCK * GROUP * query.len() && biases.len() == STRIDE * BLOCK);
    #[cfg(target_arch = "x86_64")]
    match crate::cpu::level() {
        // SAFETY: `level` asked for the features; the assertion above holds what the function reads.
        crate::cpu::Level::Vnni512 => return unsafe { vnni::reaching(codes, biases, query, least) },
        // SAFETY: as above.
        crate::cpu::Level::Avx512 | crate::cpu::Level::Avx2 => {
            return unsafe { avx2::reaching(codes, biases, query, least) };
        }
        crate::cpu::Level::Portable => {}
    }
    portable_reaching(codes, biases, query, least)
}

fn portable_reaching(codes: &[i8], biases: &[i32], query: &[i32], least: &[i32; STRIDE]) -> u64 {
    let mut reaching = 0;
    for (block, codes) in codes.chunks_exact(BLOCK * GROUP * query.len()).enumerate() {
        let mut products = [0i32; BLOCK];
        products.copy_from_slice(&biases[block * BLOCK..][..BLOCK]);
        for (group, query) in codes.chunks_exact(BLOCK * GROUP).zip(query) {
            let query = query.to_le_bytes();
            for (product, codes) in products.iter_mut().zip(group.as_chunks::<GROUP>().0) {
                for (code, query) in codes.iter().zip(query) {
                    *product += i32::from(*code) * i32::from(query);
                }
            }
        }
        for (lane, product) in products.into_iter().enumerate() {
            reaching |= u64::from(product >= least[block]) << (block * BLOCK + lane);
        }
    }
    reaching
}

#[cfg(target_arch = "x86_64")]
mod vnni {
    use std::arch::x86_64::{_mm512_cmpge_epi32_mask, _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_set1_epi32};

    use super::{BLOCK, GROUP, STRIDE};

    /// # Safety
    /// `codes` must hold `STRIDE` blocks of `query.len()` groups, `biases` `STRIDE * BLOCK` numbers.
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(super) unsafe fn reaching(codes: &[i8], biases: &[i32], query: &[i32], least: &[i32; STRIDE]) -> u64 {
        let per_block = BLOCK * GROUP * query.len();
        // SAFETY: all offsets are inside the slices, as the caller promises; loads need no alignment.
        let products = unsafe {
            let mut products: [_; STRIDE] =
                std::array::from_fn(|block| _mm512_loadu_si512(biases.as_ptr().add(block * BLOCK).cast()));
            for (group, &query) in query.iter().enumerate() {
                let query = _mm512_set1_epi32(query);
                for (block, product) in products.iter_mut().enumerate() {
                    let codes =
                        _mm512_loadu_si512(codes.as_ptr().add(block * per_block + group * BLOCK * GROUP).cast());
                    *product = _mm512_dpbusd_epi32(*product, query, codes);
                }
            }
            products
        };
        products.iter().zip(least).enumerate().fold(0, |reaching, (block, (&product, &least))| {
            let mask = _mm512_cmpge_epi32_mask(product, _mm512_set1_epi32(least));
            reaching | u64::from(mask) << (block * BLOCK)
        })
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        _mm256_add_epi32, _mm256_castsi256_ps, _mm256_cmpgt_epi32, _mm256_loadu_si256, _mm256_madd_epi16,
        _mm256_maddubs_epi16, _mm256_movemask_ps, _mm256_set1_epi16, _mm256_set1_epi32,
    };

    use super::{BLOCK, GROUP, STRIDE};

    /// Lanes of a register: half a block.
    const HALF: usize = BLOCK / 2;

    /// # Safety
    /// `codes` must hold `STRIDE` blocks of `query.len()` groups, `biases` `STRIDE * BLOCK` numbers.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn reaching(codes: &[i8], biases: &[i32], query: &[i32], least: &[i32; STRIDE]) -> u64 {
        let per_block = BLOCK * GROUP * query.len();
        let ones = _mm256_set1_epi16(1);
        let mut reaching = 0;
        for half in 0..STRIDE * 2 {
            let (block, place) = (half / 2, half * HALF);
            let start = block * per_block + half % 2 * HALF * GROUP;
            // SAFETY: all offsets are inside the slices, as the caller promises; loads need no alignment.
            let product = unsafe {
                let mut product = _mm256_loadu_si256(biases.as_ptr().add(place).cast());
                for (group, &query) in query.iter().enumerate() {
                    let codes = _mm256_loadu_si256(codes.as_ptr().add(start + group * BLOCK * GROUP).cast());
                    let pairs = _mm256_maddubs_epi16(_mm256_set1_epi32(query), codes);
                    product = _mm256_add_epi32(product, _mm256_madd_epi16(pairs, ones));
                }
                product
            };
            let below = _mm256_cmpgt_epi32(_mm256_set1_epi32(least[block]), product);
            let mask = !_mm256_movemask_ps(_mm256_castsi256_ps(below)) as u8;
            reaching |= u64::from(mask) << place;
        }
        reaching
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn random(rng: &mut Rng, rows: usize, dimensions: usize, spread: f64) -> Vec<f32> {
        let mut vectors = Vec::with_capacity(rows * dimensions);
        for _ in 0..rows {
            let scale = (spread * rng.normal()).exp();
            vectors.extend((0..dimensions).map(|_| (scale * rng.normal()) as f32));
        }
        vectors
    }

    #[test]
    fn search_is_exact() {
        let mut rng = Rng::from_seed(1);
        for (rows, dimensions, spread) in
            [(0, 4, 0.0), (10, 4, 0.0), (1_000, 64, 0.5), (3_001, 17, 0.0), (5_000, 32, 2.0)]
        {
            let vectors = random(&mut rng, rows, dimensions, spread);
            let index = InnerProductIndex::new(&vectors, dimensions);
            for limit in [0, 1, 20, 400] {
                let query = random(&mut rng, 1, dimensions, 1.0);
                let skipped: Vec<u32> = rng.sample(rows, limit).into_iter().map(|row| row as u32).collect();
                let mut all = TopK::new(limit);
                for (at, vector) in vectors.chunks_exact(dimensions).enumerate() {
                    if !skipped.contains(&(at as u32)) {
                        all.offer(at as u32, dot(vector, &query));
                    }
                }
                let found: Vec<u32> = index.search(&query, limit, &skipped).iter().map(|hit| hit.index).collect();
                let expected: Vec<u32> = all.drain_sorted().iter().map(|hit| hit.index).collect();
                assert_eq!(found, expected, "{rows} {dimensions} {limit}");
            }
            assert_eq!(index.vectors(), vectors);
        }
    }

    #[test]
    fn odd_numbers_do_no_harm() {
        let mut vectors = random(&mut Rng::from_seed(2), 2_000, 8, 0.0);
        vectors[0] = f32::NAN;
        vectors[8] = f32::INFINITY;
        vectors[16..24].fill(0.0);
        let index = InnerProductIndex::new(&vectors, 8);
        assert_eq!(index.search(&[1.0; 8], 5, &[]).len(), 5);
        assert_eq!(index.search(&[0.0; 8], 5, &[]).len(), 5);
        assert!(index.search(&[f32::NAN; 8], 5, &[]).len() <= 5);
    }

    #[test]
    fn every_instruction_set_multiplies_alike() {
        let mut rng = Rng::from_seed(3);
        let groups = 5;
        let codes: Vec<i8> = (0..STRIDE * BLOCK * GROUP * groups).map(|_| rng.below(255) as i8).collect();
        let codes: Vec<i8> = codes.iter().map(|code| (*code).max(-127)).collect();
        let biases: Vec<i32> = (0..STRIDE * BLOCK).map(|_| rng.below(1000) as i32).collect();
        // Components of the query from 1 to 127, the largest that can stand there.
        let query: Vec<i32> =
            (0..groups).map(|_| i32::from_le_bytes(std::array::from_fn(|_| 127 - rng.below(2) as u8 * 126))).collect();
        for least in [[i32::MIN; STRIDE], [0; STRIDE], [1_000, 500, -500, i32::MAX]] {
            let expected = portable_reaching(&codes, &biases, &query, &least);
            assert_eq!(reaching(&codes, &biases, &query, &least), expected);
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                // SAFETY: the feature was asked for, and the sizes are those of one stride.
                assert_eq!(unsafe { avx2::reaching(&codes, &biases, &query, &least) }, expected);
            }
        }
    }
}
