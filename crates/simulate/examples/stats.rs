use merx_domain::*;
use merx_simulate::*;
use std::collections::HashMap;
#[allow(clippy::disallowed_methods)]
fn main() {
    let arg = |n: usize, d: u32| std::env::args().nth(n).and_then(|a| a.parse().ok()).unwrap_or(d);
    let t = std::time::Instant::now();
    let shop = Shop::new(ShopConfig {
        products: arg(1, 5000),
        shoppers: arg(2, 20000),
        visits_per_year: arg(3, 65) as f32 / 10.0,
        ..Default::default()
    });
    println!("shop {:?}", t.elapsed());
    let t = std::time::Instant::now();
    let mut n = 0u64;
    let mut kinds: HashMap<EventKind, u64> = HashMap::new();
    let mut lines = 0u64;
    let mut bought = 0u64;
    let mut bytes = 0u64;
    for e in shop.events() {
        n += 1;
        *kinds.entry(e.kind).or_default() += 1;
        if e.kind == EventKind::OrderCompleted {
            bought += e.lines.len() as u64;
        }
        lines += e.lines.len() as u64;
        bytes += 1;
    }
    let s = t.elapsed().as_secs_f64();
    println!("{n} events in {s:.2}s = {:.0}/s lines {lines} bought {bought} {bytes}", n as f64 / s);
    let mut k: Vec<_> = kinds.into_iter().collect();
    k.sort_by_key(|k| k.0);
    for (k, c) in k {
        println!("{:30} {c}", k.name());
    }
    for (i, p) in shop.products().enumerate() {
        if i % 97 == 0 {
            println!(
                "{} | {} | {} | {:?} | {}",
                p.name,
                p.brand.as_deref().unwrap_or(""),
                p.category_path.join("/"),
                p.variants[0].prices[0].amount,
                p.description
            );
        }
    }
    let s = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", s.lines().find(|l| l.starts_with("VmHWM")).unwrap());
}
