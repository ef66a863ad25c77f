//! The blend: one ranking out of many models, weighed by what shoppers did next.
//!
//! Each member proposes its best items; the pool of all proposals is scored by all members, and a small learned function
//! ([`network`]) turns what they say, and what the history says of the item itself, into one score. Members' scores mean nothing
//! across queries, so each is measured against the member's best and its sum over the pool. The weights are learned from what
//! was wanted next in a time the members did not see; they hold for members fitted later, on more, with the same settings.
//!
//! Only the items of the pool are ever scored: a query costs what its members' lists cost, not what the catalogue costs.

mod network;

use std::sync::Arc;

use merx_numeric::rng::Rng;
use merx_numeric::top_k::TopK;
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

pub use self::network::NetworkSettings;
use self::network::{List, Network, Scorer};
use crate::recency::wanted;
use crate::{
    Contribution, Interaction, Learner, Model, ModelError, OpenQuery, Query, Recommender, Scored, artifact, families,
};

const FAMILY: &str = "blend";
/// Format 1: `State` by postcard.
const FORMAT: u16 = 1;

/// Numbers of an item that each member gives: its score against the best, the same as a logarithm, its share of the sum,
/// and how many items share the sum (the same for all items of a query).
const PER_MEMBER: usize = 4;
/// Numbers of an item that the query gives.
const FROM_HISTORY: usize = 8;
/// So many members, those that stand for an item most, explain it.
const EXPLAINING: usize = 3;
/// A score this far below the best counts as nothing in the logarithm.
const LOG_FLOOR: f32 = 1e-4;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BlendSettings {
    /// Items each member puts into the pool.
    pub pool_per_member: usize,
    /// The first so many members fill the pool; the others only score what is in it.
    pub proposing: usize,
    /// Whether items of the history may be proposed. Where not, they score 0.
    pub repeats: bool,
    /// Items of a pool that the weights are learned from: all that were wanted, the strongest, and some of the others.
    pub strongest_per_list: usize,
    pub drawn_per_list: usize,
    /// Share of the examples that are shown without their history, so that strangers are learned too.
    pub strangers: f64,
    pub network: NetworkSettings,
}

impl Default for BlendSettings {
    fn default() -> Self {
        Self {
            pool_per_member: 60,
            proposing: usize::MAX,
            repeats: true,
            strongest_per_list: 40,
            drawn_per_list: 24,
            strangers: 0.02,
            network: NetworkSettings::default(),
        }
    }
}

/// A question and what was wanted next.
#[derive(Debug, Clone, Default)]
pub struct Example {
    /// Oldest first.
    pub history: Vec<Interaction>,
    pub session_start: usize,
    pub seeds: Vec<u32>,
    pub now_s: i64,
    pub market: u16,
    /// No item twice.
    pub relevant: Vec<u32>,
}

impl Example {
    pub fn query(&self) -> Query<'_> {
        Query {
            history: &self.history,
            session_start: self.session_start,
            seeds: &self.seeds,
            now_s: self.now_s,
            market: self.market,
        }
    }
}

/// What a blend learns from: fitted members, and examples from a time that the members did not see.
#[derive(Clone, Default)]
pub struct BlendSet {
    pub members: Vec<Arc<dyn Recommender>>,
    pub examples: Vec<Example>,
    /// Examples that decide when to stop.
    pub kept_back: Vec<Example>,
}

/// Fits [`Blend`].
#[derive(Debug, Clone, Copy, Default)]
pub struct BlendLearner {
    pub settings: BlendSettings,
}

impl Learner for BlendLearner {
    type Set = BlendSet;
    type Model = Blend;

    fn family(&self) -> &'static str {
        FAMILY
    }

    fn fit(&self, set: &BlendSet, seed: u64) -> Result<Blend, ModelError> {
        let lists = self.lists(set, &set.examples, seed);
        let kept_back = self.lists(set, &set.kept_back, seed.wrapping_add(1));
        if lists.is_empty() || kept_back.is_empty() {
            return Err(ModelError::NoData("no member proposes what was wanted in any example".to_owned()));
        }
        let list_count = lists.len();
        let (network, loss) =
            Network::learn(&equal_votes(set.members.len()), &self.settings.network, lists, kept_back, seed);
        tracing::info!(lists = list_count, loss, "learned a blend");
        Ok(Blend { settings: self.settings, network, members: set.members.clone() })
    }

    fn load(&self, bytes: &[u8]) -> Result<Blend, ModelError> {
        let (format, body) = artifact::split(FAMILY, bytes)?;
        if format != 1 {
            return Err(artifact::refused(FAMILY, format, "unknown format"));
        }
        let state: State = artifact::decode(FAMILY, format, body)?;
        let members: Result<Vec<_>, _> =
            state.members.iter().map(|(family, bytes)| families::load(family, bytes)).collect();
        let blend = Blend { settings: state.settings, network: state.network, members: members? };
        if blend.network.is_sound(input_count(blend.members.len())) {
            Ok(blend)
        } else {
            Err(artifact::refused(FAMILY, format, "sizes don't agree"))
        }
    }
}

