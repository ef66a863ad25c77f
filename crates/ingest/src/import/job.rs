//! The import itself: rows are read in order, grouped into entities, and stored some thousands at a time together with
//! the place in the file.

use std::path::Path;

use compact_str::CompactString;
use merx_domain::ProductId;
use merx_store::Transaction;

use super::checkpoint::{Rejects, State};
use super::mapping::{Compiled, Entity, Fields};
use super::plan::{FilePlan, hash_of};
use super::shapes::{EventShape, OrderShape, ProductShape, Shape, StockShape};
use super::source::{self, SourceRow};
use super::{
    Counts, FileReport, ImportError, ImportOptions, ImportPlan, ImportReport, OnProgress, Progress, Reject, Result,
};
use crate::changes::Written;
use crate::pipeline::Ingest;

/// Rows stored in one transaction.
const BATCH_ROWS: usize = 20_000;

/// Rows of scattered entities held in memory until the file ends.
const MAX_HELD_ROWS: usize = 5_000_000;

/// Products made from order lines in one transaction.
const BATCH_PRODUCTS: usize = 5_000;

/// Imports the files of a plan, one after the other.
pub fn run(
    plan: ImportPlan,
    ingest: &Ingest,
    options: &ImportOptions,
    on_progress: OnProgress<'_>,
) -> Result<ImportReport> {
    let mut report = ImportReport { ignored: plan.ignored, ..ImportReport::default() };
    let mut behind = Behind {
        rows: 0,
        bytes: 0,
        rows_total: plan.files.iter().map(|file| file.rows).sum(),
        bytes_total: plan.files.iter().map(|file| file.bytes).sum(),
    };
    let mut rejects_bytes = 0;
    for mut file in plan.files {
        let entity = file.mapping.entity;
        let mut job = Job { ingest, options, file: &mut file, behind, rejects_bytes, on_progress };
        let (state, resumed_at) = match entity {
            Entity::Products => job.run(&ProductShape { at: options.at }),
            Entity::Stock => job.run(&StockShape { at: options.at }),
            Entity::Orders => job.run(&OrderShape),
            Entity::Events => job.run(&EventShape { at: options.at }),
        }?;
        rejects_bytes = state.rejects_bytes;
        behind.rows += file.rows;
        behind.bytes += file.bytes;
        report.total.add(&state.counts);
        report.files.push(FileReport { path: file.path, entity, counts: state.counts, resumed_at });
    }
    Ok(report)
}

/// The files before this one, and all of them.
#[derive(Clone, Copy)]
struct Behind {
    rows: u64,
    bytes: u64,
    rows_total: u64,
    bytes_total: u64,
}

struct Job<'j, 'p> {
    ingest: &'j Ingest,
    options: &'j ImportOptions,
    file: &'j mut FilePlan,
    behind: Behind,
    /// Length of the rejects file before this file's rows.
    rejects_bytes: u64,
    on_progress: OnProgress<'p>,
}

/// Entities whose rows are all there, and the one being read.
struct Gathered<R> {
    complete: Vec<Vec<R>>,
    rows: usize,
    open: Vec<R>,
    /// Rows of scattered entities, by key.
    held: std::collections::BTreeMap<CompactString, Vec<R>>,
    held_rows: usize,
}

impl<R> Gathered<R> {
    fn close(&mut self) {
        if !self.open.is_empty() {
            self.rows += self.open.len();
            self.complete.push(std::mem::take(&mut self.open));
        }
    }

    fn take(&mut self) -> Vec<Vec<R>> {
        self.rows = 0;
        std::mem::take(&mut self.complete)
    }
}

impl Job<'_, '_> {
    fn run<S: Shape>(&mut self, shape: &S) -> Result<(State, u64)> {
        let standing = if self.options.dry_run { None } else { State::load(self.ingest.records(), &self.file.job)? };
        let mut state = standing.unwrap_or(State { rejects_bytes: self.rejects_bytes, ..State::default() });
        let resumed_at = state.position;
        let mut rejects = Rejects::open(self.options.rejects.as_deref(), state.rejects_bytes)?;
        self.store_products()?;

        let mapping = self.file.mapping.clone();
        let compiled = mapping.compile()?;
        let mut source = source::open(&self.file.path, self.file.format, &compiled.columns)?;
        let mut gathered =
            Gathered { complete: Vec::new(), rows: 0, open: Vec::new(), held: Default::default(), held_rows: 0 };
        let mut index = 0;
        loop {
            let batch = source.next_rows()?;
            if batch.is_empty() {
                break;
            }
            for row in batch {
                self.take_row(shape, &compiled, row, index, &mut gathered, &mut state, &mut rejects)?;
                index += 1;
            }
        }
        gathered.close();
        state.position = state.position.max(index);
        self.flush(shape, gathered.take(), &mut state, &mut rejects)?;
        self.store_held(shape, gathered.held, &mut state, &mut rejects)?;
        if !self.options.dry_run {
            State::finish(self.ingest.records(), &self.file.job)?;
        }
        Ok((state, resumed_at))
    }

