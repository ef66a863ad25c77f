//! Connections: at most so many, each given to one caller at a time.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use merx_store::{Result, Row, StoreError, Value};
use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, Statement};

use super::errors::{Failure, explain, with_causes};
use super::tls;
use super::value::{Cell, Parameter, parameter_count, type_of};
use super::{Driver, WHAT};
use crate::address::{Address, AddressError};

const DEFAULT_PORT: u16 = 5432;
/// Prepared statements that a connection keeps; it begins anew beyond them.
const STATEMENTS: usize = 512;
const OPTIONS: [&str; 10] = [
    "pool",
    "pool_wait_ms",
    "read_pool",
    "read_timeout_ms",
    "statement_timeout_ms",
    "connect_timeout_ms",
    "sslmode",
    "ca_file",
    "schema",
    "application_name",
];

pub(super) struct Pool {
    address: Address,
    config: Config,
    tls: tls::Tls,
    /// Run on each new connection.
    session: String,
    /// Without a password: for messages.
    pub(super) shown: String,
    size: u32,
    wait: Duration,
    connect_timeout: Duration,
    /// How long a statement's answer is waited for, where that is shorter than the server's own limit.
    answer_within: Option<Duration>,
    handle: Handle,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Session>,
    /// Connections out or idle.
    open: u32,
}

/// What belongs to one connection.
struct Session {
    client: Client,
    statements: HashMap<(String, Vec<u32>), Statement>,
}

/// A connection in use. Dropped without [`Connection::give_back`] it is closed: nobody knows in what state it is.
pub(super) struct Connection<'a> {
    pool: &'a Pool,
    /// Taken when given back.
    session: Option<Session>,
}

