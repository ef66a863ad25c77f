//! Eigenvectors of small symmetric matrices, and the leading singular vectors of large sparse ones.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{Mat, Par};
use rayon::prelude::*;

use crate::kernels::{mat_mul, transposed_mat_mul};
use crate::rng::Rng;
use crate::sparse::SparseRows;

/// Rows of a tall matrix that one task works on.
const ROWS_PER_TASK: usize = 2048;

/// Eigenvalues, largest first, and the eigenvectors as columns of a row-major matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Eigen {
    pub values: Vec<f64>,
    pub vectors: Vec<f32>,
}

/// The eigenvectors of a symmetric matrix of `size` rows (its lower triangle counts). `None` where it holds something
/// that isn't a finite number.
///
/// It is worked out in a thread of its own: faer's products keep memory for each thread that multiplied, twice the processor's third cache, for
/// as long as the thread lives. Of a server's processor that is most of a gigabyte; what of it happens to be in use stays in use.
pub fn symmetric_eigen(matrix: &[f64], size: usize) -> Option<Eigen> {
    let solve = || eigen(matrix, size);
    std::thread::scope(|scope| match std::thread::Builder::new().spawn_scoped(scope, solve) {
        Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        Err(_) => solve(),
    })
}

fn eigen(matrix: &[f64], size: usize) -> Option<Eigen> {
    let lower = Mat::from_fn(size, size, |row, column| matrix[row * size + column]);
    let mut values = Diag::<f64>::zeros(size);
    let mut vectors = Mat::<f64>::zeros(size, size);
    let need = self_adjoint_evd_scratch::<f64>(size, ComputeEigenvectors::Yes, Par::Seq, Default::default());
    let mut memory = MemBuffer::new(need);
    self_adjoint_evd(
        lower.as_ref(),
        values.as_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut memory),
        Default::default(),
    )
    .ok()?;
    let values: Vec<f64> = (0..size).rev().map(|at| values[at]).collect();
    let vectors = (0..size * size).map(|at| vectors[(at / size, size - 1 - at % size)] as f32).collect();
    values.iter().all(|value| value.is_finite()).then_some(Eigen { values, vectors })
}

/// `matrixᵀ · matrix` of a row-major matrix with `columns` columns; parts are summed in order, in double precision.
pub fn gramian(matrix: &[f32], columns: usize) -> Vec<f64> {
    let parts: Vec<Vec<f32>> = matrix
        .par_chunks(ROWS_PER_TASK * columns.max(1))
        .map(|part| {
            let mut product = vec![0.0f32; columns * columns];
            transposed_mat_mul(part, part, columns, columns, &mut product);
            product
        })
        .collect();
    let mut sum = vec![0.0f64; columns * columns];
    for part in parts {
        for (sum, value) in sum.iter_mut().zip(part) {
            *sum += f64::from(value);
        }
    }
    sum
}

/// Replaces each row of `matrix` by the row times the square matrix `map`, both row-major.
pub fn map_rows(matrix: &mut [f32], map: &[f32], columns: usize) {
    matrix.par_chunks_mut(ROWS_PER_TASK * columns.max(1)).for_each(|part| {
        let rows = part.to_vec();
        mat_mul(&rows, map, columns, columns, part);
    });
}

/// The leading singular values of a matrix, largest first, and its right singular vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Svd {
    pub values: Vec<f32>,
    /// Row-major, a row for each column of the matrix, `values.len()` columns.
    pub right: Vec<f32>,
}

/// Randomised truncated SVD: a random sketch of the row space, sharpened by power iterations (Halko, Martinsson and
/// Tropp 2011, algorithms 4.4 and 5.1). `transposed` is the transpose of `matrix`. Fewer than `rank` vectors come back
/// where the matrix has a smaller rank.
pub fn truncated_svd(
    matrix: &SparseRows,
    transposed: &SparseRows,
    rank: usize,
    power_iterations: usize,
    rng: &mut Rng,
) -> Svd {
    let smaller = matrix.rows().min(matrix.columns());
    let width = (rank + rank / 8 + 8).min(smaller);
    let sketch: Vec<f32> = (0..matrix.rows() * width).map(|_| rng.normal() as f32).collect();
    let mut basis = transposed.times(&sketch, width);
    drop(sketch);
    orthonormalise(&mut basis, width);
    for _ in 0..power_iterations {
        basis = transposed.times(&matrix.times(&basis, width), width);
        orthonormalise(&mut basis, width);
    }
    let image = matrix.times(&basis, width);
    let Some(eigen) = symmetric_eigen(&gramian(&image, width), width) else {
        return Svd { values: Vec::new(), right: Vec::new() };
    };
    let largest = eigen.values.first().copied().unwrap_or(0.0).max(0.0);
    let kept = eigen.values.iter().take(rank).take_while(|value| **value > largest * 1e-10).count();
    map_rows(&mut basis, &eigen.vectors, width);
    let right = basis.chunks_exact(width.max(1)).flat_map(|row| &row[..kept]).copied().collect();
    Svd { values: eigen.values[..kept].iter().map(|value| value.sqrt() as f32).collect(), right }
}

