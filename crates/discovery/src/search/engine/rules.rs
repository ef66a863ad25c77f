//! How merchants overrule the ranking.

use merx_domain::{Filter, MarketId, ProductId, TimestampMs};
use serde::{Deserialize, Serialize};

use crate::search::text::fold;

/// Applies where one of its conditions holds, or always where it has none, within its schedule, markets and segments.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    pub id: String,
    pub enabled: bool,
    pub conditions: Vec<Condition>,
    pub markets: Vec<MarketId>,
    pub segments: Vec<String>,
    pub from: Option<TimestampMs>,
    pub until: Option<TimestampMs>,
    pub consequences: Vec<Consequence>,
}

/// All that is given must hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Condition {
    pub query: Option<QueryCondition>,
    /// The category page.
    pub category: Option<String>,
    /// A segment or context of the request.
    pub segment: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueryCondition {
    pub text: String,
    pub anchoring: Anchoring,
}

/// Whole words are compared, without regard to case and accents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchoring {
    Is,
    StartsWith,
    EndsWith,
    Contains,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consequence {
    /// At this place, counted from 0, whatever the ranking says; not against visibility, stock or the request's filter.
    Pin {
        product: ProductId,
        place: usize,
    },
    Hide {
        product: ProductId,
    },
    /// Multiplies the scores of what passes by `1 + strength`: above 0 raises, down to -1 buries.
    Boost {
        filter: Filter,
        strength: f32,
    },
    ReplaceQuery {
        text: String,
    },
    RemoveWords {
        words: Vec<String>,
    },
    Filter {
        filter: Filter,
    },
    Redirect {
        url: String,
    },
    /// JSON for the front end.
    Banner {
        data: String,
    },
}

/// What a rule looks at.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    pub query: &'a str,
    pub category: Option<&'a str>,
    pub segments: &'a [String],
    pub market: &'a MarketId,
    pub now: TimestampMs,
}

impl Rule {
    pub fn applies(&self, occasion: Occasion<'_>) -> bool {
        let in_time =
            self.from.is_none_or(|from| from <= occasion.now) && self.until.is_none_or(|until| occasion.now < until);
        let here = self.markets.is_empty() || self.markets.contains(occasion.market);
        let theirs =
            self.segments.is_empty() || self.segments.iter().any(|segment| occasion.segments.contains(segment));
        let asked = self.conditions.is_empty() || self.conditions.iter().any(|condition| condition.holds(occasion));
        self.enabled && in_time && here && theirs && asked
    }
}

impl Condition {
    fn holds(&self, occasion: Occasion<'_>) -> bool {
        let same = |a: &str, b: &str| fold(a) == fold(b);
        let category = self.category.as_deref();
        self.query.as_ref().is_none_or(|wanted| wanted.holds(occasion.query))
            && category.is_none_or(|wanted| occasion.category.is_some_and(|category| same(category, wanted)))
            && self.segment.as_ref().is_none_or(|segment| occasion.segments.contains(segment))
    }
}

impl QueryCondition {
    fn holds(&self, query: &str) -> bool {
        let (wanted, asked) = (words(&self.text), words(query));
        match self.anchoring {
            Anchoring::Is => asked == wanted,
            Anchoring::StartsWith => asked.starts_with(&wanted),
            Anchoring::EndsWith => asked.ends_with(&wanted),
            Anchoring::Contains => wanted.is_empty() || asked.windows(wanted.len()).any(|run| run == wanted),
        }
    }
}

fn words(text: &str) -> Vec<String> {
    fold(text).split_whitespace().map(str::to_owned).collect()
}

/// Everything that the rules of one request ask for together. Earlier rules win where only one can.
#[derive(Debug, Clone, Default)]
pub(crate) struct Orders {
    pub applied: Vec<String>,
    pub query: Option<String>,
    pub filters: Vec<Filter>,
    pub pins: Vec<(usize, ProductId, String)>,
    pub hidden: Vec<ProductId>,
    pub boosts: Vec<(Filter, f32, String)>,
    pub redirect: Option<String>,
    pub banners: Vec<String>,
}

