//! Experiments of a shop: the metrics that it may be decided by, what its event log tells of them, and the page about it.

mod holdout;
mod metrics;
mod page;
mod reading;

pub use holdout::{HoldoutPage, MonthPage, holdout_page};
pub use metrics::{COVARIATE_DAYS, LATENCY, METRICS, ShopMetric, metric, names, signal};
pub use page::{
    ArmPage, BeliefPage, ComparisonPage, CoursePage, DifferencePage, Interval, LatencyPage, LongTermPage, MetricPage,
    Page, PageError, QuantilePage, SegmentPage, Trust, ValuePage, page, page_of,
};
pub use reading::{Question, Rows, SegmentBy, read};
