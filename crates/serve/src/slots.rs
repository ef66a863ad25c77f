//! The slots that the configuration names.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::SlotPreset;
use crate::body::Answered;
use crate::recommend::GoalName;
use crate::routes::Shared;

#[derive(Serialize, ToSchema)]
pub(crate) struct SlotList {
    items: Vec<ConfiguredSlot>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ConfiguredSlot {
    #[schema(example = "home")]
    name: String,
    #[schema(example = "for_you")]
    scenario: &'static str,
    count: usize,
    diversity: f32,
    goal: GoalName,
    /// Whether only some products may stand in it.
    filtered: bool,
    /// How many boosts change its order.
    boosts: usize,
}

impl ConfiguredSlot {
    fn new(name: &str, slot: &SlotPreset) -> Self {
        Self {
            name: name.to_owned(),
            scenario: slot.scenario.name(),
            count: slot.count,
            diversity: slot.diversity,
            goal: slot.goal.into(),
            filtered: slot.filter.is_some(),
            boosts: slot.boosts.len(),
        }
    }
}

/// List slots
///
/// The slots that the configuration names, as requests get them that say nothing else.
#[utoipa::path(get, path = "/v1/slots", tag = "recommendations",
    responses((status = 200, description = "By name", body = SlotList)))]
pub(crate) async fn list_slots(State(app): State<Shared>) -> Response {
    let items = app.parts.settings.slots.iter().map(|(name, slot)| ConfiguredSlot::new(name, slot)).collect();
    Answered(SlotList { items }).into_response()
}
