//! `Lake` in a folder: `table/day=2026-01-31/part.parquet`, as DuckDB and Spark expect partitions.
//!
//! A file is written beside its place, synced and renamed, so a part is there whole or not at all. Compaction makes
//! `merged.parquet`, whose footer lists the parts it holds; a part that it lists counts no longer, even where a crash
//! left its file. Pages carry no checksum: damage is found where Parquet can't be decoded, and the remedy is a new export
//! from the log.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::BufWriter;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use parking_lot::{Mutex, RwLock};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::{file_error, sync_folder_of};
use crate::lake_layout::{MERGED, checked_name, day_name, parse_day};
use crate::{Lake, Result, StoreError};

const WHAT: &str = "lake";
/// Ends the name of a file that is not complete.
const WRITING: &str = "writing";
/// The key in the footer of a merged file: JSON `[[part, rows], ..]` in the order of the rows.
const PARTS_KEY: &str = "merx.parts";
const BATCH_ROWS: usize = 8_192;

pub struct ParquetLake {
    folder: PathBuf,
    /// One change at a time.
    changes: Mutex<()>,
    /// Held for writing while names change, for reading while a reader opens its files: it keeps what it has opened.
    names: RwLock<()>,
}

/// The rows of one part: a file of its own, or a range of rows of the merged one.
#[derive(Debug, Clone)]
struct Piece {
    part: String,
    path: PathBuf,
    rows: Option<Range<usize>>,
}

impl ParquetLake {
    pub fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|error| file_error(WHAT, &error))?;
        Ok(Self { folder: folder.to_owned(), changes: Mutex::default(), names: RwLock::default() })
    }

    fn table_folder(&self, table: &str) -> Result<PathBuf> {
        Ok(self.folder.join(checked_name(table)?))
    }

    fn day_folder(&self, table: &str, day: i32) -> Result<PathBuf> {
        Ok(self.table_folder(table)?.join(format!("day={}", day_name(day)?)))
    }

    /// Puts `rows` in the place of `part` within the merged file, which lists it.
    fn replace_in_merged(&self, folder: &Path, merged: &[Piece], part: &str, rows: &RecordBatch) -> Result<()> {
        let path = file_of(folder, MERGED);
        let mut writer = PartWriter::create(&path, rows.schema())?;
        for piece in merged {
            if piece.part == part {
                writer.put(part, rows)?;
            } else {
                writer.copy(piece)?;
            }
        }
        let finished = writer.finish()?;
        let _names = self.names.write();
        finished.publish()
    }

    /// Rewrites one file without the refused rows. `pieces` are all of that file. Returns the rows removed.
    fn rewrite_file(&self, pieces: &[Piece], keep: &dyn Fn(&RecordBatch) -> Vec<bool>) -> Result<u64> {
        let Some(Piece { path, .. }) = pieces.first() else { return Ok(0) };
        let mut removed = 0;
        for_each_batch(pieces, |_, batch| {
            removed += refused(batch, keep)?.1;
            Ok(())
        })?;
        if removed == 0 {
            return Ok(0);
        }
        let mut writer = PartWriter::create(path, schema_of(path)?)?;
        for_each_batch(pieces, |part, batch| {
            let (kept, _) = refused(batch, keep)?;
            writer.put(part, &filter_record_batch(batch, &kept).map_err(arrow_error)?)
        })?;
        let empty = writer.total == 0;
        let finished = writer.finish()?;
        let _names = self.names.write();
        finished.publish()?;
        if empty { remove_file(path) } else { Ok(()) }?;
        Ok(removed)
    }
}

