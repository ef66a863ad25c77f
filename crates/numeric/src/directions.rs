//! Which of very many directions point most like this one?
//!
//! Not exact: an inverted file (Jégou, Douze, Schmid 2011, "Product quantization for nearest neighbor search", section IV,
//! without its product code). Directions stand in groups of like ones, found by k-means over cosines, and only the groups whose
//! middle is nearest are read. Each component is kept as one byte, each direction with a step of its own: a quarter of the
//! memory, and the error of a cosine is below a hundredth. What is left out is about what nearly everybody would leave out;
//! for inner products of vectors whose lengths matter there is [`crate::inner_product`], which is exact.

use std::ops::Range;

use rayon::prelude::*;

use crate::kernels::{axpy, code_products, dot, mat_mul_transposed, mat_vec};
use crate::top_k::{Hit, TopK};

/// A stored component is at most this many steps to either side.
const CODE_MAX: f32 = 127.0;
/// Codes are stored with this added: the instructions want one unsigned factor.
const CODE_OFFSET: u8 = 128;
/// Up to so many directions all are read: grouping would cost more than it saves.
const UNGROUPED: usize = 8_192;
/// One in so many directions is read, the groups of the nearest middles first.
const READ_ONE_IN: usize = 10;
/// k-means learns from so many directions a group, evenly spread, in so many rounds.
const LEARNT_FROM: usize = 32;
const ROUNDS: usize = 5;
/// Directions whose group is looked for at once.
const PART: usize = 512;
/// Directions compared at once.
const STRIDE: usize = 64;

/// An index of directions of one number of components.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DirectionIndex {
    dimensions: usize,
    /// Row-major, a row a group; and where each group ends.
    middles: Vec<f32>,
    ends: Vec<u32>,
    /// Which direction stands at each place, group by group, and at which place each stands.
    order: Vec<u32>,
    places: Vec<u32>,
    /// By place: a row of codes, and what a step is worth.
    codes: Vec<u8>,
    steps: Vec<f32>,
}

impl DirectionIndex {
    /// Of row-major `vectors` of `dimensions` columns and of length 1, or 0. Components that aren't finite numbers count as 0.
    pub fn new(vectors: &[f32], dimensions: usize) -> Self {
        if dimensions == 0 {
            return Self::default();
        }
        let count = vectors.len() / dimensions;
        let groups = if count <= UNGROUPED { count.min(1) } else { count.isqrt() };
        let middles = middles(vectors, dimensions, groups);
        let group_of = nearest_middles(vectors, dimensions, &middles);
        let mut order: Vec<u32> = (0..count as u32).collect();
        order.sort_by_key(|&number| (group_of[number as usize], number));
        let mut ends = vec![0; groups];
        group_of.iter().for_each(|group| ends[*group as usize] += 1);
        (1..groups).for_each(|group| ends[group] += ends[group - 1]);
        let mut index = Self {
            dimensions,
            middles,
            ends,
            places: vec![0; count],
            codes: Vec::with_capacity(count * dimensions),
            steps: Vec::with_capacity(count),
            order,
        };
        for place in 0..count {
            let number = index.order[place] as usize;
            index.places[number] = place as u32;
            index.push(&vectors[number * dimensions..][..dimensions]);
        }
        index
    }

    fn push(&mut self, vector: &[f32]) {
        let step = step_of(vector);
        let code = |value: &f32| (finite(*value) / step).round().clamp(-CODE_MAX, CODE_MAX) as i8;
        self.codes.extend(vector.iter().map(|value| code(value).cast_unsigned().wrapping_add(CODE_OFFSET)));
        self.steps.push(step);
    }

    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The direction with this number, as it was kept.
    pub fn vector(&self, number: u32) -> Vec<f32> {
        let place = self.places[number as usize] as usize;
        let codes = &self.codes[place * self.dimensions..][..self.dimensions];
        codes.iter().map(|code| (f32::from(*code) - f32::from(CODE_OFFSET)) * self.steps[place]).collect()
    }

    /// The inner products of `query` with the directions of these numbers; 0 where there is none.
    pub fn chosen_products(&self, numbers: &[u32], query: &[f32], out: &mut [f32]) {
        let place = |number: &u32| self.places.get(*number as usize).copied().unwrap_or(u32::MAX);
        let places: Vec<u32> = numbers.iter().map(place).collect();
        self.products_at(&places, query, out);
    }

