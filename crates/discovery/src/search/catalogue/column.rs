//! One field of all products: which of its distinct values each has.

use std::hash::BuildHasher;

use compact_str::CompactString;
use merx_domain::{FilterValue, ProductNumber};
use rustc_hash::{FxBuildHasher, FxHashMap};

use super::facets::Found;

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

const NONE: u32 = u32::MAX;
/// Set where several values are held: the rest is the number of their list.
const LIST: u32 = 1 << 31;

/// A word a product: nothing, the number of a value, or of a list of them. Fields that few products have are kept by
/// product: of thousands of attributes most are such.
#[derive(Debug, Clone)]
enum Words {
    Few(FxHashMap<u32, u32>),
    All(Vec<u32>),
}

impl Default for Words {
    fn default() -> Self {
        Self::Few(FxHashMap::default())
    }
}

impl Words {
    #[inline]
    fn get(&self, product: usize) -> u32 {
        match self {
            Self::Few(words) => words.get(&(product as u32)).copied().unwrap_or(NONE),
            Self::All(words) => words.get(product).copied().unwrap_or(NONE),
        }
    }

    fn set(&mut self, product: usize, word: u32) {
        // An entry of a table costs about as much as five words.
        const COST: usize = 5;
        match self {
            Self::Few(words) if word == NONE => {
                words.remove(&(product as u32));
            }
            Self::Few(words) => {
                words.insert(product as u32, word);
                if words.len() < 64 || !words.len().is_power_of_two() {
                    return;
                }
                let last = words.keys().max().map_or(0, |last| *last as usize);
                if words.len() * COST > last {
                    let mut all = vec![NONE; last + 1];
                    words.iter().for_each(|(product, word)| all[*product as usize] = *word);
                    *self = Self::All(all);
                }
            }
            Self::All(words) => {
                if words.len() <= product {
                    words.resize(product + 1, NONE);
                }
                words[product] = word;
            }
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Column {
    values: Vec<FilterValue>,
    /// Products that have each value.
    products: Vec<u32>,
    numbers: FxHashMap<Key, u32>,
    words: Words,
    lists: Lists,
}

/// Several values of one product: products of a category have the same ones, so each list is kept once.
#[derive(Debug, Clone, Default)]
struct Lists {
    lists: Vec<Box<[u32]>>,
    /// Products that have each list.
    products: Vec<u32>,
    /// By hash. Of two lists with the same one, the second isn't found again.
    numbers: FxHashMap<u64, u32>,
    /// Lists that no product has any more.
    free: Vec<u32>,
}

impl Lists {
    fn add(&mut self, list: Box<[u32]>) -> u32 {
        let key = FxBuildHasher.hash_one(&list);
        if let Some(&number) = self.numbers.get(&key).filter(|number| self.lists[**number as usize] == list) {
            self.products[number as usize] += 1;
            return number;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.lists.push(Box::default());
            self.products.push(0);
            self.lists.len() as u32 - 1
        });
        self.lists[number as usize] = list;
        self.products[number as usize] = 1;
        self.numbers.entry(key).or_insert(number);
        number
    }

    fn remove(&mut self, number: u32) {
        let place = number as usize;
        self.products[place] -= 1;
        if self.products[place] == 0 {
            let key = FxBuildHasher.hash_one(std::mem::take(&mut self.lists[place]));
            if self.numbers.get(&key) == Some(&number) {
                self.numbers.remove(&key);
            }
            self.free.push(number);
        }
    }

    fn get(&self, number: u32) -> &[u32] {
        &self.lists[number as usize]
    }
}

impl Column {
    pub(super) fn set(&mut self, product: ProductNumber, values: Vec<FilterValue>) {
        self.clear(product);
        let mut numbers: Vec<u32> = values.into_iter().filter_map(|value| self.intern(value)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.iter().for_each(|number| self.products[*number as usize] += 1);
        let word = match numbers.as_slice() {
            [] => return,
            [one] => *one,
            _ => LIST | self.lists.add(numbers.into()),
        };
        self.words.set(product.index(), word);
    }

    pub(super) fn clear(&mut self, product: ProductNumber) {
        let word = self.words.get(product.index());
        if word == NONE {
            return;
        }
        let held: Vec<u32> = self.held(product).to_vec();
        held.iter().for_each(|number| self.products[*number as usize] -= 1);
        if word & LIST != 0 {
            self.lists.remove(word & !LIST);
        }
        self.words.set(product.index(), NONE);
    }

    /// `None` where there are more values than can be numbered.
    fn intern(&mut self, value: FilterValue) -> Option<u32> {
        let next = self.values.len() as u32;
        if next >= LIST {
            return None;
        }
        let number = *self.numbers.entry(key(&value)).or_insert(next);
        if number == next {
            self.values.push(value);
            self.products.push(0);
        }
        Some(number)
    }

    /// The numbers of a product's values.
    #[inline]
    pub(super) fn held(&self, product: ProductNumber) -> Held<'_> {
        match self.words.get(product.index()) {
            NONE => Held::None,
            word if word & LIST != 0 => Held::List(self.lists.get(word & !LIST)),
            value => Held::One([value]),
        }
    }

    /// How many of the products found have any value, and how many have each, by number.
    pub(super) fn count(&self, found: &Found<'_>) -> (usize, Vec<u32>) {
        let products = found.products();
        let mut tally = Tally::new(self, products.len());
        match &self.words {
            Words::All(words) => {
                products.iter().for_each(|product| tally.add(words.get(product.index()).copied().unwrap_or(NONE)));
            }
            // Whichever are fewer are looked up among the others.
            Words::Few(words) if words.len() < products.len() => {
                let held = words.iter().filter(|(product, _)| found.has(**product));
                held.for_each(|(_, word)| tally.add(*word));
            }
            Words::Few(_) => products.iter().for_each(|product| tally.add(self.words.get(product.index()))),
        }
        tally.counted()
    }

    /// The number that a product has, where it has one value and that is a number.
    #[inline]
    pub(super) fn number(&self, product: ProductNumber) -> Option<f64> {
        match self.values.get(self.words.get(product.index()) as usize)? {
            FilterValue::Number(number) => Some(*number),
            FilterValue::Text(_) | FilterValue::Flag(_) => None,
        }
    }

    pub(super) fn of(&self, product: ProductNumber) -> Vec<FilterValue> {
        self.held(product).iter().map(|number| self.values[*number as usize].clone()).collect()
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

/// Counts of a column's values among products.
struct Tally<'a> {
    lists: &'a Lists,
    covered: usize,
    counts: Vec<u32>,
    /// Where there are more products than lists, lists are counted first.
    of_lists: Vec<u32>,
}

impl<'a> Tally<'a> {
    fn new(column: &'a Column, products: usize) -> Self {
        let lists = column.lists.lists.len();
        let of_lists = vec![0; if lists < products { lists } else { 0 }];
        Self { lists: &column.lists, covered: 0, counts: vec![0; column.values.len()], of_lists }
    }

    // Millions of times a search, at a few places: left to itself, the compiler calls it.
    #[inline(always)]
    fn add(&mut self, word: u32) {
        if word == NONE {
            return;
        }
        self.covered += 1;
        if word & LIST == 0 {
            self.counts[word as usize] += 1;
        } else if let Some(count) = self.of_lists.get_mut((word & !LIST) as usize) {
            *count += 1;
        } else {
            self.lists.get(word & !LIST).iter().for_each(|value| self.counts[*value as usize] += 1);
        }
    }

    fn counted(mut self) -> (usize, Vec<u32>) {
        for (list, count) in self.lists.lists.iter().zip(self.of_lists).filter(|(_, count)| *count > 0) {
            list.iter().for_each(|value| self.counts[*value as usize] += count);
        }
        (self.covered, self.counts)
    }
}

/// Reads as a slice of numbers of values.
pub(super) enum Held<'a> {
    None,
    One([u32; 1]),
    List(&'a [u32]),
}

impl std::ops::Deref for Held<'_> {
    type Target = [u32];

    #[inline]
    fn deref(&self) -> &[u32] {
        match self {
            Self::None => &[],
            Self::One(one) => one,
            Self::List(list) => list,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_held_counted_and_given_up_however_many_products_there_are() {
        let text = |value: u32| FilterValue::Text(format!("v{value}"));
        let mut column = Column::default();
        let values =
            |product: u32| (0..product % 3).map(|value| text(value + product % 2)).collect::<Vec<FilterValue>>();
        for product in (0..500).rev() {
            column.set(ProductNumber(product), vec![text(9)]);
            column.set(ProductNumber(product), values(product));
        }
        column.clear(ProductNumber(1));
        let held = |product: u32| column.of(ProductNumber(product));
        assert_eq!((held(0), held(1), held(4), held(5)), (vec![], vec![], vec![text(0)], vec![text(1), text(2)]));
        assert!((2..500).all(|product| held(product).len() == values(product).len()));
        let total: u32 = column.values().map(|(_, products)| products).sum();
        assert_eq!(
            total as usize,
            (0..500).filter(|product| *product != 1).map(|product| values(product).len()).sum::<usize>()
        );
        assert!(column.values().all(|(value, _)| *value != text(9)));
        // Six lists stand for a third of all products; what nobody has any more is held by none.
        assert_eq!(column.lists.products.iter().sum::<u32>(), 166);
        assert!(column.lists.lists.len() <= 8);
        for step in [1, 300] {
            let products: Vec<ProductNumber> = (0..500).step_by(step).map(ProductNumber).collect();
            let (covered, counts) = column.count(&Found::new(products.as_slice()));
            let held = products.iter().map(|product| column.of(*product)).filter(|held| !held.is_empty());
            assert_eq!(covered, held.clone().count());
            for (value, count) in column.all().iter().zip(counts) {
                assert_eq!(count as usize, held.clone().filter(|held| held.contains(value)).count());
            }
        }
    }
}
