//! Answers that others published: does the same input give the same numbers?
//!
//! A file of cases is JSON: `{"cases": [{"name", "a", "b", "expect"}]}`. An arm is a share (`x` of `n`) or sums (`sum`,
//! `sum_squares`, `n`). What is to be computed stands in the name: `absolute` or relative; `one-sided greater`; `sequential` with
//! `(tuning N)`; `bayesian` with `prior N(mean,variance)`; `CUPED` with the sums of the covariate, and then the arms are those of
//! the last case with sums.

use serde::Deserialize;
use serde_json::json;

use super::{Emit, number};
use crate::bayes::{Prior, believe};
use crate::{Alternative, Arm, Effect, Moments, Scale, Sequential, Sums, Unreadable};

const ALPHA: f64 = 0.05;
/// Half a unit of the fifth decimal, and a little for the rounding of halves.
const FIVE_DECIMALS: f64 = 5.01e-6;

#[derive(Debug, thiserror::Error)]
pub enum CasesError {
    #[error("the cases aren't the JSON that is expected: {0}")]
    Json(#[from] serde_json::Error),
    #[error("case {name}: {problem}")]
    Case { name: String, problem: String },
}

#[derive(Deserialize)]
struct File {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    a: Option<Input>,
    b: Option<Input>,
    expect: Expected,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Input {
    Share { x: u64, n: u64 },
    Sums { sum: f64, sum_squares: f64, n: u64 },
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Expected {
    effect: Option<f64>,
    ci: Option<[f64; 2]>,
    ci_lower: Option<f64>,
    sd: Option<f64>,
    p: Option<f64>,
    chance_to_win: Option<f64>,
    risk: Option<[f64; 2]>,
}

impl Input {
    fn sums(self) -> Sums {
        match self {
            Self::Share { x, n } => Sums { count: n, value: x as f64, value_squares: x as f64, ..Sums::default() },
            Self::Sums { sum, sum_squares, n } => {
                Sums { count: n, value: sum, value_squares: sum_squares, ..Sums::default() }
            }
        }
    }

    fn arm(self) -> Arm {
        match self {
            Self::Share { x, n } => Arm::proportion(x, n),
            Self::Sums { .. } => Arm::mean(&Moments::from_sums(&self.sums())),
        }
    }
}

/// Computes all cases of a file: the largest difference to what is expected by case, and how many agree to five decimals.
pub fn read_cases(text: &str, emit: &mut Emit<'_>) -> Result<(), CasesError> {
    let file: File = serde_json::from_str(text)?;
    let mut equal = 0;
    let mut last_sums = None;
    for case in &file.cases {
        let problem = |problem: String| CasesError::Case { name: case.name.clone(), problem };
        if let (Some(a @ Input::Sums { .. }), Some(b)) = (case.a, case.b) {
            last_sums = Some((a, b));
        }
        let arms = case.arms(last_sums).ok_or_else(|| problem("it lacks an input".to_owned()))?;
        let difference = case.difference(&arms).map_err(|why| problem(why.to_string()))?;
        equal += usize::from(difference <= FIVE_DECIMALS);
        emit(&number("largest_difference", "absolute", &case.name, difference, json!({ "alpha": ALPHA })));
    }
    let settings = json!({ "cases": file.cases.len() });
    emit(&number("cases_equal_to_five_decimals", "count", "cases", equal as f64, settings));
    Ok(())
}

impl Case {
    fn arms(&self, last_sums: Option<(Input, Input)>) -> Option<[Arm; 2]> {
        if !self.name.contains("CUPED") {
            return Some([self.a?.arm(), self.b?.arm()]);
        }
        let (a, b) = last_sums?;
        let numbers = numbers(self.name.split_once(':')?.1);
        let &[sum_a, squares_a, sum_b, squares_b, products] = numbers.as_slice() else { return None };
        let with = |sums: Sums, covariate, covariate_squares| {
            Moments::from_sums(&Sums { covariate, covariate_squares, value_by_covariate: products, ..sums })
        };
        let moments = [with(a.sums(), sum_a, squares_a), with(b.sums(), sum_b, squares_b)];
        <[Arm; 2]>::try_from(Arm::adjusted(&moments, false)).ok()
    }

    fn difference(&self, arms: &[Arm; 2]) -> Result<f64, Unreadable> {
        let absolute = self.name.contains("absolute");
        let scale = if absolute { Scale::Absolute } else { Scale::Relative };
        let effect = Effect::between(&arms[0], &arms[1], scale)?;
        let expect = &self.expect;
        let mut pairs = vec![(expect.sd, effect.standard_error)];
        if self.name.contains("bayesian") {
            let belief = believe(&effect, &self.prior(), ALPHA);
            pairs.push((expect.effect, belief.mean));
            pairs.extend(ends(expect.ci, belief.low, belief.high));
            pairs.push((expect.chance_to_win, belief.chance_to_win));
            pairs.extend(ends(expect.risk, belief.loss_of_control, belief.loss_of_treatment));
        } else {
            let reading = match self.tuning() {
                Some(tuned_for) => {
                    Sequential { alpha: ALPHA, tuned_for, first_look_units: 0, first_look_precision: 0.0 }.read(&effect)
                }
                None if self.name.contains("one-sided greater") => effect.fixed(ALPHA, Alternative::Greater),
                None => effect.fixed(ALPHA, Alternative::TwoSided),
            };
            pairs.push((expect.effect, effect.estimate));
            pairs.push((expect.p, reading.p_value));
            pairs.push((expect.ci_lower, reading.low));
            pairs.extend(ends(expect.ci, reading.low, reading.high));
        }
        let differences = pairs.into_iter().filter_map(|(expected, got)| Some((got - expected?).abs()));
        Ok(differences.fold(0.0, f64::max))
    }

    fn tuning(&self) -> Option<u64> {
        let (_, rest) = self.name.split_once("tuning ")?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }

    fn prior(&self) -> Prior {
        let given = self.name.split_once("prior N").map(|(_, rest)| numbers(rest));
        match given.as_deref() {
            Some(&[mean, variance, ..]) => Prior { mean, variance },
            _ => Prior::default(),
        }
    }
}

fn ends(expected: Option<[f64; 2]>, low: f64, high: f64) -> [(Option<f64>, f64); 2] {
    [(expected.map(|ends| ends[0]), low), (expected.map(|ends| ends[1]), high)]
}

/// All numbers of a text, in order.
fn numbers(text: &str) -> Vec<f64> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.').filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(text: &str) -> Result<Vec<f64>, CasesError> {
        let mut values = Vec::new();
        read_cases(text, &mut |figure| values.push(figure.value)).map(|()| values)
    }

