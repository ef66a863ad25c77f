//! Rows out of files: CSV, TSV, JSON lines, Parquet and product feeds in XML, plain or gzipped, one after the other.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{self, DataType, TimeUnit};
use compact_str::CompactString;
use flate2::read::MultiGzDecoder;
use merx_domain::{DAY_MS, TimestampMs};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::feed::FeedRows;
use super::{Format, ImportError, Result};

/// Longest line of a JSON lines file, in bytes.
const MAX_LINE_BYTES: u64 = 4 << 20;

/// Rows of one Parquet batch.
const BATCH_ROWS: usize = 8_192;

/// One value. Text formats know only text; Parquet brings its types.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Missing,
    Text(CompactString),
    Integer(i64),
    Real(f64),
    /// A moment in time.
    Instant(TimestampMs),
    /// What a clock on some wall showed, counted as if that were UTC.
    Civil(TimestampMs),
}

impl Cell {
    pub(crate) fn text(text: &str) -> Self {
        let text = text.trim();
        if text.is_empty() { Self::Missing } else { Self::Text(text.into()) }
    }

    pub(crate) fn to_text(&self) -> Option<CompactString> {
        match self {
            Self::Missing => None,
            Self::Text(text) => Some(text.clone()),
            Self::Integer(number) => Some(compact_str::format_compact!("{number}")),
            Self::Real(number) => Some(compact_str::format_compact!("{number}")),
            Self::Instant(time) | Self::Civil(time) => Some(compact_str::format_compact!("{time}")),
        }
    }
}

/// One row: its line in the file (its number in a Parquet file), and a cell for each column asked for. `Err` says why
/// the line can't be read at all.
#[derive(Debug, Clone)]
pub(crate) struct SourceRow {
    pub(crate) line: u64,
    pub(crate) cells: std::result::Result<Vec<Cell>, String>,
}

/// Rows of a file, in its order.
pub(crate) trait Rows {
    /// The next rows, some at a time; empty at the end.
    fn next_rows(&mut self) -> Result<Vec<SourceRow>>;
}

/// Opens a file for some of its columns. A column that the file's header doesn't have is an error, except in formats
/// where each row names its own.
pub(crate) fn open(path: &Path, format: Format, columns: &[CompactString]) -> Result<Box<dyn Rows>> {
    Ok(match format {
        Format::Csv => Box::new(Delimited::open(path, b',', columns)?),
        Format::Tsv => Box::new(Delimited::open(path, b'\t', columns)?),
        Format::JsonLines => Box::new(JsonLines { reader: text_reader(path)?, columns: columns.to_vec(), line: 0 }),
        Format::Parquet => Box::new(ParquetRows::open(path, columns)?),
        Format::XmlFeed => Box::new(FeedRows::new(text_reader(path)?, columns)),
    })
}

/// The names in the header of a file; empty where there is none.
pub(crate) fn header(path: &Path, format: Format) -> Result<Vec<CompactString>> {
    match format {
        Format::Csv => delimited_header(path, b','),
        Format::Tsv => delimited_header(path, b'\t'),
        Format::Parquet => {
            let file = File::open(path).map_err(|error| ImportError::io(path, &error))?;
            let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| ImportError::format(path, e))?;
            Ok(builder.schema().fields().iter().map(|field| field.name().as_str().into()).collect())
        }
        Format::JsonLines | Format::XmlFeed => Ok(Vec::new()),
    }
}

pub(crate) fn text_reader(path: &Path) -> Result<Box<dyn BufRead>> {
    let file = File::open(path).map_err(|error| ImportError::io(path, &error))?;
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz")) {
        return Ok(Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file))));
    }
    Ok(Box::new(BufReader::with_capacity(1 << 16, file)))
}

/// UTF-8, or else the Latin-1 that older exports still come in.
fn decode(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.trim_start_matches('\u{feff}').into(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect::<String>().into(),
    }
}

fn csv_reader(path: &Path, delimiter: u8) -> Result<csv::Reader<Box<dyn BufRead>>> {
    let mut reader = text_reader(path)?;
    let beginning = reader.fill_buf().map_err(|error| ImportError::io(path, &error))?;
    let delimiter = if delimiter == b',' { comma_or_semicolon(beginning) } else { delimiter };
    Ok(csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(reader))
}

/// Where the comma is the decimal mark, programs put semicolons between columns and still call the file CSV.
fn comma_or_semicolon(beginning: &[u8]) -> u8 {
    let header = beginning.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |delimiter| header.iter().filter(|byte| **byte == delimiter).count();
    if count(b';') > count(b',') { b';' } else { b',' }
}