    /// Puts one row where it belongs. Rows before the checkpoint are passed over, but for scattered ones, which were
    /// only held in memory.
    fn take_row<S: Shape>(
        &mut self,
        shape: &S,
        compiled: &Compiled<'_>,
        row: SourceRow,
        index: u64,
        gathered: &mut Gathered<S::Row>,
        state: &mut State,
        rejects: &mut Rejects,
    ) -> Result<()> {
        let done = index < state.position;
        if done && self.file.scattered.is_empty() {
            return Ok(());
        }
        let read = match &row.cells {
            Ok(cells) => shape.read(Fields { compiled, cells }),
            Err(detail) => Err(Reject::new("unreadable_row", detail.clone())),
        };
        let new = match read {
            Ok(new) => new,
            Err(_) if done => return Ok(()),
            Err(reject) => {
                count_reject(&mut state.counts, &reject);
                return rejects.write(&self.file.path, &compiled.columns, &row, &reject);
            }
        };
        let scattered = S::key(&new).filter(|key| self.file.scattered.contains(&hash_of(key)));
        if let Some(key) = scattered {
            state.counts.read += u64::from(!done);
            gathered.held_rows += 1;
            if gathered.held_rows > MAX_HELD_ROWS {
                return Err(self.too_scattered());
            }
            let key = CompactString::from(key);
            gathered.held.entry(key).or_default().push(new);
            return Ok(());
        }
        if done {
            return Ok(());
        }
        let same = gathered.open.last().is_some_and(|last| S::key(last).is_some() && S::key(last) == S::key(&new));
        if !same {
            gathered.close();
            if gathered.rows >= BATCH_ROWS {
                state.position = index;
                self.flush(shape, gathered.take(), state, rejects)?;
            }
        }
        state.counts.read += 1;
        gathered.open.push(new);
        Ok(())
    }

    fn store_held<S: Shape>(
        &mut self,
        shape: &S,
        held: std::collections::BTreeMap<CompactString, Vec<S::Row>>,
        state: &mut State,
        rejects: &mut Rejects,
    ) -> Result<()> {
        let mut batch = Vec::new();
        let mut rows = 0;
        let mut done = state.scattered_done;
        for entity in held.into_values().skip(state.scattered_done as usize) {
            rows += entity.len();
            batch.push(entity);
            done += 1;
            if rows >= BATCH_ROWS {
                state.scattered_done = done;
                self.flush(shape, std::mem::take(&mut batch), state, rejects)?;
                rows = 0;
            }
        }
        state.scattered_done = done;
        self.flush(shape, batch, state, rejects)
    }

    /// Stores entities together with the state after them.
    fn flush<S: Shape>(
        &mut self,
        shape: &S,
        entities: Vec<Vec<S::Row>>,
        state: &mut State,
        rejects: &mut Rejects,
    ) -> Result<()> {
        rejects.sync()?;
        state.rejects_bytes = rejects.bytes;
        let sizes: Vec<u64> = entities.iter().map(|rows| rows.len() as u64).collect();
        if self.options.dry_run {
            state.counts.accepted += sizes.iter().sum::<u64>();
        } else if !entities.is_empty() {
            let (job, at) = (self.file.job.clone(), self.options.at);
            let mut after = state.clone();
            let mut alongside = |transaction: &mut dyn Transaction, written: &[Written]| {
                after.counts = state.counts.clone();
                count_written(&mut after.counts, written, &sizes);
                after.save(transaction, &job)
            };
            shape.store(self.ingest, entities, at, &mut alongside)?;
            *state = after;
        }
        self.tell(state.position)
    }

    fn tell(&mut self, rows: u64) -> Result<()> {
        let share = |of: u64| (u128::from(of) * u128::from(rows) / u128::from(self.file.rows.max(1))) as u64;
        let progress = Progress {
            path: &self.file.path,
            rows,
            rows_total: self.file.rows,
            all_rows: self.behind.rows + rows,
            all_rows_total: self.behind.rows_total,
            all_bytes: self.behind.bytes + share(self.file.bytes),
            all_bytes_total: self.behind.bytes_total,
        };
        if (self.on_progress)(progress).is_break() { Err(ImportError::Interrupted) } else { Ok(()) }
    }

    /// Products that only order lines tell of. What the catalogue knows by name already stays as it is.
    fn store_products(&mut self) -> Result<()> {
        if self.options.dry_run {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.file.products);
        let ids: Vec<ProductId> = rows.iter().map(|row| row.id.clone()).collect();
        let standing = self.ingest.catalogue.get(&ids)?;
        let unnamed = rows.into_iter().zip(standing).filter(|(row, standing)| {
            standing.as_ref().is_none_or(|standing| standing.product.name == row.id.as_str())
        });
        let mut unnamed = unnamed.map(|(row, _)| vec![row]).peekable();
        let shape = ProductShape { at: self.options.at };
        while unnamed.peek().is_some() {
            let batch = unnamed.by_ref().take(BATCH_PRODUCTS).collect();
            shape.store(self.ingest, batch, self.options.at, &mut |_, _| Ok(()))?;
        }
        Ok(())
    }

    fn too_scattered(&self) -> ImportError {
        let field = self.file.mapping.key().map_or("its key", |field| field.name());
        ImportError::Scattered { path: display(&self.file.path), field }
    }
}

fn display(path: &Path) -> String {
    path.display().to_string()
}

fn count_reject(counts: &mut Counts, reject: &Reject) {
    counts.read += 1;
    counts.rejected += 1;
    *counts.rejected_by_code.entry(reject.code.to_owned()).or_default() += 1;
}

fn count_written(counts: &mut Counts, written: &[Written], sizes: &[u64]) {
    for (written, rows) in written.iter().zip(sizes) {
        let (rows_of, entities) = match written {
            Written::Created => (&mut counts.accepted, &mut counts.entities_created),
            Written::Updated => (&mut counts.accepted, &mut counts.entities_updated),
            Written::Unchanged => (&mut counts.unchanged, &mut counts.entities_unchanged),
        };
        *rows_of += rows;
        *entities += 1;
    }
}
