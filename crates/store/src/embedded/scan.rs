//! Is anything left of a person? Looks for pseudonyms and names in every byte below a folder, and in what the bytes
//! mean where they are compressed or cut into pages: SQLite's cells, events, Parquet's values.
//!
//! Of each file all bytes are read, so that free pages, write-ahead logs and files that nobody lists any more count too.
//! A name is found as a whole word, in any case; one shorter than [`SHORT`] bytes would be found everywhere, so it is
//! compared with whole values that senders gave (search words, properties of events) alone.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use merx_domain::{Event, SubjectId};
use parking_lot::Mutex;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use super::file_error;
use super::sqlite::explain;
use crate::codec::decode_event;
use crate::{Result, StoreError};

const WHAT: &str = "scan";
/// Names below this length are compared with whole values only.
pub const SHORT: usize = 6;
const CHUNK: usize = 1 << 20;
/// Columns of the lake's tables that hold what senders wrote.
const GIVEN: [&str; 4] = ["query", "properties", "custom_name", "list"];

/// Something that must not be found.
#[derive(Clone)]
pub struct Needle {
    /// What findings call it; reports are kept, so it does not say the name itself.
    pub label: String,
    what: What,
}

#[derive(Clone)]
enum What {
    Subject(SubjectId),
    Name(String),
}

impl Needle {
    pub fn subject(label: impl Into<String>, subject: SubjectId) -> Self {
        Self { label: label.into(), what: What::Subject(subject) }
    }

    pub fn name(label: impl Into<String>, name: impl Into<String>) -> Self {
        Self { label: label.into(), what: What::Name(name.into()) }
    }

    #[must_use]
    pub fn labelled(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }

    /// Whether it is compared with whole values only.
    pub fn is_short(&self) -> bool {
        matches!(&self.what, What::Name(name) if name.len() < SHORT)
    }
}

/// Where something was found, and how often.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Finding {
    pub needle: String,
    pub place: String,
    pub count: u64,
}

/// What was looked through, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Scanned {
    pub files: u64,
    pub bytes: u64,
    /// Rows of tables and of Parquet files, read as what they mean.
    pub rows: u64,
    pub findings: Vec<Finding>,
}

/// Looks through everything below `folder` and `also`. `begin` is told of each file and may stop the search.
pub fn scan(
    folder: &Path,
    also: &[PathBuf],
    needles: &[Needle],
    begin: &mut dyn FnMut(&Path) -> Result<()>,
) -> Result<Scanned> {
    let mut search = Search { finder: Finder::new(needles)?, scanned: Scanned::default() };
    let mut files = Vec::new();
    for root in std::iter::once(folder).chain(also.iter().map(PathBuf::as_path)) {
        collect(root, &mut files)?;
    }
    files.sort();
    for path in files {
        begin(&path)?;
        let shown = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        search.file(&path, &shown)?;
    }
    Ok(search.scanned)
}

/// Files of databases that this process has opened for their bytes, by inode. They stay open: whoever closes one gives up
/// the locks that SQLite holds on it in the same process (POSIX record locks, <https://sqlite.org/howtocorrupt.html>, 2.2).
static HELD_OPEN: Mutex<Vec<(u64, u64, Arc<File>)>> = Mutex::new(Vec::new());

fn open_bytes(path: &Path) -> std::io::Result<Arc<File>> {
    let is_database = path.to_string_lossy().contains(".sqlite");
    if !is_database {
        return File::open(path).map(Arc::new);
    }
    let known = std::fs::metadata(path)?;
    let mut held = HELD_OPEN.lock();
    if let Some((.., file)) = held.iter().find(|(device, inode, _)| (*device, *inode) == (known.dev(), known.ino())) {
        return Ok(Arc::clone(file));
    }
    let file = Arc::new(File::open(path)?);
    let opened = file.metadata()?;
    held.push((opened.dev(), opened.ino(), Arc::clone(&file)));
    Ok(file)
}

/// A file that goes while the search is under way is gone.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let fail = |error: std::io::Error| file_error(WHAT, &error);
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(fail(error)),
        Ok(found) if found.is_dir() => {
            for entry in std::fs::read_dir(path).map_err(fail)? {
                collect(&entry.map_err(fail)?.path(), files)?;
            }
            Ok(())
        }
        Ok(_) => {
            files.push(path.to_owned());
            Ok(())
        }
    }
}

