//! Tables of the vault.

use merx_store::Migration;

/// Types are those that SQLite and PostgreSQL share.
pub(crate) const MIGRATION: Migration = Migration {
    name: "2026-11-21-010-vault",
    sql: "CREATE TABLE vault_secrets (
    name TEXT PRIMARY KEY,
    key_id BYTEA NOT NULL,
    wrapped_key BYTEA NOT NULL
);
CREATE TABLE vault_subjects (
    subject BYTEA PRIMARY KEY,
    key_id BYTEA NOT NULL,
    wrapped_key BYTEA,
    named BIGINT NOT NULL,
    merged_into BYTEA,
    created_at_ms BIGINT NOT NULL
);
CREATE INDEX vault_subjects_merged_into ON vault_subjects (merged_into);
CREATE TABLE vault_identities (
    lookup BYTEA PRIMARY KEY,
    kind BIGINT NOT NULL,
    subject BYTEA NOT NULL,
    sealed BYTEA NOT NULL
);
CREATE INDEX vault_identities_subject ON vault_identities (subject);
CREATE TABLE vault_details (
    subject BYTEA NOT NULL,
    kind BIGINT NOT NULL,
    lookup BYTEA NOT NULL,
    sealed BYTEA NOT NULL,
    PRIMARY KEY (subject, kind)
);
CREATE INDEX vault_details_lookup ON vault_details (lookup);
CREATE TABLE vault_untold_merges (
    absorbed BYTEA PRIMARY KEY,
    subject BYTEA NOT NULL
);
CREATE INDEX vault_untold_merges_subject ON vault_untold_merges (subject);",
};
