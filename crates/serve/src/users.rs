//! People who sign in to the console with a name and a password. Each has a role; a session of theirs reaches as far.
//!
//! Passwords are kept as Argon2id hashes (RFC 9106) with the crate's parameters: 19 MiB, two passes, one lane, the first
//! choice of OWASP's cheat sheet. One password is tried at a time, so that sign-ins can't take the machine's memory.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use merx_decide::{Act, AuditLog};
use merx_domain::TimestampMs;
use merx_store::{Migration, Records, Row, StoreError, Value};
use parking_lot::Mutex;
use serde_json::json;

use crate::keys::{ApiKey, Scope};
use crate::limits::{Bucket, RateLimit};
use crate::roles::Role;

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-22-serve-001-users",
    sql: "CREATE TABLE console_users (
            name TEXT PRIMARY KEY,
            role TEXT NOT NULL,
            password TEXT NOT NULL,
            created_at_ms BIGINT NOT NULL,
            changed_at_ms BIGINT NOT NULL
          )",
};

const MAX_USERS: usize = 1_000;
pub(crate) const MAX_NAME_BYTES: usize = 100;
/// NIST SP 800-63B asks for 8 at least; nothing is asked of what they are made of.
pub(crate) const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 10..=200;
pub(crate) const PASSWORD_HINT: &str = "10 to 200 characters; four words are a good one";

/// Sign-ins under one name: five in a row, then one in half a minute.
const TRIES: RateLimit = RateLimit { requests_per_second: 1.0 / 30.0, burst: 5.0 };
/// Under names that nobody has, all together.
const TRIES_OF_STRANGERS: RateLimit = RateLimit { requests_per_second: 1.0, burst: 20.0 };
/// Verified where nobody has the name, so that the answer takes as long.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5$ZbLqY2ipnxRrS6q9sPl0CFgOgv9VeYYUIFRRFLhpZ/w";

