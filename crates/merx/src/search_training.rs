//! The training of the search ranker: what was clicked, apart from where it stood; weighed on later searches; gate; registry.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use merx_decide::Labels;
use merx_discovery::search::clicks::{ClickModel, ClickSettings, Impression, Labelled, weighed_dcg};
use merx_discovery::search::engine::{RankLearner, RankerModel, RankingError};
use merx_discovery::search::judged::mean_interval;
use merx_discovery::search::mining::{MiningSettings, propose_synonyms};
use merx_domain::merchandising::Synonym;
use merx_domain::{
    ConsentStamp, DAY_MS, DecisionId, Device, MarketId, ModelVersion, ProductId, ProductNumber, Situation, TimestampMs,
};
use merx_models::Model;
use merx_models::registry::{Lineage, VersionStatus};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use serde_json::{Value, json};

use crate::jobs::{Say, Step};
use crate::search_log::{self, Window};
use crate::searching::SEARCH;
use crate::shop::Shop;
use crate::training::stopwatch;

/// Fewer clicked searches teach nothing that can be measured.
const LEAST_CLICKED: usize = 200;
/// A candidate that was compared on fewer searches with a click has not been measured.
const LEAST_MEASURED: usize = 20;
/// Different queries whose rankings are compared, those searched for most.
const MOST_COMPARED: usize = 1_000;
const GAIN: &str = "gain";
const WEIGHED_DCG: &str = "weighed_dcg@10";

/// What a training of the search ranker did.
#[derive(Debug)]
pub(crate) enum Report {
    /// There is too little to learn from.
    Skipped {
        clicked: usize,
    },
    Trained(Trained),
}

#[derive(Debug)]
pub(crate) struct Trained {
    version: ModelVersion,
    promoted: bool,
    searches: usize,
    clicked: usize,
    comparison: Comparison,
    gate: Vec<String>,
    labelled: usize,
    proposed_synonyms: usize,
    elapsed: Duration,
}

impl Report {
    /// As a part of the job's result.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Skipped { clicked } => json!({
                "model": SEARCH,
                "skipped": format!("{clicked} searches were clicked; from {LEAST_CLICKED} on there is something to learn"),
            }),
            Self::Trained(trained) => json!({
                "model": SEARCH,
                "version": trained.version.0,
                "promoted": trained.promoted,
                "seconds": trained.elapsed.as_secs_f64(),
                "searches": trained.searches,
                "clicked_searches": trained.clicked,
                "labelled_products": trained.labelled,
                "metrics": trained.comparison.metrics(),
                "gate": trained.gate,
                "proposed_synonyms": trained.proposed_synonyms,
            }),
        }
    }
}

/// Which parts of what was learnt are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// What was clicked after which query.
    Clicks,
    /// And a ranker that carries it over to other queries and products.
    Ranker,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Self::Clicks => "clicks",
            Self::Ranker => "clicks and ranker",
        }
    }
}

/// A model beside the ranking that nobody taught, on the same searches: what their clicks would have been worth, had the products stood in
/// its order.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Comparison {
    searches: usize,
    learnt: f64,
    untaught: f64,
    /// Of the mean difference, 95 %.
    interval: (f64, f64),
}

impl Comparison {
    fn gain(&self) -> f64 {
        if self.untaught > 0.0 { self.learnt / self.untaught - 1.0 } else { 0.0 }
    }

    fn metrics(&self) -> BTreeMap<String, f64> {
        [
            (WEIGHED_DCG.to_owned(), self.learnt),
            (format!("untaught_{WEIGHED_DCG}"), self.untaught),
            (GAIN.to_owned(), self.gain()),
            ("difference_low".to_owned(), self.interval.0),
            ("difference_high".to_owned(), self.interval.1),
            ("searches".to_owned(), self.searches as f64),
        ]
        .into()
    }
}

