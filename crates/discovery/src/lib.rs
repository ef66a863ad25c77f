//! What shoppers see. One folder a subject: `recommend/` chooses products for named slots, `layout/` the order of a page's
//! blocks.
//!
//! Engines here know models and the facts they are handed; they know no store, no consent and no HTTP.

pub mod layout;
pub mod recommend;
pub mod search;
