//! Which attributes an answer shows: `attributesToRetrieve` and its like.

use serde_json::{Map, Value};

/// Attributes by name: all (`*`), some, or all but some (`-name`). A name with dots is a part of an object.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Chosen {
    all: bool,
    named: Vec<String>,
    left_out: Vec<String>,
}

impl Chosen {
    pub(super) fn all() -> Self {
        Self { all: true, ..Self::default() }
    }

    /// `None` where nothing was said.
    pub(super) fn of(names: Option<Vec<String>>) -> Self {
        let Some(names) = names else { return Self::all() };
        let mut chosen = Self::default();
        for name in names {
            match name.strip_prefix('-') {
                Some(name) => chosen.left_out.push(name.to_owned()),
                None if name == "*" => chosen.all = true,
                None => chosen.named.push(name),
            }
        }
        // Only names to leave out: everything else is shown.
        chosen.all |= chosen.named.is_empty() && !chosen.left_out.is_empty();
        chosen
    }

    /// Whatever else is said, these are not shown. What is not shown of an object is no less hidden when a part of it is named.
    pub(super) fn without(mut self, names: &[String]) -> Self {
        self.left_out.extend(names.iter().filter(|name| *name != "objectID").cloned());
        self
    }

    /// Whether an attribute, or a part of it, is shown.
    pub(super) fn has(&self, name: &str) -> bool {
        let named = || self.named.iter().any(|chosen| is_in(name, chosen) || is_in(chosen, name));
        (self.all || named()) && !self.left_out.iter().any(|left_out| is_in(name, left_out))
    }

    pub(super) fn of_record(&self, record: &Map<String, Value>) -> Map<String, Value> {
        self.picked(record, "")
    }

    /// The same of a record that is not needed any more.
    pub(super) fn out_of(&self, record: Map<String, Value>) -> Map<String, Value> {
        if self.all && self.left_out.is_empty() { record } else { self.of_record(&record) }
    }

    fn picked(&self, record: &Map<String, Value>, before: &str) -> Map<String, Value> {
        let one =
            |(name, value): (&String, &Value)| Some((name.clone(), self.part(&format!("{before}{name}"), value)?));
        record.iter().filter_map(one).collect()
    }

    /// What is shown of a value under its path.
    fn part(&self, path: &str, value: &Value) -> Option<Value> {
        if !self.has(path) {
            return None;
        }
        let whole = self.all || self.named.iter().any(|chosen| is_in(path, chosen));
        match value {
            Value::Object(inner) => {
                let shown = self.picked(inner, &format!("{path}."));
                (!shown.is_empty() || inner.is_empty()).then_some(Value::Object(shown))
            }
            _ => whole.then(|| value.clone()),
        }
    }
}

/// Whether a path is the other or lies below it.
fn is_in(path: &str, other: &str) -> bool {
    path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_choose_attributes() {
        let record = json!({"name": "a", "price": 1, "categories": {"lvl0": "A", "lvl1": "A > B"}});
        let record = record.as_object().unwrap();
        let shown = |names: Option<&[&str]>| {
            let names = names.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
            Value::Object(Chosen::of(names).of_record(record))
        };
        let all = Value::Object(record.clone());
        assert_eq!(shown(None), all);
        assert_eq!(shown(Some(&["*"])), all);
        assert_eq!(shown(Some(&[])), json!({}));
        assert_eq!(shown(Some(&["name", "missing"])), json!({"name": "a"}));
        assert_eq!(shown(Some(&["categories.lvl1"])), json!({"categories": {"lvl1": "A > B"}}));
        assert_eq!(shown(Some(&["*", "-price", "-categories"])), json!({"name": "a"}));
        assert_eq!(shown(Some(&["-price", "-categories"])), json!({"name": "a"}));
        assert_eq!(shown(Some(&["*", "-categories.lvl1", "-name"])), json!({"price": 1, "categories": {"lvl0": "A"}}));
        assert_eq!(shown(Some(&["categories.lvl2", "nam"])), json!({}));
    }

    #[test]
    fn what_is_hidden_stays_hidden_however_it_is_asked_for() {
        let record =
            json!({"objectID": "1", "costs": {"unit": 2, "deep": {"a": 1, "b": 2}}, "margin.net": 3, "margin": 4});
        let hidden = ["costs.unit", "costs.deep.a", "margin", "objectID"].map(str::to_owned);
        for names in [None, Some("*"), Some("costs.unit,costs,margin,margin.net,objectID,costs.deep.a")] {
            let names = names.map(|names: &str| names.split(',').map(str::to_owned).collect());
            let shown = Chosen::of(names).without(&hidden).out_of(record.as_object().unwrap().clone());
            assert_eq!(Value::Object(shown), json!({"objectID": "1", "costs": {"deep": {"b": 2}}}));
        }
    }
}