    fn products_at(&self, places: &[u32], query: &[f32], out: &mut [f32]) {
        code_products(&self.codes, places, query, out);
        let offset = f32::from(CODE_OFFSET) * query.iter().sum::<f32>();
        for (place, out) in places.iter().zip(out) {
            *out = self.steps.get(*place as usize).map_or(0.0, |step| (*out - offset) * step);
        }
    }

    /// About the `limit` directions with the largest inner products with `query`, none of less than `least`, best first. Equal products
    /// rank by number. The numbers in `skipped`, ascending, are left out. `guesses`, `limit` or more that probably have large products, spare time.
    pub fn search(&self, query: &[f32], limit: usize, least: f32, skipped: &[u32], guesses: &[u32]) -> Vec<Hit> {
        let wanted = |number: u32| skipped.is_empty() || skipped.binary_search(&number).is_err();
        let floor = self.floor(query, limit, guesses, wanted).max(least);
        let mut best = TopK::new(limit.min(self.len()));
        let coded = CodedQuery::new(query);
        let mut products = [0; STRIDE];
        for group in self.nearest_groups(query) {
            for start in self.members(group).step_by(STRIDE) {
                let stride = start..(start + STRIDE).min(self.members(group).end);
                let codes = &self.codes[stride.start * self.dimensions..stride.end * self.dimensions];
                byte_products(codes, &coded.codes, &mut products[..stride.len()]);
                for (place, product) in stride.zip(products) {
                    let product = coded.product(product, self.steps[place]);
                    if product >= floor.max(best.threshold()) - coded.error && wanted(self.order[place]) {
                        best.offer(self.order[place], product);
                    }
                }
            }
        }
        self.computed(best.drain_sorted(), query, least)
    }

    /// The products of what was found, by the query itself and not its codes.
    fn computed(&self, mut hits: Vec<Hit>, query: &[f32], least: f32) -> Vec<Hit> {
        let numbers: Vec<u32> = hits.iter().map(|hit| hit.index).collect();
        let mut products = vec![0.0; numbers.len()];
        self.chosen_products(&numbers, query, &mut products);
        hits.iter_mut().zip(products).for_each(|(hit, product)| hit.score = product);
        hits.retain(|hit| hit.score >= least);
        hits.sort_unstable_by(Hit::rank);
        hits
    }

    /// What the `limit` best reach at least.
    fn floor(&self, query: &[f32], limit: usize, guesses: &[u32], wanted: impl Fn(u32) -> bool) -> f32 {
        let mut guesses: Vec<u32> = guesses.to_vec();
        guesses.sort_unstable();
        guesses.dedup();
        guesses.retain(|number| (*number as usize) < self.len() && wanted(*number));
        if limit == 0 || guesses.len() < limit {
            return f32::NEG_INFINITY;
        }
        let mut products = vec![0.0; guesses.len()];
        self.chosen_products(&guesses, query, &mut products);
        // What isn't a number is no bound.
        products.iter_mut().filter(|product| product.is_nan()).for_each(|product| *product = f32::NEG_INFINITY);
        *products.select_nth_unstable_by(limit - 1, |a, b| b.total_cmp(a)).1
    }

    fn members(&self, group: usize) -> Range<usize> {
        let start = if group == 0 { 0 } else { self.ends[group - 1] };
        start as usize..self.ends[group] as usize
    }

    /// The groups to read, nearest first.
    fn nearest_groups(&self, query: &[f32]) -> Vec<usize> {
        let mut products = vec![0.0; self.ends.len()];
        mat_vec(&self.middles, query, &mut products);
        let mut groups: Vec<usize> = (0..products.len()).collect();
        groups.sort_by(|&a, &b| products[b].total_cmp(&products[a]));
        let enough = if self.ends.len() > 1 { self.len() / READ_ONE_IN } else { self.len() };
        let mut read = 0;
        groups.retain(|group| {
            let wanted = read < enough;
            read += self.members(*group).len();
            wanted
        });
        groups
    }
}

/// A query rounded to codes.
struct CodedQuery {
    codes: Vec<i8>,
    step: f32,
    /// What the offset of the stored codes adds to each product of codes.
    offset: i32,
    /// By how much rounding the query may change a product with a direction.
    error: f32,
}

impl CodedQuery {
    fn new(query: &[f32]) -> Self {
        let step = step_of(query);
        let mut error = 0.0f32;
        let mut code = |value: &f32| {
            let code = (finite(*value) / step).round().clamp(-CODE_MAX, CODE_MAX);
            error += (finite(*value) - code * step).powi(2);
            code as i8
        };
        let codes: Vec<i8> = query.iter().map(&mut code).collect();
        let offset = codes.iter().map(|code| i32::from(*code) * i32::from(CODE_OFFSET)).sum();
        Self { codes, step, offset, error: error.sqrt() }
    }

