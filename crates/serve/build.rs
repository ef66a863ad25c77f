//! Puts the built console (`console/dist/site`) into the binary, each file with its compressed forms.
//!
//! Where it has not been built the list is empty, and the server says how to build it.

#![allow(clippy::unwrap_used, reason = "a build that can't read its inputs stops here")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
    // The folder is checked in, its content is not: a path that is missing would mean a build each time.
    let dist = root.join("../../console/dist");
    println!("cargo:rerun-if-changed={}", dist.display());
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap());
    // Copies: the console may be built again while the compiler runs.
    let copy = |path: &Path, to: String| {
        fs::copy(path, out.join(&to)).unwrap();
        format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{to}\"))")
    };
    let mut list = String::from("&[\n");
    let site = dist.join("site");
    for (number, path) in files(&site).into_iter().enumerate() {
        let name = path.strip_prefix(&site).unwrap().to_str().unwrap().to_owned();
        let beside = |ending: &str| {
            let path = PathBuf::from(format!("{}.{ending}", path.display()));
            if path.is_file() {
                format!("Some({})", copy(&path, format!("{number}.{ending}")))
            } else {
                "None".to_owned()
            }
        };
        let (plain, br, gzip) = (copy(&path, number.to_string()), beside("br"), beside("gz"));
        writeln!(list, "    File {{ name: {name:?}, plain: {plain}, br: {br}, gzip: {gzip} }},").unwrap();
    }
    list.push(']');
    fs::write(out.join("console.rs"), list).unwrap();
}

/// All files below a folder but the compressed forms, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_none_or(|ending| ending != "br" && ending != "gz") {
            found.push(path);
        }
    }
    found.sort();
    found
}
