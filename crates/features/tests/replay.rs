//! What was known live is known again, bit for bit, after a replay of the log.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use merx_domain::{
    ConsentPolicy, ConsentStamp, DAY_MS, Device, Event, EventId, EventKind, Grant, HOUR_MS, MINUTE_MS, ProductId,
    ProductNumber, Purposes, SubjectFeatures, SubjectId, TimestampMs,
};
use merx_features::{FeatureStore, HISTORY, ProductFacts, ProductStatisticsValue, Products, replay};
use merx_store::{LogOffset, OnlineKey, OnlineStore, Result};
use proptest::prelude::*;

/// The smallest thing that keeps the contract of an online store.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<OnlineKey, Vec<u8>>>);

impl OnlineStore for Memory {
    fn read(&self, key: OnlineKey, read: &mut dyn FnMut(Option<&[u8]>)) -> Result<()> {
        read(self.0.lock().unwrap().get(&key).map(Vec::as_slice));
        Ok(())
    }

    fn update(&self, key: OnlineKey, change: &mut dyn FnMut(&mut Vec<u8>)) -> Result<()> {
        let mut values = self.0.lock().unwrap();
        let value = values.entry(key).or_default();
        change(value);
        if value.is_empty() {
            values.remove(&key);
        }
        Ok(())
    }

    fn remove(&self, key: OnlineKey) -> Result<()> {
        self.0.lock().unwrap().remove(&key);
        Ok(())
    }

    fn size(&self) -> Result<(u64, u64)> {
        let values = self.0.lock().unwrap();
        Ok((values.len() as u64, values.values().map(|value| value.len() as u64).sum()))
    }

    fn scan(&self, space: u8, visit: &mut dyn FnMut(u128, &[u8])) -> Result<()> {
        for (key, value) in self.0.lock().unwrap().iter().filter(|(key, _)| key.space == space) {
            visit(key.id, value);
        }
        Ok(())
    }

    fn snapshot(&self, _at: LogOffset) -> Result<()> {
        Ok(())
    }

    fn restored_at(&self) -> Option<LogOffset> {
        None
    }
}

/// Product `p7` has number 7, category 7 % 3, brand 7 % 2, price level 7 % 5.
struct Catalogue {
    categories: Vec<[u32; 1]>,
}

impl Catalogue {
    fn new(products: u32) -> Self {
        Self { categories: (0..products).map(|number| [number % 3]).collect() }
    }
}

impl Products for Catalogue {
    fn facts(&self, product: &ProductId) -> Option<ProductFacts<'_>> {
        let number: u32 = product.as_str().strip_prefix('p')?.parse().ok()?;
        let categories = self.categories.get(number as usize)?;
        let (brand, price_level) = (Some(number % 2), Some((number % 5) as u8));
        Some(ProductFacts { number: ProductNumber(number), categories, brand, price_level })
    }

    fn category_name(&self, category: u32) -> Option<&str> {
        ["Shoes", "Dresses", "Tents"].get(category as usize).copied()
    }

    fn brand_name(&self, brand: u32) -> Option<&str> {
        ["Fenna", "Tarn"].get(brand as usize).copied()
    }
}

const START: TimestampMs = TimestampMs(20_000 * DAY_MS);
const POLICY: ConsentPolicy = ConsentPolicy { allowed_unless_denied: Purposes::PERSONALISATION };

fn store() -> FeatureStore {
    FeatureStore::new(Arc::new(Memory::default()))
}

fn grant(subject: u128) -> Grant {
    POLICY.check(SubjectId(subject), ConsentStamp::default())
}

fn event(subject: u128, kind: EventKind, at: TimestampMs, products: &[u32]) -> Event {
    let mut event = Event::new(EventId(at.0 as u128), SubjectId(subject), kind, at);
    event.context.device = Device::Phone;
    for number in products {
        event = event.with_product(ProductId::new(format!("p{number}")).unwrap());
    }
    event
}

fn apply(features: &FeatureStore, catalogue: &Catalogue, events: impl IntoIterator<Item = Event>) {
    for event in events {
        features.apply(&event, catalogue).unwrap();
    }
}