impl Orders {
    pub(crate) fn of(rules: &[Rule], occasion: Occasion<'_>) -> Self {
        let mut orders = Self::default();
        for rule in rules.iter().filter(|rule| rule.applies(occasion)) {
            orders.applied.push(rule.id.clone());
            rule.consequences.iter().for_each(|consequence| orders.add(consequence, &rule.id, occasion.query));
        }
        orders.pins.sort_by_key(|(place, ..)| *place);
        orders
    }

    fn add(&mut self, consequence: &Consequence, rule: &str, query: &str) {
        match consequence {
            Consequence::Pin { product, place } => self.pins.push((*place, product.clone(), rule.to_owned())),
            Consequence::Hide { product } => self.hidden.push(product.clone()),
            Consequence::Boost { filter, strength } => {
                self.boosts.push((filter.clone(), strength.clamp(-1.0, 10.0), rule.to_owned()));
            }
            Consequence::ReplaceQuery { text } => {
                self.query.get_or_insert_with(|| text.clone());
            }
            Consequence::RemoveWords { words } => {
                let removed: Vec<String> = words.iter().map(|word| fold(word)).collect();
                let kept = self
                    .query
                    .as_deref()
                    .unwrap_or(query)
                    .split_whitespace()
                    .filter(|word| !removed.contains(&fold(word)));
                self.query = Some(kept.collect::<Vec<&str>>().join(" "));
            }
            Consequence::Filter { filter } => self.filters.push(filter.clone()),
            Consequence::Redirect { url } => {
                self.redirect.get_or_insert_with(|| url.clone());
            }
            Consequence::Banner { data } => self.banners.push(data.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn market() -> MarketId {
        MarketId::new("de").unwrap()
    }

    fn rule(anchoring: Anchoring) -> Rule {
        let query = Some(QueryCondition { text: "Rote Schuhe".into(), anchoring });
        Rule {
            id: "r".into(),
            enabled: true,
            conditions: vec![Condition { query, ..Condition::default() }],
            ..Rule::default()
        }
    }

    fn applies(rule: &Rule, query: &str) -> bool {
        rule.applies(Occasion {
            query,
            category: None,
            segments: &["new".into()],
            market: &market(),
            now: TimestampMs(100),
        })
    }

    #[test]
    fn words_are_compared_whole() {
        for (anchoring, yes, no) in [
            (Anchoring::Is, "rote  schuhe", "rote schuhe 42"),
            (Anchoring::StartsWith, "ROTE Schuhe 42", "42 rote schuhe"),
            (Anchoring::EndsWith, "42 rote schuhe", "rote schuhe 42"),
            (Anchoring::Contains, "die rote schuhe 42", "tote schuhe"),
        ] {
            assert!(applies(&rule(anchoring), yes), "{anchoring:?}");
            assert!(!applies(&rule(anchoring), no), "{anchoring:?}");
        }
    }

    #[test]
    fn time_market_and_segment_bound_a_rule() {
        let always = Rule { enabled: true, ..Rule::default() };
        assert!(applies(&always, "x"));
        assert!(!applies(&Rule { enabled: false, ..always.clone() }, "x"));
        assert!(!applies(&Rule { from: Some(TimestampMs(101)), ..always.clone() }, "x"));
        assert!(!applies(&Rule { until: Some(TimestampMs(100)), ..always.clone() }, "x"));
        assert!(!applies(&Rule { markets: vec![MarketId::new("fr").unwrap()], ..always.clone() }, "x"));
        assert!(applies(&Rule { segments: vec!["new".into()], ..always.clone() }, "x"));
        assert!(!applies(&Rule { segments: vec!["vip".into()], ..always }, "x"));
    }

    #[test]
    fn words_are_taken_out_of_what_another_rule_put_in() {
        let replace = Consequence::ReplaceQuery { text: "cheap red shoes".into() };
        let remove = Consequence::RemoveWords { words: vec!["Cheap".into()] };
        let rule = Rule { enabled: true, consequences: vec![replace, remove], ..Rule::default() };
        let occasion = Occasion { query: "x", category: None, segments: &[], market: &market(), now: TimestampMs(0) };
        assert_eq!(Orders::of(&[rule], occasion).query.as_deref(), Some("red shoes"));
    }
}
