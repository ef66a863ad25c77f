//! What is asked of the engine, and what it answers: words of the domain, for the server speaks them too.

pub use merx_domain::search::{HitReason, Refinement, SearchAnswer, SearchAsk, SearchHit, SortKey, Step};
