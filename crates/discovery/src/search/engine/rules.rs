//! How merchants overrule the ranking.

use merx_domain::merchandising::{Anchoring, Condition, Consequence, QueryCondition, Rule};
use merx_domain::{Filter, MarketId, ProductId, TimestampMs};

use crate::search::text::fold;

/// What a rule looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Occasion<'a> {
    pub query: &'a str,
    pub category: Option<&'a str>,
    pub segments: &'a [String],
    pub market: &'a MarketId,
    pub now: TimestampMs,
}

/// Rules in the order in which they have their way, their words read once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules(Vec<ReadRule>);

#[derive(Debug, Clone)]
struct ReadRule {
    rule: Rule,
    conditions: Vec<ReadCondition>,
}

#[derive(Debug, Clone)]
struct ReadCondition {
    query: Option<(Vec<String>, Anchoring)>,
    category: Option<String>,
    segment: Option<String>,
}

impl Rules {
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let read = |rule: &Rule| ReadRule {
            rule: rule.clone(),
            conditions: rule.conditions.iter().map(ReadCondition::of).collect(),
        };
        let mut rules: Vec<ReadRule> = rules.iter().filter(|rule| rule.enabled).map(read).collect();
        rules.sort_by(|a, b| b.rule.priority.cmp(&a.rule.priority).then_with(|| a.rule.id.cmp(&b.rule.id)));
        Self(rules)
    }
}

impl ReadRule {
    fn applies(&self, occasion: Occasion<'_>, query: &[String], category: Option<&str>) -> bool {
        let Rule { from, until, markets, segments, .. } = &self.rule;
        let in_time = from.is_none_or(|from| from <= occasion.now) && until.is_none_or(|until| occasion.now < until);
        let here = markets.is_empty() || markets.contains(occasion.market);
        let theirs = segments.is_empty() || segments.iter().any(|segment| occasion.segments.contains(segment));
        let holds = |condition: &ReadCondition| condition.holds(occasion, query, category);
        in_time && here && theirs && (self.conditions.is_empty() || self.conditions.iter().any(holds))
    }
}

impl ReadCondition {
    fn of(condition: &Condition) -> Self {
        let query = |query: &QueryCondition| (words(&query.text), query.anchoring);
        Self {
            query: condition.query.as_ref().map(query),
            category: condition.category.as_deref().map(fold),
            segment: condition.segment.clone(),
        }
    }

    fn holds(&self, occasion: Occasion<'_>, query: &[String], category: Option<&str>) -> bool {
        self.query.as_ref().is_none_or(|(wanted, anchoring)| says(query, wanted, *anchoring))
            && self.category.as_deref().is_none_or(|wanted| category == Some(wanted))
            && self.segment.as_ref().is_none_or(|segment| occasion.segments.contains(segment))
    }
}

fn says(asked: &[String], wanted: &[String], anchoring: Anchoring) -> bool {
    match anchoring {
        Anchoring::Is => asked == wanted,
        Anchoring::StartsWith => asked.starts_with(wanted),
        Anchoring::EndsWith => asked.ends_with(wanted),
        Anchoring::Contains => wanted.is_empty() || asked.windows(wanted.len()).any(|run| run == wanted),
    }
}

fn words(text: &str) -> Vec<String> {
    fold(text).split_whitespace().map(str::to_owned).collect()
}

/// Everything that the rules of one request ask for together.
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
    pub(crate) fn of(rules: &Rules, occasion: Occasion<'_>) -> Self {
        let mut orders = Self::default();
        if rules.0.is_empty() {
            return orders;
        }
        let query = words(occasion.query);
        let category = occasion.category.map(fold);
        let applying = rules.0.iter().filter(|rule| rule.applies(occasion, &query, category.as_deref()));
        for ReadRule { rule, .. } in applying {
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
        let segments = ["new".to_owned()];
        let market = market();
        let occasion = Occasion { query, category: None, segments: &segments, market: &market, now: TimestampMs(100) };
        !Orders::of(&Rules::new(std::slice::from_ref(rule)), occasion).applied.is_empty()
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
        assert_eq!(Orders::of(&Rules::new(&[rule]), occasion).query.as_deref(), Some("red shoes"));
    }

    #[test]
    fn where_one_has_its_way_it_is_the_one_of_higher_priority() {
        let rule = |id: &str, priority, text: &str| Rule {
            id: id.into(),
            priority,
            enabled: true,
            consequences: vec![Consequence::ReplaceQuery { text: text.into() }],
            ..Rule::default()
        };
        let rules = [rule("a", 0, "first"), rule("b", 5, "second"), rule("c", 5, "third")];
        let occasion = Occasion { query: "x", category: None, segments: &[], market: &market(), now: TimestampMs(0) };
        let orders = Orders::of(&Rules::new(&rules), occasion);
        assert_eq!(
            (orders.query.as_deref(), orders.applied),
            (Some("second"), vec!["b".into(), "c".into(), "a".into()])
        );
    }
}
