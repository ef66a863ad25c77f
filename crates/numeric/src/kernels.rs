//! The innermost loops, over plain slices.
//!
//! Each is written once, in lanes that the compiler turns into vectors, and compiled three times: for AVX-512, for AVX2
//! with fused multiply-add, and for whatever the binary was built for. Which one runs is asked of the processor. Sums run
//! over a fixed number of lanes, so that one machine always gives the same bits.

use std::ops::Range;

/// Floats summed side by side; a vector register of AVX-512.
const LANES: usize = 16;

/// Compiles a body for each instruction set and calls the best. The body's last parameter is a const: whether
/// multiplication and addition may be fused, which is only fast where the processor can.
macro_rules! for_each_instruction_set {
    ($(#[$doc:meta])* pub fn $name:ident($($arg:ident: $ty:ty),*) $(-> $out:ty)? => $body:ident) => {
        $(#[$doc])*
        #[inline]
        pub fn $name($($arg: $ty),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
                fn avx512($($arg: $ty),*) $(-> $out)? {
                    $body::<true>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) $(-> $out)? {
                    $body::<true>($($arg),*)
                }
                match crate::cpu::level() {
                    // SAFETY: `level` asked the processor for every feature that the function enables.
                    crate::cpu::Level::Avx512 | crate::cpu::Level::Vnni512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    crate::cpu::Level::Avx2 => return unsafe { avx2($($arg),*) },
                    crate::cpu::Level::Portable => {}
                }
            }
            $body::<false>($($arg),*)
        }
    };
}

#[inline(always)]
fn fused<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Sums lanes as a tree, the same for every instruction set.
#[inline(always)]
fn sum_lanes(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

for_each_instruction_set! {
    /// The inner product of two vectors of equal length (the shorter length counts).
    pub fn dot(a: &[f32], b: &[f32]) -> f32 => dot_body
}

#[inline(always)]
fn dot_body<const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
    let length = a.len().min(b.len());
    let (a, a_rest) = a[..length].as_chunks::<LANES>();
    let (b, b_rest) = b[..length].as_chunks::<LANES>();
    let mut lanes = [0.0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            lanes[lane] = fused::<FMA>(a[lane], b[lane], lanes[lane]);
        }
    }
    for (lane, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        lanes[lane] = fused::<FMA>(*a, *b, lanes[lane]);
    }
    sum_lanes(lanes)
}

for_each_instruction_set! {
    /// `y += alpha * x`.
    pub fn axpy(alpha: f32, x: &[f32], y: &mut [f32]) => axpy_body
}

#[inline(always)]
fn axpy_body<const FMA: bool>(alpha: f32, x: &[f32], y: &mut [f32]) {
    for (x, y) in x.iter().zip(y) {
        *y = fused::<FMA>(alpha, *x, *y);
    }
}

for_each_instruction_set! {
    /// `bits[i] &= kept` wherever `values[i] > threshold`, or isn't a number.
    pub fn keep_bits_above(values: &[f32], threshold: f32, kept: u32, bits: &mut [u32]) => keep_bits_above_body
}

#[inline(always)]
fn keep_bits_above_body<const FMA: bool>(values: &[f32], threshold: f32, kept: u32, bits: &mut [u32]) {
    for (value, bits) in values.iter().zip(bits) {
        *bits &= if *value <= threshold { u32::MAX } else { kept };
    }
}

for_each_instruction_set! {
    /// `out[r] = matrix[r] . x` for a row-major matrix of `out.len()` rows and `x.len()` columns.
    pub fn mat_vec(matrix: &[f32], x: &[f32], out: &mut [f32]) => mat_vec_body
}

