//! Finds the built pages that the binary carries: the demo shop and the browser library. They are made by npm, before
//! cargo; where they haven't been, the binary carries none and says so when it is asked for them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Constant, and the folder whose files it holds.
const FOLDERS: [(&str, &str); 2] = [("SHOP", "../../shopfront/dist"), ("SDK", "../../sdk/browser/dist")];

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let mut code = String::new();
    for (name, folder) in FOLDERS {
        let folder = root.join(folder);
        println!("cargo:rerun-if-changed={}", folder.display());
        let files = files(&folder)?;
        let _ = writeln!(code, "pub(crate) static {name}: &[(&str, &[u8])] = &[");
        for file in files {
            let path = file.strip_prefix(&folder).unwrap_or(&file).to_string_lossy().replace('\\', "/");
            let _ = writeln!(code, "    ({path:?}, include_bytes!({:?})),", file.display().to_string());
        }
        code.push_str("];\n");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("pages.rs"), code)
}

/// All files below a folder, in the order of their names; none where the folder isn't there.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    let mut found = Vec::new();
    for path in entries {
        if path.is_dir() {
            // Declarations of types are for compilers, not for browsers.
            if path.file_name().is_none_or(|name| name != "types") {
                found.extend(files(&path)?);
            }
        } else {
            found.push(path);
        }
    }
    Ok(found)
}