/// Everything that can be asked at a moment, floats as their bits.
#[derive(Debug, PartialEq)]
struct Known {
    subjects: Vec<SubjectFeatures>,
    weight_bits: Vec<u32>,
    products: Vec<(ProductStatisticsValue, Vec<(ProductNumber, f32)>)>,
}

fn known(features: &FeatureStore, catalogue: &Catalogue, now: TimestampMs) -> Known {
    let subjects: Vec<_> = (0..4).map(|subject| features.subject(&grant(subject), now, catalogue).unwrap()).collect();
    let numbers = || (0..8).map(ProductNumber);
    let products: Vec<_> = numbers()
        .map(|number| (features.product(number, now).unwrap(), features.neighbours(number, now).unwrap()))
        .collect();
    let of_subjects = subjects.iter().flat_map(|subject| {
        let weights = subject.affinities.iter().map(|affinity| affinity.weight);
        weights.chain([subject.views, subject.carts, subject.purchases, subject.sessions])
    });
    let of_products = products.iter().flat_map(|(value, neighbours)| {
        let counts = [value.views, value.carts, value.sales, value.returns];
        counts.into_iter().flatten().chain(neighbours.iter().map(|(_, weight)| *weight))
    });
    let weight_bits = of_subjects.chain(of_products).map(f32::to_bits).collect();
    Known { subjects, weight_bits, products }
}

#[test]
fn a_visit_is_known_at_once() {
    let (features, catalogue) = (store(), Catalogue::new(8));
    let at = |minute: i64| START.plus_ms(minute * MINUTE_MS);
    apply(
        &features,
        &catalogue,
        [
            event(1, EventKind::Page, at(0), &[]),
            event(1, EventKind::ProductListViewed, at(1), &[1, 2, 3, 4]),
            event(1, EventKind::ProductClicked, at(2), &[4]),
            event(1, EventKind::ProductViewed, at(2), &[4]),
            event(1, EventKind::ProductViewed, at(5), &[1]),
            event(1, EventKind::ProductAdded, at(6), &[1]),
            event(1, EventKind::OrderCompleted, at(9), &[1]),
        ],
    );
    let value = features.subject(&grant(1), at(10), &catalogue).unwrap();
    let history: Vec<_> = value.history.iter().map(|entry| entry.product.0).collect();
    assert_eq!(history, [4, 1, 1, 1]);
    assert_eq!(value.session_started_at, Some(at(0)));
    assert_eq!(value.sessions, 1.0);
    assert!((value.views - 2.0).abs() < 1e-3 && (value.purchases - 1.0).abs() < 1e-3);
    // Both products are of category 1; a view, and a view with cart and purchase.
    assert_eq!((value.affinities[0].feature.as_str(), value.affinities[0].key.as_str()), ("category", "Dresses"));
    assert!((value.affinities[0].weight - 10.0).abs() < 1e-2);
    assert!(value.affinities.iter().any(|affinity| affinity.key == "Tarn"));

    assert_eq!(features.neighbours(ProductNumber(4), at(10)).unwrap()[0].0, ProductNumber(1));
    assert_eq!(features.neighbours(ProductNumber(1), at(10)).unwrap()[0].0, ProductNumber(4));
    assert!(features.product(ProductNumber(1), at(10)).unwrap().sales[1] > 0.99);
    assert_eq!(features.product(ProductNumber(2), at(10)).unwrap(), ProductStatisticsValue::default());
}

#[test]
fn nothing_personal_without_a_grant() {
    let (features, catalogue) = (store(), Catalogue::new(8));
    apply(&features, &catalogue, [event(1, EventKind::ProductViewed, START, &[1])]);
    let denied = ConsentStamp { denied: Purposes::PERSONALISATION, ..ConsentStamp::default() };
    let refused = POLICY.check(SubjectId(1), denied);
    assert_eq!(features.subject(&refused, START, &catalogue).unwrap(), SubjectFeatures::default());
    assert_eq!(features.subject(&grant(1), START, &catalogue).unwrap().history.len(), 1);
}

