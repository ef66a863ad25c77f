//! What PostgreSQL's errors mean to a caller (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).

use merx_store::StoreError;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use super::WHAT;

/// Why a run of a transaction or a query failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing was written; another run may succeed.
    Again(StoreError),
    Final(StoreError),
    /// No answer within the time of who asks: the connection is of no use any more.
    Late(StoreError),
}

impl Failure {
    pub(super) fn of(error: &Error) -> Self {
        let explained = explain(error);
        let code = error.code();
        let serialisation = [&SqlState::T_R_SERIALIZATION_FAILURE, &SqlState::T_R_DEADLOCK_DETECTED];
        // A restart or failover: the server ends sessions (57P01 to 57P03) or the connection breaks.
        let went_away = [&SqlState::ADMIN_SHUTDOWN, &SqlState::CRASH_SHUTDOWN, &SqlState::CANNOT_CONNECT_NOW];
        let again = match code {
            Some(code) => serialisation.contains(&code) || went_away.contains(&code),
            None => error.is_closed() || is_io(error),
        };
        if again { Self::Again(explained) } else { Self::Final(explained) }
    }

    /// Only a server's own word says that a commit did not happen.
    pub(super) fn of_commit(error: &Error) -> Self {
        match Self::of(error) {
            Self::Again(_) if error.code().is_none() => Self::Final(StoreError::Unavailable {
                what: WHAT,
                detail: "the connection broke during a commit: whether it happened is not known here".into(),
            }),
            failure => failure,
        }
    }

    pub(super) fn error(&self) -> &StoreError {
        match self {
            Self::Again(error) | Self::Final(error) | Self::Late(error) => error,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Final(error)
    }
}

fn is_io(error: &Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if inner.is::<std::io::Error>() {
            return true;
        }
        cause = inner.source();
    }
    false
}

pub(super) fn explain(error: &Error) -> StoreError {
    let Some(server) = error.as_db_error() else {
        return StoreError::Unavailable { what: WHAT, detail: with_causes(error) };
    };
    let detail = format!("{} ({})", server.message(), server.code().code());
    match server.code().code() {
        // Integrity constraints, and data that the column's type does not hold.
        code if code.starts_with("23") || code.starts_with("22") => StoreError::Conflict { what: WHAT, detail },
        "53100" => StoreError::NoSpace { what: WHAT, detail },
        // Too many connections, out of memory, starting up.
        "53300" | "53200" | "57P03" | "40001" | "40P01" => StoreError::Busy { what: WHAT, retry_after_ms: 500 },
        "XX001" | "XX002" => StoreError::Damaged { what: WHAT, detail },
        "57014" => {
            StoreError::Unavailable { what: WHAT, detail: format!("{detail}: longer than statement_timeout_ms") }
        }
        _ => StoreError::Unavailable { what: WHAT, detail },
    }
}

/// `a: b: c` down to the first cause.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_words = inner.to_string();
        if !words.contains(&inner_words) {
            words = format!("{words}: {inner_words}");
        }
        cause = inner.source();
    }
    words
}
