//! Indexes as a whole: what there is, emptying, copying and moving, settings, tasks, and what a key may do.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::indexes::SettingsError;
use super::names::{Target, check_has_settings, target};
use super::settings;
use super::{Plain, answered, writes};
use crate::app::App;
use crate::auth::Caller;
use crate::keys::Scope;
use crate::problem::{Code, Problem};
use crate::routes::Shared;

fn now(app: &App) -> String {
    app.parts.clock.now().to_string()
}

impl From<SettingsError> for Problem {
    fn from(error: SettingsError) -> Self {
        match error {
            SettingsError::Store(error) => error.into(),
            other => Self::because(Code::InvalidRequest, other.to_string()),
        }
    }
}

/// List indexes (Algolia)
#[utoipa::path(get, path = "/1/indexes", tag = "algolia", operation_id = "algolia_list_indexes",
    responses((status = 200, description = "The catalogue, its sort orders that have settings, and temporary indexes", body = Object)))]
pub(crate) async fn list_indexes(State(app): State<Shared>) -> Result<Response, Problem> {
    answered(move || {
        let own = app.parts.settings.index.clone();
        let entries = app.parts.catalogue.read().iter().filter(|(_, entry)| entry.visible).count();
        let mut counted: std::collections::BTreeMap<String, i64> =
            app.parts.indexes.named().into_iter().map(|name| (name, entries as i64)).collect();
        counted.insert(own, entries as i64);
        counted.extend(app.parts.indexes.staged_indexes()?);
        let at = now(&app);
        let item = |(name, entries): (String, i64)| {
            json!({"name": name, "entries": entries, "createdAt": at, "updatedAt": at, "dataSize": 0, "fileSize": 0,
                "lastBuildTimeS": 0, "numberOfPendingTasks": 0, "pendingTask": false})
        };
        Ok(json!({"items": counted.into_iter().map(item).collect::<Vec<Value>>(), "nbPages": 1}))
    })
    .await
}

/// Empty an index (Algolia)
///
/// Products leave the catalogue; their records stay, because orders and events name them.
#[utoipa::path(post, path = "/1/indexes/{index}/clear", tag = "algolia", operation_id = "algolia_clear_index",
    params(("index" = String, Path, description = "The catalogue's name, or a temporary index", example = "products_tmp_1")),
    responses((status = 200, description = "The task to wait for", body = Object)))]
pub(crate) async fn clear_index(State(app): State<Shared>, Path(index): Path<String>) -> Result<Response, Problem> {
    answered(move || {
        empty(&app, &index)?;
        Ok(json!({"taskID": writes::begin_task(&app)?, "updatedAt": now(&app)}))
    })
    .await
}

fn empty(app: &App, index: &str) -> Result<(), Problem> {
    match target(app, index)? {
        Target::Temporary => Ok(app.parts.indexes.drop_staged(index)?),
        Target::Catalogue => {
            let _patching = app.patching.lock();
            writes::remove_products(app, &|_| true).map(drop)
        }
    }
}

/// Remove an index (Algolia)
///
/// The same as emptying it; its settings go too. Of a sort order the settings alone.
#[utoipa::path(delete, path = "/1/indexes/{index}", tag = "algolia", operation_id = "algolia_delete_index",
    params(("index" = String, Path, description = "The catalogue's name, one of its sort orders, or a temporary index", example = "products_tmp_1")),
    responses((status = 200, description = "The task to wait for", body = Object)))]
pub(crate) async fn delete_index(State(app): State<Shared>, Path(index): Path<String>) -> Result<Response, Problem> {
    answered(move || {
        check_has_settings(&app, &index)?;
        if target(&app, &index).is_ok() {
            empty(&app, &index)?;
        }
        app.parts.indexes.replace_settings(&index, None, app.parts.clock.now())?;
        Ok(json!({"taskID": writes::begin_task(&app)?, "deletedAt": now(&app)}))
    })
    .await
}

/// Copy or move an index (Algolia)
///
/// What clients do that replace all records at once: settings are copied to a temporary index, records are written there, and it is moved
/// to the catalogue's place. Records of the catalogue itself are not copied.
#[utoipa::path(post, path = "/1/indexes/{index}/operation", tag = "algolia", operation_id = "algolia_operation",
    params(("index" = String, Path, description = "Where from", example = "products")),
    request_body(content = Object, example = json!({"operation": "copy", "destination": "products_tmp_1", "scope": ["settings", "rules", "synonyms"]})),
    responses((status = 200, description = "The task to wait for", body = Object)))]
pub(crate) async fn operation(
    State(app): State<Shared>,
    Path(index): Path<String>,
    body: Plain,
) -> Result<Response, Problem> {
    let body = body.json()?;
    answered(move || {
        let destination = body["destination"].as_str().unwrap_or_default();
        check_has_settings(&app, &index)?;
        check_has_settings(&app, destination)?;
        match body["operation"].as_str() {
            Some("copy") => copy(&app, &index, destination, &body["scope"])?,
            Some("move") => relocate(&app, &index, destination)?,
            _ => return Err(Problem::mistake("operation", "wrong_form", "expected copy or move")),
        }
        Ok(json!({"taskID": writes::begin_task(&app)?, "updatedAt": now(&app)}))
    })
    .await
}

fn copy(app: &App, from: &str, to: &str, scope: &Value) -> Result<(), Problem> {
    let scope: Vec<&str> = scope.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if scope.is_empty() || scope.iter().any(|part| !["settings", "rules", "synonyms"].contains(part)) {
        let detail = "records are not copied: there is one catalogue; name a scope of settings, rules, synonyms";
        return Err(Problem::mistake("scope", "not_supported", detail));
    }
    // Rules and synonyms are the shop's, whatever an index is called: there is nothing to copy.
    if scope.contains(&"settings") {
        let settings = app.parts.indexes.settings(from).as_deref().cloned();
        app.parts.indexes.replace_settings(to, settings, app.parts.clock.now())?;
    }
    Ok(())
}

