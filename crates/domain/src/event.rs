//! What a shopper did. The vocabulary is the Segment e-commerce specification v2 with its v1 names as aliases and the
//! GA4 names beside them; each event is defined on one line of [`EventKind`]'s table.

use std::collections::BTreeMap;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::{
    ConsentStamp, DecisionId, EventId, MarketId, Money, OrderId, ProductId, SubjectId, TimestampMs, VariantId,
};

/// What an event says about the person and the products on its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventMeaning {
    /// Products were shown; nothing was chosen.
    Shown,
    /// Interest in a product: opened, clicked, shared.
    Viewed,
    /// Wish or cart.
    Carted,
    /// Taken out of the cart or off the wish list.
    Dropped,
    Purchased,
    /// Refunded or cancelled.
    Returned,
    /// Nothing about single products.
    Other,
}

macro_rules! events {
    ($($kind:ident = $code:literal, $name:literal, [$($alias:literal),*], $ga4:expr, $meaning:ident;)*) => {
        /// The kind of an event. The number is what is stored: it never changes and is never reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum EventKind { $($kind = $code),* }

        impl EventKind {
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// The name in the Segment vocabulary.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }

            /// The name in the GA4 vocabulary, where it has one.
            pub fn ga4_name(self) -> Option<&'static str> {
                match self { $(Self::$kind => $ga4),* }
            }

            pub fn meaning(self) -> EventMeaning {
                match self { $(Self::$kind => EventMeaning::$meaning),* }
            }

            pub fn code(self) -> u16 {
                self as u16
            }

            pub fn from_code(code: u16) -> Option<Self> {
                match code { $($code => Some(Self::$kind),)* _ => None }
            }

            /// The kind of a track event's name: v2 and v1 names, upper and lower case alike.
            /// `None` is an event of the shop's own making: [`EventKind::Custom`].
            pub fn from_track_name(name: &str) -> Option<Self> {
                const NAMES: &[(&str, EventKind)] = &[
                    $(($name, EventKind::$kind), $(($alias, EventKind::$kind),)*)*
                ];
                let name = name.trim();
                NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, kind)| *kind)
            }

            pub fn from_ga4_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.ga4_name() == Some(name))
            }
        }
    };
}

events! {
    ProductsSearched = 1, "Products Searched", [], Some("search"), Other;
    ProductListViewed = 2, "Product List Viewed", ["Viewed Product Category"], Some("view_item_list"), Shown;
    ProductListFiltered = 3, "Product List Filtered", [], None, Shown;
    PromotionViewed = 4, "Promotion Viewed", ["Viewed Promotion"], Some("view_promotion"), Other;
    PromotionClicked = 5, "Promotion Clicked", ["Clicked Promotion"], Some("select_promotion"), Other;
    ProductClicked = 6, "Product Clicked", ["Clicked Product"], Some("select_item"), Viewed;
    ProductViewed = 7, "Product Viewed", ["Viewed Product"], Some("view_item"), Viewed;
    ProductAdded = 8, "Product Added", ["Added Product"], Some("add_to_cart"), Carted;
    ProductRemoved = 9, "Product Removed", ["Removed Product"], Some("remove_from_cart"), Dropped;
    CartViewed = 10, "Cart Viewed", [], Some("view_cart"), Other;
    CheckoutStarted = 11, "Checkout Started", ["Started Order"], Some("begin_checkout"), Other;
    CheckoutStepViewed = 12, "Checkout Step Viewed", ["Viewed Checkout Step"], None, Other;
    CheckoutStepCompleted = 13, "Checkout Step Completed", ["Completed Checkout Step"], Some("add_shipping_info"), Other;
    PaymentInfoEntered = 14, "Payment Info Entered", [], Some("add_payment_info"), Other;
    OrderUpdated = 15, "Order Updated", ["Updated Order"], None, Other;
    OrderCompleted = 16, "Order Completed", ["Completed Order"], Some("purchase"), Purchased;
    OrderRefunded = 17, "Order Refunded", [], Some("refund"), Returned;
    OrderCancelled = 18, "Order Cancelled", [], None, Returned;
    CouponEntered = 19, "Coupon Entered", [], None, Other;
    CouponApplied = 20, "Coupon Applied", [], None, Other;
    CouponDenied = 21, "Coupon Denied", [], None, Other;
    CouponRemoved = 22, "Coupon Removed", [], None, Other;
    ProductAddedToWishlist = 23, "Product Added to Wishlist", [], Some("add_to_wishlist"), Carted;
    ProductRemovedFromWishlist = 24, "Product Removed from Wishlist", [], None, Dropped;
    WishlistProductAddedToCart = 25, "Wishlist Product Added to Cart", [], None, Carted;
    ProductShared = 26, "Product Shared", [], None, Viewed;
    CartShared = 27, "Cart Shared", [], None, Other;
    ProductReviewed = 28, "Product Reviewed", [], None, Viewed;
    SignedUp = 40, "Signed Up", [], Some("sign_up"), Other;
    SignedIn = 41, "Signed In", [], Some("login"), Other;
    SignedOut = 42, "Signed Out", [], None, Other;
    ConsentUpdated = 43, "Segment Consent Preference Updated", ["Consent Preference Updated"], None, Other;
    ExperimentViewed = 44, "Experiment Viewed", [], None, Other;
    RecommendationShown = 45, "Recommendation Shown", [], None, Shown;
    Page = 60, "Page", [], Some("page_view"), Other;
    Screen = 61, "Screen", [], Some("screen_view"), Other;
    Identify = 62, "Identify", [], None, Other;
    Alias = 63, "Alias", [], None, Other;
    Group = 64, "Group", [], None, Other;
    Custom = 99, "Custom", [], None, Other;
}