#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error("the name or the password is another")]
    Wrong,
    #[error("too many sign-ins; the next in {0} s")]
    TooOften(u64),
    #[error("there is no user {0}")]
    Unknown(String),
    #[error("there are {MAX_USERS} users already")]
    TooMany,
    #[error("{0} is new and needs a password")]
    NoPassword(String),
    #[error("no password could be kept: {0}")]
    Hashing(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One who may sign in.
pub struct User {
    pub name: String,
    pub role: Role,
    pub created_at: TimestampMs,
    pub changed_at: TimestampMs,
    password: String,
    /// What sessions hold: it is another one as soon as the role or the password is.
    pub(crate) key: Arc<ApiKey>,
    tries: Bucket,
}

type Known = HashMap<String, Arc<User>>;

/// All users, looked up in memory.
pub struct Users {
    records: Arc<dyn Records>,
    known: ArcSwap<Known>,
    changing: Mutex<()>,
    trying: Mutex<()>,
    strangers: Bucket,
}

impl Users {
    /// The migration must have run on `records`.
    pub fn open(records: Arc<dyn Records>) -> Result<Self, StoreError> {
        let users = Self {
            records,
            known: ArcSwap::default(),
            changing: Mutex::default(),
            trying: Mutex::default(),
            strangers: Bucket::default(),
        };
        users.read_again()?;
        Ok(users)
    }

    /// Reads them again: another process may have changed them.
    pub fn reload(&self) -> Result<(), StoreError> {
        let _changing = self.changing.lock();
        self.read_again()
    }

    fn read_again(&self) -> Result<(), StoreError> {
        let before = self.known.load();
        let sql = "SELECT name, role, password, created_at_ms, changed_at_ms FROM console_users";
        let mut known = Known::new();
        for row in self.records.query(sql, &[])? {
            let user = read(row).ok_or_else(|| StoreError::Damaged {
                what: "users",
                detail: "a row has another form than written".into(),
            })?;
            // Who stays as they were keeps their tries.
            let same = before.get(&user.name).filter(|known| known.key.is(&user.key)).cloned();
            known.insert(user.name.clone(), same.unwrap_or_else(|| Arc::new(user)));
        }
        self.known.store(Arc::new(known));
        Ok(())
    }

    /// By name.
    pub fn list(&self) -> Vec<Arc<User>> {
        let mut users: Vec<_> = self.known.load().values().cloned().collect();
        users.sort_by(|a, b| a.name.cmp(&b.name));
        users
    }

    /// The same user's key as it is now; `None` once role or password changed, or the user is gone.
    pub(crate) fn current(&self, key: &ApiKey) -> Option<Arc<ApiKey>> {
        let known = self.known.load();
        known.get(&key.label).map(|user| &user.key).filter(|current| current.is(key)).cloned()
    }

    /// Who this is, if the password is theirs. A wrong name answers as a wrong password does, and as late.
    pub fn sign_in(&self, name: &str, password: &str, now: TimestampMs) -> Result<Arc<User>, UserError> {
        let user = self.known.load().get(name).cloned();
        match &user {
            Some(user) => user.tries.take(&TRIES, now),
            None => self.strangers.take(&TRIES_OF_STRANGERS, now),
        }
        .map_err(UserError::TooOften)?;
        let _one_at_a_time = self.trying.lock();
        let kept = PasswordHash::new(user.as_ref().map_or(NOBODY, |user| &user.password));
        let kept = kept.map_err(|error| UserError::Hashing(error.to_string()))?;
        let right = Argon2::default().verify_password(password.as_bytes(), &kept).is_ok();
        user.filter(|_| right).ok_or(UserError::Wrong)
    }

    /// Makes a user, or gives one another role or password; what is left out stays. Their sessions end.
    pub fn put(&self, name: &str, role: Role, password: Option<&str>, act: Act<'_>) -> Result<Arc<User>, UserError> {
        let _changing = self.changing.lock();
        let known = self.known.load_full();
        let before = known.get(name);
        if before.is_none() && known.len() >= MAX_USERS {
            return Err(UserError::TooMany);
        }
        let password = match (password, before) {
            (Some(password), _) => hash(password)?,
            (None, Some(user)) => user.password.clone(),
            (None, None) => return Err(UserError::NoPassword(name.to_owned())),
        };
        let created_at = before.map_or(act.at, |user| user.created_at);
        let words = |text: &str| Value::Text(text.to_owned());
        let row = [
            words(name),
            words(role.name()),
            Value::Text(password),
            Value::Integer(created_at.0),
            Value::Integer(act.at.0),
        ];
        self.records.transaction(&mut |transaction| {
            transaction.execute(
                "INSERT INTO console_users (name, role, password, created_at_ms, changed_at_ms) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (name) DO UPDATE SET role = $2, password = $3, changed_at_ms = $5",
                &row,
            )?;
            AuditLog::append(transaction, act, "user.put", name, &json!({ "role": role.name() }))
        })?;
        self.read_again()?;
        self.known.load().get(name).cloned().ok_or_else(|| UserError::Unknown(name.to_owned()))
    }

    pub fn remove(&self, name: &str, act: Act<'_>) -> Result<(), UserError> {
        let _changing = self.changing.lock();
        if !self.known.load().contains_key(name) {
            return Err(UserError::Unknown(name.to_owned()));
        }
        self.records.transaction(&mut |transaction| {
            transaction.execute("DELETE FROM console_users WHERE name = $1", &[Value::Text(name.to_owned())])?;
            AuditLog::append(transaction, act, "user.remove", name, &json!({}))
        })?;
        Ok(self.read_again()?)
    }
}

/// With a salt of its own.
fn hash(password: &str) -> Result<String, UserError> {
    let hashed = Argon2::default().hash_password(password.as_bytes());
    hashed.map(|hash| hash.to_string()).map_err(|error| UserError::Hashing(error.to_string()))
}

fn read(row: Row) -> Option<User> {
    let [
        Value::Text(name),
        Value::Text(role),
        Value::Text(password),
        Value::Integer(created_at),
        Value::Integer(changed_at),
    ] = <[Value; 5]>::try_from(row.0).ok()?
    else {
        return None;
    };
    let role = Role::ALL.into_iter().find(|known| known.name() == role)?;
    let marks = blake3::hash(format!("{name}\n{}\n{password}", role.name()).as_bytes());
    let key = ApiKey::of_person(&name, Scope::Role(role), TimestampMs(created_at), *marks.as_bytes());
    Some(User {
        key: Arc::new(key),
        name,
        role,
        password,
        created_at: TimestampMs(created_at),
        changed_at: TimestampMs(changed_at),
        tries: Bucket::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_kept_as_an_argon2id_hash_with_a_salt_of_its_own() {
        let (one, other) = (hash("correct horse").unwrap(), hash("correct horse").unwrap());
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_ne!(one, other);
        let right =
            |password: &str| Argon2::default().verify_password(password.as_bytes(), &PasswordHash::new(&one).unwrap());
        assert!(right("correct horse").is_ok());
        assert!(right("correct horses").is_err());
    }

    #[test]
    fn nobody_has_a_hash_that_can_be_read_and_costs_as_much() {
        let nobody = PasswordHash::new(NOBODY).unwrap();
        let (costs, usual) = (argon2::Params::try_from(&nobody).unwrap(), argon2::Params::default());
        let of = |params: &argon2::Params| (params.m_cost(), params.t_cost(), params.p_cost());
        assert_eq!(of(&costs), of(&usual));
    }
}
