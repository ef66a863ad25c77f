//! kill -9 in the middle of a training: what served goes on serving, and no half version is left.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use merx_models::registry::{Registry, VersionStatus};
use merx_store::{LogSettings, Store};
use serde_json::json;

use crate::harness::{Chance, Shop, kill_after, succeed};

const KILLS: usize = 15;

fn training(shop: &Shop) -> Command {
    let mut command = shop.merx();
    command.args(["train", "--now", "--set", "train.gate_latency_ms=10000"]);
    command
}

/// Every version in the registry can be loaded, exactly one is live. Returns how many there are.
fn assert_registry_is_whole(shop: &Shop) -> usize {
    let migrations = merx_models::registry::MIGRATIONS;
    let store = Store::open_embedded(&shop.data(), migrations, LogSettings::default()).unwrap();
    let registry = Registry::new(Arc::clone(&store.records), Arc::clone(&store.artifacts));
    let versions = registry.list().unwrap();
    for version in &versions {
        // Reading verifies the hash.
        registry.load(version).unwrap();
    }
    assert_eq!(versions.iter().filter(|version| version.status == VersionStatus::Live).count(), 1);
    versions.len()
}

#[test]
fn a_killed_training_leaves_no_half_version() {
    let mut chance = Chance::seeded("kills of trainings", 3);
    let mut shop = Shop::small_demo();
    assert_eq!(assert_registry_is_whole(&shop), 1);
    let began = Instant::now();
    succeed(&mut training(&shop));
    let undisturbed = began.elapsed();
    let (mut kills, mut finished) = (0, 0);
    while kills < KILLS {
        // The end, where files and registry change, is hit as often as all the rest.
        let whole = undisturbed.as_micros() as u64;
        let late = chance.below(2) == 0;
        let wait = if late { whole * 9 / 10 + chance.below(whole / 5) } else { chance.below(whole) };
        match kill_after(&mut training(&shop), Duration::from_micros(wait)) {
            Some(()) => kills += 1,
            None => finished += 1,
        }
        let versions = assert_registry_is_whole(&shop);
        assert!((finished + 2..=finished + kills + 2).contains(&versions), "{versions} versions");
        assert!(kills + finished < 4 * KILLS, "trainings end before they can be killed");
    }
    println!("{kills} kills of trainings, {finished} finished in between; undisturbed {undisturbed:?}");
    let server = shop.serve(&[]);
    let answer = server.recommend(&json!({ "anonymous_id": "visitor" }), "popular");
    assert_eq!(answer["slots"][0]["items"].as_array().unwrap().len(), 5, "{answer}");
    let record = server.get(&format!("/v1/decisions/{}", answer["decision_id"].as_str().unwrap()));
    assert_eq!(record["fallback"], "live_model");
    server.stop();
    let said = succeed(&mut training(&shop));
    assert!(said.contains("trained v"), "{said}");
}
