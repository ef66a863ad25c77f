//! Files on their way in.

use merx_store::Migration;

pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-21-015-imports",
    sql: "CREATE TABLE imports (
    job TEXT PRIMARY KEY,
    state TEXT NOT NULL
);",
};
