//! The filter language of requests and rules:
//!
//! ```text
//! category = "Shoes" AND price < 50 AND NOT brand IN ("Acme", "Umbra") AND attributes.organic = true
//! ```
//!
//! Fields: `id`, `name`, `brand`, `category` (any level of the path), `category.lvl0`, `category.lvl1` .. (the path down to a
//! level: `Women > Shoes`), `price` (major units of the request's market),
//! `in_stock`, `created_at` (RFC 3339 text or milliseconds), `attributes.NAME`. Comparisons: `=`, `!=`, `<`, `<=`, `>`, `>=`, `IN (..)`,
//! `EXISTS field`. Words are case-insensitive, texts compare without regard to case, an absent field fails every
//! comparison but `!=`.

mod prepared;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use prepared::{Condition, OneOf, PreparedFilter, Test};

/// Deeper nesting is refused, so that neither parsing nor evaluation can exhaust the stack.
const MAX_DEPTH: usize = 32;
const MAX_BYTES: usize = 4_096;
/// Each is asked of many products.
const MAX_CONDITIONS: usize = 100;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FilterValue {
    Text(String),
    Number(f64),
    Flag(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Not(Box<Filter>),
    Compare { field: String, comparison: Comparison, value: FilterValue },
    In { field: String, values: Vec<FilterValue> },
    Exists { field: String },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("filter, character {position}: {problem}")]
pub struct FilterError {
    /// Where, in characters from 0.
    pub position: usize,
    pub problem: String,
}

impl Filter {
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > MAX_BYTES {
            return Err(FilterError { position: 0, problem: format!("longer than {MAX_BYTES} bytes") });
        }
        let tokens = tokenise(text)?;
        let mut parser = Parser { tokens: &tokens, next: 0, end: text.chars().count() };
        let filter = parser.any(0)?;
        match parser.peek() {
            None => filter.affordable(),
            Some(token) => Err(parser.error(format!("expected AND, OR or the end, found {token}"))),
        }
    }

    /// Refuses a filter that asks too much of every product.
    pub fn affordable(self) -> Result<Self, FilterError> {
        match PreparedFilter::from(&self).conditions() {
            0..=MAX_CONDITIONS => Ok(self),
            many => {
                let problem =
                    format!("{many} conditions, alternatives of one field counted once; at most {MAX_CONDITIONS}");
                Err(FilterError { position: 0, problem })
            }
        }
    }

    /// Whether a thing passes; `values_of` gives the thing's values of a field, none where it lacks the field.
    pub fn matches(&self, values_of: &dyn Fn(&str) -> Vec<FilterValue>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(values_of)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(values_of)),
            Self::Not(part) => !part.matches(values_of),
            Self::Compare { field, comparison: Comparison::NotEqual, value } => {
                !values_of(field).iter().any(|found| compare(found, Comparison::Equal, value))
            }
            Self::Compare { field, comparison, value } => {
                values_of(field).iter().any(|found| compare(found, *comparison, value))
            }
            Self::In { field, values } => {
                let found = values_of(field);
                values.iter().any(|value| found.iter().any(|found| compare(found, Comparison::Equal, value)))
            }
            Self::Exists { field } => !values_of(field).is_empty(),
        }
    }
}

fn compare(found: &FilterValue, comparison: Comparison, asked: &FilterValue) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let ordering = match (found, asked) {
        (FilterValue::Number(a), FilterValue::Number(b)) => a.partial_cmp(b),
        (FilterValue::Flag(a), FilterValue::Flag(b)) => Some(a.cmp(b)),
        (FilterValue::Text(a), FilterValue::Text(b)) => Some(a.to_lowercase().cmp(&b.to_lowercase())),
        // `size = 42` finds the text "42": feeds give numbers as texts and texts as numbers.
        (FilterValue::Text(a), FilterValue::Number(b)) => a.trim().parse::<f64>().ok().and_then(|a| a.partial_cmp(b)),
        (FilterValue::Number(a), FilterValue::Text(b)) => b.trim().parse::<f64>().ok().and_then(|b| a.partial_cmp(&b)),
        (FilterValue::Flag(a), FilterValue::Text(b)) => b.parse::<bool>().ok().map(|b| a.cmp(&b)),
        (FilterValue::Text(a), FilterValue::Flag(b)) => a.parse::<bool>().ok().map(|a| a.cmp(b)),
        (FilterValue::Flag(_), FilterValue::Number(_)) | (FilterValue::Number(_), FilterValue::Flag(_)) => None,
    };
    match (comparison, ordering) {
        (_, None) => false,
        (Comparison::Equal, Some(o)) => o == Equal,
        (Comparison::NotEqual, Some(o)) => o != Equal,
        (Comparison::Less, Some(o)) => o == Less,
        (Comparison::LessOrEqual, Some(o)) => o != Greater,
        (Comparison::Greater, Some(o)) => o == Greater,
        (Comparison::GreaterOrEqual, Some(o)) => o != Less,
    }
}

