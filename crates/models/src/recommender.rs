//! The contract of everything that scores items for a history.

use merx_domain::EventMeaning;

use crate::Interaction;

#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("nothing to learn from: {0}")]
    NoData(String),
    #[error("{family} artifact, format {format}: {problem}")]
    Artifact { family: String, format: u16, problem: String },
}

/// What is known when a score is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// Oldest first.
    pub history: &'a [Interaction],
    /// Entries of `history` from here on belong to the current session.
    pub session_start: usize,
    /// Items the question is about (a product page, a basket), beside the history.
    pub seeds: &'a [u32],
    pub now_s: i64,
    /// Small number of the market; 0 where there is one.
    pub market: u16,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    pub item: u32,
    pub score: f32,
}

impl Scored {
    /// Best first; equal scores by item.
    pub fn rank(&self, other: &Self) -> std::cmp::Ordering {
        other.score.total_cmp(&self.score).then(self.item.cmp(&other.item))
    }
}

/// A part of a score that an entry of the history, or a seed, brought in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contribution {
    pub item: u32,
    /// `None`: the item was a seed.
    pub meaning: Option<EventMeaning>,
    pub weight: f32,
}

/// A model that is fitted, saved and loaded as one thing. Bytes begin with a format number; every format ever written
/// stays readable.
pub trait Model: Send + Sync {
    /// The family's name, as in configuration and in the registry: `ials`.
    fn family(&self) -> &'static str;
    fn save(&self) -> Vec<u8>;
}

/// Fits models of one family. `train` knows learners by nothing else.
pub trait Learner: Send + Sync {
    type Set: ?Sized;
    type Model: Model;

    fn family(&self) -> &'static str;
    /// The same set and seed MUST give the same model, bit for bit, whatever the number of threads.
    fn fit(&self, set: &Self::Set, seed: u64) -> Result<Self::Model, ModelError>;
    /// Fits on more of the same with the settings that `model` was fitted with; a learner that chooses none just fits.
    fn refit(&self, _model: &Self::Model, set: &Self::Set, seed: u64) -> Result<Self::Model, ModelError> {
        self.fit(set, seed)
    }
    fn load(&self, bytes: &[u8]) -> Result<Self::Model, ModelError>;
}

/// A model that scores items for a history.
pub trait Recommender: Model {
    fn item_count(&self) -> usize;

    /// Does the work that all scores of one query share (fold-in of the history, search for neighbours).
    fn open<'a>(&'a self, query: &Query<'a>) -> Box<dyn OpenQuery + 'a>;
}

/// The scores of one query. Scores of one query compare with one another and with nothing else; higher is better. An
/// item that the model can say nothing about scores 0. Equal scores rank by item number.
pub trait OpenQuery {
    /// Adds up to `limit` of the best items to `out`, in no order; approximate search MAY miss some.
    fn candidates(&mut self, limit: usize, out: &mut Vec<Scored>);

    /// As `candidates`, without the items in `skipped`, which ascend.
    fn candidates_without(&mut self, skipped: &[u32], limit: usize, out: &mut Vec<Scored>) {
        let start = out.len();
        self.candidates(limit.saturating_add(skipped.len()), out);
        let mut found = out.split_off(start);
        found.retain(|found| skipped.binary_search(&found.item).is_err());
        found.sort_unstable_by(Scored::rank);
        found.truncate(limit);
        out.append(&mut found);
    }

    /// Writes the score of each of `items` to the same place of `out`.
    fn score(&mut self, items: &[u32], out: &mut [f32]);

    /// Writes the score of every item: `out` has `item_count` places.
    fn score_all(&mut self, out: &mut [f32]) {
        let items: Vec<u32> = (0..out.len() as u32).collect();
        self.score(&items, out);
    }

    /// How likely it is that an item of this score is taken up, on a scale of this query's own: twice as much is twice as likely.
    fn likelihood(&self, score: f32) -> f32 {
        score
    }

    /// The largest parts of `item`'s score, at most `limit`, largest first; empty where the model can't tell.
    fn explain(&mut self, _item: u32, _limit: usize) -> Vec<Contribution> {
        Vec::new()
    }
}
