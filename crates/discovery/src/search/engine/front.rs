//! What goes before relevance: how near products are, what a search would rather find; and of equal products the first few.

use std::cmp::Ordering;

use merx_domain::ProductNumber;
use merx_domain::search::{Around, Distinct, Preference};
use rustc_hash::FxHashMap;

use crate::search::catalogue::{Catalogue, Predicate, View};

/// Where a product stands among others before relevance parts them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Place {
    /// Steps of the asked precision away.
    steps: u64,
    lacks: bool,
    preferred: f32,
}

impl Place {
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        (self.steps, self.lacks)
            .cmp(&(other.steps, other.lacks))
            .then_with(|| other.preferred.total_cmp(&self.preferred))
    }
}

/// The order of products that a search asks for beside relevance.
pub(super) struct Front<'a> {
    near: Option<Nearness<'a>>,
    preferences: Vec<Preferred<'a>>,
}

struct Preferred<'a> {
    alternatives: Vec<(Predicate<'a>, f32)>,
    summed: bool,
}

impl<'a> Front<'a> {
    /// `None`: relevance alone.
    pub(super) fn of(
        catalogue: &'a Catalogue,
        view: View<'a>,
        around: Option<&'a Around>,
        preferences: &'a [Preference],
    ) -> Option<Self> {
        let preferred = |preference: &'a Preference| Preferred {
            alternatives: preference
                .alternatives
                .iter()
                .map(|(filter, score)| (catalogue.predicate(filter, view), *score))
                .collect(),
            summed: preference.summed,
        };
        let near = around.map(|around| Nearness::new(catalogue, around));
        (near.is_some() || !preferences.is_empty())
            .then(|| Self { near, preferences: preferences.iter().map(preferred).collect() })
    }

    /// `lacks`: words that others have.
    pub(super) fn place(&self, product: ProductNumber, lacks: bool) -> Place {
        let steps = self.near.as_ref().map_or(0, |near| near.steps(product));
        Place { steps, lacks, preferred: self.preferred(product) }
    }

    /// What passes is worth to a product, over all preferences.
    pub(super) fn preferred(&self, product: ProductNumber) -> f32 {
        let worth = |preferred: &Preferred<'_>| {
            let passed = preferred.alternatives.iter().filter(|(predicate, _)| predicate.passes(product));
            let scores = passed.map(|(_, score)| *score);
            if preferred.summed { scores.sum() } else { scores.fold(0.0, f32::max) }
        };
        self.preferences.iter().map(worth).sum()
    }

    pub(super) fn distance_m(&self, product: ProductNumber) -> Option<f64> {
        self.near.as_ref()?.distance_m(product)
    }
}

/// How far products are from where a search looks around.
pub(super) struct Nearness<'a> {
    around: &'a Around,
    latitude: Box<dyn Fn(ProductNumber) -> Option<f64> + 'a>,
    longitude: Box<dyn Fn(ProductNumber) -> Option<f64> + 'a>,
}

impl<'a> Nearness<'a> {
    pub(super) fn new(catalogue: &'a Catalogue, around: &'a Around) -> Self {
        Self {
            around,
            latitude: Box::new(catalogue.numbers(Around::LATITUDE)),
            longitude: Box::new(catalogue.numbers(Around::LONGITUDE)),
        }
    }

    /// `None` for products without a place.
    fn distance_m(&self, product: ProductNumber) -> Option<f64> {
        Some(self.around.distance_m((self.latitude)(product)?, (self.longitude)(product)?))
    }

    fn steps(&self, product: ProductNumber) -> u64 {
        let precision_m = f64::from(self.around.precision_m.max(1));
        self.distance_m(product).map_or(u64::MAX, |distance_m| (distance_m / precision_m) as u64)
    }

    pub(super) fn reaches(&self, product: ProductNumber) -> bool {
        let farthest = self.around.radius_m.map_or(f64::INFINITY, f64::from);
        self.distance_m(product).is_some_and(|distance_m| distance_m <= farthest)
    }
}

/// Counts products by their value of a field, and says of each whether it is among the first.
pub(super) struct Firsts<'a> {
    value: Box<dyn Fn(ProductNumber) -> Option<u32> + 'a>,
    most: u32,
    seen: FxHashMap<u32, u32>,
}

impl<'a> Firsts<'a> {
    pub(super) fn new(catalogue: &'a Catalogue, distinct: &Distinct) -> Self {
        Self {
            value: Box::new(catalogue.first_values(&distinct.field)),
            most: distinct.most,
            seen: FxHashMap::default(),
        }
    }

    pub(super) fn takes(&mut self, product: ProductNumber) -> bool {
        let Some(value) = (self.value)(product) else { return true };
        let seen = self.seen.entry(value).or_default();
        *seen += 1;
        *seen <= self.most
    }
}
