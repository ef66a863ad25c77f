//! Popularity and trend: what is wanted now, here, at this hour.
//!
//! Counts fade with a half-life. Those of a market and of a part of the day are shrunk towards those of the whole shop: an
//! item's share in a market is `(count there + strength * share overall) / (all counts there + strength)`, a Dirichlet prior, so
//! that a small market starts from what the shop knows and departs from it as it learns. Trend is the ratio of an item's
//! share lately to its share over a longer time, shrunk alike.

use merx_numeric::top_k::{TopK, top_k};
use serde::{Deserialize, Serialize};

use crate::recency::wanted;
use crate::{Learner, Model, ModelError, OpenQuery, Query, Recommender, Scored, TrainingSet, artifact};

const FAMILY: &str = "popularity";
/// Format 1: `State` by postcard.
const FORMAT: u16 = 1;

/// Parts of a day, by UTC.
const PARTS_OF_DAY: usize = 6;
const DAY_S: i64 = 86_400;
/// Best items that the shop and each segment of it hold ready as candidates.
const LEADERS: usize = 500;
/// Numbers of items that a segment looks through for one of them.
const STRETCH: u32 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PopularitySettings {
    /// A count halves in this time; 0: counts never fade.
    pub half_life_s: f32,
    /// Where above 0: the score is the trend against counts that halve in this longer time.
    pub trend_half_life_s: f32,
    /// Counts that a market or a part of the day must have before it weighs as much as the whole shop.
    pub prior_strength: f32,
    /// Markets beyond this many, the smallest, are scored as the whole shop.
    pub markets: usize,
    /// Items that a market or a part of the day keeps counts of.
    pub items_per_segment: usize,
}

impl Default for PopularitySettings {
    fn default() -> Self {
        Self {
            half_life_s: 14.0 * DAY_S as f32,
            trend_half_life_s: 0.0,
            prior_strength: 500.0,
            markets: 64,
            items_per_segment: 20_000,
        }
    }
}

/// Fits [`Popularity`].
#[derive(Debug, Clone, Copy, Default)]
pub struct PopularityLearner {
    pub settings: PopularitySettings,
}

impl Learner for PopularityLearner {
    type Set = TrainingSet;
    type Model = Popularity;

    fn family(&self) -> &'static str {
        FAMILY
    }

    fn fit(&self, set: &TrainingSet, _seed: u64) -> Result<Popularity, ModelError> {
        let settings = self.settings;
        let overall = count(set, settings.half_life_s, |_, _| true);
        let total: f64 = overall.iter().map(|count| f64::from(*count)).sum();
        if total <= 0.0 {
            return Err(ModelError::NoData("no history names an item".to_owned()));
        }
        let mut state = State { settings, shares: shares(&overall), ..State::default() };
        if settings.trend_half_life_s > 0.0 {
            let long = shares(&count(set, settings.trend_half_life_s, |_, _| true));
            state.shares = trend(&overall, &long, settings.prior_strength);
            state.leaders = leaders(&state.shares);
            return Ok(Popularity { state });
        }
        state.leaders = leaders(&state.shares);
        for market in largest_markets(set, settings.markets) {
            let counts = count(set, settings.half_life_s, |row, _| set.market_of(row) == market);
            state.markets.push((market, Segment::of(&counts, settings.items_per_segment)));
        }
        if has_times_of_day(set) {
            for part in 0..PARTS_OF_DAY {
                let counts = count(set, settings.half_life_s, |_, at_s| part_of_day(at_s) == part);
                state.parts_of_day.push(Segment::of(&counts, settings.items_per_segment));
            }
        }
        Ok(Popularity { state })
    }

    fn load(&self, bytes: &[u8]) -> Result<Popularity, ModelError> {
        let (format, body) = artifact::split(FAMILY, bytes)?;
        match format {
            1 => Ok(Popularity { state: artifact::decode::<State>(FAMILY, format, body)?.indexed() }),
            _ => Err(artifact::refused(FAMILY, format, "unknown format")),
        }
    }
}