    /// 1 of 4 against 2 of 4: the difference .25, and its error sqrt(.1875 / 4 + .25 / 4).
    const CASE: &str = r#"{"cases": [{"name": "two-sided, absolute", "a": {"x": 1, "n": 4}, "b": {"x": 2, "n": 4},
        "expect": {"effect": 0.25, "sd": SD}}]}"#;

    #[test]
    fn agreement_and_disagreement_are_told_apart() {
        assert_eq!(figures(&CASE.replace("SD", "0.33072")).unwrap()[1], 1.0);
        let wrong = figures(&CASE.replace("SD", "0.34")).unwrap();
        assert!((wrong[0] - (0.34 - 0.330_718_9)).abs() < 1e-6 && wrong[1] == 0.0, "{wrong:?}");
    }

    #[test]
    fn what_cannot_be_computed_is_an_error() {
        assert!(figures("[]").is_err());
        assert!(figures(r#"{"cases": [{"name": "t", "expect": {}}]}"#).is_err());
        assert!(figures(&CASE.replace("SD", "1").replace(r#""n": 4"#, r#""n": 1"#)).is_err());
    }

    #[test]
    fn names_say_what_is_computed() {
        let case = |name: &str| Case { name: name.into(), a: None, b: None, expect: Expected::default() };
        assert_eq!(case("sequential (asymptotic CS, tuning 1000)").tuning(), Some(1_000));
        assert_eq!(case("means, prior N(0.1,0.2)").prior(), Prior { mean: 0.1, variance: 0.2 });
        assert_eq!(case("means").prior(), Prior::default());
    }
}
