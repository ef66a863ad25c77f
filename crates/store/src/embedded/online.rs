//! `OnlineStore` in process: sharded maps, and a snapshot file.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;

use super::file_error;
use crate::{LogOffset, OnlineKey, OnlineStore, Result};

const WHAT: &str = "online store";
/// Ends the name of a file that is not complete.
const WRITING: &str = "writing";
const SHARDS: usize = 64;
/// Format 1: `[magic][format u16][offset u64][count u64]` then `[space u8][id 16][length u32][bytes]`.., all little
/// endian but the id, and the BLAKE3 hash of everything before it.
const MAGIC: &[u8; 8] = b"MERXONLN";
const FORMAT: u16 = 1;
/// No value is near this: a length beyond it is damage.
const MAX_VALUE: usize = 16 << 20;

#[derive(Default)]
struct Shard {
    /// A map a space: a key costs 16 bytes in it, and a scan meets no other space's.
    spaces: FxHashMap<u8, FxHashMap<u128, Box<[u8]>>>,
    /// Where values are changed, so that a changed value is stored at its exact size and only once `change` returned.
    scratch: Vec<u8>,
}

impl Shard {
    fn get(&self, key: OnlineKey) -> Option<&[u8]> {
        self.spaces.get(&key.space)?.get(&key.id).map(AsRef::as_ref)
    }

    fn set(&mut self, key: OnlineKey, value: &[u8]) {
        let space = self.spaces.entry(key.space).or_default();
        match space.get_mut(&key.id) {
            Some(stored) if stored.len() == value.len() => stored.copy_from_slice(value),
            Some(stored) => *stored = value.into(),
            None => {
                space.insert(key.id, value.into());
            }
        }
    }

    fn remove(&mut self, key: OnlineKey) {
        if let Some(space) = self.spaces.get_mut(&key.space) {
            space.remove(&key.id);
        }
    }

    fn entries(&self) -> impl Iterator<Item = (OnlineKey, &[u8])> {
        self.spaces.iter().flat_map(|(&space, values)| {
            values.iter().map(move |(&id, value)| (OnlineKey { space, id }, value.as_ref()))
        })
    }
}

pub struct MemoryOnlineStore {
    shards: Box<[RwLock<Shard>]>,
    snapshot: Option<PathBuf>,
    /// One snapshot is written at a time.
    saving: Mutex<()>,
    restored_at: Option<LogOffset>,
}

impl MemoryOnlineStore {
    /// Loads the snapshot at `path` where there is a sound one. A damaged one is set aside: the log has everything.
    pub fn open(path: &Path) -> Result<Self> {
        let mut store = Self::volatile();
        store.snapshot = Some(path.to_owned());
        // What a crash left of a snapshot on its way.
        match fs::remove_file(path.with_extension(WRITING)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(file_error(WHAT, &error)),
            _ => {}
        }
        if path.exists() {
            match load(path) {
                Ok((at, entries)) => {
                    for (key, value) in entries {
                        store.shards[shard_of(key)].get_mut().set(key, &value);
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
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        Self { shards, snapshot: None, saving: Mutex::default(), restored_at: None }
    }
}

impl OnlineStore for MemoryOnlineStore {
    fn read(&self, key: OnlineKey, read: &mut dyn FnMut(Option<&[u8]>)) -> Result<()> {
        // Recursive: a writer that waits for a snapshot must not keep readers out.
        read(self.shards[shard_of(key)].read_recursive().get(key));
        Ok(())
    }

    fn update(&self, key: OnlineKey, change: &mut dyn FnMut(&mut Vec<u8>)) -> Result<()> {
        let mut shard = self.shards[shard_of(key)].write();
        let mut value = std::mem::take(&mut shard.scratch);
        value.clear();
        value.extend_from_slice(shard.get(key).unwrap_or_default());
        change(&mut value);
        if value.is_empty() {
            shard.remove(key);
        } else {
            shard.set(key, &value);
        }
        shard.scratch = value;
        Ok(())
    }

    fn remove(&self, key: OnlineKey) -> Result<()> {
        self.shards[shard_of(key)].write().remove(key);
        Ok(())
    }

    fn size(&self) -> Result<(u64, u64)> {
        let mut size = (0, 0);
        for shard in &self.shards {
            for (_, value) in shard.read_recursive().entries() {
                size.0 += 1;
                size.1 += value.len() as u64;
            }
        }
        Ok(size)
    }

    fn scan(&self, space: u8, visit: &mut dyn FnMut(u128, &[u8])) -> Result<()> {
        for shard in &self.shards {
            let shard = shard.read_recursive();
            for (&id, value) in shard.spaces.get(&space).into_iter().flatten() {
                visit(id, value);
            }
        }
        Ok(())
    }

    /// Reads go on meanwhile; an update waits until its shard has been written.
    fn snapshot(&self, at: LogOffset) -> Result<()> {
        let Some(path) = &self.snapshot else { return Ok(()) };
        let _one = self.saving.lock();
        let beside = path.with_extension(WRITING);
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
        // Every shard is held until it is written, so that the state is of one moment.
        let shards: Vec<_> = self.shards.iter().map(|shard| shard.read_recursive()).collect();
        let count: u64 = shards.iter().map(|shard| shard.entries().count() as u64).sum();
        out.put(MAGIC).map_err(fail)?;
        out.put(&FORMAT.to_le_bytes()).map_err(fail)?;
        out.put(&at.0.to_le_bytes()).map_err(fail)?;
        out.put(&count.to_le_bytes()).map_err(fail)?;
        let mut bytes = Vec::new();
        for shard in shards {
            bytes.clear();
            shard.entries().for_each(|(key, value)| put_entry(&mut bytes, key, value));
            drop(shard);
            out.put(&bytes).map_err(fail)?;
        }
        let hash = out.hasher.finalize();
        out.inner.write_all(hash.as_bytes()).map_err(fail)?;
        let file = out.inner.into_inner().map_err(|error| fail(error.into_error()))?;
        file.sync_all().map_err(fail)?;
        fs::rename(beside, path).map_err(fail)?;
        super::sync_folder_of(path, WHAT)
    }
}

fn put_entry(bytes: &mut Vec<u8>, key: OnlineKey, value: &[u8]) {
    bytes.push(key.space);
    bytes.extend_from_slice(&key.id.to_be_bytes());
    bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
    bytes.extend_from_slice(value);
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
