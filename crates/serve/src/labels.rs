//! Human labels over HTTP: cases, judgements, and how far people agree.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use merx_decide::{LabelCase, LabelError, Standing};
use merx_measure::agreement::{Judgement, cohens_kappa, krippendorffs_alpha};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::body::{Answered, Json, PathId, Query, blocking};
use crate::problem::{Code, Mistakes, Problem, ProblemDocument};
use crate::routes::Shared;

const MAX_CASES: usize = 1_000;
const MAX_LABELS: usize = 20;
const MAX_NAME: usize = 100;
/// Of what a case is about, as JSON.
const MAX_ABOUT_BYTES: usize = 16 * 1024;
/// Cases that agreement is told of, the newest.
const JUDGED_TOGETHER: usize = 20_000;
/// Two annotators with fewer cases in common say nothing of each other.
const FEWEST_COMMON: usize = 10;

/// Cases of a queue.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"queue": "search", "labels": ["exact", "irrelevant"], "cases": [{"about": {"query": "lamp", "product_id": "p1"}}]}))]
pub(crate) struct NewCases {
    #[schema(min_length = 1, max_length = 100)]
    queue: String,
    /// What may be said.
    #[schema(min_items = 2, max_items = 20)]
    labels: Vec<String>,
    #[schema(min_items = 1, max_items = 1000)]
    cases: Vec<NewCase>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCase {
    /// What is to be judged.
    #[schema(value_type = Object)]
    about: Value,
    /// What is right, where that is known; whoever judges doesn't see it.
    #[serde(default)]
    gold: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct CaseNumbers {
    numbers: Vec<u64>,
}

/// A case, as whoever judges it sees it.
#[derive(Serialize, ToSchema)]
pub(crate) struct CaseToJudge {
    #[schema(minimum = 1)]
    number: u64,
    #[schema(value_type = Object)]
    about: Value,
    labels: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = LabelCase)]
pub(crate) struct CaseAnswer {
    #[schema(minimum = 1)]
    number: u64,
    #[schema(value_type = Object)]
    about: Value,
    /// open, agreed, disputed.
    state: &'static str,
    label: Option<String>,
    gold: Option<String>,
    judgements: u64,
}

impl From<LabelCase> for CaseAnswer {
    fn from(case: LabelCase) -> Self {
        let (state, label) = match case.standing() {
            Standing::Open => ("open", None),
            Standing::Agreed(label) => ("agreed", Some(label)),
            Standing::Disputed => ("disputed", None),
        };
        let judgements = case.judgements.len() as u64;
        Self { number: case.number, about: case.about, state, label, gold: case.gold, judgements }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct CaseList {
    items: Vec<CaseAnswer>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"label": "exact"}))]
