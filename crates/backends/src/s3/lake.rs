//! Tables by day: `table/day=2026-01-31/part.parquet`, as the lake in a folder lays them, so that one can be copied into the
//! other and any engine reads both.
//!
//! An object is there whole or not at all. Compaction makes `merged.parquet`, whose footer lists the parts it holds; a part
//! that it lists counts no longer, even where a crash left its object.
//!
//! Several replicas may write at once. `merged.parquet` is replaced only where it is still the one that was read. A part
//! written while another replica merges its day is not lost: the writer looks afterwards whether the merged object lists
//! it by now, and if so writes it in there; who merges looks afterwards whether a part is another than the one it read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use merx_store::lake_layout::{MERGED, checked_name, day_name, parse_day};
use merx_store::{Lake, Result, StoreError};
use object_store::path::Path;
use parking_lot::Mutex;

use super::objects::{PartsWriter, damaged, parts_of, plain, reader, schema_of};
use super::{Bucket, Expected};
use crate::address::Address;

const WHAT: &str = "lake";
/// Repetitions when others change the same day at the same time.
const ATTEMPTS: u32 = 20;

pub struct S3Lake {
    bucket: Bucket,
    /// One change at a time within this process.
    changes: Mutex<()>,
}

/// An object of a day.
#[derive(Debug, Clone)]
struct Object {
    path: Path,
    size: u64,
    tag: Expected,
}

/// The rows of one part: an object of its own, or a range of rows of the merged one.
#[derive(Debug, Clone)]
struct Piece {
    part: String,
    object: Object,
    rows: Option<Range<usize>>,
}

/// What one listing of a day showed.
#[derive(Default)]
struct Day {
    merged: Option<Object>,
    /// Part and its rows within the merged object, in their order.
    listed: Vec<(String, Range<usize>)>,
    own: BTreeMap<String, Object>,
}

impl Day {
    fn lists(&self, part: &str) -> bool {
        self.listed.iter().any(|(listed, _)| listed == part)
    }

    fn merged_pieces(&self) -> Vec<Piece> {
        let of = |object: &Object| {
            let piece = |(part, rows): &(String, Range<usize>)| Piece {
                part: part.clone(),
                object: object.clone(),
                rows: Some(rows.clone()),
            };
            self.listed.iter().map(piece).collect()
        };
        self.merged.as_ref().map(of).unwrap_or_default()
    }

    /// Everything that counts, by part name.
    fn pieces(&self) -> Vec<Piece> {
        let mut pieces = self.merged_pieces();
        let own = self.own.iter().filter(|(part, _)| !self.lists(part));
        pieces.extend(own.map(|(part, object)| Piece { part: part.clone(), object: object.clone(), rows: None }));
        pieces.sort_by(|a, b| a.part.cmp(&b.part));
        pieces
    }

    fn expected(&self) -> Expected {
        self.merged.as_ref().map_or(Expected::Absent, |object| object.tag.clone())
    }
}

impl S3Lake {
    pub fn open(address: &Address) -> Result<Self> {
        Ok(Self { bucket: Bucket::open(address, WHAT)?, changes: Mutex::default() })
    }

    /// Tries the bucket. Words for who asked.
    pub fn check(address: &Address) -> Result<String> {
        Bucket::open(address, WHAT).map(|bucket| bucket.words())
    }

    fn folder(&self, table: &str, day: i32) -> Result<String> {
        Ok(format!("{}/day={}", checked_name(table)?, day_name(day)?))
    }

    fn file(&self, folder: &str, part: &str) -> Path {
        self.bucket.path(&format!("{folder}/{part}.parquet"))
    }

