//! One field of all products: which of its distinct values each has.

use compact_str::CompactString;
use merx_domain::{FilterValue, ProductNumber};
use rustc_hash::FxHashMap;

/// Which values a product has. Most have none or one.
#[derive(Debug, Clone, Default)]
enum Held {
    #[default]
    None,
    One(u32),
    Many(Box<[u32]>),
}

impl Held {
    fn as_slice(&self) -> &[u32] {
        match self {
            Self::None => &[],
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

/// What tells values apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Text(CompactString),
    Number(u64),
    Flag(bool),
}

fn key(value: &FilterValue) -> Key {
    match value {
        FilterValue::Text(text) => Key::Text(text.as_str().into()),
        // 0 and -0 are one value.
        FilterValue::Number(number) => Key::Number((number + 0.0).to_bits()),
        FilterValue::Flag(flag) => Key::Flag(*flag),
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Column {
    values: Vec<FilterValue>,
    /// Products that have each value.
    products: Vec<u32>,
    numbers: FxHashMap<Key, u32>,
    held: Vec<Held>,
}

impl Column {
    pub(super) fn set(&mut self, product: ProductNumber, values: Vec<FilterValue>) {
        self.clear(product);
        let mut numbers: Vec<u32> = values.into_iter().map(|value| self.intern(value)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.iter().for_each(|number| self.products[*number as usize] += 1);
        if self.held.len() <= product.index() {
            self.held.resize(product.index() + 1, Held::None);
        }
        self.held[product.index()] = match numbers.as_slice() {
            [] => Held::None,
            [one] => Held::One(*one),
            _ => Held::Many(numbers.into()),
        };
    }

    pub(super) fn clear(&mut self, product: ProductNumber) {
        if let Some(held) = self.held.get_mut(product.index()) {
            for number in std::mem::take(held).as_slice() {
                self.products[*number as usize] -= 1;
            }
        }
    }

    fn intern(&mut self, value: FilterValue) -> u32 {
        let next = self.values.len() as u32;
        let number = *self.numbers.entry(key(&value)).or_insert(next);
        if number == next {
            self.values.push(value);
            self.products.push(0);
        }
        number
    }

    /// The numbers of a product's values.
    #[inline]
    pub(super) fn held(&self, product: ProductNumber) -> &[u32] {
        self.held.get(product.index()).map_or(&[], Held::as_slice)
    }

    pub(super) fn of(&self, product: ProductNumber) -> impl Iterator<Item = &FilterValue> {
        self.held(product).iter().map(|number| &self.values[*number as usize])
    }

    /// All values by number; some that no product has any more.
    pub(super) fn all(&self) -> &[FilterValue] {
        &self.values
    }

    /// Values that some product has, and how many have each.
    pub(super) fn values(&self) -> impl Iterator<Item = (&FilterValue, u32)> {
        self.values.iter().zip(self.products.iter().copied()).filter(|(_, products)| *products > 0)
    }
}
