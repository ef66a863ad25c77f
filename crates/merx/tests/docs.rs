//! Holds the documentation to what there is: links lead somewhere, commands and settings exist, addresses are routed.

#![allow(clippy::unwrap_used, reason = "a test that can't read the tree fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// Words of somebody's own machine.
const FOREIGN: [&str; 3] = ["/work/", "../shared", "/root/"];

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

struct Page {
    path: PathBuf,
    text: String,
}

/// A fenced block: its language and its lines.
struct Block<'p> {
    language: &'p str,
    text: String,
}

fn pages() -> &'static [Page] {
    static PAGES: OnceLock<Vec<Page>> = OnceLock::new();
    PAGES.get_or_init(|| {
        let mut paths = Vec::new();
        for folder in ["docs", "benchmarks"] {
            collect(&Path::new(ROOT).join(folder), &mut paths);
        }
        let root = std::fs::read_dir(ROOT).unwrap().map(|entry| entry.unwrap().path());
        paths.extend(root.filter(|path| is_markdown(path)));
        assert!(paths.len() > 10, "{paths:?}");
        paths.into_iter().map(|path| Page { text: std::fs::read_to_string(&path).unwrap(), path }).collect()
    })
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true if path.file_name().is_some_and(|name| name != "node_modules" && name != ".venv") => {
                collect(&path, paths);
            }
            _ if is_markdown(&path) => paths.push(path),
            _ => {}
        }
    }
}

fn is_markdown(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
}

impl Page {
    fn name(&self) -> String {
        self.path.strip_prefix(ROOT).unwrap().display().to_string()
    }

    fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks = Vec::new();
        let mut open: Option<Block<'_>> = None;
        for line in self.text.lines() {
            match (line.trim_start().strip_prefix("```"), open.take()) {
                (Some(language), None) => open = Some(Block { language, text: String::new() }),
                (Some(_), Some(block)) => blocks.push(block),
                (None, Some(mut block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                    open = Some(block);
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block is not closed", self.name());
        blocks
    }

    fn blocks_in(&self, languages: &[&str]) -> Vec<Block<'_>> {
        self.blocks().into_iter().filter(|block| languages.contains(&block.language)).collect()
    }

    /// Outside of blocks.
    fn prose(&self) -> String {
        let mut inside = false;
        let outside = self.text.lines().filter(|line| {
            let fence = line.trim_start().starts_with("```");
            inside ^= fence;
            !inside && !fence
        });
        outside.collect::<Vec<_>>().join("\n")
    }

    fn links(&self) -> Vec<String> {
        let prose = self.prose();
        prose.split("](").skip(1).map(|rest| rest.split(')').next().unwrap().to_owned()).collect()
    }

    /// Of headings, as GitHub makes them.
    fn anchors(&self) -> BTreeSet<String> {
        let headings = self.prose();
        headings.lines().filter(|line| line.starts_with('#')).map(slug).collect()
    }
}

fn slug(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Runs the binary without what the surroundings would tell it.
fn merx(arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_merx"));
    std::env::vars().filter(|(name, _)| name.starts_with("MERX_")).for_each(|(name, _)| {
        command.env_remove(name);
    });
    let output = command.args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn links_lead_somewhere() {
    let mut problems = Vec::new();
    for page in pages() {
        for link in page.links().iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.path.clone(),
                file => page.path.parent().unwrap().join(file),
            };
            let anchored = || {
                let text = std::fs::read_to_string(&target).unwrap();
                Page { path: target.clone(), text }.anchors().contains(anchor)
            };
            if !target.exists() || (!anchor.is_empty() && !anchored()) {
                problems.push(format!("{}: {link}", page.name()));
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

/// Words of a command line up to what the shell would do with it.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, ' ') if word.is_empty() => {}
            (None, ' ') => words.push(std::mem::take(&mut word)),
            _ => word.push(c),
        }
    }
    words.push(word);
    let end = words.iter().position(|word| matches!(word.as_str(), "|" | ">" | "2>" | "&" | "&&" | ";" | "#" | ".."));
    words.truncate(end.unwrap_or(words.len()));
    words.retain(|word| !word.is_empty());
    words
}

/// Every `merx ..` of a block for the shell, with lines that a backslash goes on joined.
fn commands(page: &Page) -> Vec<(Vec<String>, Vec<String>)> {
    let mut found = Vec::new();
    for block in page.blocks_in(&["sh", "bash", "console"]) {
        for line in block.text.replace("\\\n", " ").lines() {
            let words = words(line.trim_start().trim_start_matches("$ "));
            let Some(at) = words.iter().position(|word| word == "merx") else { continue };
            let (before, rest) = words.split_at(at);
            if before.iter().all(|word| word.contains('=') || word == "sudo") {
                found.push((before.to_vec(), rest[1..].to_vec()));
            }
        }
    }
    found
}

/// The subcommands at the beginning of a command, and their help.
fn help_of(command: &[String]) -> Result<String, String> {
    static KNOWN: OnceLock<std::sync::Mutex<BTreeMap<Vec<String>, Option<String>>>> = OnceLock::new();
    let mut known = KNOWN.get_or_init(Default::default).lock().unwrap();
    let mut help = |path: &[String]| -> Option<String> {
        let run = || {
            let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
            arguments.push("--help");
            let (good, text) = merx(&arguments);
            good.then_some(text)
        };
        known.entry(path.to_vec()).or_insert_with(run).clone()
    };
    let mut path = Vec::new();
    let mut text = help(&[]).unwrap();
    for word in command.iter().filter(|word| !word.starts_with('-')) {
        let listed = text.lines().any(|line| line.trim_start().split(' ').next() == Some(word.as_str()));
        if !text.contains("Commands:") || !listed {
            break;
        }
        path.push(word.clone());
        text = help(&path).ok_or_else(|| format!("no command {}", path.join(" ")))?;
    }
    if path.is_empty() && !command.iter().any(|word| word == "--help" || word == "--version") {
        return Err("no command of merx".to_owned());
    }
    Ok(text)
}

#[test]
fn commands_and_their_flags_exist() {
    let mut problems = Vec::new();
    let mut count = 0;
    for page in pages() {
        for (_, command) in commands(page) {
            count += 1;
            let line = format!("{}: merx {}", page.name(), command.join(" "));
            let help = match help_of(&command) {
                Ok(help) => help,
                Err(problem) => {
                    problems.push(format!("{line}: {problem}"));
                    continue;
                }
            };
            for flag in command.iter().filter(|word| word.starts_with("--")) {
                let flag = flag.split('=').next().unwrap();
                if !help.split([' ', ',', '\n']).any(|word| word == flag) {
                    problems.push(format!("{line}: no flag {flag}"));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
    assert!(count > 20, "only {count} commands were found");
}

/// Settings that commands give by flag and by environment.
fn given_settings(page: &Page) -> Vec<String> {
    let mut settings = Vec::new();
    for (environment, command) in commands(page) {
        let flags = command.windows(2).filter(|pair| pair[0] == "--set").map(|pair| pair[1].clone());
        settings.extend(flags);
        let variables =
            environment.iter().filter_map(|word| word.strip_prefix("MERX_")).filter(|word| word.contains("__"));
        settings.extend(variables.map(|word| {
            let (name, value) = word.split_once('=').unwrap();
            format!("{}={value}", name.to_lowercase().replace("__", "."))
        }));
    }
    settings
}

#[test]
fn settings_exist() {
    let (_, listed) = merx(&["config", "--json"]);
    let keys: BTreeSet<String> = listed
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["key"].as_str().unwrap().to_owned())
        .collect();
    let sections: BTreeSet<&str> = keys.iter().map(|key| key.split('.').next().unwrap()).collect();
    let folder = tempfile::tempdir().unwrap();
    let mut problems = Vec::new();
    for page in pages() {
        for setting in given_settings(page).iter().filter(|setting| !setting.contains('$')) {
            let (good, text) = merx(&["config", "--set", setting]);
            if !good {
                problems.push(format!("{}: {setting}: {text}", page.name()));
            }
        }
        // `recommend.holdout` in the text.
        for code in page.prose().split('`').skip(1).step_by(2) {
            let is_path = code.contains('.') && code.chars().all(|c| c.is_ascii_lowercase() || "._".contains(c));
            let ours = is_path && sections.contains(code.split('.').next().unwrap());
            let file =
                ["toml", "txt", "json", "jsonl", "key", "sqlite"].iter().any(|end| code.ends_with(&format!(".{end}")));
            let group = keys.iter().any(|key| key.starts_with(&format!("{code}.")));
            if ours && !file && !group && !keys.contains(code) {
                problems.push(format!("{}: there is no setting {code}", page.name()));
            }
        }
        for (number, block) in page.blocks_in(&["toml"]).iter().enumerate() {
            if block.text.contains("entity = ") {
                let mapping = block.text.parse::<merx_ingest::import::Mapping>();
                problems.extend(mapping.err().map(|error| format!("{}: mapping: {error}", page.name())));
                continue;
            }
            let file = folder.path().join(format!("{number}.toml"));
            std::fs::write(&file, &block.text).unwrap();
            let (good, text) = merx(&["config", "--config", file.to_str().unwrap()]);
            if !good {
                problems.push(format!("{}: {}{text}", page.name(), block.text));
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

/// Whether an address fits a path of the document: `/v1/decisions/abc/why` fits `/v1/decisions/{id}/why`.
fn fits(address: &str, path: &str) -> bool {
    let (mut given, mut documented) = (address.split('/'), path.split('/'));
    loop {
        match (given.next(), documented.next()) {
            (None, None) => return true,
            (Some(_), Some(part)) if part.starts_with('{') => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

#[test]
fn addresses_are_routed() {
    let document: serde_json::Value = serde_json::from_str(include_str!("../../../openapi/merx.json")).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let mut problems = Vec::new();
    for page in pages() {
        for start in ["/v1/", "/health/"] {
            for (at, _) in page.text.match_indices(start) {
                let rest = &page.text[at..];
                let end = rest.find(|c: char| !(c.is_alphanumeric() || "/_-{}$".contains(c))).unwrap_or(rest.len());
                let address = rest[..end].trim_end_matches('/');
                let before = page.text[..at].trim_end_matches(' ').rsplit([' ', '`', '\n']).next().unwrap();
                // Somebody else's protocol, with an address of its own before the version.
                if before.starts_with('/') && paths.contains_key(&format!("{before}{address}")) {
                    continue;
                }
                let method = METHODS.contains(&before).then(|| before.to_lowercase());
                let mut fitting = paths.iter().filter(|(path, _)| fits(address, path));
                if address != "/v1"
                    && !fitting.any(|(_, item)| method.as_ref().is_none_or(|method| item.get(method).is_some()))
                {
                    problems.push(format!("{}: {before} {address}", page.name()));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn json_is_json() {
    for page in pages() {
        for block in page.blocks_in(&["json"]) {
            serde_json::from_str::<serde_json::Value>(&block.text)
                .unwrap_or_else(|error| panic!("{}: {error} in\n{}", page.name(), block.text));
        }
    }
}

#[test]
fn the_page_of_metrics_is_complete() {
    let source = include_str!("../../serve/src/metrics.rs");
    let names = |text: &'static str, open: char| -> BTreeSet<&str> {
        // Of a histogram the parts are no metrics of their own.
        let quoted = text.split(open).filter(|part| part.starts_with("merx_"));
        let plain = quoted.filter(|part| part.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
        plain.filter(|name| !name.ends_with("_bucket") && !name.ends_with("_count")).collect()
    };
    let page: &'static Page = pages().iter().find(|page| page.path.ends_with("operating/metrics.md")).unwrap();
    assert_eq!(names(&page.text, '`'), names(source, '"'));
}

#[test]
fn nobodys_own_machine_is_named() {
    for page in pages() {
        for word in FOREIGN {
            assert!(!page.text.contains(word), "{} names {word}", page.name());
        }
    }
}