    /// `None` where an object went away between two looks: look again.
    fn look(&self, folder: &str) -> Result<Option<Day>> {
        let mut day = Day::default();
        for meta in self.bucket.list(Some(&self.bucket.path(folder)))? {
            let object = Object { path: meta.location, size: meta.size, tag: Expected::Tag(meta.e_tag) };
            let Some(part) = object.path.filename().and_then(|name| name.strip_suffix(".parquet")) else { continue };
            if part == MERGED {
                day.merged = Some(object);
            } else {
                day.own.insert(part.to_owned(), object);
            }
        }
        if let Some(merged) = &day.merged {
            let fetch = |range| self.bucket.range(&merged.path, &merged.tag, range);
            let Some(parts) = parts_of(merged.path.as_ref(), merged.size, fetch)? else { return Ok(None) };
            let mut start = 0;
            for (part, rows) in parts {
                day.listed.push((part, start..start + rows));
                start += rows;
            }
        }
        Ok(Some(day))
    }

    /// Runs `work` on what a day holds until nothing changed under its hands.
    fn on_day<T>(&self, folder: &str, mut work: impl FnMut(&Day) -> Result<Option<T>>) -> Result<T> {
        for _ in 0..ATTEMPTS {
            if let Some(day) = self.look(folder)?
                && let Some(done) = work(&day)?
            {
                return Ok(done);
            }
        }
        Err(StoreError::Busy { what: WHAT, retry_after_ms: 1_000 })
    }

    /// The bytes of an object, if it is still the one that was listed.
    fn bytes(&self, object: &Object) -> Result<Option<Bytes>> {
        let found = self.bucket.find(&object.path)?;
        Ok(found.and_then(|(bytes, tag)| (tag == object.tag).then_some(bytes)))
    }

    /// Calls `visit` with each batch; `false` where an object is another by now. Each object is fetched once.
    fn each_batch(&self, pieces: &[Piece], mut visit: impl FnMut(&str, &RecordBatch) -> Result<()>) -> Result<bool> {
        let mut fetched: Option<(Path, Bytes)> = None;
        for piece in pieces {
            let bytes = match &fetched {
                Some((path, bytes)) if *path == piece.object.path => bytes.clone(),
                _ => {
                    let Some(bytes) = self.bytes(&piece.object)? else { return Ok(false) };
                    // Ranges of the merged object may alternate with parts of their own.
                    if piece.rows.is_some() {
                        fetched = Some((piece.object.path.clone(), bytes.clone()));
                    }
                    bytes
                }
            };
            let name = piece.object.path.as_ref();
            for batch in reader(name, bytes, piece.rows.as_ref())? {
                visit(&piece.part, &plain(&batch.map_err(|error| damaged(name, &error.to_string()))?)?)?;
            }
        }
        Ok(true)
    }

    /// Puts `rows` in the place of `part` within the merged object; whether that was still the one that was read.
    fn replace_in_merged(&self, folder: &str, day: &Day, part: &str, rows: &RecordBatch) -> Result<bool> {
        let mut writer = PartsWriter::new(&rows.schema())?;
        for piece in day.merged_pieces() {
            if piece.part == part {
                writer.put(part, rows)?;
            } else if !self.each_batch(&[piece], |part, batch| writer.put(part, batch))? {
                return Ok(false);
            }
        }
        self.bucket.replace(&self.file(folder, MERGED), writer.finish()?, &day.expected())
    }

    /// Merges everything that counts; the tags of the parts' objects that went into it. `None`: look again.
    fn merge(&self, folder: &str, day: &Day) -> Result<Option<HashMap<String, Expected>>> {
        let pieces = day.pieces();
        let merged = pieces.len() > 1 && pieces.iter().any(|piece| piece.rows.is_none());
        if !merged {
            return Ok(Some(HashMap::new()));
        }
        let Some(first) = self.bytes(&pieces[0].object)? else { return Ok(None) };
        let mut writer = PartsWriter::new(&schema_of(pieces[0].object.path.as_ref(), first)?)?;
        if !self.each_batch(&pieces, |part, batch| writer.put(part, batch))? {
            return Ok(None);
        }
        if !self.bucket.replace(&self.file(folder, MERGED), writer.finish()?, &day.expected())? {
            return Ok(None);
        }
        let own = pieces.into_iter().filter(|piece| piece.rows.is_none());
        Ok(Some(own.map(|piece| (piece.part, piece.object.tag)).collect()))
    }

