//! What shoppers see. One folder a subject: `recommend/` chooses products for named slots.
//!
//! Engines here know models and the facts they are handed; they know no store, no consent and no HTTP.

pub mod recommend;
pub mod search;
