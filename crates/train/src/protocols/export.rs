//! Writes a split, so that other systems can be run on exactly the rows that were measured here.
//!
//! `train.jsonl`: a line a row, `{"items": [..], "at_s": [..]}`, oldest first. `test.jsonl`: a line a question,
//! `{"history": [..], "at_s": [..], "relevant": [..]}`. `split.json`: `{"set": .., "items": .., "repeats": ..}`. Items are dense
//! numbers; `items.txt` has the source's name of each, a line an item.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use merx_models::Interaction;
use serde_json::{Value, json};

use super::{BenchError, Task};

pub(super) fn write_split(task: &Task, dir: &Path) -> Result<(), BenchError> {
    let problem = |error: std::io::Error| BenchError::Write { path: dir.to_owned(), problem: error.to_string() };
    std::fs::create_dir_all(dir).map_err(problem)?;
    let train = task.train.as_ref().unwrap_or(&task.fit);
    let rows = train.histories.iter().map(|row| json!({ "items": items(row), "at_s": times(row) }));
    write_lines(&dir.join("train.jsonl"), rows).map_err(problem)?;
    let questions = task.test.iter().map(|example| {
        let history = &example.history;
        json!({ "history": items(history), "at_s": times(history), "relevant": example.relevant })
    });
    write_lines(&dir.join("test.jsonl"), questions).map_err(problem)?;
    std::fs::write(dir.join("items.txt"), task.item_names.join("\n")).map_err(problem)?;
    let about = json!({ "set": task.set, "items": train.item_count, "repeats": task.repeats });
    std::fs::write(dir.join("split.json"), about.to_string()).map_err(problem)
}

fn items(row: &[Interaction]) -> Vec<u32> {
    row.iter().map(|entry| entry.item).collect()
}

fn times(row: &[Interaction]) -> Vec<i64> {
    row.iter().map(|entry| entry.at_s).collect()
}

fn write_lines(path: &Path, lines: impl Iterator<Item = Value>) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    for line in lines {
        writeln!(out, "{line}")?;
    }
    out.flush()
}
