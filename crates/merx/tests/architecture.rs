//! Holds the crate graph against the table in ARCHITECTURE.md.

#![allow(clippy::unwrap_used, reason = "a test that can't read the tree fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

struct Room {
    layer: u32,
    may_use: BTreeSet<String>,
}

/// Rows of the form `| 2 | `ingest` | .. | `domain`, `store` |`.
fn table() -> BTreeMap<String, Room> {
    let text = std::fs::read_to_string(Path::new(ROOT).join("ARCHITECTURE.md")).unwrap();
    let words = |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let mut rooms = BTreeMap::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let [_, layer, name, .., uses, _] = cells.as_slice()
            && let Ok(layer) = layer.parse()
        {
            let name = words(name).remove(0);
            rooms.insert(name, Room { layer, may_use: words(uses).into_iter().collect() });
        }
    }
    rooms
}

/// Which of our crates each crate really uses, tests included.
fn manifests() -> BTreeMap<String, BTreeSet<String>> {
    let mut graph = BTreeMap::new();
    for entry in std::fs::read_dir(Path::new(ROOT).join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        let manifest: toml::Table = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap();
        let mut uses = BTreeSet::new();
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let table = manifest.get(section).and_then(|value| value.as_table());
            uses.extend(
                table.into_iter().flatten().filter_map(|(name, _)| Some(name.strip_prefix("merx-")?.to_owned())),
            );
        }
        graph.insert(folder.file_name().unwrap().to_string_lossy().into_owned(), uses);
    }
    graph
}

#[test]
fn crates_use_what_the_table_allows() {
    let rooms = table();
    let graph = manifests();
    assert_eq!(rooms.keys().collect::<Vec<_>>(), graph.keys().collect::<Vec<_>>(), "rooms of the table and crates");
    let mut problems = Vec::new();
    for (name, uses) in &graph {
        let room = &rooms[name];
        for used in uses {
            if name != "merx" && !room.may_use.contains(used) {
                problems.push(format!("{name} uses {used}, which its row doesn't allow"));
            }
            if rooms[used].layer >= room.layer {
                problems.push(format!("{name} (layer {}) uses {used} (layer {})", room.layer, rooms[used].layer));
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}
