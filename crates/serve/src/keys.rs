//! API keys: made at random, shown once, kept as a hash.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use merx_domain::TimestampMs;
use merx_store::{Migration, Records, Row, StoreError, Value};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::limits::{Bucket, RateLimit};
use crate::roles::Role;

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-21-serve-001-keys",
    sql: "CREATE TABLE api_keys (
            id TEXT PRIMARY KEY,
            hash BYTEA NOT NULL UNIQUE,
            scope TEXT NOT NULL,
            label TEXT NOT NULL,
            created_at_ms BIGINT NOT NULL
          )",
};

/// A shop has a handful of keys; more are refused, so that the cache stays small.
const MAX_KEYS: usize = 10_000;

/// What the ids of people begin with. No key's does: ids are hexadecimal.
const PERSON: &str = "user:";

/// The id of a key that is written nowhere. No key has it: ids are hexadecimal.
const LENT: &str = "lent";

/// How far a key reaches. Each of the first three includes the ones before it; a role has a table of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Writes events and asks for recommendations; may stand in a web page.
    Public,
    /// Reads and writes the shop's records and decisions.
    Secret,
    /// Keys and models.
    Admin,
    /// A person of the console.
    Role(Role),
}

impl Scope {
    /// What a shop's first start makes a key of.
    pub const FIRST: [Self; 3] = [Self::Public, Self::Secret, Self::Admin];

    pub fn all() -> impl Iterator<Item = Self> {
        Self::FIRST.into_iter().chain(Role::ALL.map(Self::Role))
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Secret => "secret",
            Self::Admin => "admin",
            Self::Role(role) => role.name(),
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|scope| scope.name() == name)
    }

    /// Whether it is at least `least`, one of the first three. What a role may do its table says; beyond that it is
    /// trusted as a secret key is, an owner as an admin key.
    pub fn reaches(self, least: Self) -> bool {
        let rank = |scope| match scope {
            Self::Public => 1,
            Self::Secret => 2,
            Self::Admin | Self::Role(Role::Owner) => 3,
            Self::Role(_) => 2,
        };
        rank(self) >= rank(least)
    }

    pub(crate) fn role(self) -> Option<Role> {
        match self {
            Self::Role(role) => Some(role),
            _ => None,
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Public => "mx_pub_",
            Self::Secret => "mx_sec_",
            Self::Admin => "mx_adm_",
            Self::Role(_) => "mx_rol_",
        }
    }
}

impl Serialize for Scope {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = || Self::all().map(Self::name).collect::<Vec<_>>().join(", ");
        Self::from_name(&name)
            .ok_or_else(|| serde::de::Error::custom(format!("unknown scope {name:?}, expected one of {}", known())))
    }
}

impl PartialSchema for Scope {
    fn schema() -> RefOr<Schema> {
        let names: Vec<&str> = Self::all().map(Self::name).collect();
        let words = "public, secret and admin include one another; the others are the roles of people: see docs.";
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).description(Some(words)).into()
    }
}

impl ToSchema for Scope {}

/// What is known of a key; the key itself is not.
#[derive(Debug)]
pub struct ApiKey {
    /// Names the key in lists and in the scope of message ids: the first 12 hexadecimal digits of its hash.
    pub id: String,
    pub scope: Scope,
    pub label: String,
    pub created_at: TimestampMs,
    hash: [u8; 32],
    bucket: Bucket,
}

impl ApiKey {
    /// What a session of a person holds in place of a key; no text opens anything with it.
    pub(crate) fn of_person(name: &str, scope: Scope, created_at: TimestampMs, marks: [u8; 32]) -> Self {
        let (id, label) = (format!("{PERSON}{name}"), name.to_owned());
        Self { id, scope, label, created_at, hash: marks, bucket: Bucket::default() }
    }

    /// Whether it is the same, unchanged.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.id == other.id && self.hash == other.hash
    }

    /// Who acts with it, for the audit log.
    pub(crate) fn actor(&self) -> String {
        match self.id.strip_prefix(PERSON) {
            Some(name) => format!("user {name}"),
            None => format!("key {}", self.id),
        }
    }

    /// Takes one request out of the key's allowance, or says after how many seconds there is one.
    pub(crate) fn take(&self, limit: &RateLimit, now: TimestampMs) -> Result<(), u64> {
        self.bucket.take(limit, now)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("there are {MAX_KEYS} keys already")]
    TooMany,
    #[error("there is no key {0}")]
    Unknown(String),
    /// Without an admin key nobody could make keys again.
    #[error("{0} is the last admin key")]
    LastAdmin(String),
    #[error("the system gave no random bytes: {0}")]
    NoRandomness(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn random_text(scope: Scope) -> Result<String, KeyError> {
    Ok(format!("{}{}", scope.prefix(), random_token()?))
}

/// 256 random bits that can stand in a header or an address.
pub(crate) fn random_token() -> Result<String, KeyError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| KeyError::NoRandomness(error.to_string()))?;
    Ok(URL_SAFE_NO_PAD.encode(secret))
}

type Known = HashMap<[u8; 32], Arc<ApiKey>, rustc_hash::FxBuildHasher>;

/// All keys, looked up in memory: a request with a made-up key costs no query.
pub struct Keys {
    records: Arc<dyn Records>,
    known: ArcSwap<Known>,
    /// Changes come one at a time.
    changing: parking_lot::Mutex<()>,
}

