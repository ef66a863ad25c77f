//! Taking a person's pseudonyms out of tables, whoever owns them.

use merx_domain::SubjectId;

use crate::{OnErasure, Records, Result, StoreError, SubjectColumn, Value};

/// Rows that one erasure took out of a table, or unlinked.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Forgotten {
    pub table: String,
    pub rows: u64,
}

/// Deletes or unlinks the rows of these pseudonyms, in one transaction. May be repeated.
pub fn forget(records: &dyn Records, columns: &[SubjectColumn], subjects: &[SubjectId]) -> Result<Vec<Forgotten>> {
    if subjects.is_empty() {
        return Ok(Vec::new());
    }
    let values: Vec<Value> = subjects.iter().map(|subject| Value::Bytes(subject.to_bytes().to_vec())).collect();
    let places = (1..=subjects.len()).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ");
    let mut forgotten = Vec::new();
    records.transaction(&mut |transaction| {
        forgotten.clear();
        for SubjectColumn { table, column, on_erasure } in columns {
            let sql = match on_erasure {
                OnErasure::Delete => format!("DELETE FROM {table} WHERE {column} IN ({places})"),
                OnErasure::Unlink => format!("UPDATE {table} SET {column} = NULL WHERE {column} IN ({places})"),
            };
            let rows = transaction.execute(&sql, &values)?;
            if rows > 0 {
                forgotten.push(Forgotten { table: (*table).to_owned(), rows });
            }
        }
        Ok::<(), StoreError>(())
    })?;
    Ok(forgotten)
}
