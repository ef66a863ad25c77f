//! The pages of the manual that are made from what they describe: command line, settings, HTTP API.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use clap::CommandFactory;
use serde_json::Value;

use crate::Arguments;
use crate::config::DEFAULT;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Name and text of each page.
fn pages() -> Result<Vec<(&'static str, String)>> {
    Ok(vec![("command-line.md", command_line()), ("configuration.md", configuration()), ("api.md", api()?)])
}

pub(crate) fn write(folder: &Path) -> Result<()> {
    for (name, text) in pages()? {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn title(name: &str, about: &str) -> String {
    format!("# {name}\n\n<!-- Made by `make reference`; changes here are lost. -->\n\n{about}\n")
}

// ---- Command line ----

fn command_line() -> String {
    let mut page = title("Command line", "What `merx COMMAND --help` says, of all commands.");
    let mut root = Arguments::command().term_width(120).color(clap::ColorChoice::Never);
    root.build();
    describe(&root, "merx", &mut page);
    page
}

fn describe(command: &clap::Command, name: &str, page: &mut String) {
    // An environment may set defaults; the manual knows none.
    let mut shown = command.clone().mut_args(|argument| argument.hide_env_values(true));
    let help = shown.render_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _ = write!(page, "\n## {name}\n\n```text\n{}\n```\n", help.join("\n"));
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help") {
        describe(inner, &format!("{name} {}", inner.get_name()), page);
    }
}

// ---- Settings ----

const ABOUT_SETTINGS: &str = "Every setting with its default, as `config/default.toml` has it. A setting can be given in a file (`--config`), in the \
     environment (`MERX_SECTION__KEY`) and by flag (`--set section.key=value`); later ones win. `merx config` prints what is in force and \
     where it came from.";

fn configuration() -> String {
    let mut page = title("Settings", ABOUT_SETTINGS);
    let mut comment: Vec<&str> = Vec::new();
    let mut section = String::new();
    // Everything before the first section is about the file itself.
    let lines = DEFAULT.lines().skip_while(|line| !line.is_empty());
    for line in lines {
        if let Some(words) = line.strip_prefix('#') {
            comment.push(words.strip_prefix(' ').unwrap_or(words));
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
            let _ = write!(page, "\n## {name}\n\n{}| setting | default | |\n|---|---|---|\n", preface(&comment));
            comment.clear();
        } else if let Some((key, value)) = line.split_once(" = ") {
            let words = comment.join(" ").replace('|', "\\|");
            let _ = writeln!(page, "| `{section}.{key}` | `{value}` | {words} |");
            comment.clear();
        }
    }
    page
}

/// What stands above a section: prose, or, where it is aligned, as it is.
fn preface(comment: &[&str]) -> String {
    match comment {
        [] => String::new(),
        lines if lines.iter().any(|line| line.starts_with("  ")) => format!("```text\n{}\n```\n\n", lines.join("\n")),
        lines => format!("{}\n\n", lines.join("\n")),
    }
}

// ---- HTTP API ----

const ABOUT_API: &str = "Every operation and every problem code. A running server shows the whole with fields and examples at `/docs`; the document \
     behind it is [openapi/merx.json](../../openapi/merx.json).";

fn api() -> Result<String> {
    let document: Value = serde_json::from_str(&merx_serve::openapi_json())?;
    let mut page = title("HTTP API", ABOUT_API);
    for tag in list(&document["tags"]) {
        let _ = write!(page, "\n## {}\n\n{}\n\n", text(&tag["name"]), text(&tag["description"]));
        page.push_str("| | address | key | |\n|---|---|---|---|\n");
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for method in METHODS.iter().filter(|method| item[**method]["tags"][0] == tag["name"]) {
                let operation = &item[*method];
                let key = operation["x-key"].as_str().unwrap_or("-");
                let method = method.to_uppercase();
                let _ = writeln!(page, "| {method} | `{path}` | {key} | {} |", text(&operation["summary"]));
            }
        }
    }
    page.push_str("\n## Problems\n\n| code | status | meaning | what to do |\n|---|---|---|---|\n");
    for problem in list(&document["x-problems"]) {
        let (code, title, hint) = (text(&problem["code"]), text(&problem["title"]), text(&problem["hint"]));
        let _ = writeln!(page, "| `{code}` | {} | {title} | {hint} |", problem["status"]);
    }
    Ok(page)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checked_in_pages_are_those_of_this_binary() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference"));
        for (name, text) in pages().unwrap() {
            let checked_in = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
            assert!(checked_in == text, "docs/reference/{name} is old: write it again with `make reference`");
        }
    }

    #[test]
    fn every_setting_has_a_line() {
        let page = configuration();
        let loaded = crate::config::load(None, Vec::new(), &[]).unwrap();
        for key in loaded.values.keys() {
            assert!(page.contains(&format!("| `{key}` |")), "{key}");
        }
    }
}
