//! What units bring on each day since their exposure, by arm.
//!
//! Most units do nothing on any of those days: they are counted, and only the others have a row. Parts are folded in parallel and merged in
//! order, as in [`crate::panel`], so that the sums have the same bits on any number of threads.

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::panel::{DAY_MS, DealtRows, PARTS, RUNS};
use crate::{Periods, SignalId};

/// What is summed by day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Course {
    pub(crate) arms: usize,
    pub(crate) signal: SignalId,
    pub(crate) days: usize,
    pub(crate) now_ms: i64,
}

struct Unit {
    at_ms: i64,
    /// `None`: it was shown several.
    arm: Option<u16>,
    /// Where its days begin.
    row: Option<u32>,
}

/// By arm, of units that have had all those days.
pub(crate) fn periods(rows: &DealtRows, course: Course) -> Vec<Periods> {
    let none = || vec![Periods::new(course.days); course.arms];
    let fold_run = |run: usize| {
        let mut own = none();
        for part in run * PARTS / RUNS..(run + 1) * PARTS / RUNS {
            fold_part(rows, part, course, &mut own);
        }
        own
    };
    let folded: Vec<Vec<Periods>> = (0..RUNS).into_par_iter().map(fold_run).collect();
    let mut sum = none();
    for run in &folded {
        for (sum, part) in sum.iter_mut().zip(run) {
            sum.merge(part);
        }
    }
    sum
}

fn fold_part(rows: &DealtRows, part: usize, course: Course, into: &mut [Periods]) {
    let exposed = rows.exposures.part_len(part);
    let mut units: FxHashMap<u64, Unit> = FxHashMap::with_capacity_and_hasher(exposed, Default::default());
    for exposure in rows.exposures.part(part).filter(|exposure| usize::from(exposure.arm) < course.arms) {
        let fresh = Unit { at_ms: exposure.at_ms, arm: Some(exposure.arm), row: None };
        let unit = units.entry(exposure.unit).or_insert(fresh);
        unit.at_ms = unit.at_ms.min(exposure.at_ms);
        unit.arm = unit.arm.filter(|arm| *arm == exposure.arm);
    }
    let mut days: Vec<f64> = Vec::new();
    for outcome in rows.outcomes.part(part).filter(|outcome| outcome.signal == course.signal) {
        let Some(unit) = units.get_mut(&outcome.unit) else { continue };
        let day = (outcome.at_ms - unit.at_ms).div_euclid(DAY_MS);
        let Some(day) = usize::try_from(day).ok().filter(|day| *day < course.days) else { continue };
        let row = *unit.row.get_or_insert_with(|| {
            days.resize(days.len() + course.days, 0.0);
            (days.len() - course.days) as u32
        });
        days[row as usize + day] += outcome.value;
    }
    let mature = course.now_ms - course.days as i64 * DAY_MS;
    let mut idle = vec![0; course.arms];
    let mut busy = Vec::new();
    for (id, unit) in &units {
        match (unit.arm.filter(|_| unit.at_ms <= mature), unit.row) {
            (None, _) => {}
            (Some(arm), None) => idle[usize::from(arm)] += 1,
            (Some(arm), Some(row)) => busy.push((*id, arm, row as usize)),
        }
    }
    // In the order of units, so that sums have the same bits each time.
    busy.sort_unstable();
    for (_, arm, row) in busy {
        into[usize::from(arm)].add(&days[row..row + course.days]);
    }
    into.iter_mut().zip(idle).for_each(|(periods, count)| periods.add_idle(count));
}

#[cfg(test)]
mod tests {
    use merx_numeric::rng::Rng;

    use super::*;
    use crate::{Exposure, Outcome};

    /// The same as adding every unit's days one by one.
    #[test]
    fn idle_units_count_as_if_they_were_added() {
        const DAYS: usize = 5;
        let (mut rng, signal) = (Rng::from_seed(8), SignalId(1));
        let exposures: Vec<Exposure> = (0..6_000)
            .map(|_| {
                let unit = rng.below(3_000) as u64;
                let arm = if unit == 7 { rng.below(2) as u16 } else { (unit % 2) as u16 };
                Exposure { unit, at_ms: rng.below(20 * DAY_MS as usize) as i64, arm, segment: 0 }
            })
            .collect();
        let outcomes: Vec<Outcome> = (0..2_000)
            .map(|_| {
                let (unit, at_ms) = (rng.below(3_000) as u64, rng.below(25 * DAY_MS as usize) as i64);
                Outcome { unit, at_ms, signal: SignalId(rng.below(2) as u16), value: 1.0 + rng.uniform() }
            })
            .collect();
        let course = Course { arms: 2, signal, days: DAYS, now_ms: 20 * DAY_MS };
        let read = periods(&DealtRows::new(&exposures, &outcomes), course);

        let mut slow = vec![Periods::new(DAYS); 2];
        for unit in 0..3_000 {
            let shown: Vec<&Exposure> = exposures.iter().filter(|one| one.unit == unit).collect();
            let Some(first) = shown.iter().map(|one| one.at_ms).min() else { continue };
            if first > course.now_ms - DAYS as i64 * DAY_MS || shown.iter().any(|one| one.arm != shown[0].arm) {
                continue;
            }
            let mut days = [0.0; DAYS];
            for outcome in outcomes.iter().filter(|one| one.unit == unit && one.signal == signal) {
                let day = (outcome.at_ms - first).div_euclid(DAY_MS);
                if (0..DAYS as i64).contains(&day) {
                    days[day as usize] += outcome.value;
                }
            }
            slow[usize::from(shown[0].arm)].add(&days);
        }
        for (fast, slow) in read.iter().zip(&slow) {
            assert_eq!(fast.count(), slow.count());
            assert!(fast.count() > 500);
            assert!(fast.is_close_to(slow, 1e-9));
        }
    }
}
