//! The filter languages of the protocol: `filters` (a text), `facetFilters` and `numericFilters` (lists of lists: the inner
//! ones hold alternatives).

use merx_domain::{Comparison, Filter, FilterValue};
use serde_json::Value;

/// Deeper nesting is refused, so that reading can't exhaust the stack.
const MAX_DEPTH: usize = 20;
const MAX_BYTES: usize = 8_192;
const MAX_PARTS: usize = 1_000;

/// Our name of an attribute.
pub(super) fn field_of(attribute: &str) -> String {
    const OWN: [&str; 7] = ["name", "brand", "category", "price", "in_stock", "created_at", "popularity"];
    if OWN.contains(&attribute) || attribute.starts_with("attributes.") || attribute.starts_with("category.lvl") {
        return attribute.to_owned();
    }
    if attribute == "objectID" {
        return "id".to_owned();
    }
    let levels = ["categories.", "hierarchicalCategories."].iter().find_map(|prefix| attribute.strip_prefix(prefix));
    match levels {
        Some(level) => format!("category.{level}"),
        None if attribute == "categories" => "category".to_owned(),
        None => format!("attributes.{attribute}"),
    }
}

/// A front end's name of one of our fields.
pub(super) fn attribute_of(field: &str) -> String {
    if let Some(level) = field.strip_prefix("category.") {
        return format!("categories.{level}");
    }
    field.strip_prefix("attributes.").unwrap_or(field).to_owned()
}

pub(super) fn value_text(value: &FilterValue) -> String {
    match value {
        FilterValue::Text(text) => text.clone(),
        FilterValue::Number(number) => number.to_string(),
        FilterValue::Flag(flag) => flag.to_string(),
    }
}

pub(super) fn equals(attribute: &str, value: &str) -> Filter {
    let value = FilterValue::Text(value.to_owned());
    Filter::Compare { field: field_of(attribute), comparison: Comparison::Equal, value }
}

fn compare(attribute: &str, comparison: Comparison, number: f64) -> Filter {
    Filter::Compare { field: field_of(attribute), comparison, value: FilterValue::Number(number) }
}

fn between(attribute: &str, low: f64, high: f64) -> Filter {
    Filter::All(vec![
        compare(attribute, Comparison::GreaterOrEqual, low),
        compare(attribute, Comparison::LessOrEqual, high),
    ])
}

/// The parts of a list of filters. It may be one text: a list in JSON, or the older form, where commas part what must all hold and
/// parentheses stand around alternatives.
pub(super) fn filter_list(
    written: Option<&Value>,
    read: &dyn Fn(&str) -> Result<Filter, String>,
) -> Result<Vec<Value>, String> {
    let text = match written {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => return Ok(list.clone()),
        Some(Value::String(text)) => text.trim(),
        Some(_) => return Err("expected a list of texts and of lists of texts".to_owned()),
    };
    if text.starts_with('[') {
        return serde_json::from_str(text).map_err(|_| "expected a list in JSON".to_owned());
    }
    let parts = older_list(text);
    let texts = |part: &Value| match part {
        Value::Array(alternatives) => {
            alternatives.iter().all(|text| text.as_str().is_some_and(|text| read(text).is_ok()))
        }
        one => one.as_str().is_some_and(|text| read(text).is_ok()),
    };
    // A comma may as well stand in a value.
    Ok(if parts.iter().all(texts) { parts } else { vec![Value::from(text)] })
}

/// `(brand:Apple,brand:Sony),in_stock:true`.
fn older_list(text: &str) -> Vec<Value> {
    let named = |text: &str| text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Value::from).collect();
    let mut parts: Vec<Value> = Vec::new();
    let mut rest = text;
    while let Some((before, alternatives, after)) = rest
        .split_once('(')
        .and_then(|(before, after)| after.split_once(')').map(|(inner, after)| (before, inner, after)))
        .filter(|(before, ..)| before.is_empty() || before.trim_end().ends_with(','))
    {
        parts.extend::<Vec<Value>>(named(before));
        parts.push(Value::Array(named(alternatives)));
        rest = after;
    }
    parts.extend::<Vec<Value>>(named(rest));
    parts
}

