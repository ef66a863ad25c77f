//! Orders, and what came back of them.

use serde::{Deserialize, Serialize};

use crate::{Currency, MarketId, Money, OrderId, ProductId, SubjectId, TimestampMs, VariantId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    #[default]
    Completed,
    Cancelled,
    Refunded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderLineKind {
    #[default]
    Sale,
    /// A credit line: goods came back, or the line was cancelled.
    Return,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderLine {
    pub product: ProductId,
    pub variant: Option<VariantId>,
    pub kind: OrderLineKind,
    /// Always positive; `kind` says the direction.
    pub quantity: i64,
    pub unit_price: Money,
}

/// An order of a subject (`None`: the shop doesn't know whose).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub id: OrderId,
    pub subject: Option<SubjectId>,
    pub placed_at: TimestampMs,
    pub market: MarketId,
    pub currency: Currency,
    pub status: OrderStatus,
    pub lines: Vec<OrderLine>,
}