#[inline(always)]
fn mat_vec_body<const FMA: bool>(matrix: &[f32], x: &[f32], out: &mut [f32]) {
    let columns = x.len();
    if columns == 0 {
        return out.fill(0.0);
    }
    // Four rows at a time hide the latency of each row's running sum.
    let mut rows = matrix.chunks_exact(4 * columns);
    let mut outs = out.chunks_exact_mut(4);
    for (four, out) in (&mut rows).zip(&mut outs) {
        let mut lanes = [[0.0f32; LANES]; 4];
        let whole = columns - columns % LANES;
        let mut start = 0;
        while start < whole {
            let x = &x[start..start + LANES];
            for row in 0..4 {
                let values = &four[row * columns + start..row * columns + start + LANES];
                for lane in 0..LANES {
                    lanes[row][lane] = fused::<FMA>(values[lane], x[lane], lanes[row][lane]);
                }
            }
            start += LANES;
        }
        for row in 0..4 {
            for lane in 0..columns - whole {
                lanes[row][lane] = fused::<FMA>(four[row * columns + whole + lane], x[whole + lane], lanes[row][lane]);
            }
            out[row] = sum_lanes(lanes[row]);
        }
    }
    for (row, out) in rows.remainder().chunks_exact(columns).zip(outs.into_remainder()) {
        *out = dot_body::<FMA>(row, x);
    }
}

for_each_instruction_set! {
    /// `out[i] = matrix[rows[i]] . x` for a row-major matrix of `x.len()` columns; 0 where there is no such row.
    pub fn chosen_dots(matrix: &[f32], rows: &[u32], x: &[f32], out: &mut [f32]) => chosen_dots_body
}

/// Rows that are fetched ahead of the one at hand: they lie anywhere in a matrix larger than the caches.
const FETCHED_AHEAD: usize = 8;

#[inline(always)]
fn chosen_dots_body<const FMA: bool>(matrix: &[f32], rows: &[u32], x: &[f32], out: &mut [f32]) {
    let columns = x.len();
    for (place, (&row, out)) in rows.iter().zip(out).enumerate() {
        if let Some(&ahead) = rows.get(place + FETCHED_AHEAD) {
            prefetch(matrix, ahead as usize * columns, columns);
        }
        let start = row as usize * columns;
        // No closure here: it would not be compiled for the instruction set.
        *out = match matrix.get(start..start + columns) {
            Some(row) => dot_body::<FMA>(row, x),
            None => 0.0,
        };
    }
}

for_each_instruction_set! {
    /// `out[i] = codes[rows[i]] . x` for row-major codes of `x.len()` columns; 0 where there is no such row.
    pub fn code_products(codes: &[u8], rows: &[u32], x: &[f32], out: &mut [f32]) => code_products_body
}

#[inline(always)]
fn code_products_body<const FMA: bool>(codes: &[u8], rows: &[u32], x: &[f32], out: &mut [f32]) {
    let columns = x.len();
    let (x_lanes, x_rest) = x.as_chunks::<LANES>();
    for (place, (&row, out)) in rows.iter().zip(out).enumerate() {
        if let Some(&ahead) = rows.get(place + FETCHED_AHEAD) {
            prefetch(codes, ahead as usize * columns, columns);
        }
        let start = row as usize * columns;
        let Some(row) = codes.get(start..start + columns) else {
            *out = 0.0;
            continue;
        };
        let (row_lanes, row_rest) = row.as_chunks::<LANES>();
        let mut lanes = [0.0f32; LANES];
        for (codes, x) in row_lanes.iter().zip(x_lanes) {
            for lane in 0..LANES {
                lanes[lane] = fused::<FMA>(f32::from(codes[lane]), x[lane], lanes[lane]);
            }
        }
        for (lane, (code, x)) in row_rest.iter().zip(x_rest).enumerate() {
            lanes[lane] = fused::<FMA>(f32::from(*code), *x, lanes[lane]);
        }
        *out = sum_lanes(lanes);
    }
}

for_each_instruction_set! {
    /// `out[r] = codes[r] . query` for row-major codes of `query.len()` columns.
    pub fn byte_products(codes: &[u8], query: &[i8], out: &mut [i32]) => byte_products_body
}

#[inline(always)]
fn byte_products_body<const FMA: bool>(codes: &[u8], query: &[i8], out: &mut [i32]) {
    for (row, out) in codes.chunks_exact(query.len().max(1)).zip(out) {
        *out = 0;
        for (code, query) in row.iter().zip(query) {
            *out += i32::from(*code) * i32::from(*query);
        }
    }
}

/// Asks the processor to bring `count` values from `start` on near, where there are any.
#[inline(always)]
pub fn prefetch<T>(values: &[T], start: usize, count: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        const LINE: usize = 64;
        let wanted = values.get(start..(start + count).min(values.len())).unwrap_or_default();
        for line in 0..size_of_val(wanted).div_ceil(LINE) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let address = wanted.as_ptr().cast::<i8>().wrapping_add(line * LINE);
            // SAFETY: a hint: it reads nothing and can't fault.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, start, count);
}

