//! Synonyms over HTTP: those that merchants set, and those that shoppers' behaviour proposes.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use merx_domain::merchandising::Synonym;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{check_id, check_text, check_words, made_by, no_mistakes, remove};
use crate::auth::Caller;
use crate::body::{Answered, Json, PathId, blocking};
use crate::merchandise::{Kind, Proposal};
use crate::problem::{Code, Mistakes, Problem, ProblemDocument};
use crate::routes::Shared;

/// Words that mean the same (`words`), or a word whose searches find others too (`from` and `to`).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SearchSynonym, example = json!({"words": ["sofa", "couch"]}))]
pub(crate) struct SynonymWire {
    /// The path names it; in a list it stands here.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub(crate) id: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub(crate) words: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) from: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub(crate) to: Vec<String>,
}

impl SynonymWire {
    pub(crate) fn read(self, at: &str, mistakes: &mut Mistakes) -> Option<Synonym> {
        let place = |field: &str| if at.is_empty() { field.to_owned() } else { format!("{at}.{field}") };
        check_words(&place("words"), &self.words, mistakes);
        check_words(&place("to"), &self.to, mistakes);
        match (self.from, self.words, self.to) {
            (Some(from), words, to) if words.is_empty() && !to.is_empty() => {
                check_text(&place("from"), &from, mistakes);
                Some(Synonym::OneWay { from, to })
            }
            (None, words, to) if words.len() >= 2 && to.is_empty() => Some(Synonym::Equal { words }),
            _ => {
                mistakes.add(place("words"), "wrong_form", "expected two words or more, or from and to");
                None
            }
        }
    }

    pub(super) fn of(id: String, synonym: Synonym) -> Self {
        match synonym {
            Synonym::Equal { words } => Self { id, words, from: None, to: Vec::new() },
            Synonym::OneWay { from, to } => Self { id, words: Vec::new(), from: Some(from), to },
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = SearchSynonymList)]
pub(crate) struct SynonymList {
    items: Vec<SynonymWire>,
}

/// List synonyms
#[utoipa::path(get, path = "/v1/search/synonyms", tag = "search",
    responses((status = 200, description = "All synonyms, in the order of their ids", body = SynonymList)))]
pub(crate) async fn list_synonyms(State(app): State<Shared>) -> Result<Response, Problem> {
    blocking(move || {
        let synonyms = app.parts.merchandise.synonyms()?.into_iter();
        let items = synonyms.map(|(id, synonym)| SynonymWire::of(id, synonym)).collect();
        Ok(Answered(SynonymList { items }).into_response())
    })
    .await
}

/// Read a synonym
#[utoipa::path(get, path = "/v1/search/synonyms/{id}", tag = "search",
    params(("id" = String, Path, description = "The synonym's id")),
    responses((status = 200, description = "The synonym", body = SynonymWire)))]
pub(crate) async fn get_synonym(State(app): State<Shared>, PathId(id): PathId<String>) -> Result<Response, Problem> {
    blocking(move || {
        let synonym = app.parts.merchandise.synonym(&id)?.ok_or_else(|| Problem::not_found("synonym", &id))?;
        Ok(Answered(SynonymWire::of(id, synonym)).into_response())
    })
    .await
}

/// Set a synonym
///
/// Searches go by it as soon as this is answered.
#[utoipa::path(put, path = "/v1/search/synonyms/{id}", tag = "search", request_body = SynonymWire,
    params(("id" = String, Path, description = "The synonym's id", max_length = 200)),
    responses((status = 200, description = "As it stands now", body = SynonymWire),
        (status = 409, description = "There are too many", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn put_synonym(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId<String>,
    Json(synonym): Json<SynonymWire>,
) -> Result<Response, Problem> {
    blocking(move || {
        let mut mistakes = Mistakes::default();
        check_id("id", &id, &mut mistakes);
        let synonym = synonym.read("", &mut mistakes);
        no_mistakes(mistakes)?;
        let synonym = synonym.ok_or_else(|| Problem::new(Code::InvalidRequest))?;
        app.parts.merchandise.put_synonym(&id, &synonym, &made_by(&caller), app.parts.clock.now())?;
        app.parts.searches.merchandise_changed();
        Ok(Answered(SynonymWire::of(id, synonym)).into_response())
    })
    .await
}

/// Remove a synonym
#[utoipa::path(delete, path = "/v1/search/synonyms/{id}", tag = "search",
    params(("id" = String, Path, description = "The synonym's id")),
    responses((status = 204, description = "Removed")))]