/// All needles at once.
struct Finder {
    labels: Vec<String>,
    /// Forms that 16 random bytes take: found wherever they stand.
    exact: AhoCorasick,
    exact_of: Vec<usize>,
    /// Forms of names: found as words.
    words: AhoCorasick,
    words_of: Vec<usize>,
    subjects: Vec<(SubjectId, usize)>,
    short: Vec<(String, usize)>,
    longest: usize,
}

impl Finder {
    fn new(needles: &[Needle]) -> Result<Self> {
        let (mut exact, mut exact_of, mut words, mut words_of) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut subjects, mut short) = (Vec::new(), Vec::new());
        for (number, needle) in needles.iter().enumerate() {
            match &needle.what {
                What::Subject(subject) => {
                    subjects.push((*subject, number));
                    let forms = subject_forms(*subject);
                    exact_of.extend(std::iter::repeat_n(number, forms.len()));
                    exact.extend(forms);
                }
                What::Name(name) if needle.is_short() => short.push((name.clone(), number)),
                What::Name(name) => {
                    let forms = name_forms(name);
                    words_of.extend(std::iter::repeat_n(number, forms.len()));
                    words.extend(forms);
                }
            }
        }
        let longest = exact.iter().chain(&words).map(Vec::len).max().unwrap_or(0);
        let build = |patterns: &[Vec<u8>]| {
            let built = AhoCorasickBuilder::new().ascii_case_insensitive(true).build(patterns);
            built.map_err(|error| StoreError::Unavailable { what: WHAT, detail: error.to_string() })
        };
        let labels = needles.iter().map(|needle| needle.label.clone()).collect();
        Ok(Self { labels, exact: build(&exact)?, exact_of, words: build(&words)?, words_of, subjects, short, longest })
    }

    /// Calls `hit` with each needle found in `bytes` whose last byte lies in `ends`.
    fn bytes(&self, bytes: &[u8], ends: std::ops::Range<usize>, hit: &mut dyn FnMut(usize)) {
        for found in self.exact.find_overlapping_iter(bytes) {
            if ends.contains(&found.end()) {
                hit(self.exact_of[found.pattern().as_usize()]);
            }
        }
        for found in self.words.find_overlapping_iter(bytes) {
            if ends.contains(&found.end()) && is_word(bytes, found.range()) {
                hit(self.words_of[found.pattern().as_usize()]);
            }
        }
    }

    fn all(&self, bytes: &[u8], hit: &mut dyn FnMut(usize)) {
        self.bytes(bytes, 0..bytes.len() + 1, hit);
    }

    /// A text that a sender gave: also the short names, as the whole of it. A text within JSON has quotes.
    fn given(&self, text: &str, hit: &mut dyn FnMut(usize)) {
        self.all(text.as_bytes(), hit);
        let plain = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        for (name, number) in &self.short {
            if plain.eq_ignore_ascii_case(name) {
                hit(*number);
            }
        }
    }

    fn subject(&self, subject: SubjectId, hit: &mut dyn FnMut(usize)) {
        self.subjects.iter().filter(|(known, _)| *known == subject).for_each(|(_, number)| hit(*number));
    }

    fn event(&self, event: &Event, hit: &mut dyn FnMut(usize)) {
        self.subject(event.subject, hit);
        event.merged_from.into_iter().for_each(|subject| self.subject(subject, hit));
        let given = [&event.query, &event.custom_name, &event.list].into_iter().flatten();
        given.map(|text| text.as_str()).chain(event.properties.values().map(String::as_str)).for_each(|text| {
            self.given(text, hit);
        });
        let context = [&event.context.page_path, &event.context.referrer_host, &event.context.campaign_source];
        for text in context.into_iter().chain([&event.context.campaign_name]).flatten() {
            self.all(text.as_bytes(), hit);
        }
    }
}

/// As raw bytes in both orders, as hexadecimal text with and without hyphens, and as postcard's number.
fn subject_forms(subject: SubjectId) -> Vec<Vec<u8>> {
    let text = subject.to_string();
    let hyphens = format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]);
    let mut varint = Vec::new();
    let mut rest = subject.0;
    while rest >= 0x80 {
        varint.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    varint.push(rest as u8);
    let bytes = subject.to_bytes();
    vec![bytes.to_vec(), bytes.iter().rev().copied().collect(), text.into_bytes(), hyphens.into_bytes(), varint]
}

