//! Rules of merchants as the protocol writes them.
//!
//! There is one store of rules, see `merchandise.rs` beside the search API. A rule that the protocol can't say in full carries the rest of
//! itself in a part of its own, `merx`: whoever reads all rules and writes them back loses nothing. What Merx can't do is refused.

use merx_domain::merchandising::{Anchoring, Condition, Consequence, Rule};
use merx_domain::{Comparison, Filter, FilterValue, TimestampMs};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::filter_text::{filter_text, optional_text};
use super::filters::filters;
use super::params::Params;
use super::preferences::optional_filters;
use super::reading;
use crate::app::App;
use crate::problem::Mistakes;
use crate::search::merchandise::{AnchoringWire, ConditionWire, ConsequenceWire, QueryConditionWire, RuleWire};

/// A rule of the protocol. `null` stands for a part that is left out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RuleRecord {
    #[serde(rename = "objectID", default)]
    pub(super) object_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) conditions: Option<Vec<ConditionRecord>>,
    /// The older form, of a single one.
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<ConditionRecord>,
    #[serde(default)]
    consequence: ConsequenceRecord,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    pub(super) enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    validity: Option<Vec<Validity>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    merx: Option<RuleWire>,
    #[serde(flatten, skip_serializing)]
    others: Map<String, Value>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct ConditionRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) anchoring: Option<AnchoringRecord>,
    /// Plurals, synonyms and typos of the pattern.
    #[serde(skip_serializing_if = "Option::is_none")]
    alternatives: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) context: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filters: Option<String>,
    #[serde(flatten, skip_serializing)]
    others: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum AnchoringRecord {
    Is,
    StartsWith,
    EndsWith,
    Contains,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConsequenceRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    promote: Option<Vec<Promoted>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter_promotes: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hide: Option<Vec<Hidden>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_data: Option<Value>,
    #[serde(flatten, skip_serializing)]
    others: Map<String, Value>,
}

/// One product, or several in a row, at a place counted from 0.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Promoted {
    #[serde(rename = "objectID", skip_serializing_if = "Option::is_none")]
    object_id: Option<String>,
    #[serde(rename = "objectIDs", skip_serializing_if = "Option::is_none")]
    object_ids: Option<Vec<String>>,
    position: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Hidden {
    #[serde(rename = "objectID")]
    object_id: String,
}

/// In seconds since 1970.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Validity {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
}

/// What was left out of a rule because it changes nothing, in words.
pub(super) type Warnings = Vec<String>;

const NOT_SUPPORTED: &str = "not_supported";

impl RuleRecord {
    /// The rule that it says; what can't be is among the mistakes.
    pub(super) fn rule(self, app: &App, at: &str, mistakes: &mut Mistakes, warnings: &mut Warnings) -> Rule {
        for (name, _) in self.others.iter().filter(|(_, value)| !value.is_null()) {
            match name.as_str() {
                "tags" => warnings.push(format!("{at}.tags: not kept")),
                _ => refuse_other(at, name, mistakes),
            }
        }
        let said = self.merx.is_some().then(|| serde_json::to_value(&self).unwrap_or_default());
        if let (Some(wire), Some(said)) = (&self.merx, said) {
            let rule = RuleWire { id: self.object_id, ..wire.clone() }.read(app, &format!("{at}.merx"), mistakes);
            if serde_json::to_value(Self::of(app, &rule)).ok() != Some(said) {
                let detail = "says something else than the rest of the rule; change such a rule at /v1/search/rules";
                mistakes.add(format!("{at}.merx"), "wrong_form", detail);
            }
            return rule;
        }
        let conditions = self.conditions.into_iter().flatten().chain(self.condition);
        let mut validity = self.validity.unwrap_or_default().into_iter();
        let span = validity.next();
        if validity.next().is_some() {
            let detail = "a rule holds in one span of time; write a rule for each";
            mistakes.add(format!("{at}.validity"), NOT_SUPPORTED, detail);
        }
        let time = |seconds: Option<i64>| Some(TimestampMs(seconds?.checked_mul(1_000)?).to_string());
        let wire = RuleWire {
            id: self.object_id,
            name: self.description.unwrap_or_default(),
            enabled: self.enabled.unwrap_or(true),
            priority: 0,
            conditions: conditions
                .enumerate()
                .map(|(place, condition)| condition.wire(&format!("{at}.conditions[{place}]"), mistakes))
                .collect(),
            markets: Vec::new(),
            segments: Vec::new(),
            from: span.as_ref().and_then(|span| time(span.from)),
            until: span.as_ref().and_then(|span| time(span.until)),
            consequences: self.consequence.wires(&format!("{at}.consequence"), mistakes),
        };
        wire.read(app, at, mistakes)
    }

