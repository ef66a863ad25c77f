//! A filter, prepared to be asked of many products: alternatives of one field become one set, so that a thousand ids cost about as much
//! as one.

use std::collections::HashSet;

use super::{Comparison, Filter, FilterValue, compare};

/// Says the same as the [`Filter`] that it was made of.
#[derive(Debug, Clone, PartialEq)]
pub enum PreparedFilter {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Condition(Condition),
}

/// What is asked of one field.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    pub field: String,
    pub test: Test,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    Exists,
    Compare(Comparison, FilterValue),
    OneOf(OneOf),
}

/// Values of which one is enough.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OneOf {
    /// In small letters.
    texts: HashSet<String>,
    /// In order.
    numbers: Vec<f64>,
    flags: [bool; 2],
    /// What the texts say as numbers and flags: `"42"` finds the number 42, but no text "42.0".
    texts_as_numbers: Vec<f64>,
    texts_as_flags: [bool; 2],
}

impl From<&Filter> for PreparedFilter {
    fn from(filter: &Filter) -> Self {
        let all = |parts: &[Filter]| parts.iter().map(Self::from).collect();
        let condition = |field: &String, test| Self::Condition(Condition { field: field.clone(), test });
        match filter {
            Filter::All(parts) => Self::All(all(parts)),
            Filter::Any(parts) => alternatives(parts),
            Filter::Not(part) => Self::Not(Box::new(Self::from(&**part))),
            Filter::Exists { field } => condition(field, Test::Exists),
            Filter::In { field, values } => condition(field, Test::OneOf(values.iter().collect())),
            Filter::Compare { field, comparison, value } => {
                let negated = *comparison == Comparison::NotEqual;
                let test = match (comparison, value) {
                    (Comparison::Equal | Comparison::NotEqual, FilterValue::Text(_)) => {
                        Test::OneOf(std::iter::once(value).collect())
                    }
                    (Comparison::NotEqual, _) => Test::Compare(Comparison::Equal, value.clone()),
                    _ => Test::Compare(*comparison, value.clone()),
                };
                let found = condition(field, test);
                // What lacks the field is unequal too.
                if negated { Self::Not(Box::new(found)) } else { found }
            }
        }
    }
}

/// Those that ask one field for a text or a list become one.
fn alternatives(parts: &[Filter]) -> PreparedFilter {
    let mut merged: Vec<PreparedFilter> = Vec::new();
    for part in parts.iter().map(PreparedFilter::from) {
        let PreparedFilter::Condition(Condition { field, test: Test::OneOf(values) }) = &part else {
            merged.push(part);
            continue;
        };
        let known = merged.iter_mut().find_map(|known| match known {
            PreparedFilter::Condition(Condition { field: same, test: Test::OneOf(known) }) if same == field => {
                Some(known)
            }
            _ => None,
        });
        match known {
            Some(known) => known.absorb(values),
            None => merged.push(part),
        }
    }
    PreparedFilter::Any(merged)
}

impl PreparedFilter {
    /// As [`Filter::matches`].
    pub fn matches(&self, values_of: &dyn Fn(&str) -> Vec<FilterValue>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(values_of)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(values_of)),
            Self::Not(part) => !part.matches(values_of),
            Self::Condition(condition) => condition.holds(&values_of(&condition.field)),
        }
    }

    /// How many fields are looked at for one thing at most.
    pub fn conditions(&self) -> usize {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().map(Self::conditions).sum(),
            Self::Not(part) => part.conditions(),
            Self::Condition(_) => 1,
        }
    }
}

impl Condition {
    /// Whether a thing with these values of the field passes.
    pub fn holds(&self, found: &[FilterValue]) -> bool {
        match &self.test {
            Test::Exists => !found.is_empty(),
            Test::Compare(comparison, value) => found.iter().any(|found| compare(found, *comparison, value)),
            Test::OneOf(values) => found.iter().any(|found| values.contains(found)),
        }
    }
}

