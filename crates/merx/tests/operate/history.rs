//! What clients were told, and whether it can be true: a checker of histories. Times are microseconds of one clock, by which a
//! call began and its answer came.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// Something that was to be changed.
#[derive(Debug, Clone)]
pub(crate) struct Write<V> {
    pub(crate) value: V,
    pub(crate) began: u64,
    /// `None`: nobody said so. It may count from its beginning on, at whatever later time, or never.
    pub(crate) ended: Option<u64>,
}

/// Something that was seen.
#[derive(Debug, Clone)]
pub(crate) struct Read<V> {
    pub(crate) value: V,
    pub(crate) began: u64,
    pub(crate) ended: u64,
    /// Whom it was seen at.
    pub(crate) by: String,
}

/// Reads that saw what can't have been in force: no write of it that had begun, or another one that was acknowledged came
/// wholly between that write and the read.
pub(crate) fn impossible_reads<V: PartialEq + Debug>(
    initial: &V,
    writes: &[Write<V>],
    reads: &[Read<V>],
) -> Vec<String> {
    let overwritten = |since: Option<u64>, read: &Read<V>| {
        let later = |write: &&Write<V>| since.is_none_or(|since| write.began > since);
        let mut acknowledged = writes.iter().filter(later).filter_map(|write| write.ended);
        acknowledged.any(|ended| ended < read.began)
    };
    let is_possible = |read: &&Read<V>| {
        let wrote = |write: &Write<V>| {
            let begun = write.value == read.value && write.began <= read.ended;
            begun && write.ended.is_none_or(|ended| !overwritten(Some(ended), read))
        };
        (read.value == *initial && !overwritten(None, read)) || writes.iter().any(wrote)
    };
    let impossible = reads.iter().filter(|read| !is_possible(read));
    impossible.map(|read| format!("{} saw {:?} at {}..{}", read.by, read.value, read.began, read.ended)).collect()
}

/// Marks of events that were acknowledged and are not in the log, and those that are there more than once.
pub(crate) fn lost_or_doubled(acknowledged: &BTreeSet<String>, stored: &BTreeMap<String, usize>) -> Vec<String> {
    let lost = acknowledged.iter().filter(|mark| !stored.contains_key(*mark)).map(|mark| format!("{mark} is lost"));
    let doubled =
        stored.iter().filter(|(_, times)| **times > 1).map(|(mark, times)| format!("{mark} is there {times} times"));
    lost.chain(doubled).collect()
}

/// Units that were dealt more than one arm of an experiment.
pub(crate) fn torn_units<'a>(dealt: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let mut arms: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (unit, arm) in dealt {
        arms.entry(unit).or_default().insert(arm);
    }
    let torn = arms.into_iter().filter(|(_, arms)| arms.len() > 1);
    torn.map(|(unit, arms)| format!("{unit} saw {arms:?}")).collect()
}

/// Looks at the versions of a model that found more than one live.
pub(crate) fn several_live(looks: &[Read<Vec<u64>>]) -> Vec<String> {
    let several = looks.iter().filter(|look| look.value.len() > 1);
    several.map(|look| format!("{} saw {:?} live at {}", look.by, look.value, look.began)).collect()
}

mod tests {
    use super::*;

    fn write(value: u8, began: u64, ended: impl Into<Option<u64>>) -> Write<u8> {
        Write { value, began, ended: ended.into() }
    }

    fn sees(writes: &[Write<u8>], value: u8, began: u64, ended: u64) -> bool {
        let read = Read { value, began, ended, by: "somebody".to_owned() };
        impossible_reads(&0, writes, &[read]).is_empty()
    }

    #[test]
    fn what_was_acknowledged_is_seen_by_who_asks_afterwards() {
        let writes = [write(1, 10, 20), write(2, 30, 40)];
        assert!(sees(&writes, 0, 5, 6) && sees(&writes, 2, 50, 51));
        for stale in [0, 1, 9] {
            assert!(!sees(&writes, stale, 50, 51), "{stale}");
        }
        assert!(!sees(&writes, 2, 21, 22), "nobody had begun to write it");
        assert!(!sees(&writes, 0, 21, 35), "the first was acknowledged before");
    }

    #[test]
    fn what_overlaps_may_be_seen_or_not() {
        let writes = [write(1, 10, 20), write(2, 15, 40)];
        for (value, began) in [(0, 12), (1, 12), (2, 18), (1, 25), (2, 25), (1, 50), (2, 50)] {
            assert!(sees(&writes, value, began, began + 1), "{value} at {began}");
        }
        assert!(!sees(&writes, 0, 25, 26));
    }

    #[test]
    fn what_nobody_acknowledged_may_count_or_not() {
        let writes = [write(1, 10, 20), write(2, 30, None)];
        for (value, began) in [(1, 50), (2, 50), (1, 25), (2, 1_000)] {
            assert!(sees(&writes, value, began, began + 1) || (value, began) == (2, 25), "{value} at {began}");
        }
        assert!(!sees(&writes, 2, 25, 26) && !sees(&writes, 0, 50, 51));
        // A later word that was acknowledged does not end what may still come.
        let writes = [write(1, 10, None), write(2, 30, 40)];
        assert!(sees(&writes, 1, 50, 51) && sees(&writes, 2, 50, 51) && !sees(&writes, 0, 50, 51));
    }

    #[test]
    fn planted_losses_are_found() {
        let acknowledged: BTreeSet<String> = ["a", "b", "c"].map(str::to_owned).into();
        let stored = |marks: &[(&str, usize)]| marks.iter().map(|(mark, times)| ((*mark).to_owned(), *times)).collect();
        assert!(lost_or_doubled(&acknowledged, &stored(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)])).is_empty());
        assert_eq!(lost_or_doubled(&acknowledged, &stored(&[("a", 1), ("b", 2)])), ["c is lost", "b is there 2 times"]);
    }

    #[test]
    fn a_unit_of_two_arms_and_two_live_versions_are_found() {
        assert!(torn_units([("kim", "a"), ("lee", "b"), ("kim", "a")]).is_empty());
        assert_eq!(torn_units([("kim", "a"), ("lee", "b"), ("kim", "b")]).len(), 1);
        let look = |live: &[u64]| Read { value: live.to_vec(), began: 1, ended: 2, by: "a".to_owned() };
        assert!(several_live(&[look(&[1]), look(&[])]).is_empty());
        assert_eq!(several_live(&[look(&[1]), look(&[1, 2])]).len(), 1);
    }
}
