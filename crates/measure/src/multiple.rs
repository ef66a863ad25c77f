//! Many comparisons at once: p-values adjusted so that each may be held against `alpha` itself.

/// Holm, "A simple sequentially rejective multiple test procedure", 1979: the chance of any false call stays below
/// `alpha`, whatever depends on what. In the order given; a NaN stays NaN and counts as a comparison.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let count = p_values.len();
    let mut adjusted = vec![f64::NAN; count];
    let mut largest = 0.0f64;
    for (rank, index) in ascending(p_values).into_iter().enumerate() {
        largest = largest.max((p_values[index] * (count - rank) as f64).min(1.0));
        adjusted[index] = largest;
    }
    adjusted
}

/// Benjamini and Hochberg, "Controlling the false discovery rate", 1995: of what is called, a share of at most `alpha` is
/// false on average, for independent or positively dependent comparisons.
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let count = p_values.len();
    let mut adjusted = vec![f64::NAN; count];
    let mut smallest = 1.0f64;
    for (rank, index) in ascending(p_values).into_iter().enumerate().rev() {
        smallest = smallest.min(p_values[index] * count as f64 / (rank + 1) as f64);
        adjusted[index] = smallest;
    }
    adjusted
}

/// Places of the numbers, smallest first.
fn ascending(p_values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p_values.len()).filter(|&i| !p_values[i].is_nan()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The 15 p-values of Benjamini and Hochberg 1995, section 3.2: their procedure rejects four at .05; the step-down
    /// method of Holm rejects three.
    #[test]
    fn the_published_example_is_read_as_published() {
        let p = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
            0.7590, 1.0,
        ];
        let calls = |adjusted: Vec<f64>| adjusted.iter().filter(|p| **p <= 0.05).count();
        assert_eq!(calls(benjamini_hochberg(&p)), 4);
        assert_eq!(calls(holm(&p)), 3);
        assert!((benjamini_hochberg(&p)[3] - 0.0095 * 15.0 / 4.0).abs() < 1e-12);
        assert!((holm(&p)[2] - 0.0019 * 13.0).abs() < 1e-12);
    }

    #[test]
    fn the_order_given_is_kept_and_nothing_stays_nothing() {
        let adjusted = holm(&[0.04, f64::NAN, 0.01]);
        assert!((adjusted[2] - 0.03).abs() < 1e-12 && (adjusted[0] - 0.08).abs() < 1e-12 && adjusted[1].is_nan());
        assert!(benjamini_hochberg(&[]).is_empty());
    }
}
