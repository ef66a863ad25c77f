//! Everything that is kept of one product, under one key: statistics and neighbours.

use merx_domain::{ProductNumber, TimestampMs};

use crate::codec::{Encoded, Reader};
use crate::covisitation::{Covisitation, CovisitationState, Meeting};
use crate::feature::Feature;
use crate::product_statistics::{ProductAct, ProductStatistics, ProductStatisticsState};

/// First byte of what is stored. Formats once written stay readable.
pub(crate) const FORMAT: u8 = 1;

#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct ProductState {
    pub(crate) statistics: ProductStatisticsState,
    pub(crate) covisitation: CovisitationState,
}

impl ProductState {
    /// `act` is `None` for a product that was only met by another one.
    pub(crate) fn apply(&mut self, act: Option<&ProductAct>, at: TimestampMs, others: &[(ProductNumber, f32)]) {
        if let Some(act) = act {
            ProductStatistics::apply(&mut self.statistics, act);
        }
        if !others.is_empty() {
            Covisitation::apply(&mut self.covisitation, &Meeting { at, others });
        }
    }

    /// An empty value is a product never touched; `None` are bytes that nobody wrote.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let Some((format, rest)) = bytes.split_first() else { return Some(Self::default()) };
        if *format != FORMAT {
            return None;
        }
        let input = &mut Reader(rest);
        Some(Self { statistics: ProductStatisticsState::read(input)?, covisitation: CovisitationState::read(input)? })
    }

    pub(crate) fn to_bytes(&self, out: &mut Vec<u8>) {
        out.clear();
        out.push(FORMAT);
        self.statistics.write(out);
        self.covisitation.write(out);
    }
}