fn relocate(app: &App, from: &str, to: &str) -> Result<(), Problem> {
    if target(app, from).ok() != Some(Target::Temporary) || target(app, to).ok() != Some(Target::Catalogue) {
        let own = &app.parts.settings.index;
        let detail = format!("only a temporary index ({own}_tmp_..) moves, and only to {own}");
        return Err(Problem::mistake("destination", "not_supported", detail));
    }
    // Two at once, or one that is sent again because it took long, must not find the records gone that the first one moved: to
    // them all products would be among those that left.
    let _replacing = app.replacing.lock();
    if app.parts.indexes.settings(from).is_none() && app.parts.indexes.staged(from, "", 1)?.is_empty() {
        return Err(Problem::not_found("index", from));
    }
    writes::replace_catalogue(app, from)?;
    let now = app.parts.clock.now();
    if let Some(settings) = app.parts.indexes.settings(from) {
        app.parts.indexes.replace_settings(to, Some((*settings).clone()), now)?;
        app.parts.indexes.replace_settings(from, None, now)?;
    }
    Ok(())
}

/// A task's state (Algolia)
///
/// `published` once searches see what was written.
#[utoipa::path(get, path = "/1/indexes/{index}/task/{taskID}", tag = "algolia", operation_id = "algolia_task", params(
        ("index" = String, Path, description = "Any name", example = "products"),
        ("taskID" = i64, Path, description = "As the write answered it", example = 1)),
    responses((status = 200, description = "published or notPublished", body = Object)))]
pub(crate) async fn task(
    State(app): State<Shared>,
    Path((_index, task)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let task: i64 = task.parse().map_err(|_| Problem::because(Code::InvalidParameter, "taskID: expected a number"))?;
    answered(move || {
        // A task that nobody remembers was there before the last start: the index was built after it.
        let state = app.parts.indexes.task(task).unwrap_or_default();
        let done = app.parts.searches.has_seen(state);
        Ok(json!({"status": if done { "published" } else { "notPublished" }, "pendingTask": !done}))
    })
    .await
}

/// Read settings (Algolia)
#[utoipa::path(get, path = "/1/indexes/{index}/settings", tag = "algolia", operation_id = "algolia_get_settings",
    params(("index" = String, Path, description = "Any name", example = "products")),
    responses((status = 200, description = "What was set, and what holds otherwise", body = Object)))]
pub(crate) async fn get_settings(State(app): State<Shared>, Path(index): Path<String>) -> Result<Response, Problem> {
    answered(move || Ok(Value::Object(settings::shown(&app, &index)))).await
}

/// Change settings (Algolia)
///
/// What is named replaces what was set, null restores the default. `warnings` in the answer says which of them are kept without effect.
#[utoipa::path(put, path = "/1/indexes/{index}/settings", tag = "algolia", operation_id = "algolia_put_settings",
    params(("index" = String, Path, description = "The catalogue's name, or one of its sort orders", example = "products")),
    request_body(content = Object, example = json!({"hitsPerPage": 20})),
    responses((status = 200, description = "The task to wait for", body = Object)))]
pub(crate) async fn put_settings(
    State(app): State<Shared>,
    Path(index): Path<String>,
    body: Plain,
) -> Result<Response, Problem> {
    let body = body.json()?;
    answered(move || {
        check_has_settings(&app, &index)?;
        let Value::Object(change) = body else {
            return Err(Problem::because(Code::InvalidJson, "expected an object of settings"));
        };
        let warnings = settings::check(&app, &change)?;
        app.parts.indexes.change_settings(&index, change, app.parts.clock.now())?;
        let mut answer = json!({"taskID": writes::begin_task(&app)?, "updatedAt": now(&app)});
        if !warnings.is_empty() {
            answer["warnings"] = json!(warnings);
        }
        Ok(answer)
    })
    .await
}

/// What a secret key may do, and last what an admin key may besides.
const ALLOWED: [&str; 9] = [
    "search",
    "browse",
    "addObject",
    "deleteObject",
    "deleteIndex",
    "settings",
    "editSettings",
    "listIndexes",
    "seeUnretrievableAttributes",
];

/// What a key may do (Algolia)
///
/// A key may ask about itself. Keys are made, listed and revoked at `/v1/keys`.
#[utoipa::path(get, path = "/1/keys/{key}", tag = "algolia", operation_id = "algolia_get_key",
    params(("key" = String, Path, description = "The key itself")),
    responses((status = 200, description = "Its rights, in the protocol's words", body = Object)))]
pub(crate) async fn get_key(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(text): Path<String>,
) -> Result<Response, Problem> {
    let missing = || Problem::because(Code::NotFound, "Key does not exist");
    let key = app.parts.keys.find(&text).ok_or_else(missing)?;
    if !caller.0.as_ref().is_some_and(|caller| caller.id == key.id || caller.scope.reaches(Scope::Admin)) {
        return Err(missing());
    }
    let acl: &[&str] = match key.scope {
        Scope::Public | Scope::Role(_) => &["search"],
        Scope::Secret => ALLOWED.split_last().map_or(&[], |(_, others)| others),
        Scope::Admin => &ALLOWED,
    };
    let (description, created_at) = (key.label.clone(), key.created_at.0 / 1_000);
    answered(move || {
        Ok(json!({"value": text, "acl": acl, "description": description, "createdAt": created_at, "validity": 0,
            "indexes": [], "maxHitsPerQuery": 0, "maxQueriesPerIPPerHour": 0, "referers": [], "queryParameters": ""}))
    })
    .await
}