impl BlendLearner {
    /// A list for each example of which a wanted item is in the pool.
    fn lists(&self, set: &BlendSet, examples: &[Example], seed: u64) -> Vec<List> {
        let rng = Rng::from_seed(seed);
        let lists: Vec<Option<List>> = examples
            .par_iter()
            .enumerate()
            .map(|(at, example)| {
                let mut rng = rng.split(at as u64);
                let mut query = example.query();
                if rng.chance(self.settings.strangers) {
                    query = Query { history: &[], session_start: 0, ..query };
                }
                let pool = Pool::open(&set.members, &self.settings, &query);
                self.list(&pool, &example.relevant, &mut rng)
            })
            .collect();
        lists.into_iter().flatten().collect()
    }

    fn list(&self, pool: &Pool, relevant: &[u32], rng: &mut Rng) -> Option<List> {
        let (hits, mut others): (Vec<usize>, Vec<usize>) =
            (0..pool.items.len()).partition(|at| relevant.contains(&pool.items[*at]));
        if hits.is_empty() {
            return None;
        }
        others.sort_by(|a, b| pool.strength(*b).total_cmp(&pool.strength(*a)).then(a.cmp(b)));
        let weak = others.split_off(others.len().min(self.settings.strongest_per_list));
        let drawn = rng.sample(weak.len(), self.settings.drawn_per_list);
        let drawn_offset = (weak.len().max(1) as f32 / drawn.len().max(1) as f32).ln();
        let mut list = List::default();
        let mut add = |place: usize, wanted: f32, offset: f32| {
            let start = list.rows.len();
            list.rows.resize(start + input_count(pool.members()), 0.0);
            pool.write_inputs(place, &mut list.rows[start..]);
            list.wanted.push(wanted);
            list.offsets.push(offset);
        };
        hits.iter().for_each(|place| add(*place, 1.0 / hits.len() as f32, 0.0));
        others.iter().for_each(|place| add(*place, 0.0, 0.0));
        drawn.iter().for_each(|at| add(weak[*at], 0.0, drawn_offset));
        Some(list)
    }
}

/// The weights to begin with: an item counts by how near it stands to each member's best.
fn equal_votes(members: usize) -> Vec<f32> {
    const VOTE: f32 = 0.3;
    let of_members = (0..members * PER_MEMBER).map(|input| if input % PER_MEMBER == 0 { VOTE } else { 0.0 });
    of_members.chain([0.0; FROM_HISTORY]).collect()
}

fn input_count(members: usize) -> usize {
    members * PER_MEMBER + FROM_HISTORY
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    settings: BlendSettings,
    network: Network,
    /// Family and bytes of each member.
    members: Vec<(String, Vec<u8>)>,
}

/// Members and their weights, fitted by [`BlendLearner`].
pub struct Blend {
    settings: BlendSettings,
    network: Network,
    members: Vec<Arc<dyn Recommender>>,
}

impl Blend {
    pub fn settings(&self) -> &BlendSettings {
        &self.settings
    }

    pub fn members(&self) -> &[Arc<dyn Recommender>] {
        &self.members
    }

    /// What was learnt, without the members.
    pub fn weights(&self) -> BlendWeights {
        let families = self.members.iter().map(|member| member.family()).collect();
        BlendWeights { settings: self.settings, network: self.network.clone(), families }
    }
}

/// What a blend has learnt of its members, to be used over others.
#[derive(Debug, Clone)]
pub struct BlendWeights {
    settings: BlendSettings,
    network: Network,
    families: Vec<&'static str>,
}

