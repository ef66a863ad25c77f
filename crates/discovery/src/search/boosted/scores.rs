//! The scores of many rows at once.
//!
//! Walking a tree row by row, the processor guesses every branch, and guesses half of them wrong. QuickScorer (Lucchese et al. 2015)
//! asks all nodes instead: each that a row fails strikes out the leaves on its left, and the first leaf left over is the row's. A node
//! is asked for all rows in one pass over a column.

use merx_numeric::kernels::keep_bits_above;

use super::{Forest, Tree};

/// Leaves that a set of bits holds.
const MOST_LEAVES: usize = u32::BITS as usize;

/// The leaves from left to right, and what each node strikes out.
#[derive(Default)]
struct Struck {
    leaves: Vec<f32>,
    /// By node: the leaves that stay where it is failed.
    kept: Vec<u32>,
}

impl Struck {
    fn new(tree: &Tree) -> Self {
        let mut struck = Self { leaves: Vec::with_capacity(tree.leaves.len()), kept: vec![0; tree.nodes.len()] };
        struck.visit(tree, if tree.nodes.is_empty() { -1 } else { 0 });
        struck
    }

    fn visit(&mut self, tree: &Tree, child: i16) {
        match usize::try_from(child) {
            Ok(node) => {
                let first = self.leaves.len();
                self.visit(tree, tree.nodes[node].left);
                let left = (1u64 << self.leaves.len()) - (1u64 << first);
                self.kept[node] = !(left as u32);
                self.visit(tree, tree.nodes[node].right);
            }
            Err(_) => self.leaves.push(tree.leaves[(-i32::from(child) - 1) as usize]),
        }
    }
}

impl Forest {
    /// Adds to `scores` what the trees say of each row of `width` values. Each score is the same as that of the row by itself.
    pub fn add_scores(&self, rows: &[f32], width: usize, scores: &mut [f32]) {
        let count = scores.len();
        let mut columns = vec![0.0; rows.len()];
        for (place, row) in rows.chunks_exact(width).enumerate() {
            row.iter().enumerate().for_each(|(feature, value)| columns[feature * count + place] = *value);
        }
        let mut sums = vec![0.0; count];
        let mut open = vec![0u32; count];
        for tree in &self.trees {
            if tree.leaves.len() > MOST_LEAVES {
                sums.iter_mut().zip(rows.chunks_exact(width)).for_each(|(sum, row)| *sum += tree.value(row));
                continue;
            }
            let Struck { leaves, kept } = Struck::new(tree);
            open.fill(u32::MAX);
            for (node, kept) in tree.nodes.iter().zip(kept) {
                let column = &columns[usize::from(node.feature) * count..][..count];
                keep_bits_above(column, node.threshold, kept, &mut open);
            }
            sums.iter_mut().zip(&open).for_each(|(sum, open)| *sum += leaves[open.trailing_zeros() as usize]);
        }
        scores.iter_mut().zip(sums).for_each(|(score, sum)| *score += sum);
    }
}
