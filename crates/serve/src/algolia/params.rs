//! Parameters as clients send them: a flat JSON object, or one text that is URL-encoded, lists in it written as JSON.

use serde_json::{Map, Value};

use crate::problem::{Code, Problem};

#[derive(Debug, Clone, Default)]
pub(super) struct Params(Map<String, Value>);

/// What stands around a hit in a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tags {
    pub(super) before: String,
    pub(super) after: String,
}

const MOST_TAG_BYTES: usize = 100;

impl Params {
    pub(super) fn of(body: &Value) -> Result<Self, Problem> {
        let Some(object) = body.as_object() else {
            return Err(Problem::because(Code::InvalidJson, "expected an object of parameters"));
        };
        let mut params = object.clone();
        if let Some(Value::String(encoded)) = params.remove("params") {
            params.extend(decoded(&encoded));
        }
        Ok(Self(params))
    }

    /// One of several requests, with the index that it names.
    pub(super) fn named(request: &Value) -> Result<(String, Self), Problem> {
        let params = Self::of(request)?;
        let Some(index) = params.text("indexName") else {
            return Err(Problem::because(Code::InvalidJson, "indexName: expected a text"));
        };
        Ok((index, params))
    }

    /// These, and others where these say nothing.
    pub(super) fn or(&self, defaults: Map<String, Value>) -> Self {
        let mut all = defaults;
        all.extend(self.0.clone());
        Self(all)
    }

    pub(super) fn value(&self) -> Value {
        Value::Object(self.0.clone())
    }

    pub(super) fn part(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::String(text) => Some(text.clone()),
            _ => None,
        }
    }

    pub(super) fn number(&self, name: &str) -> Option<usize> {
        match self.0.get(name)? {
            Value::Number(number) => number.as_u64().and_then(|number| usize::try_from(number).ok()),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        match self.0.get(name)? {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// A list as JSON has it; one that is written as text is read, and a text that is no list stands for a list of one.
    pub(super) fn list(&self, name: &str) -> Vec<Value> {
        match self.0.get(name) {
            Some(Value::Array(list)) => list.clone(),
            Some(Value::String(text)) if text.trim_start().starts_with('[') => {
                serde_json::from_str(text).unwrap_or_default()
            }
            Some(Value::String(text)) if !text.trim().is_empty() => vec![Value::from(text.trim())],
            _ => Vec::new(),
        }
    }

    /// A list of names; `None` where the parameter is missing.
    pub(super) fn names(&self, name: &str) -> Option<Vec<String>> {
        self.0.get(name)?;
        let list = self.list(name);
        let names = list.iter().filter_map(Value::as_str).flat_map(|names| names.split(','));
        Some(names.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect())
    }

    pub(super) fn tags(&self) -> Tags {
        let tag = |name: &str, standard: &str| {
            self.text(name).filter(|tag| tag.len() <= MOST_TAG_BYTES).unwrap_or_else(|| standard.to_owned())
        };
        Tags { before: tag("highlightPreTag", "<em>"), after: tag("highlightPostTag", "</em>") }
    }

    /// All of them as one text, as answers repeat them.
    pub(super) fn encoded(&self) -> String {
        let known = self.0.iter().filter(|(name, _)| !matches!(name.as_str(), "indexName" | "type"));
        let pairs = known.map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("{}={}", encode(name), encode(&value))
        });
        pairs.collect::<Vec<String>>().join("&")
    }
}

fn decoded(text: &str) -> impl Iterator<Item = (String, Value)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), Value::from(decode(value)))
    })
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high * 16 + low);
                    rest = after;
                }
                _ => bytes.push(b'%'),
            },
            (other, _) => bytes.push(*other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~*".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_wire_forms_say_the_same() {
        let flat = Params::of(&json!({
            "query": "blue & shoe", "page": 1, "facets": ["brand", "price"], "analytics": false,
        }))
        .unwrap();
        let encoded = "query=blue%20%26+shoe&page=1&facets=%5B%22brand%22%2C%22price%22%5D&analytics=false";
        let text = Params::of(&json!({ "params": encoded })).unwrap();
        for params in [flat, text] {
            assert_eq!(params.text("query").unwrap(), "blue & shoe");
            assert_eq!(params.number("page"), Some(1));
            assert_eq!(params.names("facets").unwrap(), ["brand", "price"]);
            assert_eq!(params.flag("analytics"), Some(false));
        }
        let bare = Params::of(&json!({"facets": "brand"})).unwrap();
        assert_eq!(bare.names("facets").unwrap(), ["brand"]);
        assert_eq!(bare.names("attributesToRetrieve"), None);
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode(&encode("ü %+&=")), "ü %+&=");
    }
}
