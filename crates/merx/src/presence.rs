//! Which processes serve a shop, of which version each is, and which formats it reads and writes.
//!
//! Each has a row in the records and counts a beat up; a row whose beat stands still is of a process that is gone. Who begins looks at the others
//! first: what it would write they must be able to read, and it what they write. Else it does not begin, and says which one is in the way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use merx_store::{Format, Migration, Records, Row, StoreError, Value};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::background::Repeated;
use crate::lead::random_name;

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-22-merx-005-processes",
    sql: "CREATE TABLE processes (
            name TEXT PRIMARY KEY,
            address TEXT NOT NULL,
            version TEXT NOT NULL,
            formats TEXT NOT NULL,
            beat BIGINT NOT NULL
          )",
};

const BEAT: Duration = Duration::from_secs(2);
/// Looks at the same beat, [`BEAT`] apart, after which a row is taken off. One that was only paused writes itself down again.
const SILENT_LOOKS: u32 = 15;
/// Who begins and finds somebody in the way looks so often whether that one is still there.
const LOOKS_BEFORE: u32 = 5;

/// What a process can read of a format, and what it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Spoken {
    reads: (u16, u16),
    writes: u16,
}

type Formats = BTreeMap<String, Spoken>;

/// A process as it stands in the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    name: String,
    address: String,
    version: String,
    formats: Formats,
    beat: i64,
}

impl Process {
    /// This one, which answers nowhere yet.
    pub(crate) fn own() -> Result<Self> {
        let rooms = [
            merx_store::codec::FORMATS,
            merx_decide::FORMATS,
            merx_features::FORMATS,
            merx_discovery::FORMATS,
            merx_backends::REDIS_FORMATS,
        ];
        let spoken = |format: &Format| (format.name.to_owned(), Spoken { reads: format.reads, writes: format.writes });
        Ok(Self {
            name: random_name()?,
            address: String::new(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            formats: rooms.into_iter().flatten().map(spoken).collect(),
            beat: 0,
        })
    }

    /// Address and version, for people.
    pub(crate) fn shown(&self) -> String {
        let address = if self.address.is_empty() { "one that answers nowhere yet" } else { &self.address };
        format!("{address} (merx {})", self.version)
    }

    /// Formats that this process writes and another can't read. What the other does not know at all it does not look at.
    fn unread_by<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (&'a str, u16, (u16, u16))> {
        self.formats.iter().filter_map(|(name, own)| {
            let theirs = other.formats.get(name)?;
            let is_read = (theirs.reads.0..=theirs.reads.1).contains(&own.writes);
            (!is_read).then_some((name.as_str(), own.writes, theirs.reads))
        })
    }

    /// Why the two can't serve one shop side by side, and what to do.
    pub(crate) fn trouble_with(&self, other: &Self) -> Option<String> {
        let words = |writer: &Self, reader: &Self| {
            let (name, format, (from, until)) = writer.unread_by(reader).next()?;
            Some(format!(
                "{} writes {name} in format {format}, which {} does not read (it reads {from} to {until}): exchange every process for a \
                 version between the two first, or stop those of one of them",
                writer.shown(),
                reader.shown()
            ))
        };
        words(self, other).or_else(|| words(other, self))
    }

    fn write(&self, records: &dyn Records) -> Result<(), StoreError> {
        let formats = serde_json::to_string(&self.formats).unwrap_or_default();
        let row =
            [text(&self.name), text(&self.address), text(&self.version), text(&formats), Value::Integer(self.beat)];
        records.transaction(&mut |transaction| {
            let sql = "INSERT INTO processes (name, address, version, formats, beat) VALUES ($1, $2, $3, $4, $5)
                       ON CONFLICT (name) DO UPDATE SET address = excluded.address, beat = excluded.beat";
            transaction.execute(sql, &row).map(drop)
        })
    }
}

/// All processes that have told of themselves and are not taken off yet, those that can't be read left out.
pub(crate) fn told(records: &dyn Records) -> Result<Vec<Process>, StoreError> {
    let sql = "SELECT name, address, version, formats, beat FROM processes ORDER BY address, name";
    let read = |Row(columns): Row| match <[Value; 5]>::try_from(columns) {
        Ok(
            [Value::Text(name), Value::Text(address), Value::Text(version), Value::Text(formats), Value::Integer(beat)],
        ) => Some(Process { name, address, version, formats: serde_json::from_str(&formats).ok()?, beat }),
        _ => None,
    };
    Ok(records.query(sql, &[])?.into_iter().filter_map(read).collect())
}

fn take_off(records: &dyn Records, name: &str) -> Result<(), StoreError> {
    records.transaction(&mut |transaction| {
        transaction.execute("DELETE FROM processes WHERE name = $1", &[text(name)]).map(drop)
    })
}

/// This process's row, as long as it runs.
pub(crate) struct Presence {
    records: Arc<dyn Records>,
    name: String,
    address: Arc<Mutex<String>>,
    /// Beats until this is dropped.
    beating: Option<Repeated>,
}

impl Presence {
    /// Refused where a process is there that could not read what this one writes, or the other way round.
    pub(crate) fn begin(records: Arc<dyn Records>) -> Result<Self> {
        let own = Process::own()?;
        enter(&*records, &own, &|| std::thread::sleep(BEAT))?;
        let address = Arc::<Mutex<String>>::default();
        let (name, told_address) = (own.name.clone(), Arc::clone(&address));
        let (mut own, beaten, mut others) = (own, Arc::clone(&records), Others::default());
        let beating = Repeated::start("presence", BEAT, move |_| {
            own.beat += 1;
            own.address = told_address.lock().clone();
            own.write(&*beaten)?;
            Ok(others.look(&*beaten, &own.name)?)
        })?;
        Ok(Self { records, name, address, beating: Some(beating) })
    }

