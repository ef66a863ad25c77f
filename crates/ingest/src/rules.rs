//! What a shop sets for the reading of its events: limits, currency, markets, consent categories.

use std::collections::BTreeMap;

use compact_str::CompactString;
use merx_domain::{ConsentStamp, Currency, MarketId, Purposes};
use serde::{Deserialize, Serialize};

/// Bounds of one request, as the Segment API documents them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    pub event_bytes: usize,
    pub body_bytes: usize,
    pub batch_events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { event_bytes: 32 * 1024, body_bytes: 500 * 1024, batch_events: 2_500 }
    }
}

/// Where the market of an event is read from, first hit counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MarketRules {
    /// A key of `properties`.
    pub property: Option<CompactString>,
    /// A key of `context`.
    pub context: Option<CompactString>,
    /// The region of the shopper's locale: `DE` of `de-DE`.
    pub locale_region: bool,
    pub default: MarketId,
}

impl Default for MarketRules {
    fn default() -> Self {
        Self {
            property: Some(CompactString::const_new("market")),
            context: Some(CompactString::const_new("market")),
            locale_region: false,
            default: MarketId::default(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    pub limits: Limits,
    /// Of amounts that don't name their own.
    pub currency: Currency,
    pub market: MarketRules,
    pub consent: ConsentCategories,
}

impl Rules {
    pub fn new(currency: Currency) -> Self {
        Self {
            limits: Limits::default(),
            currency,
            market: MarketRules::default(),
            consent: ConsentCategories::default(),
        }
    }
}

/// Which purposes a category of the shop's consent banner stands for. Names are compared without case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentCategories(BTreeMap<CompactString, Purposes>);

impl ConsentCategories {
    pub fn new<'a>(categories: impl IntoIterator<Item = (&'a str, Purposes)>) -> Self {
        Self(categories.into_iter().map(|(name, purposes)| (name.to_lowercase().into(), purposes)).collect())
    }

    fn purposes(&self, name: &str) -> Purposes {
        self.0.get(name.to_lowercase().as_str()).copied().unwrap_or_default()
    }

    /// What a consent object says. An object without any category refuses everything that can be refused; of two
    /// categories that share a purpose the refusing one counts.
    pub(crate) fn stamp<'a>(&self, preferences: impl IntoIterator<Item = (&'a str, bool)>) -> ConsentStamp {
        let mut stamp = ConsentStamp::default();
        let mut any = false;
        for (name, allowed) in preferences {
            any = true;
            let purposes = self.purposes(name);
            if allowed { stamp.granted |= purposes } else { stamp.denied |= purposes }
        }
        if !any {
            stamp.denied = Purposes::all() - Purposes::NECESSARY;
        }
        stamp.denied -= Purposes::NECESSARY;
        stamp.granted -= stamp.denied;
        stamp
    }
}

impl Default for ConsentCategories {
    /// The names that consent banners use out of the box.
    fn default() -> Self {
        Self::new([
            ("Necessary", Purposes::NECESSARY),
            ("Essential", Purposes::NECESSARY),
            ("Analytics", Purposes::ANALYTICS),
            ("Performance", Purposes::ANALYTICS),
            ("Statistics", Purposes::ANALYTICS),
            ("Functional", Purposes::PERSONALISATION),
            ("Preferences", Purposes::PERSONALISATION),
            ("Personalization", Purposes::PERSONALISATION),
            ("Personalisation", Purposes::PERSONALISATION),
            ("Advertising", Purposes::MARKETING),
            ("Marketing", Purposes::MARKETING),
            ("Targeting", Purposes::MARKETING),
            ("AutomatedDecisions", Purposes::AUTOMATED_DECISIONS),
            ("DataSharing", Purposes::SALE_SHARING),
            ("SaleSharing", Purposes::SALE_SHARING),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_consent_object_refuses_everything() {
        let stamp = ConsentCategories::default().stamp([]);
        assert_eq!(stamp.granted, Purposes::empty());
        assert_eq!(stamp.denied, Purposes::all() - Purposes::NECESSARY);
    }

    #[test]
    fn the_refusing_category_counts_and_case_does_not() {
        let stamp =
            ConsentCategories::default().stamp([("analytics", true), ("PERFORMANCE", false), ("Unheard", true)]);
        assert_eq!(stamp.granted, Purposes::empty());
        assert_eq!(stamp.denied, Purposes::ANALYTICS);
    }
}
