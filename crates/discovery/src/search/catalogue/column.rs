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

/// What a product has of a field, as a number: nothing, a value, or a list of several. Small numbers for what came first, so that
/// fields of few values need few bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Nothing,
    Value(u32),
    List(u32),
}

/// Values and lists are numbered below this.
const MOST_NUMBERED: u32 = (1 << 31) - 1;

impl Word {
    const NOTHING: u32 = 0;

    #[inline]
    fn code(self) -> u32 {
        match self {
            Self::Nothing => Self::NOTHING,
            Self::Value(number) => 2 * number + 1,
            Self::List(number) => 2 * number + 2,
        }
    }

    #[inline]
    fn of(code: u32) -> Self {
        match code.checked_sub(1) {
            None => Self::Nothing,
            Some(rest) if rest % 2 == 0 => Self::Value(rest / 2),
            Some(rest) => Self::List(rest / 2),
        }
    }
}

/// Codes of words by product. Fields that few products have are kept by product: of thousands of attributes most are such.
#[derive(Debug, Clone)]
enum Words {
    Few(FxHashMap<u32, u32>),
    All(Packed),
}

/// A code a product, all in as many bytes as the largest needs.
#[derive(Debug, Clone)]
enum Packed {
    One(Vec<u8>),
    Two(Vec<u16>),
    Four(Vec<u32>),
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
            Self::Few(codes) => codes.get(&(product as u32)).copied().unwrap_or(Word::NOTHING),
            Self::All(packed) => packed.get(product),
        }
    }

    fn set(&mut self, product: usize, code: u32) {
        // An entry of a table costs about as much as so many products' words.
        const COST: usize = 5;
        match self {
            Self::Few(codes) if code == Word::NOTHING => {
                codes.remove(&(product as u32));
            }
            Self::Few(codes) => {
                codes.insert(product as u32, code);
                if codes.len() < 64 || !codes.len().is_power_of_two() {
                    return;
                }
                let last = codes.keys().max().map_or(0, |last| *last as usize);
                if codes.len() * COST > last {
                    let mut all = Packed::One(vec![0; last + 1]);
                    codes.iter().for_each(|(product, code)| all.set(*product as usize, *code));
                    *self = Self::All(all);
                }
            }
            Self::All(packed) => packed.set(product, code),
        }
    }
}

impl Packed {
    #[inline]
    fn get(&self, product: usize) -> u32 {
        let code = match self {
            Self::One(codes) => codes.get(product).map(|code| u32::from(*code)),
            Self::Two(codes) => codes.get(product).map(|code| u32::from(*code)),
            Self::Four(codes) => codes.get(product).copied(),
        };
        code.unwrap_or(Word::NOTHING)
    }

    fn set(&mut self, product: usize, code: u32) {
        match self {
            Self::One(codes) => match u8::try_from(code) {
                Ok(code) => put(codes, product, code),
                Err(_) => {
                    *self = Self::Two(codes.iter().map(|code| u16::from(*code)).collect());
                    self.set(product, code);
                }
            },
            Self::Two(codes) => match u16::try_from(code) {
                Ok(code) => put(codes, product, code),
                Err(_) => {
                    *self = Self::Four(codes.iter().map(|code| u32::from(*code)).collect());
                    self.set(product, code);
                }
            },
            Self::Four(codes) => put(codes, product, code),
        }
    }
}

fn put<T: Clone + Default>(codes: &mut Vec<T>, product: usize, code: T) {
    if codes.len() <= product {
        codes.resize(product + 1, T::default());
    }
    codes[product] = code;
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
            [one] => Word::Value(*one),
            _ => Word::List(self.lists.add(numbers.into())),
        };
        self.words.set(product.index(), word.code());
    }

    pub(super) fn clear(&mut self, product: ProductNumber) {
        let word = self.word(product);
        if word == Word::Nothing {
            return;
        }
        let held: Vec<u32> = self.held(product).to_vec();
        held.iter().for_each(|number| self.products[*number as usize] -= 1);
        if let Word::List(number) = word {
            self.lists.remove(number);
        }
        self.words.set(product.index(), Word::NOTHING);
    }

    /// `None` where there are more values than can be numbered.
    fn intern(&mut self, value: FilterValue) -> Option<u32> {
        let next = self.values.len() as u32;
        if next >= MOST_NUMBERED {
            return None;
        }
        let number = *self.numbers.entry(key(&value)).or_insert(next);
        if number == next {
            self.values.push(value);
            self.products.push(0);
        }
        Some(number)
    }

    #[inline]
    fn word(&self, product: ProductNumber) -> Word {
        Word::of(self.words.get(product.index()))
    }

    /// The numbers of a product's values.
    #[inline]
    pub(super) fn held(&self, product: ProductNumber) -> Held<'_> {
        match self.word(product) {
            Word::Nothing => Held::None,
            Word::Value(value) => Held::One([value]),
            Word::List(list) => Held::List(self.lists.get(list)),
        }
    }

    /// How many of the products found have which value, by the value's number, ascending, and how many have any.
    pub(super) fn count(&self, found: &Found<'_>) -> Counts {
        // A code's place in a table costs about as much to make and look through as so many products cost to sort.
        const COST: usize = 8;
        let products = found.products();
        let codes = 2 * self.values.len().max(self.lists.lists.len()) + 1;
        let of_codes = match &self.words {
            // Whichever are fewer are looked up among the others.
            Words::Few(words) if words.len() < products.len() => {
                count_sorted(words.iter().filter(|(product, _)| found.has(**product)).map(|(_, code)| *code))
            }
            Words::All(packed) if products.len() >= codes / COST => match packed {
                Packed::One(of_products) => count_in_table(codes, of_products, products),
                Packed::Two(of_products) => count_in_table(codes, of_products, products),
                Packed::Four(of_products) => count_in_table(codes, of_products, products),
            },
            words => count_sorted(products.iter().map(|product| words.get(product.index()))),
        };
        self.counts(of_codes)
    }

    /// Of values, from those of codes.
    fn counts(&self, of_codes: Vec<(u32, u32)>) -> Counts {
        let mut counts = Counts::default();
        let mut of_lists = false;
        for (code, count) in of_codes {
            match Word::of(code) {
                Word::Nothing => continue,
                Word::Value(value) => counts.of_values.push((value, count)),
                Word::List(list) => {
                    counts.of_values.extend(self.lists.get(list).iter().map(|value| (*value, count)));
                    of_lists = true;
                }
            }
            counts.covered += count as usize;
        }
        if of_lists {
            counts.of_values.sort_unstable();
            add_equal(&mut counts.of_values);
        }
        counts
    }

    /// The number that a product has, where it has one value and that is a number.
    #[inline]
    pub(super) fn number(&self, product: ProductNumber) -> Option<f64> {
        let Word::Value(value) = self.word(product) else { return None };
        match self.values.get(value as usize)? {
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

/// Of a column's values among products.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Products that have any.
    pub(super) covered: usize,
    /// The numbers of values that some have, and how many have each.
    pub(super) of_values: Vec<(u32, u32)>,
}

/// Adds up the counts of neighbours that are the same.
pub(super) fn add_equal<T: PartialEq>(counts: &mut Vec<(T, u32)>) {
    counts.dedup_by(|(value, more), (before, count)| {
        let same = value == before;
        *count += if same { *more } else { 0 };
        same
    });
}

fn count_sorted(codes: impl Iterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut codes: Vec<u32> = codes.collect();
    codes.sort_unstable();
    codes.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u32)).collect()
}