/// In the filter language, such that it is read back as it was.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, parts: &[Filter], word: &str| {
            for (place, part) in parts.iter().enumerate() {
                if place > 0 {
                    write!(f, " {word} ")?;
                }
                match part {
                    Self::All(_) | Self::Any(_) => write!(f, "({part})")?,
                    _ => write!(f, "{part}")?,
                }
            }
            Ok(())
        };
        match self {
            Self::All(parts) => joined(f, parts, "AND"),
            Self::Any(parts) => joined(f, parts, "OR"),
            Self::Not(part) => match **part {
                Self::All(_) | Self::Any(_) => write!(f, "NOT ({part})"),
                _ => write!(f, "NOT {part}"),
            },
            Self::Compare { field, comparison, value } => write!(f, "{field} {comparison} {value}"),
            Self::In { field, values } => {
                write!(f, "{field} IN (")?;
                for (place, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if place > 0 { ", " } else { "" })?;
                }
                write!(f, ")")
            }
            Self::Exists { field } => write!(f, "EXISTS {field}"),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        })
    }
}

impl fmt::Display for FilterValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Number(f64),
    Operator(Comparison),
    Open,
    Close,
    Comma,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "{word}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Operator(_) => write!(f, "a comparison"),
            Self::Open => write!(f, "'('"),
            Self::Close => write!(f, "')'"),
            Self::Comma => write!(f, "','"),
        }
    }
}

