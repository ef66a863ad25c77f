//! The commands and scripts that Redis is asked.

use std::collections::BTreeSet;

use merx_store::{LogOffset, OnlineKey, Result, StoreError};
use redis::{ErrorKind, RedisError, Script};

use super::entry::{Entry, Epochs, Version};
use super::pool::Pool;
use super::{WHAT, Waiting};
use crate::address::Address;

const OPTIONS: [&str; 6] = ["prefix", "pool", "timeout_ms", "read_timeout_ms", "expire_days", "max_value_bytes"];
/// Commands of one pipeline: a longer one keeps the server from others.
const PIPELINE: usize = 500;
const SCAN_COUNT: usize = 1_000;
const DAY_MS: u64 = 86_400_000;
/// Epochs are numbers of 32 bits: a server may lose its memory thousands of times.
const MOST_LEAP: u32 = 1 << 20;

/// Replaces a value where it is the one that was read, or an earlier one of the same epoch: that was written by an attempt
/// whose answer was lost. KEYS: value. ARGV: version that is replaced, version that is written, new bytes (none: remove),
/// milliseconds to live (0: for ever), 1 where the value may be gone (an attempt removed it, or it expired).
const PUT: &str = "
    local held = redis.call('GETRANGE', KEYS[1], 0, 12)
    local mine = held == ARGV[1] or (held == '' and ARGV[5] == '1')
    if not mine and held ~= '' and string.sub(held, 1, 5) == string.sub(ARGV[2], 1, 5) then
        mine = true
        for at = 13, 6, -1 do
            local had, has = string.byte(held, at), string.byte(ARGV[2], at)
            if had ~= has then mine = had < has break end
        end
    end
    if not mine then return 0 end
    if ARGV[3] == '' then redis.call('DEL', KEYS[1])
    elseif ARGV[4] == '0' then redis.call('SET', KEYS[1], ARGV[3])
    else redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4]) end
    return 1";

/// Abandons the open epoch and begins the next. KEYS: meta. ARGV: the least epoch, beyond any that this process has seen:
/// a server that lost its memory must not count from one again; and who writes from now on: another process may have seen
/// later epochs; and how far beyond the least to begin where nothing is known: what such a process still has on its way must
/// not be of the same epoch. Returns epoch, abandoned epochs, offset of the snapshot, and the first epoch since nothing was
/// known.
const BEGIN: &str = "
    local open = redis.call('HGET', KEYS[1], 'epoch')
    local abandoned = redis.call('HGET', KEYS[1], 'abandoned') or ''
    local epoch = tonumber(ARGV[1]) + tonumber(ARGV[3])
    if open then
        abandoned = abandoned .. open .. ' '
        epoch = math.max(tonumber(ARGV[1]), tonumber(open) + 1)
    else
        redis.call('HSET', KEYS[1], 'first', epoch)
    end
    redis.call('HSET', KEYS[1], 'epoch', epoch, 'abandoned', abandoned, 'writer', ARGV[2])
    return {tostring(epoch), abandoned, redis.call('HGET', KEYS[1], 'at') or '', redis.call('HGET', KEYS[1], 'first') or ''}";

/// Closes an epoch at an offset of the log. KEYS: meta. ARGV: epoch, offset, who writes. 0 where another epoch is open, or another
/// process writes.
const CLOSE: &str = "
    if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] or redis.call('HGET', KEYS[1], 'writer') ~= ARGV[3] then return 0 end
    redis.call('HSET', KEYS[1], 'epoch', tonumber(ARGV[1]) + 1, 'at', ARGV[2])
    return 1";

/// One writing: a value in the place of the version that was read.
pub(super) struct Put {
    pub(super) key: OnlineKey,
    pub(super) replaces: Option<Version>,
    pub(super) version: Version,
    /// None: the value goes.
    pub(super) bytes: Vec<u8>,
    /// The value may be gone: an attempt whose answer was lost removed it.
    pub(super) maybe_gone: bool,
    /// Its key is noted among those whose value was removed.
    pub(super) notes_removal: bool,
}

