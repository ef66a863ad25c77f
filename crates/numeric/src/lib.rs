//! Numbers without meaning: seeded randomness, kernels, sparse matrices, selection of the largest, search by inner product and direction,
//! small factorisations and distribution functions.
//!
//! Nothing here knows a shop. All parallel work gives the same bits whatever the number of threads: it is cut into
//! parts of a fixed size, and parts are put together in order. What differs between machines is only whether
//! multiplications and additions are fused and how many lanes a vector has.

mod cpu;
pub mod directions;
pub mod distributions;
pub mod inner_product;
pub mod kernels;
pub mod rng;
pub mod sparse;
pub mod spectral;
pub mod top_k;