    /// A rule in the protocol's words, and in our own where those don't say all of it.
    pub(super) fn of(app: &App, rule: &Rule) -> Self {
        let mut record = Self {
            object_id: rule.id.clone(),
            conditions: (!rule.conditions.is_empty())
                .then(|| rule.conditions.iter().map(ConditionRecord::of).collect()),
            condition: None,
            consequence: ConsequenceRecord::of(&rule.consequences),
            description: Some(rule.name.clone()).filter(|name| !name.is_empty()),
            enabled: Some(rule.enabled),
            validity: (rule.from.is_some() || rule.until.is_some()).then(|| {
                let seconds = |at: Option<TimestampMs>| at.map(|at| at.0.div_euclid(1_000));
                vec![Validity { from: seconds(rule.from), until: seconds(rule.until) }]
            }),
            merx: None,
            others: Map::new(),
        };
        let mut mistakes = Mistakes::default();
        let understood = record.clone().rule(app, "", &mut mistakes, &mut Warnings::new());
        if !mistakes.0.is_empty() || !same(&understood, rule) {
            record.merx = Some(RuleWire::from(rule.clone()));
        }
        record
    }
}

/// Whether two rules do the same; in which order consequences of different kinds stand plays no part.
fn same(a: &Rule, b: &Rule) -> bool {
    let consequences = |rule: &Rule| {
        let mut all: Vec<String> =
            rule.consequences.iter().map(|one| serde_json::to_string(one).unwrap_or_default()).collect();
        all.sort_unstable();
        all
    };
    let rest = |rule: &Rule| Rule { consequences: Vec::new(), ..rule.clone() };
    rest(a) == rest(b) && consequences(a) == consequences(b)
}

fn refuse_others(at: &str, others: &Map<String, Value>, mistakes: &mut Mistakes) {
    others.iter().filter(|(_, value)| !value.is_null()).for_each(|(name, _)| refuse_other(at, name, mistakes));
}

/// Names that begin with `_` are the protocol's own notes about a rule.
fn refuse_other(at: &str, name: &str, mistakes: &mut Mistakes) {
    if !name.starts_with('_') {
        mistakes.add(format!("{at}.{name}"), NOT_SUPPORTED, "rules have nothing of this kind here");
    }
}

impl ConditionRecord {
    fn wire(self, at: &str, mistakes: &mut Mistakes) -> ConditionWire {
        refuse_others(at, &self.others, mistakes);
        if self.alternatives == Some(true) {
            let detail = "a pattern holds for its words as they are; write a condition for each form";
            mistakes.add(format!("{at}.alternatives"), NOT_SUPPORTED, detail);
        }
        if self.pattern.as_ref().is_some_and(|pattern| pattern.contains("{facet:")) {
            let detail = "a pattern is words; Merx reads brands and categories in queries by itself";
            mistakes.add(format!("{at}.pattern"), NOT_SUPPORTED, detail);
        }
        let query = self.pattern.map(|text| QueryConditionWire {
            text,
            anchoring: match self.anchoring.unwrap_or(AnchoringRecord::Is) {
                AnchoringRecord::Is => AnchoringWire::Is,
                AnchoringRecord::StartsWith => AnchoringWire::StartsWith,
                AnchoringRecord::EndsWith => AnchoringWire::EndsWith,
                AnchoringRecord::Contains => AnchoringWire::Contains,
            },
        });
        let category = self.filters.filter(|text| !text.trim().is_empty()).and_then(|text| {
            let read = filters(&text).ok().flatten();
            let category = read.as_ref().and_then(category_page);
            if category.is_none() {
                let detail = "a condition's filters name one category: category:\"Shoes\"";
                mistakes.add(format!("{at}.filters"), NOT_SUPPORTED, detail);
            }
            category
        });
        ConditionWire { query, category, segment: self.context }
    }