impl Lake for ParquetLake {
    fn write(&self, table: &str, day: i32, part: &str, rows: &RecordBatch) -> Result<()> {
        if part == MERGED {
            return Err(StoreError::Conflict { what: WHAT, detail: format!("the part name {MERGED:?} is taken") });
        }
        let path = file_of(&self.day_folder(table, day)?, checked_name(part)?);
        let folder = folder_of(&path);
        let _change = self.changes.lock();
        make_folders(folder)?;
        let merged = merged_pieces(folder)?;
        if merged.iter().any(|piece| piece.part == part) {
            return self.replace_in_merged(folder, &merged, part, rows);
        }
        if rows.num_rows() == 0 {
            let _names = self.names.write();
            return remove_file(&path);
        }
        let mut writer = PartWriter::create(&path, rows.schema())?;
        writer.put(part, rows)?;
        let finished = writer.finish()?;
        let _names = self.names.write();
        finished.publish()
    }

    fn days(&self, table: &str) -> Result<Vec<i32>> {
        let _names = self.names.read();
        let mut days = Vec::new();
        for path in entries(&self.table_folder(table)?)? {
            let Some(day) = day_of(&path) else { continue };
            if !pieces(&path)?.is_empty() {
                days.push(day);
            }
        }
        days.sort_unstable();
        Ok(days)
    }

    fn scan(&self, table: &str, day: i32, visit: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        let folder = self.day_folder(table, day)?;
        let readers: Vec<_> = {
            let _names = self.names.read();
            joined(pieces(&folder)?).iter().map(open_piece).collect::<Result<_>>()?
        };
        for batch in readers.into_iter().flatten() {
            visit(plain(&batch.map_err(|error| damaged(&error))?)?)?;
        }
        Ok(())
    }