/// What is asked of the server that keeps the values. Each is done as a whole, [`Commands::put`] writing by writing.
pub(super) trait Commands: Send + Sync {
    fn is_silent(&self) -> bool;
    fn probe(&self);
    /// Epoch, abandoned epochs, the snapshot's offset, the first epoch and who writes, as they are noted.
    fn meta(&self) -> Result<[Option<String>; 5]>;
    /// See [`BEGIN`].
    fn begin(&self, least: u32, writer: &str, leap: u32) -> Result<[String; 4]>;
    /// See [`CLOSE`].
    fn close(&self, epoch: u32, at: LogOffset, writer: &str) -> Result<bool>;
    fn get(&self, key: OnlineKey) -> Result<Option<Vec<u8>>>;
    /// The same for a decision, which can't wait for as long as a writing.
    fn get_promptly(&self, key: OnlineKey) -> Result<Option<Vec<u8>>>;
    /// See [`PUT`]; by position whether it was written.
    fn put(&self, puts: &[Put]) -> Result<Vec<bool>>;
    /// Some keys whose value was removed.
    fn removed(&self, limit: usize) -> Result<Vec<OnlineKey>>;
    fn settle_removed(&self, keys: &[OnlineKey]) -> Result<()>;
    fn scan(&self, space: Option<u8>, visit: &mut dyn FnMut(OnlineKey, &[u8]) -> Result<()>) -> Result<()>;
}

/// The commands, spoken to Redis.
pub(super) struct Wire {
    pool: Pool,
    /// Connections of their own, on which nobody waits for long: silent or not by itself, so that a slow moment holds no writing up.
    reads: Pool,
    address: Address,
    prefix: String,
    expire_ms: u64,
}