for_each_instruction_set! {
    /// `out += sum over r of weights[r] * matrix[r]` for a row-major matrix of `out.len()` columns.
    pub fn add_weighted_rows(matrix: &[f32], weights: &[f32], out: &mut [f32]) => add_weighted_rows_body
}

#[inline(always)]
fn add_weighted_rows_body<const FMA: bool>(matrix: &[f32], weights: &[f32], out: &mut [f32]) {
    let columns = out.len();
    if columns == 0 {
        return;
    }
    let mut rows = matrix.chunks_exact(4 * columns);
    let mut fours = weights.chunks_exact(4);
    for (four, weights) in (&mut rows).zip(&mut fours) {
        let (first, rest) = four.split_at(columns);
        let (second, rest) = rest.split_at(columns);
        let (third, fourth) = rest.split_at(columns);
        for column in 0..columns {
            let mut sum = out[column];
            sum = fused::<FMA>(weights[0], first[column], sum);
            sum = fused::<FMA>(weights[1], second[column], sum);
            sum = fused::<FMA>(weights[2], third[column], sum);
            out[column] = fused::<FMA>(weights[3], fourth[column], sum);
        }
    }
    for (row, weight) in rows.remainder().chunks_exact(columns).zip(fours.remainder()) {
        axpy_body::<FMA>(*weight, row, out);
    }
}

for_each_instruction_set! {
    /// `out += sum over r of weights[r] * matrix[r]^2`, squared component by component.
    pub fn add_weighted_squares(matrix: &[f32], weights: &[f32], out: &mut [f32]) => add_weighted_squares_body
}

#[inline(always)]
fn add_weighted_squares_body<const FMA: bool>(matrix: &[f32], weights: &[f32], out: &mut [f32]) {
    for (row, weight) in matrix.chunks_exact(out.len().max(1)).zip(weights) {
        for (value, out) in row.iter().zip(&mut *out) {
            *out = fused::<FMA>(weight * value, *value, *out);
        }
    }
}

/// Row-major `c = a · b`, `a` with `depth` columns and `b` with `columns`, on one thread.
pub fn mat_mul(a: &[f32], b: &[f32], depth: usize, columns: usize, c: &mut [f32]) {
    let rows = c.len() / columns.max(1);
    product(Operand::rows(a, rows, depth), Operand::rows(b, depth, columns), c);
}

/// Row-major `c = a · bᵀ`, both with `depth` columns, on one thread.
pub fn mat_mul_transposed(a: &[f32], b: &[f32], depth: usize, c: &mut [f32]) {
    let (rows, columns) = (a.len() / depth.max(1), b.len() / depth.max(1));
    product(Operand::rows(a, rows, depth), Operand::transposed(b, columns, depth), c);
}

/// Row-major `c = aᵀ · b`, `a` with `rows` columns, `b` with `columns`, both of the same height, on one thread.
pub fn transposed_mat_mul(a: &[f32], b: &[f32], rows: usize, columns: usize, c: &mut [f32]) {
    let depth = a.len() / rows.max(1);
    product(Operand::transposed(a, depth, rows), Operand::rows(b, depth, columns), c);
}

/// A matrix in memory: its shape and the distance between neighbours in a column and in a row.
struct Operand<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: isize,
    column_stride: isize,
}

impl<'a> Operand<'a> {
    fn rows(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert!(values.len() >= rows * columns, "a matrix of {rows} x {columns} in {} places", values.len());
        Self { values, rows, columns, row_stride: columns as isize, column_stride: 1 }
    }

    /// The transpose of a row-major matrix of `rows` x `columns`.
    fn transposed(values: &'a [f32], rows: usize, columns: usize) -> Self {
        let plain = Self::rows(values, rows, columns);
        Self { rows: columns, columns: rows, row_stride: 1, column_stride: columns as isize, ..plain }
    }
}

