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
    let mut list = String::from("&[\n");
    let site = dist.join("site");
    for path in files(&site) {
        let name = path.strip_prefix(&site).unwrap().to_str().unwrap().to_owned();
        let beside = |ending: &str| {
            let path = PathBuf::from(format!("{}.{ending}", path.display()));
            if path.is_file() { format!("Some(include_bytes!({path:?}))") } else { "None".to_owned() }
        };
        let (br, gzip) = (beside("br"), beside("gz"));
        writeln!(list, "    File {{ name: {name:?}, plain: include_bytes!({path:?}), br: {br}, gzip: {gzip} }},").unwrap();
    }
    list.push(']');
    fs::write(PathBuf::from(std::env::var_os("OUT_DIR").unwrap()).join("console.rs"), list).unwrap();
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
