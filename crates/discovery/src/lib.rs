//! What shoppers see. One folder a subject: `recommend/` chooses products for named slots, `layout/` the order of a page's
//! blocks.
//!
//! Engines here know models and the facts they are handed; they know no store, no consent and no HTTP.

pub mod layout;
pub mod recommend;
pub mod search;

use merx_models::Format;

/// In which forms what was learnt is kept.
pub const FORMATS: &[Format] = &[
    Format { name: "recommendations", reads: (1, recommend::NEWEST_READ), writes: recommend::FORMAT },
    Format { name: "ranking of searches", reads: (1, search::FORMAT), writes: search::FORMAT },
    Format { name: "order of a page", reads: (1, layout::FORMAT), writes: layout::FORMAT },
];