fn delimited_header(path: &Path, delimiter: u8) -> Result<Vec<CompactString>> {
    let mut reader = csv_reader(path, delimiter)?;
    let header = reader.byte_headers().map_err(|error| ImportError::format(path, error))?;
    Ok(header.iter().map(|name| decode(name).trim().into()).collect())
}

fn places(path: &Path, header: &[CompactString], columns: &[CompactString]) -> Result<Vec<usize>> {
    let place = |column: &CompactString| {
        header.iter().position(|name| name == column).ok_or_else(|| ImportError::NoColumn {
            path: path.display().to_string(),
            column: column.to_string(),
            columns: header.join(", "),
        })
    };
    columns.iter().map(place).collect()
}

struct Delimited {
    reader: csv::Reader<Box<dyn BufRead>>,
    record: csv::ByteRecord,
    places: Vec<usize>,
    width: usize,
}

impl Delimited {
    fn open(path: &Path, delimiter: u8, columns: &[CompactString]) -> Result<Self> {
        let header = delimited_header(path, delimiter)?;
        let places = places(path, &header, columns)?;
        Ok(Self { reader: csv_reader(path, delimiter)?, record: csv::ByteRecord::new(), places, width: header.len() })
    }

    fn row(&self) -> SourceRow {
        let line = self.record.position().map_or(0, csv::Position::line);
        if self.record.len() != self.width {
            let detail = format!("{} columns instead of {}", self.record.len(), self.width);
            return SourceRow { line, cells: Err(detail) };
        }
        let cell = |&place: &usize| self.record.get(place).map_or(Cell::Missing, |bytes| Cell::text(&decode(bytes)));
        SourceRow { line, cells: Ok(self.places.iter().map(cell).collect()) }
    }
}

impl Rows for Delimited {
    fn next_rows(&mut self) -> Result<Vec<SourceRow>> {
        let mut rows = Vec::new();
        while rows.len() < BATCH_ROWS {
            match self.reader.read_byte_record(&mut self.record) {
                Ok(true) => rows.push(self.row()),
                Ok(false) => break,
                Err(error) => return Err(ImportError::Unreadable { detail: error.to_string() }),
            }
        }
        Ok(rows)
    }
}

struct JsonLines {
    reader: Box<dyn BufRead>,
    columns: Vec<CompactString>,
    line: u64,
}

impl JsonLines {
    fn cells(&self, line: &str) -> std::result::Result<Vec<Cell>, String> {
        let value: serde_json::Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        if !value.is_object() {
            return Err("not a JSON object".to_owned());
        }
        Ok(self.columns.iter().map(|column| json_cell(member(&value, column))).collect())
    }
}

/// The member of a name, or of a path with dots.
fn member<'v>(value: &'v serde_json::Value, path: &str) -> Option<&'v serde_json::Value> {
    value.get(path).or_else(|| path.split('.').try_fold(value, |value, name| value.get(name)))
}

fn json_cell(value: Option<&serde_json::Value>) -> Cell {
    use serde_json::Value;
    match value {
        None | Some(Value::Null) => Cell::Missing,
        Some(Value::String(text)) => Cell::text(text),
        // Lists of texts (images, categories) travel as text; the mapping knows how to take them apart.
        Some(Value::Array(items)) => {
            let texts: Vec<_> = items.iter().filter_map(|item| json_cell(Some(item)).to_text()).collect();
            Cell::text(&texts.join(","))
        }
        Some(other) => Cell::text(&other.to_string()),
    }
}

impl Rows for JsonLines {
    fn next_rows(&mut self) -> Result<Vec<SourceRow>> {
        let mut rows = Vec::new();
        let mut line = Vec::new();
        while rows.len() < BATCH_ROWS {
            line.clear();
            let read = (&mut self.reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
            if read.map_err(|error| ImportError::Unreadable { detail: error.to_string() })? == 0 {
                break;
            }
            self.line += 1;
            if line.len() as u64 == MAX_LINE_BYTES && line.last() != Some(&b'\n') {
                return Err(ImportError::Unreadable { detail: format!("line {} has no end", self.line) });
            }
            let text = decode(&line);
            if !text.trim().is_empty() {
                rows.push(SourceRow { line: self.line, cells: self.cells(&text) });
            }
        }
        Ok(rows)
    }
}

struct ParquetRows {
    reader: ParquetRecordBatchReader,
    /// Place of each asked column among those read.
    places: Vec<usize>,
    row: u64,
}

impl ParquetRows {
    fn open(path: &Path, columns: &[CompactString]) -> Result<Self> {
        let file = File::open(path).map_err(|error| ImportError::io(path, &error))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| ImportError::format(path, e))?;
        let names: Vec<CompactString> =
            builder.schema().fields().iter().map(|field| field.name().as_str().into()).collect();
        let wanted = places(path, &names, columns)?;
        // The reader gives the columns in the file's order, each once.
        let mut read = wanted.clone();
        read.sort_unstable();
        read.dedup();
        let places = wanted.iter().map(|place| read.partition_point(|other| other < place)).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), read);
        let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build();
        Ok(Self { reader: reader.map_err(|error| ImportError::format(path, error))?, places, row: 0 })
    }
}