pub(crate) struct NewJudgement {
    label: String,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct QueueQuery {
    #[param(example = "search")]
    queue: String,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CaseQuery {
    #[param(example = "search")]
    queue: String,
    /// After this number.
    #[param(default = 0)]
    after: Option<u64>,
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
}

/// How far people agree.
#[derive(Serialize, ToSchema)]
pub(crate) struct Agreement {
    cases: u64,
    judgements: u64,
    agreed: u64,
    disputed: u64,
    /// Krippendorff's, nominal: 1 is agreement, 0 is chance. None where too little is judged.
    alpha: Option<f64>,
    pairs: Vec<PairAgreement>,
    annotators: Vec<AnnotatorAnswer>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct PairAgreement {
    one: String,
    other: String,
    common_cases: u64,
    /// Cohen's.
    kappa: Option<f64>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct AnnotatorAnswer {
    annotator: String,
    judgements: u64,
    gold_questions: u64,
    /// Share of gold questions answered right.
    gold_right: Option<f64>,
}

impl From<LabelError> for Problem {
    fn from(error: LabelError) -> Self {
        match error {
            LabelError::Unknown(number) => Self::not_found("case", number),
            LabelError::Refused(detail) => Self::because(Code::Conflict, detail),
            LabelError::Store(error) => error.into(),
        }
    }
}

/// Ask for labels
///
/// Each case goes to two people; gold ones to everybody.
#[utoipa::path(post, path = "/v1/labels/cases", tag = "labels", request_body = NewCases,
    responses((status = 201, description = "Their numbers, in order", body = CaseNumbers),
        (status = 409, description = "Too many wait", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn add_cases(State(app): State<Shared>, Json(request): Json<NewCases>) -> Result<Response, Problem> {
    let mut mistakes = Mistakes::default();
    mistakes.within("queue".to_owned(), request.queue.chars().count(), 1, MAX_NAME);
    mistakes.within("labels".to_owned(), request.labels.len(), 2, MAX_LABELS);
    mistakes.within("cases".to_owned(), request.cases.len(), 1, MAX_CASES);
    for (place, label) in request.labels.iter().enumerate() {
        mistakes.within(format!("labels[{place}]"), label.chars().count(), 1, MAX_NAME);
        if request.labels[..place].contains(label) {
            mistakes.add(format!("labels[{place}]"), "duplicate", format!("{label:?} stands there twice"));
        }
    }
    for (place, case) in request.cases.iter().enumerate().take(MAX_CASES) {
        mistakes.within(format!("cases[{place}].about"), case.about.to_string().len(), 1, MAX_ABOUT_BYTES);
        if let Some(gold) = case.gold.as_ref().filter(|gold| !request.labels.contains(gold)) {
            mistakes.add(format!("cases[{place}].gold"), "unknown_label", format!("{gold:?} is no label of the queue"));
        }
    }
    if !mistakes.0.is_empty() {
        return Err(Problem::mistakes(mistakes.0));
    }
    blocking(move || {
        let now = app.parts.clock.now();
        let case = |case: NewCase| LabelCase {
            number: 0,
            queue: request.queue.clone(),
            about: case.about,
            labels: request.labels.clone(),
            gold: case.gold,
            judgements: Vec::new(),
            created_at: now,
        };
        let numbers = app.parts.labels.add(request.cases.into_iter().map(case).collect())?;
        Ok((StatusCode::CREATED, Answered(CaseNumbers { numbers })).into_response())
    })
    .await
}

/// The next case to judge
///
/// One that this key hasn't judged. Whether it is gold isn't shown.
#[utoipa::path(get, path = "/v1/labels/next", tag = "labels", params(QueueQuery),
    responses((status = 200, description = "A case", body = CaseToJudge), (status = 204, description = "There is none")))]
pub(crate) async fn next_case(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<QueueQuery>,
) -> Result<Response, Problem> {
    blocking(move || {
        let found = app.parts.labels.next(&query.queue, caller.acts(&app).act().by)?;
        Ok(match found {
            None => StatusCode::NO_CONTENT.into_response(),
            Some(LabelCase { number, about, labels, .. }) => {
                Answered(CaseToJudge { number, about, labels }).into_response()
            }
        })
    })
    .await
}

/// Judge a case
#[utoipa::path(post, path = "/v1/labels/cases/{number}", tag = "labels", request_body = NewJudgement,
    params(("number" = u64, Path, description = "The case's number", minimum = 1)),
    responses((status = 204, description = "It counts"),
        (status = 409, description = "This key has judged it already, it is settled, or there is no such label", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn judge_case(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    PathId(number): PathId<u64>,
    Json(request): Json<NewJudgement>,
) -> Result<Response, Problem> {
    blocking(move || {
        app.parts.labels.judge(number, &request.label, caller.acts(&app).act())?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// List cases
///
/// With what came of them: agreed cases are labels to learn from.
#[utoipa::path(get, path = "/v1/labels", tag = "labels", params(CaseQuery),
    responses((status = 200, description = "By number", body = CaseList)))]
pub(crate) async fn list_cases(State(app): State<Shared>, Query(query): Query<CaseQuery>) -> Result<Response, Problem> {
    let mut mistakes = Mistakes::default();
    let limit = mistakes.within("limit".to_owned(), query.limit.unwrap_or(100), 1, 1_000);
    if !mistakes.0.is_empty() {
        return Err(Problem::mistakes(mistakes.0));
    }
    blocking(move || {
        let cases = app.parts.labels.list(&query.queue, query.after.unwrap_or(0), limit)?;
        Ok(Answered(CaseList { items: cases.into_iter().map(CaseAnswer::from).collect() }).into_response())
    })
    .await
}

/// How far people agree
#[utoipa::path(get, path = "/v1/labels/agreement", tag = "labels", params(QueueQuery),
    responses((status = 200, description = "Kappa by pair, alpha of all, gold by annotator", body = Agreement)))]
pub(crate) async fn agreement(State(app): State<Shared>, Query(query): Query<QueueQuery>) -> Result<Response, Problem> {
    blocking(move || {
        let cases = app.parts.labels.known(&query.queue, JUDGED_TOGETHER)?;
        Ok(Answered(agreed(&cases)).into_response())
    })
    .await
}

fn agreed(cases: &[LabelCase]) -> Agreement {
    let mut names: BTreeMap<&str, u32> = BTreeMap::new();
    for judged in cases.iter().flat_map(|case| &case.judgements) {
        let next = names.len() as u32;
        names.entry(&judged.by).or_insert(next);
    }
    let label = |case: &LabelCase, label: &str| {
        case.labels.iter().position(|known| known == label).unwrap_or(usize::from(u16::MAX)) as u16
    };
    let judgements: Vec<Judgement> = cases
        .iter()
        .flat_map(|case| case.judgements.iter().map(move |judged| (case, judged)))
        .map(|(case, judged)| Judgement {
            case: case.number,
            annotator: names[judged.by.as_str()],
            label: label(case, &judged.label),
        })
        .collect();
    let standing = |wanted: fn(&Standing) -> bool| cases.iter().filter(|case| wanted(&case.standing())).count() as u64;
    let of = |case: &LabelCase, who: &str| {
        case.judgements.iter().find(|judged| judged.by == who).map(|judged| label(case, &judged.label))
    };
    let mut pairs = Vec::new();
    for (place, one) in names.keys().enumerate() {
        for other in names.keys().skip(place + 1) {
            let common: Vec<(u16, u16)> = cases.iter().filter_map(|case| of(case, one).zip(of(case, other))).collect();
            if common.len() >= FEWEST_COMMON {
                let kappa = cohens_kappa(&common);
                let (one, other) = ((*one).to_owned(), (*other).to_owned());
                pairs.push(PairAgreement { one, other, common_cases: common.len() as u64, kappa });
            }
        }
    }
    let annotators = names.keys().map(|who| {
        let judged = cases.iter().filter_map(|case| Some((case, case.judgements.iter().find(|one| one.by == *who)?)));
        let gold: Vec<bool> =
            judged.clone().filter_map(|(case, judged)| case.gold.as_ref().map(|gold| *gold == judged.label)).collect();
        let right = gold.iter().filter(|right| **right).count() as f64;
        AnnotatorAnswer {
            annotator: (*who).to_owned(),
            judgements: judged.count() as u64,
            gold_questions: gold.len() as u64,
            gold_right: (!gold.is_empty()).then(|| right / gold.len() as f64),
        }
    });
    Agreement {
        cases: cases.len() as u64,
        judgements: judgements.len() as u64,
        agreed: standing(|standing| matches!(standing, Standing::Agreed(_))),
        disputed: standing(|standing| *standing == Standing::Disputed),
        alpha: krippendorffs_alpha(&judgements),
        pairs,
        annotators: annotators.collect(),
    }
}
