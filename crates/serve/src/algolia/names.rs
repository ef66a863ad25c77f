//! What the names of indexes stand for. There is one catalogue: every name reads it, and one name writes it.

use crate::app::App;
use crate::problem::{Code, Problem};

const MOST_NAME_BYTES: usize = 256;

/// Where records of an index go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Catalogue,
    /// Kept apart until it takes the catalogue's place: clients that replace all records write into such an index.
    Temporary,
}

pub(super) fn target(app: &App, index: &str) -> Result<Target, Problem> {
    let own = &app.parts.settings.index;
    let temporary = index.strip_prefix(own.as_str()).is_some_and(|rest| rest.starts_with("_tmp_"));
    match (index == own, temporary && index.len() <= MOST_NAME_BYTES) {
        (true, _) => Ok(Target::Catalogue),
        (_, true) => Ok(Target::Temporary),
        _ => Err(not_written(app, index)),
    }
}

/// Settings may be of the catalogue's index, of its sort orders and other views (`products_price_asc`), and of temporary ones.
pub(super) fn check_has_settings(app: &App, index: &str) -> Result<(), Problem> {
    let own = &app.parts.settings.index;
    let view = index.strip_prefix(own.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
    if view && index.len() <= MOST_NAME_BYTES { Ok(()) } else { Err(not_written(app, index)) }
}

fn not_written(app: &App, index: &str) -> Problem {
    let own = &app.parts.settings.index;
    let name: String = index.chars().take(100).collect();
    let detail =
        format!("there is one catalogue, written as the index {own} (setting search.index); {name} can't be written");
    Problem::because(Code::Forbidden, detail)
}
