//! Which arms of experiments a subject was shown, so that a person keeps them on a new device.

use compact_str::CompactString;
use merx_domain::experiment::ExperimentId;
use merx_domain::{Event, EventKind, Purposes, TimestampMs};

use crate::codec::{Encoded, Reader, write_text, write_time};

/// First byte of what is stored. Formats once written stay readable.
pub(crate) const FORMAT: u8 = 1;
/// The oldest leave first: far more experiments than run beside each other.
const MOST: usize = 64;

/// What an event of kind [`EventKind::ExperimentViewed`] is called where Merx itself dealt the arm. Senders can't name events of
/// known kinds, so nobody deals themselves an arm.
pub const OWN_EXPOSURE: &str = "merx exposure";

/// An arm that was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShownArm {
    pub(crate) experiment: ExperimentId,
    pub(crate) arm: CompactString,
    pub(crate) first_at: TimestampMs,
}

impl ShownArm {
    /// `None` for every other event, and where the person refused to be measured.
    pub(crate) fn of(event: &Event) -> Option<Self> {
        let own = event.kind == EventKind::ExperimentViewed && event.custom_name.as_deref() == Some(OWN_EXPOSURE);
        if !own || event.consent.denied.contains(Purposes::ANALYTICS) {
            return None;
        }
        let text = |name: &str| serde_json::from_str::<CompactString>(event.properties.get(name)?).ok();
        Some(Self {
            experiment: ExperimentId(text("experiment_id")?),
            arm: text("variation_id")?,
            first_at: event.occurred_at,
        })
    }
}

/// The first arm of each experiment, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ShownArms(pub(crate) Vec<ShownArm>);

impl ShownArms {
    /// Where both are of one experiment the earlier one counts.
    pub(crate) fn add(&mut self, shown: ShownArm) {
        if let Some(known) = self.0.iter().position(|one| one.experiment == shown.experiment) {
            if self.0[known].first_at <= shown.first_at {
                return;
            }
            self.0.remove(known);
        }
        let place = self.0.partition_point(|one| one.first_at <= shown.first_at);
        self.0.insert(place, shown);
        if self.0.len() > MOST {
            self.0.remove(0);
        }
    }

    /// An empty value is a subject that was shown none; `None` are bytes that nobody wrote.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let Some((format, rest)) = bytes.split_first() else { return Some(Self::default()) };
        if *format != FORMAT {
            return None;
        }
        let input = &mut Reader(rest);
        let count = usize::try_from(input.varint()?).ok().filter(|count| *count <= MOST)?;
        (0..count).map(|_| ShownArm::read(input)).collect::<Option<_>>().map(Self)
    }

    pub(crate) fn to_bytes(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend([FORMAT, self.0.len() as u8]);
        self.0.iter().for_each(|shown| shown.write(out));
    }
}

impl Encoded for ShownArm {
    fn write(&self, out: &mut Vec<u8>) {
        write_time(out, self.first_at);
        write_text(out, self.experiment.as_str());
        write_text(out, &self.arm);
    }

    fn read(input: &mut Reader<'_>) -> Option<Self> {
        let first_at = input.time()?;
        Some(Self { first_at, experiment: ExperimentId(input.text()?.into()), arm: input.text()?.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(experiment: &str, arm: &str, at: i64) -> ShownArm {
        ShownArm { experiment: ExperimentId::new(experiment), arm: arm.into(), first_at: TimestampMs(at) }
    }

    #[test]
    fn the_first_arm_counts_and_comes_back_from_its_bytes() {
        let mut arms = ShownArms::default();
        for one in [shown("b", "x", 20), shown("a", "old", 10), shown("a", "new", 30), shown("b", "earlier", 5)] {
            arms.add(one);
        }
        assert_eq!(arms.0, [shown("b", "earlier", 5), shown("a", "old", 10)]);
        let mut bytes = Vec::new();
        arms.to_bytes(&mut bytes);
        assert_eq!(ShownArms::from_bytes(&bytes), Some(arms));
        assert_eq!(ShownArms::from_bytes(&bytes[..bytes.len() - 1]), None);
        assert_eq!(ShownArms::from_bytes(&[9]), None);
    }

    #[test]
    fn no_subject_keeps_more_than_so_many() {
        let mut arms = ShownArms::default();
        (0..200).for_each(|number| arms.add(shown(&number.to_string(), "a", number)));
        assert_eq!((arms.0.len(), arms.0[0].first_at), (MOST, TimestampMs(136)));
    }
}