/// As it is, as JSON writes it, as an address on the web writes it.
fn name_forms(name: &str) -> Vec<Vec<u8>> {
    let json = serde_json::Value::from(name).to_string();
    let escaped = json.trim_matches('"').to_owned();
    let percent = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    let mut forms = vec![name.to_owned(), escaped, name.bytes().map(percent).collect()];
    forms.sort();
    forms.dedup();
    forms.into_iter().map(String::into_bytes).collect()
}

/// Not a part of a longer word; or the whole of a text whose length stands before it, as postcard writes texts.
fn is_word(bytes: &[u8], range: std::ops::Range<usize>) -> bool {
    let part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let before = range.start.checked_sub(1).and_then(|at| bytes.get(at));
    if before.is_some_and(|length| usize::from(*length) == range.len()) {
        return true;
    }
    !part(before) && !part(bytes.get(range.end))
}

struct Search {
    finder: Finder,
    scanned: Scanned,
}

impl Search {
    fn file(&mut self, path: &Path, shown: &str) -> Result<()> {
        let Some(begin) = self.raw(path, shown)? else { return Ok(()) };
        if begin.starts_with(b"SQLite format 3\0") {
            self.tables(path, shown)
        } else if begin.starts_with(b"PAR1") {
            self.parquet(path, shown)
        } else {
            Ok(())
        }
    }

    fn found(&mut self, counts: &[u64], place: &str) {
        for (number, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let needle = self.finder.labels[number].clone();
            self.scanned.findings.push(Finding { needle, place: place.to_owned(), count: *count });
        }
    }

    fn none(&self) -> Vec<u64> {
        vec![0; self.finder.labels.len()]
    }

    /// Every byte of a file. Returns how it begins; `None` where it is gone.
    fn raw(&mut self, path: &Path, shown: &str) -> Result<Option<Vec<u8>>> {
        let fail = |error: std::io::Error| file_error(WHAT, &error);
        let file = match open_bytes(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(fail)?,
        };
        let mut counts = self.none();
        let mut buffer: Vec<u8> = Vec::with_capacity(2 * CHUNK);
        let mut begin = Vec::new();
        // What ends before this place of the buffer was looked at.
        let mut looked = 0;
        let mut place = 0;
        loop {
            let held = buffer.len();
            buffer.resize(held + CHUNK, 0);
            let read = file.read_at(&mut buffer[held..], place).map_err(fail)?;
            buffer.truncate(held + read);
            place += read as u64;
            self.scanned.bytes += read as u64;
            if begin.is_empty() {
                begin = buffer[..buffer.len().min(16)].to_vec();
            }
            // What ends with the buffer is looked at once it is known what follows.
            let until = if read == 0 { buffer.len() + 1 } else { buffer.len() };
            self.finder.bytes(&buffer, looked..until, &mut |number| counts[number] += 1);
            if read == 0 {
                break;
            }
            let keep = buffer.len().min(self.finder.longest + 1);
            buffer.drain(..buffer.len() - keep);
            looked = keep;
        }
        self.scanned.files += 1;
        self.found(&counts, &format!("{shown}, bytes"));
        Ok(Some(begin))
    }

    fn tables(&mut self, path: &Path, shown: &str) -> Result<()> {
        let fail = |error: rusqlite::Error| explain(WHAT, &error);
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(fail)?;
        connection.execute_batch("PRAGMA busy_timeout = 10000").map_err(fail)?;
        let mut names = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").map_err(fail)?;
        let names = names.query_map([], |row| row.get::<_, String>(0)).map_err(fail)?;
        for name in names.collect::<rusqlite::Result<Vec<_>>>().map_err(fail)? {
            self.table(&connection, &name, shown)?;
        }
        Ok(())
    }

    fn table(&mut self, connection: &Connection, name: &str, shown: &str) -> Result<()> {
        let fail = |error: rusqlite::Error| explain(WHAT, &error);
        let sql = format!("SELECT * FROM \"{}\"", name.replace('"', "\"\""));
        let mut statement = connection.prepare(&sql).map_err(fail)?;
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut counts = vec![self.none(); columns.len()];
        let mut rows = statement.query([]).map_err(fail)?;
        while let Some(row) = rows.next().map_err(fail)? {
            self.scanned.rows += 1;
            for (column, counts) in counts.iter_mut().enumerate() {
                let mut hit = |number: usize| counts[number] += 1;
                match row.get_ref(column).map_err(fail)? {
                    ValueRef::Text(text) => self.finder.all(text, &mut hit),
                    ValueRef::Blob(bytes) => match decode_event(bytes) {
                        Ok(event) => self.finder.event(&event, &mut hit),
                        Err(_) => self.finder.all(bytes, &mut hit),
                    },
                    _ => {}
                }
            }
        }
        for (column, counts) in columns.iter().zip(&counts) {
            self.found(counts, &format!("{shown}, table {name}, column {column}"));
        }
        Ok(())
    }

