//! Exact counts of what is found, at any number of hits.

use merx_domain::{FilterValue, ProductNumber};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::column::Column;
use super::{Catalogue, View};

/// Which facet, and how many of its values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FacetRequest {
    pub field: String,
    pub most_values: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FacetValueCount {
    pub value: FilterValue,
    pub count: u32,
}

/// Of the numbers that products have in a field; a product with several counts each.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NumberStatistics {
    pub min: f64,
    pub max: f64,
    pub sum: f64,
    pub count: u32,
}

impl NumberStatistics {
    pub fn mean(&self) -> f64 {
        self.sum / f64::from(self.count.max(1))
    }

    fn add(statistics: &mut Option<Self>, value: f64, count: u32) {
        let known = statistics.get_or_insert(Self { min: value, max: value, sum: 0.0, count: 0 });
        known.min = known.min.min(value);
        known.max = known.max.max(value);
        known.sum += value * f64::from(count);
        known.count += count;
    }
}

/// A facet of what was found, most frequent value first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FacetCounts {
    pub field: String,
    pub values: Vec<FacetValueCount>,
    /// Distinct values, shown or not.
    pub distinct: usize,
    /// Products found that have the field.
    pub covered: usize,
    pub statistics: Option<NumberStatistics>,
}

impl Catalogue {
    pub fn count_facet(&self, request: &FacetRequest, found: &[ProductNumber], view: View<'_>) -> FacetCounts {
        let mut counts =
            FacetCounts { field: request.field.clone(), values: Vec::new(), distinct: 0, covered: 0, statistics: None };
        match self.columns.get(request.field.as_str()) {
            Some(column) => counts.of_column(column, found),
            None => counts.of_own_field(self, found, view),
        }
        counts.distinct = counts.values.len();
        for value in &counts.values {
            if let FilterValue::Number(number) = value.value {
                NumberStatistics::add(&mut counts.statistics, number, value.count);
            }
        }
        counts.values.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| text_of(&a.value).cmp(&text_of(&b.value))));
        counts.values.truncate(request.most_values);
        counts
    }
}

impl FacetCounts {
    fn of_column(&mut self, column: &Column, found: &[ProductNumber]) {
        let mut counts = vec![0u32; column.all().len()];
        for product in found {
            let held = column.held(*product);
            self.covered += usize::from(!held.is_empty());
            held.iter().for_each(|value| counts[*value as usize] += 1);
        }
        let counted = column.all().iter().zip(counts).filter(|(_, count)| *count > 0);
        self.values = counted.map(|(value, count)| FacetValueCount { value: value.clone(), count }).collect();
    }

    fn of_prices(&mut self, catalogue: &Catalogue, found: &[ProductNumber], view: View<'_>) {
        let prices = catalogue.prices.of_market(view.market);
        let mut counts: FxHashMap<u64, u32> = FxHashMap::default();
        for price in found.iter().filter_map(|product| prices.get(*product)) {
            self.covered += 1;
            *counts.entry(price.to_bits()).or_default() += 1;
        }
        let value = |(bits, count)| FacetValueCount { value: FilterValue::Number(f64::from_bits(bits)), count };
        self.values = counts.into_iter().map(value).collect();
    }

    fn of_own_field(&mut self, catalogue: &Catalogue, found: &[ProductNumber], view: View<'_>) {
        let field = self.field.clone();
        if field == "price" {
            return self.of_prices(catalogue, found, view);
        }
        if !matches!(field.as_str(), "in_stock" | "created_at") {
            return;
        }
        let mut counts: FxHashMap<(bool, u64), (FilterValue, u32)> = FxHashMap::default();
        for product in found {
            for value in catalogue.values_of(&field, *product, view) {
                self.covered += 1;
                let key = match &value {
                    FilterValue::Flag(flag) => (true, u64::from(*flag)),
                    FilterValue::Number(number) => (false, number.to_bits()),
                    FilterValue::Text(_) => continue,
                };
                counts.entry(key).or_insert((value, 0)).1 += 1;
            }
        }
        self.values = counts.into_values().map(|(value, count)| FacetValueCount { value, count }).collect();
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
