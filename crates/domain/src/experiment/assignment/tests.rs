use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::experiment::{
    ArmDefinition, BucketRange, ExperimentError, ExperimentKind, ExperimentState, Holdout, LayerId,
};

const NOW: TimestampMs = TimestampMs(1_000_000);

fn experiment(name: &str, shares: &[u16]) -> Experiment {
    let arms = shares.iter().enumerate();
    Experiment {
        id: ExperimentId::new(name),
        kind: ExperimentKind::Test,
        state: ExperimentState::Running,
        unit: UnitKind::Subject,
        layer: LayerId::new(name),
        range: BucketRange::ALL,
        ramp: BUCKETS,
        salt: CompactString::new(name),
        arms: arms.map(|(i, share)| ArmDefinition { name: format_compact!("arm {i}"), share: *share }).collect(),
        targeting: Targeting::default(),
        metrics: vec!["conversion".into()],
        starts_at: TimestampMs(0),
        ends_at: None,
    }
}

fn plan_with(experiments: Vec<Experiment>, holdout: u16) -> Result<ExperimentPlan, Vec<ExperimentError>> {
    let holdout = Holdout { salt: "holdout".into(), share: holdout };
    ExperimentPlan::new(experiments, holdout, &BTreeSet::from(["conversion".into()]))
}

fn plan(experiments: Vec<Experiment>) -> ExperimentPlan {
    plan_with(experiments, 0).unwrap()
}

fn subject(id: u128) -> Unit {
    Unit { subject: Some(SubjectId(id)), session: None }
}

fn assigned(plan: &ExperimentPlan, id: u128) -> Vec<Assignment> {
    plan.assign(&subject(id), &Traits::default(), NOW, &BTreeMap::new())
}

