//! Settings of an index: which of them are defaults of searches, which say how to sort, and which have no effect here.

use serde_json::{Map, Value, json};

use super::filters::field_of;
use super::indexes::{Settings, virtual_name};
use super::params::Params;
use crate::app::App;
use crate::auth::Caller;
use crate::keys::Scope;
use crate::problem::Problem;
use merx_domain::search::SortKey;

/// Settings that hold for searches which don't say otherwise.
const DEFAULTS: [&str; 15] = [
    "restrictHighlightAndSnippetArrays",
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
    "renderingContent",
    "distinct",
    "attributeForDistinct",
    "enableRules",
];

/// What changes nothing, and why.
const WITHOUT_EFFECT: [(&str, &str); 3] = [
    ("customRanking", "ranking is learned from what shoppers do; on a sort order (replica) it sorts"),
    ("ranking", "ranking is learned from what shoppers do; on a sort order (replica) asc() and desc() sort"),
    (
        "attributesForFaceting",
        "every attribute can be a facet and a filter; it says what facets: [\"*\"] stands for, and what is filterOnly",
    ),
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
        let names: Value = names.map(|name| json!(bare(name.trim()))).collect();
        // What isn't searched isn't highlighted, unless somebody says so.
        defaults.entry("attributesToHighlight").or_insert_with(|| names.clone());
        defaults.insert("restrictSearchableAttributes".to_owned(), names);
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

/// Attributes that are shown to nobody but those who may administer the shop.
pub(super) fn hidden(app: &App, index: &str, caller: &Caller) -> Vec<String> {
    if caller.0.as_ref().is_some_and(|key| key.scope.reaches(Scope::Admin)) {
        return Vec::new();
    }
    let settings = in_force(app, index);
    let listed = settings.get("unretrievableAttributes").and_then(Value::as_array);
    listed.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Which attributes answers count as facets.
#[derive(Debug, Default)]
pub(super) struct FacetRules {
    /// What `attributesForFaceting` lists to be counted; `None`: any attribute.
    pub(super) declared: Option<Vec<String>>,
    only_filters: Vec<String>,
    hidden: Vec<String>,
}

impl FacetRules {
    pub(super) fn of(app: &App, index: &str, hidden: Vec<String>) -> Self {
        let settings = in_force(app, index);
        let listed = settings.get("attributesForFaceting").and_then(Value::as_array).filter(|list| !list.is_empty());
        let Some(listed) = listed else { return Self { hidden, ..Self::default() } };
        let (mut declared, mut only_filters) = (Vec::new(), Vec::new());
        for (name, only_filters_by) in listed.iter().filter_map(Value::as_str).map(declared_facet) {
            if only_filters_by { &mut only_filters } else { &mut declared }.push(name.to_owned());
        }
        Self { declared: Some(declared), only_filters, hidden }
    }

    /// What is hidden is counted only where the merchant declared it a facet: its values would show in the counts.
    pub(super) fn counts(&self, attribute: &str) -> bool {
        let field = field_of(attribute);
        let is = |name: &String| field_of(name) == field;
        let is_hidden = || self.hidden.iter().any(|name| is_field_of(&field, &field_of(name)));
        !self.only_filters.iter().any(is) && (self.declared.iter().flatten().any(is) || !is_hidden())
    }

    pub(super) fn check(&self, attribute: &str) -> Result<(), Problem> {
        if self.counts(attribute) {
            return Ok(());
        }
        let name: String = attribute.chars().take(100).collect();
        let detail = format!(
            "{name:?} is no facet: attributesForFaceting has it as filterOnly, or unretrievableAttributes hides it"
        );
        Err(Problem::mistake("facet", "not_allowed", detail))
    }
}

fn is_field_of(field: &str, outer: &str) -> bool {
    field.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// An entry of `attributesForFaceting` without its modifiers, and whether it is `filterOnly`.
fn declared_facet(entry: &str) -> (&str, bool) {
    let mut name = entry.trim();
    let mut only_filters = false;
    while let Some((modifier, rest)) = name.split_once('(')
        && matches!(modifier, "searchable" | "filterOnly" | "afterDistinct")
        && let Some(inner) = rest.strip_suffix(')')
    {
        only_filters |= modifier == "filterOnly";
        name = inner.trim();
    }
    (name, only_filters)
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
        let of_their_own = ["replicas", "searchableAttributes", "unretrievableAttributes"];
        let known = DEFAULTS.contains(&name.as_str()) || of_their_own.contains(&name.as_str());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facets_are_declared_with_modifiers() {
        for (entry, name, only_filters) in [
            ("brand", "brand", false),
            ("searchable(brand)", "brand", false),
            ("filterOnly(brand)", "brand", true),
            ("afterDistinct(brand)", "brand", false),
            ("afterDistinct(searchable( brand ))", "brand", false),
            ("searchable(afterDistinct(size (cm)))", "size (cm)", false),
            ("size (cm)", "size (cm)", false),
            ("filterOnly(brand", "filterOnly(brand", false),
        ] {
            assert_eq!(declared_facet(entry), (name, only_filters));
        }
    }

    #[test]
    fn what_is_hidden_is_counted_where_it_is_declared() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
        let rules = FacetRules { hidden: names(&["costs", "categories", "margin"]), ..FacetRules::default() };
        let counted = |rules: &FacetRules, name: &str| rules.counts(name);
        assert!(
            ["costs", "costs.unit", "attributes.costs.unit", "category", "categories.lvl1", "margin"]
                .iter()
                .all(|name| !counted(&rules, name))
        );
        assert!(counted(&rules, "costsaving") && counted(&rules, "brand"));
        let rules = FacetRules { declared: Some(names(&["margin"])), only_filters: names(&["brand"]), ..rules };
        assert!(counted(&rules, "margin") && !counted(&rules, "brand") && counted(&rules, "colour"));
    }
}