fn tokenise(text: &str) -> Result<Vec<(usize, Token)>, FilterError> {
    let characters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        let start = at;
        let character = characters[at];
        at += 1;
        let followed_by_equals = characters.get(at) == Some(&'=');
        let token = match character {
            c if c.is_whitespace() => continue,
            '(' => Token::Open,
            ')' => Token::Close,
            ',' => Token::Comma,
            '=' => {
                at += usize::from(followed_by_equals);
                Token::Operator(Comparison::Equal)
            }
            '!' | '<' | '>' => {
                at += usize::from(followed_by_equals);
                Token::Operator(match (character, followed_by_equals) {
                    ('!', true) => Comparison::NotEqual,
                    ('<', true) => Comparison::LessOrEqual,
                    ('<', false) => Comparison::Less,
                    ('>', true) => Comparison::GreaterOrEqual,
                    ('>', false) => Comparison::Greater,
                    _ => return Err(FilterError { position: start, problem: "expected != after !".into() }),
                })
            }
            quote @ ('"' | '\'') => {
                let mut value = String::new();
                loop {
                    match characters.get(at) {
                        None => return Err(FilterError { position: start, problem: "the text is not closed".into() }),
                        Some('\\') if at + 1 < characters.len() => {
                            value.push(characters[at + 1]);
                            at += 2;
                        }
                        Some(&c) if c == quote => break,
                        Some(&c) => {
                            value.push(c);
                            at += 1;
                        }
                    }
                }
                at += 1;
                Token::Text(value)
            }
            _ => {
                while at < characters.len()
                    && !characters[at].is_whitespace()
                    && !matches!(characters[at], '(' | ')' | ',' | '=' | '!' | '<' | '>' | '"' | '\'')
                {
                    at += 1;
                }
                let word: String = characters[start..at].iter().collect();
                match word.parse::<f64>() {
                    Ok(number) if number.is_finite() => Token::Number(number),
                    _ => Token::Word(word),
                }
            }
        };
        tokens.push((start, token));
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: &'a [(usize, Token)],
    next: usize,
    end: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    fn error(&self, problem: impl Into<String>) -> FilterError {
        let position = self.tokens.get(self.next).map_or(self.end, |(position, _)| *position);
        FilterError { position, problem: problem.into() }
    }

    fn takes_word(&mut self, expected: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(expected));
        self.next += usize::from(found);
        found
    }

    fn takes(&mut self, expected: &Token) -> bool {
        let found = self.peek() == Some(expected);
        self.next += usize::from(found);
        found
    }

    fn any(&mut self, depth: usize) -> Result<Filter, FilterError> {
        let mut parts = vec![self.all(depth)?];
        while self.takes_word("OR") {
            parts.push(self.all(depth)?);
        }
        Ok(single_or(parts, Filter::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Filter, FilterError> {
        let mut parts = vec![self.unary(depth)?];
        while self.takes_word("AND") {
            parts.push(self.unary(depth)?);
        }
        Ok(single_or(parts, Filter::All))
    }

    fn unary(&mut self, depth: usize) -> Result<Filter, FilterError> {
        if depth > MAX_DEPTH {
            return Err(self.error(format!("nested deeper than {MAX_DEPTH}")));
        }
        if self.takes_word("NOT") {
            return Ok(Filter::Not(Box::new(self.unary(depth + 1)?)));
        }
        if self.takes(&Token::Open) {
            let inner = self.any(depth + 1)?;
            return if self.takes(&Token::Close) { Ok(inner) } else { Err(self.error("expected ')'")) };
        }
        if self.takes_word("EXISTS") {
            return Ok(Filter::Exists { field: self.field()? });
        }
        let field = self.field()?;
        if self.takes_word("IN") {
            return Ok(Filter::In { field, values: self.list()? });
        }
        let Some(Token::Operator(comparison)) = self.peek() else {
            return Err(self.error(format!("expected a comparison after {field}")));
        };
        let comparison = *comparison;
        self.next += 1;
        Ok(Filter::Compare { field, comparison, value: self.value()? })
    }

    fn field(&mut self) -> Result<String, FilterError> {
        const FIELDS: [&str; 7] = ["id", "name", "brand", "category", "price", "in_stock", "created_at"];
        let Some(Token::Word(word)) = self.peek() else { return Err(self.error("expected a field")) };
        let field = if word.starts_with("attributes.") { word.clone() } else { word.to_ascii_lowercase() };
        if !field.starts_with("attributes.") && !FIELDS.contains(&field.as_str()) {
            let known = FIELDS.join(", ");
            return Err(self.error(format!("unknown field {word}; known: {known}, attributes.NAME")));
        }
        self.next += 1;
        Ok(field)
    }

    fn value(&mut self) -> Result<FilterValue, FilterError> {
        let value = match self.peek() {
            Some(Token::Text(text)) => FilterValue::Text(text.clone()),
            Some(Token::Number(number)) => FilterValue::Number(*number),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("true") => FilterValue::Flag(true),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("false") => FilterValue::Flag(false),
            Some(Token::Word(word)) => FilterValue::Text(word.clone()),
            _ => return Err(self.error("expected a value")),
        };
        self.next += 1;
        Ok(value)
    }

    fn list(&mut self) -> Result<Vec<FilterValue>, FilterError> {
        if !self.takes(&Token::Open) {
            return Err(self.error("expected '(' after IN"));
        }
        let mut values = vec![self.value()?];
        while self.takes(&Token::Comma) {
            values.push(self.value()?);
        }
        if self.takes(&Token::Close) { Ok(values) } else { Err(self.error("expected ',' or ')'")) }
    }
}

fn single_or(mut parts: Vec<Filter>, combine: fn(Vec<Filter>) -> Filter) -> Filter {
    if parts.len() == 1 { parts.remove(0) } else { combine(parts) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn boot(field: &str) -> Vec<FilterValue> {
        match field {
            "category" => vec![FilterValue::Text("Women".into()), FilterValue::Text("Shoes".into())],
            "price" => vec![FilterValue::Number(49.9)],
            "brand" => vec![FilterValue::Text("Acme".into())],
            "attributes.size" => vec![FilterValue::Text("42".into())],
            _ => vec![],
        }
    }

    #[test]
    fn filters_say_what_they_mean() {
        for (text, expected) in [
            ("category = shoes AND price < 50", true),
            ("category = \"Shoes\" and (price > 50 or brand in ('acme', \"x y\"))", true),
            ("NOT brand = Acme", false),
            ("brand != Acme OR category != Men", true),
            ("attributes.size = 42", true),
            ("attributes.size >= 43", false),
            ("attributes.colour != red", true),
            ("attributes.colour = red", false),
            ("EXISTS attributes.size AND NOT EXISTS attributes.colour", true),
        ] {
            assert_eq!(Filter::parse(text).unwrap().matches(&boot), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (text, position, problem) in [
            ("colour = red", 0, "unknown field"),
            ("price <", 7, "expected a value"),
            ("price = 5 brand = x", 10, "expected AND"),
            ("(price = 5", 10, "expected ')'"),
            ("name = 'a", 7, "not closed"),
            ("", 0, "expected a field"),
        ] {
            let error = Filter::parse(text).unwrap_err();
            assert_eq!(error.position, position, "{text}: {error}");
            assert!(error.problem.contains(problem), "{text}: {error}");
        }
        assert!(Filter::parse(&"(".repeat(1000)).is_err());
        assert!(Filter::parse(&"NOT ".repeat(1000)).is_err());
        let many = |word: &str| vec!["brand = a"; 101].join(word);
        assert!(Filter::parse(&many(" AND ")).unwrap_err().problem.contains("at most 100"));
        assert!(Filter::parse(&many(" OR ")).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z =<>!()'\",.0-9ANDORT\\\\]{0,80}") {
            if let Ok(filter) = Filter::parse(&text) {
                let _ = filter.matches(&boot);
                prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(filter));
            }
        }

        #[test]
        fn what_is_written_is_read_back(
            text in "\\PC{0,20}",
            number in -1e9..1e9f64,
            field in prop::sample::select(vec!["brand", "price", "attributes.colour"]),
        ) {
            let part = |value| Filter::Compare { field: field.to_owned(), comparison: Comparison::LessOrEqual, value };
            let values = vec![FilterValue::Text(text.clone()), FilterValue::Flag(true)];
            let filter = Filter::All(vec![
                Filter::Any(vec![part(FilterValue::Text(text)), Filter::Exists { field: field.to_owned() }]),
                Filter::Not(Box::new(Filter::In { field: field.to_owned(), values })),
                part(FilterValue::Number(number)),
            ]);
            prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(filter));
        }
    }
}
