//! What was planted is found in the events by simple counting, and the oracle knows more than the crowd.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use merx_domain::{DAY_MS, Event, EventKind, ProductNumber, TimestampMs};
use merx_numeric::rng::Rng;
use merx_simulate::{Shop, ShopConfig, TrendOf};

fn shop(seed: u64) -> Shop {
    Shop::new(ShopConfig { products: 1_500, shoppers: 3_000, seed, ..ShopConfig::default() })
}

fn numbers(shop: &Shop, event: &Event) -> Vec<ProductNumber> {
    event.lines.iter().filter_map(|line| shop.product_number(&line.product)).collect()
}

fn day_of(shop: &Shop, event: &Event) -> i32 {
    (event.occurred_at.0 - shop.config().start.0).div_euclid(DAY_MS) as i32
}

fn orders(shop: &Shop) -> impl Iterator<Item = Event> {
    shop.events().filter(|event| event.kind == EventKind::OrderCompleted)
}

fn fingerprint(shop: &Shop) -> u64 {
    let mut hasher = DefaultHasher::new();
    for event in shop.events() {
        (event.id, event.subject, event.kind, event.occurred_at, &event.query, &event.order).hash(&mut hasher);
        for line in &event.lines {
            (&line.product, &line.variant, line.quantity, line.position).hash(&mut hasher);
        }
    }
    hasher.finish()
}

#[test]
fn the_same_seed_gives_the_same_events() {
    assert_eq!(fingerprint(&shop(1)), fingerprint(&shop(1)));
    assert_ne!(fingerprint(&shop(1)), fingerprint(&shop(2)));
}

#[test]
fn events_come_in_order_with_ids_of_their_own_and_only_of_what_is_sold() {
    let shop = shop(1);
    let products: Vec<_> = shop.products().collect();
    let mut ids = HashSet::new();
    let mut last = TimestampMs(0);
    for event in shop.events() {
        assert!(event.occurred_at >= last);
        last = event.occurred_at;
        assert!(ids.insert(event.id), "{:?} stands twice", event.id);
        assert!(shop.shopper_of(event.subject).is_some());
        for number in numbers(&shop, &event) {
            let product = &products[number.index()];
            assert!(product.created_at <= event.occurred_at, "{} before it was there", product.name);
            assert!(product.sold_in(&event.context.market, event.occurred_at), "{} not sold there", product.name);
        }
    }
    assert!(last.0 < shop.config().end().0 + DAY_MS);
}

#[test]
fn rates_are_those_of_a_shop() {
    let shop = shop(1);
    let mut counts: HashMap<EventKind, f64> = HashMap::new();
    let mut sessions = HashSet::new();
    let (mut bought, mut returned, mut gpc) = (0.0, 0.0, 0.0);
    for event in shop.events() {
        *counts.entry(event.kind).or_default() += 1.0;
        gpc += f64::from(u8::from(event.consent.global_privacy_control));
        match event.kind {
            EventKind::OrderCompleted => bought += event.lines.len() as f64,
            EventKind::OrderRefunded => returned += event.lines.len() as f64,
            _ => {
                sessions.insert((event.subject, event.occurred_at.day()));
            }
        }
    }
    let events: f64 = counts.values().sum();
    let sessions = sessions.len() as f64;
    let of = |kind| counts.get(&kind).copied().unwrap_or_default();
    let within =
        |name: &str, value: f64, range: std::ops::Range<f64>| assert!(range.contains(&value), "{name}: {value}");
    within("visits a shopper", sessions / 3_000.0, 5.5..9.5);
    within("events a visit", events / sessions, 4.5..10.0);
    within("click-through of lists", of(EventKind::ProductClicked) / of(EventKind::ProductListViewed), 0.4..1.4);
    within("carts a view", of(EventKind::ProductAdded) / of(EventKind::ProductViewed), 0.1..0.4);
    within("orders a visit", of(EventKind::OrderCompleted) / sessions, 0.1..0.35);
    within("abandoned carts", 1.0 - of(EventKind::OrderCompleted) / of(EventKind::CartViewed), 0.15..0.6);
    within("returns", returned / bought, 0.02..0.2);
    within("searches a visit", of(EventKind::ProductsSearched) / sessions, 0.2..0.8);
    within("events with a privacy signal", gpc / events, 0.03..0.1);
}

