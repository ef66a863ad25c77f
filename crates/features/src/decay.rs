//! What is left of a weight after a while. Plain additions and multiplications only, no library functions, so that the
//! same bits come out on every machine.

use merx_domain::TimestampMs;

/// Terms of the series of the exponential; the error stays below 1e-9.
const TERMS: u32 = 11;

/// `2^(-elapsed / half_life)`, between 0 and 1; 1 where no time passed.
pub(crate) fn remaining(elapsed_ms: i64, half_life_ms: i64) -> f32 {
    if elapsed_ms <= 0 {
        return 1.0;
    }
    let halvings = elapsed_ms as f64 / half_life_ms as f64;
    if halvings >= 120.0 {
        return 0.0;
    }
    let whole = halvings as u64;
    let exponent = (halvings - whole as f64) * std::f64::consts::LN_2;
    // exp(-exponent) by Horner's rule, innermost term first.
    let fraction = (1..TERMS).rev().fold(1.0, |sum, term| 1.0 - exponent / f64::from(term) * sum);
    let power = f64::from_bits((1023 - whole) << 52);
    (fraction * power) as f32
}

/// Moves weights that hold at `at` on to `now` and returns the weight of something that happens at `now`. What
/// happened before `at` came late: the weights stay, and it counts for what is left of it.
pub(crate) fn advance(at: &mut TimestampMs, now: TimestampMs, half_life_ms: i64, weights: &mut [f32]) -> f32 {
    if now < *at {
        return remaining(at.since(now), half_life_ms);
    }
    let left = remaining(now.since(*at), half_life_ms);
    for weight in weights {
        *weight *= left;
    }
    *at = now;
    1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_at_the_half_life() {
        assert_eq!(remaining(0, 1_000), 1.0);
        assert_eq!(remaining(-5, 1_000), 1.0);
        assert_eq!(remaining(1_000, 1_000), 0.5);
        assert_eq!(remaining(10_000, 1_000), 1.0 / 1024.0);
        assert_eq!(remaining(i64::MAX, 1_000), 0.0);
        for elapsed in 0..3_000 {
            let exact = 2.0_f64.powf(-elapsed as f64 / 1_000.0);
            assert!((f64::from(remaining(elapsed, 1_000)) - exact).abs() < 1e-7);
        }
    }

    #[test]
    fn the_order_of_arrival_hardly_matters() {
        let add = |times: [i64; 3]| {
            let (mut at, mut weights) = (TimestampMs(0), [0.0]);
            for time in times {
                let weight = advance(&mut at, TimestampMs(time), 500, &mut weights);
                weights[0] += weight;
            }
            weights[0]
        };
        assert!((add([100, 900, 2_000]) - add([2_000, 100, 900])).abs() < 1e-6);
    }
}