/// Trains on searches up to `now`; a candidate that passes the gate goes live at once.
pub(crate) fn train(shop: &Shop, now: TimestampMs, say: Say) -> Result<Report> {
    let started = stopwatch();
    // The sums are kept by the process that leads; elsewhere they are a moment behind.
    if shop.leads() {
        shop.search_log.catch_up()?;
    }
    let from = now.plus_ms(-i64::from(shop.config.train.window_days) * DAY_MS);
    let searches = search_log::impressions(&shop.search_log, Window { from, until: now }, say)?;
    let clicked = searches.iter().filter(|(_, impression)| impression.clicked.contains(&true)).count();
    if clicked < LEAST_CLICKED {
        return Ok(Report::Skipped { clicked });
    }
    shop.searching.catch_up()?;
    let labels = labelled(shop)?;
    let trainer = Trainer { shop, labels: &labels, market: shop.config.market.default.clone(), now };
    let (times, impressions): (Vec<TimestampMs>, Vec<Impression>) = searches.into_iter().unzip();
    let held_out = (impressions.len() as f64 * shop.config.train.held_out) as usize;
    let (before, after) = impressions.split_at(impressions.len() - held_out);

    say(Step::new("choosing how to rank"))?;
    let form = trainer.choose(before)?;
    say(Step::new("measuring on later searches"))?;
    let measured = trainer.fit(before, form)?;
    let comparison = trainer.compare(&measured, after, &measured.clicks)?;
    let live = shop.registry.with_status(SEARCH, VersionStatus::Live)?;
    let verdict = trainer.judge(&comparison, live.as_ref().map(|live| &live.lineage))?;
    say(Step::new(format!("learning from {} searches", impressions.len())))?;
    let model = trainer.fit(&impressions, form)?;
    let proposed_synonyms = trainer.propose(&model.clicks)?;

    let moment = |at: Option<&TimestampMs>| at.copied().unwrap_or(now);
    let lineage = Lineage {
        log_offset: shop.store.log.end()?.map(|offset| offset.0),
        window_from: moment(times.first()),
        window_until: moment(times.last()),
        events: impressions.len() as u64,
        subjects: 0,
        items: shop.searching.engine().product_count() as u64,
        code: env!("CARGO_PKG_VERSION").to_owned(),
        seed: shop.config.train.seed,
        parameters: json!({ "form": form.name(), "labelled_products": labels.len() }),
        metrics: comparison.metrics(),
        fit_s: started.elapsed().as_secs_f64(),
        gate: verdict.words.clone(),
        parent: live.map(|model| model.version),
    };
    let version = shop.registry.register(SEARCH, &model.save(), &lineage, shop.clock.now())?;
    if verdict.passed {
        let grounds = json!({ "gate": verdict.words });
        shop.promote(SEARCH, version, merx_decide::Act::of_merx(shop.clock.now()), &grounds)?;
        shop.load_models()?;
    }
    Ok(Report::Trained(Trained {
        version,
        promoted: verdict.passed,
        searches: impressions.len(),
        clicked,
        labelled: labels.len(),
        comparison,
        gate: verdict.words,
        proposed_synonyms,
        elapsed: started.elapsed(),
    }))
}

struct Verdict {
    passed: bool,
    words: Vec<String>,
}

/// What people said of products as answers to queries, in the queue that teaches. Cases about something else are passed over.
fn labelled(shop: &Shop) -> Result<Vec<Labelled>> {
    let queue = &shop.config.train.label_queue;
    if queue.is_empty() {
        return Ok(Vec::new());
    }
    let answers = Labels::new(Arc::clone(&shop.store.records)).answers(queue)?;
    let labelled = answers.into_iter().filter_map(|(case, place)| {
        let said = |name: &str| case.about.get(name).and_then(Value::as_str);
        let product = shop.projection.number(&ProductId::new(said("product_id")?).ok()?)?;
        let gain = 1.0 - place as f32 / (case.labels.len().max(2) - 1) as f32;
        Some(Labelled { query: said("query")?.to_owned(), product, gain })
    });
    Ok(labelled.collect())
}

struct Trainer<'a> {
    shop: &'a Shop,
    labels: &'a [Labelled],
    market: MarketId,
    now: TimestampMs,
}

