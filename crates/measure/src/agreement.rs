//! How far people agree who judge the same cases, beyond what chance would bring.

use std::collections::BTreeMap;

/// A judgement: case, annotator, label; numbers stand for names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    pub case: u64,
    pub annotator: u32,
    pub label: u16,
}

/// Cohen's kappa of two lists of labels of the same cases: Cohen, "A coefficient of agreement for nominal scales", 1960. `None` without
/// a case, or where both always say one and the same thing, so that chance agrees as well.
pub fn cohens_kappa(pairs: &[(u16, u16)]) -> Option<f64> {
    let n = pairs.len() as f64;
    if pairs.is_empty() {
        return None;
    }
    let agreed = pairs.iter().filter(|(one, other)| one == other).count() as f64 / n;
    let (mut ours, mut theirs): (BTreeMap<u16, f64>, BTreeMap<u16, f64>) = Default::default();
    for (one, other) in pairs {
        *ours.entry(*one).or_default() += 1.0 / n;
        *theirs.entry(*other).or_default() += 1.0 / n;
    }
    let by_chance: f64 = ours.iter().map(|(label, share)| share * theirs.get(label).unwrap_or(&0.0)).sum();
    (by_chance < 1.0).then(|| (agreed - by_chance) / (1.0 - by_chance))
}

/// Krippendorff's alpha for nominal labels, any number of annotators, missing judgements allowed: Krippendorff, "Computing
/// Krippendorff's Alpha-Reliability", 2011, section C. `None` where no case has two judgements, or all say the same.
pub fn krippendorffs_alpha(judgements: &[Judgement]) -> Option<f64> {
    let mut cases: BTreeMap<u64, BTreeMap<u16, f64>> = BTreeMap::new();
    for judgement in judgements {
        *cases.entry(judgement.case).or_default().entry(judgement.label).or_default() += 1.0;
    }
    // Coincidences: pairs within a case, each case's weighing 1 / (m - 1).
    let (mut totals, mut agreed): (BTreeMap<u16, f64>, f64) = Default::default();
    for labels in cases.values() {
        let m: f64 = labels.values().sum();
        if m < 2.0 {
            continue;
        }
        for (label, count) in labels {
            *totals.entry(*label).or_default() += count;
            agreed += count * (count - 1.0) / (m - 1.0);
        }
    }
    let n: f64 = totals.values().sum();
    let by_chance: f64 = totals.values().map(|count| count * (count - 1.0)).sum();
    let expected = n * (n - 1.0) - by_chance;
    (n > 1.0 && expected > 0.0).then(|| 1.0 - (n - 1.0) * (n - agreed) / expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cohen's own form of example: 50 cases, yes and no; agreement .7, by chance .5.
    #[test]
    fn kappa_is_that_of_the_textbook() {
        let mut pairs = vec![(1, 1); 20];
        pairs.extend(vec![(1, 0); 5]);
        pairs.extend(vec![(0, 1); 10]);
        pairs.extend(vec![(0, 0); 15]);
        assert!((cohens_kappa(&pairs).unwrap() - 0.4).abs() < 1e-12);
        assert_eq!(cohens_kappa(&[(1, 1); 9]), None, "chance agrees as well");
        assert_eq!(cohens_kappa(&[]), None);
        assert_eq!(cohens_kappa(&[(0, 0), (1, 1)]), Some(1.0));
        assert_eq!(cohens_kappa(&[(0, 1), (1, 0)]), Some(-1.0));
    }

    /// Krippendorff, 2011, section C: four observers, twelve units, missing values; alpha = .743.
    #[test]
    fn alpha_is_that_of_its_inventor() {
        let rows: [[u16; 12]; 4] = [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
            [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
        ];
        let mut judgements = Vec::new();
        for (annotator, row) in rows.iter().enumerate() {
            for (case, label) in row.iter().enumerate().filter(|(_, label)| **label > 0) {
                judgements.push(Judgement { case: case as u64, annotator: annotator as u32, label: *label });
            }
        }
        let alpha = krippendorffs_alpha(&judgements).unwrap();
        assert!((alpha - 0.743).abs() < 0.0005, "{alpha}");
        let same: Vec<Judgement> = judgements.iter().map(|judgement| Judgement { label: 1, ..*judgement }).collect();
        assert_eq!(krippendorffs_alpha(&same), None);
    }
}