/// Faded counts of each item over the entries that `takes` (row, time) lets in.
fn count(set: &TrainingSet, half_life_s: f32, takes: impl Fn(usize, i64) -> bool) -> Vec<f32> {
    let mut counts = vec![0.0f32; set.item_count];
    for (row, entries) in set.histories.iter().enumerate() {
        for entry in entries.iter().filter(|entry| wanted(entry.meaning) && takes(row, entry.at_s)) {
            let age_s = set.now_s.saturating_sub(entry.at_s).max(0) as f32;
            let faded = if half_life_s > 0.0 { (-age_s / half_life_s).exp2() } else { 1.0 };
            if let Some(count) = counts.get_mut(entry.item as usize) {
                *count += faded;
            }
        }
    }
    counts
}

fn leaders(scores: &[f32]) -> Vec<u32> {
    top_k(scores, LEADERS).into_iter().filter(|hit| hit.score > 0.0).map(|hit| hit.index).collect()
}

fn shares(counts: &[f32]) -> Vec<f32> {
    let total: f64 = counts.iter().map(|count| f64::from(*count)).sum();
    counts.iter().map(|count| (f64::from(*count) / total.max(f64::MIN_POSITIVE)) as f32).collect()
}

/// How much larger an item's share is lately than over the longer time. An item counts from the size at which its lately
/// expected count makes a ratio believable.
fn trend(lately: &[f32], long: &[f32], prior_strength: f32) -> Vec<f32> {
    let total: f32 = lately.iter().sum();
    let prior = prior_strength / lately.len().max(1) as f32 + 1.0;
    let ratio = |(count, share): (&f32, &f32)| match *count > 0.0 {
        true => (count + prior) / (share * total + prior),
        false => 0.0,
    };
    lately.iter().zip(long).map(ratio).collect()
}

/// The markets with most rows, none where all rows are of one market.
fn largest_markets(set: &TrainingSet, limit: usize) -> Vec<u16> {
    let mut rows = std::collections::BTreeMap::<u16, usize>::new();
    for row in 0..set.histories.rows() {
        *rows.entry(set.market_of(row)).or_default() += set.histories.row(row).len();
    }
    let mut markets: Vec<(u16, usize)> = rows.into_iter().collect();
    markets.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    markets.truncate(limit);
    if markets.len() < 2 { Vec::new() } else { markets.into_iter().map(|(market, _)| market).collect() }
}

/// Sources without times number their rows; within a day of 1970 nothing can be told of hours.
fn has_times_of_day(set: &TrainingSet) -> bool {
    set.now_s > 10 * 365 * DAY_S
}

fn part_of_day(at_s: i64) -> usize {
    (at_s.rem_euclid(DAY_S) as usize * PARTS_OF_DAY) / DAY_S as usize
}

/// Counts of a market or a part of the day, those of the largest items.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Segment {
    /// Ascending, with their counts.
    items: Vec<u32>,
    counts: Vec<f32>,
    total: f32,
    /// The largest, largest first.
    leaders: Vec<u32>,
    /// Where the items of each stretch of `STRETCH` numbers begin; made when loaded.
    #[serde(skip)]
    stretches: Vec<u32>,
}

impl Segment {
    /// Ready to be looked up.
    fn indexed(mut self) -> Self {
        let last = self.items.last().map_or(0, |item| item / STRETCH + 1);
        let begin = |stretch: u32| self.items.partition_point(|item| *item < stretch * STRETCH) as u32;
        self.stretches = (0..=last).map(begin).collect();
        self
    }

    fn count_of(&self, item: u32) -> f32 {
        let stretch = (item / STRETCH) as usize;
        let (Some(start), Some(end)) = (self.stretches.get(stretch), self.stretches.get(stretch + 1)) else {
            return 0.0;
        };
        let range = *start as usize..*end as usize;
        let place = self.items[range.clone()].iter().position(|known| *known == item);
        place.map_or(0.0, |place| self.counts[range.start + place])
    }