impl Rows for ParquetRows {
    fn next_rows(&mut self) -> Result<Vec<SourceRow>> {
        let Some(batch) = self.reader.next() else { return Ok(Vec::new()) };
        let unreadable = |error: arrow::error::ArrowError| ImportError::Unreadable { detail: error.to_string() };
        let batch = batch.map_err(unreadable)?;
        let columns = columns_of(&batch).map_err(unreadable)?;
        let first = self.row;
        self.row += batch.num_rows() as u64;
        let row = |index: usize| SourceRow {
            line: first + index as u64 + 1,
            cells: Ok(self.places.iter().map(|&place| columns[place][index].clone()).collect()),
        };
        Ok((0..batch.num_rows()).map(row).collect())
    }
}

fn columns_of(batch: &RecordBatch) -> std::result::Result<Vec<Vec<Cell>>, arrow::error::ArrowError> {
    batch.columns().iter().map(cells_of).collect()
}

fn cells_of(array: &arrow::array::ArrayRef) -> std::result::Result<Vec<Cell>, arrow::error::ArrowError> {
    let cast = |to: &DataType| arrow::compute::cast(array, to);
    Ok(match array.data_type() {
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => {
            let array = cast(&DataType::Int64)?;
            let numbers = array.as_primitive::<datatypes::Int64Type>();
            numbers.iter().map(|number| number.map_or(Cell::Missing, Cell::Integer)).collect()
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let array = cast(&DataType::Float64)?;
            let numbers = array.as_primitive::<datatypes::Float64Type>();
            let cell = |number: Option<f64>| number.filter(|n| n.is_finite()).map_or(Cell::Missing, Cell::Real);
            numbers.iter().map(cell).collect()
        }
        DataType::Timestamp(_, zone) => {
            let array = cast(&DataType::Timestamp(TimeUnit::Millisecond, zone.clone()))?;
            let moments = array.as_primitive::<datatypes::TimestampMillisecondType>();
            let make = if zone.is_some() { Cell::Instant } else { Cell::Civil };
            moments.iter().map(|ms| ms.map_or(Cell::Missing, |ms| make(TimestampMs(ms)))).collect()
        }
        DataType::Date32 | DataType::Date64 => {
            let array = cast(&DataType::Date32)?;
            let days = array.as_primitive::<datatypes::Date32Type>();
            let midnight = |day: i32| Cell::Civil(TimestampMs(i64::from(day) * DAY_MS));
            days.iter().map(|day| day.map_or(Cell::Missing, midnight)).collect()
        }
        _ => {
            let array = cast(&DataType::Utf8)?;
            array.as_string::<i32>().iter().map(|text| text.map_or(Cell::Missing, Cell::text)).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_utf8_are_latin1() {
        assert_eq!(decode(b"caf\xe9"), "café");
        assert_eq!(decode("\u{feff}café".as_bytes()), "café");
    }

    #[test]
    fn the_header_tells_what_is_between_columns() {
        assert_eq!(comma_or_semicolon(b"sku;name;price\n1;a, b, c, d;2,50"), b';');
        assert_eq!(comma_or_semicolon(b"sku,name,price\n1;2;3;4,a,b"), b',');
        assert_eq!(comma_or_semicolon(b"sku"), b',');
        assert_eq!(comma_or_semicolon(b""), b',');
    }

    #[test]
    fn members_are_found_by_name_or_path() {
        let value = serde_json::json!({"a": {"b": [1, "x"]}, "c.d": true});
        assert_eq!(json_cell(member(&value, "a.b")), Cell::Text("1,x".into()));
        assert_eq!(json_cell(member(&value, "c.d")), Cell::Text("true".into()));
        assert_eq!(json_cell(member(&value, "a.z")), Cell::Missing);
    }
}