#[test]
fn who_declines_is_forgotten_and_still_counts_for_products() {
    let (features, catalogue) = (store(), Catalogue::new(8));
    let mut declined = event(1, EventKind::ProductViewed, START.plus_ms(HOUR_MS), &[2]);
    declined.consent.denied = Purposes::PERSONALISATION;
    apply(&features, &catalogue, [event(1, EventKind::ProductViewed, START, &[1]), declined]);
    let now = START.plus_ms(HOUR_MS);
    assert_eq!(features.subject(&grant(1), now, &catalogue).unwrap(), SubjectFeatures::default());
    assert_eq!(features.product(ProductNumber(2), now).unwrap().views[1], 1.0);
    assert!(features.neighbours(ProductNumber(2), now).unwrap().is_empty());
}

#[test]
fn a_sign_in_brings_the_past_along() {
    let (features, catalogue) = (store(), Catalogue::new(8));
    let mut alias = event(1, EventKind::Alias, START.plus_ms(2 * MINUTE_MS), &[]);
    alias.merged_from = Some(SubjectId(2));
    apply(
        &features,
        &catalogue,
        [
            event(1, EventKind::ProductViewed, START.plus_ms(-DAY_MS), &[3]),
            event(2, EventKind::ProductViewed, START, &[5]),
            alias,
        ],
    );
    let now = START.plus_ms(3 * MINUTE_MS);
    let value = features.subject(&grant(1), now, &catalogue).unwrap();
    assert_eq!(value.history.iter().map(|entry| entry.product.0).collect::<Vec<_>>(), [3, 5]);
    assert_eq!((value.sessions, value.session_started_at), (2.0, Some(START)));
    assert_eq!(features.subject(&grant(2), now, &catalogue).unwrap(), SubjectFeatures::default());
}

#[test]
fn a_clock_that_runs_ahead_ages_nothing() {
    let (features, catalogue) = (store(), Catalogue::new(8));
    let mut ahead = event(1, EventKind::ProductViewed, START.plus_ms(1_000 * DAY_MS), &[1]);
    ahead.received_at = START;
    apply(&features, &catalogue, [ahead, event(1, EventKind::ProductViewed, START.plus_ms(5 * MINUTE_MS), &[2])]);
    let value = features.subject(&grant(1), START.plus_ms(5 * MINUTE_MS), &catalogue).unwrap();
    assert!(value.views > 1.99);
}

#[test]
fn damaged_bytes_are_reported_and_left_alone() {
    let memory = Arc::new(Memory::default());
    let key = OnlineKey { space: merx_features::SUBJECT_SPACE, id: 1 };
    memory.update(key, &mut |bytes| bytes.extend([1, 2, 3])).unwrap();
    let (features, catalogue) = (FeatureStore::new(memory.clone()), Catalogue::new(8));
    assert!(features.apply(&event(1, EventKind::ProductViewed, START, &[1]), &catalogue).is_err());
    assert!(features.apply(&event(1, EventKind::Page, START, &[]), &catalogue).is_err());
    assert!(features.subject(&grant(1), START, &catalogue).is_err());
    memory.read(key, &mut |bytes| assert_eq!(bytes, Some(&[1, 2, 3][..]))).unwrap();
}

#[test]
fn states_stay_small_whatever_happens() {
    let memory = Arc::new(Memory::default());
    let (features, catalogue) = (FeatureStore::new(memory.clone()), Catalogue::new(200_000));
    for step in 0..5_000_i64 {
        let product = (step * 7_919 % 200_000) as u32;
        features
            .apply(&event(1, EventKind::ProductViewed, START.plus_ms(step * 9 * MINUTE_MS), &[product]), &catalogue)
            .unwrap();
        features
            .apply(&event(2, EventKind::ProductViewed, START.plus_ms(step * 9 * MINUTE_MS), &[0]), &catalogue)
            .unwrap();
        features
            .apply(&event(2, EventKind::ProductViewed, START.plus_ms(step * 9 * MINUTE_MS + 1), &[product]), &catalogue)
            .unwrap();
    }
    let value = features.subject(&grant(1), START, &catalogue).unwrap();
    assert_eq!(value.history.len(), HISTORY);
    for (key, bytes) in memory.0.lock().unwrap().iter() {
        assert!(bytes.len() <= 800, "{key:?} takes {} bytes", bytes.len());
    }
}