    fn compact(&self, table: &str, day: i32) -> Result<()> {
        let folder = self.day_folder(table, day)?;
        let _change = self.changes.lock();
        let pieces = pieces(&folder)?;
        let merged = file_of(&folder, MERGED);
        if pieces.len() > 1 && pieces.iter().any(|piece| piece.path != merged) {
            let mut writer = PartWriter::create(&merged, schema_of(&pieces[0].path)?)?;
            pieces.iter().try_for_each(|piece| writer.copy(piece))?;
            let finished = writer.finish()?;
            let _names = self.names.write();
            finished.publish()?;
        }
        // Also what an earlier compaction merged and a crash left.
        let listed: HashSet<String> = merged_pieces(&folder)?.into_iter().map(|piece| piece.part).collect();
        let _names = self.names.write();
        for (part, path) in part_files(&folder)? {
            if listed.contains(&part) {
                remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn rewrite(&self, table: &str, keep: &dyn Fn(&RecordBatch) -> Vec<bool>) -> Result<u64> {
        let _change = self.changes.lock();
        let mut removed = 0;
        for folder in entries(&self.table_folder(table)?)? {
            remove_unfinished(&folder)?;
            let merged = merged_pieces(&folder)?;
            removed += self.rewrite_file(&merged, keep)?;
            // Files that a crash left beside the merged one hold rows too, though they count no longer.
            for (part, path) in part_files(&folder)? {
                if merged.iter().any(|piece| piece.part == part) {
                    let _names = self.names.write();
                    remove_file(&path)?;
                } else {
                    removed += self.rewrite_file(&[Piece { part, path, rows: None }], keep)?;
                }
            }
        }
        Ok(removed)
    }
}

/// A Parquet file on its way: beside its place until published.
struct PartWriter {
    path: PathBuf,
    beside: PathBuf,
    writer: ArrowWriter<BufWriter<File>>,
    schema: SchemaRef,
    parts: Vec<(String, usize)>,
    total: usize,
}

/// Written and synced, not yet in its place.
struct Finished {
    path: PathBuf,
    beside: PathBuf,
}

impl PartWriter {
    fn create(path: &Path, schema: SchemaRef) -> Result<Self> {
        let beside = path.with_extension(WRITING);
        let file = File::create(&beside).map_err(|error| file_error(WHAT, &error))?;
        let level = ZstdLevel::try_new(3).map_err(|error| write_error(&error))?;
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
        let schema = Arc::new(Schema::new(schema.fields().clone()));
        let writer = ArrowWriter::try_new(BufWriter::new(file), schema.clone(), Some(properties))
            .map_err(|error| write_error(&error))?;
        Ok(Self { path: path.to_owned(), beside, writer, schema, parts: Vec::new(), total: 0 })
    }

    fn put(&mut self, part: &str, rows: &RecordBatch) -> Result<()> {
        if rows.schema().fields() != self.schema.fields() {
            let detail = format!("part {part} has other columns than its neighbours in {}", self.path.display());
            return Err(StoreError::Conflict { what: WHAT, detail });
        }
        self.total += rows.num_rows();
        match self.parts.last_mut() {
            Some((last, count)) if last == part => *count += rows.num_rows(),
            _ => self.parts.push((part.to_owned(), rows.num_rows())),
        }
        self.writer.write(&plain(rows)?).map_err(|error| write_error(&error))
    }

    fn copy(&mut self, piece: &Piece) -> Result<()> {
        for_each_batch(std::slice::from_ref(piece), |part, batch| self.put(part, batch))
    }

    fn finish(mut self) -> Result<Finished> {
        let parts = serde_json::to_string(&self.parts)
            .map_err(|error| StoreError::Unavailable { what: WHAT, detail: error.to_string() })?;
        self.writer.append_key_value_metadata(KeyValue::new(PARTS_KEY.to_owned(), parts));
        let out = self.writer.into_inner().map_err(|error| write_error(&error))?;
        let file = out.into_inner().map_err(|error| file_error(WHAT, error.error()))?;
        file.sync_all().map_err(|error| file_error(WHAT, &error))?;
        Ok(Finished { path: self.path, beside: self.beside })
    }
}

impl Finished {
    fn publish(self) -> Result<()> {
        fs::rename(&self.beside, &self.path).map_err(|error| file_error(WHAT, &error))?;
        sync_folder_of(&self.path, WHAT)
    }
}

/// Everything a day holds, by part name.
fn pieces(folder: &Path) -> Result<Vec<Piece>> {
    let mut pieces = merged_pieces(folder)?;
    let listed: HashSet<String> = pieces.iter().map(|piece| piece.part.clone()).collect();
    let own = part_files(folder)?.into_iter().filter(|(part, _)| !listed.contains(part));
    pieces.extend(own.map(|(part, path)| Piece { part, path, rows: None }));
    pieces.sort_by(|a, b| a.part.cmp(&b.part));
    Ok(pieces)
}

fn merged_pieces(folder: &Path) -> Result<Vec<Piece>> {
    let path = file_of(folder, MERGED);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let reader = open_file(&path)?;
    let pairs = reader.metadata().file_metadata().key_value_metadata();
    let parts = pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == PARTS_KEY)?.value.as_deref());
    let parts: Vec<(String, usize)> = serde_json::from_str(parts.unwrap_or_default()).map_err(|error| {
        StoreError::Damaged { what: WHAT, detail: format!("{}: its list of parts: {error}", path.display()) }
    })?;
    let mut start = 0;
    let piece = |(part, rows): (String, usize)| {
        let range = start..start + rows;
        start = range.end;
        Piece { part, path: path.clone(), rows: Some(range) }
    };
    Ok(parts.into_iter().map(piece).collect())
}

/// The files of single parts, by name and path.
fn part_files(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for path in entries(folder)? {
        let part = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        if path.extension().is_some_and(|extension| extension == "parquet") && part != MERGED {
            files.push((part, path));
        }
    }
    files.sort();
    Ok(files)
}

/// What a crash left of files on their way. They hold rows, though nobody reads them.
fn remove_unfinished(folder: &Path) -> Result<()> {
    let unfinished = entries(folder)?.into_iter().filter(|path| path.extension().is_some_and(|end| end == WRITING));
    unfinished.into_iter().try_for_each(|path| remove_file(&path))
}

/// Neighbouring ranges of the merged file as one, so that it's opened once.
fn joined(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut joined: Vec<Piece> = Vec::new();
    for piece in pieces {
        if let Some(Piece { rows: Some(before), path, .. }) = joined.last_mut()
            && let Some(rows) = &piece.rows
            && *path == piece.path
            && before.end == rows.start
        {
            before.end = rows.end;
        } else {
            joined.push(piece);
        }
    }
    joined
}

fn for_each_batch(pieces: &[Piece], mut visit: impl FnMut(&str, &RecordBatch) -> Result<()>) -> Result<()> {
    for piece in pieces {
        for batch in open_piece(piece)? {
            visit(&piece.part, &batch.map_err(|error| damaged(&error))?)?;
        }
    }
    Ok(())
}

fn open_piece(piece: &Piece) -> Result<ParquetRecordBatchReader> {
    let mut builder = open_file(&piece.path)?.with_batch_size(BATCH_ROWS);
    if let Some(rows) = &piece.rows {
        builder = builder.with_offset(rows.start).with_limit(rows.len());
    }
    builder.build().map_err(|error| read_error(&piece.path, &error))
}

fn open_file(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let file = File::open(path).map_err(|error| file_error(WHAT, &error))?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| read_error(path, &error))
}