    fn of(condition: &Condition) -> Self {
        let anchoring = condition.query.as_ref().map(|query| match query.anchoring {
            Anchoring::Is => AnchoringRecord::Is,
            Anchoring::StartsWith => AnchoringRecord::StartsWith,
            Anchoring::EndsWith => AnchoringRecord::EndsWith,
            Anchoring::Contains => AnchoringRecord::Contains,
        });
        let category = |category: &String| Filter::Compare {
            field: "category".to_owned(),
            comparison: Comparison::Equal,
            value: FilterValue::Text(category.clone()),
        };
        Self {
            pattern: condition.query.as_ref().map(|query| query.text.clone()),
            anchoring,
            alternatives: None,
            context: condition.segment.clone(),
            filters: condition.category.as_ref().and_then(|name| filter_text(&category(name))),
            others: Map::new(),
        }
    }
}

/// The category that a filter stands for, where it asks for one: the page that a search happens on. Of a path the last level.
pub(super) fn category_page(filter: &Filter) -> Option<String> {
    match filter {
        Filter::All(parts) => parts.iter().rev().find_map(category_page),
        Filter::Any(parts) => match parts.as_slice() {
            [one] => category_page(one),
            _ => None,
        },
        Filter::Compare { field, comparison: Comparison::Equal, value: FilterValue::Text(path) }
            if field == "category" || field.starts_with("category.lvl") =>
        {
            path.rsplit(" > ").next().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
        }
        _ => None,
    }
}

impl ConsequenceRecord {
    fn wires(self, at: &str, mistakes: &mut Mistakes) -> Vec<ConsequenceWire> {
        refuse_others(at, &self.others, mistakes);
        if self.filter_promotes == Some(false) {
            let detail = "what is promoted must pass the search's filters here; leave it out or say true";
            mistakes.add(format!("{at}.filterPromotes"), NOT_SUPPORTED, detail);
        }
        let mut wires = Vec::new();
        for promoted in self.promote.into_iter().flatten() {
            let ids = promoted.object_id.into_iter().chain(promoted.object_ids.into_iter().flatten());
            let pin = |(place, product_id)| ConsequenceWire::Pin {
                product_id,
                position: promoted.position.saturating_add(place + 1),
            };
            wires.extend(ids.enumerate().map(pin));
        }
        wires.extend(
            self.hide.into_iter().flatten().map(|hidden| ConsequenceWire::Hide { product_id: hidden.object_id }),
        );
        let params = self.params.unwrap_or_default();
        wires.extend(of_params(&format!("{at}.params"), params, mistakes));
        wires.extend(self.user_data.map(|data| ConsequenceWire::Banner { data }));
        wires
    }

    fn of(consequences: &[Consequence]) -> Self {
        let mut record = Self::default();
        let mut params = Map::new();
        for consequence in consequences {
            match consequence {
                Consequence::Pin { product, place } => record.promote.get_or_insert_default().push(Promoted {
                    object_id: Some(product.to_string()),
                    object_ids: None,
                    position: *place,
                }),
                Consequence::Hide { product } => {
                    record.hide.get_or_insert_default().push(Hidden { object_id: product.to_string() });
                }
                Consequence::Boost { filter, strength } => {
                    if let Some(text) = optional_text(filter, *strength)
                        && let Value::Array(list) = params.entry("optionalFilters").or_insert_with(|| json!([]))
                    {
                        list.push(text);
                    }
                }
                Consequence::ReplaceQuery { text } => {
                    params.entry("query").or_insert_with(|| json!(text));
                }
                Consequence::RemoveWords { words } => {
                    params.entry("query").or_insert_with(|| json!({"remove": words}));
                }
                Consequence::Filter { filter } => {
                    if let Some(text) = filter_text(filter) {
                        params.entry("filters").or_insert_with(|| json!(text));
                    }
                }
                Consequence::Redirect { url } => {
                    params.entry("renderingContent").or_insert_with(|| json!({"redirect": {"url": url}}));
                }
                Consequence::Banner { data } => {
                    record.user_data =
                        record.user_data.or_else(|| Some(serde_json::from_str(data).unwrap_or_else(|_| json!(data))));
                }
            }
        }
        record.params = (!params.is_empty()).then_some(params);
        record
    }
}

