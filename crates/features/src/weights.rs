//! Keys with weights, at most `N` of them, in one piece of memory.

use crate::codec::{Reader, write_floats, write_varint};

/// In the order of arrival. Where it is full, the weakest gives way to a new one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Weights<const N: usize> {
    count: usize,
    keys: [u32; N],
    weights: [f32; N],
}

impl<const N: usize> Default for Weights<N> {
    fn default() -> Self {
        Self { count: 0, keys: [0; N], weights: [0.0; N] }
    }
}

impl<const N: usize> Weights<N> {
    /// Adds to the weight of a key, which never falls below 0. What is unknown and has nothing to give is left out.
    pub(crate) fn add(&mut self, key: u32, weight: f32) {
        if let Some(place) = self.keys[..self.count].iter().position(|known| *known == key) {
            self.weights[place] = (self.weights[place] + weight).max(0.0);
        } else if weight > 0.0 {
            let place = self.free_place();
            self.keys[place] = key;
            self.weights[place] = weight;
        }
    }

    /// A place at the end, else the weakest one's.
    fn free_place(&mut self) -> usize {
        if self.count < N {
            self.count += 1;
            return self.count - 1;
        }
        let weakest = |best: usize, place: usize| if self.weights[place] < self.weights[best] { place } else { best };
        (1..N).fold(0, weakest)
    }

    pub(crate) fn weights_mut(&mut self) -> &mut [f32] {
        &mut self.weights[..self.count]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, f32)> {
        self.keys[..self.count].iter().copied().zip(self.weights[..self.count].iter().copied())
    }

    /// Keys above 0 with what is `left` of their weight, strongest first, equal ones by key.
    pub(crate) fn strongest(&self, left: f32) -> Vec<(u32, f32)> {
        let faded = self.iter().map(|(key, weight)| (key, weight * left));
        let mut pairs: Vec<_> = faded.filter(|(_, weight)| *weight > 0.0).collect();
        pairs.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        pairs
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(self.count as u8);
        for key in &self.keys[..self.count] {
            write_varint(out, u64::from(*key));
        }
        write_floats(out, &self.weights[..self.count]);
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Option<Self> {
        let mut read = Self { count: usize::from(input.byte()?), ..Self::default() };
        for key in read.keys.get_mut(..read.count)? {
            *key = input.varint_u32()?;
        }
        for weight in read.weights_mut() {
            *weight = input.float()?;
        }
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weakest_gives_way() {
        let mut weights = Weights::<3>::default();
        for (key, weight) in [(7, 2.0), (8, 1.0), (9, 3.0), (8, 4.0), (10, 0.5), (11, -1.0), (9, -9.0)] {
            weights.add(key, weight);
        }
        assert_eq!(weights.strongest(0.5), [(8, 2.5), (10, 0.25)]);
        let mut bytes = Vec::new();
        weights.write(&mut bytes);
        assert_eq!(Weights::read(&mut Reader(&bytes)), Some(weights));
        assert_eq!(Weights::<2>::read(&mut Reader(&bytes)), None);
    }
}
