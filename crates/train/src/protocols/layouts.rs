//! The layouts, each with its protocol: how its rows become training data, questions for choosing and questions for testing.

use std::path::Path;

use merx_domain::EventMeaning::{Purchased, Viewed};
use merx_models::{Example, Interaction, ItemContent, TrainingSet};
use merx_numeric::rng::Rng;
use rustc_hash::FxHashMap;

use super::task::{Dictionary, Task, distinct, in_order, one_group_in_five, sample, together, training_set};
use super::{BenchError, files};
use merx_models::evaluate::Metric;

/// Questions that weights are learned from and settings are chosen on, at most.
const LEARNING: usize = 24_000;
const CHOOSING: usize = 6_000;

/// `train.txt`, `test.txt`: lines `user item item ..`, no order. All items ranked but those of the person's training line; a
/// person's ideal list holds min(k, test items) hits. For choosing, a fifth of each person's training items is taken out.
pub(super) fn lightgcn(dir: &Path, set: String, seed: u64) -> Result<Task, BenchError> {
    let mut items = Dictionary::default();
    let mut rows = |name: &str| -> Result<Vec<(u32, Vec<u32>)>, BenchError> {
        let rows = files::rows_by_user(&files::require(dir, name)?)?;
        Ok(rows.into_iter().map(|(user, names)| (user, distinct(&items.numbers(&names)))).collect())
    };
    let (train, test) = (rows("train.txt")?, rows("test.txt")?);
    let item_count = items.len();
    let history_of: FxHashMap<u32, &Vec<u32>> = train.iter().map(|(user, items)| (*user, items)).collect();
    let test = test.iter().filter_map(|(user, relevant)| {
        let history = history_of.get(user).map_or(&[][..], |items| items);
        let relevant: Vec<u32> = relevant.iter().filter(|item| !history.contains(item)).copied().collect();
        (!relevant.is_empty()).then(|| question(together(history, 0, Purchased), 0, relevant))
    });
    let test: Vec<Example> = test.collect();

    let rng = Rng::from_seed(seed);
    let mut kept_rows = Vec::new();
    let mut questions = Vec::new();
    for (at, (_, items)) in train.iter().enumerate() {
        let held_out = rng.split(at as u64).sample(items.len(), items.len() / 5);
        let held = |place: &usize| held_out.binary_search(place).is_ok();
        let part = |wanted: bool| (0..items.len()).filter(|p| held(p) == wanted).map(|p| items[p]).collect::<Vec<_>>();
        let (kept, relevant) = (together(&part(false), 0, Purchased), part(true));
        if !relevant.is_empty() {
            questions.push((at, question(kept.clone(), 0, relevant)));
        }
        kept_rows.push(kept);
    }
    let (learning, choosing) = one_group_in_five(questions);
    Ok(Task {
        set,
        fit: training_set(item_count, kept_rows, 0),
        learning: sample(learning, LEARNING, &mut rng.split(u64::MAX)),
        choosing: sample(choosing, CHOOSING, &mut rng.split(u64::MAX - 1)),
        train: Some(training_set(item_count, train.iter().map(|(_, items)| together(items, 0, Purchased)), 0)),
        test,
        ordered: false,
        repeats: false,
        metrics: vec![Metric::Recall(20), Metric::Ndcg(20), Metric::HitRate(20), Metric::Recall(10), Metric::Ndcg(10)],
        objective: Metric::Ndcg(20),
        item_names: items.names(),
    })
}

fn question(history: Vec<Interaction>, now_s: i64, relevant: Vec<u32>) -> Example {
    Example { history, now_s, relevant, ..Example::default() }
}

/// `train_sessions.txt`: lines `item item ..`, oldest session first; `test_prefix_target.txt`: `prefix<tab>target`. All items
/// ranked, those of the prefix too. For choosing, the last sessions of the training file are cut into prefixes.
pub(super) fn sessions(dir: &Path, set: String, seed: u64) -> Result<Task, BenchError> {
    let mut items = Dictionary::default();
    let sessions = files::sessions(&files::require(dir, "train_sessions.txt")?)?;
    let sessions: Vec<Vec<u32>> = sessions.iter().map(|session| items.numbers(session)).collect();
    let pairs = files::prefixes(&files::require(dir, "test_prefix_target.txt")?)?;

    // Clicks are numbered through: that number is all the time there is.
    let mut starts_s = Vec::with_capacity(sessions.len() + 1);
    let mut now_s = 0;
    for session in &sessions {
        starts_s.push(now_s);
        now_s += session.len() as i64;
    }
    starts_s.push(now_s);
    let row = |at: usize| in_order(&sessions[at], starts_s[at], Viewed);

    let fitted = sessions.len() - (sessions.len() / 10).clamp(usize::from(sessions.len() > 1), 20_000);
    let mut questions = Vec::new();
    for at in fitted..sessions.len() {
        let session = &sessions[at];
        for cut in 1..session.len() {
            let history = in_order(&session[..cut], starts_s[at], Viewed);
            questions.push((at, question(history, starts_s[at] + cut as i64, vec![session[cut]])));
        }
    }
    let (learning, choosing) = one_group_in_five(questions);
    let test = pairs.iter().map(|(prefix, target)| {
        let history = in_order(&items.numbers(prefix), now_s, Viewed);
        question(history, now_s + prefix.len() as i64, vec![items.number(*target)])
    });
    let test: Vec<Example> = test.collect();
    let rng = Rng::from_seed(seed);
    Ok(Task {
        set,
        fit: training_set(items.len(), (0..fitted).map(row), starts_s[fitted]),
        learning: sample(learning, LEARNING, &mut rng.split(1)),
        choosing: sample(choosing, CHOOSING, &mut rng.split(2)),
        train: Some(training_set(items.len(), (0..sessions.len()).map(row), now_s)),
        test,
        ordered: true,
        repeats: true,
        metrics: vec![Metric::HitRate(20), Metric::Mrr(20), Metric::Ndcg(20), Metric::HitRate(10), Metric::Mrr(10)],
        objective: Metric::Ndcg(20),
        item_names: items.names(),
    })
}

