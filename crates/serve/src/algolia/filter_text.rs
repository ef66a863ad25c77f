//! Filters in the protocol's own words.

use merx_domain::{Comparison, Filter, FilterValue};
use serde_json::{Value, json};

use super::filters::attribute_of;

/// As the parameter `filters` says it; `None` where its grammar has no words for it.
pub(super) fn filter_text(filter: &Filter) -> Option<String> {
    let joined = |parts: &[Filter], word: &str| {
        let texts: Vec<String> = parts.iter().map(part_text).collect::<Option<_>>()?;
        (!texts.is_empty()).then(|| texts.join(word))
    };
    match filter {
        Filter::All(parts) => joined(parts, " AND "),
        Filter::Any(parts) => joined(parts, " OR "),
        Filter::Not(part) => Some(format!("NOT {}", part_text(part)?)),
        Filter::Compare { field, comparison, value } => compared(&attribute(field), *comparison, value),
        Filter::In { .. } | Filter::Exists { .. } => None,
    }
}

fn part_text(part: &Filter) -> Option<String> {
    let text = filter_text(part)?;
    Some(if matches!(part, Filter::All(_) | Filter::Any(_)) { format!("({text})") } else { text })
}

fn compared(attribute: &str, comparison: Comparison, value: &FilterValue) -> Option<String> {
    let attribute = quoted(attribute);
    match (comparison, value) {
        (Comparison::Equal, FilterValue::Text(text)) => Some(format!("{attribute}:{}", quoted(text))),
        (_, FilterValue::Number(number)) => Some(format!("{attribute} {comparison} {number}")),
        _ => None,
    }
}

/// In quotes, unless it is a bare word of letters, digits, dots and underscores.
fn quoted(text: &str) -> String {
    let is_bare = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_'));
    let is_keyword = matches!(text, "AND" | "OR" | "NOT" | "TO");
    if is_bare && !is_keyword {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

fn attribute(field: &str) -> String {
    if field == "id" { "objectID".to_owned() } else { attribute_of(field) }
}

/// As an entry of `optionalFilters` says it: one value, its opposite, or a list of alternatives.
pub(super) fn optional_text(filter: &Filter, score: f32) -> Option<Value> {
    if score <= 0.0 {
        return None;
    }
    match filter {
        Filter::Any(parts) => {
            let texts: Vec<String> = parts.iter().map(|part| scored_text(part, score)).collect::<Option<_>>()?;
            Some(json!(texts))
        }
        one => scored_text(one, score).map(Value::String),
    }
}

fn scored_text(filter: &Filter, score: f32) -> Option<String> {
    let (sign, filter) = match filter {
        Filter::Not(inner) => ("-", inner.as_ref()),
        other => ("", other),
    };
    let Filter::Compare { field, comparison: Comparison::Equal, value: FilterValue::Text(text) } = filter else {
        return None;
    };
    let escape = if sign.is_empty() && text.starts_with('-') { "\\" } else { "" };
    let score = if score == 1.0 { String::new() } else { format!("<score={score}>") };
    Some(format!("{}:{sign}{escape}{text}{score}", attribute(field)))
}

#[cfg(test)]
mod tests {
    use super::super::filters::filters;
    use super::*;

    #[test]
    fn what_is_written_is_read_as_it_was() {
        for text in [
            "brand = \"Acme \\\"A\\\"\" AND (price < 50 OR attributes.size >= 4.5) AND NOT category = \"AND\"",
            "id = \"p-1\" OR category = \"Boots\"",
            "NOT (brand = \"a\" OR brand = \"b\")",
        ] {
            let filter = Filter::parse(text).unwrap();
            let written = filter_text(&filter).unwrap();
            assert_eq!(filters(&written).unwrap(), Some(filter), "{written}");
        }
        assert_eq!(filter_text(&Filter::parse("brand IN (\"a\", \"b\")").unwrap()), None);
        assert_eq!(filter_text(&Filter::parse("in_stock = true").unwrap()), None);
    }
}
