//! Histories with a known answer, and what every recommender is held to on them.
//!
//! Subjects and items fall into groups, and a subject takes every item of its group but one (the checkerboard of
//! `implicit`'s tests): the item left out must rank first among those not taken.

use merx_domain::EventMeaning;

use crate::{Interaction, Interactions, Learner, Model, Query, Recommender, TrainingSet};

const GROUPS: u32 = 4;
const ITEMS_PER_GROUP: u32 = 10;
const SUBJECTS: u32 = 80;

pub(crate) fn blocks() -> TrainingSet {
    let mut histories = Interactions::new();
    for subject in 0..SUBJECTS {
        let taken = group_items(subject).filter(|item| *item != withheld(subject));
        histories.push_row(taken.map(|item| Interaction { item, at_s: 0, meaning: EventMeaning::Purchased }));
    }
    TrainingSet { item_count: (GROUPS * ITEMS_PER_GROUP) as usize, histories, ..TrainingSet::default() }
}

fn group_items(subject: u32) -> impl Iterator<Item = u32> {
    let group = subject % GROUPS;
    (0..ITEMS_PER_GROUP).map(move |at| group * ITEMS_PER_GROUP + at)
}

fn withheld(subject: u32) -> u32 {
    subject % GROUPS * ITEMS_PER_GROUP + subject / GROUPS % ITEMS_PER_GROUP
}

pub(crate) fn query(history: &[Interaction]) -> Query<'_> {
    Query { history, session_start: history.len(), seeds: &[], now_s: 0, market: 0 }
}

fn scores(model: &impl Recommender, history: &[Interaction]) -> Vec<f32> {
    let mut scores = vec![0.0; model.item_count()];
    model.open(&query(history)).score_all(&mut scores);
    scores
}

/// The withheld item ranks first among the items not taken, by all ways of asking.
pub(crate) fn finds_the_withheld<L>(learner: &L)
where
    L: Learner<Set = TrainingSet, Model: Recommender>,
{
    let set = blocks();
    let model = learner.fit(&set, 1).unwrap();
    for subject in 0..SUBJECTS {
        let history = set.histories.row(subject as usize);
        let taken = |item: u32| history.iter().any(|entry| entry.item == item);
        let scores = scores(&model, history);
        let best = (0..model.item_count() as u32)
            .filter(|item| !taken(*item))
            .max_by(|a, b| scores[*a as usize].total_cmp(&scores[*b as usize]));
        assert_eq!(best, Some(withheld(subject)), "subject {subject}: {scores:?}");

        let query = query(history);
        let mut open = model.open(&query);
        let mut candidates = Vec::new();
        open.candidates(ITEMS_PER_GROUP as usize, &mut candidates);
        assert!(candidates.iter().any(|found| found.item == withheld(subject)));
        for found in candidates {
            assert!((found.score - scores[found.item as usize]).abs() < 1e-4 * found.score.abs().max(1.0));
        }
    }
    says_nothing_about_nobody(&model);
}

/// Nothing is known of an empty history, nor of items out of range.
fn says_nothing_about_nobody(model: &impl Recommender) {
    assert!(scores(model, &[]).iter().all(|score| *score == 0.0));
    let stranger = [Interaction { item: 1 << 30, at_s: 0, meaning: EventMeaning::Viewed }];
    assert!(scores(model, &stranger).iter().all(|score| *score == 0.0));
    let mut out = [7.0];
    let query = query(&[]);
    model.open(&query).score(&[u32::MAX], &mut out);
    assert_eq!(out, [0.0]);
    assert!(model.open(&query).explain(u32::MAX, 3).is_empty());
}

pub(crate) fn survives_saving<L>(learner: &L)
where
    L: Learner<Set = TrainingSet, Model: Recommender>,
{
    let set = blocks();
    let model = learner.fit(&set, 1).unwrap();
    let bytes = model.save();
    let loaded = learner.load(&bytes).unwrap();
    assert_eq!(scores(&model, set.histories.row(3)), scores(&loaded, set.histories.row(3)));
    for cut in [0, 1, 2, bytes.len() / 2, bytes.len() - 1] {
        assert!(learner.load(&bytes[..cut]).is_err(), "{cut} of {} bytes were taken for a model", bytes.len());
    }
    let mut unknown = bytes;
    unknown[..2].copy_from_slice(&u16::MAX.to_le_bytes());
    assert!(learner.load(&unknown).is_err());
}

pub(crate) fn is_the_same_on_any_number_of_threads<L>(learner: &L)
where
    L: Learner<Set = TrainingSet, Model: Recommender>,
{
    let fit = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| learner.fit(&blocks(), 5).unwrap().save())
    };
    assert_eq!(fit(1), fit(3));
}

/// The parts of an explanation make the score.
pub(crate) fn explanations_add_up<L>(learner: &L)
where
    L: Learner<Set = TrainingSet, Model: Recommender>,
{
    let set = blocks();
    let model = learner.fit(&set, 1).unwrap();
    let history = set.histories.row(0);
    let query = query(history);
    let mut open = model.open(&query);
    for item in 0..ITEMS_PER_GROUP {
        let mut score = [0.0];
        open.score(&[item], &mut score);
        let parts = open.explain(item, usize::MAX);
        let sum: f32 = parts.iter().map(|part| part.weight).sum();
        assert!((sum - score[0]).abs() < 1e-3 * score[0].abs().max(1.0), "{parts:?} {score:?}");
        assert!(parts.iter().all(|part| part.meaning == Some(EventMeaning::Purchased)));
        assert!(parts.is_sorted_by(|a, b| a.weight >= b.weight));
    }
    assert!(open.explain(withheld(0), 2).len() <= 2);
}
