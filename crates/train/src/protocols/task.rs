//! A data set cut for measuring: what may be learned from, what decides about settings, what is measured at the end.

use merx_domain::EventMeaning;
use merx_models::plan::Choice;
use merx_models::{Example, Interaction, Interactions, ItemContent, TrainingSet};
use merx_numeric::rng::Rng;
use rustc_hash::FxHashMap;

use merx_models::evaluate::Metric;

/// One set under one protocol.
#[derive(Debug, Clone)]
pub struct Task {
    pub set: String,
    /// What candidates for settings are fitted on: training rows without those that `learning` and `choosing` ask about.
    pub fit: TrainingSet,
    /// Questions that the blend learns its weights from, and others that settings are chosen on. All from training rows.
    pub learning: Vec<Example>,
    pub choosing: Vec<Example>,
    /// All that may be learned from once settings are chosen. `None`: the protocol fits on `fit` at the end, too.
    pub train: Option<TrainingSet>,
    pub test: Vec<Example>,
    /// Whether the order of a history says anything.
    pub ordered: bool,
    /// Whether items of the history are ranked.
    pub repeats: bool,
    pub metrics: Vec<Metric>,
    /// What settings are chosen by.
    pub objective: Metric,
    /// The source's own names of dense items.
    pub item_names: Vec<String>,
}

impl Task {
    /// What settings are chosen by.
    pub(super) fn choice(&self) -> Choice<'_> {
        Choice {
            fit: &self.fit,
            trial: &self.fit,
            learning: &self.learning,
            choosing: &self.choosing,
            ordered: self.ordered,
            repeats: self.repeats,
            objective: self.objective,
        }
    }

    /// All that may be learned from once settings are chosen.
    pub(super) fn learnt_from(&self) -> &TrainingSet {
        self.train.as_ref().unwrap_or(&self.fit)
    }
}

/// Dense numbers for whatever a source calls its items, in order of first mention.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    dense: FxHashMap<u32, u32>,
    names: Vec<u32>,
}

impl Dictionary {
    pub(super) fn number(&mut self, name: u32) -> u32 {
        *self.dense.entry(name).or_insert_with(|| {
            self.names.push(name);
            self.names.len() as u32 - 1
        })
    }

    pub(super) fn numbers(&mut self, names: &[u32]) -> Vec<u32> {
        names.iter().map(|name| self.number(*name)).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn raw(&self) -> &[u32] {
        &self.names
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.names.iter().map(u32::to_string).collect()
    }
}

/// Items one moment after the other, the first at `from_s`.
pub(super) fn in_order(items: &[u32], from_s: i64, meaning: EventMeaning) -> Vec<Interaction> {
    items.iter().copied().zip(from_s..).map(|(item, at_s)| Interaction { item, at_s, meaning }).collect()
}

/// Items of one moment.
pub(super) fn together(items: &[u32], at_s: i64, meaning: EventMeaning) -> Vec<Interaction> {
    items.iter().map(|&item| Interaction { item, at_s, meaning }).collect()
}

pub(super) fn distinct(items: &[u32]) -> Vec<u32> {
    let mut items = items.to_vec();
    items.sort_unstable();
    items.dedup();
    items
}

pub(super) fn training_set(
    item_count: usize,
    rows: impl IntoIterator<Item = Vec<Interaction>>,
    now_s: i64,
) -> TrainingSet {
    let mut histories = Interactions::new();
    rows.into_iter().for_each(|row| histories.push_row(row));
    TrainingSet { item_count, histories, content: ItemContent::default(), now_s, ..TrainingSet::default() }
}

/// At most `limit` of the questions, drawn without preference, in their order.
pub(super) fn sample(examples: Vec<Example>, limit: usize, rng: &mut Rng) -> Vec<Example> {
    let mut drawn = rng.sample(examples.len(), limit).into_iter().peekable();
    let keep = |(at, example)| (drawn.next_if_eq(&at).is_some()).then_some(example);
    examples.into_iter().enumerate().filter_map(keep).collect()
}

/// Splits questions by the group they belong to (a session, a person), every fifth group to the second part.
pub(super) fn one_group_in_five(examples: Vec<(usize, Example)>) -> (Vec<Example>, Vec<Example>) {
    let (choosing, learning): (Vec<_>, Vec<_>) = examples.into_iter().partition(|(group, _)| group % 5 == 4);
    let without_group = |part: Vec<(usize, Example)>| part.into_iter().map(|(_, example)| example).collect();
    (without_group(learning), without_group(choosing))
}