impl BlendWeights {
    /// The same weights over members fitted anew: as many, in the same order. `None` where they are of other families.
    pub fn over(&self, members: Vec<Arc<dyn Recommender>>) -> Option<Blend> {
        let alike = members.iter().map(|member| member.family()).eq(self.families.iter().copied());
        alike.then(|| Blend { settings: self.settings, network: self.network.clone(), members })
    }
}

impl Model for Blend {
    fn family(&self) -> &'static str {
        FAMILY
    }

    fn save(&self) -> Vec<u8> {
        let members = self.members.iter().map(|member| (member.family().to_owned(), member.save())).collect();
        artifact::encode(FORMAT, &State { settings: self.settings, network: self.network.clone(), members })
    }
}

impl Recommender for Blend {
    fn item_count(&self) -> usize {
        self.members.iter().map(|member| member.item_count()).max().unwrap_or(0)
    }

    fn open<'a>(&'a self, query: &Query<'a>) -> Box<dyn OpenQuery + 'a> {
        Box::new(OpenBlend { blend: self, pool: Pool::open(&self.members, &self.settings, query) })
    }
}

/// What the history says of one of its items.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// Moments from the end, where it last stood.
    steps: u32,
    times: u32,
    in_session: bool,
    last_s: i64,
}

/// The items that members propose for a query, and what all members say of them.
struct Pool<'a> {
    open: Vec<Box<dyn OpenQuery + 'a>>,
    seen: FxHashMap<u32, Seen>,
    repeats: bool,
    now_s: i64,
    /// Logarithms of the lengths of the session and of the history.
    lengths: [f32; 2],
    /// Ascending.
    items: Vec<u32>,
    /// The scores of member `m` are `scores[m * items.len()..][..items.len()]`.
    scores: Vec<f32>,
    best: Vec<f32>,
    sums: Vec<f32>,
    /// Logarithm of how many items with the best score would make up a member's sum.
    spreads: Vec<f32>,
}

impl<'a> Pool<'a> {
    fn open(members: &'a [Arc<dyn Recommender>], settings: &BlendSettings, query: &Query<'a>) -> Self {
        let mut open: Vec<_> = members.iter().map(|member| member.open(query)).collect();
        let seen = seen_items(query);
        let distinct_of_session = seen.values().filter(|seen| seen.in_session).count();
        let mut proposed = Vec::new();
        let extra = if settings.repeats { 0 } else { seen.len() };
        open.iter_mut()
            .take(settings.proposing)
            .for_each(|open| open.candidates(settings.pool_per_member + extra, &mut proposed));
        let mut items: Vec<u32> = proposed.iter().map(|scored| scored.item).collect();
        if settings.repeats {
            items.extend(seen.keys());
        } else {
            items.retain(|item| !seen.contains_key(item));
        }
        items.sort_unstable();
        items.dedup();
        let mut scores = vec![0.0; items.len() * open.len()];
        if !items.is_empty() {
            open.iter_mut().zip(scores.chunks_exact_mut(items.len())).for_each(|(open, out)| open.score(&items, out));
        }
        let positive = |scores: &[f32]| scores.iter().map(|score| score.max(0.0)).sum::<f32>();
        let rows = || (0..members.len()).map(|member| &scores[member * items.len()..][..items.len()]);
        let best: Vec<f32> = rows().map(|scores| scores.iter().copied().fold(0.0, f32::max)).collect();
        let sums: Vec<f32> = rows().map(positive).collect();
        let spread = |(sum, best): (&f32, &f32)| if *best > 0.0 { (1.0 + sum / best).ln() } else { 0.0 };
        let spreads = sums.iter().zip(&best).map(spread).collect();
        let lengths = [distinct_of_session, seen.len()].map(|length| (1.0 + length as f32).ln());
        Self { open, seen, repeats: settings.repeats, now_s: query.now_s, lengths, items, scores, best, sums, spreads }
    }

    fn members(&self) -> usize {
        self.open.len()
    }

    fn score_of(&self, member: usize, place: usize) -> f32 {
        self.scores[member * self.items.len() + place]
    }

    /// How strongly the members stand for an item, all of them alike.
    fn strength(&self, place: usize) -> f32 {
        (0..self.members()).map(|member| ratio(self.score_of(member, place), self.best[member])).sum()
    }

    fn write_inputs(&self, place: usize, out: &mut [f32]) {
        let scores = (0..self.members()).map(|member| self.score_of(member, place));
        self.write_inputs_of(self.items[place], scores, out);
    }