fn of_params(at: &str, params: Map<String, Value>, mistakes: &mut Mistakes) -> Vec<ConsequenceWire> {
    let mut wires = Vec::new();
    let mut filtering = Map::new();
    for (name, value) in params.into_iter().filter(|(_, value)| !value.is_null()) {
        let at = format!("{at}.{name}");
        match name.as_str() {
            "query" => wires.extend(of_query(&at, &value, mistakes)),
            "filters" | "facetFilters" | "numericFilters" | "tagFilters" => {
                filtering.insert(name, value);
            }
            "optionalFilters" => {
                let asked = Params::of(&json!({"optionalFilters": value})).unwrap_or_default();
                for preference in
                    mistakes.taken(at.clone(), "wrong_form", optional_filters(&asked)).into_iter().flatten()
                {
                    match preference.of_one_score() {
                        Some((filter, strength)) => {
                            wires.push(ConsequenceWire::Boost { filter: filter.to_string(), strength });
                        }
                        None => mistakes.add(at.clone(), NOT_SUPPORTED, "alternatives have one score in a rule"),
                    }
                }
            }
            "renderingContent" => match redirect(&value) {
                Some(url) => wires.push(ConsequenceWire::Redirect { url }),
                None => mistakes.add(at, NOT_SUPPORTED, "a rule can redirect: {\"redirect\": {\"url\": ..}}"),
            },
            _ => mistakes.add(at, NOT_SUPPORTED, "rules set no such parameter here"),
        }
    }
    let filter = Params::of(&Value::Object(filtering)).ok().map(|asked| reading::filter(&asked));
    let filter = filter.and_then(|filter| mistakes.taken(at.to_owned(), "invalid_filter", filter)).flatten();
    wires.extend(filter.map(|filter| ConsequenceWire::Filter { filter: filter.to_string() }));
    wires
}

/// The query is replaced, or loses words.
fn of_query(at: &str, value: &Value, mistakes: &mut Mistakes) -> Vec<ConsequenceWire> {
    let texts =
        |value: &Value| value.as_array().map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    match value {
        Value::String(text) => return vec![ConsequenceWire::ReplaceQuery { text: text.clone() }],
        Value::Object(parts) if parts.keys().all(|name| matches!(name.as_str(), "remove" | "edits")) => {
            let mut words: Vec<String> = parts.get("remove").and_then(texts).unwrap_or_default();
            for edit in parts.get("edits").and_then(Value::as_array).into_iter().flatten() {
                match (edit["type"].as_str().unwrap_or("remove"), edit["delete"].as_str()) {
                    ("remove", Some(word)) => words.push(word.to_owned()),
                    _ => mistakes.add(
                        at.to_owned(),
                        NOT_SUPPORTED,
                        "words can be removed, not exchanged; a synonym finds others",
                    ),
                }
            }
            if !words.is_empty() {
                return vec![ConsequenceWire::RemoveWords { words }];
            }
        }
        _ => mistakes.add(at.to_owned(), "wrong_form", "expected a text, or words to remove"),
    }
    Vec::new()
}

fn redirect(value: &Value) -> Option<String> {
    let content = value.as_object().filter(|content| content.len() == 1)?;
    Some(content.get("redirect")?.get("url")?.as_str()?.to_owned())
}