pub(crate) async fn delete_synonym(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId<String>,
) -> Result<Response, Problem> {
    blocking(move || remove(&app, &caller, Kind::Synonym, &id)).await
}

#[derive(Serialize, ToSchema)]
#[schema(as = SynonymProposal)]
pub(crate) struct ProposalWire {
    id: String,
    words: [String; 2],
    /// How alike the products are that are clicked for both, 0 to 1.
    likeness: f32,
    /// Pairs of queries that differ in these words and show it.
    pairs: u32,
    #[schema(format = DateTime)]
    proposed_at: String,
}

impl From<Proposal> for ProposalWire {
    fn from(proposal: Proposal) -> Self {
        Self {
            id: proposal.id,
            words: proposal.proposed.words,
            likeness: proposal.proposed.likeness,
            pairs: proposal.proposed.pairs,
            proposed_at: proposal.proposed_at.to_string(),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = SynonymProposalList)]
pub(crate) struct ProposalList {
    items: Vec<ProposalWire>,
}

/// Proposed synonyms
///
/// Words whose searches end at the same products, mined from clicks by each training. They do nothing until approved.
#[utoipa::path(get, path = "/v1/search/synonym-proposals", tag = "search",
    responses((status = 200, description = "Those that wait, the surest first", body = ProposalList)))]
pub(crate) async fn list_proposals(State(app): State<Shared>) -> Result<Response, Problem> {
    blocking(move || {
        let items = app.parts.merchandise.proposals()?.into_iter().map(ProposalWire::from).collect();
        Ok(Answered(ProposalList { items }).into_response())
    })
    .await
}

/// Approve a proposed synonym
///
/// It becomes a synonym of the same id.
#[utoipa::path(post, path = "/v1/search/synonym-proposals/{id}/approve", tag = "search",
    params(("id" = String, Path, description = "The proposal's id")),
    responses((status = 200, description = "The synonym", body = SynonymWire),
        (status = 409, description = "There are too many", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn approve_proposal(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId<String>,
) -> Result<Response, Problem> {
    blocking(move || {
        let proposed = app.parts.merchandise.decide(&id, true, &made_by(&caller), app.parts.clock.now())?;
        app.parts.searches.merchandise_changed();
        Ok(Answered(SynonymWire::of(id, Synonym::from(&proposed))).into_response())
    })
    .await
}

/// Refuse a proposed synonym
///
/// It is not proposed again, unless the refusal is taken back.
#[utoipa::path(post, path = "/v1/search/synonym-proposals/{id}/refuse", tag = "search",
    params(("id" = String, Path, description = "The proposal's id")),
    responses((status = 204, description = "Refused")))]
pub(crate) async fn refuse_proposal(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(id): PathId<String>,
) -> Result<Response, Problem> {
    blocking(move || {
        app.parts.merchandise.decide(&id, false, &made_by(&caller), app.parts.clock.now())?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// Take back the refusal of a synonym
///
/// The proposal waits for a decision again.
#[utoipa::path(post, path = "/v1/search/synonym-proposals/{id}/reopen", tag = "search",
    params(("id" = String, Path, description = "The proposal's id")),
    responses((status = 204, description = "It waits again")))]
pub(crate) async fn reopen_proposal(
    State(app): State<Shared>,
    PathId(id): PathId<String>,
) -> Result<Response, Problem> {
    blocking(move || {
        app.parts.merchandise.reopen(&id)?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}
