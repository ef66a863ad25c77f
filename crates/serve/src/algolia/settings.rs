//! Settings of an index: which of them are defaults of searches, which say how to sort, and which have no effect here.

use serde_json::{Map, Value, json};

use super::filters::field_of;
use super::indexes::{Settings, virtual_name};
use super::params::Params;
use crate::app::App;
use crate::problem::Problem;
use merx_domain::search::SortKey;

/// Settings that hold for searches which don't say otherwise.
const DEFAULTS: [&str; 15] = [
    "attributesToRetrieve",
    "attributesToHighlight",
    "attributesToSnippet",
    "hitsPerPage",
    "maxValuesPerFacet",
    "highlightPreTag",
    "highlightPostTag",
    "snippetEllipsisText",
    "typoTolerance",
    "queryType",
    "unretrievableAttributes",
    "renderingContent",
    "distinct",
    "attributeForDistinct",
    "enableRules",
];

/// What changes nothing, and why.
const WITHOUT_EFFECT: [(&str, &str); 3] = [
    ("customRanking", "ranking is learned from what shoppers do; on a sort order (replica) it sorts"),
    ("ranking", "ranking is learned from what shoppers do; on a sort order (replica) asc() and desc() sort"),
    ("attributesForFaceting", "every attribute can be a facet and a filter; it limits what facets: [\"*\"] answers"),
];

const MOST_SORT_KEYS: usize = 5;

/// A search's parameters, and behind them what is set for its index: its own settings, else those of the index that it is a
/// view of.
pub(super) fn with_defaults(app: &App, index: &str, params: &Params) -> Params {
    let settings = in_force(app, index);
    let mut defaults = Map::new();
    for name in DEFAULTS {
        defaults.extend(settings.get(name).map(|value| (name.to_owned(), value.clone())));
    }
    // The order of searchable attributes is not followed, the choice of them is.
    if let Some(searched) =
        settings.get("searchableAttributes").and_then(Value::as_array).filter(|list| !list.is_empty())
    {
        let bare = |name: &str| {
            name.strip_prefix("unordered(").and_then(|name| name.strip_suffix(')')).unwrap_or(name).to_owned()
        };
        let names = searched.iter().filter_map(Value::as_str).flat_map(|names| names.split(','));
        defaults
            .insert("restrictSearchableAttributes".to_owned(), names.map(|name| json!(bare(name.trim()))).collect());
    }
    params.or(defaults)
}

fn in_force(app: &App, index: &str) -> Settings {
    let indexes = &app.parts.indexes;
    let primary = indexes.primary_of(index).unwrap_or_else(|| app.parts.settings.index.clone());
    let mut settings = indexes.settings(&primary).as_deref().cloned().unwrap_or_default();
    if index != primary
        && let Some(own) = indexes.settings(index)
    {
        settings.extend((*own).clone());
    }
    settings
}

/// The attributes that `*` may stand for; `None`: all.
pub(super) fn facets(app: &App, index: &str) -> Option<Vec<String>> {
    let settings = in_force(app, index);
    let listed = settings.get("attributesForFaceting")?.as_array().filter(|list| !list.is_empty())?;
    let shown = |name: &str| match name.split_once('(') {
        None => Some(name.to_owned()),
        Some(("filterOnly", _)) => None,
        Some((_, inner)) => inner
            .strip_suffix(')')
            .map(|inner| inner.trim_start_matches("searchable(").trim_end_matches(')').to_owned()),
    };
    Some(listed.iter().filter_map(Value::as_str).filter_map(shown).collect())
}

/// How a replica sorts: `asc(..)` and `desc(..)` at the beginning of its `ranking`, or its `customRanking`.
pub(super) fn sort(app: &App, index: &str) -> Vec<SortKey> {
    if index == app.parts.settings.index {
        return Vec::new();
    }
    let Some(settings) = app.parts.indexes.settings(index) else { return Vec::new() };
    let keys = |name: &str| -> Vec<SortKey> {
        let listed = settings.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        listed.map_while(|criterion| sort_key(app, criterion)).take(MOST_SORT_KEYS).collect()
    };
    let ranking = keys("ranking");
    if ranking.is_empty() { keys("customRanking") } else { ranking }
}

