//! Connections to Redis: at most so many, each given to one caller at a time.

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
}

#[derive(Default)]
struct State {
    idle: Vec<Connection>,
    open: usize,
}

impl Pool {
    pub(super) fn new(address: &Address) -> Result<Self> {
        let fail = |error: crate::AddressError| refused(error.to_string());
        let size = address.number("pool", 8, 1..=1_000, "1 to 1000").map_err(fail)? as usize;
        let timeout = address.number("timeout_ms", 2_000, 1..=600_000, "milliseconds up to 600000").map_err(fail)?;
        let timeout = Duration::from_millis(timeout);
        Ok(Self { address: address.clone(), size, timeout, state: Mutex::default(), returned: Condvar::new() })
    }

    /// Runs `work` on a connection. One that failed is closed; after a broken one, `work` runs once more on a new one: it
    /// must be harmless to repeat.
    pub(super) fn with<T>(&self, work: impl Fn(&mut Connection) -> redis::RedisResult<T>) -> Result<T> {
        let (mut connection, used) = self.take()?;
        match work(&mut connection) {
            Err(error) if used && broken(&error) => {
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
    ) -> Result<T> {
        let outcome = work(&mut connection);
        self.settle(connection, outcome)
    }

    fn settle<T>(&self, connection: Connection, outcome: redis::RedisResult<T>) -> Result<T> {
        match outcome {
            Err(error) if broken(&error) => {
                drop(connection);
                self.closed();
                Err(explain(&self.address, &error))
            }
            outcome => {
                self.state.lock().idle.push(connection);
                self.returned.notify_one();
                outcome.map_err(|error| explain(&self.address, &error))
            }
        }
    }

    /// A connection, and whether it was used before: such a one may have been closed meanwhile.
    fn take(&self) -> Result<(Connection, bool)> {
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
                    return Err(StoreError::Busy { what: WHAT, retry_after_ms: 500 });
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

    fn connect(&self) -> Result<Connection> {
        let fail = |error: RedisError| explain(&self.address, &error);
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
