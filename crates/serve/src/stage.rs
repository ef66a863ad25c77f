//! What can be made to happen in a demo shop, so that it can be watched where it shows. Other servers have no stage.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use merx_domain::{ProductId, TimestampMs};
use merx_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::body::{Answered, Json, blocking};
use crate::problem::{Code, Problem, ProblemDocument};
use crate::routes::Shared;

/// What can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scene {
    /// Everybody talks about a product: shoppers come straight to its page.
    Trend,
    /// The product that sells best is sold out.
    Stockout,
    /// The recommendation models don't answer.
    Outage,
}

/// A scene that is on.
#[derive(Debug, Clone, PartialEq)]
pub struct Playing {
    pub scene: Scene,
    pub product: Option<ProductId>,
    pub began_at: TimestampMs,
    pub ends_at: TimestampMs,
}

/// Plays scenes; `merx demo` has one.
pub trait Stage: Send + Sync {
    /// Begins a scene; one that is on goes on as it is.
    fn play(&self, scene: Scene) -> Result<Playing, StoreError>;
    fn playing(&self) -> Vec<Playing>;
    /// Visits of simulated shoppers since the start.
    fn visits(&self) -> u64;
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"scene": "trend"}))]
pub(crate) struct SceneRequest {
    scene: Scene,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct StageAnswer {
    /// Visits of simulated shoppers since the start.
    visits: u64,
    /// The scenes that are on.
    playing: Vec<PlayingAnswer>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct PlayingAnswer {
    scene: Scene,
    /// The product that it is about.
    product_id: Option<String>,
    #[schema(format = DateTime)]
    began_at: String,
    #[schema(format = DateTime)]
    ends_at: String,
}

impl PlayingAnswer {
    fn of(playing: &Playing) -> Self {
        Self {
            scene: playing.scene,
            product_id: playing.product.as_ref().map(ToString::to_string),
            began_at: playing.began_at.to_string(),
            ends_at: playing.ends_at.to_string(),
        }
    }
}

/// What is played in the demo shop
#[utoipa::path(get, path = "/v1/demo", tag = "demo",
    responses((status = 200, description = "Visits and scenes", body = StageAnswer),
        (status = 404, description = "This is no demo", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn get_stage(State(app): State<Shared>) -> Result<Response, Problem> {
    let stage = stage(&app)?;
    let playing = stage.playing().iter().map(PlayingAnswer::of).collect();
    Ok(Answered(StageAnswer { visits: stage.visits(), playing }).into_response())
}

/// Plant something in the demo shop
///
/// A trend lasts ten minutes, a stockout five, an outage one; then all is as before.
#[utoipa::path(post, path = "/v1/demo/scenes", tag = "demo", request_body = SceneRequest,
    responses((status = 201, description = "It has begun", body = PlayingAnswer),
        (status = 404, description = "This is no demo", body = ProblemDocument, content_type = "application/problem+json")))]
pub(crate) async fn play_scene(
    State(app): State<Shared>,
    Json(request): Json<SceneRequest>,
) -> Result<Response, Problem> {
    let stage = stage(&app)?;
    let playing = blocking(move || Ok(stage.play(request.scene)?)).await?;
    Ok((StatusCode::CREATED, Answered(PlayingAnswer::of(&playing))).into_response())
}

fn stage(app: &App) -> Result<Arc<dyn Stage>, Problem> {
    let shop = app.site.shop.as_ref().ok_or_else(|| Problem::because(Code::NotFound, "this server runs no demo"))?;
    Ok(Arc::clone(&shop.stage))
}