    fn product(&self, of_codes: i32, step: f32) -> f32 {
        (of_codes - self.offset) as f32 * (self.step * step)
    }
}

fn finite(value: f32) -> f32 {
    if value.is_finite() { value } else { 0.0 }
}

/// The step of which the largest component is `CODE_MAX`; never 0.
fn step_of(vector: &[f32]) -> f32 {
    let largest = vector.iter().fold(0.0f32, |largest, value| largest.max(finite(*value).abs()));
    (largest / CODE_MAX).max(f32::MIN_POSITIVE * 1e6)
}

/// Middles of groups of like directions, of length 1.
fn middles(vectors: &[f32], dimensions: usize, groups: usize) -> Vec<f32> {
    let count = vectors.len() / dimensions;
    let step = (count / (groups * LEARNT_FROM).max(1)).max(1);
    let sample: Vec<f32> =
        vectors.chunks_exact(dimensions).step_by(step).flatten().map(|value| finite(*value)).collect();
    let sampled = sample.len() / dimensions;
    let row = |number: usize| &sample[number * dimensions..][..dimensions];
    let mut middles: Vec<f32> = (0..groups).flat_map(|group| row(group * sampled / groups)).copied().collect();
    for _ in 0..if groups > 1 { ROUNDS } else { 0 } {
        let group_of = nearest_middles(&sample, dimensions, &middles);
        let mut sums = vec![0.0; middles.len()];
        for (number, group) in group_of.into_iter().enumerate() {
            axpy(1.0, row(number), &mut sums[group as usize * dimensions..][..dimensions]);
        }
        for (sum, middle) in sums.chunks_exact(dimensions).zip(middles.chunks_exact_mut(dimensions)) {
            let length = dot(sum, sum).sqrt();
            // A group that nobody is in keeps its place.
            if length > 0.0 {
                middle.iter_mut().zip(sum).for_each(|(middle, sum)| *middle = sum / length);
            }
        }
    }
    middles
}

/// By direction: the middle with which it has the largest product.
fn nearest_middles(vectors: &[f32], dimensions: usize, middles: &[f32]) -> Vec<u32> {
    let groups = middles.len() / dimensions;
    let of_part = |part: &[f32]| -> Vec<u32> {
        let mut products = vec![0.0; part.len() / dimensions * groups];
        mat_mul_transposed(part, middles, dimensions, &mut products);
        products.chunks_exact(groups).map(first_largest).collect()
    };
    if groups <= 1 {
        return vec![0; vectors.len() / dimensions];
    }
    vectors.par_chunks(PART * dimensions).flat_map_iter(of_part).collect()
}

fn first_largest(values: &[f32]) -> u32 {
    let largest = values.iter().fold(f32::NEG_INFINITY, |largest, value| largest.max(*value));
    values.iter().position(|value| *value == largest).unwrap_or(0) as u32
}

/// `out[r] = codes[r] . query` for row-major codes of `query.len()` columns.
fn byte_products(codes: &[u8], query: &[i8], out: &mut [i32]) {
    assert!(codes.len() == query.len() * out.len());
    #[cfg(target_arch = "x86_64")]
    if crate::cpu::level() == crate::cpu::Level::Vnni512 {
        // SAFETY: `level` asked for the features; the assertion above holds what the function reads.
        return unsafe { vnni::byte_products(codes, query, out) };
    }
    crate::kernels::byte_products(codes, query, out);
}

#[cfg(target_arch = "x86_64")]
mod vnni {
    use std::arch::x86_64::{
        __m512i, _mm_add_epi32, _mm_storeu_si128, _mm256_add_epi32, _mm256_castsi256_si128, _mm256_extracti128_si256,
        _mm512_add_epi32, _mm512_castsi512_si256, _mm512_dpbusd_epi32, _mm512_extracti64x4_epi64, _mm512_loadu_si512,
        _mm512_maskz_loadu_epi8, _mm512_setzero_si512, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64,
        _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
    };

    /// Bytes of a register.
    const WIDTH: usize = 64;
    /// Rows whose lanes are added up together.
    const ROWS: usize = 4;

