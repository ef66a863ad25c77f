//! Holds the licence of every dependency against deny.toml.

#![allow(clippy::unwrap_used, reason = "a test that can't read the tree fails")]

use std::collections::BTreeSet;
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Whether an SPDX expression can be met with the allowed licences. `/` is the old way to write OR.
fn allowed(expression: &str, allow: &BTreeSet<String>) -> bool {
    let normal = expression.replace('/', " OR ").replace(['(', ')'], " ");
    // No dependency nests AND below OR; should one come, the stricter reading refuses it and somebody looks.
    normal.split(" AND ").all(|part| part.split(" OR ").any(|licence| allow.contains(licence.trim())))
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let deny: toml::Table = std::fs::read_to_string(format!("{ROOT}/deny.toml")).unwrap().parse().unwrap();
    let allow: BTreeSet<String> =
        deny["licenses"]["allow"].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect();
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(ROOT)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "cargo metadata lists the dependencies");
    let refused: Vec<String> = packages
        .iter()
        .filter(|package| !allowed(package["license"].as_str().unwrap_or("none"), &allow))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert!(refused.is_empty(), "licences not in deny.toml: {refused:#?}");
}

#[test]
fn expressions_are_read() {
    let allow: BTreeSet<String> = ["MIT".to_owned(), "Zlib".to_owned()].into();
    assert!(allowed("MIT OR GPL-3.0", &allow));
    assert!(allowed("(MIT OR Apache-2.0) AND Zlib", &allow));
    assert!(allowed("MIT/Apache-2.0", &allow));
    assert!(!allowed("MIT AND GPL-3.0", &allow));
    assert!(!allowed("none", &allow));
}