impl Trainer<'_> {
    /// On the last part of what may be learnt from.
    fn choose(&self, impressions: &[Impression]) -> Result<Form> {
        let validation = (impressions.len() as f64 * self.shop.config.train.held_out) as usize;
        let (before, after) = impressions.split_at(impressions.len() - validation);
        let clicks = self.fit(before, Form::Clicks)?;
        let ranker = match self.fit(before, Form::Ranker) {
            Ok(ranker) => ranker,
            // Too few queries for a ranker: their clicks still count.
            Err(error) if error.downcast_ref::<RankingError>().is_some() => return Ok(Form::Clicks),
            Err(error) => return Err(error),
        };
        let worth = |model| -> Result<f64> { Ok(self.compare(model, after, &clicks.clicks)?.learnt) };
        Ok(if worth(&ranker)? > worth(&clicks)? { Form::Ranker } else { Form::Clicks })
    }

    fn fit(&self, impressions: &[Impression], form: Form) -> Result<RankerModel> {
        let clicks = ClickModel::fit(impressions, &ClickSettings::default()).with_labels(self.labels);
        match form {
            Form::Clicks => Ok(RankerModel { clicks, ..RankerModel::default() }),
            Form::Ranker => {
                let learner = RankLearner::default();
                Ok(self.shop.searching.engine().learn_ranker(&clicks, &learner, self.shop.config.train.seed)?)
            }
        }
    }

    /// Orders what was shown as a model and as nobody taught would have; `places` says how likely each place is looked at.
    fn compare(&self, model: &RankerModel, impressions: &[Impression], places: &ClickModel) -> Result<Comparison> {
        let mut counts: FxHashMap<&str, usize> = FxHashMap::default();
        for impression in impressions.iter().filter(|impression| impression.clicked.contains(&true)) {
            *counts.entry(&impression.query).or_default() += 1;
        }
        let mut queries: Vec<(usize, &str)> = counts.into_iter().map(|(query, count)| (count, query)).collect();
        queries.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        queries.truncate(MOST_COMPARED);
        let untaught = RankerModel::default();
        let ranked = |query: &str, model: &RankerModel| -> Result<FxHashMap<ProductNumber, usize>> {
            let answer = self.shop.searching.engine().ranking(query, model, &self.nobody())?;
            Ok(answer.hits.iter().enumerate().map(|(place, hit)| (hit.product, place)).collect())
        };
        let rankings: FxHashMap<&str, [FxHashMap<ProductNumber, usize>; 2]> = queries
            .par_iter()
            .map(|(_, query)| Ok((*query, [ranked(query, model)?, ranked(query, &untaught)?])))
            .collect::<Result<_>>()?;
        let worth = |impression: &Impression, places_of: &FxHashMap<ProductNumber, usize>| {
            let mut order = impression.shown.clone();
            order.sort_by_key(|product| places_of.get(product).copied().unwrap_or(usize::MAX));
            weighed_dcg(impression, &order, &places.examination)
        };
        let (mut learnt, mut plain) = (Vec::new(), Vec::new());
        for impression in impressions {
            if let Some([by_model, by_nobody]) = rankings.get(impression.query.as_str()) {
                learnt.push(worth(impression, by_model));
                plain.push(worth(impression, by_nobody));
            }
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let differences: Vec<f64> = learnt.iter().zip(&plain).map(|(learnt, plain)| learnt - plain).collect();
        Ok(Comparison {
            searches: learnt.len(),
            learnt: mean(&learnt),
            untaught: mean(&plain),
            interval: mean_interval(&differences, self.shop.config.train.seed),
        })
    }

    /// A candidate must not lose to the ranking that nobody taught, nor gain much less over it than the live version did when it was
    /// measured: each on searches that it had not seen.
    fn judge(&self, comparison: &Comparison, live: Option<&Lineage>) -> Result<Verdict> {
        let mut verdict = Verdict { passed: true, words: Vec::new() };
        let mut test = |passed: bool, words: String| {
            verdict.passed &= passed;
            verdict.words.push(format!("{}: {words}", if passed { "passed" } else { "failed" }));
        };
        let Comparison { learnt, untaught, .. } = comparison;
        let searches = comparison.searches;
        test(searches >= LEAST_MEASURED, format!("measured on {searches} searches, at least {LEAST_MEASURED}"));
        test(learnt >= untaught, format!("weighed DCG@10 {learnt:.4}, untaught {untaught:.4}"));
        if let Some(then) = live.and_then(|live| live.metrics.get(GAIN)) {
            let floor = (1.0 + then) * (1.0 - self.shop.config.train.gate_margin) - 1.0;
            test(comparison.gain() >= floor, format!("gain {:.4}, floor {floor:.4}", comparison.gain()));
        }
        Ok(verdict)
    }

    /// Hands what was mined to the merchant; what is a synonym already is none to propose.
    fn propose(&self, clicks: &ClickModel) -> Result<usize> {
        let merchandise = &self.shop.merchandise;
        let known = merchandise.synonyms()?;
        let is_known = |words: &[String; 2]| {
            known.iter().any(|(_, synonym)| {
                let told: Vec<&String> = match synonym {
                    Synonym::Equal { words } => words.iter().collect(),
                    Synonym::OneWay { from, to } => std::iter::once(from).chain(to).collect(),
                };
                words.iter().all(|word| told.iter().any(|known| known.eq_ignore_ascii_case(word)))
            })
        };
        let mut proposed = propose_synonyms(clicks, &MiningSettings::default());
        proposed.retain(|proposed| !is_known(&proposed.words));
        merchandise.propose(&proposed, self.now)?;
        Ok(proposed.len())
    }

    fn nobody(&self) -> Situation {
        Situation {
            decision: DecisionId::from_bytes([0; 16]),
            subject: None,
            market: self.market.clone(),
            device: Device::Unknown,
            now: self.now,
            seed: self.shop.config.train.seed,
            consent: ConsentStamp::default(),
        }
    }
}