impl Pool {
    pub(super) fn new(address: &Address, handle: &Handle) -> Result<Self> {
        let fail = |error: AddressError| StoreError::Unavailable { what: WHAT, detail: error.to_string() };
        address.only_options(&OPTIONS).map_err(fail)?;
        let milliseconds = "milliseconds from 1 to 3600000";
        let number = |name, default| address.number(name, default, 1..=3_600_000, milliseconds).map_err(fail);
        let size = address.number("pool", 16, 1..=1_000, "1 to 1000").map_err(fail)? as u32;
        let wait = Duration::from_millis(number("pool_wait_ms", 5_000)?);
        let connect_timeout = Duration::from_millis(number("connect_timeout_ms", 5_000)?);
        let statement_timeout_ms = number("statement_timeout_ms", 30_000)?;
        let mut config = Config::new();
        for host in address.hosts() {
            let one = Address::parse(&format!("postgres://{host}")).map_err(fail)?;
            let (host, port) = one.host_and_port(DEFAULT_PORT).map_err(fail)?;
            config.host(host).port(port);
        }
        config
            .user(address.user().unwrap_or("merx"))
            .dbname(if address.path().is_empty() { "merx" } else { address.path() })
            .application_name(address.option("application_name").unwrap_or("merx"))
            .connect_timeout(connect_timeout)
            .keepalives_idle(Duration::from_secs(30))
            // What the other side's machine does not acknowledge for so long is gone: a cut between the two.
            .tcp_user_timeout(connect_timeout)
            // Of several hosts the one that takes writes: after a failover the new primary.
            .target_session_attrs(tokio_postgres::config::TargetSessionAttrs::ReadWrite);
        let tls = tls::Tls::of(address, &mut config)?;
        // Nobody holds locks for longer than a statement may take.
        let mut session = format!(
            "SET statement_timeout = {statement_timeout_ms}; SET lock_timeout = {statement_timeout_ms};
             SET idle_in_transaction_session_timeout = {};",
            statement_timeout_ms.saturating_mul(2)
        );
        if let Some(schema) = address.option("schema") {
            if schema.is_empty() || !schema.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(fail(address.bad("schema", schema, "letters, digits and _")));
            }
            session.push_str(&format!(" SET search_path = {schema};"));
        }
        Ok(Self {
            address: address.clone(),
            config,
            tls,
            session,
            shown: address.to_string(),
            size,
            wait,
            connect_timeout,
            answer_within: None,
            handle: handle.clone(),
            state: Mutex::default(),
            returned: Condvar::new(),
        })
    }

    /// Connections of their own for who can't wait, and how long that one waits: for a connection, and for an answer.
    pub(super) fn for_prompt_reads(address: &Address, handle: &Handle) -> Result<(Self, Duration)> {
        let fail = |error: AddressError| StoreError::Unavailable { what: WHAT, detail: error.to_string() };
        let size = address.number("read_pool", 8, 1..=1_000, "1 to 1000").map_err(fail)? as u32;
        let within = address.number("read_timeout_ms", 150, 1..=60_000, "milliseconds from 1 to 60000");
        let within = Duration::from_millis(within.map_err(fail)?);
        let mut pool = Self::new(address, handle)?;
        pool.config.connect_timeout(within);
        (pool.size, pool.wait, pool.connect_timeout, pool.answer_within) = (size, within, within, Some(within));
        Ok((pool, within))
    }

    fn wait<T: Send>(
        &self,
        driver: &Driver,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>> + Send,
    ) -> Result<T, Failure> {
        let answered = match self.answer_within {
            None => driver.wait(answer),
            Some(within) => driver
                .wait(async { tokio::time::timeout(within, answer).await })
                .map_err(|_| Failure::Late(self.refused("no answer in time", "see read_timeout_ms in the address")))?,
        };
        answered.map_err(|error| Failure::of(&error))
    }

    pub(super) fn size(&self) -> u32 {
        self.size
    }

    /// An idle connection, or a new one; `Busy` where all are out for longer than `pool_wait_ms`.
    pub(super) fn take(&self, driver: &Driver) -> Result<Connection<'_>> {
        {
            let mut state = self.state.lock();
            loop {
                while let Some(session) = state.idle.pop() {
                    if !session.client.is_closed() {
                        return Ok(Connection { pool: self, session: Some(session) });
                    }
                    state.open -= 1;
                }
                if state.open < self.size {
                    state.open += 1;
                    break;
                }
                if self.returned.wait_for(&mut state, self.wait).timed_out() {
                    return Err(StoreError::Busy { what: WHAT, retry_after_ms: 1_000 });
                }
            }
        }
        let connected = self.connect(driver);
        if connected.is_err() {
            self.closed();
        }
        connected.map(|session| Connection { pool: self, session: Some(session) })
    }

    fn closed(&self) {
        self.state.lock().open -= 1;
        self.returned.notify_one();
    }

    fn connect(&self, driver: &Driver) -> Result<Session> {
        let mut config = self.config.clone();
        let password = self.address.password();
        let password = password.map_err(|error| StoreError::Unavailable { what: WHAT, detail: error.to_string() })?;
        if let Some(password) = password {
            config.password(password.reveal());
        }
        // The client's own limit is for each host's connection alone, not for what a silent server says next.
        let limit = self.connect_timeout * (self.address.hosts().len() as u32 + 1);
        let connecting = async {
            let connected = tokio::time::timeout(limit, self.tls.connect(&config, &self.handle)).await;
            let client = connected.map_err(|_| self.refused("no answer in time", "check host, port and firewall"))?;
            let client = client.map_err(|error| self.explain_refusal(&error))?;
            client.batch_execute(&self.session).await.map_err(|error| explain(&error))?;
            Ok::<Session, StoreError>(Session { client, statements: HashMap::new() })
        };
        driver.wait(connecting)
    }

    /// Why there is no connection, and what mends it.
    fn explain_refusal(&self, error: &tokio_postgres::Error) -> StoreError {
        let detail = error.as_db_error().map_or_else(|| with_causes(error), |server| server.message().to_owned());
        let remedy = match error.code().map(|code| code.code()) {
            Some("28P01" | "28000") => "check user and password (or password_file)",
            Some("3D000") => "create the database: CREATE DATABASE name OWNER user",
            Some("53300") => "raise max_connections of the server or lower pool in the address",
            Some("57P03") => "the server is starting or stopping: try again in a moment",
            _ if detail.contains("TLS") || detail.contains("certificate") => {
                "name its authority by ca_file=.., or write sslmode=disable where the network is private"
            }
            _ if detail.contains("read-only") || detail.contains("session_attrs") => "name the primary, not a standby",
            _ if detail.contains("password missing") => "put a password into the address, or password_file=..",
            _ => "check host, port and firewall, and that the server runs",
        };
        match explain(error) {
            busy @ StoreError::Busy { .. } => busy,
            _ => self.refused(&detail, remedy),
        }
    }

    fn refused(&self, detail: &str, remedy: &str) -> StoreError {
        StoreError::Unavailable { what: WHAT, detail: format!("{}: {detail}; {remedy}", self.shown) }
    }
}