    fn of(counts: &[f32], limit: usize) -> Self {
        let mut kept: Vec<u32> =
            top_k(counts, limit).into_iter().filter(|hit| hit.score > 0.0).map(|hit| hit.index).collect();
        kept.sort_unstable();
        let counts_kept = kept.iter().map(|item| counts[*item as usize]).collect();
        let total = counts.iter().sum();
        Self { items: kept, counts: counts_kept, total, leaders: leaders(counts), stretches: Vec::new() }.indexed()
    }

    /// An item's share here over its share overall, shrunk towards 1.
    fn lift(&self, item: u32, share: f32, prior_strength: f32) -> f32 {
        (self.count_of(item) + prior_strength * share) / ((self.total + prior_strength) * share).max(f32::MIN_POSITIVE)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct State {
    settings: PopularitySettings,
    /// Of all faded counts, by item; for a trend, the ratio.
    shares: Vec<f32>,
    /// The largest, largest first.
    leaders: Vec<u32>,
    markets: Vec<(u16, Segment)>,
    /// By part of the day; empty where the source knows no times.
    parts_of_day: Vec<Segment>,
}

impl State {
    fn indexed(mut self) -> Self {
        let of_markets = self.markets.into_iter().map(|(market, segment)| (market, segment.indexed()));
        self.markets = of_markets.collect();
        self.parts_of_day = self.parts_of_day.into_iter().map(Segment::indexed).collect();
        self
    }
}

/// Faded counts, fitted by [`PopularityLearner`].
#[derive(Debug)]
pub struct Popularity {
    state: State,
}

impl Popularity {
    pub fn settings(&self) -> &PopularitySettings {
        &self.state.settings
    }
}

impl Model for Popularity {
    fn family(&self) -> &'static str {
        FAMILY
    }

    fn save(&self) -> Vec<u8> {
        artifact::encode(FORMAT, &self.state)
    }
}

impl Recommender for Popularity {
    fn item_count(&self) -> usize {
        self.state.shares.len()
    }

    fn open<'a>(&'a self, query: &Query<'a>) -> Box<dyn OpenQuery + 'a> {
        let market = self.state.markets.iter().find(|(market, _)| *market == query.market).map(|(_, segment)| segment);
        Box::new(OpenPopularity {
            model: self,
            market,
            part_of_day: self.state.parts_of_day.get(part_of_day(query.now_s)),
        })
    }
}

struct OpenPopularity<'a> {
    model: &'a Popularity,
    market: Option<&'a Segment>,
    part_of_day: Option<&'a Segment>,
}

impl OpenPopularity<'_> {
    fn score_of(&self, item: u32) -> f32 {
        let state = &self.model.state;
        let share = state.shares.get(item as usize).copied().unwrap_or(0.0);
        let lift = |segment: Option<&Segment>| match segment {
            Some(segment) if share > 0.0 => segment.lift(item, share, state.settings.prior_strength),
            _ => 1.0,
        };
        share * lift(self.market) * lift(self.part_of_day)
    }
}

impl OpenQuery for OpenPopularity<'_> {
    fn candidates(&mut self, limit: usize, out: &mut Vec<Scored>) {
        let segments = [self.market, self.part_of_day];
        let of_segments = segments.iter().flatten().flat_map(|segment| segment.leaders.iter().take(limit));
        let mut items: Vec<u32> = self.model.state.leaders.iter().take(limit).chain(of_segments).copied().collect();
        items.sort_unstable();
        items.dedup();
        let mut best = TopK::new(limit);
        items.iter().for_each(|item| best.offer(*item, self.score_of(*item)));
        out.extend(best.drain_sorted().into_iter().map(|hit| Scored { item: hit.index, score: hit.score }));
    }

    fn score(&mut self, items: &[u32], out: &mut [f32]) {
        items.iter().zip(out).for_each(|(item, out)| *out = self.score_of(*item));
    }
}

