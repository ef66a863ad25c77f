//! Which blocks a page shows, and in which order: a contextual bandit over orders, with the shop's own order as its default.
//!
//! A block's promise is linear in what is known of the visit, with its uncertainty counted in its favour (LinUCB: Li, Chu, Langford and
//! Schapire, WWW 2010, algorithm 1). Blocks are drawn from the top on, each with a chance that grows with its promise (Plackett, "The
//! analysis of permutations", Applied Statistics 1975), so that every order has a known chance, which the record keeps.

mod draw;
mod engine;
mod gate;
mod model;

pub use engine::LayoutEngine;
pub use gate::{LayoutGate, LayoutQuality, LayoutVerdict};
pub(crate) use model::FORMAT;
pub use model::{LayoutLearner, LayoutModel, LayoutRow, Visit};
