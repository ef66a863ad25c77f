//! What people of the console may do. A role is the scope of a user, or of a key as `public`, `secret` and `admin` are.
//!
//! Roles don't include one another, so what each may do stands in a table: by the part of the API that a route belongs to
//! (its tag), and whether the route changes anything. A part that the table doesn't name is closed to all but owners.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Everything, as an admin key.
    Owner,
    /// What is shown and found, and the records behind it.
    Merchandiser,
    /// Reads what is measured, and nothing of single people.
    Analyst,
    /// Answers people: their orders, why they saw what they saw, their requests.
    Support,
    /// Reads everything that says who did what; changes nothing, and reads no one's data.
    Auditor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    Read,
    Change,
}

use Right::{Change, Read};

/// Parts of the API where what a public key may ask changes nothing, whatever the method.
const ASKED: [&str; 4] = ["recommendations", "search", "algolia", "flags"];
/// Ends of addresses that are posted to and change nothing.
const LOOKS: [&str; 7] = ["/replay", "/dry-run", "/check", "/preview", "/experiment-plan", "/off-policy", "/fairness"];

const MERCHANDISER: &[(&str, Right)] = &[
    ("recommendations", Change),
    ("search", Change),
    ("algolia", Read),
    ("catalogue", Change),
    ("stock", Change),
    ("decisions", Read),
    ("experiments", Change),
    ("flags", Change),
    ("automations", Change),
    ("figures", Read),
    ("quality", Read),
    ("alerts", Change),
    ("labels", Change),
    ("models", Read),
    ("jobs", Read),
    ("events", Read),
    ("policy", Read),
    ("operating", Read),
    ("storefront", Read),
];
const ANALYST: &[(&str, Right)] = &[
    ("recommendations", Read),
    ("search", Read),
    ("algolia", Read),
    ("catalogue", Read),
    ("stock", Read),
    ("experiments", Read),
    ("flags", Read),
    ("automations", Read),
    ("figures", Read),
    ("quality", Read),
    ("alerts", Read),
    ("labels", Change),
    ("models", Read),
    ("jobs", Read),
    ("policy", Read),
    ("operating", Read),
    ("storefront", Read),
];
const SUPPORT: &[(&str, Right)] = &[
    ("recommendations", Read),
    ("search", Read),
    ("algolia", Read),
    ("catalogue", Read),
    ("stock", Read),
    ("orders", Read),
    ("decisions", Read),
    ("events", Read),
    ("consent", Change),
    ("policy", Read),
    ("privacy", Change),
    ("personal data", Read),
    ("operating", Read),
    ("storefront", Read),
];
const AUDITOR: &[(&str, Right)] = &[
    ("catalogue", Read),
    ("stock", Read),
    ("experiments", Read),
    ("flags", Read),
    ("automations", Read),
    ("figures", Read),
    ("quality", Read),
    ("alerts", Read),
    ("webhooks", Read),
    ("audit", Read),
    ("models", Read),
    ("jobs", Read),
    ("dead letters", Read),
    ("policy", Read),
    ("privacy", Read),
    ("keys", Read),
    ("users", Read),
    ("operating", Read),
];

impl Role {
    pub(crate) const ALL: [Self; 5] = [Self::Owner, Self::Merchandiser, Self::Analyst, Self::Support, Self::Auditor];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Merchandiser => "merchandiser",
            Self::Analyst => "analyst",
            Self::Support => "support",
            Self::Auditor => "auditor",
        }
    }

    pub(crate) fn may(self, part: &str, right: Right) -> bool {
        let table = match self {
            Self::Owner => return true,
            Self::Merchandiser => MERCHANDISER,
            Self::Analyst => ANALYST,
            Self::Support => SUPPORT,
            Self::Auditor => AUDITOR,
        };
        table.iter().any(|(known, most)| *known == part && right <= *most)
    }
}

/// What a route asks of a role.
pub(crate) fn right_of(part: &str, is_public: bool, changes: bool, path: &str) -> Right {
    let looks = is_public && ASKED.contains(&part) || LOOKS.iter().any(|end| path.ends_with(end));
    if changes && !looks { Change } else { Read }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Part, change, then who may: owner, merchandiser, analyst, support, auditor.
    const TABLE: [(&str, Right, [bool; 5]); 23] = [
        ("recommendations", Change, [true, true, false, false, false]),
        ("search", Change, [true, true, false, false, false]),
        ("catalogue", Read, [true, true, true, true, true]),
        ("catalogue", Change, [true, true, false, false, false]),
        ("stock", Change, [true, true, false, false, false]),
        ("orders", Read, [true, false, false, true, false]),
        ("orders", Change, [true, false, false, false, false]),
        ("decisions", Read, [true, true, false, true, false]),
        ("models", Read, [true, true, true, false, true]),
        ("models", Change, [true, false, false, false, false]),
        ("jobs", Change, [true, false, false, false, false]),
        ("consent", Change, [true, false, false, true, false]),
        ("policy", Read, [true, true, true, true, true]),
        ("policy", Change, [true, false, false, false, false]),
        ("privacy", Read, [true, false, false, true, true]),
        ("privacy", Change, [true, false, false, true, false]),
        ("personal data", Read, [true, false, false, true, false]),
        ("vault", Change, [true, false, false, false, false]),
        ("keys", Read, [true, false, false, false, true]),
        ("users", Read, [true, false, false, false, true]),
        ("users", Change, [true, false, false, false, false]),
        ("operating", Read, [true, true, true, true, true]),
        ("something new", Read, [true, false, false, false, false]),
    ];

    #[test]
    fn the_table_of_rights() {
        for (part, right, expected) in TABLE {
            let found = Role::ALL.map(|role| role.may(part, right));
            assert_eq!(found, expected, "{part} {right:?}");
        }
    }

    #[test]
    fn asking_is_no_change() {
        assert_eq!(right_of("search", true, true, "/v1/search"), Read);
        assert_eq!(right_of("algolia", false, true, "/1/indexes/{index}/batch"), Change);
        assert_eq!(right_of("decisions", false, true, "/v1/decisions/{id}/replay"), Read);
        assert_eq!(right_of("policy", false, true, "/v1/policy/dry-run"), Read);
        assert_eq!(right_of("search", false, true, "/v1/search/preview"), Read);
        assert_eq!(right_of("experiments", false, true, "/v1/experiment-plan"), Read);
        assert_eq!(right_of("catalogue", false, true, "/v1/products"), Change);
        assert_eq!(right_of("catalogue", false, false, "/v1/products"), Read);
    }
}
