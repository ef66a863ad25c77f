//! Exact counts of what is found, at any number of hits.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::OnceLock;

pub use merx_domain::search::{FacetCounts, FacetRequest, FacetValueCount, NumberStatistics};
use merx_domain::{FilterValue, ProductNumber};
use rustc_hash::FxHashMap;

use super::column::Counts;
use super::{Catalogue, View};

/// What was found, as facets are counted on it.
pub struct Found<'a> {
    products: Cow<'a, [ProductNumber]>,
    /// A bit a product; made when a facet asks for it.
    marks: OnceLock<Vec<u64>>,
}

impl<'a> Found<'a> {
    pub fn new(products: impl Into<Cow<'a, [ProductNumber]>>) -> Self {
        Self { products: products.into(), marks: OnceLock::new() }
    }

    pub fn products(&self) -> &[ProductNumber] {
        &self.products
    }

    /// Whether this was found.
    pub fn has(&self, product: u32) -> bool {
        let marks = self.marks.get_or_init(|| {
            let last = self.products.iter().map(|product| product.index()).max().map_or(0, |last| last / 64 + 1);
            let mut marks = vec![0u64; last];
            self.products.iter().for_each(|product| marks[product.index() / 64] |= 1 << (product.index() % 64));
            marks
        });
        marks.get(product as usize / 64).is_some_and(|word| word >> (product % 64) & 1 == 1)
    }
}

/// How evenly a field parts what was found, without its values.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spread {
    pub distinct: usize,
    pub covered: usize,
    /// Of values, each product counted once for each that it has: in nats.
    pub entropy: f32,
}

impl Catalogue {
    pub fn count_facet(&self, request: &FacetRequest, found: &Found<'_>, view: View<'_>) -> FacetCounts {
        let Tally { covered, values } = self.tally(&request.field, found, view);
        let mut statistics = None;
        for (value, count) in &values {
            if let FilterValue::Number(number) = **value {
                add(&mut statistics, number, *count);
            }
        }
        let distinct = values.len();
        let shown = most_frequent(values, request.most_values);
        let values = shown.into_iter().map(|(value, count)| FacetValueCount { value: value.into_owned(), count });
        FacetCounts { field: request.field.clone(), values: values.collect(), distinct, covered, statistics }
    }

    pub fn spread(&self, field: &str, found: &Found<'_>, view: View<'_>) -> Spread {
        let Tally { covered, values } = self.tally(field, found, view);
        let total: f32 = values.iter().map(|(_, count)| *count as f32).sum();
        let shares = values.iter().map(|(_, count)| *count as f32 / total);
        Spread { distinct: values.len(), covered, entropy: shares.map(|share| -share * share.ln()).sum() }
    }

    fn tally(&self, field: &str, found: &Found<'_>, view: View<'_>) -> Tally<'_> {
        match self.columns.get(field) {
            Some(column) => {
                let Counts { covered, of_values } = column.count(found);
                let value = |(value, count)| (Cow::Borrowed(&column.all()[value as usize]), count);
                Tally { covered, values: of_values.into_iter().map(value).collect() }
            }
            None => self.tally_own(field, found, view),
        }
    }

    fn tally_own(&self, field: &str, found: &Found<'_>, view: View<'_>) -> Tally<'_> {
        match field {
            "price" => {
                let (covered, counts) = self.prices.of_market(view.market).count(found);
                let values = counts.into_iter().map(|(price, count)| (Cow::Owned(FilterValue::Number(price)), count));
                Tally { covered, values: values.collect() }
            }
            "created_at" => {
                let there = found.products().iter().filter(|product| self.exists(**product));
                of_numbers(there.map(|product| self.created_at(*product).0 as f64))
            }
            "in_stock" => {
                let rows = found.products().iter().filter_map(|product| self.row(*product));
                let (covered, there) =
                    rows.fold((0, 0), |(all, there), row| (all + 1, there + usize::from(row.in_stock())));
                let counted = [(true, there), (false, covered - there)].into_iter().filter(|(_, count)| *count > 0);
                let values = counted.map(|(flag, count)| (Cow::Owned(FilterValue::Flag(flag)), count as u32)).collect();
                Tally { covered, values }
            }
            _ => Tally { covered: 0, values: Vec::new() },
        }
    }
}

/// Values and how many products have each, in no particular order.
struct Tally<'a> {
    /// Products that have any.
    covered: usize,
    values: Vec<Counted<'a>>,
}

fn of_numbers(numbers: impl Iterator<Item = f64>) -> Tally<'static> {
    let mut counts: FxHashMap<u64, u32> = FxHashMap::default();
    let mut covered = 0;
    for number in numbers {
        covered += 1;
        *counts.entry(number.to_bits()).or_default() += 1;
    }
    let value = |(bits, count)| (Cow::Owned(FilterValue::Number(f64::from_bits(bits))), count);
    Tally { covered, values: counts.into_iter().map(value).collect() }
}

fn add(statistics: &mut Option<NumberStatistics>, value: f64, count: u32) {
    let known = statistics.get_or_insert(NumberStatistics { min: value, max: value, sum: 0.0, count: 0 });
    known.min = known.min.min(value);
    known.max = known.max.max(value);
    known.sum += value * f64::from(count);
    known.count += count;
}

type Counted<'a> = (Cow<'a, FilterValue>, u32);

/// The first by count, then by value; only those are put in order.
fn most_frequent(mut values: Vec<Counted<'_>>, most: usize) -> Vec<Counted<'_>> {
    let order = |a: &Counted<'_>, b: &Counted<'_>| b.1.cmp(&a.1).then_with(|| compare(&a.0, &b.0));
    if values.len() > most {
        if most > 0 {
            values.select_nth_unstable_by(most - 1, order);
        }
        values.truncate(most);
    }
    values.sort_unstable_by(order);
    values
}

/// Numbers by size, texts by letter; flags before numbers before texts.
fn compare(a: &FilterValue, b: &FilterValue) -> Ordering {
    let kind = |value: &FilterValue| match value {
        FilterValue::Flag(_) => 0,
        FilterValue::Number(_) => 1,
        FilterValue::Text(_) => 2,
    };
    match (a, b) {
        (FilterValue::Text(a), FilterValue::Text(b)) => a.cmp(b),
        (FilterValue::Number(a), FilterValue::Number(b)) => a.total_cmp(b),
        (FilterValue::Flag(a), FilterValue::Flag(b)) => a.cmp(b),
        _ => kind(a).cmp(&kind(b)),
    }
}

/// As shown and as sorted by.
pub fn text_of(value: &FilterValue) -> String {
    match value {
        FilterValue::Text(text) => text.clone(),
        FilterValue::Number(number) => number.to_string(),
        FilterValue::Flag(flag) => flag.to_string(),
    }
}
