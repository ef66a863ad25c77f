//! What a query says beside the words to look for: a price, a brand, a category.

use compact_str::CompactString;
use merx_domain::{Comparison, Filter, FilterValue};
use rustc_hash::FxHashMap;

use crate::search::catalogue::Catalogue;
use crate::search::text::{Analyser, fold, is_unit};

/// A query without its price.
#[derive(Debug, Clone, PartialEq)]
pub struct Priced {
    pub text: String,
    pub filter: Filter,
}

const BELOW: &[&str] = &[
    "under",
    "below",
    "less than",
    "cheaper than",
    "up to",
    "max",
    "at most",
    "unter",
    "bis",
    "hochstens",
    "weniger als",
    "moins de",
    "jusqu'a",
    "menos de",
    "hasta",
    "meno di",
    "fino a",
    "ate",
    "onder",
    "tot",
    "minder dan",
    "under",
    "hogst",
    "ponizej",
];
const ABOVE: &[&str] = &[
    "over",
    "above",
    "more than",
    "from",
    "min",
    "at least",
    "uber",
    "ab",
    "mindestens",
    "mehr als",
    "plus de",
    "a partir de",
    "mas de",
    "desde",
    "piu di",
    "oltre",
    "acima de",
    "mais de",
    "boven",
    "vanaf",
    "meer dan",
    "over",
    "minst",
];
/// Words that also stand in names before a number (`air max 90`, `ab 12`): a price only with its currency.
const IN_NAMES: &[&str] = &["max", "min", "ab", "bis", "tot", "ate", "from"];
const BETWEEN: &[(&str, &str)] = &[
    ("between", "and"),
    ("from", "to"),
    ("zwischen", "und"),
    ("von", "bis"),
    ("entre", "et"),
    ("entre", "y"),
    ("entre", "e"),
    ("tra", "e"),
    ("tussen", "en"),
];
const CURRENCIES: &[&str] =
    &["$", "€", "£", "¥", "usd", "eur", "gbp", "euro", "euros", "dollar", "dollars", "pounds", "bucks", "chf", "kr"];

/// `shoes under $50`: shoes, and a price of at most 50. A number that is followed by a unit is no price, and without a word
/// that compares it there is none either.
pub fn read_price(query: &str) -> Option<Priced> {
    let spoken = fold(query);
    let words: Vec<&str> = spoken.split_whitespace().collect();
    if words.len() > MOST_WORDS {
        return None;
    }
    (0..words.len()).find_map(|start| {
        let found =
            between(&words[start..]).or_else(|| one_sided(&words[start..])).or_else(|| dashed(&words[start..]))?;
        let (filter, length) = found;
        let rest = words[..start].iter().chain(&words[start + length..]);
        Some(Priced { text: rest.copied().collect::<Vec<&str>>().join(" "), filter })
    })
}

const MOST_WORDS: usize = 40;

fn between(words: &[&str]) -> Option<(Filter, usize)> {
    BETWEEN.iter().find_map(|(first, second)| {
        let after = words.strip_prefix(&[*first])?;
        let (low, low_length) = amount(after)?;
        let (high, high_length) = amount(after.get(low_length..)?.strip_prefix(&[*second])?)?;
        let length = 2 + low_length + high_length;
        let is_price = !starts_with_unit(&words[length..]) && low.value <= high.value;
        is_price.then(|| (range(low.value, high.value), length))
    })
}

fn one_sided(words: &[&str]) -> Option<(Filter, usize)> {
    let sides = [(BELOW, Comparison::LessOrEqual), (ABOVE, Comparison::GreaterOrEqual)];
    sides.into_iter().find_map(|(expressions, comparison)| {
        expressions.iter().find_map(|expression| {
            let expression: Vec<&str> = expression.split(' ').collect();
            let (amount, length) = amount(words.strip_prefix(expression.as_slice())?)?;
            let is_name = IN_NAMES.contains(&expression.join(" ").as_str());
            let length = expression.len() + length;
            // `over 6 ft`, `from 2 to 4`: nothing to pay.
            let goes_on = words.get(length).is_some_and(|next| BETWEEN.iter().any(|(_, second)| second == next));
            let is_price = amount.has_currency || !(is_name || goes_on || starts_with_unit(&words[length..]));
            is_price.then(|| (compare(comparison, amount.value), length))
        })
    })
}

/// `$20-$50`, `20-50 eur`: only with a currency.
fn dashed(words: &[&str]) -> Option<(Filter, usize)> {
    let (low, high) = words.first()?.split_once('-')?;
    let currency_after = words.get(1).is_some_and(|next| CURRENCIES.contains(next));
    let (low, high) = (price(low)?, price(high)?);
    let is_price = (low.has_currency || high.has_currency || currency_after) && low.value <= high.value;
    is_price.then(|| (range(low.value, high.value), 1 + usize::from(currency_after && !high.has_currency)))
}

struct Amount {
    value: f64,
    has_currency: bool,
}

/// An amount and how many words it takes: `$50`, `50€`, `50 euro`, `$ 50`.
fn amount(words: &[&str]) -> Option<(Amount, usize)> {
    let first = words.first()?;
    if CURRENCIES.contains(first) {
        let value = price(words.get(1)?)?.value;
        return Some((Amount { value, has_currency: true }, 2));
    }
    let found = price(first)?;
    let followed = !found.has_currency && words.get(1).is_some_and(|next| CURRENCIES.contains(next));
    Some((Amount { has_currency: found.has_currency || followed, ..found }, 1 + usize::from(followed)))
}