    pub(crate) fn set_address(&self, address: &str) {
        address.clone_into(&mut self.address.lock());
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.beating.take();
        if let Err(error) = take_off(&*self.records, &self.name) {
            tracing::warn!(%error, "this process stays on the list of those that serve the shop for half a minute");
        }
    }
}

/// Writes a process down, unless another one that is there is in its way. `pause` is as long as two beats are apart at least.
fn enter(records: &dyn Records, own: &Process, pause: &dyn Fn()) -> Result<()> {
    // Before the look: of two that begin at once one sees the other.
    own.write(records)?;
    let mut first: Option<BTreeMap<String, i64>> = None;
    for _ in 0..=LOOKS_BEFORE {
        let others = told(records)?.into_iter().filter(|other| other.name != own.name);
        let in_the_way: Vec<(Process, String)> = others
            .filter_map(|other| Some((own.trouble_with(&other)?, other)))
            .map(|(words, other)| (other, words))
            .collect();
        if in_the_way.is_empty() {
            return Ok(());
        }
        let seen =
            first.get_or_insert_with(|| in_the_way.iter().map(|(other, _)| (other.name.clone(), other.beat)).collect());
        if let Some((_, words)) = in_the_way.iter().find(|(other, _)| seen.get(&other.name) != Some(&other.beat)) {
            take_off(records, &own.name)?;
            bail!("{words}");
        }
        pause();
    }
    for name in first.unwrap_or_default().keys() {
        tracing::warn!(name, "a process of a version that does not go with this one is gone; it is taken off the list");
        take_off(records, name)?;
    }
    Ok(())
}

/// What is seen of the others' beats.
#[derive(Default)]
struct Others(BTreeMap<String, (i64, u32)>);

impl Others {
    /// Takes those off the list that have not beaten for long.
    fn look(&mut self, records: &dyn Records, own: &str) -> Result<(), StoreError> {
        let mut seen = BTreeMap::new();
        for other in told(records)?.into_iter().filter(|other| other.name != own) {
            let looks = match self.0.get(&other.name) {
                Some((beat, looks)) if *beat == other.beat => looks + 1,
                _ => 0,
            };
            if looks >= SILENT_LOOKS {
                take_off(records, &other.name)?;
            } else {
                seen.insert(other.name, (other.beat, looks));
            }
        }
        self.0 = seen;
        Ok(())
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use merx_store::embedded::SqliteRecords;

    use super::*;

    fn records(folder: &tempfile::TempDir) -> SqliteRecords {
        SqliteRecords::open(&folder.path().join("records.sqlite"), &[MIGRATION]).unwrap()
    }

    fn process(name: &str, reads: (u16, u16), writes: u16) -> Process {
        let formats = Formats::from([
            ("decision records".to_owned(), Spoken { reads, writes }),
            (format!("known to {name} alone"), Spoken { reads: (9, 9), writes: 9 }),
        ]);
        Process { name: name.to_owned(), address: format!("http://{name}"), version: name.to_owned(), formats, beat: 0 }
    }

    fn names(records: &SqliteRecords) -> Vec<String> {
        told(records).unwrap().into_iter().map(|process| process.name).collect()
    }

    #[test]
    fn this_process_goes_with_itself_and_tells_every_format_once() {
        let own = Process::own().unwrap();
        assert_eq!(own.trouble_with(&own), None);
        assert!(own.formats.contains_key("events") && own.formats.contains_key("recommendations"));
        let folder = tempfile::tempdir().unwrap();
        let records = records(&folder);
        enter(&records, &own, &|| unreachable!("nobody is in the way")).unwrap();
        assert_eq!(told(&records).unwrap(), [own]);
    }

    #[test]
    fn a_process_that_writes_what_another_cannot_read_does_not_begin_beside_it() {
        let (old, between, new) = (process("old", (1, 2), 2), process("between", (1, 3), 2), process("new", (2, 3), 3));
        assert_eq!((old.trouble_with(&between), between.trouble_with(&new)), (None, None));
        for (there, comes) in [(&old, &new), (&new, &old)] {
            let folder = tempfile::tempdir().unwrap();
            let records = records(&folder);
            enter(&records, there, &|| {}).unwrap();
            let beats = Cell::new(0);
            let beating = || {
                beats.set(beats.get() + 1);
                Process { beat: beats.get(), ..there.clone() }.write(&records).unwrap();
            };
            let words = enter(&records, comes, &beating).unwrap_err().to_string();
            assert!(words.contains("http://new (merx new) writes decision records in format 3"), "{words}");
            assert!(words.contains("http://old (merx old) does not read (it reads 1 to 2)"), "{words}");
            assert_eq!(names(&records), std::slice::from_ref(&there.name), "who was refused leaves nothing behind");
            // It stops: its row stands still from here on.
            enter(&records, comes, &|| {}).unwrap();
            assert_eq!(names(&records), std::slice::from_ref(&comes.name));
        }
    }

    #[test]
    fn a_process_that_beats_no_more_is_taken_off_and_one_that_was_paused_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let records = records(&folder);
        let (mut one, two) = (process("one", (1, 1), 1), process("two", (1, 1), 1));
        one.write(&records).unwrap();
        two.write(&records).unwrap();
        let mut others = Others::default();
        for _ in 0..SILENT_LOOKS {
            one.beat += 1;
            one.write(&records).unwrap();
            others.look(&records, "one").unwrap();
            assert_eq!(names(&records), ["one", "two"]);
        }
        others.look(&records, "one").unwrap();
        assert_eq!(names(&records), ["one"]);
        two.write(&records).unwrap();
        others.look(&records, "one").unwrap();
        assert_eq!(names(&records), ["one", "two"]);
    }
}