    /// # Safety
    /// `codes` must hold `out.len()` rows of `query.len()` bytes.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) unsafe fn byte_products(codes: &[u8], query: &[i8], out: &mut [i32]) {
        let columns = query.len();
        for (part, out) in out.chunks_mut(ROWS).enumerate() {
            // The last part may have fewer rows; its first is computed in the place of those that aren't there.
            let row = |row: usize| (part * ROWS + if row < out.len() { row } else { 0 }) * columns;
            // SAFETY: each row lies inside `codes`, as the caller promises.
            let lanes = [0, 1, 2, 3].map(|at| unsafe { row_product(&codes[row(at)..][..columns], query) });
            let mut sums = [0; ROWS];
            // SAFETY: four numbers of 32 bits have room in `sums`.
            unsafe { _mm_storeu_si128(sums.as_mut_ptr().cast(), add_lanes(lanes)) };
            out.copy_from_slice(&sums[..out.len()]);
        }
    }

    /// # Safety
    /// `codes` must be as long as `query`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn row_product(codes: &[u8], query: &[i8]) -> __m512i {
        let whole = codes.len() - codes.len() % WIDTH;
        let mut product = _mm512_setzero_si512();
        // SAFETY: all offsets are inside the slices, the last part by its mask; loads need no alignment.
        unsafe {
            for start in (0..whole).step_by(WIDTH) {
                let codes = _mm512_loadu_si512(codes.as_ptr().add(start).cast());
                product = _mm512_dpbusd_epi32(product, codes, _mm512_loadu_si512(query.as_ptr().add(start).cast()));
            }
            if whole < codes.len() {
                let rest = (1u64 << (codes.len() - whole)) - 1;
                let codes = _mm512_maskz_loadu_epi8(rest, codes.as_ptr().add(whole).cast());
                let query = _mm512_maskz_loadu_epi8(rest, query.as_ptr().add(whole));
                product = _mm512_dpbusd_epi32(product, codes, query);
            }
        }
        product
    }

    /// The sum of each register's lanes.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn add_lanes([a, b, c, d]: [__m512i; ROWS]) -> std::arch::x86_64::__m128i {
        let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
        let abcd = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
        let half = _mm256_add_epi32(_mm512_castsi512_si256(abcd), _mm512_extracti64x4_epi64::<1>(abcd));
        _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256::<1>(half))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn normalised(mut vector: Vec<f32>) -> Vec<f32> {
        let length = dot(&vector, &vector).sqrt();
        vector.iter_mut().for_each(|value| *value /= length);
        vector
    }

    /// Directions of topics, and far from them.
    fn directions(rng: &mut Rng, count: usize, dimensions: usize, topics: usize, spread: f64) -> Vec<f32> {
        let normal = |rng: &mut Rng| -> Vec<f32> { (0..dimensions).map(|_| rng.normal() as f32).collect() };
        let topics: Vec<Vec<f32>> = (0..topics).map(|_| normalised(normal(rng))).collect();
        let around = |rng: &mut Rng| {
            let mut vector = topics[rng.below(topics.len())].clone();
            let noise = normalised(normal(rng));
            axpy(spread as f32, &noise, &mut vector);
            normalised(vector)
        };
        (0..count).flat_map(|_| around(rng)).collect()
    }

    fn exactly(vectors: &[f32], query: &[f32], limit: usize) -> Vec<Hit> {
        let mut best = TopK::new(limit);
        let products = vectors.chunks_exact(query.len()).map(|vector| dot(vector, query));
        products.zip(0..).for_each(|(product, number)| best.offer(number, product));
        best.drain_sorted()
    }

    #[test]
    fn products_are_right_to_a_hundredth() {
        let mut rng = Rng::from_seed(1);
        for dimensions in [3, 63, 64, 65, 128, 200] {
            let vectors = directions(&mut rng, 300, dimensions, 5, 1.0);
            let index = DirectionIndex::new(&vectors, dimensions);
            let query = normalised((0..dimensions).map(|_| rng.normal() as f32).collect());
            let found = index.search(&query, 300, f32::NEG_INFINITY, &[], &[]);
            assert_eq!(found.len(), 300);
            for hit in found {
                let vector = &vectors[hit.index as usize * dimensions..][..dimensions];
                assert!((dot(vector, &query) - hit.score).abs() < 0.01, "{dimensions}");
                let kept = index.vector(hit.index);
                assert!(vector.iter().zip(&kept).all(|(a, b)| (a - b).abs() <= 1.0 / 254.0 + 1e-6));
                let mut chosen = [0.0, 1.0];
                index.chosen_products(&[hit.index, 300], &query, &mut chosen);
                assert_eq!(chosen, [hit.score, 0.0], "there is no such direction");
            }
            let again: Vec<f32> = (0..300).flat_map(|number| index.vector(number)).collect();
            let again = DirectionIndex::new(&again, dimensions);
            assert!(
                (0..300).all(|number| again.vector(number) == index.vector(number)),
                "what is kept is kept the same"
            );
        }
    }

    #[test]
    fn nearly_all_of_the_nearest_are_found() {
        let mut rng = Rng::from_seed(2);
        let (dimensions, limit) = (64, 50);
        let vectors = directions(&mut rng, 30_000, dimensions, 400, 0.8);
        let index = DirectionIndex::new(&vectors, dimensions);
        let (mut hits, mut close) = (0, 0);
        for _ in 0..40 {
            let mut query = vectors[rng.below(30_000) * dimensions..][..dimensions].to_vec();
            axpy(0.7, &directions(&mut rng, 1, dimensions, 1, 0.0), &mut query);
            let query = normalised(query);
            let exact = exactly(&vectors, &query, limit);
            let found = index.search(&query, limit, f32::NEG_INFINITY, &[], &[]);
            assert!(found.len() == limit && found.is_sorted_by(|a, b| a.score >= b.score));
            let found: Vec<u32> = found.iter().map(|hit| hit.index).collect();
            hits += exact.iter().filter(|hit| found.contains(&hit.index)).count();
            close += exact.iter().take(10).filter(|hit| found.contains(&hit.index)).count();
        }
        assert!(hits > 40 * limit * 8 / 10, "{hits} of {}", 40 * limit);
        assert!(close > 40 * 10 * 9 / 10, "{close} of 400");
    }

    #[test]
    fn guesses_and_floors_leave_out_nothing_else() {
        let mut rng = Rng::from_seed(3);
        let vectors = directions(&mut rng, 12_000, 32, 40, 0.7);
        let index = DirectionIndex::new(&vectors, 32);
        let query = vectors[..32].to_vec();
        let numbers = |hits: &[Hit]| hits.iter().map(|hit| hit.index).collect::<Vec<u32>>();
        let plain = index.search(&query, 50, f32::NEG_INFINITY, &[], &[]);
        for guesses in [numbers(&plain), (0..12_005).collect(), (0..60).collect(), (0..10).collect()] {
            assert_eq!(index.search(&query, 50, f32::NEG_INFINITY, &[], &guesses), plain);
        }
        let least = plain[20].score;
        let above = index.search(&query, 50, least, &[], &[]);
        assert_eq!(numbers(&above), numbers(&plain[..plain.iter().filter(|hit| hit.score >= least).count()]));
        let mut skipped = numbers(&plain[..10]);
        skipped.sort_unstable();
        let rest = index.search(&query, 40, f32::NEG_INFINITY, &skipped, &numbers(&plain));
        assert_eq!(rest, plain[10..]);
    }

    #[test]
    fn odd_numbers_do_no_harm() {
        let mut vectors = directions(&mut Rng::from_seed(4), 10_000, 8, 10, 1.0);
        vectors[0] = f32::NAN;
        vectors[8] = f32::INFINITY;
        vectors[16..24].fill(0.0);
        let index = DirectionIndex::new(&vectors, 8);
        for query in [[1.0; 8], [0.0; 8], [f32::NAN; 8]] {
            assert!(index.search(&query, 5, f32::NEG_INFINITY, &[], &[0, 1, 2, 3, 4]).len() <= 5);
        }
        assert_eq!(index.vector(2), [0.0; 8]);
        assert!(DirectionIndex::new(&[], 8).search(&[1.0; 8], 5, 0.0, &[], &[]).is_empty());
        assert!(DirectionIndex::default().is_empty());
    }

    #[test]
    fn every_instruction_set_multiplies_alike() {
        let mut rng = Rng::from_seed(5);
        for columns in [1, 16, 64, 100, 384] {
            let codes: Vec<u8> = (0..7 * columns).map(|_| rng.below(256) as u8).collect();
            let query: Vec<i8> = (0..columns).map(|_| (rng.below(255) as i16 - 127) as i8).collect();
            let expected: Vec<i32> = codes
                .chunks_exact(columns)
                .map(|row| row.iter().zip(&query).map(|(code, query)| i32::from(*code) * i32::from(*query)).sum())
                .collect();
            let (mut out, mut by_kernel) = (vec![0; 7], vec![0; 7]);
            byte_products(&codes, &query, &mut out);
            crate::kernels::byte_products(&codes, &query, &mut by_kernel);
            assert_eq!((&out, &by_kernel), (&expected, &expected));
        }
    }
}
