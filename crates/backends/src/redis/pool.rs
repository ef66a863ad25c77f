//! Connections to Redis: at most so many, each given to one caller at a time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use merx_store::{Result, StoreError};
use parking_lot::{Condvar, Mutex};
use redis::{Client, Connection, RedisError};

use super::WHAT;
use super::server::{explain, refused};
use crate::address::Address;

const DEFAULT_PORT: u16 = 6379;

pub(super) struct Pool {
    address: Address,
    size: usize,
    timeout: Duration,
    state: Mutex<State>,
    returned: Condvar,
    /// The server did not answer: until a probe finds it again nobody waits for it.
    silent: AtomicBool,
}

/// Why something was not done, and whether the server said nothing at all.
struct Failed {
    error: StoreError,
    silent: bool,
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self { error, silent: false }
    }
}

#[derive(Default)]
struct State {
    idle: Vec<Connection>,
    open: usize,
}

impl Pool {
    /// `timeout`: the option that says how long anything is waited for, and its default.
    pub(super) fn new(address: &Address, timeout: (&str, u64)) -> Result<Self> {
        let fail = |error: crate::AddressError| refused(error.to_string());
        let size = address.number("pool", 8, 1..=1_000, "1 to 1000").map_err(fail)? as usize;
        let timeout = address.number(timeout.0, timeout.1, 1..=600_000, "milliseconds up to 600000").map_err(fail)?;
        let timeout = Duration::from_millis(timeout);
        let silent = AtomicBool::new(false);
        Ok(Self { address: address.clone(), size, timeout, state: Mutex::default(), returned: Condvar::new(), silent })
    }

    pub(super) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Acquire)
    }

    /// Asks a server that was silent for a sign of life, on a connection of its own.
    pub(super) fn probe(&self) {
        if !self.is_silent() {
            return;
        }
        let answered = self.connect().is_ok_and(|mut probe| redis::cmd("PING").exec(&mut probe).is_ok());
        if answered {
            self.silent.store(false, Ordering::Release);
        }
    }

    /// Runs `work` on a connection. One that failed is closed; after a broken one, `work` runs once more on a new one: it
    /// must be harmless to repeat.
    pub(super) fn with<T>(&self, work: impl Fn(&mut Connection) -> redis::RedisResult<T>) -> Result<T> {
        if self.is_silent() {
            return Err(refused(format!("{}: the server does not answer", self.address)));
        }
        let outcome = self.with_connection(work);
        if matches!(outcome, Err(Failed { silent: true, .. })) {
            self.silent.store(true, Ordering::Release);
        }
        outcome.map_err(|failed| failed.error)
    }

    fn with_connection<T>(&self, work: impl Fn(&mut Connection) -> redis::RedisResult<T>) -> Result<T, Failed> {
        let (mut connection, used) = self.take()?;
        match work(&mut connection) {
            // One that lay idle may have been closed; of one that says nothing the next would say nothing either.
            Err(error) if used && broken(&error) && !error.is_timeout() => {
                self.discard_idle();
                drop(connection);
                connection = self.connect().inspect_err(|_| self.closed())?;
                self.finish(connection, work)
            }
            outcome => self.settle(connection, outcome),
        }
    }

    fn finish<T>(
        &self,
        mut connection: Connection,
        work: impl Fn(&mut Connection) -> redis::RedisResult<T>,
    ) -> Result<T, Failed> {
        let outcome = work(&mut connection);
        self.settle(connection, outcome)
    }

    fn settle<T>(&self, connection: Connection, outcome: redis::RedisResult<T>) -> Result<T, Failed> {
        match outcome {
            Err(error) if broken(&error) => {
                drop(connection);
                self.closed();
                Err(Failed { error: explain(&self.address, &error), silent: true })
            }
            outcome => {
                self.state.lock().idle.push(connection);
                self.returned.notify_one();
                outcome.map_err(|error| explain(&self.address, &error).into())
            }
        }
    }

    /// A connection, and whether it was used before: such a one may have been closed meanwhile.
    fn take(&self) -> Result<(Connection, bool), Failed> {
        {
            let mut state = self.state.lock();
            loop {
                if let Some(connection) = state.idle.pop() {
                    return Ok((connection, true));
                }
                if state.open < self.size {
                    state.open += 1;
                    break;
                }
                if self.returned.wait_for(&mut state, self.timeout).timed_out() {
                    return Err(StoreError::Busy { what: WHAT, retry_after_ms: 500 }.into());
                }
            }
        }
        self.connect().inspect_err(|_| self.closed()).map(|connection| (connection, false))
    }

    /// After a restart of the server every idle connection is dead.
    fn discard_idle(&self) {
        let mut state = self.state.lock();
        state.open -= state.idle.len();
        state.idle.clear();
    }

    fn closed(&self) {
        self.state.lock().open -= 1;
        self.returned.notify_one();
    }

    fn connect(&self) -> Result<Connection, Failed> {
        let fail = |error: RedisError| Failed { silent: broken(&error), error: explain(&self.address, &error) };
        let connection = self.client()?.get_connection_with_timeout(self.timeout).map_err(fail)?;
        connection.set_read_timeout(Some(self.timeout)).map_err(fail)?;
        connection.set_write_timeout(Some(self.timeout)).map_err(fail)?;
        Ok(connection)
    }

    fn client(&self) -> Result<Client> {
        let (host, port) = self.address.host_and_port(DEFAULT_PORT).map_err(|error| refused(error.to_string()))?;
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let password = self.address.password().map_err(|error| refused(error.to_string()))?;
        let encode =
            |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let user = self.address.user().map(encode).unwrap_or_default();
        let sign_in = password.map_or_else(String::new, |secret| format!("{user}:{}@", encode(secret.reveal())));
        let url = format!("{}://{sign_in}{host}:{port}/{}", self.address.scheme(), self.address.path());
        // The client's own words could repeat the URL with its password.
        Client::open(url).map_err(|error| refused(format!("{}: {:?}", self.address, error.kind())))
    }
}

fn broken(error: &RedisError) -> bool {
    error.is_io_error() || error.is_connection_dropped() || error.is_timeout() || error.is_unrecoverable_error()
}
