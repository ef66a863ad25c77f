//! `OnlineStore` in process: sharded maps, and a snapshot file.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::file_error;
use crate::{LogOffset, OnlineKey, OnlineStore, Result};

const WHAT: &str = "online store";
const SHARDS: usize = 64;
/// Format 1: `[magic][format u16][offset u64][count u64]` then `[space u8][id 16][length u32][bytes]`.., all little
/// endian but the id, and the BLAKE3 hash of everything before it.
const MAGIC: &[u8; 8] = b"MERXONLN";
const FORMAT: u16 = 1;
/// No value is near this: a length beyond it is damage.
const MAX_VALUE: usize = 16 << 20;

type Shard = FxHashMap<OnlineKey, Box<[u8]>>;

pub struct MemoryOnlineStore {
    shards: Box<[Mutex<Shard>]>,
    snapshot: Option<PathBuf>,
    restored_at: Option<LogOffset>,
}

impl MemoryOnlineStore {
    /// Loads the snapshot at `path` where there is a sound one. A damaged one is set aside: the log has everything.
    pub fn open(path: &Path) -> Result<Self> {
        let mut store = Self::volatile();
        store.snapshot = Some(path.to_owned());
        if path.exists() {
            match load(path) {
                Ok((at, entries)) => {
                    for (key, value) in entries {
                        store.shards[shard_of(key)].get_mut().insert(key, value);
                    }
                    store.restored_at = Some(at);
                }
                Err(problem) => {
                    tracing::warn!(problem, "the online snapshot is unusable; state is rebuilt from the log");
                }
            }
        }
        Ok(store)
    }

    /// Without a file: for tests and simulations.
    pub fn volatile() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, snapshot: None, restored_at: None }
    }
}

impl OnlineStore for MemoryOnlineStore {
    fn read(&self, key: OnlineKey, read: &mut dyn FnMut(Option<&[u8]>)) -> Result<()> {
        read(self.shards[shard_of(key)].lock().get(&key).map(AsRef::as_ref));
        Ok(())
    }

    fn update(&self, key: OnlineKey, change: &mut dyn FnMut(&mut Vec<u8>)) -> Result<()> {
        let mut shard = self.shards[shard_of(key)].lock();
        let mut value = shard.remove(&key).map(Vec::from).unwrap_or_default();
        change(&mut value);
        if !value.is_empty() {
            shard.insert(key, value.into_boxed_slice());
        }
        Ok(())
    }

    fn remove(&self, key: OnlineKey) -> Result<()> {
        self.shards[shard_of(key)].lock().remove(&key);
        Ok(())
    }

    fn size(&self) -> Result<(u64, u64)> {
        let mut size = (0, 0);
        for shard in &self.shards {
            let shard = shard.lock();
            size.0 += shard.len() as u64;
            size.1 += shard.values().map(|value| value.len() as u64).sum::<u64>();
        }
        Ok(size)
    }

    fn scan(&self, space: u8, visit: &mut dyn FnMut(u128, &[u8])) -> Result<()> {
        for shard in &self.shards {
            for (key, value) in shard.lock().iter().filter(|(key, _)| key.space == space) {
                visit(key.id, value);
            }
        }
        Ok(())
    }

    fn snapshot(&self, at: LogOffset) -> Result<()> {
        let Some(path) = &self.snapshot else { return Ok(()) };
        let beside = path.with_extension("writing");
        let saved = self.save(path, &beside, at);
        if saved.is_err() {
            // On a full disk the room is needed.
            let _ = fs::remove_file(&beside);
        }
        saved
    }

    fn restored_at(&self) -> Option<LogOffset> {
        self.restored_at
    }
}

impl MemoryOnlineStore {
    fn save(&self, path: &Path, beside: &Path, at: LogOffset) -> Result<()> {
        let fail = |error: std::io::Error| file_error(WHAT, &error);
        let mut out =
            Hashing { inner: BufWriter::new(File::create(beside).map_err(fail)?), hasher: blake3::Hasher::new() };
        // Every shard is held, so that the state is of one moment.
        let shards: Vec<_> = self.shards.iter().map(|shard| shard.lock()).collect();
        let count: u64 = shards.iter().map(|shard| shard.len() as u64).sum();
        out.put(MAGIC).map_err(fail)?;
        out.put(&FORMAT.to_le_bytes()).map_err(fail)?;
        out.put(&at.0.to_le_bytes()).map_err(fail)?;
        out.put(&count.to_le_bytes()).map_err(fail)?;
        for (key, value) in shards.iter().flat_map(|shard| shard.iter()) {
            out.put(&[key.space]).map_err(fail)?;
            out.put(&key.id.to_be_bytes()).map_err(fail)?;
            out.put(&(value.len() as u32).to_le_bytes()).map_err(fail)?;
            out.put(value).map_err(fail)?;
        }
        drop(shards);
        let hash = out.hasher.finalize();
        out.inner.write_all(hash.as_bytes()).map_err(fail)?;
        let file = out.inner.into_inner().map_err(|error| fail(error.into_error()))?;
        file.sync_all().map_err(fail)?;
        fs::rename(beside, path).map_err(fail)?;
        super::sync_folder_of(path, WHAT)
    }
}

fn shard_of(key: OnlineKey) -> usize {
    // Ids are uniform already; the space spreads counters of one product.
    ((key.id as u64 ^ (key.id >> 64) as u64).wrapping_add(u64::from(key.space)) % SHARDS as u64) as usize
}

struct Hashing<W: Write> {
    inner: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Hashing<W> {
    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hasher.update(bytes);
        self.inner.write_all(bytes)
    }
}

/// Reads and hashes at once.
struct Checked<R: Read> {
    inner: R,
    hasher: blake3::Hasher,
}

impl<R: Read> Checked<R> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes).map_err(|error| error.to_string())?;
        self.hasher.update(&bytes);
        Ok(bytes)
    }

    fn take_value(&mut self, length: usize) -> Result<Box<[u8]>, String> {
        if length > MAX_VALUE {
            return Err(format!("a value of {length} bytes"));
        }
        let mut bytes = vec![0; length];
        self.inner.read_exact(&mut bytes).map_err(|error| error.to_string())?;
        self.hasher.update(&bytes);
        Ok(bytes.into_boxed_slice())
    }
}

type Loaded = (LogOffset, Vec<(OnlineKey, Box<[u8]>)>);

fn load(path: &Path) -> Result<Loaded, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut input = Checked { inner: BufReader::new(file), hasher: blake3::Hasher::new() };
    if &input.take::<8>()? != MAGIC {
        return Err("not an online snapshot".into());
    }
    let format = u16::from_le_bytes(input.take()?);
    if format != FORMAT {
        return Err(format!("unknown format {format}"));
    }
    let at = LogOffset(u64::from_le_bytes(input.take()?));
    let count = u64::from_le_bytes(input.take()?);
    let mut entries = Vec::new();
    for _ in 0..count {
        let [space] = input.take()?;
        let id = u128::from_be_bytes(input.take()?);
        let length = u32::from_le_bytes(input.take()?) as usize;
        entries.push((OnlineKey { space, id }, input.take_value(length)?));
    }
    let expected = *input.hasher.finalize().as_bytes();
    if input.take::<32>()? != expected {
        return Err("its hash differs".into());
    }
    Ok((at, entries))
}
