//! Session neighbours: what came next in the past sessions most like this one.
//!
//! After V-SKNN (Ludewig and Jannach, "Evaluation of session-based recommendation algorithms", 2018) and STAN (Garg et al.,
//! "Sequence and Time Aware Neighborhood for Session-based Recommendations", SIGIR 2019). A past session is similar by the
//! items it shares with the query, the newest counting most, old and long sessions less; an item of a neighbour counts by
//! its distance from the place where both sessions meet.
//!
//! Memory is bounded: an item leads to its `sessions_per_item` newest sessions, a session keeps its `session_length` newest
//! entries, and sessions that no item leads to are dropped. So at most `items * sessions_per_item` pointers stay.

use std::cell::RefCell;
use std::ops::Range;

use merx_numeric::kernels::prefetch;
use merx_numeric::top_k::TopK;
use serde::{Deserialize, Serialize};

use crate::recency::{Fading, Recent, largest_contributions, moments, recent_items, sessions, wanted};
use crate::sparse_scores::{OpenSparse, SparseScores};
use crate::{Learner, Model, ModelError, OpenQuery, Query, Recommender, TrainingSet, artifact};

const FAMILY: &str = "session_knn";
/// Format 1: `State` by postcard.
const FORMAT: u16 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SessionKnnSettings {
    /// A pause longer than this ends a session.
    pub session_gap_s: i64,
    /// Newest sessions that an item leads to.
    pub sessions_per_item: usize,
    /// Newest entries kept of a session.
    pub session_length: usize,
    /// Newest different items of a query that are looked up.
    pub query_items: usize,
    /// Most similar sessions that vote.
    pub neighbours: usize,
    /// An item of the query weighs `exp(-steps from the end / position_decay)`; 0: all alike.
    pub position_decay: f32,
    /// What items before the current session weigh beside those in it.
    pub earlier_weight: f32,
    /// A session weighs `exp(-age / age_decay_s)`; 0: all alike.
    pub age_decay_s: f32,
    /// A session of `n` different items weighs `n^-length_exponent`.
    pub length_exponent: f32,
    /// A shared item weighs `ln(1 + sessions / sessions with it)^rarity_exponent`.
    pub rarity_exponent: f32,
    /// An item `d` moments behind the meeting point weighs `exp(-d / forward_decay)`, one before it `exp(-d /
    /// backward_decay)`.
    pub forward_decay: f32,
    pub backward_decay: f32,
}

impl Default for SessionKnnSettings {
    fn default() -> Self {
        Self {
            session_gap_s: 1_800,
            sessions_per_item: 1_000,
            session_length: 50,
            query_items: 20,
            neighbours: 500,
            position_decay: 1.04,
            earlier_weight: 0.3,
            age_decay_s: 0.0,
            length_exponent: 0.5,
            rarity_exponent: 0.0,
            forward_decay: 2.08,
            backward_decay: 2.08,
        }
    }
}

/// Fits [`SessionKnn`].
#[derive(Debug, Clone, Copy, Default)]
pub struct SessionKnnLearner {
    pub settings: SessionKnnSettings,
}

impl Learner for SessionKnnLearner {
    type Set = TrainingSet;
    type Model = SessionKnn;

    fn family(&self) -> &'static str {
        FAMILY
    }

    fn fit(&self, set: &TrainingSet, _seed: u64) -> Result<SessionKnn, ModelError> {
        let settings = self.settings;
        let mut past = past_sessions(set, &settings);
        if past.is_empty() {
            return Err(ModelError::NoData("no session names an item".to_owned()));
        }
        keep_reachable(&mut past, set.item_count, settings.sessions_per_item);
        let mut state = State { settings, item_count: set.item_count, ..State::default() };
        state.session_offsets.push(0);
        for session in &past {
            state.entries.extend_from_slice(&session.items);
            state.moments.extend_from_slice(&session.moments);
            state.session_offsets.push(state.entries.len() as u32);
            state.session_weights.push(session_weight(session, set.now_s, &settings));
        }
        Ok(SessionKnn::from_state(state))
    }

    fn load(&self, bytes: &[u8]) -> Result<SessionKnn, ModelError> {
        let (format, body) = artifact::split(FAMILY, bytes)?;
        match format {
            1 => {
                let state: State = artifact::decode(FAMILY, format, body)?;
                if state.is_sound() {
                    Ok(SessionKnn::from_state(state))
                } else {
                    Err(artifact::refused(FAMILY, format, "sizes don't agree"))
                }
            }
            _ => Err(artifact::refused(FAMILY, format, "unknown format")),
        }
    }
}