impl<'a> FromIterator<&'a FilterValue> for OneOf {
    fn from_iter<I: IntoIterator<Item = &'a FilterValue>>(values: I) -> Self {
        let mut set = Self::default();
        for value in values {
            match value {
                FilterValue::Text(text) => {
                    set.texts_as_numbers.extend(text.trim().parse::<f64>().ok().filter(|number| !number.is_nan()));
                    if let Ok(flag) = text.parse::<bool>() {
                        set.texts_as_flags[usize::from(flag)] = true;
                    }
                    set.texts.insert(text.to_lowercase());
                }
                FilterValue::Number(number) if number.is_nan() => {}
                FilterValue::Number(number) => set.numbers.push(*number),
                FilterValue::Flag(flag) => set.flags[usize::from(*flag)] = true,
            }
        }
        set.sort();
        set
    }
}

impl OneOf {
    fn sort(&mut self) {
        // 0 and -0 are equal.
        for numbers in [&mut self.numbers, &mut self.texts_as_numbers] {
            numbers.iter_mut().for_each(|number| *number += 0.0);
            numbers.sort_unstable_by(f64::total_cmp);
        }
    }

    fn absorb(&mut self, other: &Self) {
        self.texts.extend(other.texts.iter().cloned());
        self.numbers.extend(&other.numbers);
        self.texts_as_numbers.extend(&other.texts_as_numbers);
        for flag in 0..2 {
            self.flags[flag] |= other.flags[flag];
            self.texts_as_flags[flag] |= other.texts_as_flags[flag];
        }
        self.sort();
    }

    fn contains(&self, found: &FilterValue) -> bool {
        let among =
            |numbers: &[f64], number: f64| numbers.binary_search_by(|known| known.total_cmp(&(number + 0.0))).is_ok();
        match found {
            FilterValue::Text(text) => {
                self.texts.contains(&text.to_lowercase())
                    || !self.numbers.is_empty() && text.trim().parse().is_ok_and(|number| among(&self.numbers, number))
                    || self.flags.contains(&true) && text.parse().is_ok_and(|flag: bool| self.flags[usize::from(flag)])
            }
            FilterValue::Number(number) => among(&self.numbers, *number) || among(&self.texts_as_numbers, *number),
            FilterValue::Flag(flag) => self.flags[usize::from(*flag)] || self.texts_as_flags[usize::from(*flag)],
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = FilterValue> {
        prop_oneof![
            prop::sample::select(vec!["red", "Red", "ÉTÉ", "été", "42", " 42", "42.0", "-0", "true", "nan", ""])
                .prop_map(|text| FilterValue::Text(text.to_owned())),
            prop::sample::select(vec![42.0, 0.0, -0.0, 7.5]).prop_map(FilterValue::Number),
            any::<bool>().prop_map(FilterValue::Flag),
        ]
    }

    fn filter() -> impl Strategy<Value = Filter> {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        let field = || prop::sample::select(vec!["a", "b"]).prop_map(str::to_owned);
        let comparison = prop::sample::select(vec![Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual]);
        let condition = prop_oneof![
            4 => (field(), comparison, value())
                .prop_map(|(field, comparison, value)| Filter::Compare { field, comparison, value }),
            3 => (field(), prop::collection::vec(value(), 0..4)).prop_map(|(field, values)| Filter::In { field, values }),
            1 => field().prop_map(|field| Filter::Exists { field }),
        ];
        condition.prop_recursive(3, 20, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Filter::All),
                prop::collection::vec(inner.clone(), 0..5).prop_map(Filter::Any),
                inner.prop_map(|part| Filter::Not(Box::new(part))),
            ]
        })
    }

    proptest! {
        #[test]
        fn prepared_it_says_the_same(
            filter in filter(),
            a in prop::collection::vec(value(), 0..3),
            b in prop::collection::vec(value(), 0..3),
        ) {
            let values_of = |field: &str| if field == "a" { a.clone() } else { b.clone() };
            prop_assert_eq!(PreparedFilter::from(&filter).matches(&values_of), filter.matches(&values_of));
        }
    }

    #[test]
    fn alternatives_of_one_field_are_one_condition() {
        let ids: Vec<String> = (0..50).map(|id| format!("id = p{id}")).collect();
        let filter =
            Filter::parse(&format!("({}) AND (brand = a OR brand IN (b, c) OR price < 3)", ids.join(" OR "))).unwrap();
        assert_eq!(PreparedFilter::from(&filter).conditions(), 3);
    }
}