    fn parquet(&mut self, path: &Path, shown: &str) -> Result<()> {
        let damaged = |detail: String| StoreError::Damaged { what: WHAT, detail: format!("{shown}: {detail}") };
        let file = match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            opened => opened.map_err(|error| file_error(WHAT, &error))?,
        };
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.build());
        for batch in reader.map_err(|error| damaged(error.to_string()))? {
            let batch = batch.map_err(|error| damaged(error.to_string()))?;
            self.scanned.rows += batch.num_rows() as u64;
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                let mut counts = self.none();
                let given = GIVEN.contains(&field.name().as_str());
                texts(column, &mut |text| {
                    let mut hit = |number: usize| counts[number] += 1;
                    if given { self.finder.given(text, &mut hit) } else { self.finder.all(text.as_bytes(), &mut hit) }
                });
                self.found(&counts, &format!("{shown}, column {}", field.name()));
            }
        }
        Ok(())
    }
}

/// Every text of a column, also within lists, structures and maps.
fn texts(column: &ArrayRef, visit: &mut dyn FnMut(&str)) {
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().iter().flatten().for_each(visit),
        DataType::LargeUtf8 => column.as_string::<i64>().iter().flatten().for_each(visit),
        DataType::List(_) => texts(column.as_list::<i32>().values(), visit),
        DataType::Struct(_) => column.as_struct().columns().iter().for_each(|inner| texts(inner, visit)),
        DataType::Map(_, _) => {
            let entries = column.as_map().entries();
            entries.columns().iter().for_each(|inner| texts(inner, visit));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SUBJECT: SubjectId = SubjectId(0x0123_4567_89ab_cdef_1122_3344_5566_7788);

    fn found(bytes: &[u8], needles: &[Needle]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), bytes).unwrap();
        let scanned = scan(folder.path(), &[], needles, &mut |_| Ok(())).unwrap();
        scanned.findings.into_iter().map(|finding| format!("{} x {}", finding.needle, finding.count)).collect()
    }

    #[test]
    fn a_pseudonym_is_found_in_every_form() {
        let needles = [Needle::subject("p", SUBJECT)];
        for form in subject_forms(SUBJECT) {
            let bytes = [b"abc".as_slice(), &form, b"def"].concat();
            assert_eq!(found(&bytes, &needles), ["p x 1"], "{form:x?}");
            assert_eq!(found(&form[1..], &needles), [""; 0]);
        }
        let event = Event::new(merx_domain::EventId(1), SUBJECT, merx_domain::EventKind::Page, Default::default());
        let bytes = crate::codec::encode_event(&event).unwrap();
        assert_eq!(found(&bytes, &needles), ["p x 1"], "as an event has it");
    }

    #[test]
    fn a_name_is_found_as_a_word_in_any_case() {
        let needles = [Needle::name("mail", "kim@post.example"), Needle::name("id", "visitor-1")];
        assert_eq!(found(b"to <KIM@post.example>; visitor-10", &needles), ["mail x 1"]);
        assert_eq!(found(b"?u=kim%40post.example&v=visitor-1", &needles), ["mail x 1", "id x 1"]);
        assert_eq!(found(b"akim@post.example kim@post.examples", &needles), [""; 0]);
        // A text of postcard: its length, then what follows directly.
        assert_eq!(found(b"\x09visitor-1a", &needles), ["id x 1"]);
        assert!(Needle::name("id", "17850").is_short() && !needles[1].is_short());
    }

    proptest! {
        #[test]
        fn nothing_is_missed_or_counted_twice_at_the_edges_of_chunks(before in 0usize..80, filler in any::<u8>()) {
            prop_assume!(!filler.is_ascii_alphanumeric() && usize::from(filler) != "visitor-1".len());
            let needles = [Needle::subject("p", SUBJECT), Needle::name("id", "visitor-1")];
            let mut bytes = vec![filler; CHUNK - before];
            bytes.extend(b" visitor-1 ");
            bytes.extend(SUBJECT.to_bytes());
            bytes.extend(vec![filler; 50]);
            prop_assert_eq!(found(&bytes, &needles), ["p x 1", "id x 1"]);
        }
    }
}
