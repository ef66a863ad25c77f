//! The lot of a unit. Stored nowhere, so it must never change: the tests pin its values.

use super::definition::BUCKETS;

/// The bucket, `0..10_000`, of a unit under a salt. FNV-1a (64 bits) over salt, a zero byte and unit, finished by
/// SplitMix64's mixer, without which the buckets of ids that differ in the last byte hang together; scaled by Lemire's multiplication.
/// Different salts give independent lots.
pub fn bucket(salt: &str, unit: &str) -> u16 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let bytes = salt.bytes().chain([0]).chain(unit.bytes());
    let hash = bytes.fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    ((u128::from(finished(hash)) * u128::from(BUCKETS)) >> 64) as u16
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
fn finished(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Should this fail, running experiments would deal all their units anew.
    #[test]
    fn lots_never_change() {
        let lots = [("", ""), ("salt", "unit"), ("salt", "unit2"), ("checkout", "00000000000000000000000000000abc")];
        assert_eq!(lots.map(|(salt, unit)| bucket(salt, unit)), [1483, 3879, 8769, 7467]);
    }

    #[test]
    fn salt_and_unit_do_not_run_together() {
        assert_ne!(bucket("ab", "c"), bucket("a", "bc"));
    }

    /// Chi-squared over 100 groups of buckets, 99 degrees of freedom: above 160 once in 10,000 times.
    #[test]
    fn lots_are_spread_evenly_and_salts_are_independent() {
        let (mut even, mut joint) = ([0f64; 100], [0f64; 100]);
        for unit in 0..100_000 {
            let unit = unit.to_string();
            let (one, other) = (usize::from(bucket("one", &unit)), usize::from(bucket("other", &unit)));
            even[one / 100] += 1.0;
            joint[one / 1_000 * 10 + other / 1_000] += 1.0;
        }
        let chi = |counts: [f64; 100]| counts.iter().map(|count| (count - 1e3).powi(2) / 1e3).sum::<f64>();
        assert!(chi(even) < 160.0 && chi(joint) < 160.0, "{} {}", chi(even), chi(joint));
    }
}
