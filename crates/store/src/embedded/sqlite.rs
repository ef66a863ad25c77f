//! What both SQLite files share: how they are opened, and what their errors mean.

use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, OpenFlags, Statement, ToSql};
use rustc_hash::FxHashSet;

use super::wal::check_wal;
use crate::{Result, Scrub, StoreError};

/// Opens for writing: write-ahead log, every commit reaches the disk before it is acknowledged, and what is deleted is
/// overwritten with zeros.
pub(super) fn open_writer(path: &Path, what: &'static str) -> Result<Connection> {
    check_wal(path, what)?;
    let connection = Connection::open(path).map_err(|error| explain(what, &error))?;
    let settings = "PRAGMA journal_mode = WAL;
                    PRAGMA synchronous = FULL;
                    PRAGMA secure_delete = ON;
                    PRAGMA busy_timeout = 10000;
                    PRAGMA cache_size = -65536;
                    PRAGMA wal_autocheckpoint = 16000;
                    PRAGMA journal_size_limit = 67108864;";
    connection.execute_batch(settings).map_err(|error| explain(what, &error))?;
    connection.set_prepared_statement_cache_capacity(256);
    Ok(connection)
}

/// Empties the write-ahead log, which repeats pages as they were; before that, writes the whole file anew where asked to.
pub(super) fn scrub(connection: &Connection, what: &'static str, scrub: Scrub) -> Result<()> {
    let fail = |error: rusqlite::Error| explain(what, &error);
    if scrub == Scrub::Everything {
        connection.execute_batch("VACUUM").map_err(fail)?;
    }
    let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(fail)?;
    if busy { Err(StoreError::Busy { what, retry_after_ms: 1_000 }) } else { Ok(()) }
}

/// Readers kept open; further ones are opened and closed.
const IDLE_READERS: usize = 8;

/// Read-only connections, one a caller at a time.
pub(super) struct Readers {
    path: PathBuf,
    what: &'static str,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn of(path: &Path, what: &'static str) -> Self {
        Self { path: path.to_owned(), what, idle: Mutex::default() }
    }

    pub(super) fn with<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = self.idle.lock().pop();
        let reader = idle.map_or_else(|| open_reader(&self.path, self.what), Ok)?;
        let answer = read(&reader);
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_READERS {
            idle.push(reader);
        }
        answer
    }

    pub(super) fn close(&self) {
        self.idle.lock().clear();
    }
}

fn open_reader(path: &Path, what: &'static str) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| explain(what, &error))?;
    connection
        .execute_batch("PRAGMA busy_timeout = 10000; PRAGMA mmap_size = 268435456;")
        .map_err(|error| explain(what, &error))?;
    connection.set_prepared_statement_cache_capacity(256);
    Ok(connection)
}

/// Binds `$1`, `$2` .. by their number, as PostgreSQL does; SQLite on its own takes them for names and counts them by
/// first appearance. They are read from `sql`, which made the statement: SQLite walks all names up to the one it is asked for.
pub(super) fn bind<P: ToSql>(statement: &mut Statement<'_>, sql: &str, parameters: &[P]) -> rusqlite::Result<()> {
    let numbers = numbers(sql);
    if numbers.len() != statement.parameter_count() {
        return Err(rusqlite::Error::InvalidParameterName("write $1, $2 ..".into()));
    }
    if numbers.len() != parameters.len() {
        return Err(rusqlite::Error::InvalidParameterCount(parameters.len(), numbers.len()));
    }
    for (index, number) in (1..).zip(numbers) {
        let parameter = number.checked_sub(1).and_then(|position| parameters.get(position));
        let wrong = || rusqlite::Error::InvalidParameterCount(parameters.len(), number);
        statement.raw_bind_parameter(index, parameter.ok_or_else(wrong)?)?;
    }
    Ok(())
}

/// Each number after a `$` outside of quotes, at its first appearance.
fn numbers(sql: &str) -> Vec<usize> {
    let mut numbers: Vec<usize> = Vec::new();
    let mut seen: FxHashSet<usize> = FxHashSet::default();
    let mut rest = sql;
    while let Some(at) = rest.find(['\'', '"', '$']) {
        let (mark, after) = rest[at..].split_at(1);
        rest = match mark {
            "$" => {
                let (digits, after) = after.split_at(after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len()));
                numbers.extend(digits.parse().ok().filter(|number| seen.insert(*number)));
                after
            }
            // Up to where the quote ends; a doubled one begins another at once.
            quote => after.split_once(quote).map_or("", |(_, after)| after),
        };
    }
    numbers
}

/// Sorts SQLite's errors by what the caller can do about them.
pub(super) fn explain(what: &'static str, error: &rusqlite::Error) -> StoreError {
    let detail = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::NoSpace { what, detail },
        Some(ErrorCode::SystemIoFailure) if is_write(error) => StoreError::NoSpace { what, detail },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged { what, detail },
        Some(ErrorCode::ConstraintViolation) => StoreError::Conflict { what, detail },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy { what, retry_after_ms: 100 },
        _ => StoreError::Unavailable { what, detail },
    }
}

/// A write or sync that the file system refused (a quota, a file size limit) comes as an I/O error.
fn is_write(error: &rusqlite::Error) -> bool {
    const IOERR_WRITE: i32 = 10 | (3 << 8);
    const IOERR_FSYNC: i32 = 10 | (4 << 8);
    const IOERR_TRUNCATE: i32 = 10 | (6 << 8);
    matches!(error, rusqlite::Error::SqliteFailure(failure, _)
        if [IOERR_WRITE, IOERR_FSYNC, IOERR_TRUNCATE].contains(&failure.extended_code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_bound_by_their_number_whatever_their_order() -> rusqlite::Result<()> {
        let connection = Connection::open_in_memory()?;
        let ask = |sql: &str, parameters: &[i64]| -> rusqlite::Result<String> {
            let mut statement = connection.prepare(sql)?;
            bind(&mut statement, sql, parameters)?;
            let mut rows = statement.raw_query();
            rows.next()?.map_or_else(|| Ok(String::new()), |row| row.get(0))
        };
        assert_eq!(ask("SELECT $2 || '-$3''\"$4' || $1 || $2", &[1, 2])?, "2-$3'\"$412");
        assert_eq!(ask("SELECT \"$1\" || $1 FROM (SELECT 'a' AS \"$1\")", &[7])?, "a7");
        assert_eq!(ask("SELECT 'none'", &[])?, "none");
        for (sql, given) in
            [("SELECT $1", 2), ("SELECT $1 || $2", 1), ("SELECT $2", 1), ("SELECT ?1", 1), ("SELECT $0", 1)]
        {
            assert!(ask(sql, &vec![1; given]).is_err(), "{sql}");
        }
        Ok(())
    }
}