impl Serialize for EventKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(self.name())
        } else {
            serializer.serialize_u16(self.code())
        }
    }
}

impl<'de> Deserialize<'de> for EventKind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        if deserializer.is_human_readable() {
            let name = CompactString::deserialize(deserializer)?;
            Self::from_track_name(&name).ok_or_else(|| D::Error::custom(format!("unknown event kind {name:?}")))
        } else {
            let code = u16::deserialize(deserializer)?;
            Self::from_code(code).ok_or_else(|| D::Error::custom(format!("unknown event code {code}")))
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Device {
    #[default]
    Unknown = 0,
    Desktop = 1,
    Phone = 2,
    Tablet = 3,
    /// The event came from a server, not from a shopper's device.
    Server = 4,
}

/// One product on an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventLine {
    pub product: ProductId,
    pub variant: Option<VariantId>,
    pub quantity: i32,
    /// Price of one unit.
    pub unit_price: Option<Money>,
    /// Place in the list it was shown in, from 1.
    pub position: Option<u32>,
}

/// Where an event happened. Nothing in here names a person: no IP address, no full user agent, no query string.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EventContext {
    pub market: MarketId,
    pub device: Device,
    pub locale: Option<CompactString>,
    pub page_path: Option<CompactString>,
    pub referrer_host: Option<CompactString>,
    pub campaign_source: Option<CompactString>,
    pub campaign_name: Option<CompactString>,
    /// The sending library, name and version.
    pub library: Option<CompactString>,
}

/// A validated, de-duplicated, consent-stamped thing that happened. What names the person was left in the vault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub id: EventId,
    pub subject: SubjectId,
    pub kind: EventKind,
    /// When it happened, corrected for the sender's clock.
    pub occurred_at: TimestampMs,
    pub received_at: TimestampMs,
    pub consent: ConsentStamp,
    pub context: EventContext,
    pub lines: Vec<EventLine>,
    pub order: Option<OrderId>,
    /// What was typed into the search box.
    pub query: Option<CompactString>,
    /// The list, category page or recommendation slot it happened in.
    pub list: Option<CompactString>,
    /// Value of the whole event: an order's revenue, a coupon's discount.
    pub value: Option<Money>,
    /// The decision that this is an outcome of.
    pub decision: Option<DecisionId>,
    /// For [`EventKind::Alias`]: the subject that turned out to be the same person. Its past belongs to `subject` from now on.
    pub merged_from: Option<SubjectId>,
    /// The sender's own name of a custom event.
    pub custom_name: Option<CompactString>,
    /// Remaining properties as the sender gave them, JSON values as text, personal fields left out.
    pub properties: BTreeMap<CompactString, String>,
}

impl Event {
    /// An event with nothing but the necessary.
    pub fn new(id: EventId, subject: SubjectId, kind: EventKind, at: TimestampMs) -> Self {
        Self {
            id,
            subject,
            kind,
            occurred_at: at,
            received_at: at,
            consent: ConsentStamp::default(),
            context: EventContext::default(),
            lines: Vec::new(),
            order: None,
            query: None,
            list: None,
            value: None,
            decision: None,
            merged_from: None,
            custom_name: None,
            properties: BTreeMap::new(),
        }
    }

    /// Adds one unit of a product.
    pub fn with_product(mut self, product: ProductId) -> Self {
        self.lines.push(EventLine { product, variant: None, quantity: 1, unit_price: None, position: None });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_code_and_names() {
        for &kind in EventKind::ALL {
            assert_eq!(EventKind::from_code(kind.code()), Some(kind));
            assert_eq!(EventKind::from_track_name(kind.name()), Some(kind));
            if let Some(name) = kind.ga4_name() {
                assert_eq!(EventKind::from_ga4_name(name), Some(kind));
            }
        }
        assert_eq!(EventKind::from_track_name("completed order"), Some(EventKind::OrderCompleted));
        assert_eq!(EventKind::from_track_name("Sofa Assembled"), None);
    }
}
