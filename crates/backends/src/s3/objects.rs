//! Parquet in objects: written in memory, read whole or by the footer alone.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use merx_store::{Result, StoreError};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::WriterProperties;

/// The key in the footer: JSON `[[part, rows], ..]` in the order of the rows, as the lake in a folder writes it.
pub(super) const PARTS_KEY: &str = "merx.parts";
const BATCH_ROWS: usize = 8_192;
const WHAT: &str = "lake";

/// A file on its way.
pub(super) struct PartsWriter {
    writer: ArrowWriter<Vec<u8>>,
    schema: SchemaRef,
    parts: Vec<(String, usize)>,
    pub(super) total: usize,
}

impl PartsWriter {
    pub(super) fn new(schema: &SchemaRef) -> Result<Self> {
        let level = ZstdLevel::try_new(3).map_err(|error| failed(&error))?;
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
        let schema = Arc::new(Schema::new(schema.fields().clone()));
        let writer =
            ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties)).map_err(|error| failed(&error))?;
        Ok(Self { writer, schema, parts: Vec::new(), total: 0 })
    }

    pub(super) fn put(&mut self, part: &str, rows: &RecordBatch) -> Result<()> {
        if rows.schema().fields() != self.schema.fields() {
            let detail = format!("part {part} has other columns than its neighbours");
            return Err(StoreError::Conflict { what: WHAT, detail });
        }
        self.total += rows.num_rows();
        match self.parts.last_mut() {
            Some((last, count)) if last == part => *count += rows.num_rows(),
            _ => self.parts.push((part.to_owned(), rows.num_rows())),
        }
        self.writer.write(&plain(rows)?).map_err(|error| failed(&error))
    }

    pub(super) fn finish(mut self) -> Result<Vec<u8>> {
        let parts = serde_json::to_string(&self.parts)
            .map_err(|error| StoreError::Unavailable { what: WHAT, detail: error.to_string() })?;
        self.writer.append_key_value_metadata(KeyValue::new(PARTS_KEY.to_owned(), parts));
        self.writer.into_inner().map_err(|error| failed(&error))
    }
}

/// Rows of a file, all or a range.
pub(super) fn reader(name: &str, bytes: Bytes, rows: Option<&Range<usize>>) -> Result<ParquetRecordBatchReader> {
    let broken = |error: ParquetError| damaged(name, &error.to_string());
    let mut builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(broken)?.with_batch_size(BATCH_ROWS);
    if let Some(rows) = rows {
        builder = builder.with_offset(rows.start).with_limit(rows.len());
    }
    builder.build().map_err(broken)
}

pub(super) fn schema_of(name: &str, bytes: Bytes) -> Result<SchemaRef> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes);
    builder.map(|builder| builder.schema().clone()).map_err(|error| damaged(name, &error.to_string()))
}

/// The parts that a file says it holds, from its last bytes: `fetch` is asked for ranges. `None` where the file is gone.
pub(super) fn parts_of(
    name: &str,
    size: u64,
    fetch: impl Fn(Range<u64>) -> Result<Option<Bytes>>,
) -> Result<Option<Vec<(String, usize)>>> {
    const FIRST_GUESS: u64 = 64 << 10;
    let mut wanted = FIRST_GUESS;
    let metadata: ParquetMetaData = loop {
        let Some(bytes) = fetch(size.saturating_sub(wanted)..size)? else { return Ok(None) };
        let mut reading = ParquetMetaDataReader::new();
        match reading.try_parse_sized(&bytes, size) {
            Ok(()) => break reading.finish().map_err(|error| damaged(name, &error.to_string()))?,
            Err(ParquetError::NeedMoreData(needed)) if needed as u64 > wanted && wanted < size => {
                wanted = needed as u64
            }
            Err(error) => return Err(damaged(name, &error.to_string())),
        }
    };
    let pairs = metadata.file_metadata().key_value_metadata();
    let text = pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == PARTS_KEY)?.value.as_deref());
    let parts = serde_json::from_str(text.unwrap_or_default());
    parts.map(Some).map_err(|error| damaged(name, &format!("its list of parts: {error}")))
}

/// Without the footer's words, which the reader hangs on the schema.
pub(super) fn plain(batch: &RecordBatch) -> Result<RecordBatch> {
    let schema = Arc::new(Schema::new(batch.schema().fields().clone()));
    RecordBatch::try_new(schema, batch.columns().to_vec())
        .map_err(|error| StoreError::Unavailable { what: WHAT, detail: error.to_string() })
}

pub(super) fn damaged(name: &str, detail: &str) -> StoreError {
    StoreError::Damaged { what: WHAT, detail: format!("{name}: {detail}") }
}

fn failed(error: &ParquetError) -> StoreError {
    StoreError::Unavailable { what: WHAT, detail: error.to_string() }
}