impl Keys {
    pub fn open(records: Arc<dyn Records>) -> Result<Self, StoreError> {
        let keys = Self { records, known: ArcSwap::default(), changing: Default::default() };
        keys.reload()?;
        Ok(keys)
    }

    /// Reads the keys again: another process may have changed them.
    pub fn reload(&self) -> Result<(), StoreError> {
        let _changing = self.changing.lock();
        self.read_again()
    }

    fn read_again(&self) -> Result<(), StoreError> {
        let rows = self.records.query("SELECT id, hash, scope, label, created_at_ms FROM api_keys", &[])?;
        let before = self.known.load();
        let mut known = Known::default();
        for row in rows {
            let key = read_key(row).ok_or_else(|| StoreError::Damaged {
                what: "API keys",
                detail: "a row has another form than written".into(),
            })?;
            // A key that stays keeps its allowance.
            let key = before.get(&key.hash).cloned().unwrap_or_else(|| Arc::new(key));
            known.insert(key.hash, key);
        }
        self.known.store(Arc::new(known));
        Ok(())
    }

    /// The key of a text that a caller sent.
    pub fn find(&self, text: &str) -> Option<Arc<ApiKey>> {
        let hash = blake3::hash(text.as_bytes());
        let known = self.known.load();
        let key = known.get(hash.as_bytes())?;
        bool::from(key.hash.ct_eq(hash.as_bytes())).then(|| Arc::clone(key))
    }

    /// The same key as it is known now; `None` once it is revoked.
    pub(crate) fn current(&self, key: &ApiKey) -> Option<Arc<ApiKey>> {
        self.known.load().get(&key.hash).cloned()
    }

    pub fn is_empty(&self) -> bool {
        self.known.load().is_empty()
    }

    /// By age, oldest first.
    pub fn list(&self) -> Vec<Arc<ApiKey>> {
        let known = self.known.load();
        let mut keys: Vec<_> = known.values().filter(|key| key.id != LENT).cloned().collect();
        keys.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        keys
    }

    /// Makes a key of 256 random bits. The text is returned here and nowhere again.
    pub fn mint(&self, scope: Scope, label: &str, now: TimestampMs) -> Result<(String, Arc<ApiKey>), KeyError> {
        let text = random_text(scope)?;
        let key = self.add(&text, scope, label, now)?;
        Ok((text, key))
    }

    /// Adds a key whose text is known already: the write key that a shop's pages have been sending elsewhere.
    pub fn add(&self, text: &str, scope: Scope, label: &str, now: TimestampMs) -> Result<Arc<ApiKey>, KeyError> {
        let _changing = self.changing.lock();
        if self.known.load().len() >= MAX_KEYS {
            return Err(KeyError::TooMany);
        }
        let hash = blake3::hash(text.as_bytes());
        let id = hash.to_hex()[..12].to_owned();
        let row = [
            Value::Text(id),
            Value::Bytes(hash.as_bytes().to_vec()),
            Value::Text(scope.name().to_owned()),
            Value::Text(label.to_owned()),
            Value::Integer(now.0),
        ];
        self.records.transaction(&mut |transaction| {
            transaction.execute(
                "INSERT INTO api_keys (id, hash, scope, label, created_at_ms) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (id) DO NOTHING",
                &row,
            )?;
            Ok(())
        })?;
        self.read_again()?;
        let key = self.find(text);
        key.ok_or_else(|| {
            StoreError::Conflict { what: "API keys", detail: "the key was removed while it was made".into() }.into()
        })
    }

    /// A key that is written nowhere: it is good in this process until the keys are read again.
    pub fn lend(&self, scope: Scope, now: TimestampMs) -> Result<String, KeyError> {
        let _changing = self.changing.lock();
        let text = random_text(scope)?;
        let hash = *blake3::hash(text.as_bytes()).as_bytes();
        let key = ApiKey {
            id: LENT.to_owned(),
            scope,
            label: String::new(),
            created_at: now,
            hash,
            bucket: Bucket::default(),
        };
        let mut known = Known::clone(&self.known.load());
        known.insert(hash, Arc::new(key));
        self.known.store(Arc::new(known));
        Ok(text)
    }

    pub fn revoke(&self, id: &str) -> Result<(), KeyError> {
        let _changing = self.changing.lock();
        let known = self.list();
        let key = known.iter().find(|key| key.id == id).ok_or_else(|| KeyError::Unknown(id.to_owned()))?;
        let admins = known.iter().filter(|key| key.scope.reaches(Scope::Admin)).count();
        if key.scope.reaches(Scope::Admin) && admins == 1 {
            return Err(KeyError::LastAdmin(id.to_owned()));
        }
        self.records.transaction(&mut |transaction| {
            transaction.execute("DELETE FROM api_keys WHERE id = $1", &[Value::Text(id.to_owned())])?;
            Ok(())
        })?;
        Ok(self.read_again()?)
    }
}

fn read_key(row: Row) -> Option<ApiKey> {
    let [Value::Text(id), Value::Bytes(hash), Value::Text(scope), Value::Text(label), Value::Integer(created_at)] =
        <[Value; 5]>::try_from(row.0).ok()?
    else {
        return None;
    };
    Some(ApiKey {
        id,
        hash: hash.try_into().ok()?,
        scope: Scope::from_name(&scope)?,
        label,
        created_at: TimestampMs(created_at),
        bucket: Bucket::default(),
    })
}
