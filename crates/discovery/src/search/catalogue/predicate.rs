//! A filter, prepared for many products: each distinct value of a field is compared once.

use std::cell::RefCell;

use merx_domain::{Comparison, Condition, Filter, FilterValue, PreparedFilter, ProductNumber, Test};
use rustc_hash::FxHashMap;

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
    Each(Condition),
    Never,
}

impl Catalogue {
    pub fn predicate<'a>(&'a self, filter: &Filter, view: View<'a>) -> Predicate<'a> {
        Predicate { catalogue: self, view, node: self.node(filter.into(), view) }
    }

    fn node<'a>(&'a self, filter: PreparedFilter, view: View<'a>) -> Node<'a> {
        let all = |parts: Vec<PreparedFilter>| parts.into_iter().map(|part| self.node(part, view)).collect();
        let condition = match filter {
            PreparedFilter::All(parts) => return Node::All(all(parts)),
            PreparedFilter::Any(parts) => return Node::Any(all(parts)),
            PreparedFilter::Not(part) => return Node::Not(Box::new(self.node(*part, view))),
            PreparedFilter::Condition(condition) => condition,
        };
        match &condition.test {
            Test::Compare(comparison, FilterValue::Number(value)) if condition.field == "price" => {
                Node::Price(self.prices.of_market(view.market), *comparison, *value)
            }
            _ if is_own(&condition.field) => Node::Each(condition),
            _ => match self.columns.get(condition.field.as_str()) {
                Some(column) => {
                    let passes = |value: &FilterValue| condition.holds(std::slice::from_ref(value));
                    Node::Values(column, column.all().iter().map(passes).collect())
                }
                None => Node::Never,
            },
        }
    }
}

impl Catalogue {
    /// Whether products have a text in a field that all may have, without regard to case.
    pub fn having<'a>(&'a self, field: &str, text: &str) -> impl Fn(ProductNumber) -> bool + use<'a> {
        let lower = text.to_lowercase();
        let same = move |found: &str| {
            if found.is_ascii() { found.eq_ignore_ascii_case(&lower) } else { found.to_lowercase() == lower }
        };
        let is_wanted = move |value: &FilterValue| matches!(value, FilterValue::Text(found) if same(found));
        let column = self.columns.get(field);
        // Hundreds of products share few values: each is compared once.
        let compared: RefCell<FxHashMap<u32, bool>> = RefCell::default();
        move |product| {
            let Some(column) = column else { return false };
            let mut compared = compared.borrow_mut();
            let has =
                |value: &u32| *compared.entry(*value).or_insert_with(|| is_wanted(&column.all()[*value as usize]));
            column.held(product).iter().any(has)
        }
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
            Node::Each(condition) => condition.holds(&self.catalogue.values_of(&condition.field, product, self.view)),
            Node::Never => false,
        }
    }
}

/// As the filter language compares: what has no price passes no comparison.
fn holds(price: Option<f64>, comparison: Comparison, value: f64) -> bool {
    let Some(price) = price else { return false };
    match comparison {
        Comparison::Equal => price == value,
        Comparison::NotEqual => price != value,
        Comparison::Less => price < value,
        Comparison::LessOrEqual => price <= value,
        Comparison::Greater => price > value,
        Comparison::GreaterOrEqual => price >= value,
    }
}
