//! Distribution functions that tests and intervals need: normal, Student's t, chi-squared, beta.
//!
//! Gamma and beta functions follow Press et al., "Numerical Recipes" (3rd ed.), 6.1, 6.2 and 6.4: series and continued
//! fractions by the method of Lentz, to about 1e-13 relative. Every function is total: what lies outside a distribution's
//! support gives the limit (0, 1 or an infinity), and a parameter that makes no sense gives NaN.

use std::f64::consts::{PI, SQRT_2, TAU};

/// Where a fraction or series has converged.
const PRECISION: f64 = 1e-15;
/// Stands in for zero in the method of Lentz.
const TINY: f64 = 1e-300;
/// Far above what any argument needs that callers can reach; it bounds the time.
const MOST_TERMS: u32 = 20_000;
/// Degrees of freedom above which Student's t is the normal to within 1e-7.
const NORMAL_ABOVE: f64 = 1e6;

/// Coefficients of Lanczos' approximation, g = 7, n = 9 (Godfrey 2001).
const LANCZOS: [f64; 9] = [
    0.999_999_999_999_809_9,
    676.520_368_121_885_1,
    -1_259.139_216_722_402_8,
    771.323_428_777_653_1,
    -176.615_029_162_140_6,
    12.507_343_278_686_905,
    -0.138_571_095_265_720_12,
    9.984_369_578_019_572e-6,
    1.505_632_735_149_311_6e-7,
];

/// The logarithm of the gamma function, for `x > 0`.
pub fn ln_gamma(x: f64) -> f64 {
    if x < 0.5 {
        return (PI / (PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let sum = LANCZOS.iter().enumerate().skip(1).fold(LANCZOS[0], |sum, (i, c)| sum + c / (x + i as f64));
    let t = x + 7.5;
    0.5 * TAU.ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// The upper regularised incomplete gamma function Q(a, x), for `a > 0`.
fn gamma_upper(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let scale = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 { 1.0 - scale * gamma_series(a, x) } else { scale * gamma_fraction(a, x) }
}

fn gamma_series(a: f64, x: f64) -> f64 {
    let mut term = 1.0 / a;
    let mut sum = term;
    for n in 1..MOST_TERMS {
        term *= x / (a + f64::from(n));
        sum += term;
        if term < sum * PRECISION {
            break;
        }
    }
    sum
}

fn gamma_fraction(a: f64, x: f64) -> f64 {
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut fraction = d;
    for n in 1..MOST_TERMS {
        let n = f64::from(n);
        let numerator = -n * (n - a);
        b += 2.0;
        d = 1.0 / away_from_zero(numerator * d + b);
        c = away_from_zero(b + numerator / c);
        fraction *= d * c;
        if (d * c - 1.0).abs() < PRECISION {
            break;
        }
    }
    fraction
}

fn away_from_zero(x: f64) -> f64 {
    if x.abs() < TINY { TINY } else { x }
}

/// P(X <= x) of Beta(a, b): the regularised incomplete beta function.
pub fn beta_cdf(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let scale = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        scale * beta_fraction(x, a, b) / a
    } else {
        1.0 - scale * beta_fraction(1.0 - x, b, a) / b
    }
}

fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for m in 1..MOST_TERMS {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        for numerator in [even, odd] {
            d = 1.0 / away_from_zero(1.0 + numerator * d);
            c = away_from_zero(1.0 + numerator / c);
            fraction *= d * c;
        }
        if (d * c - 1.0).abs() < PRECISION {
            break;
        }
    }
    fraction
}

/// The density of Beta(a, b).
pub fn beta_density(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + (a - 1.0) * x.ln() + (b - 1.0) * (-x).ln_1p()).exp()
}

/// The `p`-quantile of Beta(a, b), by bisection to 1e-15.
pub fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    bisect(0.0, 1.0, |x| beta_cdf(x, a, b) < p)
}

