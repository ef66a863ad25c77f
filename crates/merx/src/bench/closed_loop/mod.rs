//! `merx bench closed-loop`: simulated shoppers come day by day, are shown strips of products, and answer by the planted truth. In one arm
//! popularity chooses, in one popularity times price, in one Merx that learns from what it showed, in one an oracle that knows the truth.

mod learner;
mod play;
mod plot;
mod tally;
mod visits;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail};
use clap::Args;
use merx_domain::{DAY_MS, TimestampMs};
use merx_simulate::ShopConfig;
use parking_lot::Mutex;
use serde::Serialize;

use self::play::{Pace, play};
use self::plot::{Chart, Series, dots};
use self::tally::{Arm, Interval, Part, Tally, sign_test};

/// Shops that are played side by side.
const THREADS: usize = 2;
const WEEK: usize = 7;

#[derive(Debug, Args)]
pub(crate) struct ClosedLoopArguments {
    /// Shops, each with its own products and shoppers.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..=1_000))]
    seeds: u64,
    #[arg(long, default_value_t = 1)]
    first_seed: u64,
    /// Days on which strips are shown.
    #[arg(long, default_value_t = 42, value_parser = clap::value_parser!(u32).range(14..=730))]
    days: u32,
    /// Days before them: a history that every arm learns from before its first decision.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=730))]
    history_days: u32,
    /// The first day of all.
    #[arg(long, default_value = "2026-03-02", value_name = "DATE")]
    from: String,
    #[arg(long, default_value_t = 400)]
    products: u32,
    #[arg(long, default_value_t = 3_000)]
    shoppers: u32,
    #[arg(long, default_value_t = 52.0)]
    visits_per_year: f32,
    /// So many visits of a hundred are shown strips; the others shop all the same, and are learnt from.
    #[arg(long, default_value_t = 8.0)]
    shown_percent: f64,
    /// Nights between trainings; in the first week after 1, 2 and 4.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(i32).range(1..=365))]
    learn_every: i32,
    /// Draw the figures into this folder (SVG).
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
}

impl ClosedLoopArguments {
    fn pace(&self) -> Pace {
        Pace {
            shown_share: self.shown_percent / 100.0,
            learn_every: self.learn_every,
            quiet_days: self.history_days as i32,
        }
    }

    fn shop(&self, seed: u64) -> Result<ShopConfig> {
        let midnight = format!("{}T00:00:00Z", self.from);
        let Some(start) = TimestampMs::parse(&midnight) else { bail!("--from {}: expected YYYY-MM-DD", self.from) };
        Ok(ShopConfig {
            products: self.products,
            shoppers: self.shoppers,
            days: self.history_days + self.days,
            start: TimestampMs(start.0.div_euclid(DAY_MS) * DAY_MS),
            seed,
            visits_per_year: self.visits_per_year,
            trends: ((self.history_days + self.days) / 20) as usize,
            ..ShopConfig::default()
        })
    }
}

#[derive(Serialize)]
struct Figure {
    metric: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    arm: Option<Arm>,
    /// Whose earnings something is a share of.
    #[serde(skip_serializing_if = "Option::is_none")]
    beside: Option<Arm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<Part>,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    day: Option<usize>,
    value: f64,
    /// 95 % over shops.
    low: f64,
    high: f64,
    unit: &'static str,
    shops: usize,
}

pub(super) fn run(arguments: &ClosedLoopArguments) -> Result<()> {
    let played = play_all(arguments)?;
    let figures = Figures { played: &played };
    figures.print();
    if let Some(folder) = &arguments.plots {
        figures.draw(folder)?;
    }
    Ok(())
}

/// In the order of their seeds.
fn play_all(arguments: &ClosedLoopArguments) -> Result<Vec<Tally>> {
    let next = AtomicU64::new(0);
    let done: Mutex<Vec<(u64, Result<Tally>)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    if place >= arguments.seeds {
                        break;
                    }
                    let tally =
                        arguments.shop(arguments.first_seed + place).and_then(|shop| play(shop, arguments.pace()));
                    tracing::info!(shop = place + 1, of = arguments.seeds, "played");
                    done.lock().push((place, tally));
                }
            });
        }
    });
    let mut done = done.into_inner();
    done.sort_unstable_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, tally)| tally).collect()
}

struct Figures<'a> {
    played: &'a [Tally],
}

