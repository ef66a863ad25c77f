//! Sparse matrices in rows.

use rayon::prelude::*;

use crate::kernels;

/// Rows multiplied together by one task.
const ROWS_PER_TASK: usize = 256;

/// A sparse matrix, row by row (CSR). Columns ascend within a row and stand there once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SparseRows {
    /// Row `r` is `columns[offsets[r]..offsets[r + 1]]` with the values at the same places.
    offsets: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f32>,
    column_count: usize,
}

impl SparseRows {
    /// Collects rows of (column, value). Values of one column within a row are added up; columns of `column_count` and
    /// above are left out.
    pub fn from_rows<R>(column_count: usize, rows: impl IntoIterator<Item = R>) -> Self
    where
        R: IntoIterator<Item = (u32, f32)>,
    {
        let mut matrix = Self { offsets: vec![0], column_count, ..Self::default() };
        let mut sorted: Vec<(u32, f32)> = Vec::new();
        for row in rows {
            sorted.clear();
            sorted.extend(row.into_iter().filter(|(column, _)| (*column as usize) < column_count));
            sorted.sort_by_key(|(column, _)| *column);
            let start = matrix.columns.len();
            for &(column, value) in &sorted {
                if matrix.columns.len() > start && matrix.columns.last() == Some(&column) {
                    let last = matrix.values.len() - 1;
                    matrix.values[last] += value;
                } else {
                    matrix.columns.push(column);
                    matrix.values.push(value);
                }
            }
            matrix.offsets.push(matrix.columns.len());
        }
        matrix
    }

    pub fn rows(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    pub fn columns(&self) -> usize {
        self.column_count
    }

    /// Number of stored values.
    pub fn stored(&self) -> usize {
        self.columns.len()
    }

    /// The columns and values of a row.
    #[inline]
    pub fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let range = self.offsets[row]..self.offsets[row + 1];
        (&self.columns[range.clone()], &self.values[range])
    }

    /// Number of values stored in a row.
    #[inline]
    pub fn row_len(&self, row: usize) -> usize {
        self.offsets[row + 1] - self.offsets[row]
    }

    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.values[self.offsets[row]..self.offsets[row + 1]]
    }

    /// Sum of the values of each row.
    pub fn row_sums(&self) -> Vec<f32> {
        (0..self.rows()).map(|row| self.row(row).1.iter().sum()).collect()
    }

    pub fn transposed(&self) -> Self {
        let mut offsets = vec![0usize; self.column_count + 1];
        for &column in &self.columns {
            offsets[column as usize + 1] += 1;
        }
        for column in 0..self.column_count {
            offsets[column + 1] += offsets[column];
        }
        let mut next = offsets.clone();
        let mut columns = vec![0u32; self.columns.len()];
        let mut values = vec![0f32; self.values.len()];
        for row in 0..self.rows() {
            let (row_columns, row_values) = self.row(row);
            for (&column, &value) in row_columns.iter().zip(row_values) {
                let place = next[column as usize];
                next[column as usize] += 1;
                columns[place] = row as u32;
                values[place] = value;
            }
        }
        Self { offsets, columns, values, column_count: self.rows() }
    }

    /// The same places with values `f(row, column, value)`.
    pub fn map(&self, f: impl Fn(usize, u32, f32) -> f32) -> Self {
        let mut mapped = self.clone();
        for row in 0..self.rows() {
            let (columns, values) = self.row(row);
            for ((target, &column), &value) in mapped.row_mut(row).iter_mut().zip(columns).zip(values) {
                *target = f(row, column, value);
            }
        }
        mapped
    }

    /// This matrix times a row-major dense one of `width` columns: rows() x width.
    pub fn times(&self, dense: &[f32], width: usize) -> Vec<f32> {
        let mut product = vec![0.0f32; self.rows() * width];
        if width == 0 {
            return product;
        }
        product.par_chunks_mut(ROWS_PER_TASK * width).enumerate().for_each(|(task, out)| {
            for (at, out) in out.chunks_exact_mut(width).enumerate() {
                let (columns, values) = self.row(task * ROWS_PER_TASK + at);
                for (&column, &value) in columns.iter().zip(values) {
                    kernels::axpy(value, &dense[column as usize * width..][..width], out);
                }
            }
        });
        product
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> SparseRows {
        SparseRows::from_rows(3, [vec![(2, 1.0), (0, 2.0), (2, 3.0)], vec![], vec![(1, 5.0), (7, 9.0)]])
    }

    #[test]
    fn rows_are_sorted_merged_and_bounded() {
        let matrix = example();
        assert_eq!((matrix.rows(), matrix.columns(), matrix.stored()), (3, 3, 3));
        assert_eq!(matrix.row(0), (&[0, 2][..], &[2.0, 4.0][..]));
        assert_eq!(matrix.row_len(1), 0);
        assert_eq!(matrix.row_sums(), [6.0, 0.0, 5.0]);
    }

    #[test]
    fn transposing_twice_changes_nothing() {
        let matrix = example();
        assert_eq!(matrix.transposed().row(2), (&[0][..], &[4.0][..]));
        assert_eq!(matrix.transposed().transposed(), matrix);
    }

    #[test]
    fn a_product_is_the_sum_of_weighted_rows() {
        let dense = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(example().times(&dense, 2), [22.0, 28.0, 0.0, 0.0, 15.0, 20.0]);
    }

    #[test]
    fn mapping_keeps_the_places() {
        let matrix = example().map(|row, column, value| value * 10.0 + row as f32 + column as f32);
        assert_eq!(matrix.row(0), (&[0, 2][..], &[20.0, 42.0][..]));
        assert_eq!(matrix.row(2), (&[1][..], &[53.0][..]));
    }
}
