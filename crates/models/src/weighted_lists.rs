//! Lists of weighted numbers, one after the other in memory: a list is found and read with two look-ups.

use merx_numeric::kernels::prefetch;

#[derive(Debug, Clone)]
pub(crate) struct WeightedLists {
    /// List `i` is `entries[offsets[i]..offsets[i + 1]]`.
    offsets: Vec<u32>,
    entries: Vec<(u32, f32)>,
}

impl WeightedLists {
    pub(crate) fn new<'a>(lists: impl IntoIterator<Item = &'a [(u32, f32)]>) -> Self {
        let mut all = Self { offsets: vec![0], entries: Vec::new() };
        for list in lists {
            all.entries.extend_from_slice(list);
            all.offsets.push(all.entries.len() as u32);
        }
        all.entries.shrink_to_fit();
        all
    }

    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    #[inline]
    pub(crate) fn list(&self, number: u32) -> &[(u32, f32)] {
        &self.entries[self.offsets[number as usize] as usize..self.offsets[number as usize + 1] as usize]
    }

    /// Asks for what a later `list` reads first.
    #[inline]
    pub(crate) fn prefetch_offset(&self, number: u32) {
        prefetch(&self.offsets, number as usize, 2);
    }

    /// Asks for what a later `list` reads then.
    #[inline]
    pub(crate) fn prefetch_list(&self, number: u32) {
        if let (Some(start), Some(end)) = (self.offsets.get(number as usize), self.offsets.get(number as usize + 1)) {
            prefetch(&self.entries, *start as usize, (end - start) as usize);
        }
    }
}