impl Figures<'_> {
    fn days(&self) -> usize {
        self.played.first().map_or(0, Tally::day_count)
    }

    fn over(&self, value: impl Fn(&Tally) -> f64) -> Interval {
        Interval::of(self.played.iter().map(value))
    }

    /// In major units of the home market.
    fn revenue_per_visit(&self, arm: Arm, from: usize, until: usize) -> Interval {
        self.over(|tally| {
            let sums = tally.sums(arm, from, until);
            sums.revenue / sums.visits / 100.0
        })
    }

    fn regret(&self, arm: Arm, beside: Arm, from: usize, until: usize) -> Interval {
        self.over(|tally| tally.regret(arm, beside, from, until))
    }

    /// Revenue per visit of Merx over that of popularity: the same visits, hence their revenue.
    fn lifts(&self, from: usize) -> Vec<f64> {
        let of = |tally: &Tally, arm| tally.sums(arm, from, self.days()).revenue;
        self.played.iter().map(|tally| of(tally, Arm::Merx) / of(tally, Arm::Popularity)).collect()
    }

    /// The same without the luck of who happened to buy.
    fn expected_ratios(&self, over: Arm, from: usize) -> Vec<f64> {
        let of = |tally: &Tally, arm| tally.sums(arm, from, self.days()).expected;
        self.played.iter().map(|tally| of(tally, Arm::Merx) / of(tally, over)).collect()
    }

    fn expected_per_visit(&self, arm: Arm, from: usize, until: usize) -> Interval {
        self.over(|tally| {
            let sums = tally.sums(arm, from, until);
            sums.expected / sums.visits / 100.0
        })
    }

    fn print(&self) {
        let (days, half) = (self.days(), self.days() / 2);
        for arm in Arm::ALL {
            let say = |metric, interval, unit| self.say(metric, Some(arm), None, None, interval, unit);
            say("revenue_per_visit", self.revenue_per_visit(arm, 0, days), "EUR");
            say("revenue_per_visit_second_half", self.revenue_per_visit(arm, half, days), "EUR");
            say("expected_revenue_per_visit", self.expected_per_visit(arm, 0, days), "EUR");
            say("expected_revenue_per_visit_last_week", self.expected_per_visit(arm, days - WEEK, days), "EUR");
            say("units_per_visit", self.over(|tally| units_per_visit(tally, arm)), "products");
            say("visits", self.over(|tally| tally.sums(arm, 0, days).visits), "visits");
        }
        let all = |metric, interval, unit| self.say(metric, None, None, None, interval, unit);
        all("revenue_ratio", Interval::of_ratios(self.lifts(0)), "merx / popularity");
        all("revenue_ratio_second_half", Interval::of_ratios(self.lifts(half)), "merx / popularity");
        for (metric, from) in [("expected_revenue_ratio", 0), ("expected_revenue_ratio_second_half", half)] {
            all(metric, Interval::of_ratios(self.expected_ratios(Arm::Popularity, from)), "merx / popularity");
        }
        for (metric, from) in
            [("expected_revenue_over_best_sellers", 0), ("expected_revenue_over_best_sellers_second_half", half)]
        {
            all(metric, Interval::of_ratios(self.expected_ratios(Arm::BestSellers, from)), "merx / best sellers");
        }
        let over = self.expected_ratios(Arm::BestSellers, 0).iter().filter(|ratio| **ratio > 1.0).count();
        all("shops_won_over_best_sellers", Interval::exactly(over as f64), "shops");
        let units = self.played.iter().map(|tally| {
            let of = |arm| tally.sums(arm, 0, days).expected_units;
            of(Arm::Merx) / of(Arm::Popularity)
        });
        all("expected_units_ratio", Interval::of_ratios(units), "merx / popularity");
        let won = self.expected_ratios(Arm::Popularity, 0).iter().filter(|ratio| **ratio > 1.0).count();
        all("shops_won", Interval::exactly(won as f64), "shops");
        let luck = sign_test(won, self.played.len() - won);
        all("sign_test", Interval::exactly(luck), "chance of a split as uneven");
        let more = self.over(|tally| {
            let of = |arm| tally.sums(arm, 0, days).expected / tally.sums(arm, 0, days).visits / 100.0;
            of(Arm::Merx) - of(Arm::Popularity)
        });
        all("expected_revenue_per_visit_more", more, "EUR");
        let more = self.over(|tally| {
            let of = |arm| tally.sums(arm, 0, days).revenue / tally.sums(arm, 0, days).visits / 100.0;
            of(Arm::Merx) - of(Arm::Popularity)
        });
        all("revenue_per_visit_more", more, "EUR");
        for beside in [Arm::Oracle, Arm::Knowable] {
            let arms = [Arm::Random, Arm::Popularity, Arm::BestSellers, Arm::Merx, Arm::Knowable];
            arms.into_iter().filter(|arm| *arm != beside).for_each(|arm| self.print_regret(arm, beside));
        }
        for part in [Part::Refused, Part::Stranger, Part::Acquaintance, Part::Known, Part::WellKnown] {
            let ratios =
                self.played.iter().map(|tally| tally.part(Arm::Merx, part) / tally.part(Arm::Popularity, part));
            let ratio = Interval::of_ratios(ratios);
            self.say("expected_revenue_ratio_second_half", None, Some(part), None, ratio, "merx / popularity");
        }
        let nights = self.over(|tally| f64::from(tally.promoted) / f64::from(tally.nights.max(1)));
        all("nights_that_passed_the_gate", nights, "share");
        all("sold_out_shown", self.over(|tally| tally.sold_out_shown as f64), "places");
    }

    /// What an arm misses of what another earns: overall, by week, by part in the second half, by day.
    fn print_regret(&self, arm: Arm, beside: Arm) {
        let days = self.days();
        let say = |metric, part, day, interval: Interval| {
            let Interval { mean: value, low, high } = interval;
            let (arm, beside, unit) = (Some(arm), Some(beside), "share missed");
            let shops = self.played.len();
            super::print_line(&Figure { metric, arm, beside, part, day, value, low, high, unit, shops });
        };
        let between = |from, until| self.regret(arm, beside, from, until);
        say("regret", None, None, between(0, days));
        say("regret_first_week", None, None, between(0, WEEK));
        say("regret_second_week", None, None, between(WEEK, 2 * WEEK));
        say("regret_last_week", None, None, between(days - WEEK, days));
        for (metric, from) in [("regret_fall_from_first_week", 0), ("regret_fall_from_second_week", WEEK)] {
            let of = |tally: &Tally, from| tally.regret(arm, beside, from, from + WEEK);
            say(metric, None, None, self.over(|tally| of(tally, from) - of(tally, days - WEEK)));
        }
        for part in Part::ALL {
            let missed = self.over(|tally| 1.0 - tally.part(arm, part) / tally.part(beside, part));
            say("regret_second_half", Some(part), None, missed);
        }
        (0..days).for_each(|day| say("regret_of_day", None, Some(day + 1), between(day, day + 1)));
    }

    fn say(
        &self,
        metric: &'static str,
        arm: Option<Arm>,
        part: Option<Part>,
        day: Option<usize>,
        interval: Interval,
        unit: &'static str,
    ) {
        let Interval { mean: value, low, high } = interval;
        let shops = self.played.len();
        super::print_line(&Figure { metric, arm, beside: None, part, day, value, low, high, unit, shops });
    }

    fn draw(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let ratios = self.expected_ratios(Arm::Popularity, 0);
        let overall = Interval::of_ratios(ratios.iter().copied());
        let title = "Expected revenue per visit of Merx over popularity's, a dot a shop";
        for (name, drawing) in [
            ("regret.svg", self.regret_by_day("What is missed of the oracle's revenue", Arm::Oracle).to_svg()),
            ("learnable.svg", self.regret_by_day("What is missed of what deeds tell", Arm::Knowable).to_svg()),
            ("revenue.svg", self.revenue_by_day().to_svg()),
            ("lift.svg", self.lift_by_day().to_svg()),
            ("ratio.svg", dots(title, &ratios, overall)),
        ] {
            let path = folder.join(name);
            std::fs::write(&path, drawing).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    /// A value for each day, of the seven days that end with it.
    fn by_day(
        &self,
        name: &'static str,
        colour: &'static str,
        value: impl Fn(&Self, usize, usize) -> Interval,
    ) -> Series {
        let points = (1..=self.days()).map(|until| value(self, until.saturating_sub(WEEK), until));
        Series { name, colour, points: points.collect() }
    }

    fn regret_by_day(&self, title: &'static str, beside: Arm) -> Chart {
        let lines = [
            (Arm::Popularity, "popularity", "plain"),
            (Arm::BestSellers, "best sellers", "other"),
            (Arm::Merx, "Merx", "accent"),
            (Arm::Knowable, "all that deeds tell", "quiet"),
        ];
        let series = lines.into_iter().filter(|(arm, ..)| *arm != beside).map(|(arm, name, colour)| {
            self.by_day(name, colour, move |all, from, until| all.regret(arm, beside, from, until))
        });
        Chart { title, unit: "%", scale: 100.0, from_zero: false, series: series.collect() }
    }

    fn revenue_by_day(&self) -> Chart {
        let of = |arm, name, colour| {
            self.by_day(name, colour, move |all, from, until| all.expected_per_visit(arm, from, until))
        };
        Chart {
            title: "Expected revenue per visit",
            unit: "EUR",
            scale: 1.0,
            from_zero: true,
            series: vec![
                of(Arm::Merx, "Merx", "accent"),
                of(Arm::BestSellers, "best sellers", "other"),
                of(Arm::Popularity, "popularity", "plain"),
                of(Arm::Random, "chance", "quiet"),
            ],
        }
    }

    fn lift_by_day(&self) -> Chart {
        let ratio = |all: &Self, from, until| {
            let of = |tally: &Tally, arm| tally.sums(arm, from, until).expected;
            Interval::of_ratios(all.played.iter().map(|tally| of(tally, Arm::Merx) / of(tally, Arm::Popularity)))
        };
        Chart {
            title: "Expected revenue of Merx over popularity's",
            unit: "%",
            scale: 100.0,
            from_zero: false,
            series: vec![self.by_day("Merx", "accent", ratio)],
        }
    }
}

fn units_per_visit(tally: &Tally, arm: Arm) -> f64 {
    let sums = tally.sums(arm, 0, tally.day_count());
    sums.units / sums.visits
}
