//! Measures recommendations on a public data set: `recommend LAYOUT DIR`, one JSON object a line.

use merx_domain::SystemClock;
use merx_train::protocols::{BenchOptions, Layout, bench_recommend};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let usage = || format!("usage: recommend {} DIR", Layout::NAMES.join("|"));
    let mut arguments = std::env::args().skip(1);
    let layout = arguments.next().and_then(|name| Layout::from_name(&name)).ok_or_else(usage)?;
    let data = arguments.next().ok_or_else(usage)?.into();
    let options = BenchOptions { layout, data, seed: 1 };
    bench_recommend(&options, &SystemClock, &mut |figure| println!("{}", serde_json::json!(figure)))?;
    Ok(())
}
