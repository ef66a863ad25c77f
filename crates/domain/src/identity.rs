//! The kinds of text that name a person. Values of these live in the vault only.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityKind {
    /// The shop's own id of a signed-in customer.
    UserId,
    /// What a browser or app calls its visitor before sign-in.
    AnonymousId,
    Email,
    Phone,
    Name,
    Address,
}

/// One thing that names a person. `Debug` hides the value, so that it can't reach a log by accident.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    pub kind: IdentityKind,
    pub value: String,
}

impl Identity {
    pub fn new(kind: IdentityKind, value: impl Into<String>) -> Self {
        Self { kind, value: value.into() }
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({:?}, ..)", self.kind)
    }
}
