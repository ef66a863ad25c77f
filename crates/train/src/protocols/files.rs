//! Reading the layouts of public data sets. A line that can't be read is an error that names the file and the line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use rustc_hash::FxHashMap;

use super::BenchError;

/// Ids up to here are taken; beyond, an id is a mistake rather than a number of an item.
const LARGEST_ID: u64 = 50_000_000;

/// `dir/name` or `dir/name.gz`.
pub(super) fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    [name.to_owned(), format!("{name}.gz")].iter().map(|name| dir.join(name)).find(|path| path.is_file())
}

pub(super) fn require(dir: &Path, name: &str) -> Result<PathBuf, BenchError> {
    find(dir, name).ok_or_else(|| BenchError::Missing { name: name.to_owned(), dir: dir.to_owned() })
}

pub(super) fn open(path: &Path) -> Result<Box<dyn Read>, BenchError> {
    let file = File::open(path).map_err(|error| BenchError::read(path, error))?;
    let gzipped = path.extension().is_some_and(|extension| extension == "gz");
    Ok(if gzipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// Calls `take(line number from 1, line)` for each line that isn't blank.
fn each_line(path: &Path, mut take: impl FnMut(usize, &str) -> Result<(), String>) -> Result<(), BenchError> {
    let mut reader = BufReader::new(open(path)?);
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes).map_err(|error| BenchError::read(path, error))? == 0 {
            break;
        }
        let problem = |problem: String| BenchError::Line { path: path.to_owned(), line: number, problem };
        let line = std::str::from_utf8(&bytes).map_err(|_| problem("not UTF-8 text".to_owned()))?.trim();
        if !line.is_empty() {
            take(number, line).map_err(problem)?;
        }
    }
    Ok(())
}

fn ids(text: &str) -> Result<Vec<u32>, String> {
    let id = |word: &str| match word.parse::<u64>() {
        Ok(id) if id <= LARGEST_ID => Ok(id as u32),
        Ok(id) => Err(format!("id {id} is larger than {LARGEST_ID}")),
        Err(_) => Err(format!("`{}` is not a whole number from 0", word.chars().take(40).collect::<String>())),
    };
    text.split_ascii_whitespace().map(id).collect()
}

/// Lines `user item item ..`; the items of a user named twice are put together. In order of first mention.
pub(super) fn rows_by_user(path: &Path) -> Result<Vec<(u32, Vec<u32>)>, BenchError> {
    let mut rows: Vec<(u32, Vec<u32>)> = Vec::new();
    let mut place: FxHashMap<u32, usize> = FxHashMap::default();
    each_line(path, |_, line| {
        let words = ids(line)?;
        let (user, items) = words.split_first().ok_or("no user")?;
        let at = *place.entry(*user).or_insert(rows.len());
        if at == rows.len() {
            rows.push((*user, Vec::new()));
        }
        rows[at].1.extend_from_slice(items);
        Ok(())
    })?;
    not_empty(path, rows)
}

/// Lines `item item ..`, one a session, oldest first.
pub(super) fn sessions(path: &Path) -> Result<Vec<Vec<u32>>, BenchError> {
    let mut sessions = Vec::new();
    each_line(path, |_, line| {
        sessions.push(ids(line)?);
        Ok(())
    })?;
    not_empty(path, sessions)
}

/// Lines `item item ..<tab>item`: a prefix and what came next.
pub(super) fn prefixes(path: &Path) -> Result<Vec<(Vec<u32>, u32)>, BenchError> {
    let mut pairs = Vec::new();
    each_line(path, |_, line| {
        let (prefix, target) = line.split_once('\t').ok_or("no tab between prefix and target")?;
        match ids(target)?[..] {
            [target] => pairs.push((ids(prefix)?, target)),
            _ => return Err("one target must stand behind the tab".to_owned()),
        }
        Ok(())
    })?;
    not_empty(path, pairs)
}

fn not_empty<T>(path: &Path, rows: Vec<T>) -> Result<Vec<T>, BenchError> {
    if rows.is_empty() { Err(BenchError::Empty { path: path.to_owned() }) } else { Ok(rows) }
}

/// `{"key": [attribute, ..], ..}`; keys and attributes are whole numbers.
pub(super) fn attributes(path: &Path) -> Result<FxHashMap<u32, Vec<u32>>, BenchError> {
    serde_json::from_reader(BufReader::new(open(path)?)).map_err(|error| BenchError::Line {
        path: path.to_owned(),
        line: error.line(),
        problem: format!("expected an object of lists of whole numbers: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(name: &str, text: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        (dir, path)
    }

    #[test]
    fn plain_and_gzipped_read_alike_and_blank_lines_are_passed_over() {
        let text = b"0 1 2\n\n7 3\r\n0 4\n";
        let expected = vec![(0, vec![1, 2, 4]), (7, vec![3])];
        let (dir, path) = file("train.txt", text);
        assert_eq!(rows_by_user(&path).unwrap(), expected);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text).unwrap();
        std::fs::write(dir.path().join("other.txt.gz"), gzip.finish().unwrap()).unwrap();
        assert_eq!(rows_by_user(&find(dir.path(), "other.txt").unwrap()).unwrap(), expected);
        assert!(find(dir.path(), "absent.txt").is_none());
    }

    #[test]
    fn a_bad_line_is_named() {
        for (text, line) in
            [(&b"1 2\n3 x\n"[..], 2), (b"1 -4\n", 1), (b"\n\n1 99999999999\n", 3), (b"1 2\n\xff\xfe\n", 2)]
        {
            let (_dir, path) = file("train.txt", text);
            let error = rows_by_user(&path).unwrap_err().to_string();
            assert!(error.contains(&format!("line {line}")), "{error}");
        }
        let (_dir, path) = file("pairs.txt", b"1 2\t3\n1 2 3\n");
        assert!(prefixes(&path).unwrap_err().to_string().contains("no tab"));
        let (_dir, path) = file("empty.txt", b"\n\n");
        assert!(matches!(sessions(&path), Err(BenchError::Empty { .. })));
        let (_dir, path) = file("cut.txt.gz", b"\x1f\x8b\x08\x00\x00");
        assert!(matches!(sessions(&path), Err(BenchError::Read { .. })));
    }

    #[test]
    fn attributes_are_lists_by_number() {
        let (_dir, path) = file("item2attributes.json", br#"{"1": [4, 5], "9": []}"#);
        let found = attributes(&path).unwrap();
        assert_eq!((found[&1].clone(), found[&9].len()), (vec![4, 5], 0));
        let (_dir, path) = file("item2attributes.json", br#"{"1": ["a"]}"#);
        assert!(attributes(&path).is_err());
    }
}
