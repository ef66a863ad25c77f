//! Here is a shopper: what do we know now? And here is a product: how does it do?
//!
//! A feature is one file: what it keeps, what an event writes, what it returns. The same lines run live, on every event
//! as it arrives, and in a replay of the log up to a moment; so what a model learnt from is what it is handed later.
//! Personal features are handed out against a [`merx_domain::Grant`] alone.
//!
//! This crate knows nothing of where states are kept (an [`merx_store::OnlineStore`]) or how the catalogue is
//! ([`Products`], kept by the caller).

mod affinities;
mod arms;
mod codec;
mod context;
mod counters;
mod covisitation;
mod decay;
mod feature;
mod feature_store;
mod history;
mod product;
mod product_statistics;
mod searches;
mod sessions;
mod signal;
mod subject;
mod weights;

pub use arms::OWN_EXPOSURE;
pub use context::Context;
pub use feature_store::{ARM_SPACE, FeatureStore, PRODUCT_SPACE, SEARCH_SPACE, SUBJECT_SPACE, replay};
pub use history::HISTORY;
pub use product_statistics::{PRODUCT_HALF_LIVES_MS, ProductStatisticsValue};
pub use sessions::SESSION_GAP_MS;
pub use signal::{ProductFacts, Products};

use feature::Feature;
use merx_store::Format;

/// In which forms other processes find what is known.
pub const FORMATS: &[Format] = &[
    Format { name: "features of a subject", reads: (1, 1), writes: subject::FORMAT as u16 },
    Format { name: "features of a product", reads: (1, 1), writes: product::FORMAT as u16 },
    Format { name: "arms shown", reads: (1, 1), writes: arms::FORMAT as u16 },
    Format { name: "searches of a subject", reads: (1, 1), writes: searches::FORMAT as u16 },
];

/// The names of all features, for the lineage of what was learnt from them.
pub fn feature_names() -> [&'static str; 7] {
    [
        sessions::Sessions::NAME,
        counters::Counters::NAME,
        affinities::Affinities::NAME,
        history::History::NAME,
        product_statistics::ProductStatistics::NAME,
        covisitation::Covisitation::NAME,
        Context::NAME,
    ]
}
