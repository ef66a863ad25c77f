//! What a person allows, and the proof of it that personal features ask for.

use bitflags::bitflags;
use serde::{Deserialize, Serialize};

use crate::SubjectId;

bitflags! {
    /// What data about a person may be used for.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Purposes: u8 {
        /// Running the shop: orders, security. Needs no consent.
        const NECESSARY = 1;
        const ANALYTICS = 1 << 1;
        const PERSONALISATION = 1 << 2;
        const MARKETING = 1 << 3;
        const AUTOMATED_DECISIONS = 1 << 4;
        const SALE_SHARING = 1 << 5;
    }
}

impl Purposes {
    /// Every purpose and its name in configurations, requests and answers.
    pub const NAMES: [(Self, &'static str); 6] = [
        (Self::NECESSARY, "necessary"),
        (Self::ANALYTICS, "analytics"),
        (Self::PERSONALISATION, "personalisation"),
        (Self::MARKETING, "marketing"),
        (Self::AUTOMATED_DECISIONS, "automated_decisions"),
        (Self::SALE_SHARING, "sale_sharing"),
    ];

    pub fn by_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(purpose, _)| *purpose)
    }
}

impl Serialize for Purposes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.bits())
    }
}

impl<'de> Deserialize<'de> for Purposes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from_bits_truncate(u8::deserialize(deserializer)?))
    }
}

/// What was known of a person's consent when an event happened or a request came in. A purpose in neither set was
/// not asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConsentStamp {
    pub granted: Purposes,
    pub denied: Purposes,
    /// `Sec-GPC: 1`, Global Privacy Control: refuses sale and sharing, whatever else was said.
    pub global_privacy_control: bool,
}

impl ConsentStamp {
    /// The later stamp's word counts where it says something; a privacy-control signal is not forgotten by silence.
    pub fn then(self, later: Self) -> Self {
        let spoken = later.granted | later.denied;
        Self {
            granted: (self.granted - spoken) | (later.granted - later.denied),
            denied: (self.denied - spoken) | later.denied,
            global_privacy_control: self.global_privacy_control || later.global_privacy_control,
        }
    }
}

/// What a shop does where a person has said nothing: purposes allowed by default (legitimate interest, or a
/// platform that asks elsewhere).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentPolicy {
    pub allowed_unless_denied: Purposes,
}

impl ConsentPolicy {
    /// The person asks for what is held of them: their right, whatever they consented to.
    pub fn for_the_person(subject: SubjectId) -> Grant {
        Grant { subject, purposes: Purposes::all() }
    }

    /// Grants what is necessary, what was granted, and what the policy allows unless denied; a denial always wins.
    pub fn check(&self, subject: SubjectId, stamp: ConsentStamp) -> Grant {
        let mut denied = stamp.denied;
        if stamp.global_privacy_control {
            denied |= Purposes::SALE_SHARING;
        }
        let allowed = (stamp.granted | self.allowed_unless_denied) - denied;
        Grant { subject, purposes: allowed | Purposes::NECESSARY }
    }
}

/// Proof that a person's consent was checked. Only [`ConsentPolicy::check`] makes one, and personal features can't be
/// read without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    subject: SubjectId,
    purposes: Purposes,
}

impl Grant {
    pub fn subject(&self) -> SubjectId {
        self.subject
    }

    pub fn purposes(&self) -> Purposes {
        self.purposes
    }

    pub fn allows(&self, purposes: Purposes) -> bool {
        self.purposes.contains(purposes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: ConsentPolicy = ConsentPolicy { allowed_unless_denied: Purposes::ANALYTICS };

    #[test]
    fn a_denial_wins_over_grant_and_default() {
        let stamp =
            ConsentStamp { granted: Purposes::all(), denied: Purposes::ANALYTICS, global_privacy_control: true };
        let grant = POLICY.check(SubjectId(1), stamp);
        assert!(grant.allows(Purposes::PERSONALISATION | Purposes::NECESSARY));
        assert!(!grant.allows(Purposes::ANALYTICS));
        assert!(!grant.allows(Purposes::SALE_SHARING));
    }

    #[test]
    fn silence_takes_the_default() {
        let grant = POLICY.check(SubjectId(1), ConsentStamp::default());
        assert_eq!(grant.purposes(), Purposes::ANALYTICS | Purposes::NECESSARY);
    }

    #[test]
    fn a_later_word_replaces_an_earlier_one() {
        let yes = ConsentStamp { granted: Purposes::MARKETING, ..Default::default() };
        let no = ConsentStamp { denied: Purposes::MARKETING, ..Default::default() };
        assert_eq!(yes.then(no).denied, Purposes::MARKETING);
        assert_eq!(yes.then(no).granted, Purposes::empty());
        assert_eq!(no.then(yes).granted, Purposes::MARKETING);
        assert_eq!(yes.then(ConsentStamp::default()), yes);
    }
}
