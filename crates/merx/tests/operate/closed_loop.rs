//! Shops that are played from their first day on, by `merx bench closed-loop`.

use serde_json::Value;

use crate::harness::{Shop, succeed};

fn figure(lines: &[Value], metric: &str, arm: Option<&str>, day: Option<u64>) -> f64 {
    let found = lines.iter().find(|line| {
        line["metric"] == metric && line["arm"].as_str() == arm && line["day"].as_u64() == day && line["part"].is_null()
    });
    let line = found.unwrap_or_else(|| panic!("no figure {metric} {arm:?} {day:?}"));
    line["value"].as_f64().unwrap()
}

/// What the comparison stands on: every arm begins with nothing, the same visits come to all, nobody does better than who knows the truth,
/// and nothing is shown that can't be bought.
#[test]
fn a_closed_loop_is_a_fair_comparison() {
    let shop = Shop::empty();
    let plots = shop.beside("plots");
    let mut bench = shop.merx();
    bench.args([
        "bench",
        "closed-loop",
        "--seeds",
        "2",
        "--first-seed",
        "301",
        "--days",
        "14",
        "--shown-percent",
        "100",
    ]);
    bench.args(["--products", "300", "--shoppers", "300"]).arg("--plots").arg(&plots);
    let printed = succeed(&mut bench);
    let lines: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |metric: &str, arm: &str| figure(&lines, metric, Some(arm), None);

    let [merx, popular] = ["merx", "popularity"].map(|arm| figure(&lines, "regret_of_day", Some(arm), Some(1)));
    assert!((merx - popular).abs() < 1e-9, "on the first day nobody knows anything: {merx} beside {popular}");
    assert!(of("visits", "merx") > 100.0 && of("visits", "merx") == of("visits", "oracle"));
    for arm in ["merx", "popularity"] {
        assert!((0.0..1.0).contains(&of("regret", arm)), "{arm} misses something of what the oracle earns, not all");
    }
    // Who knows every product and how tastes are spread does better than who learns them, and the oracle better still.
    assert!(0.0 < of("regret", "knowable") && of("regret", "knowable") < of("regret", "merx"));
    assert_eq!(figure(&lines, "sold_out_shown", None, None), 0.0);
    for name in ["regret", "learnable", "revenue", "ratio"] {
        let drawing = std::fs::read_to_string(plots.join(format!("{name}.svg"))).unwrap();
        assert!(drawing.starts_with("<svg") && drawing.ends_with("</svg>") && !drawing.contains("NaN"), "{name}");
    }
}

/// A slot that aims at revenue earns more than popularity does, in every shop.
#[test]
fn what_is_learnt_brings_more_revenue_than_popularity() {
    let shop = Shop::empty();
    let mut bench = shop.merx();
    bench.args(["bench", "closed-loop", "--seeds", "3", "--first-seed", "311", "--days", "21", "--learn-every", "10"]);
    bench.args(["--products", "300", "--shoppers", "1000", "--shown-percent", "20"]);
    let lines: Vec<Value> = succeed(&mut bench).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |metric| figure(&lines, metric, None, None);
    assert_eq!(of("shops_won"), 3.0);
    assert!(of("expected_revenue_ratio_second_half") > 1.2, "{}", of("expected_revenue_ratio_second_half"));
    // Price alone does most of that: what is known of products and people brings more.
    assert!(of("expected_revenue_over_best_sellers") > 1.03, "{}", of("expected_revenue_over_best_sellers"));
}
