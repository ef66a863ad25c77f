//! What changes with time: seasons of kinds, the week, the day, and trends that rise and fall.

use merx_domain::{DAY_MS, ProductNumber, TimestampMs};
use merx_numeric::rng::Rng;

use crate::catalogue::{Catalogue, Item};
use crate::vocabulary::{DEPARTMENTS, STYLES};

/// When in the year a kind is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Season {
    AllYear,
    Spring,
    Summer,
    Autumn,
    Winter,
    /// Peaks before the end of December.
    Gifts,
    /// Warm months.
    Outdoors,
    /// End of August.
    School,
}

impl Season {
    /// Factor on the demand of a kind, about 1 over the year.
    pub fn level(self, day_of_year: f32) -> f32 {
        let (base, rise, peak, width) = match self {
            Self::AllYear => return 1.0,
            Self::Spring => (0.4, 2.6, 105.0, 35.0),
            Self::Summer => (0.5, 1.7, 180.0, 45.0),
            Self::Autumn => (0.6, 1.3, 285.0, 45.0),
            Self::Winter => (0.5, 1.6, 5.0, 50.0),
            Self::Gifts => (0.75, 2.8, 346.0, 17.0),
            Self::Outdoors => (0.4, 1.7, 165.0, 55.0),
            Self::School => (0.85, 1.5, 237.0, 20.0),
        };
        base + rise * bump(day_of_year, peak, width)
    }
}

/// A bell around a day of the year, 1 at its peak.
fn bump(day_of_year: f32, peak: f32, width: f32) -> f32 {
    let apart = (day_of_year - peak).abs();
    let apart = apart.min(365.25 - apart) / width;
    (-apart * apart).exp()
}

/// 0 on the first of January; a leap day shifts it by less than a day.
pub(crate) fn day_of_year(at: TimestampMs) -> f32 {
    (at.0.div_euclid(DAY_MS) as f64).rem_euclid(365.2425) as f32
}

/// Factor on the number of visits of a day: Sundays and December are busy.
pub(crate) fn traffic(at: TimestampMs) -> f32 {
    /// From Monday on.
    const WEEK: [f32; 7] = [1.0, 0.95, 0.95, 0.95, 0.9, 1.0, 1.25];
    WEEK[usize::from(at.weekday())] * (0.94 + 0.75 * bump(day_of_year(at), 342.0, 18.0))
}

/// Weights of the local hours in which visits begin.
pub(crate) const HOURS: [f32; 24] = [
    0.5, 0.25, 0.12, 0.08, 0.08, 0.15, 0.4, 0.8, 1.1, 1.3, 1.5, 1.6, 1.8, 1.6, 1.4, 1.4, 1.5, 1.7, 2.0, 2.5, 2.9, 2.7,
    1.9, 1.1,
];

/// Share of December's visits that look for a gift.
pub(crate) fn gift_share(at: TimestampMs) -> f32 {
    0.02 + 0.38 * bump(day_of_year(at), 346.0, 16.0)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrendOf {
    Product(ProductNumber),
    /// Everything of a style in a department, by their places in the shop's tables.
    Style {
        department: usize,
        style: usize,
    },
}

/// A planted fashion: nothing before `from_day`, most on `peak_day`, gone on `until_day` (days since the shop's start).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    pub of: TrendOf,
    pub from_day: i32,
    pub peak_day: i32,
    pub until_day: i32,
}

impl Trend {
    /// 0 to 1: straight up to the peak, straight down after it.
    pub fn level(&self, day: i32) -> f32 {
        if day <= self.from_day || day >= self.until_day {
            return 0.0;
        }
        if day <= self.peak_day {
            (day - self.from_day) as f32 / (self.peak_day - self.from_day).max(1) as f32
        } else {
            (self.until_day - day) as f32 / (self.until_day - self.peak_day).max(1) as f32
        }
    }

    pub(crate) fn covers(&self, number: ProductNumber, item: &Item) -> bool {
        match self.of {
            TrendOf::Product(product) => product == number,
            TrendOf::Style { department, style } => {
                item.kind().department as usize == department && usize::from(item.style) == style
            }
        }
    }

    /// In words, for people who look at the demo.
    pub fn describe(&self, catalogue: &Catalogue) -> String {
        match self.of {
            TrendOf::Product(product) => catalogue.item(product).map_or_else(String::new, |item| item.name.clone()),
            TrendOf::Style { department, style } => {
                format!("{} things in {}", STYLES[style], DEPARTMENTS[department].name)
            }
        }
    }
}

/// Draws trends over the run: two in three are about a product, the others about a style.
pub(crate) fn draw_trends(catalogue: &Catalogue, count: usize, days: u32, rng: &mut Rng) -> Vec<Trend> {
    let days = days as i32;
    let mut trends: Vec<Trend> = Vec::new();
    for place in 0..count {
        let rise = 5 + rng.below(12) as i32;
        let fall = 12 + rng.below(30) as i32;
        let from_day = rng.below((days - rise - fall).max(1) as usize) as i32;
        let of = if place % 3 == 2 {
            Some(TrendOf::Style { department: rng.below(DEPARTMENTS.len()), style: rng.below(STYLES.len()) })
        } else {
            pick_product(catalogue, from_day, rng).map(TrendOf::Product)
        };
        if let Some(of) = of.filter(|of| trends.iter().all(|trend| trend.of != *of)) {
            trends.push(Trend { of, from_day, peak_day: from_day + rise, until_day: from_day + rise + fall });
        }
    }
    trends
}

/// A product that is sold everywhere during the trend.
fn pick_product(catalogue: &Catalogue, from_day: i32, rng: &mut Rng) -> Option<ProductNumber> {
    (0..64).map(|_| ProductNumber(rng.below(catalogue.len()) as u32)).find(|number| {
        catalogue
            .item(*number)
            .is_some_and(|item| item.created_day < from_day && item.sold_out_day.is_none() && item.not_sold_in == 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seasons_average_to_about_one_and_peak_where_they_should() {
        use Season::*;
        for season in [AllYear, Spring, Summer, Autumn, Winter, Gifts, Outdoors, School] {
            let mean = (0..365).map(|day| season.level(day as f32)).sum::<f32>() / 365.0;
            assert!((0.8..1.3).contains(&mean), "{season:?} {mean}");
        }
        assert!(Gifts.level(345.0) > 3.0 * Gifts.level(100.0));
        assert!(Spring.level(105.0) > 4.0 * Spring.level(300.0));
    }

    #[test]
    fn a_trend_rises_and_falls() {
        let trend = Trend { of: TrendOf::Product(ProductNumber(0)), from_day: 10, peak_day: 20, until_day: 40 };
        assert_eq!([10, 15, 20, 30, 40].map(|day| trend.level(day)), [0.0, 0.5, 1.0, 0.5, 0.0]);
    }
}