#[cfg(test)]
mod tests {
    use merx_domain::EventMeaning::Viewed;

    use super::*;
    use crate::{Interaction, Interactions};

    const NOW: i64 = 20_000 * DAY_S;

    fn set(rows: &[(u16, u32, i64)]) -> TrainingSet {
        let mut histories = Interactions::new();
        for (_, item, at_s) in rows {
            histories.push_row([Interaction { item: *item, at_s: *at_s, meaning: Viewed }]);
        }
        let markets = rows.iter().map(|(market, ..)| *market).collect();
        TrainingSet { item_count: 4, histories, markets, now_s: NOW, ..TrainingSet::default() }
    }

    fn scores(model: &Popularity, market: u16, now_s: i64) -> Vec<f32> {
        let mut out = vec![0.0; 4];
        let query = Query { history: &[], session_start: 0, seeds: &[], now_s, market };
        model.open(&query).score_all(&mut out);
        out
    }

    fn fit(set: &TrainingSet, change: impl Fn(&mut PopularitySettings)) -> Popularity {
        let mut settings = PopularitySettings { prior_strength: 5.0, ..PopularitySettings::default() };
        change(&mut settings);
        PopularityLearner { settings }.fit(set, 1).unwrap()
    }

    #[test]
    fn old_counts_fade() {
        let mut rows = vec![(0, 1, NOW - 100 * DAY_S); 10];
        rows.extend([(0, 2, NOW - DAY_S); 3]);
        let found = scores(&fit(&set(&rows), |_| ()), 0, NOW);
        assert!(found[2] > found[1] && found[1] > 0.0 && found[3] == 0.0, "{found:?}");
        let unfaded = scores(&fit(&set(&rows), |s| s.half_life_s = 0.0), 0, NOW);
        assert!(unfaded[1] > unfaded[2]);
    }

    #[test]
    fn a_market_has_its_own_order_and_an_unknown_one_the_shops() {
        let mut rows = vec![(1, 1, NOW); 60];
        rows.extend([(2, 2, NOW); 40]);
        let model = fit(&set(&rows), |_| ());
        assert!(scores(&model, 1, NOW)[1] > scores(&model, 1, NOW)[2]);
        assert!(scores(&model, 2, NOW)[2] > scores(&model, 2, NOW)[1]);
        assert!(scores(&model, 9, NOW)[1] > scores(&model, 9, NOW)[2]);
    }

    #[test]
    fn mornings_differ_from_evenings() {
        let morning = NOW + 8 * 3_600;
        let evening = NOW + 20 * 3_600;
        let mut rows = vec![(0, 1, morning - DAY_S); 60];
        rows.extend([(0, 2, evening - DAY_S); 50]);
        let model = fit(&set(&rows), |_| ());
        assert!(scores(&model, 0, morning)[1] > scores(&model, 0, morning)[2]);
        assert!(scores(&model, 0, evening)[2] > scores(&model, 0, evening)[1]);
    }

    #[test]
    fn what_rises_trends_before_what_is_large() {
        let mut rows = vec![(0, 1, NOW - 60 * DAY_S); 200];
        rows.extend([(0, 1, NOW - DAY_S); 20]);
        rows.extend([(0, 2, NOW - DAY_S); 15]);
        let model = fit(&set(&rows), |s| {
            s.half_life_s = 7.0 * DAY_S as f32;
            s.trend_half_life_s = 90.0 * DAY_S as f32;
        });
        let found = scores(&model, 0, NOW);
        assert!(found[2] > found[1] && found[1] > 0.0 && found[3] == 0.0, "{found:?}");
    }

    #[test]
    fn saving_keeps_the_scores() {
        let model = fit(&set(&[(1, 1, NOW), (2, 2, NOW), (1, 3, NOW - DAY_S)]), |_| ());
        let loaded = PopularityLearner::default().load(&model.save()).unwrap();
        assert_eq!(loaded.state, model.state);
        assert!(PopularityLearner::default().load(&model.save()[..7]).is_err());
    }
}