struct PastSession {
    ended_s: i64,
    items: Vec<u32>,
    moments: Vec<u16>,
}

/// All sessions of a set, oldest first.
fn past_sessions(set: &TrainingSet, settings: &SessionKnnSettings) -> Vec<PastSession> {
    let mut past = Vec::new();
    for row in set.histories.iter() {
        for session in sessions(row, settings.session_gap_s) {
            let known = |item: u32| (item as usize) < set.item_count;
            let entries = session.iter().zip(moments(session));
            let entries = entries.filter(|(entry, _)| wanted(entry.meaning) && known(entry.item));
            let (mut items, mut moments): (Vec<u32>, Vec<u16>) = entries.map(|(entry, at)| (entry.item, at)).unzip();
            let too_many = items.len().saturating_sub(settings.session_length);
            items.drain(..too_many);
            moments.drain(..too_many);
            if let Some(last) = session.last().filter(|_| !items.is_empty()) {
                past.push(PastSession { ended_s: last.at_s, items, moments });
            }
        }
    }
    past.sort_by_key(|session| session.ended_s);
    past
}

/// Drops the sessions that are not among the newest of any of their items.
fn keep_reachable(past: &mut Vec<PastSession>, item_count: usize, sessions_per_item: usize) {
    let mut led_to = vec![0usize; item_count];
    let mut keep: Vec<bool> = Vec::with_capacity(past.len());
    for session in past.iter().rev() {
        let mut reachable = false;
        for item in distinct(&session.items) {
            let count = &mut led_to[item as usize];
            *count += 1;
            reachable |= *count <= sessions_per_item;
        }
        keep.push(reachable);
    }
    let mut keep = keep.into_iter().rev();
    past.retain(|_| keep.next().unwrap_or(true));
}

fn distinct(items: &[u32]) -> Vec<u32> {
    let mut items = items.to_vec();
    items.sort_unstable();
    items.dedup();
    items
}

