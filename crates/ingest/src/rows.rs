//! Reading result rows and writing many of them at once.

use merx_store::{Row, StoreError, Transaction, Value};

/// Rows of one `INSERT`: SQLite takes at most 32,766 parameters a statement.
const ROWS_PER_INSERT: usize = 200;

/// Values of one `IN (..)` list.
const VALUES_PER_LIST: usize = 500;

pub(crate) type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Typed access to a row's columns. Another type than asked for means that the table is not what we wrote.
pub(crate) trait Columns {
    fn text(&self, column: usize) -> Result<&str>;
    fn integer(&self, column: usize) -> Result<i64>;
    fn bytes(&self, column: usize) -> Result<&[u8]>;
    fn is_null(&self, column: usize) -> bool;

    fn wide(&self, column: usize) -> Result<u128> {
        let bytes = self.bytes(column)?.try_into().map_err(|_| damaged("an id of 16 bytes", column))?;
        Ok(u128::from_be_bytes(bytes))
    }
}

impl Columns for Row {
    fn text(&self, column: usize) -> Result<&str> {
        match self.0.get(column) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(damaged("text", column)),
        }
    }

    fn integer(&self, column: usize) -> Result<i64> {
        match self.0.get(column) {
            Some(Value::Integer(number)) => Ok(*number),
            _ => Err(damaged("an integer", column)),
        }
    }

    fn bytes(&self, column: usize) -> Result<&[u8]> {
        match self.0.get(column) {
            Some(Value::Bytes(bytes)) => Ok(bytes),
            _ => Err(damaged("bytes", column)),
        }
    }

    fn is_null(&self, column: usize) -> bool {
        matches!(self.0.get(column), Some(Value::Null))
    }
}

fn damaged(expected: &str, column: usize) -> StoreError {
    StoreError::Damaged { what: "records", detail: format!("column {column} is not {expected}") }
}

pub(crate) fn wide(id: u128) -> Value {
    Value::Bytes(id.to_be_bytes().to_vec())
}

pub(crate) fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

/// `$1, $2, .. $count`, counted from `first`.
fn placeholders(first: usize, count: usize) -> String {
    let numbered: Vec<_> = (first..first + count).map(|n| format!("${n}")).collect();
    numbered.join(", ")
}

/// Inserts rows of `columns` values each. `head` is `INSERT INTO table (..)`, `tail` an `ON CONFLICT` clause or nothing.
pub(crate) fn insert(
    transaction: &mut dyn Transaction,
    head: &str,
    columns: usize,
    tail: &str,
    values: &[Value],
) -> Result<()> {
    for rows in values.chunks(columns * ROWS_PER_INSERT) {
        let tuples: Vec<_> =
            (0..rows.len() / columns).map(|row| format!("({})", placeholders(row * columns + 1, columns))).collect();
        transaction.execute(&format!("{head} VALUES {} {tail}", tuples.join(", ")), rows)?;
    }
    Ok(())
}

/// Runs a query for every slice of a long list: `sql` has `{list}` where the placeholders go.
pub(crate) fn query_in(
    mut query: impl FnMut(&str, &[Value]) -> Result<Vec<Row>>,
    sql: &str,
    list: &[Value],
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for values in list.chunks(VALUES_PER_LIST) {
        rows.extend(query(&sql.replace("{list}", &placeholders(1, values.len())), values)?);
    }
    Ok(rows)
}

/// Like [`query_in`] for statements that change rows.
pub(crate) fn execute_in(transaction: &mut dyn Transaction, sql: &str, list: &[Value]) -> Result<u64> {
    let mut changed = 0;
    for values in list.chunks(VALUES_PER_LIST) {
        changed += transaction.execute(&sql.replace("{list}", &placeholders(1, values.len())), values)?;
    }
    Ok(changed)
}