/// Where `below` turns from true to false in `[low, high]`.
fn bisect(mut low: f64, mut high: f64, below: impl Fn(f64) -> bool) -> f64 {
    while high - low > PRECISION * high.abs().max(low.abs()).max(f64::MIN_POSITIVE) {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if below(middle) { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// The standard normal density.
pub fn normal_density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / TAU.sqrt()
}

/// P(Z <= z) of the standard normal.
pub fn normal_cdf(z: f64) -> f64 {
    normal_survival(-z)
}

/// P(Z > z) of the standard normal; keeps its relative precision far out in the tail.
pub fn normal_survival(z: f64) -> f64 {
    let tail = 0.5 * gamma_upper(0.5, (z / SQRT_2).powi(2));
    if z >= 0.0 { tail } else { 1.0 - tail }
}

/// The `p`-quantile of the standard normal: Acklam's rational approximation and two steps of Halley's method.
pub fn normal_quantile(p: f64) -> f64 {
    if p.is_nan() || !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    if p == 0.0 || p == 1.0 {
        return if p == 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    if p > 0.5 {
        return -normal_quantile(1.0 - p);
    }
    let mut z = normal_quantile_start(p);
    for _ in 0..2 {
        let error = (normal_survival(-z) - p) / normal_density(z);
        z -= error / (1.0 + 0.5 * z * error);
    }
    z
}

/// Acklam (2003), relative error below 1.15e-9; `p <= 0.5`.
fn normal_quantile_start(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969683028665376e1,
        2.209460984245205e2,
        -2.759285104469687e2,
        1.383_577_518_672_69e2,
        -3.066479806614716e1,
        2.506628277459239,
    ];
    const B: [f64; 6] = [
        -5.447609879822406e1,
        1.615858368580409e2,
        -1.556989798598866e2,
        6.680131188771972e1,
        -1.328068155288572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784894002430293e-3,
        -3.223964580411365e-1,
        -2.400758277161838,
        -2.549732539343734,
        4.374664141464968,
        2.938163982698783,
    ];
    const D: [f64; 5] = [7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416, 1.0];
    if p < 0.02425 {
        let q = (-2.0 * p.ln()).sqrt();
        return polynomial(&C, q) / polynomial(&D, q);
    }
    let q = p - 0.5;
    q * polynomial(&A, q * q) / polynomial(&B, q * q)
}

/// Highest power first.
fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().fold(0.0, |sum, c| sum * x + c)
}

/// P(T > t) of Student's t with `df` degrees of freedom; the normal where `df` is above a million.
pub fn t_survival(t: f64, df: f64) -> f64 {
    if df > NORMAL_ABOVE {
        return normal_survival(t);
    }
    let tail = 0.5 * beta_cdf(df / (df + t * t), 0.5 * df, 0.5);
    if t >= 0.0 { tail } else { 1.0 - tail }
}

/// The `p`-quantile of Student's t, by Newton's method from the expansion of Cornish and Fisher, kept inside a bracket.
pub fn t_quantile(p: f64, df: f64) -> f64 {
    if df > NORMAL_ABOVE || df.is_nan() || p <= 0.0 || p >= 1.0 {
        return if df > 0.0 { normal_quantile(p) } else { f64::NAN };
    }
    if p < 0.5 {
        return -t_quantile(1.0 - p, df);
    }
    let z = normal_quantile(p);
    let mut t = z + (z.powi(3) + z) / (4.0 * df);
    let (mut low, mut high) = (0.0, f64::INFINITY);
    let ln_scale = ln_gamma(0.5 * (df + 1.0)) - ln_gamma(0.5 * df) - 0.5 * (df * PI).ln();
    for _ in 0..200 {
        let error = t_survival(t, df) - (1.0 - p);
        if error > 0.0 {
            low = t
        } else {
            high = t
        }
        let density = (ln_scale - 0.5 * (df + 1.0) * (t * t / df).ln_1p()).exp();
        let next = t + error / density;
        let outside = !(low..=high).contains(&next);
        let next = if !outside {
            next
        } else if high.is_finite() {
            0.5 * (low + high)
        } else {
            2.0 * t.max(1.0)
        };
        if (next - t).abs() <= 1e-13 * t.abs() {
            return next;
        }
        t = next;
    }
    t
}

/// P(X > x) of the chi-squared distribution with `df` degrees of freedom.
pub fn chi_squared_survival(x: f64, df: f64) -> f64 {
    gamma_upper(0.5 * df, 0.5 * x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, expected: f64, relative: f64) {
        assert!((got - expected).abs() <= relative * expected.abs().max(1e-300), "{got} is not {expected}");
    }

    /// Abramowitz and Stegun, "Handbook of Mathematical Functions", tables 26.1 and 26.2.
    #[test]
    fn normal_values_are_those_of_the_tables() {
        near(normal_cdf(0.0), 0.5, 1e-14);
        near(normal_cdf(1.0), 0.841_344_746_068_542_9, 1e-13);
        near(normal_cdf(2.0), 0.977_249_868_051_820_8, 1e-13);
        near(normal_survival(5.0), 2.866_515_718_791_94e-7, 1e-12);
        near(normal_quantile(0.975), 1.959_963_984_540_054, 1e-13);
        near(normal_quantile(1e-10), -6.361_340_902_404_056, 1e-12);
    }

    /// Tables 26.8 and 26.10 of the same book; the t quantiles for one and two degrees have closed forms.
    #[test]
    fn t_and_chi_squared_values_are_those_of_the_tables() {
        near(t_quantile(0.975, 1.0), (0.475 * PI).tan(), 1e-11);
        near(t_quantile(0.975, 2.0), 0.95 * (2.0 / (1.0 - 0.95f64.powi(2))).sqrt(), 1e-11);
        near(t_quantile(0.975, 10.0), 2.228_138_851_964_939, 1e-11);
        near(t_quantile(0.05, 30.0), -1.697_260_886_593_957, 1e-11);
        near(t_quantile(0.975, 2e6), normal_quantile(0.975), 1e-6);
        near(chi_squared_survival(3.841_458_820_694_124, 1.0), 0.05, 1e-12);
        near(chi_squared_survival(18.307_038_053_275_146, 10.0), 0.05, 1e-12);
        near(chi_squared_survival(2.0, 2.0), (-1.0f64).exp(), 1e-13);
    }

    #[test]
    fn gamma_and_beta_meet_their_closed_forms() {
        near(ln_gamma(5.0), 24.0f64.ln(), 1e-13);
        near(ln_gamma(0.5), PI.sqrt().ln(), 1e-13);
        near(beta_cdf(0.3, 1.0, 4.0), 1.0 - 0.7f64.powi(4), 1e-12);
        near(beta_cdf(0.25, 2.0, 2.0), 3.0 * 0.0625 - 2.0 * 0.015_625, 1e-12);
        near(beta_quantile(1.0 - 0.7f64.powi(4), 1.0, 4.0), 0.3, 1e-12);
        let area: f64 = (0..1_000).map(|i| beta_density((f64::from(i) + 0.5) / 1_000.0, 3.0, 5.0)).sum();
        near(area / 1_000.0, 1.0, 1e-5);
    }

    #[test]
    fn quantiles_invert_distribution_functions() {
        for p in [1e-6, 0.01, 0.2, 0.5, 0.9, 0.999] {
            near(normal_cdf(normal_quantile(p)), p, 1e-11);
            for df in [0.7, 3.0, 17.5, 400.0, 90_000.0] {
                near(1.0 - t_survival(t_quantile(p, df), df), p, 1e-8);
            }
        }
    }
}
