//! Experiments of a shop: the metrics that it may be decided by, what its event log tells of them, and the page about it. And what the
//! log adds up to over time: the ledger, what automations earn, the tree of figures.

mod holdout;
mod kpis;
mod ledger;
mod metrics;
mod page;
mod quality;
mod reading;
mod segments;
mod sequence;
mod value;

pub use holdout::{HoldoutPage, MonthPage, holdout_page};
pub use kpis::{Beside, Kpi, KpiPage, KpiQuestion, kpi_page};
pub use ledger::{Attributed, Day, DayHealth, LAGS, Ledger, Person, Spent, Witnesses, month_number};
pub use metrics::{COVARIATE_DAYS, LATENCY, METRICS, ShopMetric, metric, names, signal};
pub use page::{
    ArmPage, ArmValuePage, BeliefPage, ComparisonPage, CoursePage, DifferencePage, Interval, LatencyPage, LongTermPage,
    MetricPage, Page, PageError, QuantilePage, SegmentPage, Trust, page, page_of,
};
pub use quality::{QualityCheck, QualityPage, quality_page};
pub use reading::{Question, Rows, SegmentBy, Watched, read};
pub use segments::{Allowed, FEWEST_PEOPLE, PeopleSegment, SegmentsPage, segments_page};
pub use sequence::{ArmSequence, Look, SequencePage, sequence_of};
pub use value::{
    AttributedPage, AutomationQuestion, AutomationValue, BeforeAndAfter, Payback, Range, ValuePage, ValueQuestion,
    value_page,
};