    fn write_inputs_of(&self, item: u32, scores: impl Iterator<Item = f32>, out: &mut [f32]) {
        let (from_members, from_history) = out.split_at_mut(self.members() * PER_MEMBER);
        for ((member, score), out) in scores.enumerate().zip(from_members.chunks_exact_mut(PER_MEMBER)) {
            let ratio = ratio(score, self.best[member]);
            out[0] = ratio;
            out[1] = 1.0 - ratio.max(LOG_FLOOR).ln() / LOG_FLOOR.ln();
            out[2] = self.ratio_of_sum(score, member);
            out[3] = self.spreads[member];
        }
        let seen = self.seen.get(&item);
        let or_zero = |value: fn(&Seen) -> f32| seen.map_or(0.0, value);
        from_history[0] = or_zero(|seen| f32::from(u8::from(seen.in_session)));
        from_history[1] = or_zero(|seen| f32::from(u8::from(!seen.in_session)));
        from_history[2] = or_zero(|seen| f32::from(u8::from(seen.steps == 0)));
        from_history[3] = or_zero(|seen| 1.0 / (1.0 + seen.steps as f32));
        from_history[4] = or_zero(|seen| (1.0 + seen.times as f32).ln());
        from_history[5] =
            seen.map_or(0.0, |seen| (1.0 + self.now_s.saturating_sub(seen.last_s).max(0) as f32 / 86_400.0).ln());
        from_history[6] = self.lengths[0];
        from_history[7] = self.lengths[1];
    }

    fn ratio_of_sum(&self, score: f32, member: usize) -> f32 {
        ratio(score, self.sums[member])
    }
}

fn ratio(score: f32, whole: f32) -> f32 {
    if whole > 0.0 { (score / whole).clamp(0.0, 1.0) } else { 0.0 }
}

fn seen_items(query: &Query) -> FxHashMap<u32, Seen> {
    let mut seen: FxHashMap<u32, Seen> = FxHashMap::default();
    let (mut steps, mut later_s) = (0, None);
    for (place, entry) in query.history.iter().enumerate().rev().filter(|(_, entry)| wanted(entry.meaning)) {
        steps += u32::from(later_s.is_some_and(|later_s| later_s != entry.at_s));
        later_s = Some(entry.at_s);
        let in_session = place >= query.session_start;
        let first = Seen { steps, times: 0, in_session, last_s: entry.at_s };
        seen.entry(entry.item).or_insert(first).times += 1;
    }
    seen
}

struct OpenBlend<'a> {
    blend: &'a Blend,
    pool: Pool<'a>,
}

impl OpenBlend<'_> {
    /// The members that know an item, with its score against the member's best.
    fn standing(&mut self, item: u32) -> Vec<(usize, f32)> {
        let Pool { open, items, scores, best, .. } = &mut self.pool;
        let place = items.binary_search(&item);
        let score_of = |(member, open): (usize, &mut Box<dyn OpenQuery + '_>)| match place {
            Ok(place) => scores[member * items.len() + place],
            Err(_) => {
                let mut score = [0.0];
                open.score(&[item], &mut score);
                score[0]
            }
        };
        let scores = open.iter_mut().enumerate().map(score_of).collect::<Vec<_>>();
        let ratios = scores.into_iter().zip(best).map(|(score, best)| ratio(score, *best));
        ratios.enumerate().filter(|(_, ratio)| *ratio > 0.0).collect()
    }

    /// Above 0 for whatever a member or the history knows of, 0 for the rest.
    fn score_row(&self, row: &[f32], scorer: &mut Scorer) -> f32 {
        let known = row[..self.pool.members() * PER_MEMBER].chunks_exact(PER_MEMBER).any(|member| member[0] > 0.0);
        let seen = row[self.pool.members() * PER_MEMBER..][..2].iter().any(|seen| *seen > 0.0);
        if !known && !seen {
            return 0.0;
        }
        // The scale of a score is free; this one keeps all of them above 0 and in order.
        let score = scorer.score(row).clamp(-LARGEST_LOGIT, LARGEST_LOGIT);
        if score >= 0.0 { 1.0 + score } else { 1.0 / (1.0 - score) }
    }
}

/// Keeps powers of e within an `f32`, a price's factor included.
const LARGEST_LOGIT: f32 = 60.0;

