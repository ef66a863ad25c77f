//! Who is shown how much, and to whom what is shown: exposure of groups of products, parity between groups of shoppers, and how much
//! place and popularity decide.

use std::collections::BTreeMap;

use merx_numeric::distributions::normal_quantile;
use serde::Serialize;

/// One product in one answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// The answer it was in; rows of one answer depend on each other.
    pub decision: u64,
    pub product: u32,
    /// From 1.
    pub position: u32,
    /// Of the product groups that were asked for.
    pub groups: Vec<u16>,
    pub clicked: bool,
    pub price: Option<f64>,
    /// The shopper's group.
    pub shopper: u16,
    /// No model answered.
    pub fell_back: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FairnessPage {
    pub decisions: u64,
    pub products_shown: u64,
    pub groups: Vec<GroupExposure>,
    pub shoppers: Vec<ShopperParity>,
    /// Clicks by place.
    pub positions: Vec<PositionClicks>,
    pub popularity: PopularityBias,
}

/// How much of all attention a group of products gets. Attention falls off with the place by 1 / log2(1 + place), as in DCG.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupExposure {
    pub group: String,
    /// Of the products on sale.
    pub share_of_catalogue: f64,
    pub share_of_exposure: f64,
    /// 95 %, over decisions.
    pub low: f64,
    pub high: f64,
    /// Exposure by catalogue: 1 is parity.
    pub ratio: Option<f64>,
    /// Clicks by exposure, beside those of all products: below 1 it is shown more than it is liked.
    pub merit: Option<f64>,
    /// below, parity, above: beyond the four-fifths rule, and not by chance.
    pub verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShopperParity {
    pub group: String,
    pub decisions: u64,
    /// Mean price of what is shown, and beside that of all shoppers.
    pub mean_price: Option<f64>,
    pub price_ratio: Option<f64>,
    /// Share of decisions that no model answered.
    pub fallback_share: f64,
    /// Less that of all shoppers, in standard errors: beyond 3 is no chance.
    pub fallback_z: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PositionClicks {
    pub position: u32,
    pub shown: u64,
    pub clicks: u64,
    pub click_rate: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PopularityBias {
    /// Share of the exposure that the tenth of the shown products gets that is shown most.
    pub top_tenth_share: f64,
    /// Of exposure over the products on sale: 0 is even, 1 is all for one.
    pub gini: f64,
    /// Share of the products on sale that were shown at all.
    pub coverage: f64,
}

/// Positions that are listed.
const MOST_POSITIONS: u32 = 20;
/// The four-fifths rule of the Uniform Guidelines on Employee Selection Procedures, 29 CFR 1607.4 D.
const FOUR_FIFTHS: f64 = 0.8;

/// `product_groups`: name, and how many products on sale are in it; `products`: how many there are in all.
pub fn fairness(
    rows: &[Shown],
    product_groups: &[(String, u64)],
    shopper_groups: &[String],
    products: u64,
) -> FairnessPage {
    let mut by_product: BTreeMap<u32, f64> = BTreeMap::new();
    rows.iter().for_each(|row| *by_product.entry(row.product).or_default() += attention(row.position));
    let decisions: std::collections::BTreeSet<u64> = rows.iter().map(|row| row.decision).collect();
    FairnessPage {
        decisions: decisions.len() as u64,
        products_shown: by_product.len() as u64,
        groups: product_groups
            .iter()
            .enumerate()
            .map(|(place, group)| exposure(rows, place, group, products))
            .collect(),
        shoppers: parity(rows, shopper_groups),
        positions: positions(rows),
        popularity: popularity(by_product.into_values().collect(), products),
    }
}

fn attention(position: u32) -> f64 {
    1.0 / (1.0 + f64::from(position.max(1))).log2()
}

fn exposure(rows: &[Shown], place: usize, (group, in_catalogue): &(String, u64), products: u64) -> GroupExposure {
    let is_in = |row: &Shown| row.groups.contains(&(place as u16));
    // By decision, whose rows depend on each other: attention of the group, and of all.
    let mut by_decision: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
    let (mut clicks, mut all_clicks) = (0.0, 0.0);
    for row in rows {
        let weight = attention(row.position);
        let sums = by_decision.entry(row.decision).or_default();
        sums.1 += weight;
        if is_in(row) {
            sums.0 += weight;
        }
        if row.clicked {
            all_clicks += 1.0;
            clicks += f64::from(u8::from(is_in(row)));
        }
    }
    let (own, all) = by_decision.values().fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    let share = if all > 0.0 { own / all } else { 0.0 };
    // A ratio of sums, by the delta method.
    let n = by_decision.len() as f64;
    let squares: f64 = by_decision.values().map(|(own, all)| (own - share * all).powi(2)).sum();
    let error = if n > 1.0 && all > 0.0 { (squares * n / (n - 1.0)).sqrt() / all } else { 0.0 };
    let half = normal_quantile(0.975) * error;
    let fair = if products > 0 { *in_catalogue as f64 / products as f64 } else { 0.0 };
    let ratio = (fair > 0.0).then(|| share / fair);
    let (low, high) = ((share - half).max(0.0), (share + half).min(1.0));
    let merit = (own > 0.0 && all_clicks > 0.0).then(|| (clicks / all_clicks) / share);
    let verdict = match () {
        () if n < 2.0 || fair == 0.0 => "parity",
        () if high < FOUR_FIFTHS * fair => "below",
        () if low > fair / FOUR_FIFTHS => "above",
        () => "parity",
    };
    GroupExposure {
        group: group.clone(),
        share_of_catalogue: fair,
        share_of_exposure: share,
        low,
        high,
        ratio,
        merit,
        verdict,
    }
}

fn parity(rows: &[Shown], groups: &[String]) -> Vec<ShopperParity> {
    let mean_price = |of: &dyn Fn(&Shown) -> bool| {
        let prices: Vec<f64> = rows.iter().filter(|row| of(row)).filter_map(|row| row.price).collect();
        (!prices.is_empty()).then(|| prices.iter().sum::<f64>() / prices.len() as f64)
    };
    let decisions = |of: &dyn Fn(&Shown) -> bool| {
        let by_id: BTreeMap<u64, bool> =
            rows.iter().filter(|row| of(row)).map(|row| (row.decision, row.fell_back)).collect();
        (by_id.len() as u64, by_id.values().filter(|fell_back| **fell_back).count() as f64)
    };
    let (all_price, (all, all_back)) = (mean_price(&|_| true), decisions(&|_| true));
    let overall = if all == 0 { 0.0 } else { all_back / all as f64 };
    let one = |(place, group): (usize, &String)| {
        let of = |row: &Shown| usize::from(row.shopper) == place;
        let (count, back) = decisions(&of);
        let price = mean_price(&of);
        let share = if count == 0 { 0.0 } else { back / count as f64 };
        let error = (overall * (1.0 - overall) / count.max(1) as f64).sqrt();
        ShopperParity {
            group: group.clone(),
            decisions: count,
            mean_price: price,
            price_ratio: price.zip(all_price).filter(|(_, all)| *all > 0.0).map(|(own, all)| own / all),
            fallback_share: share,
            fallback_z: (error > 0.0 && count > 0).then(|| (share - overall) / error),
        }
    };
    groups.iter().enumerate().map(one).filter(|group| group.decisions > 0).collect()
}

fn positions(rows: &[Shown]) -> Vec<PositionClicks> {
    let mut sums: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.position <= MOST_POSITIONS) {
        let sum = sums.entry(row.position).or_default();
        sum.0 += 1;
        sum.1 += u64::from(row.clicked);
    }
    let page = |(position, (shown, clicks)): (u32, (u64, u64))| PositionClicks {
        position,
        shown,
        clicks,
        click_rate: clicks as f64 / shown as f64,
    };
    sums.into_iter().map(page).collect()
}

fn popularity(mut exposures: Vec<f64>, products: u64) -> PopularityBias {
    exposures.sort_unstable_by(|a, b| b.total_cmp(a));
    let sum: f64 = exposures.iter().sum();
    if sum <= 0.0 || products == 0 {
        return PopularityBias { top_tenth_share: 0.0, gini: 0.0, coverage: 0.0 };
    }
    let top: f64 = exposures.iter().take(exposures.len().div_ceil(10)).sum();
    // Products that were never shown have an exposure of 0 and stand last.
    let n = (products as f64).max(exposures.len() as f64);
    let ranked: f64 = exposures.iter().enumerate().map(|(rank, value)| (n - rank as f64) * value).sum();
    PopularityBias {
        top_tenth_share: top / sum,
        gini: (2.0 * ranked / (n * sum) - (n + 1.0) / n).clamp(0.0, 1.0),
        coverage: exposures.len() as f64 / n,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100 products of which the first half is one group; each decision shows 10, the group's first where `favoured`.
    fn rows(favoured: bool) -> Vec<Shown> {
        let mut rows = Vec::new();
        for decision in 0..400u64 {
            for position in 1..=10u32 {
                let draw = (decision as u32 * 7 + position * 13) % 50;
                let product = if favoured && position <= 8 || position.is_multiple_of(2) { draw } else { 50 + draw };
                rows.push(Shown {
                    decision,
                    product,
                    position,
                    groups: vec![u16::from(product >= 50)],
                    clicked: position == 1 && decision.is_multiple_of(4),
                    price: Some(if decision.is_multiple_of(2) { 10.0 } else { 30.0 }),
                    shopper: (decision % 2) as u16,
                    fell_back: decision.is_multiple_of(2) && decision.is_multiple_of(10),
                });
            }
        }
        rows
    }

    fn page(favoured: bool) -> FairnessPage {
        let groups = [("ours".to_owned(), 50), ("theirs".to_owned(), 50)];
        fairness(&rows(favoured), &groups, &["phone".to_owned(), "desktop".to_owned()], 100)
    }

    #[test]
    fn a_favoured_group_shows_and_an_even_one_does_not() {
        let verdicts = |page: &FairnessPage| page.groups.iter().map(|group| group.verdict).collect::<Vec<_>>();
        assert_eq!(verdicts(&page(true)), ["above", "below"]);
        assert_eq!(verdicts(&page(false)), ["parity", "parity"]);
        let even = page(false);
        assert!((even.groups[0].share_of_exposure + even.groups[1].share_of_exposure - 1.0).abs() < 1e-12);
    }

    #[test]
    fn prices_places_and_popularity_are_told() {
        let page = page(true);
        assert_eq!(
            (page.decisions, page.shoppers[0].mean_price, page.shoppers[1].price_ratio),
            (400, Some(10.0), Some(1.5))
        );
        assert!(page.shoppers[0].fallback_z.unwrap() > 3.0 && page.shoppers[1].fallback_share == 0.0);
        assert_eq!((page.positions[0].click_rate, page.positions[1].clicks), (0.25, 0));
        assert!(page.popularity.coverage <= 1.0 && page.popularity.gini > 0.1);
        let one = popularity(vec![5.0], 1_000);
        assert!((one.gini - 0.999).abs() < 1e-9 && one.top_tenth_share == 1.0);
        assert!(popularity(vec![1.0; 1_000], 1_000).gini < 1e-9);
    }
}
