//! Can this server do what is needed?

use merx_store::{Result, StoreError};

use super::pool::Connection;
use super::{Driver, WHAT, explain};

/// PostgreSQL 13 is the oldest that its makers still mend (2026); CockroachDB and YugabyteDB report 13 or newer.
const OLDEST: i64 = 130_000;

/// Refuses what would fail later, with the sentence that mends it; else says what is there.
pub(super) fn check(driver: &Driver, connection: &Connection<'_>, shown: &str) -> Result<String> {
    let ask = |sql: &str| -> Result<String> {
        let rows = driver.wait(connection.client().query(sql, &[])).map_err(|error| explain(&error))?;
        let text = rows.first().map(|row| row.try_get::<_, Option<String>>(0).map_err(|error| explain(&error)));
        Ok(text.transpose()?.flatten().unwrap_or_default())
    };
    let refuse = |problem: String| -> Result<String> {
        Err(StoreError::Unavailable { what: WHAT, detail: format!("{shown}: {problem}") })
    };
    let version = ask("SELECT CAST(current_setting('server_version_num') AS TEXT)")?;
    if version.parse::<i64>().is_ok_and(|number| number < OLDEST) {
        return refuse(format!("the server is version {version}; install PostgreSQL 13 or newer"));
    }
    if ask("SELECT CAST(current_setting('server_encoding') AS TEXT)")? != "UTF8" {
        return refuse("the database does not hold UTF-8; create it with ENCODING 'UTF8'".into());
    }
    if ask("SELECT CAST('a' < 'B' AS TEXT)")? == "true" {
        return refuse(
            "text is not sorted by its bytes there, as pages of lists expect; CREATE DATABASE name LC_COLLATE 'C' LC_CTYPE \
             'C.UTF-8' TEMPLATE template0"
                .into(),
        );
    }
    let schema = ask("SELECT CAST(current_schema() AS TEXT)")?;
    if schema.is_empty() {
        return refuse("the schema is not there; CREATE SCHEMA name AUTHORIZATION user, as named by schema=..".into());
    }
    if ask("SELECT CAST(has_schema_privilege(current_schema(), 'CREATE') AS TEXT)")? != "true" {
        return refuse(format!("the user may not make tables; GRANT CREATE, USAGE ON SCHEMA {schema} TO user"));
    }
    Ok(format!("{shown}: {}, schema {schema}", ask("SELECT version()")?))
}