impl OpenQuery for OpenBlend<'_> {
    fn candidates(&mut self, limit: usize, out: &mut Vec<Scored>) {
        let (mut row, mut scorer) = (vec![0.0; input_count(self.pool.members())], self.blend.network.scorer());
        let mut best = TopK::new(limit);
        for (place, &item) in self.pool.items.iter().enumerate() {
            self.pool.write_inputs(place, &mut row);
            best.offer(item, self.score_row(&row, &mut scorer));
        }
        let best = best.drain_sorted().into_iter().filter(|hit| hit.score > 0.0);
        out.extend(best.map(|hit| Scored { item: hit.index, score: hit.score }));
    }

    fn score(&mut self, items: &[u32], out: &mut [f32]) {
        let members = self.pool.members();
        let mut by_member = vec![0.0; items.len() * members];
        if !items.is_empty() {
            let rows = by_member.chunks_exact_mut(items.len());
            self.pool.open.iter_mut().zip(rows).for_each(|(open, out)| open.score(items, out));
        }
        let (mut row, mut scorer) = (vec![0.0; input_count(members)], self.blend.network.scorer());
        for (at, (&item, out)) in items.iter().zip(out).enumerate() {
            if !self.pool.repeats && self.pool.seen.contains_key(&item) {
                *out = 0.0;
                continue;
            }
            let scores = (0..members).map(|member| by_member[member * items.len() + at]);
            self.pool.write_inputs_of(item, scores, &mut row);
            *out = self.score_row(&row, &mut scorer);
        }
    }

    /// Learned listwise: the network's scores are logits of what is wanted next.
    fn likelihood(&self, score: f32) -> f32 {
        let logit = if score >= 1.0 { score - 1.0 } else { 1.0 - 1.0 / score.max(f32::MIN_POSITIVE) };
        logit.clamp(-LARGEST_LOGIT, LARGEST_LOGIT).exp()
    }

    /// The parts of the members that stand for the item most, each weighed by how near it stands to the member's best.
    fn explain(&mut self, item: u32, limit: usize) -> Vec<Contribution> {
        let mut standing = self.standing(item);
        standing.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut parts: Vec<Contribution> = Vec::new();
        let mut told = 0;
        for (member, ratio) in standing {
            let of_member = self.pool.open[member].explain(item, usize::MAX);
            let whole: f32 = of_member.iter().map(|part| part.weight.max(0.0)).sum();
            for part in of_member.into_iter().filter(|part| part.weight > 0.0) {
                let weight = ratio * part.weight / whole;
                match parts.iter_mut().find(|known| known.item == part.item && known.meaning == part.meaning) {
                    Some(known) => known.weight += weight,
                    None => parts.push(Contribution { weight, ..part }),
                }
            }
            told += usize::from(whole > 0.0);
            if told == EXPLAINING {
                break;
            }
        }
        parts.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.item.cmp(&b.item)));
        parts.truncate(limit);
        parts
    }
}

#[cfg(test)]
mod tests {
    use merx_domain::EventMeaning::{Purchased, Viewed};

    use super::*;
    use crate::{
        ContentLearner, Interactions, ItemContent, PopularityLearner, SessionKnnLearner, TrainingSet,
        TransitionsLearner,
    };

    const ITEMS: u32 = 30;

    /// Shoppers walk from an item to the next; item 29 is unknown to all but by its tokens, those of item 28. Most just
    /// look at item 0, whatever they came for, and who comes new wants it.
    fn set() -> TrainingSet {
        let mut histories = Interactions::new();
        for session in 0..300i64 {
            let start = (session * 5 % 28) as u32;
            let items = [start, (start + 1) % 29, (start + 2) % 29, 0];
            histories.push_row(entries(&items, session * 10));
        }
        let tokens = (0..ITEMS).map(|item| vec![item.min(28)]).collect();
        let content = ItemContent { tokens, ..ItemContent::default() };
        TrainingSet { item_count: ITEMS as usize, histories, content, now_s: 3_000, ..TrainingSet::default() }
    }

    fn entries(items: &[u32], at_s: i64) -> Vec<Interaction> {
        items.iter().copied().zip(at_s..).map(|(item, at_s)| Interaction { item, at_s, meaning: Viewed }).collect()
    }

    fn examples(count: usize, from: u32) -> Vec<Example> {
        let example = |at: u32| {
            let start = (from + at * 5) % 26;
            let stranger = at.is_multiple_of(4);
            let history = if stranger { Vec::new() } else { entries(&[start, start + 1], 4_000) };
            let relevant = vec![if stranger { 0 } else { start + 2 }];
            Example { history, now_s: 4_010, relevant, ..Example::default() }
        };
        (0..count as u32).map(example).collect()
    }

