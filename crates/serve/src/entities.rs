//! What products, orders and stock have in common over HTTP: cursors, merge patches, batches with mistakes by position.

use std::fmt::Display;
use std::str::FromStr;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use merx_store::StoreError;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::body::{Answered, mistake};
use crate::ports::ShopRecords;
use crate::problem::{Code, Mistake, Problem};
use crate::wire::Reading;

/// How many changes one batch may carry.
pub(crate) const MAX_BATCH: usize = 5_000;
const DEFAULT_PAGE: usize = 100;
const MAX_PAGE: usize = 1_000;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl PageQuery {
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        let limit = self.limit.unwrap_or(DEFAULT_PAGE);
        if (1..=MAX_PAGE).contains(&limit) {
            return Ok(limit);
        }
        Err(Problem::mistake("limit", "out_of_range", format!("{limit} is not from 1 to {MAX_PAGE}")))
    }

    /// The id that the page before ended with.
    pub(crate) fn after<T: std::str::FromStr>(&self) -> Result<Option<T>, Problem> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let id = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok());
        id.map(Some).ok_or_else(|| Problem::mistake("cursor", "invalid_cursor", "this cursor was not given out here"))
    }
}

/// The cursor that continues after a full page.
pub(crate) fn next_cursor(count: usize, limit: usize, last: Option<&str>) -> Option<String> {
    last.filter(|_| count == limit).map(|id| URL_SAFE_NO_PAD.encode(id))
}

/// The wire form of what is put, patched and removed by its id, alone or many at once.
pub(crate) trait Entity: Serialize + DeserializeOwned + From<Self::Stored> {
    /// In the words of an error.
    const NAME: &'static str;
    type Id: FromStr<Err: Display> + Display + Clone + PartialEq;
    type Stored;
    /// What has been read without a mistake.
    type Sound;

