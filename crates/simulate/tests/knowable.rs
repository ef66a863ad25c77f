//! Beliefs about hidden tastes: better than none, and never better than knowing.

use merx_domain::{DAY_MS, ProductNumber};
use merx_numeric::rng::Rng;
use merx_simulate::{Observed, Shop, ShopConfig};

const DAYS: u32 = 40;

/// What strips bring in purchases: chosen by nobody's deeds, by those of the shopper, by the truth.
fn purchases() -> [f32; 3] {
    let config =
        ShopConfig { products: 300, shoppers: 60, days: DAYS, visits_per_year: 150.0, ..ShopConfig::default() };
    let shop = Shop::new(config);
    let mut observed = vec![Observed::default(); 60];
    let mut of_visit: Vec<Vec<merx_domain::Event>> = vec![Vec::new(); 60];
    let mut day = 0;
    let file = |observed: &mut [Observed], visits: &mut [Vec<merx_domain::Event>], day: i64| {
        let truth = shop.truth(shop.config().start.plus_ms(day * DAY_MS));
        for (observed, events) in observed.iter_mut().zip(visits) {
            observed.add(&truth, &std::mem::take(events));
        }
    };
    for event in shop.events() {
        let today = (event.occurred_at.0 - shop.config().start.0) / DAY_MS;
        if today > day {
            file(&mut observed, &mut of_visit, day);
            day = today;
        }
        if let Some(shopper) = shop.shopper_of(event.subject) {
            of_visit[shopper as usize].push(event);
        }
    }
    file(&mut observed, &mut of_visit, day);
    let truth = shop.truth(shop.config().start.plus_ms(i64::from(DAYS - 1) * DAY_MS));
    let mut sums = [0.0; 3];
    for (index, deeds) in observed.iter().enumerate() {
        let shopper = shop.shopper(index as u32);
        let brings = |strip: Vec<ProductNumber>| truth.expected_units(&shopper, &[], &strip).iter().sum::<f32>();
        for (sum, known) in sums.iter_mut().zip([&Observed::default(), deeds]) {
            let mut rng = Rng::from_seed(index as u64);
            *sum += brings(truth.worthiest_by_deeds(shopper.market, known, 12, &[], &[], |_| 1.0, &mut rng));
        }
        sums[2] += brings(truth.worthiest(&shopper, 12, &[], &[], |_| 1.0));
    }
    sums
}

#[test]
fn deeds_tell_much_of_a_taste_and_not_all() {
    let [nothing, deeds, everything] = purchases();
    assert!(deeds > 1.15 * nothing, "{deeds} beside {nothing} without any");
    assert!(deeds < everything, "{deeds} beside {everything}");
}