fn price(word: &str) -> Option<Amount> {
    let bare =
        CURRENCIES.iter().find_map(|currency| word.strip_prefix(currency).or_else(|| word.strip_suffix(currency)));
    let digits = bare.unwrap_or(word);
    if digits.len() > 12
        || !digits.starts_with(|c: char| c.is_ascii_digit())
        || !digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ','))
    {
        return None;
    }
    // A separator before exactly three digits parts thousands.
    let parts: Vec<&str> = digits.split([',', '.']).collect();
    let text = match parts.as_slice() {
        [whole] => (*whole).to_owned(),
        [whole, last] if last.len() != 3 => format!("{whole}.{last}"),
        [all @ .., last] if last.len() == 3 || last.is_empty() => all.concat() + last,
        [all @ .., last] => format!("{}.{last}", all.concat()),
        [] => return None,
    };
    Some(Amount { value: text.parse().ok().filter(|value: &f64| value.is_finite())?, has_currency: bare.is_some() })
}

fn starts_with_unit(words: &[&str]) -> bool {
    words
        .first()
        .is_some_and(|word| is_unit(word.trim_end_matches('.')) || *word == "x" || word.starts_with(['"', '\'']))
}

fn compare(comparison: Comparison, value: f64) -> Filter {
    Filter::Compare { field: "price".to_owned(), comparison, value: FilterValue::Number(value) }
}

fn range(low: f64, high: f64) -> Filter {
    Filter::All(vec![compare(Comparison::GreaterOrEqual, low), compare(Comparison::LessOrEqual, high)])
}

/// Brands and categories of the catalogue, by the words that name them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    named: FxHashMap<Box<[CompactString]>, (CompactString, String)>,
}

/// A name of more words isn't looked for in queries.
const LONGEST_NAME: usize = 4;
const MOST_NAMES: usize = 200_000;

impl Names {
    pub(crate) fn of(catalogue: &Catalogue, analyser: &Analyser) -> Self {
        let mut named = FxHashMap::default();
        for field in ["category", "brand"] {
            for (value, _) in catalogue.values(field).take(MOST_NAMES) {
                let FilterValue::Text(text) = value else { continue };
                let stems = stems(text, analyser);
                if (1..=LONGEST_NAME).contains(&stems.len()) {
                    named.insert(stems.into(), (field.into(), text.clone()));
                }
            }
        }
        Self { named }
    }

    /// Field and value of each name in a query; of names within names the longest.
    pub(crate) fn in_query(&self, query: &str, analyser: &Analyser) -> Vec<(CompactString, String)> {
        let stems = stems(query, analyser);
        let mut found: Vec<(CompactString, String)> = Vec::new();
        let mut start = 0;
        while start < stems.len() {
            let longest = (1..=LONGEST_NAME.min(stems.len() - start))
                .rev()
                .find_map(|length| self.named.get(&stems[start..start + length]).map(|name| (length, name)));
            if let Some((length, name)) = longest {
                found.push(name.clone());
                start += length;
            } else {
                start += 1;
            }
        }
        found
    }
}

fn stems(text: &str, analyser: &Analyser) -> Vec<CompactString> {
    let tokens = analyser.tokens(text);
    tokens
        .into_iter()
        .filter(|token| token.is_primary() && !analyser.is_stop_word(&token.surface))
        .map(|token| token.term)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prices_are_read_and_sizes_are_not() {
        let below = |value| Some(compare(Comparison::LessOrEqual, value));
        for (query, text, filter) in [
            ("shoes under $50", "shoes", below(50.0)),
            ("shoes under 50", "shoes", below(50.0)),
            ("under 49.99 euro shoes", "shoes", below(49.99)),
            ("tv below 1,299", "tv", below(1299.0)),
            ("schuhe unter 1.299,50 €", "schuhe", below(1299.5)),
            ("chaussures moins de 50€", "chaussures", below(50.0)),
            ("lamp over 100", "lamp", Some(compare(Comparison::GreaterOrEqual, 100.0))),
            ("lamp between 20 and 50 dollars", "lamp", Some(range(20.0, 50.0))),
            ("lamp $20-$50", "lamp", Some(range(20.0, 50.0))),
        ] {
            let found = read_price(query);
            assert_eq!(found.as_ref().map(|priced| priced.text.as_str()), Some(text), "{query}");
            assert_eq!(found.map(|priced| priced.filter), filter, "{query}");
        }
        for query in [
            "under cabinet light",
            "rope over 6 ft",
            "ladder under 20 lb",
            "2x4 lumber",
            "size 20-50",
            "over the range",
            "from 2 to 4 in. pipe",
        ] {
            assert_eq!(read_price(query), None, "{query}");
        }
    }

    proptest! {
        #[test]
        fn any_query_is_read(query in "[a-z$€0-9.,\\- ]{0,60}|(under|between|from) [$€0-9., and-]{0,30}") {
            if let Some(priced) = read_price(&query) {
                prop_assert!(priced.text.len() < query.len() + 4);
            }
        }
    }
}
