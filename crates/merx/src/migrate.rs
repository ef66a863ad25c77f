//! `merx migrate`: from the data folder to the services of the configuration, and back.
//!
//! Every step compares before it writes, so that a broken-off run is simply run again: tables by pages of their keys, the
//! log by its end, the lake by days, artifacts by their hashes. At the end both sides are read once more and compared by
//! counts and hashes. What is known of shoppers is not moved: it is rebuilt from the log.

use anyhow::{Context, Result, bail, ensure};
use merx_store::lake_events::{EVENTS_TABLE, READER};
use merx_store::{Artifacts, EventLog, Lake, LogOffset, Records, Row, Value};

use crate::config::Config;
use crate::storage;

/// Rows of a page, and of one transaction.
const PAGE_ROWS: i64 = 500;
const LOG_EVENTS: usize = 2_000;
/// The part of each day that holds all rows of it.
const MOVED_PART: &str = "moved";
/// Tables that belong to a store and not to the shop: dead letters are of places in its log, and come again where that is gone through.
const NOT_MOVED: [&str; 10] = [
    "migrations",
    "migration_lock",
    "log_events",
    "log_ends",
    "log_checkpoints",
    "leases",
    "lease_beats",
    "jobs",
    "dead_letters",
    "sqlite_sequence",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Side {
    /// The data folder.
    Folder,
    /// The services that `[storage]` names.
    Services,
}

/// A table of the shop: columns in their order, those of the primary key by their number.
struct Table {
    name: String,
    columns: Vec<String>,
    key: Vec<usize>,
}

pub(crate) fn run(config: &Config, to: Side) -> Result<()> {
    ensure!(!config.storage.services().is_empty(), "no service is configured: give [storage] addresses first");
    let (folder, services) = storage::both(config, &crate::shop::migrations())?;
    let (from, into) = if to == Side::Services { (&folder, &services) } else { (&services, &folder) };
    if config.storage.records.is_some() {
        let tables = tables(&*folder.records)?;
        tables.iter().try_for_each(|table| move_table(&*from.records, &*into.records, table))?;
        tables.iter().try_for_each(|table| compare_table(&*from.records, &*into.records, table))?;
    }
    if config.storage.log.is_some() {
        move_log(&*from.log, &*into.log)?;
    }
    if config.storage.artifacts.is_some() {
        move_artifacts(&*from.artifacts, &*into.artifacts)?;
    }
    if config.storage.lake.is_some() {
        move_lake(&*from.lake, &*into.lake)?;
    }
    drop((folder, services));
    storage::forget_online(config, to == Side::Services)?;
    println!("moved and compared; what is known of shoppers is rebuilt from the log at the next start");
    Ok(())
}

/// The shop's tables, as SQLite describes them: one side is always the folder.
fn tables(folder: &dyn Records) -> Result<Vec<Table>> {
    let sql = "SELECT m.name, c.name, c.pk FROM sqlite_master m JOIN pragma_table_info(m.name) c
               WHERE m.type = 'table' ORDER BY m.name, c.cid";
    let mut tables: Vec<Table> = Vec::new();
    let mut key_order: Vec<Vec<(i64, usize)>> = Vec::new();
    for Row(columns) in folder.query(sql, &[])? {
        let [Value::Text(table), Value::Text(column), Value::Integer(key)] = &columns[..] else {
            bail!("the folder's tables can't be listed")
        };
        if NOT_MOVED.contains(&table.as_str()) {
            continue;
        }
        if tables.last().is_none_or(|last| last.name != *table) {
            tables.push(Table { name: table.clone(), columns: Vec::new(), key: Vec::new() });
            key_order.push(Vec::new());
        }
        let (Some(last), Some(order)) = (tables.last_mut(), key_order.last_mut()) else { continue };
        if *key > 0 {
            order.push((*key, last.columns.len()));
        }
        last.columns.push(column.clone());
    }
    for (table, mut order) in tables.iter_mut().zip(key_order) {
        order.sort_unstable();
        table.key = order.into_iter().map(|(_, column)| column).collect();
        ensure!(!table.key.is_empty(), "the table {} has no primary key", table.name);
    }
    Ok(tables)
}

impl Table {
    fn key_columns(&self) -> String {
        self.key.iter().map(|column| quoted(&self.columns[*column])).collect::<Vec<_>>().join(", ")
    }

    fn all_columns(&self) -> String {
        self.columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ")
    }

    fn key_of(&self, row: &Row) -> Vec<Value> {
        self.key.iter().map(|column| row.0[*column].clone()).collect()
    }

    /// `(a, b) > ($1, $2)`: keys beyond one, from parameter `first` on.
    fn compared(&self, operator: &str, first: usize) -> String {
        let places: Vec<String> = (first..first + self.key.len()).map(|number| format!("${number}")).collect();
        format!("({}) {operator} ({})", self.key_columns(), places.join(", "))
    }

    /// A page behind `after`, in the order of the key.
    fn page(&self, records: &dyn Records, after: Option<&[Value]>) -> Result<Vec<Row>> {
        let beyond = after.map_or_else(String::new, |_| format!("WHERE {}", self.compared(">", 1)));
        let sql = format!(
            "SELECT {} FROM {} {beyond} ORDER BY {} LIMIT {PAGE_ROWS}",
            self.all_columns(),
            quoted(&self.name),
            self.key_columns()
        );
        Ok(records.query(&sql, after.unwrap_or_default())?)
    }
}

fn move_table(from: &dyn Records, into: &dyn Records, table: &Table) -> Result<()> {
    let mut after: Option<Vec<Value>> = None;
    loop {
        let rows = table.page(from, after.as_deref())?;
        let last = rows.last().map(|row| table.key_of(row));
        if !same_range(into, table, after.as_deref(), last.as_deref(), &rows)? {
            replace(into, table, after.as_deref(), last.as_deref(), &rows)
                .with_context(|| format!("moving the table {}", table.name))?;
        }
        match last {
            Some(last) => after = Some(last),
            None => return Ok(()),
        }
    }
}

/// The condition that a key lies behind `after` and not behind `last`, and its parameters.
fn range(table: &Table, after: Option<&[Value]>, last: Option<&[Value]>) -> (String, Vec<Value>) {
    let mut conditions = Vec::new();
    let mut parameters = Vec::new();
    for (bound, operator) in [(after, ">"), (last, "<=")] {
        if let Some(bound) = bound {
            conditions.push(table.compared(operator, parameters.len() + 1));
            parameters.extend_from_slice(bound);
        }
    }
    let condition = if conditions.is_empty() { "1 = 1".to_owned() } else { conditions.join(" AND ") };
    (condition, parameters)
}

fn same_range(
    records: &dyn Records,
    table: &Table,
    after: Option<&[Value]>,
    last: Option<&[Value]>,
    rows: &[Row],
) -> Result<bool> {
    let (condition, parameters) = range(table, after, last);
    let sql = format!(
        "SELECT {} FROM {} WHERE {condition} ORDER BY {} LIMIT {}",
        table.all_columns(),
        quoted(&table.name),
        table.key_columns(),
        PAGE_ROWS + 1
    );
    Ok(records.query(&sql, &parameters)? == rows)
}

fn replace(
    records: &dyn Records,
    table: &Table,
    after: Option<&[Value]>,
    last: Option<&[Value]>,
    rows: &[Row],
) -> Result<()> {
    let (condition, parameters) = range(table, after, last);
    let name = quoted(&table.name);
    let places: Vec<String> = (1..=table.columns.len()).map(|number| format!("${number}")).collect();
    let insert = format!("INSERT INTO {name} ({}) VALUES ({})", table.all_columns(), places.join(", "));
    Ok(records.transaction(&mut |transaction| {
        transaction.execute(&format!("DELETE FROM {name} WHERE {condition}"), &parameters)?;
        rows.iter().try_for_each(|row| transaction.execute(&insert, &row.0).map(drop))
    })?)
}

fn compare_table(from: &dyn Records, into: &dyn Records, table: &Table) -> Result<()> {
    let (there, here) = (fingerprint(from, table)?, fingerprint(into, table)?);
    ensure!(there == here, "the table {} differs: {} rows there, {} here; run it again", table.name, there.0, here.0);
    println!("table {}: {} rows, hash {}", table.name, here.0, &here.1[..16]);
    Ok(())
}

/// Number and hash of all rows in the order of the key.
fn fingerprint(records: &dyn Records, table: &Table) -> Result<(u64, String)> {
    let mut hasher = blake3::Hasher::new();
    let (mut count, mut after) = (0, None::<Vec<Value>>);
    loop {
        let rows = table.page(records, after.as_deref())?;
        let Some(last) = rows.last() else { return Ok((count, hasher.finalize().to_hex().to_string())) };
        after = Some(table.key_of(last));
        count += rows.len() as u64;
        rows.iter().flat_map(|row| &row.0).for_each(|value| hash_value(&mut hasher, value));
    }
}

fn hash_value(hasher: &mut blake3::Hasher, value: &Value) {
    let (kind, bytes) = match value {
        Value::Null => (0, Vec::new()),
        Value::Integer(integer) => (1, integer.to_le_bytes().to_vec()),
        Value::Real(real) => (2, real.to_le_bytes().to_vec()),
        Value::Text(text) => (3, text.as_bytes().to_vec()),
        Value::Bytes(bytes) => (4, bytes.clone()),
    };
    hasher.update(&[kind]).update(&(bytes.len() as u64).to_le_bytes()).update(&bytes);
}

/// A name as both databases take it, whatever is in it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Events keep their places: checkpoints and records name them.
fn move_log(from: &dyn EventLog, into: &dyn EventLog) -> Result<()> {
    trim(from, into)?;
    let mut after = into.end()?;
    loop {
        let events = from.read(after, LOG_EVENTS)?;
        let Some((last, _)) = events.last() else { break };
        after = Some(*last);
        into.restore(events)?;
    }
    if let Some(place) = from.checkpoint(READER)? {
        into.commit(READER, place)?;
    }
    println!("log: {} events at the same places", compare_logs(from, into)?);
    Ok(())
}

/// Takes out what is there and was removed here (a person who was erased since). An event that differs is another shop's.
fn trim(from: &dyn EventLog, into: &dyn EventLog) -> Result<()> {
    let mut after = None;
    loop {
        let here = into.read(after, LOG_EVENTS)?;
        let Some((last, _)) = here.last() else { return Ok(()) };
        let mut there = from.read(after, LOG_EVENTS)?;
        there.retain(|(place, _)| place <= last);
        let mut removed = Vec::new();
        for (place, event) in &here {
            match there.binary_search_by_key(place, |(place, _)| *place) {
                Ok(at) => ensure!(there[at].1 == *event, "the log to move to holds other events: at place {}", place.0),
                Err(_) => removed.push(*place),
            }
        }
        after = Some(*last);
        into.remove(&removed)?;
    }
}

/// Compares event by event. Returns how many.
fn compare_logs(from: &dyn EventLog, into: &dyn EventLog) -> Result<u64> {
    let (mut after, mut count): (Option<LogOffset>, u64) = (None, 0);
    loop {
        let (there, here) = (from.read(after, LOG_EVENTS)?, into.read(after, LOG_EVENTS)?);
        ensure!(there == here, "the logs differ after {after:?}; was one written to meanwhile? Run it again");
        let Some((last, _)) = there.last() else { return Ok(count) };
        count += there.len() as u64;
        after = Some(*last);
    }
}

fn move_artifacts(from: &dyn Artifacts, into: &dyn Artifacts) -> Result<()> {
    let hashes = from.list()?;
    for hash in &hashes {
        if !into.contains(*hash)? {
            ensure!(into.put(&from.get(*hash)?)? == *hash, "the artifact {hash} has another hash");
        }
        // Reads and hashes what arrived.
        into.get(*hash)?;
    }
    println!("artifacts: {}, each read again", hashes.len());
    Ok(())
}

fn move_lake(from: &dyn Lake, into: &dyn Lake) -> Result<()> {
    if !is_beginning_of(into, from)? {
        // Days that were written to or erased from since: all anew.
        into.rewrite(EVENTS_TABLE, &|batch| vec![false; batch.num_rows()])?;
    }
    let mut total = 0;
    for day in from.days(EVENTS_TABLE)? {
        let Some(rows) = all_rows(from, day)? else { continue };
        if all_rows(into, day)?.is_none() {
            into.write(EVENTS_TABLE, day, MOVED_PART, &rows)?;
        }
        ensure!(all_rows(into, day)?.as_ref() == Some(&rows), "day {day} of the lake differs; run it again");
        total += rows.num_rows();
    }
    println!("lake: {total} rows");
    Ok(())
}

/// Whether every day that is there is the same here.
fn is_beginning_of(part: &dyn Lake, whole: &dyn Lake) -> Result<bool> {
    for day in part.days(EVENTS_TABLE)? {
        if all_rows(part, day)? != all_rows(whole, day)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A day's rows; `None` where there are none.
fn all_rows(lake: &dyn Lake, day: i32) -> Result<Option<arrow::record_batch::RecordBatch>> {
    let mut batches = Vec::new();
    lake.scan(EVENTS_TABLE, day, &mut |batch| {
        batches.push(batch);
        Ok(())
    })?;
    let Some(first) = batches.first() else { return Ok(None) };
    Ok(Some(arrow::compute::concat_batches(&first.schema(), &batches)?))
}
