//! A server to fuzz and to measure: `cargo run --release --example shop -- 127.0.0.1:8090`. It prints its keys.

#[path = "../tests/harness/mod.rs"]
mod harness;

use std::sync::Arc;

use harness::{Shop, settings};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8090".to_owned());
    let products = std::env::args().nth(2).and_then(|count| count.parse().ok()).unwrap_or(200);
    let shop = Shop::with(settings(), products);
    println!("public={}\nsecret={}\nadmin={}", shop.public, shop.secret, shop.admin);
    let listener = TcpListener::bind(address).await?;
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    merx_serve::serve(Arc::clone(&shop.app), listener, stop).await
}
