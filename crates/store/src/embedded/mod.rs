//! The embedded implementations: a folder on one machine.

mod artifacts;
mod ids;
mod lake;
mod log;
mod online;
mod records;
pub mod scan;
mod sqlite;
mod wal;

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use artifacts::FolderArtifacts;
pub use lake::ParquetLake;
pub use log::{LogSettings, SqliteEventLog};
pub use online::MemoryOnlineStore;
pub use records::SqliteRecords;

use crate::{Artifacts, EventLog, Lake, LogOffset, Migration, OnlineStore, Records, Result, StoreError};

const LOCK_ATTEMPTS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Opens a log whose order lies in the records.
pub type OpenLog = Box<dyn FnOnce(&Arc<dyn Records>) -> Result<Arc<dyn EventLog>>>;
pub type OpenOnline = Box<dyn FnOnce() -> Result<Arc<dyn OnlineStore>>>;

/// Engines that take the place of embedded ones.
#[derive(Default)]
pub struct Engines {
    pub records: Option<Arc<dyn Records>>,
    pub log: Option<OpenLog>,
    /// Opened last, when everything that could be refused has been opened.
    pub online: Option<OpenOnline>,
    pub lake: Option<Arc<dyn Lake>>,
    pub artifacts: Option<Arc<dyn Artifacts>>,
}

/// The ports, opened together.
#[derive(Clone)]
pub struct Store {
    pub records: Arc<dyn Records>,
    pub log: Arc<dyn EventLog>,
    pub online: Arc<dyn OnlineStore>,
    pub lake: Arc<dyn Lake>,
    pub artifacts: Arc<dyn Artifacts>,
    /// Held as long as any port may be in use.
    _lock: Arc<File>,
}

impl Store {
    /// Opens or makes everything below `folder`. One process at a time may have it open.
    pub fn open_embedded(folder: &Path, migrations: &[Migration], log: LogSettings) -> Result<Self> {
        Self::open(folder, migrations, log, Engines::default())
    }

    /// The same, with `engines` in the place of embedded ones: nothing of theirs is made below `folder`.
    pub fn open(folder: &Path, migrations: &[Migration], log: LogSettings, engines: Engines) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|error| file_error("data folder", &error))?;
        let lock = lock(folder)?;
        let records: Arc<dyn Records> = match engines.records {
            Some(records) => records,
            None => Arc::new(SqliteRecords::open(&folder.join("records.sqlite"), migrations)?),
        };
        // How far an embedded log ever came; other engines don't lose their tails to a broken disk of this machine.
        let mut furthest = None;
        let log: Arc<dyn EventLog> = match engines.log {
            Some(open) => open(&records)?,
            None => {
                let log = SqliteEventLog::open(&folder.join("events.sqlite"), log)?;
                furthest = Some(log.furthest()?);
                Arc::new(log)
            }
        };
        let lake = match engines.lake {
            Some(lake) => lake,
            None => Arc::new(ParquetLake::open(&folder.join("lake"))?),
        };
        let artifacts = match engines.artifacts {
            Some(artifacts) => artifacts,
            None => Arc::new(FolderArtifacts::open(&folder.join("artifacts"))?),
        };
        let online: Arc<dyn OnlineStore> = match engines.online {
            Some(open) => open()?,
            None => Arc::new(MemoryOnlineStore::open(&folder.join("online.snapshot"))?),
        };
        if let Some(furthest) = furthest {
            check_snapshot_within_log(online.restored_at(), furthest)?;
        }
        Ok(Self { records, log, online, lake, artifacts, _lock: Arc::new(lock) })
    }
}

/// A snapshot is taken of events that the log has. One from beyond its end shows that the log lost its tail.
fn check_snapshot_within_log(snapshot: Option<LogOffset>, furthest: Option<LogOffset>) -> Result<()> {
    if snapshot.is_some() && snapshot > furthest.or(Some(LogOffset(0))) {
        let detail = format!(
            "the online snapshot holds events up to {snapshot:?}, events.sqlite ends at {furthest:?}: the log lost its tail. \
             Restore it, or remove online.snapshot to go on without the lost events"
        );
        return Err(StoreError::Damaged { what: "event log", detail });
    }
    Ok(())
}

/// The operating system frees the lock however the process ends, but not in the same moment: one that was killed may
/// still be on its way out when the next begins.
fn lock(folder: &Path) -> Result<File> {
    let what = "data folder";
    let file = File::create(folder.join("lock")).map_err(|error| file_error(what, &error))?;
    for attempt in 0.. {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if attempt < LOCK_ATTEMPTS => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { folder: folder.display().to_string() }),
            Err(TryLockError::Error(error)) => return Err(file_error(what, &error)),
        }
    }
    Ok(file)
}

/// A rename is durable once the folder is.
fn sync_folder_of(path: &Path, what: &'static str) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| file_error(what, &error))
}

fn file_error(what: &'static str, error: &std::io::Error) -> StoreError {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let detail = error.to_string();
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge | ReadOnlyFilesystem => StoreError::NoSpace { what, detail },
        _ => StoreError::Unavailable { what, detail },
    }
}