impl Connection<'_> {
    pub(super) fn client(&self) -> &Client {
        match &self.session {
            Some(session) => &session.client,
            None => unreachable!("a session is taken only by what takes the connection"),
        }
    }

    /// For the next caller. Only outside a transaction.
    pub(super) fn give_back(mut self) {
        if let Some(session) = self.session.take() {
            self.pool.state.lock().idle.push(session);
            self.pool.returned.notify_one();
        }
    }

    pub(super) fn execute(&mut self, driver: &Driver, sql: &str, parameters: &[Value]) -> Result<u64, Failure> {
        let statement = self.prepared(driver, sql, parameters)?;
        let parameters: Vec<Parameter<'_>> = parameters.iter().map(Parameter).collect();
        let parameters: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|one| one as _).collect();
        self.pool.wait(driver, self.client().execute(&statement, &parameters))
    }

    pub(super) fn query(&mut self, driver: &Driver, sql: &str, parameters: &[Value]) -> Result<Vec<Row>, Failure> {
        let statement = self.prepared(driver, sql, parameters)?;
        let parameters: Vec<Parameter<'_>> = parameters.iter().map(Parameter).collect();
        let parameters: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|one| one as _).collect();
        let rows = self.pool.wait(driver, self.client().query(&statement, &parameters))?;
        rows.iter().map(read_row).collect()
    }

    fn prepared(&mut self, driver: &Driver, sql: &str, parameters: &[Value]) -> Result<Statement, Failure> {
        let types: Vec<_> = parameters.iter().map(type_of).collect();
        let key = (sql.to_owned(), types.iter().map(|one| one.oid()).collect::<Vec<_>>());
        let Some(session) = &mut self.session else {
            unreachable!("a session is taken only by what takes the connection")
        };
        if let Some(statement) = session.statements.get(&key) {
            return Ok(statement.clone());
        }
        if parameter_count(sql) != Some(parameters.len()) {
            let detail = format!("{} parameters for {sql}", parameters.len());
            return Err(Failure::Final(StoreError::Unavailable { what: WHAT, detail }));
        }
        let statement = self.pool.wait(driver, session.client.prepare_typed(sql, &types))?;
        if session.statements.len() >= STATEMENTS {
            session.statements.clear();
        }
        session.statements.insert(key, statement.clone());
        Ok(statement)
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        if self.session.take().is_some() {
            self.pool.closed();
        }
    }
}

fn read_row(row: &tokio_postgres::Row) -> Result<Row, Failure> {
    let cell = |at| row.try_get::<_, Cell>(at).map(|cell| cell.0);
    let values = (0..row.len()).map(cell).collect::<Result<Vec<_>, _>>();
    values.map(Row).map_err(|error| Failure::Final(explain(&error)))
}
