//! A filter, prepared for many products: each distinct value of a field is compared once.

use merx_domain::{Comparison, Filter, FilterValue, ProductNumber};

use super::column::Column;
use super::price::MarketPrices;
use super::{Catalogue, View};

pub struct Predicate<'a> {
    catalogue: &'a Catalogue,
    view: View<'a>,
    node: Node<'a>,
}

enum Node<'a> {
    All(Vec<Node<'a>>),
    Any(Vec<Node<'a>>),
    Not(Box<Node<'a>>),
    /// Whether a product has one of the values that are marked.
    Values(&'a Column, Vec<bool>),
    Price(MarketPrices<'a>, Comparison, f64),
    /// A field of its own, asked product by product.
    Each(&'a Filter),
    Never,
}

impl Catalogue {
    pub fn predicate<'a>(&'a self, filter: &'a Filter, view: View<'a>) -> Predicate<'a> {
        Predicate { catalogue: self, view, node: self.node(filter, view) }
    }

    fn node<'a>(&'a self, filter: &'a Filter, view: View<'a>) -> Node<'a> {
        let all = |parts: &'a [Filter]| parts.iter().map(|part| self.node(part, view)).collect();
        match filter {
            Filter::All(parts) => Node::All(all(parts)),
            Filter::Any(parts) => Node::Any(all(parts)),
            Filter::Not(part) => Node::Not(Box::new(self.node(part, view))),
            Filter::Compare { field, comparison, value: FilterValue::Number(value) } if field == "price" => {
                Node::Price(self.prices.of_market(view.market), *comparison, *value)
            }
            // What lacks the field is unequal too.
            Filter::Compare { field, comparison: Comparison::NotEqual, value } if !is_own(field) => {
                let equal =
                    Filter::Compare { field: field.clone(), comparison: Comparison::Equal, value: value.clone() };
                Node::Not(Box::new(self.values_node(field, &equal)))
            }
            Filter::Compare { field, .. } | Filter::In { field, .. } | Filter::Exists { field } if is_own(field) => {
                Node::Each(filter)
            }
            Filter::Compare { field, .. } | Filter::In { field, .. } | Filter::Exists { field } => {
                self.values_node(field, filter)
            }
        }
    }

    fn values_node(&self, field: &str, filter: &Filter) -> Node<'_> {
        let Some(column) = self.columns.get(field) else { return Node::Never };
        let passes = |value: &FilterValue| filter.matches(&|_| vec![value.clone()]);
        Node::Values(column, column.all().iter().map(passes).collect())
    }
}

impl Catalogue {
    /// Whether products have a text in a field that all may have, without regard to case.
    pub fn having<'a>(&'a self, field: &str, text: &str) -> impl Fn(ProductNumber) -> bool + use<'a> {
        let lower = text.to_lowercase();
        let same = |found: &str| found.eq_ignore_ascii_case(text) || !found.is_ascii() && found.to_lowercase() == lower;
        let is_wanted = |value: &FilterValue| matches!(value, FilterValue::Text(found) if same(found));
        let column = self.columns.get(field);
        let wanted: Vec<bool> = column.map_or_else(Vec::new, |column| column.all().iter().map(is_wanted).collect());
        move |product| column.is_some_and(|column| column.held(product).iter().any(|value| wanted[*value as usize]))
    }
}

impl Catalogue {
    /// The first number that a product has in a field that all may have.
    pub fn numbers<'a>(&'a self, field: &str) -> impl Fn(ProductNumber) -> Option<f64> + use<'a> {
        let column = self.columns.get(field);
        move |product| {
            let column = column?;
            column.held(product).iter().find_map(|value| match &column.all()[*value as usize] {
                FilterValue::Number(number) => Some(*number),
                FilterValue::Text(_) | FilterValue::Flag(_) => None,
            })
        }
    }

    /// What tells the first values of such a field apart; nothing for a product without one.
    pub fn first_values<'a>(&'a self, field: &str) -> impl Fn(ProductNumber) -> Option<u32> + use<'a> {
        let column = self.columns.get(field);
        move |product| column?.held(product).first().copied()
    }
}

fn is_own(field: &str) -> bool {
    matches!(field, "id" | "name" | "price" | "in_stock" | "created_at" | "popularity")
}

impl Predicate<'_> {
    pub fn passes(&self, product: ProductNumber) -> bool {
        self.catalogue.exists(product) && self.holds(&self.node, product)
    }

    fn holds(&self, node: &Node<'_>, product: ProductNumber) -> bool {
        match node {
            Node::All(parts) => parts.iter().all(|part| self.holds(part, product)),
            Node::Any(parts) => parts.iter().any(|part| self.holds(part, product)),
            Node::Not(part) => !self.holds(part, product),
            Node::Values(column, wanted) => column.held(product).iter().any(|value| wanted[*value as usize]),
            Node::Price(prices, comparison, value) => holds(prices.get(product), *comparison, *value),
            Node::Each(filter) => filter.matches(&|field| self.catalogue.values_of(field, product, self.view)),
            Node::Never => false,
        }
    }
}

/// As the filter language compares: what has no price is unequal to any.
fn holds(price: Option<f64>, comparison: Comparison, value: f64) -> bool {
    let Some(price) = price else { return comparison == Comparison::NotEqual };
    match comparison {
        Comparison::Equal => price == value,
        Comparison::NotEqual => price != value,
        Comparison::Less => price < value,
        Comparison::LessOrEqual => price <= value,
        Comparison::Greater => price > value,
        Comparison::GreaterOrEqual => price >= value,
    }
}