/// `codes`: all are below.
fn count_in_table<T: Copy + Into<u32>>(codes: usize, of_products: &[T], products: &[ProductNumber]) -> Vec<(u32, u32)> {
    // Products beside each other often have the same code, and processors wait to add to a number that has just been added to: so
    // neighbours count in tables of their own, unless those were too large to stay near.
    const NEAR: usize = 4_096;
    let counts = if codes <= NEAR {
        count_in_tables::<T, 4>(codes, of_products, products)
    } else {
        count_in_tables::<T, 1>(codes, of_products, products)
    };
    (0u32..).zip(counts).filter(|(_, count)| *count > 0).collect()
}

fn count_in_tables<T: Copy + Into<u32>, const TABLES: usize>(
    codes: usize,
    of_products: &[T],
    products: &[ProductNumber],
) -> Vec<u32> {
    let mut counts = vec![0_u32; TABLES * codes];
    let code = |product: &ProductNumber| of_products.get(product.index()).map_or(Word::NOTHING, |code| (*code).into());
    let mut add = |table: usize, product: &ProductNumber| counts[table * codes + code(product) as usize] += 1;
    let (neighbours, rest) = products.as_chunks::<TABLES>();
    for neighbours in neighbours {
        neighbours.iter().enumerate().for_each(|(table, product)| add(table, product));
    }
    rest.iter().for_each(|product| add(0, product));
    let (first, others) = counts.split_at_mut(codes);
    for table in others.chunks_exact(codes) {
        first.iter_mut().zip(table).for_each(|(count, more)| *count += more);
    }
    counts.truncate(codes);
    counts
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
    fn a_column_grows_with_its_values_and_counts_as_few_or_as_many_as_are_found() {
        let mut column = Column::default();
        let held = |product: u32, distinct: u32| product * 11 % distinct;
        for distinct in [50, 1_000, 70_000] {
            for product in 0..150_000 {
                column.set(ProductNumber(product), vec![FilterValue::Number(f64::from(held(product, distinct)))]);
            }
            for step in [1, 7, 40_000] {
                let products: Vec<ProductNumber> = (0..150_010).step_by(step).map(ProductNumber).collect();
                let counts = column.count(&Found::new(products.as_slice()));
                let mut expected: FxHashMap<u32, u32> = FxHashMap::default();
                let there = products.iter().filter(|product| product.0 < 150_000);
                there.for_each(|product| *expected.entry(held(product.0, distinct)).or_default() += 1);
                let number = |value: u32| match &column.all()[value as usize] {
                    FilterValue::Number(number) => *number as u32,
                    FilterValue::Text(_) | FilterValue::Flag(_) => u32::MAX,
                };
                let counted = counts.of_values.iter().map(|(value, count)| (number(*value), *count));
                assert_eq!(counted.collect::<FxHashMap<u32, u32>>(), expected);
                assert_eq!(counts.covered, expected.values().sum::<u32>() as usize);
            }
        }
        assert!(matches!(column.words, Words::All(Packed::Four(_))));
        assert_eq!(column.number(ProductNumber(149_999)), Some(f64::from(held(149_999, 70_000))));
        assert_eq!(column.number(ProductNumber(150_000)), None);
    }

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
            let counts = column.count(&Found::new(products.as_slice()));
            let held = products.iter().map(|product| column.of(*product)).filter(|held| !held.is_empty());
            assert_eq!(counts.covered, held.clone().count());
            for (number, value) in (0u32..).zip(column.all()) {
                let count =
                    counts.of_values.iter().find(|(counted, _)| *counted == number).map_or(0, |(_, count)| *count);
                assert_eq!(count as usize, held.clone().filter(|held| held.contains(value)).count());
            }
        }
    }
}