    /// Removes objects whose rows the merged one holds. One that was written since goes into it first.
    fn remove_merged_parts(&self, folder: &str, read: &HashMap<String, Expected>) -> Result<()> {
        self.on_day(folder, |day| {
            for (part, object) in &day.own {
                if !day.lists(part) {
                    continue;
                }
                if read.get(part).is_some_and(|tag| *tag != object.tag) {
                    let Some(bytes) = self.bytes(object)? else { return Ok(None) };
                    let rows = whole(object, bytes)?;
                    if !self.replace_in_merged(folder, day, part, &rows)? {
                        return Ok(None);
                    }
                }
                self.bucket.remove(&object.path)?;
                if read.get(part).is_some_and(|tag| *tag != object.tag) {
                    // The merged object is another now.
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
    }

    /// Rewrites one object without the refused rows; `pieces` are all of it. Rows removed; `None`: look again.
    fn rewrite_object(&self, pieces: &[Piece], keep: &dyn Fn(&RecordBatch) -> Vec<bool>) -> Result<Option<u64>> {
        let Some(Piece { object, .. }) = pieces.first() else { return Ok(Some(0)) };
        let Some(bytes) = self.bytes(object)? else { return Ok(None) };
        let mut writer = PartsWriter::new(&schema_of(object.path.as_ref(), bytes)?)?;
        let mut removed = 0;
        let all = self.each_batch(pieces, |part, batch| {
            let kept = answers(batch, keep)?;
            removed += (batch.num_rows() - kept.true_count()) as u64;
            let rows = filter_record_batch(batch, &kept)
                .map_err(|error| StoreError::Unavailable { what: WHAT, detail: error.to_string() })?;
            writer.put(part, &rows)
        })?;
        if !all {
            return Ok(None);
        }
        if removed == 0 {
            return Ok(Some(0));
        }
        let empty = writer.total == 0;
        if !self.bucket.replace(&object.path, writer.finish()?, &object.tag)? {
            return Ok(None);
        }
        if empty {
            self.bucket.remove(&object.path)?;
        }
        Ok(Some(removed))
    }

    fn rewrite_day(&self, folder: &str, keep: &dyn Fn(&RecordBatch) -> Vec<bool>) -> Result<u64> {
        let mut removed = 0;
        self.on_day(folder, |day| {
            let Some(rows) = self.rewrite_object(&day.merged_pieces(), keep)? else { return Ok(None) };
            removed += rows;
            for (part, object) in &day.own {
                // What a crash left beside the merged object holds rows too, though they count no longer.
                if day.lists(part) {
                    self.bucket.remove(&object.path)?;
                    continue;
                }
                let piece = Piece { part: part.clone(), object: object.clone(), rows: None };
                let Some(rows) = self.rewrite_object(&[piece], keep)? else { return Ok(None) };
                removed += rows;
            }
            Ok(Some(()))
        })?;
        Ok(removed)
    }

    /// Days of a table that have an object.
    fn day_folders(&self, table: &str) -> Result<BTreeSet<i32>> {
        let folder = self.bucket.path(checked_name(table)?);
        let days = self.bucket.list(Some(&folder))?.into_iter().filter_map(|meta| {
            let inside: Vec<_> = meta.location.prefix_match(&folder)?.map(|part| part.as_ref().to_owned()).collect();
            match &inside[..] {
                [day, file] if file.ends_with(".parquet") => parse_day(day.strip_prefix("day=")?),
                _ => None,
            }
        });
        Ok(days.collect())
    }
}

impl Lake for S3Lake {
    fn write(&self, table: &str, day: i32, part: &str, rows: &RecordBatch) -> Result<()> {
        if checked_name(part)? == MERGED {
            return Err(StoreError::Conflict { what: WHAT, detail: format!("the part name {MERGED:?} is taken") });
        }
        let folder = self.folder(table, day)?;
        let path = self.file(&folder, part);
        let _change = self.changes.lock();
        self.on_day(&folder, |day| {
            if day.lists(part) {
                return Ok(self.replace_in_merged(&folder, day, part, rows)?.then_some(()));
            }
            if rows.num_rows() == 0 {
                self.bucket.remove(&path)?;
            } else {
                let mut writer = PartsWriter::new(&rows.schema())?;
                writer.put(part, rows)?;
                self.bucket.put(&path, writer.finish()?)?;
            }
            // Merged meanwhile, the object counts no longer.
            let after = self.look(&folder)?;
            Ok(after.is_some_and(|after| !after.lists(part)).then_some(()))
        })
    }

    fn days(&self, table: &str) -> Result<Vec<i32>> {
        Ok(self.day_folders(table)?.into_iter().collect())
    }

    fn scan(&self, table: &str, day: i32, visit: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        let folder = self.folder(table, day)?;
        // Fetched before the first visit, so that what is visited is one state of the day.
        let fetched = self.on_day(&folder, |day| {
            let mut objects: HashMap<Path, Bytes> = HashMap::new();
            let pieces = day.pieces();
            for piece in &pieces {
                if !objects.contains_key(&piece.object.path) {
                    let Some(bytes) = self.bytes(&piece.object)? else { return Ok(None) };
                    objects.insert(piece.object.path.clone(), bytes);
                }
            }
            Ok(Some((pieces, objects)))
        });
        let (pieces, objects) = fetched?;
        for piece in joined(pieces) {
            let Some(bytes) = objects.get(&piece.object.path) else { continue };
            let name = piece.object.path.as_ref();
            for batch in reader(name, bytes.clone(), piece.rows.as_ref())? {
                visit(plain(&batch.map_err(|error| damaged(name, &error.to_string()))?)?)?;
            }
        }
        Ok(())
    }

    fn compact(&self, table: &str, day: i32) -> Result<()> {
        let folder = self.folder(table, day)?;
        let _change = self.changes.lock();
        let read = self.on_day(&folder, |day| self.merge(&folder, day))?;
        // Also what an earlier compaction merged and a crash left.
        self.remove_merged_parts(&folder, &read)
    }

    fn rewrite(&self, table: &str, keep: &dyn Fn(&RecordBatch) -> Vec<bool>) -> Result<u64> {
        let _change = self.changes.lock();
        let mut removed = 0;
        for day in self.day_folders(table)? {
            removed += self.rewrite_day(&self.folder(table, day)?, keep)?;
        }
        Ok(removed)
    }
}

/// Neighbouring ranges of the merged object as one.
fn joined(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut joined: Vec<Piece> = Vec::new();
    for piece in pieces {
        if let Some(Piece { rows: Some(before), object, .. }) = joined.last_mut()
            && let Some(rows) = &piece.rows
            && object.path == piece.object.path
            && before.end == rows.start
        {
            before.end = rows.end;
        } else {
            joined.push(piece);
        }
    }
    joined
}

/// All rows of an object of one part.
fn whole(object: &Object, bytes: Bytes) -> Result<RecordBatch> {
    let name = object.path.as_ref();
    let broken = |error: arrow::error::ArrowError| damaged(name, &error.to_string());
    let schema = schema_of(name, bytes.clone())?;
    let batches = reader(name, bytes, None)?.collect::<Result<Vec<_>, _>>().map_err(broken)?;
    plain(&arrow::compute::concat_batches(&schema, &batches).map_err(broken)?)
}

fn answers(batch: &RecordBatch, keep: &dyn Fn(&RecordBatch) -> Vec<bool>) -> Result<BooleanArray> {
    let kept = BooleanArray::from(keep(batch));
    if kept.len() == batch.num_rows() {
        return Ok(kept);
    }
    let detail = format!("{} answers for {} rows", kept.len(), batch.num_rows());
    Err(StoreError::Unavailable { what: WHAT, detail })
}