/// A list whose texts all hold, where a list in it holds if one of its texts does.
pub(super) fn nested(list: &[Value], read: &dyn Fn(&str) -> Result<Filter, String>) -> Result<Vec<Filter>, String> {
    if list.len() > MAX_PARTS {
        return Err(format!("{} parts are more than {MAX_PARTS}", list.len()));
    }
    let one = |part: &Value| match part {
        Value::String(text) => read(text),
        Value::Array(alternatives) if alternatives.len() <= MAX_PARTS => {
            let texts = alternatives.iter().map(|alternative| alternative.as_str().ok_or("expected texts".to_owned()));
            Ok(Filter::Any(texts.map(|text| text.and_then(read)).collect::<Result<_, _>>()?))
        }
        _ => Err("expected texts and lists of texts".to_owned()),
    };
    let is_empty = |part: &&Value| part.as_array().is_some_and(Vec::is_empty);
    list.iter().filter(|part| !is_empty(part)).map(one).collect()
}

/// `brand:Apple`, `brand:-Apple` for all others, `brand:\-Apple` for the value `-Apple`.
pub(super) fn facet_filter(text: &str) -> Result<Filter, String> {
    let expected = || format!("{text:?}: expected attribute:value");
    let (attribute, value) = text.split_once(':').ok_or_else(expected)?;
    let (attribute, negated_before) = match attribute.strip_prefix('-') {
        Some(attribute) => (attribute, true),
        None => (attribute, false),
    };
    if attribute.trim().is_empty() {
        return Err(expected());
    }
    if let Some(value) = value.strip_prefix('-') {
        return Ok(Filter::Not(Box::new(equals(attribute, value))));
    }
    let filter =
        equals(attribute, value.strip_prefix("\\-").map_or(value.to_owned(), |rest| format!("-{rest}")).as_str());
    Ok(if negated_before { Filter::Not(Box::new(filter)) } else { filter })
}

/// What a filter without a name is of.
const TAGS: &str = "_tags";

/// `new`, and `-new` for all that lack the tag; tags stand in the attribute `_tags`.
pub(super) fn tag_filter(text: &str) -> Result<Filter, String> {
    let name = text.strip_prefix('-').unwrap_or(text);
    if name.trim().is_empty() {
        return Err(format!("{text:?}: expected a tag"));
    }
    let tag = equals(TAGS, name);
    Ok(if text.starts_with('-') { Filter::Not(Box::new(tag)) } else { tag })
}

/// `price>=10`, `price:10 TO 20`.
pub(super) fn numeric_filter(text: &str) -> Result<Filter, String> {
    let wrong = || format!("{text:?}: expected an attribute, a comparison and a number");
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite()).ok_or_else(wrong);
    let named = |attribute: &str| {
        let name = attribute.trim();
        if name.is_empty() || name.contains(['<', '>', '=']) { Err(wrong()) } else { Ok(name.to_owned()) }
    };
    for (sign, comparison) in COMPARISONS {
        if let Some((attribute, value)) = text.split_once(sign) {
            return Ok(compare(&named(attribute)?, comparison, number(value)?));
        }
    }
    let (attribute, range) = text.split_once(':').ok_or_else(wrong)?;
    match range.split_once(" TO ") {
        Some((low, high)) => Ok(between(&named(attribute)?, number(low)?, number(high)?)),
        None => Ok(compare(&named(attribute)?, Comparison::Equal, number(range)?)),
    }
}

/// Longer signs first: `>=` holds a `=`.
const COMPARISONS: [(&str, Comparison); 6] = [
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("!=", Comparison::NotEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
    ("=", Comparison::Equal),
];

const KEYWORDS: [&str; 4] = ["AND", "OR", "NOT", "TO"];

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// Whether it was quoted: only bare words can be AND, OR, NOT, TO.
    Word(String, bool),
    Compare(Comparison),
    Colon,
    Open,
    Close,
}

/// The text of `filters`; `None` where it says nothing.
pub(super) fn filters(text: &str) -> Result<Option<Filter>, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("filters: longer than {MAX_BYTES} bytes"));
    }
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Ok(None);
    }
    let mut parser = Parser { tokens: &tokens };
    let filter = parser.any(0)?;
    match parser.tokens.first() {
        None => Ok(Some(filter)),
        Some(token) => Err(format!("filters: unexpected {}", named(Some(token)))),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        // Scores of filters rank in the protocol; here optionalFilters do.
        if let Some(after) = rest.strip_prefix("<score=") {
            let (score, after) = after.split_once('>').ok_or("filters: a score is not closed")?;
            number(score.trim())?;
            rest = after.trim_start();
            continue;
        }
        let sign = COMPARISONS.iter().find(|(sign, _)| rest.starts_with(sign));
        let length = match (first, sign) {
            ('(', _) => {
                tokens.push(Token::Open);
                1
            }
            (')', _) => {
                tokens.push(Token::Close);
                1
            }
            (':', _) => {
                tokens.push(Token::Colon);
                1
            }
            (_, Some((sign, comparison))) => {
                tokens.push(Token::Compare(*comparison));
                sign.len()
            }
            ('"' | '\'', _) => quoted(rest, first, &mut tokens)?,
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "():<>=!".contains(c)).unwrap_or(rest.len());
                // A lone sign such as `!` is no word.
                if end == 0 {
                    return Err(format!("filters: unexpected {first:?}"));
                }
                tokens.push(Token::Word(rest[..end].to_owned(), false));
                end
            }
        };
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// The length of a quoted word; a backslash takes the next letter as it is.
fn quoted(text: &str, quote: char, tokens: &mut Vec<Token>) -> Result<usize, String> {
    let mut word = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => word.extend(letters.next().map(|(_, letter)| letter)),
            _ if letter == quote => {
                tokens.push(Token::Word(word, true));
                return Ok(at + letter.len_utf8());
            }
            _ => word.push(letter),
        }
    }
    Err("filters: a quote is not closed".to_owned())
}