#[test]
fn december_is_busy_and_full_of_gifts_and_spring_of_gardens() {
    let shop = shop(1);
    let mut views = HashMap::<(i32, &str), f64>::new();
    for event in shop.events().filter(|event| event.kind == EventKind::ProductViewed) {
        for number in numbers(&shop, &event) {
            let department = shop.catalogue().item(number).unwrap().kind().department;
            let name = match department {
                merx_simulate::Department::Toys => "toys",
                merx_simulate::Department::Garden => "garden",
                _ => "other",
            };
            *views.entry((day_of(&shop, &event) / 30, name)).or_default() += 1.0;
        }
    }
    let month = |month, name| views.get(&(month, name)).copied().unwrap_or_default();
    assert!(month(11, "toys") > 2.0 * month(8, "toys"));
    assert!(month(3, "garden") > 1.8 * month(11, "garden"));
    assert!(month(11, "other") > 1.2 * month(8, "other"));
}

#[test]
fn planted_partners_are_bought_together() {
    let shop = shop(1);
    let partners: HashMap<_, _> = shop.complements().collect();
    assert!(partners.len() > 100, "{} pairs", partners.len());
    let (mut with_first, mut with_both) = (0.0, 0.0);
    for order in orders(&shop) {
        let basket = numbers(&shop, &order);
        for number in &basket {
            if let Some(partner) = partners.get(number) {
                with_first += 1.0;
                with_both += f64::from(u8::from(basket.contains(partner)));
            }
        }
    }
    assert!(with_first > 300.0);
    let rate: f64 = with_both / with_first;
    assert!((0.25..0.5).contains(&rate), "{rate}");
}

#[test]
fn planted_trends_rise_and_fall() {
    let shop = shop(1);
    let mut views = HashMap::<(ProductNumber, i32), f64>::new();
    for event in shop.events().filter(|event| event.kind == EventKind::ProductViewed) {
        for number in numbers(&shop, &event) {
            *views.entry((number, day_of(&shop, &event))).or_default() += 1.0;
        }
    }
    let (mut at_peak, mut before) = (0.0, 0.0);
    for trend in shop.trends() {
        let TrendOf::Product(product) = trend.of else { continue };
        let week =
            |around: i32| -> f64 { (around - 3..=around + 3).filter_map(|day| views.get(&(product, day))).sum() };
        if trend.from_day > 10 {
            at_peak += week(trend.peak_day);
            before += week(trend.from_day - 4);
        }
    }
    assert!(at_peak > 50.0 && at_peak > 3.0 * before, "{before} before, {at_peak} at the peak");
}

#[test]
fn staples_come_back_at_their_interval() {
    let shop = shop(1);
    let mut bought = HashMap::<(u32, ProductNumber), Vec<i32>>::new();
    for order in orders(&shop) {
        let shopper = shop.shopper_of(order.subject).unwrap();
        for number in numbers(&shop, &order) {
            bought.entry((shopper, number)).or_default().push(day_of(&shop, &order));
        }
    }
    let (mut on_time, mut all) = (0, 0);
    for shopper in 0..shop.config().shoppers {
        for staple in shop.staples(shopper) {
            let days = bought.get(&(shopper, staple.product)).map_or(&[][..], Vec::as_slice);
            for pair in days.windows(2) {
                let off = (pair[1] - pair[0] - i32::from(staple.interval_days)).abs();
                on_time += usize::from(f64::from(off) <= 0.25 * f64::from(staple.interval_days) + 1.0);
                all += 1;
            }
        }
    }
    assert!(all > 800, "{all}");
    assert!(f64::from(on_time as u32) / f64::from(all as u32) > 0.7, "{on_time} of {all}");
}

/// Share of the last month's purchases of new things that stand in the first twenty.
#[test]
fn the_oracle_beats_popularity_on_held_out_purchases() {
    let shop = shop(1);
    let from = shop.config().days as i32 - 30;
    let mut sales = HashMap::<ProductNumber, u32>::new();
    let mut known = HashSet::<(u32, ProductNumber)>::new();
    let mut wanted = Vec::new();
    for order in orders(&shop) {
        let shopper = shop.shopper_of(order.subject).unwrap();
        for number in numbers(&shop, &order) {
            let is_new = known.insert((shopper, number));
            if day_of(&shop, &order) < from {
                *sales.entry(number).or_default() += 1;
            } else if is_new {
                wanted.push((shopper, number));
            }
        }
    }
    assert!(wanted.len() > 100);
    let mut popular: Vec<_> = sales.into_iter().collect();
    popular.sort_by_key(|(number, count)| (std::cmp::Reverse(*count), *number));
    let popular: HashSet<_> = popular.into_iter().take(20).map(|(number, _)| number).collect();

    let truth = shop.truth(shop.config().start.plus_ms(i64::from(from) * DAY_MS));
    let mut lists = HashMap::new();
    let (mut by_oracle, mut by_popularity) = (0, 0);
    for (shopper, number) in &wanted {
        let list = lists.entry(*shopper).or_insert_with(|| truth.oracle_top(&shop.shopper(*shopper), 20));
        by_oracle += usize::from(list.contains(number));
        by_popularity += usize::from(popular.contains(number));
    }
    println!("of {}: oracle {by_oracle}, popularity {by_popularity}", wanted.len());
    assert!(
        by_oracle > 2 * by_popularity.max(5),
        "of {}: oracle {by_oracle}, popularity {by_popularity}",
        wanted.len()
    );
}

