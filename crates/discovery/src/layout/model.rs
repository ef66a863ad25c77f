//! What is known of blocks: how often those who saw one used it, by what was known of the visit.

use std::collections::BTreeMap;

use merx_domain::experiment::{CONTEXT, LinearArm};
use merx_domain::{Device, Situation, SubjectFeatures};
use merx_models::{Learner, Model, ModelError};
use serde::{Deserialize, Serialize};

const FAMILY: &str = "layout";
/// Leads the bytes; old formats stay readable. Format 1: [`LayoutModel`] by postcard.
pub(crate) const FORMAT: u16 = 1;
/// Saturday and Sunday, Monday being 0.
const WEEKEND: std::ops::RangeInclusive<u8> = 5..=6;

/// What is known of a visit when its page is laid out, as numbers: 1; phone, desktop or tablet; whether the shopper was here before,
/// bought before, and has looked at something in this session; whether it is the weekend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Visit(pub [f64; CONTEXT]);

impl Visit {
    pub fn of(situation: &Situation, features: &SubjectFeatures) -> Self {
        let is = |holds: bool| f64::from(u8::from(holds));
        let device = |device: Device| is(situation.device == device);
        let in_session = features
            .session_started_at
            .is_some_and(|start| features.history.last().is_some_and(|entry| entry.at >= start));
        Self([
            1.0,
            device(Device::Phone),
            device(Device::Desktop),
            device(Device::Tablet),
            is(!features.history.is_empty()),
            is(features.purchases > 0.0),
            is(in_session),
            is(WEEKEND.contains(&situation.now.weekday())),
        ])
    }
}

/// A block that somebody saw, and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct LayoutRow {
    pub page: String,
    pub block: String,
    pub visit: Visit,
    /// 0 to 1.
    pub reward: f64,
}

/// What is known of a block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlockKnowledge {
    pub seen: u64,
    pub arm: LinearArm,
}

impl BlockKnowledge {
    /// Of a block that nobody has seen.
    pub(super) fn none() -> Self {
        let mut inverse = [[0.0; CONTEXT]; CONTEXT];
        (0..CONTEXT).for_each(|place| inverse[place][place] = 1.0);
        Self { seen: 0, arm: LinearArm { theta: [0.0; CONTEXT], inverse } }
    }

    /// Ridge regression with weight 1, a row at a time (Sherman and Morrison, 1950): with gain k = A^-1 x / (1 + x' A^-1 x),
    /// theta grows by k (reward - x' theta) and A^-1 shrinks by k (A^-1 x)'.
    fn learn(&mut self, Visit(x): &Visit, reward: f64) {
        self.seen += 1;
        let arm = &mut self.arm;
        let spread: [f64; CONTEXT] =
            std::array::from_fn(|row| arm.inverse[row].iter().zip(x).map(|(inverse, x)| inverse * x).sum());
        let scale = 1.0 + spread.iter().zip(x).map(|(spread, x)| spread * x).sum::<f64>();
        let error = reward - arm.mean(x);
        for (row, gain) in spread.map(|spread| spread / scale).into_iter().enumerate() {
            arm.theta[row] += gain * error;
            arm.inverse[row].iter_mut().zip(spread).for_each(|(inverse, spread)| *inverse -= gain * spread);
        }
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LayoutModel {
    /// By page and block.
    pages: BTreeMap<String, BTreeMap<String, BlockKnowledge>>,
}

impl LayoutModel {
    /// What is known of a page's blocks; `None`: it was never learnt from.
    pub fn page(&self, page: &str) -> Option<&BTreeMap<String, BlockKnowledge>> {
        self.pages.get(page)
    }

    /// Blocks and how often each was seen, by page.
    pub fn parameters(&self) -> serde_json::Value {
        let seen = |blocks: &BTreeMap<String, BlockKnowledge>| -> serde_json::Value {
            blocks.iter().map(|(block, known)| (block.clone(), serde_json::Value::from(known.seen))).collect()
        };
        self.pages.iter().map(|(page, blocks)| (page.clone(), seen(blocks))).collect()
    }
}

impl Model for LayoutModel {
    fn family(&self) -> &'static str {
        FAMILY
    }

    fn save(&self) -> Vec<u8> {
        // Maps of names and plain numbers always have an encoding.
        postcard::to_extend(self, FORMAT.to_le_bytes().to_vec()).unwrap_or_default()
    }
}

/// Fits [`LayoutModel`].
#[derive(Debug, Clone, Copy, Default)]
pub struct LayoutLearner;

impl Learner for LayoutLearner {
    type Set = [LayoutRow];
    type Model = LayoutModel;

    fn family(&self) -> &'static str {
        FAMILY
    }

    fn fit(&self, rows: &[LayoutRow], _seed: u64) -> Result<LayoutModel, ModelError> {
        let mut model = LayoutModel::default();
        for row in rows {
            let blocks = model.pages.entry(row.page.clone()).or_default();
            blocks.entry(row.block.clone()).or_insert_with(BlockKnowledge::none).learn(&row.visit, row.reward);
        }
        Ok(model)
    }

    fn load(&self, bytes: &[u8]) -> Result<LayoutModel, ModelError> {
        let refused = |format: u16, problem: &str| ModelError::Artifact {
            family: FAMILY.to_owned(),
            format,
            problem: problem.to_owned(),
        };
        let (format, body) = bytes.split_first_chunk::<2>().ok_or_else(|| refused(0, "too short"))?;
        match u16::from_le_bytes(*format) {
            FORMAT => postcard::from_bytes(body).map_err(|error| refused(FORMAT, &error.to_string())),
            other => Err(refused(other, "unknown format")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(x: [f64; CONTEXT], reward: f64) -> LayoutRow {
        LayoutRow { page: "home".into(), block: "new".into(), visit: Visit(x), reward }
    }

    /// Rows one after the other give what the normal equations give: on x = (1, phone) with ridge 1, solved by hand.
    #[test]
    fn a_row_at_a_time_is_ridge_regression() {
        let desktop = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let phone = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let rows = [row(desktop, 1.0), row(phone, 0.0), row(phone, 1.0)];
        let model = LayoutLearner.fit(&rows, 1).unwrap();
        let known = &model.page("home").unwrap()["new"];
        // A = [[1 + 3, 2], [2, 1 + 2]], b = [2, 1]; A^-1 b = [3 * 2 - 2 * 1, -2 * 2 + 4 * 1] / 8 = [0.5, 0].
        assert!((known.arm.theta[0] - 0.5).abs() < 1e-12 && known.arm.theta[1].abs() < 1e-12, "{:?}", known.arm.theta);
        assert!((known.arm.inverse[0][0] - 3.0 / 8.0).abs() < 1e-12 && (known.arm.inverse[0][1] + 0.25).abs() < 1e-12);
        assert_eq!(known.seen, 3);
    }

    #[test]
    fn a_saved_model_is_the_same_and_a_damaged_one_is_refused() {
        let model = LayoutLearner.fit(&[row([1.0; CONTEXT], 0.3)], 1).unwrap();
        let bytes = model.save();
        assert_eq!(LayoutLearner.load(&bytes).unwrap(), model);
        for damaged in [&bytes[..1], &bytes[..bytes.len() / 2], &[9, 9, 1]] {
            assert!(LayoutLearner.load(damaged).is_err());
        }
    }
}