    fn own_id(&self) -> Option<&str>;
    /// `id` is the right one, whatever the wire form says; `None` after a mistake.
    fn read(self, reading: &mut Reading<'_>, id: Option<Self::Id>, app: &App) -> Option<Self::Sound>;
    fn find(shop: &dyn ShopRecords, id: &Self::Id) -> Result<Option<Self::Stored>, StoreError>;
    fn write(shop: &dyn ShopRecords, put: Vec<Self::Sound>, remove: Vec<Self::Id>) -> Result<u64, StoreError>;

    /// Takes over what a replacement does not lose.
    fn keep_of_before(&mut self, _id: &Self::Id, _shop: &dyn ShopRecords) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The changes of a batch.
pub(crate) struct Changes {
    pub(crate) upsert: Vec<Value>,
    pub(crate) patch: Vec<Value>,
    pub(crate) delete: Vec<String>,
    pub(crate) all_or_nothing: bool,
}

pub(crate) fn put_one<E: Entity>(app: &App, id: &E::Id, mut wire: E) -> Result<Response, Problem> {
    let _patching = app.patching.lock();
    wire.keep_of_before(id, &*app.parts.shop)?;
    store_one(app, id, wire)
}

pub(crate) fn patch_one<E: Entity>(app: &App, id: &E::Id, patch: Value) -> Result<Response, Problem> {
    let _patching = app.patching.lock();
    let stored = E::find(&*app.parts.shop, id)?.ok_or_else(|| Problem::not_found(E::NAME, id))?;
    store_one(app, id, patched(&E::from(stored), patch, "").map_err(Problem::mistakes)?)
}

pub(crate) fn remove_one<E: Entity>(app: &App, id: &E::Id) -> Result<Response, Problem> {
    if E::write(&*app.parts.shop, Vec::new(), vec![id.clone()])? == 0 {
        return Err(Problem::not_found(E::NAME, id));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(crate) fn change_many<E: Entity>(app: &App, changes: Changes) -> Result<Response, Problem> {
    let Changes { upsert, patch, delete, all_or_nothing } = changes;
    check_batch_size(upsert.len() + patch.len() + delete.len())?;
    let _patching = app.patching.lock();
    let mut mistakes = Vec::new();
    let mut put = Vec::with_capacity(upsert.len() + patch.len());
    // What this batch made of entities so far: of two patches the second goes on where the first ended.
    let mut made: FxHashMap<String, Value> = FxHashMap::default();
    let patched_too: FxHashSet<String> = patch.iter().filter_map(|patch| id_of(patch)).map(str::to_owned).collect();
    for (place, wire) in read_each::<E>(upsert, "upsert", &mut mistakes).into_iter().enumerate() {
        let Some(mut wire) = wire else { continue };
        let reading = &mut Reading::at(format!("upsert[{place}]"), &mut mistakes);
        let id = right_id(&wire, None, reading);
        if let Some(id) = &id {
            wire.keep_of_before(id, &*app.parts.shop)?;
        }
        let again = id.as_ref().map(ToString::to_string).filter(|id| patched_too.contains(id));
        let value = again.and_then(|id| Some((id, serde_json::to_value(&wire).ok()?)));
        let sound = wire.read(reading, id, app);
        made.extend(value.filter(|_| sound.is_some()));
        put.extend(sound);
    }
    let upserted = put.len();
    for (place, patch) in patch.into_iter().enumerate() {
        put.extend(patch_of_many::<E>(app, patch, &format!("patch[{place}]"), &mut made, &mut mistakes)?);
    }
    let patched = put.len() - upserted;
    let mut reading = Reading::at("", &mut mistakes);
    let delete = delete.iter().enumerate();
    let remove: Vec<_> = delete.filter_map(|(place, id)| reading.id(&format!("delete[{place}]"), id)).collect();
    let errors = keep_sound(mistakes, put.len() + remove.len(), all_or_nothing)?;
    let deleted = E::write(&*app.parts.shop, put, remove)?;
    Ok(Answered(BatchAnswer { upserted, patched, deleted, errors }).into_response())
}

fn patch_of_many<E: Entity>(
    app: &App,
    patch: Value,
    at: &str,
    made: &mut FxHashMap<String, Value>,
    mistakes: &mut Vec<Mistake>,
) -> Result<Option<E::Sound>, Problem> {
    let id = id_of(&patch).map(str::to_owned).unwrap_or_default();
    let Some(id) = Reading::at(at, mistakes).id::<E::Id>("id", &id) else { return Ok(None) };
    let before = match made.get(&id.to_string()) {
        Some(made) => serde_json::from_value(made.clone()).ok(),
        None => E::find(&*app.parts.shop, &id)?.map(E::from),
    };
    let Some(before) = before else {
        Reading::at(at, mistakes).refuse("id", "not_found", format!("there is no {} {id}", E::NAME));
        return Ok(None);
    };
    match patched(&before, patch, at) {
        Ok(wire) => {
            let reading = &mut Reading::at(at, mistakes);
            let right = right_id(&wire, Some(&id), reading);
            let value = serde_json::to_value(&wire).ok();
            let sound = wire.read(reading, right, app);
            made.extend(value.filter(|_| sound.is_some()).map(|value| (id.to_string(), value)));
            Ok(sound)
        }
        Err(wrong) => {
            mistakes.extend(wrong);
            Ok(None)
        }
    }
}

fn id_of(patch: &Value) -> Option<&str> {
    patch.get("id").and_then(Value::as_str)
}

fn store_one<E: Entity>(app: &App, id: &E::Id, wire: E) -> Result<Response, Problem> {
    let mut mistakes = Vec::new();
    let reading = &mut Reading::at("", &mut mistakes);
    let right = right_id(&wire, Some(id), reading);
    let sound = wire.read(reading, right, app);
    refuse_if_any(mistakes)?;
    let Some(sound) = sound else { return Err(Problem::mistakes(Vec::new())) };
    E::write(&*app.parts.shop, vec![sound], Vec::new())?;
    let stored = E::find(&*app.parts.shop, id)?.ok_or_else(|| Problem::not_found(E::NAME, id))?;
    Ok(Answered(E::from(stored)).into_response())
}

/// The id in the path, which that in the body must not contradict, or else the one in the body.
fn right_id<E: Entity>(wire: &E, path_id: Option<&E::Id>, reading: &mut Reading<'_>) -> Option<E::Id> {
    let own_id = wire.own_id().map(|id| reading.id::<E::Id>("id", id));
    match (path_id, own_id) {
        (Some(path), Some(Some(own))) if own != *path => {
            reading.refuse("id", "other_id", format!("the path says {path}, the body says {own}"));
            None
        }
        (Some(path), _) => Some(path.clone()),
        (None, Some(own)) => own,
        (None, None) => {
            reading.refuse("id", "missing", format!("the {} needs an id", E::NAME));
            None
        }
    }
}

/// What a batch changed, and what it could not.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchAnswer {
    pub(crate) upserted: usize,
    pub(crate) patched: usize,
    /// Of the deletes, how many were there.
    pub(crate) deleted: u64,
    /// The mistakes of the changes that were left out, by position; the others were made.
    #[schema(example = json!([]))]
    pub(crate) errors: Vec<Mistake>,
}

/// RFC 7396: objects are merged, null removes, everything else replaces.
pub(crate) fn merge_patch(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(&name);
        } else {
            merge_patch(target.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// A wire form after a patch.
pub(crate) fn patched<T: Serialize + DeserializeOwned>(wire: &T, patch: Value, at: &str) -> Result<T, Vec<Mistake>> {
    if !patch.is_object() {
        return Err(vec![Mistake::new(at, "wrong_form", "a merge patch is an object")]);
    }
    let mut value = serde_json::to_value(wire).map_err(|error| vec![mistake(at, &error)])?;
    merge_patch(&mut value, patch);
    serde_json::from_value(value).map_err(|error| vec![mistake(at, &error)])
}

/// Reads each part of a batch by itself, so that every mistake has its position.
pub(crate) fn read_each<T: DeserializeOwned>(
    values: Vec<Value>,
    list: &str,
    mistakes: &mut Vec<Mistake>,
) -> Vec<Option<T>> {
    let read = |(place, value)| match serde_json::from_value(value) {
        Ok(read) => Some(read),
        Err(error) => {
            mistakes.push(mistake(&format!("{list}[{place}]"), &error));
            None
        }
    };
    values.into_iter().enumerate().map(read).collect()
}

pub(crate) fn check_batch_size(changes: usize) -> Result<(), Problem> {
    if changes <= MAX_BATCH {
        return Ok(());
    }
    let detail = format!("the batch has {changes} changes, the limit is {MAX_BATCH}");
    Err(Problem::because(Code::InvalidRequest, detail))
}

/// Whether a batch goes on with its `sound` changes: not if nothing else is in it, nor if it is all or nothing. Returns the
/// mistakes to report.
pub(crate) fn keep_sound(mistakes: Vec<Mistake>, sound: usize, all_or_nothing: bool) -> Result<Vec<Mistake>, Problem> {
    if all_or_nothing || sound == 0 {
        refuse_if_any(mistakes)?;
        return Ok(Vec::new());
    }
    Ok(mistakes)
}

fn refuse_if_any(mistakes: Vec<Mistake>) -> Result<(), Problem> {
    if mistakes.is_empty() { Ok(()) } else { Err(Problem::mistakes(mistakes)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patches_as_the_rfc_says() {
        // The table of RFC 7396, appendix A.
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut patched = target.clone();
            merge_patch(&mut patched, patch);
            assert_eq!(patched, result, "{target}");
        }
    }

    #[test]
    fn cursors_come_back() {
        let cursor = next_cursor(1, 1, Some("p/1 ü"));
        let query = PageQuery { limit: None, cursor };
        assert_eq!(query.after::<String>().unwrap().as_deref(), Some("p/1 ü"));
        assert_eq!(next_cursor(1, 2, Some("p")), None);
        assert!(PageQuery { limit: None, cursor: Some("!".into()) }.after::<String>().is_err());
    }
}