#[test]
fn shoppers_click_what_suits_them() {
    let shop = shop(1);
    let truth = shop.truth(shop.config().start.plus_ms(200 * DAY_MS));
    let rng = &mut Rng::from_seed(5);
    let (mut suited, mut random) = (0, 0);
    for index in 0..300 {
        let shopper = shop.shopper(index);
        let best = truth.taste_top(&shopper, 10);
        assert!(truth.expected_click(&shopper, best[0]) > 0.0);
        assert!(truth.expected_purchase(&shopper, best[0]) >= truth.expected_purchase(&shopper, best[9]));
        let any: Vec<_> = (0..10).map(|place| ProductNumber((index * 37 + place * 101) % 1_500)).collect();
        suited += truth.respond(&shopper, &[], &best, rng).clicked.len();
        random += truth.respond(&shopper, &[], &any, rng).clicked.len();
    }
    assert!(suited > 4 * random, "{suited} against {random}");
}

#[test]
fn no_strip_brings_more_than_the_worthiest_and_its_mean_is_what_is_bought() {
    let shop = shop(1);
    let truth = shop.truth(shop.config().start.plus_ms(200 * DAY_MS));
    let rng = &mut Rng::from_seed(6);
    let prices: Vec<f32> = (0..1_500).map(|_| rng.between(5.0, 80.0) as f32).collect();
    let worth = |product: ProductNumber| prices[product.index()];
    let value = |shopper: &_, strip: &[ProductNumber]| -> f32 {
        truth
            .expected_units(shopper, &[], strip)
            .iter()
            .zip(strip)
            .map(|(units, product)| units * worth(*product))
            .sum()
    };
    let (mut expected, mut bought) = (0.0, 0.0);
    for index in 0..100 {
        let shopper = shop.shopper(index);
        let best = truth.worthiest(&shopper, 12, &[], &[], worth);
        let (of_best, of_liked) = (value(&shopper, &best), value(&shopper, &truth.taste_top(&shopper, 12)));
        assert!(of_best >= of_liked);
        let mut other = best.clone();
        other.swap(0, 11);
        assert!(of_best >= value(&shopper, &other), "the best stands first");
        for _ in 0..200 {
            bought +=
                truth.respond(&shopper, &[], &best, rng).bought.iter().map(|product| worth(*product)).sum::<f32>();
        }
        expected += 200.0 * of_best;
        let without = truth.worthiest(&shopper, 12, &[], &best, worth);
        assert!(without.iter().all(|product| !best.contains(product)));
        let owning_all: f32 = truth.expected_units(&shopper, &best, &best).iter().sum();
        assert!(owning_all <= truth.expected_units(&shopper, &[], &best).iter().sum(), "who has it wants it less");
    }
    assert!((bought / expected - 1.0).abs() < 0.1, "bought {bought}, expected {expected}");
}

#[test]
fn names_can_be_read() {
    let shop = Shop::new(ShopConfig::default());
    let products: Vec<_> = shop.products().collect();
    assert_eq!(products.len(), 5_000);
    let names: HashSet<_> = products.iter().map(|product| product.name.as_str()).collect();
    assert!(names.len() > 4_975, "{} different names", names.len());
    for product in &products {
        assert!((6..80).contains(&product.name.len()), "{:?}", product.name);
        let words: Vec<_> = product.name.split(' ').collect();
        assert!(words.windows(2).all(|pair| pair[0] != pair[1]), "{:?}", product.name);
        assert!(product.description.len() > 40 && product.brand.is_some() && product.category_path.len() == 3);
        assert!(!product.variants.is_empty() && product.variants.iter().all(|variant| variant.cost.is_some()));
        assert!(product.variants[0].prices.iter().all(|price| price.amount.minor > 0));
    }
    let new = products.iter().filter(|product| product.created_at > shop.config().start).count();
    assert!((1_500..2_500).contains(&new), "{new} appear during the year");
    assert!(shop.stock().any(|level| level.quantity == 0) && shop.stock().any(|level| level.quantity > 20));
}