/// Without the footer's words, which the reader hangs on the schema.
fn plain(batch: &RecordBatch) -> Result<RecordBatch> {
    let schema = Arc::new(Schema::new(batch.schema().fields().clone()));
    RecordBatch::try_new(schema, batch.columns().to_vec()).map_err(arrow_error)
}

fn schema_of(path: &Path) -> Result<SchemaRef> {
    Ok(open_file(path)?.schema().clone())
}

/// Which rows stay, and how many don't.
fn refused(batch: &RecordBatch, keep: &dyn Fn(&RecordBatch) -> Vec<bool>) -> Result<(BooleanArray, u64)> {
    let kept = BooleanArray::from(keep(batch));
    if kept.len() != batch.num_rows() {
        let detail = format!("{} answers for {} rows", kept.len(), batch.num_rows());
        return Err(StoreError::Unavailable { what: WHAT, detail });
    }
    let refused = batch.num_rows() - kept.true_count();
    Ok((kept, refused as u64))
}

fn file_of(folder: &Path, part: &str) -> PathBuf {
    folder.join(format!("{part}.parquet"))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

fn day_of(folder: &Path) -> Option<i32> {
    parse_day(folder.file_name()?.to_str()?.strip_prefix("day=")?)
}

/// What a folder holds; nothing where there is none.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |error: std::io::Error| file_error(WHAT, &error);
    match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(fail(error)),
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path()).map_err(fail)).collect(),
    }
}

/// A new folder is durable once the one that holds it is.
fn make_folders(day: &Path) -> Result<()> {
    if day.exists() {
        return Ok(());
    }
    fs::create_dir_all(day).map_err(|error| file_error(WHAT, &error))?;
    sync_folder_of(day, WHAT)?;
    sync_folder_of(folder_of(day), WHAT)
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(file_error(WHAT, &error)),
        Ok(()) => sync_folder_of(path, WHAT),
    }
}

fn io_cause(error: &ParquetError) -> Option<&std::io::Error> {
    match error {
        ParquetError::External(inner) => inner.downcast_ref(),
        _ => None,
    }
}

fn write_error(error: &ParquetError) -> StoreError {
    io_cause(error).map_or_else(
        || StoreError::Unavailable { what: WHAT, detail: error.to_string() },
        |error| file_error(WHAT, error),
    )
}

fn read_error(path: &Path, error: &ParquetError) -> StoreError {
    io_cause(error).map_or_else(
        || StoreError::Damaged { what: WHAT, detail: format!("{}: {error}", path.display()) },
        |error| file_error(WHAT, error),
    )
}

fn damaged(error: &arrow::error::ArrowError) -> StoreError {
    StoreError::Damaged { what: WHAT, detail: error.to_string() }
}

fn arrow_error(error: arrow::error::ArrowError) -> StoreError {
    StoreError::Unavailable { what: WHAT, detail: error.to_string() }
}
