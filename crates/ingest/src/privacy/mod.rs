//! What people ask about their data, and who looked at it.

mod callbacks;
mod reads;
mod requests;
mod spelling;

pub use callbacks::Callback;
pub use reads::{PersonalRead, Reads};
pub use requests::{
    AskedName, NameFormat, NewRequest, Notes, PrivacyRequest, RequestKind, RequestState, Requests, random_id,
};

pub use spelling::canonical;

pub(crate) use callbacks::MIGRATION as CALLBACKS_MIGRATION;
pub(crate) use reads::MIGRATION as READS_MIGRATION;
pub(crate) use requests::MIGRATION as REQUESTS_MIGRATION;

use merx_store::{OnErasure, SubjectColumn};

/// Columns of this crate's tables that hold pseudonyms. The vault's own are emptied by the vault first.
pub const SUBJECT_COLUMNS: &[SubjectColumn] = &[
    SubjectColumn { table: "vault_identities", column: "subject", on_erasure: OnErasure::Delete },
    SubjectColumn { table: "vault_details", column: "subject", on_erasure: OnErasure::Delete },
    SubjectColumn { table: "vault_untold_merges", column: "subject", on_erasure: OnErasure::Delete },
    SubjectColumn { table: "vault_untold_merges", column: "absorbed", on_erasure: OnErasure::Delete },
    SubjectColumn { table: "vault_subjects", column: "subject", on_erasure: OnErasure::Delete },
    SubjectColumn { table: "vault_subjects", column: "merged_into", on_erasure: OnErasure::Delete },
    SubjectColumn { table: "consents", column: "subject", on_erasure: OnErasure::Delete },
    SubjectColumn { table: "orders", column: "subject", on_erasure: OnErasure::Unlink },
    SubjectColumn { table: "personal_reads", column: "subject", on_erasure: OnErasure::Unlink },
];
