//! Shops that are played from their first day on, by `merx bench closed-loop`: what Merx learns from what it showed brings more than popularity.

use serde_json::Value;

use crate::harness::{Shop, succeed};

/// A figure with its 95 % interval over shops.
fn figure(lines: &[Value], metric: &str, arm: Option<&str>, day: Option<u64>) -> (f64, f64, f64) {
    let found = lines.iter().find(|line| {
        line["metric"] == metric && line["arm"].as_str() == arm && line["day"].as_u64() == day && line["part"].is_null()
    });
    let line = found.unwrap_or_else(|| panic!("no figure {metric} {arm:?} {day:?}"));
    let number = |name: &str| line[name].as_f64().unwrap();
    (number("value"), number("low"), number("high"))
}

#[test]
fn learning_beats_popularity_and_regret_falls() {
    let shop = Shop::empty();
    let plots = shop.beside("plots");
    let mut bench = shop.merx();
    bench.args(["bench", "closed-loop", "--seeds", "4", "--first-seed", "301", "--days", "28"]);
    bench.args(["--products", "300", "--shoppers", "300", "--visits-per-year", "40"]).arg("--plots").arg(&plots);
    let printed = succeed(&mut bench);
    let lines: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();

    let merx = Some("merx");
    let (ratio, low, high) = figure(&lines, "expected_revenue_ratio", None, None);
    println!("revenue of Merx over popularity's: {ratio:.2} ({low:.2} to {high:.2})");
    assert!(low > 1.0, "what was learnt brings more: {ratio} ({low} to {high})");
    let (fall, low, high) = figure(&lines, "regret_fall_from_first_week", merx, None);
    println!("regret falls from the first week to the last by {fall:.3} ({low:.3} to {high:.3})");
    assert!(low > 0.0, "regret falls: {fall} ({low} to {high})");

    // On the first day nothing is known, and nobody does better than anybody.
    let [first, popular] = [merx, Some("popularity")].map(|arm| figure(&lines, "regret_of_day", arm, Some(1)).0);
    assert!((first - popular).abs() < 1e-9, "{first} beside {popular}");
    let [own, oracle] = [merx, Some("oracle")].map(|arm| figure(&lines, "revenue_per_visit", arm, None).0);
    assert!(own < oracle, "nobody knows more than the oracle: {own} of {oracle}");
    assert_eq!(figure(&lines, "sold_out_shown", None, None).0, 0.0);
    for name in ["regret", "revenue", "ratio"] {
        let drawing = std::fs::read_to_string(plots.join(format!("{name}.svg"))).unwrap();
        assert!(drawing.starts_with("<svg") && drawing.ends_with("</svg>") && !drawing.contains("NaN"), "{name}");
    }
}
