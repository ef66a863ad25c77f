//! Words by what is left of them when letters are taken away, and by their sound.

use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashSet, FxHasher};

use crate::search::lexicon::Lexicon;

/// Only the first letters are looked at; the cost function sees the rest.
const PREFIX: usize = 7;
const LONGEST: usize = 40;
/// So many words are enough for any language; of more, the rarest are left out.
const MOST_WORDS: usize = 200_000;
/// Candidates of one look-up are bounded, whatever the catalogue.
const MOST_CANDIDATES: usize = 512;

/// Pairs of a key's hash and a word's number, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Deletions {
    entries: Vec<(u32, u32)>,
    /// Of words that came later, in order too; few enough to be moved at each.
    later: Vec<(u32, u32)>,
}

/// Words that come later than these wait for the next building.
const MOST_LATER: usize = 100_000;

fn is_correctable(text: &str) -> bool {
    text.chars().all(char::is_alphabetic) && (3..=LONGEST).contains(&text.chars().count())
}

impl Deletions {
    pub(super) fn new(lexicon: &Lexicon) -> Self {
        let words = lexicon.words();
        let mut numbers: Vec<u32> = (0..words.len() as u32)
            .filter(|number| words[*number as usize].products > 0 && is_correctable(&words[*number as usize].text))
            .collect();
        if numbers.len() > MOST_WORDS {
            numbers.sort_by_key(|number| (std::cmp::Reverse(words[*number as usize].products), *number));
            numbers.truncate(MOST_WORDS);
        }
        let mut entries: Vec<(u32, u32)> = Vec::with_capacity(numbers.len() * 20);
        for number in numbers {
            entries.extend(keys(&words[number as usize].text).into_iter().map(|key| (key, number)));
        }
        entries.sort_unstable();
        Self { entries, later: Vec::new() }
    }

    pub(super) fn add(&mut self, number: u32, word: &str) {
        if self.later.len() < MOST_LATER && is_correctable(word) {
            for key in keys(word) {
                let entry = (key, number);
                let place = self.later.partition_point(|known| *known < entry);
                self.later.insert(place, entry);
            }
        }
    }

    /// Words that may be meant, each once.
    pub(super) fn candidates(&self, word: &str) -> Vec<u32> {
        let mut found: FxHashSet<u32> = FxHashSet::default();
        for key in keys(word) {
            for entries in [&self.entries, &self.later] {
                let start = entries.partition_point(|entry| entry.0 < key);
                let of_key = entries[start..].iter().take_while(|entry| entry.0 == key);
                found.extend(of_key.take(MOST_CANDIDATES - found.len().min(MOST_CANDIDATES)).map(|entry| entry.1));
            }
        }
        let mut found: Vec<u32> = found.into_iter().collect();
        found.sort_unstable();
        found
    }
}

fn keys(word: &str) -> Vec<u32> {
    let letters: Vec<char> = word.chars().take(PREFIX).collect();
    let mut keys: FxHashSet<u32> = [hash(&letters), sound(word)].into_iter().collect();
    let depth = if word.chars().count() <= 4 { 1 } else { 2 };
    for first in 0..letters.len() {
        let mut one = letters.clone();
        one.remove(first);
        keys.insert(hash(&one));
        for second in first..if depth == 2 { one.len() } else { 0 } {
            let mut two = one.clone();
            two.remove(second);
            keys.insert(hash(&two));
        }
    }
    keys.into_iter().collect()
}

fn hash(letters: &[char]) -> u32 {
    let mut hasher = FxHasher::default();
    letters.hash(&mut hasher);
    (hasher.finish() >> 32) as u32
}

/// A coarse key of how a word sounds: letters that are confused are one, vowels beyond the first fall away.
fn sound(word: &str) -> u32 {
    const SOUND: char = '\u{1}';
    let mut key = vec![SOUND];
    for letter in word.replace("ph", "f").chars() {
        let class = match letter {
            'a' | 'e' | 'i' | 'o' | 'u' | 'y' | 'w' | 'h' => 'a',
            'c' | 'k' | 'q' | 'g' => 'k',
            's' | 'z' | 'x' => 's',
            'd' | 't' => 't',
            'b' | 'p' => 'p',
            'f' | 'v' => 'f',
            'm' | 'n' => 'n',
            other => other,
        };
        let repeats = key.last() == Some(&class);
        if !(repeats || class == 'a' && key.len() > 1) {
            key.push(class);
        }
    }
    hash(&key)
}
