//! Neural encoders in this process, behind [`merx_models::TextEncoder`]: the only crate that knows a tensor library.
//!
//! Nothing here knows products, searches, configuration or the network. Weights are files that the operator put there.

mod sentence;

pub use sentence::{OpenError, SentenceEncoder, SentenceSettings};