/// `train.txt`: lines `user item item ..` in order, all but the last; `test.txt`: the last; `train_fit.txt` (optional): all but
/// the last two; `item2attributes.json` (optional): attributes by item number **plus one**. All items ranked but those of the
/// history. With `train_fit.txt` models are fitted on it to the end, and the rest of `train.txt` is history only; without it,
/// the last item of each line of `train.txt` is taken out for choosing and put back for the final fit.
pub(super) fn leave_one_out(dir: &Path, set: String, seed: u64) -> Result<Task, BenchError> {
    let mut items = Dictionary::default();
    let mut read = |path: &Path| -> Result<Vec<(u32, Vec<u32>)>, BenchError> {
        let rows = files::rows_by_user(path)?;
        Ok(rows.into_iter().map(|(user, names)| (user, items.numbers(&names))).collect())
    };
    let train = read(&files::require(dir, "train.txt")?)?;
    let test = read(&files::require(dir, "test.txt")?)?;
    let given_fit = files::find(dir, "train_fit.txt").map(|path| read(&path)).transpose()?;
    let has_fit = given_fit.is_some();
    let without_last = || train.iter().map(|(user, items)| (*user, items[..items.len().saturating_sub(1)].to_vec()));
    let fit = given_fit.unwrap_or_else(|| without_last().collect());
    let content = match files::find(dir, "item2attributes.json") {
        Some(path) => content(&files::attributes(&path)?, items.raw()),
        None => ItemContent::default(),
    };

    let fit_of: FxHashMap<u32, usize> = fit.iter().map(|(user, items)| (*user, items.len())).collect();
    let mut questions = Vec::new();
    for (at, (user, row)) in train.iter().enumerate() {
        let known = fit_of.get(user).copied().unwrap_or(0).min(row.len());
        if let Some(next) = row.get(known).filter(|next| known > 0 && !row[..known].contains(next)) {
            questions.push((at, question(ending_at_0(&row[..known]), 0, vec![*next])));
        }
    }
    let history_of: FxHashMap<u32, &Vec<u32>> = train.iter().map(|(user, items)| (*user, items)).collect();
    let test = test.iter().filter_map(|(user, relevant)| {
        let history = history_of.get(user).map_or(&[][..], |items| items);
        (!relevant.is_empty()).then(|| question(ending_at_0(history), 0, distinct(relevant)))
    });
    let test: Vec<Example> = test.collect();
    let (learning, choosing) = one_group_in_five(questions);
    let rng = Rng::from_seed(seed);
    let with_content = |set: TrainingSet| TrainingSet { content: content.clone(), ..set };
    let rows = |rows: &[(u32, Vec<u32>)]| {
        let rows = rows.iter().map(|(_, items)| ending_at_0(items));
        with_content(training_set(items.len(), rows.collect::<Vec<_>>(), 0))
    };
    Ok(Task {
        set,
        fit: rows(&fit),
        learning: sample(learning, LEARNING, &mut rng.split(1)),
        choosing: sample(choosing, CHOOSING, &mut rng.split(2)),
        train: (!has_fit).then(|| rows(&train)),
        test,
        ordered: true,
        repeats: false,
        metrics: vec![Metric::HitRate(10), Metric::HitRate(20), Metric::Ndcg(10), Metric::Ndcg(20)],
        objective: Metric::Ndcg(20),
        item_names: items.names(),
    })
}

/// A row whose last item stands at -1: all that is known of time is the order within a row.
fn ending_at_0(items: &[u32]) -> Vec<Interaction> {
    in_order(items, -(items.len() as i64), Purchased)
}

/// Attributes count items from 1 where the rows count them from 0.
fn content(attributes: &FxHashMap<u32, Vec<u32>>, item_names: &[u32]) -> ItemContent {
    let mut tokens = Dictionary::default();
    let of_item = |name: &u32| attributes.get(&(name + 1)).map_or_else(Vec::new, |of| distinct(&tokens.numbers(of)));
    let by_item = item_names.iter().map(of_item).collect();
    ItemContent {
        tokens: by_item,
        token_names: tokens.names(),
        price_minor: vec![0; item_names.len()],
        since_s: Vec::new(),
    }
}