fn session_weight(session: &PastSession, now_s: i64, settings: &SessionKnnSettings) -> f32 {
    let age_s = now_s.saturating_sub(session.ended_s).max(0) as f32;
    let faded = if settings.age_decay_s > 0.0 { (-age_s / settings.age_decay_s).exp() } else { 1.0 };
    faded * (distinct(&session.items).len() as f32).powf(-settings.length_exponent)
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct State {
    settings: SessionKnnSettings,
    item_count: usize,
    /// Session `s`, oldest first, is `entries[session_offsets[s]..session_offsets[s + 1]]`.
    session_offsets: Vec<u32>,
    entries: Vec<u32>,
    /// When each entry was, in moments of its session.
    moments: Vec<u16>,
    session_weights: Vec<f32>,
}

impl State {
    fn is_sound(&self) -> bool {
        self.session_offsets.len() == self.session_weights.len() + 1
            && self.session_offsets.first() == Some(&0)
            && self.session_offsets.is_sorted()
            && self.session_offsets.last().is_some_and(|end| *end as usize == self.entries.len())
            && self.moments.len() == self.entries.len()
            && self.entries.iter().all(|item| (*item as usize) < self.item_count)
    }

    fn session_range(&self, session: u32) -> Range<usize> {
        let at = session as usize;
        self.session_offsets[at] as usize..self.session_offsets[at + 1] as usize
    }

    fn session(&self, session: u32) -> &[u32] {
        &self.entries[self.session_range(session)]
    }

    /// Asks in time for what lies anywhere in tables larger than the caches.
    fn prefetch(&self, coming: &[Neighbour]) {
        if let Some(far) = coming.get(16) {
            prefetch(&self.session_offsets, far.session as usize, 2);
        }
        if let Some(near) = coming.get(8) {
            let range = self.session_range(near.session);
            prefetch(&self.entries, range.start, range.len());
            prefetch(&self.moments, range.start, range.len());
        }
    }
}

/// Past sessions and the way to them, fitted by [`SessionKnnLearner`].
#[derive(Debug)]
pub struct SessionKnn {
    state: State,
    /// The newest sessions of item `i`, newest first, are `postings[posting_offsets[i]..posting_offsets[i + 1]]`.
    posting_offsets: Vec<u32>,
    postings: Vec<u32>,
    rarity: Vec<f32>,
    /// What an entry weighs, by its distance from the meeting point.
    ahead: Vec<f32>,
    behind: Vec<f32>,
}

thread_local! {
    /// Weight that each session shares with the query at hand; zeros between queries.
    static SHARED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// `exp(-distance / decay)` for each distance within a session, and a little further.
fn fading(decay: f32, session_length: usize) -> Vec<f32> {
    (0..2 * session_length.clamp(1, 1_000)).map(|distance| (-(distance as f32) / decay).exp()).collect()
}

/// Items of a query that weigh less than this share of the heaviest aren't looked up.
const NEGLIGIBLE: f32 = 1e-3;

/// A past session that is like the query.
#[derive(Debug, Clone, Copy)]
struct Neighbour {
    session: u32,
    similarity: f32,
}

/// Weights of a query's items. Nearly all items that are asked for are not among them, and most of those are told by a bit.
struct QueryWeights {
    /// Bit `item % 64` is set for each item of the query.
    bits: u64,
    weights: Vec<(u32, f32)>,
}

impl QueryWeights {
    /// No item stands twice in `query`.
    fn new(query: &[(Recent, f32)]) -> Self {
        let weights: Vec<(u32, f32)> = query.iter().map(|(entry, weight)| (entry.item, *weight)).collect();
        Self { bits: weights.iter().fold(0, |bits, (item, _)| bits | 1 << (item % 64)), weights }
    }

    #[inline]
    fn get(&self, item: u32) -> f32 {
        if self.bits >> (item % 64) & 1 == 0 {
            return 0.0;
        }
        self.weights.iter().find(|(known, _)| *known == item).map_or(0.0, |(_, weight)| *weight)
    }
}

impl SessionKnn {
    fn from_state(state: State) -> Self {
        let session_count = state.session_weights.len() as u32;
        let mut by_item: Vec<Vec<u32>> = vec![Vec::new(); state.item_count];
        for session in (0..session_count).rev() {
            for item in distinct(state.session(session)) {
                by_item[item as usize].push(session);
            }
        }
        let settings = state.settings;
        let ahead = fading(settings.forward_decay, settings.session_length);
        let behind = fading(settings.backward_decay, settings.session_length);
        let mut model =
            Self { posting_offsets: vec![0], postings: Vec::new(), rarity: Vec::new(), ahead, behind, state };
        for sessions in &by_item {
            let rarity = (1.0 + session_count as f32 / sessions.len().max(1) as f32).ln();
            model.rarity.push(rarity.powf(model.state.settings.rarity_exponent));
            let newest = sessions.len().min(model.state.settings.sessions_per_item);
            model.postings.extend_from_slice(&sessions[..newest]);
            model.posting_offsets.push(model.postings.len() as u32);
        }
        model
    }

    pub fn settings(&self) -> &SessionKnnSettings {
        &self.state.settings
    }

    fn sessions_of(&self, item: u32) -> &[u32] {
        let at = item as usize;
        &self.postings[self.posting_offsets[at] as usize..self.posting_offsets[at + 1] as usize]
    }

    /// The items of a query with their weights, newest first.
    fn weighted(&self, query: &Query) -> Vec<(Recent, f32)> {
        let settings = &self.state.settings;
        let fading = Fading { decay: settings.position_decay, earlier_weight: settings.earlier_weight };
        let recent = recent_items(query, self.state.item_count, settings.query_items);
        let mut weighted: Vec<(Recent, f32)> = recent.into_iter().map(|entry| (entry, fading.weight(&entry))).collect();
        let heaviest = weighted.iter().map(|(_, weight)| *weight).fold(0.0, f32::max);
        weighted.retain(|(_, weight)| *weight >= NEGLIGIBLE * heaviest);
        weighted
    }

    /// The past sessions most like the query, by session.
    fn neighbours(&self, query: &[(Recent, f32)]) -> Vec<Neighbour> {
        let mut best = TopK::new(self.state.settings.neighbours);
        SHARED.with_borrow_mut(|shared| {
            if shared.len() < self.state.session_weights.len() {
                shared.resize(self.state.session_weights.len(), 0.0);
            }
            for (entry, weight) in query {
                let weight = weight * self.rarity[entry.item as usize];
                self.sessions_of(entry.item).iter().for_each(|session| shared[*session as usize] += weight);
            }
            for &session in query.iter().flat_map(|(entry, _)| self.sessions_of(entry.item)) {
                let weight = std::mem::take(&mut shared[session as usize]);
                if weight > 0.0 {
                    best.offer(session, weight * self.state.session_weights[session as usize]);
                }
            }
        });
        best.shrink();
        let best = best.kept().iter();
        let mut neighbours: Vec<Neighbour> =
            best.map(|hit| Neighbour { session: hit.index, similarity: hit.score }).collect();
        neighbours.sort_unstable_by_key(|neighbour| neighbour.session);
        neighbours
    }

    /// The place where a session meets the query: that of the item that weighs most, the last of equals.
    fn meeting_place(&self, session: &[u32], weights: &QueryWeights) -> usize {
        let mut heaviest = (0, 0.0);
        for (place, item) in session.iter().enumerate() {
            let weight = weights.get(*item);
            if weight > 0.0 && weight >= heaviest.1 {
                heaviest = (place, weight);
            }
        }
        heaviest.0
    }

    fn distance_weight(&self, moment: u16, meeting: u16) -> f32 {
        let weights = if moment < meeting { &self.behind } else { &self.ahead };
        weights.get(usize::from(moment.abs_diff(meeting))).copied().unwrap_or(0.0)
    }

    /// Calls `vote(item, weight)` for each entry of a neighbour.
    fn votes(&self, neighbour: Neighbour, weights: &QueryWeights, mut vote: impl FnMut(u32, f32)) {
        let range = self.state.session_range(neighbour.session);
        let (session, moments) = (&self.state.entries[range.clone()], &self.state.moments[range]);
        let meeting = moments[self.meeting_place(session, weights)];
        for (&item, &moment) in session.iter().zip(moments) {
            vote(item, neighbour.similarity * self.distance_weight(moment, meeting));
        }
    }

    /// How much of an item's score each item of the query brought in. `neighbours` by session.
    fn parts(
        &self,
        query: &[(Recent, f32)],
        weights: &QueryWeights,
        neighbours: &[Neighbour],
        item: u32,
    ) -> Vec<(Recent, f32)> {
        let mut parts: Vec<(Recent, f32)> = query.iter().map(|(entry, _)| (*entry, 0.0)).collect();
        let mut shared = Vec::with_capacity(query.len());
        for neighbour in self.neighbours_with(neighbours, item) {
            let session = self.state.session(neighbour.session);
            let mut score = 0.0;
            self.votes(neighbour, weights, |voted, weight| score += if voted == item { weight } else { 0.0 });
            shared.clear();
            shared.extend(query.iter().map(|(entry, weight)| match session.contains(&entry.item) {
                true => weight * self.rarity[entry.item as usize],
                false => 0.0,
            }));
            let whole: f32 = shared.iter().sum();
            if score > 0.0 && whole > 0.0 {
                parts.iter_mut().zip(&shared).for_each(|(part, shared)| part.1 += score * shared / whole);
            }
        }
        parts
    }

    /// Those that hold an item. Most items stand in few sessions, which are known; the sessions of others are looked into.
    fn neighbours_with(&self, neighbours: &[Neighbour], item: u32) -> Vec<Neighbour> {
        let known = self.sessions_of(item);
        if known.len() < self.state.settings.sessions_per_item.min(neighbours.len()) {
            let find = |session: &u32| neighbours.binary_search_by_key(session, |neighbour| neighbour.session).ok();
            return known.iter().filter_map(find).map(|place| neighbours[place]).collect();
        }
        let holds = |neighbour: &&Neighbour| self.state.session(neighbour.session).contains(&item);
        neighbours.iter().filter(holds).copied().collect()
    }
}

impl Model for SessionKnn {
    fn family(&self) -> &'static str {
        FAMILY
    }

    fn save(&self) -> Vec<u8> {
        artifact::encode(FORMAT, &self.state)
    }
}

impl Recommender for SessionKnn {
    fn item_count(&self) -> usize {
        self.state.item_count
    }

    fn open<'a>(&'a self, query: &Query<'a>) -> Box<dyn OpenQuery + 'a> {
        let query = self.weighted(query);
        let neighbours = self.neighbours(&query);
        let weights = QueryWeights::new(&query);
        let mut scores = SparseScores::new(self.state.item_count);
        for (place, &neighbour) in neighbours.iter().enumerate() {
            self.state.prefetch(&neighbours[place..]);
            self.votes(neighbour, &weights, |item, weight| scores.add(item, weight));
        }
        let explain = move |item, limit| {
            largest_contributions(self.parts(&query, &weights, &neighbours, item).into_iter(), limit)
        };
        Box::new(OpenSparse { scores, explain })
    }
}

#[cfg(test)]
mod tests {
    use merx_domain::EventMeaning;

    use super::*;
    use crate::{Interaction, Interactions};

    fn session(items: &[u32], at_s: i64) -> Vec<Interaction> {
        let viewed = |(item, at_s)| Interaction { item, at_s, meaning: EventMeaning::Viewed };
        items.iter().copied().zip(at_s..).map(viewed).collect()
    }

    fn set(rows: &[(&[u32], i64)]) -> TrainingSet {
        let mut histories = Interactions::new();
        rows.iter().for_each(|(items, at_s)| histories.push_row(session(items, *at_s)));
        TrainingSet { item_count: 10, histories, now_s: 100, ..TrainingSet::default() }
    }

    fn fit(rows: &[(&[u32], i64)], change: impl Fn(&mut SessionKnnSettings)) -> SessionKnn {
        let mut settings = SessionKnnSettings::default();
        change(&mut settings);
        SessionKnnLearner { settings }.fit(&set(rows), 1).unwrap()
    }

    fn scores(model: &SessionKnn, items: &[u32]) -> Vec<f32> {
        let history = session(items, 100);
        let query = Query { history: &history, session_start: 0, seeds: &[], now_s: 100, market: 0 };
        let mut out = vec![0.0; 10];
        model.open(&query).score_all(&mut out);
        out
    }

    #[test]
    fn what_follows_closely_ranks_before_what_follows_late() {
        let model = fit(&[(&[1, 2, 3, 4], 10), (&[1, 2, 3, 4], 20)], |_| ());
        let scores = scores(&model, &[1]);
        assert!(scores[2] > scores[3] && scores[3] > scores[4] && scores[4] > 0.0, "{scores:?}");
        assert_eq!(scores[5], 0.0);
    }

    #[test]
    fn the_newest_item_of_the_query_counts_most() {
        let model = fit(&[(&[1, 5], 10), (&[2, 6], 10)], |_| ());
        let newest_first = scores(&model, &[1, 2]);
        assert!(newest_first[6] > newest_first[5]);
    }

    #[test]
    fn new_sessions_outweigh_old_ones_where_age_counts() {
        let rows: &[(&[u32], i64)] = &[(&[1, 5], 0), (&[1, 5], 0), (&[1, 6], 100)];
        assert!(
            scores(&fit(rows, |s| s.age_decay_s = 20.0), &[1])[6]
                > scores(&fit(rows, |s| s.age_decay_s = 20.0), &[1])[5]
        );
        assert!(scores(&fit(rows, |_| ()), &[1])[5] > scores(&fit(rows, |_| ()), &[1])[6]);
    }

    #[test]
    fn only_the_newest_sessions_of_an_item_are_kept() {
        let model = fit(&[(&[1, 5], 1), (&[1, 6], 2), (&[1, 7], 3)], |s| s.sessions_per_item = 2);
        let scores = scores(&model, &[1]);
        assert!(scores[5] == 0.0 && scores[6] > 0.0 && scores[7] > 0.0);
        // Item 5 still leads to the oldest session.
        assert_eq!(model.state.session_weights.len(), 3);
    }

    #[test]
    fn parts_add_up_to_the_score_and_saving_changes_nothing() {
        let model = fit(&[(&[1, 2, 3], 10), (&[2, 4, 3], 20), (&[1, 3], 30)], |s| s.rarity_exponent = 1.0);
        let history = session(&[1, 2], 100);
        let query = Query { history: &history, session_start: 0, seeds: &[], now_s: 100, market: 0 };
        let mut open = model.open(&query);
        let mut score = [0.0];
        open.score(&[3], &mut score);
        let parts = open.explain(3, 9);
        let sum: f32 = parts.iter().map(|part| part.weight).sum();
        assert!((sum - score[0]).abs() < 1e-5 && parts.len() == 2, "{parts:?} {score:?}");

        let bytes = model.save();
        let loaded = SessionKnnLearner::default().load(&bytes).unwrap();
        assert_eq!(scores(&loaded, &[1, 2]), scores(&model, &[1, 2]));
        assert!(SessionKnnLearner::default().load(&bytes[..bytes.len() - 1]).is_err());
        assert!(SessionKnnLearner::default().load(&[9, 9]).is_err());
    }
}
