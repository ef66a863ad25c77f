//! A decision in words.

use merx_domain::{FallbackLevel, LayoutReason, ProductNumber, Reason};

/// A reason as a shopper or merchant reads it; `name` gives a product's name.
pub fn words(reason: &Reason, name: &dyn Fn(ProductNumber) -> String) -> String {
    match reason {
        Reason::Viewed { product, .. } => format!("because you viewed {}", name(*product)),
        Reason::Carted { product, .. } => format!("because you put {} into the basket", name(*product)),
        Reason::Bought { product, .. } => format!("because you bought {}", name(*product)),
        Reason::SimilarTo { product, .. } => format!("similar to {}", name(*product)),
        Reason::BoughtWith { product, .. } => format!("often bought together with {}", name(*product)),
        Reason::Popular { .. } => "popular with shoppers here".to_owned(),
        Reason::Trending { .. } => "rising right now".to_owned(),
        Reason::New { age_days } => format!("new, in the shop for {age_days:.0} days"),
        Reason::DueAgain { interval_days, elapsed_days } => {
            format!("you buy this about every {interval_days:.0} days, the last time {elapsed_days:.0} days ago")
        }
        Reason::Listed => "from the shop's own list".to_owned(),
        Reason::Pinned => "chosen by the shop".to_owned(),
    }
}

/// Why a block stands where it stands, as a merchant reads it.
pub fn layout_words(reason: &LayoutReason) -> String {
    match reason {
        LayoutReason::Default => "in the shop's own order".to_owned(),
        LayoutReason::Fixed => "fixed to its place".to_owned(),
        LayoutReason::Learned { expected, seen } => {
            format!("visits like this one use it {:.1} % of the time; it was seen {seen} times", 100.0 * expected)
        }
        LayoutReason::Tried { seen } => format!("it is being tried: it was seen {seen} times"),
    }
}

/// A fallback level in words.
pub fn level_words(level: FallbackLevel) -> &'static str {
    match level {
        FallbackLevel::LiveModel => "the live model answered",
        FallbackLevel::PreviousModel => "the previous model answered, the live one could not",
        FallbackLevel::Popularity => "popular products answered, no model was asked or could answer",
        FallbackLevel::StaticList => "the shop's own list answered, nothing learnt was at hand",
        FallbackLevel::Nothing => "nothing could answer",
    }
}