fn product(a: Operand, b: Operand, c: &mut [f32]) {
    assert_eq!(a.columns, b.rows, "inner sizes of a product");
    assert!(c.len() >= a.rows * b.columns, "a product of {} x {} in {} places", a.rows, b.columns, c.len());
    // SAFETY: `Operand` and the assertions above hold every index that strides and sizes can reach inside the slices;
    // `c` is borrowed mutably, so it overlaps neither operand.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            c.as_mut_ptr(),
            1,
            b.columns as isize,
            false,
            a.values.as_ptr(),
            a.column_stride,
            a.row_stride,
            b.values.as_ptr(),
            b.column_stride,
            b.row_stride,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// `0..total` in parts of `size`, the last one shorter.
pub fn parts(total: usize, size: usize) -> impl ExactSizeIterator<Item = Range<usize>> {
    let size = size.max(1);
    (0..total.div_ceil(size)).map(move |part| part * size..((part + 1) * size).min(total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn random(seed: u64, length: usize) -> Vec<f32> {
        let mut rng = Rng::from_seed(seed);
        (0..length).map(|_| rng.normal() as f32).collect()
    }

    fn close(a: f32, b: f64) -> bool {
        (f64::from(a) - b).abs() < 1e-4 * (1.0 + b.abs())
    }

    fn exact_dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    }

    #[test]
    fn products_agree_with_double_precision_for_all_remainders() {
        for columns in [0, 1, 3, 15, 16, 17, 64, 100] {
            for rows in [0, 1, 3, 4, 5, 9] {
                let (matrix, x, weights) = (random(1, rows * columns), random(2, columns), random(3, rows));
                let mut out = vec![0.0; rows];
                mat_vec(&matrix, &x, &mut out);
                for row in 0..rows {
                    let values = &matrix[row * columns..(row + 1) * columns];
                    assert!(close(out[row], exact_dot(values, &x)));
                    assert!(close(dot(values, &x), exact_dot(values, &x)));
                }
                let mut chosen = vec![1.0; rows + 1];
                let backwards: Vec<u32> = (0..=rows as u32).rev().collect();
                chosen_dots(&matrix, &backwards, &x, &mut chosen);
                assert_eq!(chosen[0], 0.0, "there is no such row");
                assert!(out.iter().rev().zip(&chosen[1..]).all(|(a, b)| close(*a, f64::from(*b))));
                let mut sum = x.clone();
                add_weighted_rows(&matrix, &weights, &mut sum);
                let mut squared = x.clone();
                add_weighted_squares(&matrix, &weights, &mut squared);
                for column in 0..columns {
                    let values: Vec<f32> = (0..rows).map(|row| matrix[row * columns + column]).collect();
                    assert!(close(sum[column], exact_dot(&values, &weights) + f64::from(x[column])));
                    let squares: Vec<f32> = values.iter().map(|value| value * value).collect();
                    assert!(close(squared[column], exact_dot(&squares, &weights) + f64::from(x[column])));
                }
            }
        }
    }

    #[test]
    fn matrix_products_agree_with_inner_products() {
        let (n, depth, m) = (5, 7, 9);
        let (a, b) = (random(1, n * depth), random(2, m * depth));
        let mut c = vec![0.0; n * m];
        mat_mul_transposed(&a, &b, depth, &mut c);
        for row in 0..n {
            for column in 0..m {
                let expected = exact_dot(&a[row * depth..][..depth], &b[column * depth..][..depth]);
                assert!(close(c[row * m + column], expected));
            }
        }
        let b_transposed: Vec<f32> = (0..depth * m).map(|at| b[at % m * depth + at / m]).collect();
        let mut again = vec![0.0; n * m];
        mat_mul(&a, &b_transposed, depth, m, &mut again);
        assert!(c.iter().zip(&again).all(|(a, b)| close(*a, f64::from(*b))));
        let a_transposed: Vec<f32> = (0..depth * n).map(|at| a[at % n * depth + at / n]).collect();
        transposed_mat_mul(&a_transposed, &b_transposed, n, m, &mut again);
        assert!(c.iter().zip(&again).all(|(a, b)| close(*a, f64::from(*b))));
    }

    #[test]
    fn parts_cover_everything_once() {
        for (total, size) in [(0, 4), (1, 4), (8, 4), (9, 4), (3, 0)] {
            let covered: Vec<usize> = parts(total, size).flatten().collect();
            assert_eq!(covered, (0..total).collect::<Vec<_>>());
        }
    }
}