/// Makes the columns of a tall matrix orthonormal, through the eigenvectors of its Gramian, twice: what rounding spoils
/// the first time is repaired the second. Directions that aren't there become columns of zeros.
fn orthonormalise(matrix: &mut [f32], columns: usize) {
    for _ in 0..2 {
        let Some(eigen) = symmetric_eigen(&gramian(matrix, columns), columns) else { return };
        let largest = eigen.values.first().copied().unwrap_or(0.0);
        let scales: Vec<f32> = eigen
            .values
            .iter()
            .map(|&value| if value > largest * 1e-9 { value.sqrt().recip() as f32 } else { 0.0 })
            .collect();
        let mut map = eigen.vectors;
        for row in map.chunks_exact_mut(columns.max(1)) {
            row.iter_mut().zip(&scales).for_each(|(value, scale)| *value *= scale);
        }
        map_rows(matrix, &map, columns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvectors_diagonalise() {
        let mut rng = Rng::from_seed(1);
        let n = 20;
        let tall: Vec<f32> = (0..50 * n).map(|_| rng.normal() as f32).collect();
        let gram = gramian(&tall, n);
        let eigen = symmetric_eigen(&gram, n).unwrap();
        assert!(eigen.values.windows(2).all(|pair| pair[0] >= pair[1]));
        let mut rotated = tall.clone();
        map_rows(&mut rotated, &eigen.vectors, n);
        let diagonal = gramian(&rotated, n);
        for row in 0..n {
            for column in 0..n {
                let expected = if row == column { eigen.values[row] } else { 0.0 };
                assert!((diagonal[row * n + column] - expected).abs() < 1e-2, "{row} {column}");
            }
        }
        assert!(symmetric_eigen(&[f64::NAN], 1).is_none());
        assert_eq!(symmetric_eigen(&[], 0).unwrap().values, []);
    }

    /// 60 x 40 with singular values 5, 3 and 1.
    fn of_rank_three() -> SparseRows {
        let mut rng = Rng::from_seed(2);
        let mut left: Vec<f32> = (0..60 * 3).map(|_| rng.normal() as f32).collect();
        let mut right: Vec<f32> = (0..40 * 3).map(|_| rng.normal() as f32).collect();
        orthonormalise(&mut left, 3);
        orthonormalise(&mut right, 3);
        SparseRows::from_rows(
            40,
            (0..60).map(|row| {
                let (left, right) = (&left, &right);
                (0..40).map(move |column| {
                    let sum = (0..3).map(|k| [5.0, 3.0, 1.0][k] * left[row * 3 + k] * right[column * 3 + k]).sum();
                    (column as u32, sum)
                })
            }),
        )
    }

    #[test]
    fn planted_singular_values_are_found() {
        let matrix = of_rank_three();
        let svd = truncated_svd(&matrix, &matrix.transposed(), 10, 2, &mut Rng::from_seed(3));
        assert_eq!(svd.values.len(), 3, "{:?}", svd.values);
        for (found, planted) in svd.values.iter().zip([5.0, 3.0, 1.0]) {
            assert!((found - planted).abs() < 1e-3, "{:?}", svd.values);
        }
        let gram = gramian(&svd.right, 3);
        assert!((gram[0] - 1.0).abs() < 1e-4 && gram[1].abs() < 1e-4);
        // A right vector is mapped to a left one as long as its singular value.
        let image = matrix.times(&svd.right, 3);
        let length: f32 = image.chunks_exact(3).map(|row| row[0] * row[0]).sum();
        assert!((length.sqrt() - 5.0).abs() < 1e-3);
    }

    #[test]
    fn an_empty_matrix_has_no_singular_values() {
        let matrix = SparseRows::from_rows(5, [[], [], []] as [[(u32, f32); 0]; 3]);
        assert!(truncated_svd(&matrix, &matrix.transposed(), 4, 1, &mut Rng::from_seed(1)).values.is_empty());
    }
}
