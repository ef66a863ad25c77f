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

    pub(super) fn without(mut self, names: Vec<String>) -> Self {
        self.left_out.extend(names);
        self
    }

    /// Whether an attribute, or a part of it, is shown.
    pub(super) fn has(&self, name: &str) -> bool {
        let is_part =
            |chosen: &String| chosen == name || chosen.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        (self.all || self.named.iter().any(is_part)) && !self.left_out.iter().any(|left_out| left_out == name)
    }

    pub(super) fn of_record(&self, record: &Map<String, Value>) -> Map<String, Value> {
        let mut shown = Map::new();
        for (name, value) in record.iter().filter(|(name, _)| self.has(name)) {
            shown.insert(name.clone(), value.clone());
        }
        if !self.all {
            for (name, value) in &mut shown {
                let whole = self.named.iter().any(|chosen| chosen == name);
                let parts =
                    self.named.iter().filter_map(|chosen| chosen.strip_prefix(name.as_str())?.strip_prefix('.'));
                let parts: Vec<&str> = parts.collect();
                if let Value::Object(inner) = value
                    && !whole
                {
                    inner.retain(|part, _| parts.iter().any(|path| path.split('.').next() == Some(part)));
                }
            }
        }
        shown
    }
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
    }
}