fn named(token: Option<&Token>) -> String {
    match token {
        None => "end".to_owned(),
        Some(Token::Word(word, _)) => format!("{word:?}"),
        Some(Token::Compare(_)) => "comparison".to_owned(),
        Some(Token::Colon) => "':'".to_owned(),
        Some(Token::Open) => "'('".to_owned(),
        Some(Token::Close) => "')'".to_owned(),
    }
}

struct Parser<'t> {
    tokens: &'t [Token],
}

impl Parser<'_> {
    fn any(&mut self, depth: usize) -> Result<Filter, String> {
        let mut parts = vec![self.all(depth)?];
        while self.takes("OR") {
            parts.push(self.all(depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::Any(parts) })
    }

    fn all(&mut self, depth: usize) -> Result<Filter, String> {
        let mut parts = vec![self.one(depth)?];
        while self.takes("AND") {
            parts.push(self.one(depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::All(parts) })
    }

    fn one(&mut self, depth: usize) -> Result<Filter, String> {
        if depth > MAX_DEPTH {
            return Err(format!("filters: nested deeper than {MAX_DEPTH}"));
        }
        if self.takes("NOT") {
            return Ok(Filter::Not(Box::new(self.one(depth + 1)?)));
        }
        if let [Token::Open, rest @ ..] = self.tokens {
            self.tokens = rest;
            let filter = self.any(depth + 1)?;
            return match self.tokens {
                [Token::Close, rest @ ..] => {
                    self.tokens = rest;
                    Ok(filter)
                }
                other => Err(format!("filters: expected ')', found {}", named(other.first()))),
            };
        }
        self.condition()
    }

    fn condition(&mut self) -> Result<Filter, String> {
        // The drivers of some front ends write a range without the colon.
        let tokens = self.tokens;
        let (filter, rest) = match tokens {
            [
                Token::Word(attribute, _),
                Token::Colon,
                Token::Word(low, false),
                Token::Word(to, false),
                Token::Word(high, _),
                rest @ ..,
            ]
            | [
                Token::Word(attribute, _),
                Token::Word(low, false),
                Token::Word(to, false),
                Token::Word(high, _),
                rest @ ..,
            ] if to == "TO" => (between(attribute, number(low)?, number(high)?), rest),
            [Token::Word(attribute, _), Token::Colon, Token::Word(value, _), rest @ ..] => {
                (equals(attribute, value), rest)
            }
            [Token::Word(attribute, _), Token::Compare(comparison), Token::Word(value, _), rest @ ..] => {
                (compare(attribute, *comparison, number(value)?), rest)
            }
            // A word alone is a tag.
            [Token::Word(tag, quoted), rest @ ..]
                if (*quoted || !KEYWORDS.contains(&tag.as_str()))
                    && !matches!(rest.first(), Some(Token::Colon | Token::Compare(_))) =>
            {
                (equals(TAGS, tag), rest)
            }
            other => return Err(format!("filters: expected a condition, found {}", named(other.first()))),
        };
        self.tokens = rest;
        Ok(filter)
    }

    fn takes(&mut self, keyword: &str) -> bool {
        match self.tokens {
            [Token::Word(word, false), rest @ ..] if word == keyword => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }
}

fn number(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| format!("filters: {text:?} is not a number"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn ours(text: &str) -> Filter {
        Filter::parse(text).unwrap()
    }

    #[test]
    fn conditions_are_read_as_ours() {
        let text =
            "in_stock:true AND (price:10 TO 100) AND NOT brand:\"A \\\"B\\\"\" AND (size >= 4 OR colour:'light blue')";
        let wanted = "in_stock = \"true\" AND (price >= 10 AND price <= 100) AND NOT brand = \"A \\\"B\\\"\" \
                      AND (attributes.size >= 4 OR attributes.colour = \"light blue\")";
        assert_eq!(filters(text).unwrap().unwrap(), ours(wanted));
        assert_eq!(filters("(price 10 TO 100)").unwrap(), filters("price:10 TO 100").unwrap());
        assert_eq!(filters("  ").unwrap(), None);
        let tags = "attributes._tags = \"new\" AND NOT attributes._tags = \"on sale\"";
        assert_eq!(filters("new AND NOT 'on sale'").unwrap().unwrap(), ours(tags));
        let scored = "brand:a<score=3> OR brand:b <score=1>";
        assert_eq!(filters(scored).unwrap(), filters("brand:a OR brand:b").unwrap());
        for wrong in [
            "price >",
            "brand:",
            "(brand:a",
            "brand:a)",
            "AND",
            "price > x",
            "brand:\"a",
            "a b",
            "!",
            "brand:a brand:b",
            "brand:a<score=x>",
            "brand:a<score=3",
            "new AND",
            "NOT",
        ] {
            assert!(filters(wrong).is_err(), "{wrong}");
        }
        let deep = format!("{}brand:a{}", "(".repeat(3_000), ")".repeat(3_000));
        assert!(filters(&deep).unwrap_err().contains("deeper"));
    }

    #[test]
    fn lists_hold_alternatives() {
        let list = json!([["brand:Apple", "brand:-Sony"], "categories.lvl1:Phones > Smart", [], "brand:\\-5"]);
        let read = nested(list.as_array().unwrap(), &facet_filter).unwrap();
        let Filter::Any(alternatives) = &read[0] else { panic!("{read:?}") };
        assert_eq!(alternatives[1], Filter::Not(Box::new(equals("brand", "Sony"))));
        assert_eq!(read[1], equals("category.lvl1", "Phones > Smart"));
        assert_eq!(read[2], equals("brand", "-5"));
        assert_eq!(numeric_filter("price>=10").unwrap(), ours("price >= 10"));
        assert_eq!(numeric_filter("price:10 TO 20").unwrap(), between("price", 10.0, 20.0));
        assert!(numeric_filter("price").is_err() && numeric_filter("price<=x").is_err());
        assert!(nested(&[json!(5)], &facet_filter).is_err());
        for wrong in [":a", "-:a", "a"] {
            assert!(facet_filter(wrong).is_err(), "{wrong}");
        }
        for wrong in [">=10", ":10", "price=", "price:10 TO", "price==1", "price=<1", "price>NaN", "price>1>2"] {
            assert!(numeric_filter(wrong).is_err(), "{wrong}");
        }
        assert!(tag_filter("-").is_err() && tag_filter(" ").is_err());
    }

    #[test]
    fn lists_may_be_texts() {
        let read = |text: &str| filter_list(Some(&json!(text)), &facet_filter).map(Value::Array);
        for (text, list) in [
            ("", json!([])),
            ("brand:Apple", json!(["brand:Apple"])),
            ("brand:Apple,in_stock:true", json!(["brand:Apple", "in_stock:true"])),
            ("(brand:Apple,brand:Sony), in_stock:true,", json!([["brand:Apple", "brand:Sony"], "in_stock:true"])),
            ("in_stock:true,(brand:Apple,brand:Sony)", json!(["in_stock:true", ["brand:Apple", "brand:Sony"]])),
            ("brand:Apple, Inc (US)", json!(["brand:Apple, Inc (US)"])),
            ("[[\"brand:Apple\"]]", json!([["brand:Apple"]])),
        ] {
            assert_eq!(read(text).unwrap(), list, "{text}");
        }
        let numbers = filter_list(Some(&json!("price>=1,price<5")), &numeric_filter).unwrap();
        assert_eq!(nested(&numbers, &numeric_filter).unwrap(), [ours("price >= 1"), ours("price < 5")]);
        assert!(read("[\"brand:Apple\"").is_err() && filter_list(Some(&json!({"a": 1})), &facet_filter).is_err());
        assert_eq!(filter_list(None, &facet_filter).unwrap(), filter_list(Some(&json!(null)), &facet_filter).unwrap());
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "([a-z]{1,3}|[():<>=!\"'\\\\ ]|AND|OR|NOT|TO|[0-9]|é){0,40}") {
            let _ = filters(&text);
            let _ = facet_filter(&text);
            let _ = filter_list(Some(&json!(text)), &tag_filter);
            let _ = numeric_filter(&text);
        }
    }
}
