//! Synonyms of merchants as the protocol writes them. There is one store of them, see `merchandise.rs` beside the search API.

use merx_domain::merchandising::Synonym;
use serde::{Deserialize, Serialize};

use crate::problem::Mistakes;
use crate::search::merchandise::SynonymWire;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct SynonymRecord {
    #[serde(rename = "objectID", default)]
    pub(super) object_id: String,
    /// `synonym` or `onewaysynonym`, in any case.
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    synonyms: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<String>,
}

impl SynonymRecord {
    pub(super) fn synonym(self, at: &str, mistakes: &mut Mistakes) -> Option<Synonym> {
        let words = self.synonyms.unwrap_or_default();
        let wire = match self.kind.to_lowercase().as_str() {
            "synonym" => SynonymWire { id: self.object_id, words, from: None, to: Vec::new() },
            "onewaysynonym" => SynonymWire { id: self.object_id, words: Vec::new(), from: self.input, to: words },
            "altcorrection1" | "altcorrection2" => {
                let detail = "Merx corrects words by itself, and ranks what is corrected after what is spelt so; \
                              write a onewaysynonym where it must find others too";
                mistakes.add(format!("{at}.type"), "not_supported", detail);
                return None;
            }
            _ => {
                let detail = "expected synonym or onewaysynonym; placeholders in records are not read here";
                mistakes.add(format!("{at}.type"), "not_supported", detail);
                return None;
            }
        };
        wire.read(at, mistakes)
    }

    pub(super) fn of(id: &str, synonym: &Synonym) -> Self {
        let (kind, synonyms, input) = match synonym {
            Synonym::Equal { words } => ("synonym", words.clone(), None),
            Synonym::OneWay { from, to } => ("onewaysynonym", to.clone(), Some(from.clone())),
        };
        Self { object_id: id.to_owned(), kind: kind.to_owned(), synonyms: Some(synonyms), input }
    }
}