    fn members(set: &TrainingSet) -> Vec<Arc<dyn Recommender>> {
        vec![
            Arc::new(PopularityLearner::default().fit(set, 1).unwrap()),
            Arc::new(SessionKnnLearner::default().fit(set, 1).unwrap()),
            Arc::new(TransitionsLearner::default().fit(set, 1).unwrap()),
            Arc::new(ContentLearner::default().fit(set, 1).unwrap()),
        ]
    }

    fn blend(repeats: bool) -> Blend {
        let settings = BlendSettings { repeats, strangers: 0.1, ..BlendSettings::default() };
        let set = BlendSet { members: members(&set()), examples: examples(200, 0), kept_back: examples(40, 3) };
        BlendLearner { settings }.fit(&set, 1).unwrap()
    }

    fn best(blend: &Blend, history: &[Interaction], seeds: &[u32], limit: usize) -> Vec<u32> {
        let query = Query { history, session_start: 0, seeds, now_s: 5_000, market: 0 };
        let mut found = Vec::new();
        blend.open(&query).candidates(limit, &mut found);
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.item.cmp(&b.item)));
        found.into_iter().map(|scored| scored.item).collect()
    }

    #[test]
    fn it_learns_whom_to_believe() {
        // Popularity says item 0, the members that know sequences say the next item: that is what was wanted.
        let blend = blend(true);
        for start in 1..20 {
            assert_eq!(best(&blend, &entries(&[start, start + 1], 0), &[], 1), [start + 2]);
        }
    }

    #[test]
    fn strangers_get_what_is_popular_and_seeds_lead_on() {
        let blend = blend(true);
        assert_eq!(best(&blend, &[], &[], 1), [0]);
        let by_seed = best(&blend, &[], &[11], 3);
        assert!(by_seed.contains(&12), "{by_seed:?}");
    }

    #[test]
    fn an_item_that_nobody_met_is_found_by_what_it_is() {
        let found = best(&blend(true), &entries(&[28], 0), &[], 30);
        assert!(found.contains(&29), "{found:?}");
    }

    #[test]
    fn candidates_and_scores_agree_and_items_of_the_history_stay_out_where_they_should() {
        let blend = blend(false);
        let history = entries(&[4, 5], 0);
        let query = Query { history: &history, session_start: 0, seeds: &[], now_s: 5_000, market: 0 };
        let mut open = blend.open(&query);
        let mut found = Vec::new();
        open.candidates(40, &mut found);
        assert!(found.len() > 5 && found.iter().all(|scored| ![4, 5].contains(&scored.item)));
        let items: Vec<u32> = found.iter().map(|scored| scored.item).chain([4, u32::MAX]).collect();
        let mut scores = vec![1.0; items.len()];
        open.score(&items, &mut scores);
        for (scored, score) in found.iter().zip(&scores) {
            assert!((scored.score - score).abs() < 1e-5);
        }
        assert_eq!(scores[found.len()..], [0.0, 0.0]);
    }

    #[test]
    fn an_explanation_names_the_history() {
        let blend = blend(true);
        let history: Vec<Interaction> =
            entries(&[4, 5], 0).into_iter().map(|entry| Interaction { meaning: Purchased, ..entry }).collect();
        let query = Query { history: &history, session_start: 0, seeds: &[], now_s: 5_000, market: 0 };
        let parts = blend.open(&query).explain(6, 2);
        assert_eq!((parts[0].item, parts[0].meaning), (5, Some(Purchased)), "{parts:?}");
    }

    #[test]
    fn a_saved_blend_ranks_alike_and_keeps_its_weights_over_new_members() {
        let blend = blend(true);
        let bytes = blend.save();
        let loaded = BlendLearner::default().load(&bytes).unwrap();
        let history = entries(&[9, 10], 0);
        assert_eq!(best(&loaded, &history, &[], 20), best(&blend, &history, &[], 20));
        assert!(BlendLearner::default().load(&bytes[..bytes.len() - 3]).is_err());
        let refitted = blend.weights().over(members(&set())).unwrap();
        assert_eq!(best(&refitted, &history, &[], 20), best(&blend, &history, &[], 20));
        assert!(blend.weights().over(members(&set())[1..].to_vec()).is_none());
    }
}
