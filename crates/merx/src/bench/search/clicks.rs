//! Learning from click sessions: what is told of sessions that were not learnt from.

use std::path::Path;

use anyhow::{Context, Result};
use merx_discovery::search::clicks::{ClickModel, ClickSettings, Impression, weighed_dcg};
use merx_discovery::search::judged::mean_interval;
use merx_domain::ProductNumber;
use rustc_hash::FxHashMap;
use serde_json::json;

use super::read_separated;

/// How likely a product is clicked at a place of a list.
type Predict<'a> = Box<dyn Fn(&Impression, usize) -> f64 + 'a>;
/// The products of a list in another order.
type Order<'a> = Box<dyn Fn(&Impression) -> Vec<ProductNumber> + 'a>;

/// Three in ten sessions are held out, by number.
fn is_test(session: usize) -> bool {
    session % 10 >= 7
}

/// Products weighed by clicks alone, however often each was looked at.
fn plain_rates(impressions: &[&Impression]) -> FxHashMap<(String, u32), f64> {
    let mut counts: FxHashMap<(String, u32), (f64, f64)> = FxHashMap::default();
    for impression in impressions {
        for (product, clicked) in impression.shown.iter().zip(&impression.clicked) {
            let (shown, clicks) = counts.entry((impression.query.clone(), product.0)).or_default();
            *shown += 1.0;
            *clicks += f64::from(u8::from(*clicked));
        }
    }
    counts.into_iter().map(|(key, (shown, clicks))| (key, clicks / shown)).collect()
}

pub(super) fn run(folder: &Path, seed: u64) -> Result<()> {
    let impressions = read(folder)?;
    let part = |test: bool| {
        impressions
            .iter()
            .enumerate()
            .filter(move |(number, _)| is_test(*number) == test)
            .map(|(_, impression)| impression)
    };
    let training: Vec<Impression> = part(false).cloned().collect();
    let test: Vec<&Impression> = part(true).collect();
    let model = ClickModel::fit(&training, &ClickSettings::default());
    let rates = plain_rates(&training.iter().collect::<Vec<_>>());
    let place_rates = place_rates(&training);
    let predictions: [(&str, Predict<'_>); 3] = [
        ("place alone", Box::new(|_, place| place_rates.get(place).copied().unwrap_or(0.0))),
        (
            "clicks by product, place ignored",
            Box::new(|shown, place| rates.get(&(shown.query.clone(), shown.shown[place].0)).copied().unwrap_or(0.0)),
        ),
        (
            "place and product",
            Box::new(|shown, place| f64::from(model.click_rate(&shown.query, shown.shown[place], place))),
        ),
    ];
    for (name, predict) in &predictions {
        let losses: Vec<f64> = test.iter().map(|impression| log_loss(impression, predict.as_ref())).collect();
        let mean = losses.iter().sum::<f64>() / losses.len().max(1) as f64;
        println!(
            "{}",
            json!({"clicks": name, "sessions": test.len(), "log_loss": mean, "log_loss_ci95": mean_interval(&losses, seed)})
        );
    }
    let orders: [(&str, Order<'_>); 3] = [
        ("as shown", Box::new(|shown| shown.shown.clone())),
        (
            "clicks by product, place ignored",
            Box::new(|shown| {
                ordered(shown, |product| rates.get(&(shown.query.clone(), product.0)).copied().unwrap_or(0.0))
            }),
        ),
        (
            "place and product",
            Box::new(|shown| {
                ordered(shown, |product| {
                    model.attraction(&shown.query, product).map_or(0.0, |found| f64::from(found.rate))
                })
            }),
        ),
    ];
    for (name, order) in &orders {
        let gains: Vec<f64> =
            test.iter().map(|impression| weighed_dcg(impression, &order(impression), &model.examination)).collect();
        let mean = gains.iter().sum::<f64>() / gains.len().max(1) as f64;
        println!(
            "{}",
            json!({"ranking": name, "sessions": gains.len(), "weighed_dcg@10": mean, "weighed_dcg@10_ci95": mean_interval(&gains, seed)})
        );
    }
    println!("{}", json!({"examination": model.examination}));
    Ok(())
}

/// Sessions in the order of their files and numbers.
fn read(folder: &Path) -> Result<Vec<Impression>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let mut numbers: FxHashMap<String, u32> = FxHashMap::default();
    let mut impressions: Vec<Impression> = Vec::new();
    for path in paths {
        let mut current: Option<String> = None;
        read_separated(
            &path,
            b',',
            ["sess_id", "query", "rank", "clicked_doc_id", "clicked"],
            |[session, query, _, product, clicked]| {
                if current.as_deref() != Some(session) {
                    current = Some(session.to_owned());
                    impressions.push(Impression {
                        query: query.to_owned(),
                        first_place: 0,
                        shown: Vec::new(),
                        clicked: Vec::new(),
                    });
                }
                let next = numbers.len() as u32;
                let number = *numbers.entry(product.to_owned()).or_insert(next);
                if let Some(impression) = impressions.last_mut() {
                    impression.shown.push(ProductNumber(number));
                    impression.clicked.push(clicked == "True");
                }
                Ok(())
            },
        )?;
    }
    Ok(impressions)
}

fn place_rates(impressions: &[Impression]) -> Vec<f64> {
    let places = impressions.iter().map(|impression| impression.shown.len()).max().unwrap_or(0);
    let (mut shown, mut clicks) = (vec![0.0; places], vec![0.0; places]);
    for impression in impressions {
        for (place, clicked) in impression.clicked.iter().enumerate() {
            shown[place] += 1.0;
            clicks[place] += f64::from(u8::from(*clicked));
        }
    }
    clicks.iter().zip(shown).map(|(clicks, shown): (&f64, f64)| clicks / shown.max(1.0)).collect()
}

fn log_loss(impression: &Impression, predict: &dyn Fn(&Impression, usize) -> f64) -> f64 {
    let losses = impression.clicked.iter().enumerate().map(|(place, clicked)| {
        let rate = predict(impression, place).clamp(1e-4, 1.0 - 1e-4);
        if *clicked { -rate.ln() } else { -(1.0 - rate).ln() }
    });
    losses.sum::<f64>() / impression.clicked.len().max(1) as f64
}

fn ordered(impression: &Impression, worth: impl Fn(ProductNumber) -> f64) -> Vec<ProductNumber> {
    let mut order = impression.shown.clone();
    order.sort_by(|a, b| worth(*b).total_cmp(&worth(*a)));
    order
}
