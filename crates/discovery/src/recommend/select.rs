//! Which of the good ones, so that they are not all alike.

use crate::recommend::model::Labels;

/// A product that may be shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Eligible {
    pub(super) item: u32,
    pub(super) score: f32,
    pub(super) labels: Labels,
}

/// Maximal marginal relevance (Carbonell and Goldstein 1998): each place goes to the product with the best mix of score
/// and difference to those already chosen. `pool` is ordered by score; `diversity` 0 keeps that order.
pub(super) fn select(pool: &[Eligible], count: usize, diversity: f32) -> Vec<Eligible> {
    let diversity = if diversity.is_finite() { diversity.clamp(0.0, 1.0) } else { 0.0 };
    if diversity == 0.0 || pool.len() <= 1 {
        return pool.iter().take(count).copied().collect();
    }
    let best = pool[0].score;
    let worst = pool[pool.len() - 1].score;
    let range = (best - worst).max(f32::MIN_POSITIVE);
    let mut left: Vec<(Eligible, f32)> = pool.iter().map(|eligible| (*eligible, 0.0)).collect();
    let mut chosen: Vec<Eligible> = Vec::with_capacity(count.min(pool.len()));
    while chosen.len() < count && !left.is_empty() {
        let value = |(eligible, likeness): &(Eligible, f32)| {
            (1.0 - diversity) * (eligible.score - worst) / range - diversity * likeness
        };
        let mut place = 0;
        for other in 1..left.len() {
            if value(&left[other]) > value(&left[place]) {
                place = other;
            }
        }
        let (next, _) = left.remove(place);
        for (eligible, likeness) in &mut left {
            *likeness = likeness.max(alike(eligible.labels, next.labels));
        }
        chosen.push(next);
    }
    chosen
}

/// 0 to 1: the category counts more than the brand; what is unknown is like nothing.
fn alike(a: Labels, b: Labels) -> f32 {
    let same_category = a.category != 0 && a.category == b.category;
    let same_brand = a.brand != 0 && a.brand == b.brand;
    0.7 * f32::from(u8::from(same_category)) + 0.3 * f32::from(u8::from(same_brand))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Vec<Eligible> {
        (0..6)
            .map(|item| Eligible {
                item,
                score: 1.0 - item as f32 * 0.01,
                labels: Labels { category: 1 + item / 3, brand: 0 },
            })
            .collect()
    }

    #[test]
    fn without_diversity_the_score_decides() {
        let items: Vec<u32> = select(&pool(), 3, 0.0).iter().map(|chosen| chosen.item).collect();
        assert_eq!(items, [0, 1, 2]);
    }

    #[test]
    fn with_diversity_categories_alternate() {
        let items: Vec<u32> = select(&pool(), 2, 0.8).iter().map(|chosen| chosen.item).collect();
        assert_eq!(items, [0, 3]);
        assert_eq!(select(&pool(), 10, 0.8).len(), 6);
    }
}