fn shares() -> impl Strategy<Value = Vec<u16>> {
    (2usize..5).prop_flat_map(|arms| prop::collection::vec(1u16..100, arms)).prop_map(|parts| {
        let sum: u32 = parts.iter().map(|part| u32::from(*part)).sum();
        let mut shares: Vec<u16> = parts.iter().map(|part| (u32::from(*part) * 10_000 / sum) as u16).collect();
        shares[0] += BUCKETS - shares.iter().sum::<u16>();
        shares
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn ramping_moves_nobody(shares in shares(), low in 0u16..=10_000, high in 0u16..=10_000, first in any::<u64>()) {
        let (low, high) = (low.min(high), low.max(high));
        let at = |ramp| plan(vec![Experiment { ramp, ..experiment("checkout", &shares) }]);
        let (before, after) = (at(low), at(high));
        for id in 0..200u128 {
            let id = u128::from(first) + id;
            if let [was] = assigned(&before, id).as_slice() {
                prop_assert_eq!(&assigned(&after, id)[..], std::slice::from_ref(was));
            }
        }
    }

    #[test]
    fn experiments_of_a_layer_never_meet(cut in 1u16..9_999, ids in prop::collection::vec(any::<u128>(), 100)) {
        let part = |name, from, to| Experiment {
            layer: LayerId::new("prices"),
            range: BucketRange { from, to },
            ..experiment(name, &[5_000, 5_000])
        };
        let plan = plan(vec![part("a", 0, cut), part("b", cut, BUCKETS)]);
        for id in ids {
            prop_assert_eq!(assigned(&plan, id).len(), 1);
        }
    }

    #[test]
    fn shares_are_those_of_the_definition(shares in shares(), salt in "[a-z]{8}") {
        const UNITS: u32 = 5_000;
        let plan = plan(vec![Experiment { salt: salt.as_str().into(), ..experiment("checkout", &shares) }]);
        let mut counts = vec![0u32; shares.len()];
        for id in 0..u128::from(UNITS) {
            counts[assigned(&plan, id)[0].place] += 1;
        }
        for (count, share) in counts.iter().zip(&shares) {
            let p = f64::from(*share) / 1e4;
            let (expected, deviation) = (p * f64::from(UNITS), (p * (1.0 - p) * f64::from(UNITS)).sqrt());
            // Five and a half deviations: never by chance in these few hundred comparisons; small arms are skewed.
            prop_assert!((f64::from(*count) - expected).abs() <= 5.5 * deviation + 3.0, "{counts:?} {shares:?}");
        }
    }

    #[test]
    fn the_order_of_definitions_does_not_matter(seed in any::<u64>(), id in any::<u128>()) {
        let mut experiments: Vec<Experiment> =
            ["a", "b", "c", "d", "e"].map(|name| experiment(name, &[3_000, 7_000])).to_vec();
        let sorted = plan(experiments.clone());
        let places = experiments.len();
        experiments.rotate_left((seed % places as u64) as usize);
        experiments.swap(0, (seed / 7 % places as u64) as usize);
        prop_assert_eq!(assigned(&plan(experiments), id), assigned(&sorted, id));
    }

    #[test]
    fn who_is_held_out_is_in_nothing_and_stays_held_out(id in any::<u128>(), share in 0u16..=9_000) {
        let with = |share| plan_with(vec![experiment("a", &[5_000, 5_000])], share).unwrap();
        let (few, more) = (with(share), with(share + 1_000));
        prop_assert_eq!(few.is_held_out(SubjectId(id)), assigned(&few, id).is_empty());
        prop_assert!(!few.is_held_out(SubjectId(id)) || more.is_held_out(SubjectId(id)));
    }
}

#[test]
fn arms_of_different_layers_are_independent() {
    let plan = plan(vec![experiment("a", &[5_000, 5_000]), experiment("b", &[5_000, 5_000])]);
    let mut table = [[0f64; 2]; 2];
    for id in 0..20_000u128 {
        let arms = assigned(&plan, id);
        table[arms[0].place][arms[1].place] += 1.0;
    }
    let chi: f64 = table.iter().flatten().map(|count| (count - 5e3).powi(2) / 5e3).sum();
    // Three degrees of freedom: above 21 once in 10,000 times.
    assert!(chi < 21.0, "{table:?}");
}

#[test]
fn targeting_lets_in_who_fits_every_list() {
    let targeting = Targeting { devices: vec![Device::Phone], segments: vec!["new".into()], ..Targeting::default() };
    let plan = plan(vec![Experiment { targeting, ..experiment("a", &[5_000, 5_000]) }]);
    let look = |device, segments: &[&str]| {
        let traits =
            Traits { device, segments: segments.iter().map(CompactString::new).collect(), ..Traits::default() };
        plan.assign(&subject(1), &traits, NOW, &BTreeMap::new()).len()
    };
    assert_eq!(look(Device::Phone, &["loyal", "new"]), 1);
    assert_eq!(look(Device::Phone, &["loyal"]), 0);
    assert_eq!(look(Device::Desktop, &["new"]), 0);
}

#[test]
fn an_arm_shown_before_identifying_is_kept() {
    let plan = plan(vec![experiment("a", &[5_000, 5_000])]);
    for id in 0..50 {
        for (name, kept) in [("arm 0", true), ("arm 1", true), ("gone", false)] {
            let earlier = BTreeMap::from([(ExperimentId::new("a"), CompactString::new(name))]);
            let arms = plan.assign(&subject(id), &Traits::default(), NOW, &earlier);
            assert_eq!(arms[0].arm == name, kept);
        }
    }
}

#[test]
fn a_switchback_deals_markets_and_slots() {
    let unit = UnitKind::MarketSlot { slot_ms: 3_600_000 };
    let plan = plan(vec![Experiment { unit, ..experiment("price", &[5_000, 5_000]) }]);
    let arm = |id: u128, hour: i64, minute: i64| {
        let now = TimestampMs(hour * 3_600_000 + minute * 60_000);
        plan.assign(&subject(id), &Traits::default(), now, &BTreeMap::new())[0].place
    };
    assert!((0..100).all(|hour| arm(1, hour, 0) == arm(2, hour, 59)), "one arm a slot for everybody");
    let treated = (0..1_000).filter(|&hour| arm(1, hour, 0) == 1).count();
    assert!((420..=580).contains(&treated), "{treated}");
}

#[test]
fn who_has_no_arm_is_told_why() {
    let one = |change: fn(&mut Experiment)| {
        let mut experiment = experiment("a", &[5_000, 5_000]);
        change(&mut experiment);
        experiment
    };
    let ask = |experiment: Experiment, unit: Unit| {
        let plan = plan(vec![experiment]);
        plan.assign_one(&plan.experiments()[0], &unit, &Traits::default(), NOW, None).unwrap_err()
    };
    let nobody = Unit { subject: None, session: None };
    assert_eq!(ask(one(|_| ()), nobody), Refusal::NoUnit);
    assert_eq!(ask(one(|e| e.state = ExperimentState::Draft), subject(1)), Refusal::NotRunning);
    assert_eq!(ask(one(|e| e.ends_at = Some(NOW)), subject(1)), Refusal::NotRunning);
    assert_eq!(ask(one(|e| e.ramp = 0), subject(1)), Refusal::NotRampedUp);
}

#[test]
fn what_makes_no_sense_is_refused_with_every_reason() {
    let name = |name| ExperimentId::new(name);
    let refused = |experiments| plan_with(experiments, 0).unwrap_err();
    assert_eq!(
        refused(vec![experiment("a", &[5_000, 4_000])]),
        [ExperimentError::ArmsDontAddUp { experiment: name("a"), sum: 9_000 }]
    );
    assert_eq!(
        refused(vec![Experiment { metrics: vec!["luck".into()], ..experiment("a", &[5_000, 5_000]) }]),
        [ExperimentError::UnknownMetric { experiment: name("a"), metric: "luck".into() }]
    );
    let layer = LayerId::new("prices");
    let part = |name, from, to| Experiment {
        layer: layer.clone(),
        range: BucketRange { from, to },
        ..experiment(name, &[5_000, 5_000])
    };
    let overlap = || ExperimentError::Overlap { layer: layer.clone(), first: name("a"), second: name("b") };
    assert_eq!(refused(vec![part("b", 4_999, 9_000), part("a", 0, 5_000)]), [overlap()]);
    let later = Experiment { starts_at: NOW, ..part("b", 0, 5_000) };
    let first = Experiment { ends_at: Some(NOW), ..part("a", 0, 5_000) };
    assert!(plan_with(vec![first, later], 0).is_ok(), "one after the other");
    let session = Experiment { unit: UnitKind::Session, ..part("b", 5_000, 6_000) };
    let mixed = ExperimentError::MixedUnits { layer: layer.clone(), first: name("a"), second: name("b") };
    assert_eq!(refused(vec![part("a", 0, 5_000), session]), [mixed]);
    let bad = Experiment { ramp: 10_001, ends_at: Some(TimestampMs(0)), arms: vec![], ..part("a", 9, 9) };
    assert_eq!(refused(vec![bad]).len(), 5);
    let twice = vec![experiment("a", &[5_000, 5_000]), experiment("a", &[5_000, 5_000])];
    assert_eq!(refused(twice), [ExperimentError::Duplicate { experiment: name("a") }]);
    assert!(plan_with(vec![], 10_001).is_err());
}