fn sort_key(app: &App, criterion: &str) -> Option<SortKey> {
    let (direction, attribute) = criterion.strip_suffix(')')?.split_once('(')?;
    let field = field_of(attribute);
    let known = app.parts.searches.has_field(&field);
    (known && matches!(direction, "asc" | "desc")).then(|| SortKey { field, descending: direction == "desc" })
}

/// Refuses what can't be, and says of the rest what has no effect.
pub(super) fn check(app: &App, change: &Settings) -> Result<Vec<String>, Problem> {
    let wrong = |name: &str, detail: String| Problem::mistake(name, "wrong_form", detail);
    let own = &app.parts.settings.index;
    let mut warnings = Vec::new();
    for (name, value) in change.iter().filter(|(_, value)| !value.is_null()) {
        match name.as_str() {
            "attributesToRetrieve"
            | "attributesToHighlight"
            | "attributesToSnippet"
            | "searchableAttributes"
            | "attributesForFaceting"
            | "replicas"
            | "ranking"
            | "customRanking"
            | "unretrievableAttributes" => {
                let is_texts = value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
                if !is_texts {
                    return Err(wrong(name, "expected a list of texts".to_owned()));
                }
            }
            "hitsPerPage" | "maxValuesPerFacet" if value.as_u64().is_none_or(|number| number > 1_000) => {
                return Err(wrong(name, "expected a number from 0 to 1000".to_owned()));
            }
            "distinct" if !(value.is_boolean() || value.is_u64()) => {
                return Err(wrong(name, "expected true, false or a number".to_owned()));
            }
            "enableRules" if !value.is_boolean() => return Err(wrong(name, "expected true or false".to_owned())),
            "attributeForDistinct" if !value.is_string() => {
                return Err(wrong(name, "expected the name of an attribute".to_owned()));
            }
            "renderingContent" if !value.is_object() => return Err(wrong(name, "expected an object".to_owned())),
            _ => {}
        }
        if name == "replicas" {
            let names = value.as_array().into_iter().flatten().filter_map(Value::as_str);
            for replica in names.map(|name| virtual_name(name).unwrap_or(name)) {
                if !replica.strip_prefix(own.as_str()).is_some_and(|rest| rest.starts_with('_')) {
                    return Err(wrong(name, format!("{replica:?}: the names of sort orders begin with {own}_")));
                }
            }
        }
        let known = DEFAULTS.contains(&name.as_str()) || matches!(name.as_str(), "replicas" | "searchableAttributes");
        let reason = WITHOUT_EFFECT.iter().find(|(setting, _)| setting == name).map(|(_, reason)| *reason);
        match reason {
            Some(reason) => warnings.push(format!("{name}: {reason}")),
            None if known => {}
            None => warnings.push(format!("{name}: kept, has no effect here")),
        }
        if name == "searchableAttributes" {
            warnings.push(format!("{name}: only these are searched; their order has no effect, weights are learned"));
        }
    }
    Ok(warnings)
}

/// What is set, over the defaults that clients expect to see.
pub(super) fn shown(app: &App, index: &str) -> Settings {
    let Value::Object(mut settings) = json!({
        "version": 2, "hitsPerPage": 20, "maxValuesPerFacet": 100, "searchableAttributes": [], "attributesForFaceting": [],
        "attributesToRetrieve": ["*"], "attributesToHighlight": ["*"], "attributesToSnippet": [], "unretrievableAttributes": [],
        "highlightPreTag": "<em>", "highlightPostTag": "</em>", "snippetEllipsisText": "…", "typoTolerance": "true",
        "queryType": "prefixLast", "distinct": false, "enableRules": true, "customRanking": [], "ranking": [], "replicas": [], "paginationLimitedTo": crate::search::REACHABLE,
    }) else {
        return Settings::new();
    };
    if let Some(primary) = app.parts.indexes.primary_of(index) {
        settings.insert("primary".to_owned(), json!(primary));
    }
    settings.extend(app.parts.indexes.settings(index).as_deref().cloned().unwrap_or_default());
    settings
}