fn any_kind() -> impl Strategy<Value = EventKind> {
    prop::sample::select(vec![
        EventKind::Page,
        EventKind::ProductListViewed,
        EventKind::ProductClicked,
        EventKind::ProductViewed,
        EventKind::ProductAdded,
        EventKind::ProductRemoved,
        EventKind::OrderCompleted,
        EventKind::OrderRefunded,
        EventKind::Alias,
    ])
}

#[derive(Debug, Clone)]
struct Step {
    subject: u128,
    kind: EventKind,
    products: Vec<u32>,
    step_ms: i64,
    late_ms: i64,
    merged_from: u128,
    declines: bool,
}

prop_compose! {
    /// Subjects 0 to 3, products 0 to 9 (8 and 9 are unknown), a step in time, how late, who declines.
    fn any_step()(
        subject in 0_u128..4,
        kind in any_kind(),
        products in prop::collection::vec(0_u32..10, 0..4),
        step_ms in prop_oneof![0..5 * MINUTE_MS, 0..3 * DAY_MS],
        late_ms in prop_oneof![9 => Just(0), 1 => 0..2 * DAY_MS],
        merged_from in 0_u128..4,
        declines in prop::bool::weighted(0.03),
    ) -> Step {
        Step { subject, kind, products, step_ms, late_ms, merged_from, declines }
    }
}

fn log(steps: Vec<Step>) -> Vec<Event> {
    let mut now = START;
    let to_event = |step: Step| {
        now = now.plus_ms(step.step_ms);
        let mut event = event(step.subject, step.kind, now.plus_ms(-step.late_ms), &step.products);
        event.received_at = now;
        if step.kind == EventKind::Alias {
            event.merged_from = Some(SubjectId(step.merged_from));
        }
        if step.declines {
            event.consent.denied = Purposes::PERSONALISATION;
        }
        event
    };
    steps.into_iter().map(to_event).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Read along the way live; replayed up to each of those moments.
    #[test]
    fn a_replay_knows_what_was_known(steps in prop::collection::vec(any_step(), 1..120), ask in prop::collection::vec(0_usize..120, 3)) {
        let events = log(steps);
        let catalogue = Catalogue::new(8);
        let live = store();
        let mut answers = Vec::new();
        for (place, event) in events.iter().enumerate() {
            live.apply(event, &catalogue).unwrap();
            let next = events.get(place + 1).map(|next| next.received_at);
            // Asked at a moment after which something else is received.
            if ask.contains(&place) && next != Some(event.received_at) {
                answers.push((event.received_at, known(&live, &catalogue, event.received_at)));
            }
        }
        let end = events.last().unwrap().received_at;
        answers.push((end, known(&live, &catalogue, end)));
        for (as_of, answer) in answers {
            let again = store();
            replay(&again, events.iter().cloned(), as_of, &catalogue).unwrap();
            prop_assert_eq!(known(&again, &catalogue, as_of), answer);
        }
    }

    /// The bounds hold: sorted history, weights that are numbers, nothing negative.
    #[test]
    fn what_is_known_is_sane(steps in prop::collection::vec(any_step(), 1..200)) {
        let events = log(steps);
        let catalogue = Catalogue::new(8);
        let features = store();
        apply(&features, &catalogue, events.iter().cloned());
        let known = known(&features, &catalogue, events.last().unwrap().received_at);
        for subject in &known.subjects {
            prop_assert!(subject.history.is_sorted_by_key(|entry| entry.at));
            prop_assert!(subject.history.len() <= HISTORY);
            prop_assert!(subject.affinities.iter().all(|affinity| affinity.weight.is_finite() && affinity.weight > 0.0));
            prop_assert!(subject.views >= 0.0 && subject.purchases >= 0.0);
        }
        prop_assert!(known.weight_bits.iter().all(|bits| f32::from_bits(*bits) >= 0.0));
    }
}