impl Wire {
    pub(super) fn new(address: &Address) -> Result<Self> {
        let fail = |error: crate::AddressError| refused(error.to_string());
        let pool = Pool::new(address, ("timeout_ms", 2_000))?;
        let reads = Pool::new(address, ("read_timeout_ms", 150))?;
        address.only_options(&OPTIONS).map_err(fail)?;
        let prefix = address.option("prefix").unwrap_or("merx").to_owned();
        if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)) {
            return Err(fail(address.bad("prefix", &prefix, "letters, digits, _, - and .")));
        }
        let days = address.number("expire_days", 0, 0..=36_500, "days up to 36500").map_err(fail)?;
        Ok(Self { pool, reads, address: address.clone(), prefix, expire_ms: days * DAY_MS })
    }

    fn key(&self, key: OnlineKey) -> String {
        format!("{}:{{{:032x}}}:{}", self.prefix, key.id, key.space)
    }

    /// One key holds epochs and snapshot, another the keys of removed values; both in one slot.
    fn meta_key(&self) -> String {
        format!("{}:{{meta}}", self.prefix)
    }

    fn removed_key(&self) -> String {
        format!("{}:{{meta}}:removed", self.prefix)
    }

    fn parse_key(&self, text: &str) -> Option<OnlineKey> {
        let (id, space) = text.strip_prefix(&self.prefix)?.strip_prefix(":{")?.split_once("}:")?;
        Some(OnlineKey { space: space.parse().ok()?, id: u128::from_str_radix(id, 16).ok()? })
    }

    /// Refuses what would fail later, with the sentence that mends it; else says what is there.
    pub(super) fn check(&self) -> Result<String> {
        let info: String = self.pool.with(|connection| redis::cmd("INFO").query(connection))?;
        let field =
            |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        let refuse = |problem: &str| Err(refused(format!("{}: {problem}", self.address)));
        let major = field("redis_version").and_then(|version| version.split('.').next()?.parse::<u32>().ok());
        if major.is_some_and(|major| major < 6) {
            return refuse("the server is older than Redis 6; install 6 or newer");
        }
        if field("role") == Some("slave") {
            return refuse("the server is a replica; name the one that takes writes");
        }
        if field("cluster_enabled") == Some("1") {
            return refuse("the server is part of a cluster, which this client does not follow; name a single server");
        }
        let evicts = field("maxmemory_policy").is_some_and(|policy| policy.starts_with("allkeys"));
        if evicts {
            return refuse(
                "maxmemory-policy drops any key when memory is short; CONFIG SET maxmemory-policy noeviction, so that \
                 it is noticed",
            );
        }
        Ok(format!("{}: Redis {}", self.address, field("redis_version").unwrap_or("of unknown version")))
    }

    /// Meta last: broken off, it is simply run again.
    pub(super) fn clear(&self) -> Result<()> {
        let mut cursor = 0_u64;
        loop {
            let (next, names): (u64, Vec<String>) = self.pool.with(|connection| {
                let mut scan = redis::cmd("SCAN");
                scan.arg(cursor).arg("MATCH").arg(format!("{}:{{*}}:*", self.prefix)).arg("COUNT").arg(SCAN_COUNT);
                scan.query(connection)
            })?;
            if !names.is_empty() {
                self.pool.with(|connection| redis::cmd("UNLINK").arg(&names).query::<u64>(connection))?;
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        let meta = self.meta_key();
        self.pool.with(|connection| redis::cmd("DEL").arg(&meta).query::<u64>(connection)).map(drop)
    }

    fn put_one(&self, pipeline: &mut redis::Pipeline, script: &Script, put: &Put) {
        let name = self.key(put.key);
        if put.notes_removal {
            pipeline.cmd("SADD").arg(self.removed_key()).arg(&name).ignore();
        }
        let replaces = put.replaces.map(Version::bytes);
        pipeline
            .cmd("EVALSHA")
            .arg(script.get_hash())
            .arg(1)
            .arg(&name)
            .arg(replaces.as_ref().map_or(&[][..], |version| &version[..]))
            .arg(&put.version.bytes()[..])
            .arg(&put.bytes)
            .arg(self.expire_ms)
            .arg(u8::from(put.maybe_gone || self.expire_ms > 0));
    }
}

impl Commands for Wire {
    fn is_silent(&self) -> bool {
        self.pool.is_silent()
    }

    fn probe(&self) {
        self.reads.probe();
        self.pool.probe();
    }

    fn meta(&self) -> Result<[Option<String>; 5]> {
        let fields = ["epoch", "abandoned", "at", "first", "writer"];
        self.pool.with(|connection| redis::cmd("HMGET").arg(self.meta_key()).arg(&fields).query(connection))
    }

    fn begin(&self, least: u32, writer: &str, leap: u32) -> Result<[String; 4]> {
        let script = Script::new(BEGIN);
        self.pool.with(|connection| script.key(self.meta_key()).arg(least).arg(writer).arg(leap).invoke(connection))
    }

    fn close(&self, epoch: u32, at: LogOffset, writer: &str) -> Result<bool> {
        let script = Script::new(CLOSE);
        let closed: u32 = self
            .pool
            .with(|connection| script.key(self.meta_key()).arg(epoch).arg(at.0).arg(writer).invoke(connection))?;
        Ok(closed == 1)
    }

    fn get(&self, key: OnlineKey) -> Result<Option<Vec<u8>>> {
        get_by(&self.pool, &self.key(key))
    }

    fn get_promptly(&self, key: OnlineKey) -> Result<Option<Vec<u8>>> {
        get_by(&self.reads, &self.key(key))
    }

    fn put(&self, puts: &[Put]) -> Result<Vec<bool>> {
        let script = Script::new(PUT);
        // A server that was restarted does not know the script any more.
        self.pool.with(|connection| script.prepare_invoke().load(connection))?;
        let written: Vec<u32> = self.pool.with(|connection| {
            let mut pipeline = redis::pipe();
            puts.iter().for_each(|put| self.put_one(&mut pipeline, &script, put));
            pipeline.query(connection)
        })?;
        Ok(written.into_iter().map(|written| written == 1).collect())
    }

    fn removed(&self, limit: usize) -> Result<Vec<OnlineKey>> {
        let names: Vec<String> = self
            .pool
            .with(|connection| redis::cmd("SRANDMEMBER").arg(self.removed_key()).arg(limit).query(connection))?;
        Ok(names.iter().filter_map(|name| self.parse_key(name)).collect())
    }

    fn settle_removed(&self, keys: &[OnlineKey]) -> Result<()> {
        let names: Vec<String> = keys.iter().map(|key| self.key(*key)).collect();
        self.pool
            .with(|connection| redis::cmd("SREM").arg(self.removed_key()).arg(&names).query::<u64>(connection))
            .map(drop)
    }

    fn scan(&self, space: Option<u8>, visit: &mut dyn FnMut(OnlineKey, &[u8]) -> Result<()>) -> Result<()> {
        let pattern = match space {
            Some(space) => format!("{}:{{*}}:{space}", self.prefix),
            None => format!("{}:{{*}}:*", self.prefix),
        };
        // The server may name a key twice.
        let mut seen = std::collections::HashSet::new();
        let mut cursor = 0_u64;
        loop {
            let (next, names): (u64, Vec<String>) = self.pool.with(|connection| {
                let mut scan = redis::cmd("SCAN");
                scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(SCAN_COUNT).query(connection)
            })?;
            let keys: Vec<(OnlineKey, String)> =
                names.into_iter().filter_map(|name| Some((self.parse_key(&name)?, name))).collect();
            for some in keys.chunks(PIPELINE) {
                let values: Vec<Option<Vec<u8>>> = self.pool.with(|connection| {
                    let mut pipeline = redis::pipe();
                    for (_, name) in some {
                        pipeline.cmd("GET").arg(name);
                    }
                    pipeline.query(connection)
                })?;
                for ((key, _), bytes) in some.iter().zip(values) {
                    if let Some(bytes) = bytes.filter(|_| seen.insert(*key)) {
                        visit(*key, &bytes)?;
                    }
                }
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }
}

fn get_by(pool: &Pool, key: &str) -> Result<Option<Vec<u8>>> {
    pool.with(|connection| redis::cmd("GET").arg(key).query(connection))
}

/// Values, epochs and the snapshot, as they lie behind the commands.
pub(super) struct Server {
    commands: Box<dyn Commands>,
    /// Its name in errors.
    shown: String,
    /// Tells this process from every other that writes there.
    writer: String,
}

impl Server {
    pub(super) fn reached_by(commands: impl Commands + 'static, shown: String, writer: String) -> Self {
        Self { commands: Box::new(commands), shown, writer }
    }

    pub(super) fn is_silent(&self) -> bool {
        self.commands.is_silent()
    }

    pub(super) fn probe(&self) {
        self.commands.probe();
    }

    /// Begins an epoch of this process's own, not before `least`.
    pub(super) fn begin(&self, least: u32) -> Result<(Epochs, Option<LogOffset>)> {
        let [epoch, abandoned, at, first] = self.commands.begin(least, &self.writer, leap_of(&self.writer))?;
        epochs_of(&epoch, &abandoned, &at, &first)
    }

    /// Epochs and the snapshot as another process keeps them.
    pub(super) fn epochs(&self) -> Result<(Epochs, Option<LogOffset>)> {
        let [epoch, abandoned, at, first, _] = self.commands.meta()?;
        let epoch = epoch.unwrap_or_else(|| "0".to_owned());
        epochs_of(&epoch, &abandoned.unwrap_or_default(), &at.unwrap_or_default(), &first.unwrap_or_default())
    }

    /// The same epochs, and whether this process is the one that writes.
    pub(super) fn look(&self) -> Result<(Epochs, bool)> {
        let [epoch, abandoned, at, first, writer] = self.commands.meta()?;
        let epoch = epoch.unwrap_or_else(|| "0".to_owned());
        let (epochs, _) =
            epochs_of(&epoch, &abandoned.unwrap_or_default(), &at.unwrap_or_default(), &first.unwrap_or_default())?;
        Ok((epochs, writer.as_deref() == Some(&self.writer)))
    }

    pub(super) fn close_epoch(&self, epoch: u32, at: LogOffset) -> Result<()> {
        if self.commands.close(epoch, at, &self.writer)? { Ok(()) } else { Err(self.taken_over()) }
    }

    pub(super) fn taken_over(&self) -> StoreError {
        let detail = format!(
            "{}: another process writes here now, or the server lost its memory: what is written here counts no more",
            self.shown
        );
        StoreError::Conflict { what: WHAT, detail }
    }

    pub(super) fn get(&self, key: OnlineKey) -> Result<Option<Entry>> {
        self.commands.get(key)?.map(|bytes| Entry::from_bytes(&bytes)).transpose()
    }

    pub(super) fn get_promptly(&self, key: OnlineKey) -> Result<Option<Entry>> {
        self.commands.get_promptly(key)?.map(|bytes| Entry::from_bytes(&bytes)).transpose()
    }

    /// Writes a batch, unless another process has taken over since.
    pub(super) fn put(&self, batch: &[(OnlineKey, Waiting)], epoch: u32) -> Result<()> {
        let [open, .., writer] = self.commands.meta()?;
        if open.and_then(|open| open.parse().ok()) != Some(epoch) || writer.as_deref() != Some(&self.writer) {
            return Err(self.taken_over());
        }
        for some in batch.chunks(PIPELINE) {
            let puts: Vec<Put> = some.iter().map(|(key, waiting)| put_of(*key, waiting)).collect();
            if self.commands.put(&puts)?.contains(&false) {
                return Err(self.taken_over());
            }
        }
        Ok(())
    }

    /// Removes for good what was removed in epochs that are closed.
    pub(super) fn forget_removed(&self, epochs: &Epochs) -> Result<()> {
        loop {
            let mut settled = Vec::new();
            for key in self.commands.removed(PIPELINE)? {
                if let Some(entry) = self.get(key)? {
                    if entry.version.epoch == epochs.current {
                        continue;
                    }
                    // Of an abandoned epoch it was not removed after all.
                    if entry.value(epochs).is_none() {
                        self.commands.put(&[removal_of(key, entry.version)])?;
                    }
                }
                settled.push(key);
            }
            if settled.is_empty() {
                return Ok(());
            }
            self.commands.settle_removed(&settled)?;
        }
    }

    /// Calls `visit` with every entry, of one space or all.
    pub(super) fn scan(&self, space: Option<u8>, visit: &mut dyn FnMut(OnlineKey, Entry)) -> Result<()> {
        self.commands.scan(space, &mut |key, bytes| {
            visit(key, Entry::from_bytes(bytes)?);
            Ok(())
        })
    }
}

/// Below [`MOST_LEAP`], and another one for another writer, all but certainly.
fn leap_of(writer: &str) -> u32 {
    let hash = blake3::hash(writer.as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    u32::from_le_bytes([a, b, c, d]) % MOST_LEAP
}

fn put_of(key: OnlineKey, waiting: &Waiting) -> Put {
    Put {
        key,
        replaces: waiting.replaces,
        version: waiting.entry.version,
        bytes: waiting.entry.to_bytes(),
        maybe_gone: waiting.in_doubt,
        notes_removal: waiting.entry.is_removed() && !waiting.entry.is_nothing(),
    }
}

fn removal_of(key: OnlineKey, version: Version) -> Put {
    Put { key, replaces: Some(version), version, bytes: Vec::new(), maybe_gone: false, notes_removal: false }
}

fn epochs_of(epoch: &str, abandoned: &str, at: &str, first: &str) -> Result<(Epochs, Option<LogOffset>)> {
    let damaged = || StoreError::Damaged { what: WHAT, detail: "its epochs are not in a known format".to_owned() };
    let abandoned: Option<BTreeSet<u32>> = abandoned.split_whitespace().map(|epoch| epoch.parse().ok()).collect();
    let number = |text: &str| text.parse::<u32>().map_err(|_| damaged());
    let epochs = Epochs {
        current: number(epoch)?,
        abandoned: abandoned.ok_or_else(damaged)?,
        // None was noted before there was such a thing.
        first: if first.is_empty() { 0 } else { number(first)? },
    };
    let at = if at.is_empty() { None } else { Some(LogOffset(at.parse().map_err(|_| damaged())?)) };
    Ok((epochs, at))
}

pub(super) fn refused(detail: String) -> StoreError {
    StoreError::Unavailable { what: WHAT, detail }
}

/// What Redis's errors mean to a caller, with what mends them.
pub(super) fn explain(address: &Address, error: &RedisError) -> StoreError {
    let code = error.code().unwrap_or_default();
    let remedy = match code {
        "NOAUTH" | "WRONGPASS" => "check user and password (or password_file)",
        "NOPERM" => "grant the user the commands: ACL SETUSER name ~prefix:* +@read +@write +@scripting +info",
        "OOM" => return StoreError::NoSpace { what: WHAT, detail: format!("{address}: Redis's memory is full") },
        "LOADING" | "BUSY" | "MASTERDOWN" => return StoreError::Busy { what: WHAT, retry_after_ms: 1_000 },
        "READONLY" => "the server is a replica; name the one that takes writes",
        "MISCONF" => "the server can't write its disk; look into its log",
        _ if error.kind() == ErrorKind::AuthenticationFailed => "check user and password (or password_file)",
        _ if error.is_timeout() => "no answer in time; check host, port and firewall",
        _ => "check host, port and firewall, and that the server runs",
    };
    refused(format!("{address}: {}; {remedy}", error.detail().map_or_else(|| error.to_string(), str::to_owned)))
}
