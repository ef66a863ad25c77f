//! Rules by region: what silence allows, what signals of the browser and the device refuse, what is never done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ConsentPolicy, ConsentStamp, Grant, Purposes};
use crate::{MarketId, SubjectId};

/// A policy as a merchant writes it; purposes by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyDocument {
    /// The region of markets that no region names.
    pub default_region: String,
    pub regions: BTreeMap<String, RegionDocument>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionDocument {
    #[serde(default)]
    pub markets: Vec<String>,
    /// What may be done where a person has said nothing.
    #[serde(default)]
    pub allowed_unless_denied: Vec<String>,
    /// What `Sec-GPC: 1` refuses. Sale and sharing always.
    #[serde(default)]
    pub refused_by_privacy_control: Vec<String>,
    /// What is not done here, whatever anybody says.
    #[serde(default)]
    pub never: Vec<String>,
}

/// What is wrong with a policy, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {detail}")]
pub struct PolicyMistake {
    pub at: String,
    pub code: &'static str,
    pub detail: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Region {
    name: String,
    allowed_unless_denied: Purposes,
    refused_by_privacy_control: Purposes,
    never: Purposes,
}

/// A policy that was found sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySet {
    /// 0: of the configuration.
    pub version: u32,
    regions: Vec<Region>,
    by_market: BTreeMap<MarketId, usize>,
    default_region: usize,
}

impl PolicySet {
    /// Reads a document; every mistake is named.
    pub fn read(version: u32, document: &PolicyDocument) -> Result<Self, Vec<PolicyMistake>> {
        let mut mistakes = Vec::new();
        let mut regions = Vec::new();
        let mut by_market = BTreeMap::new();
        for (number, (name, region)) in document.regions.iter().enumerate() {
            let at = |field: &str| format!("regions.{name}.{field}");
            let mut purposes = |field: &str, names: &[String]| {
                let mut set = Purposes::empty();
                for (place, purpose) in names.iter().enumerate() {
                    match Purposes::by_name(purpose) {
                        Some(purpose) => set |= purpose,
                        None => {
                            let known: Vec<&str> = Purposes::NAMES.iter().map(|(_, name)| *name).collect();
                            mistakes.push(PolicyMistake {
                                at: format!("{}[{place}]", at(field)),
                                code: "unknown_purpose",
                                detail: format!("there is no purpose {purpose:?}; known: {}", known.join(", ")),
                            });
                        }
                    }
                }
                set
            };
            let region_read = Region {
                name: name.clone(),
                allowed_unless_denied: purposes("allowed_unless_denied", &region.allowed_unless_denied),
                refused_by_privacy_control: purposes("refused_by_privacy_control", &region.refused_by_privacy_control)
                    | Purposes::SALE_SHARING,
                never: purposes("never", &region.never),
            };
            if region_read.never.contains(Purposes::NECESSARY) {
                let detail = "what is necessary to run the shop can't be forbidden".to_owned();
                mistakes.push(PolicyMistake { at: at("never"), code: "necessary", detail });
            } else if (region_read.never | Purposes::NECESSARY) == Purposes::all() {
                let detail = "nobody could allow anything here: leave out at least one purpose".to_owned();
                mistakes.push(PolicyMistake { at: at("never"), code: "locks_everybody_out", detail });
            }
            let contradicts = region_read.never & region_read.allowed_unless_denied;
            if !contradicts.is_empty() {
                let detail = "a purpose that is never allowed can't be allowed unless denied".to_owned();
                mistakes.push(PolicyMistake { at: at("allowed_unless_denied"), code: "contradiction", detail });
            }
            regions.push(region_read);
            for (place, market) in region.markets.iter().enumerate() {
                let mut mistake = |code, detail| {
                    mistakes.push(PolicyMistake { at: format!("{}[{place}]", at("markets")), code, detail });
                };
                match MarketId::new(market) {
                    Err(error) => mistake("invalid_id", error.to_string()),
                    Ok(id) => {
                        if by_market.insert(id, number).is_some() {
                            mistake("taken", format!("market {market} is named twice"));
                        }
                    }
                }
            }
        }
        let default_region = regions.iter().position(|region| region.name == document.default_region);
        if default_region.is_none() {
            let detail = format!("there is no region {:?}", document.default_region);
            mistakes.push(PolicyMistake { at: "default_region".to_owned(), code: "unknown_region", detail });
        }
        match default_region {
            Some(default_region) if mistakes.is_empty() => Ok(Self { version, regions, by_market, default_region }),
            _ => Err(mistakes),
        }
    }

    /// The name of the region that a market lies in.
    pub fn region_of(&self, market: &MarketId) -> &str {
        &self.region(market).name
    }

    fn region(&self, market: &MarketId) -> &Region {
        &self.regions[self.by_market.get(market).copied().unwrap_or(self.default_region)]
    }

    /// Grants what is necessary, what was granted, and what the region allows unless denied. A denial wins over both, and
    /// what is never done over everything.
    pub fn check(&self, subject: SubjectId, market: &MarketId, stamp: ConsentStamp) -> Grant {
        let region = self.region(market);
        let mut denied = stamp.denied | region.never;
        if stamp.global_privacy_control {
            denied |= region.refused_by_privacy_control;
        }
        let allowed = (stamp.granted | region.allowed_unless_denied) - denied;
        Grant { subject, purposes: allowed | Purposes::NECESSARY }
    }
}

impl From<ConsentPolicy> for PolicySet {
    /// The same everywhere.
    fn from(policy: ConsentPolicy) -> Self {
        let region = Region {
            name: "default".to_owned(),
            allowed_unless_denied: policy.allowed_unless_denied,
            refused_by_privacy_control: Purposes::SALE_SHARING,
            never: Purposes::empty(),
        };
        Self { version: 0, regions: vec![region], by_market: BTreeMap::new(), default_region: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> PolicyDocument {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let region = |markets: &[&str], allowed: &[&str], gpc: &[&str], never: &[&str]| RegionDocument {
            markets: names(markets),
            allowed_unless_denied: names(allowed),
            refused_by_privacy_control: names(gpc),
            never: names(never),
        };
        PolicyDocument {
            default_region: "gdpr".to_owned(),
            regions: BTreeMap::from([
                // Opt-in: nothing without a yes.
                ("gdpr".to_owned(), region(&["DE", "FR"], &[], &[], &["sale_sharing"])),
                // Opt-out: everything until a no, and the browser's signal is one.
                (
                    "ccpa".to_owned(),
                    region(
                        &["US-CA"],
                        &["analytics", "personalisation", "marketing", "automated_decisions", "sale_sharing"],
                        &["marketing"],
                        &[],
                    ),
                ),
            ]),
        }
    }

    /// Market, granted, denied, privacy control, what comes out. `n a p m d s`: the purposes by their first letters.
    const TABLE: [(&str, &str, &str, bool, &str); 14] = [
        ("DE", "", "", false, "n"),
        ("DE", "p", "", false, "np"),
        ("DE", "pa", "p", false, "na"),
        ("DE", "apmds", "", false, "napmd"),
        ("DE", "s", "", false, "n"),
        ("DE", "pm", "", true, "npm"),
        ("elsewhere", "", "", false, "n"),
        ("elsewhere", "a", "", false, "na"),
        ("US-CA", "", "", false, "napmds"),
        ("US-CA", "", "s", false, "napmd"),
        ("US-CA", "", "", true, "napd"),
        ("US-CA", "s", "", true, "napd"),
        ("US-CA", "", "apmds", false, "n"),
        ("US-CA", "", "apmds", true, "n"),
    ];

    fn purposes(letters: &str) -> Purposes {
        let of = |letter: char| Purposes::NAMES["napmds".find(letter).unwrap()].0;
        letters.chars().map(of).fold(Purposes::empty(), |all, one| all | one)
    }

    #[test]
    fn the_table_of_grants() {
        let policy = PolicySet::read(3, &document()).unwrap();
        for (market, granted, denied, gpc, expected) in TABLE {
            let stamp =
                ConsentStamp { granted: purposes(granted), denied: purposes(denied), global_privacy_control: gpc };
            let grant = policy.check(SubjectId(1), &MarketId::new(market).unwrap(), stamp);
            assert_eq!(grant.purposes(), purposes(expected), "{market} {granted} {denied} {gpc}");
        }
        assert_eq!(policy.region_of(&MarketId::new("US-CA").unwrap()), "ccpa");
    }

    #[test]
    fn mistakes_are_named_before_anything_goes_live() {
        let codes = |change: &dyn Fn(&mut PolicyDocument)| {
            let mut document = document();
            change(&mut document);
            let mistakes = PolicySet::read(1, &document).unwrap_err();
            mistakes.into_iter().map(|mistake| format!("{} {}", mistake.at, mistake.code)).collect::<Vec<_>>()
        };
        let gdpr =
            |change: &dyn Fn(&mut RegionDocument)| codes(&|document| change(document.regions.get_mut("gdpr").unwrap()));
        assert_eq!(codes(&|it| it.default_region = "lgpd".to_owned()), ["default_region unknown_region"]);
        assert_eq!(codes(&|it| it.regions.clear()), ["default_region unknown_region"]);
        assert_eq!(
            gdpr(&|it| it.allowed_unless_denied = vec!["analytics".to_owned(), "profit".to_owned()]),
            ["regions.gdpr.allowed_unless_denied[1] unknown_purpose"]
        );
        assert_eq!(gdpr(&|it| it.markets.push("US-CA".to_owned())), ["regions.gdpr.markets[2] taken"]);
        assert_eq!(gdpr(&|it| it.markets.push(" ".to_owned())), ["regions.gdpr.markets[2] invalid_id"]);
        assert_eq!(gdpr(&|it| it.never.push("necessary".to_owned())), ["regions.gdpr.never necessary"]);
        let all = ["analytics", "personalisation", "marketing", "automated_decisions", "sale_sharing"];
        assert_eq!(gdpr(&|it| it.never = all.map(str::to_owned).to_vec()), ["regions.gdpr.never locks_everybody_out"]);
        assert_eq!(
            gdpr(&|it| it.allowed_unless_denied = vec!["sale_sharing".to_owned()]),
            ["regions.gdpr.allowed_unless_denied contradiction"]
        );
    }

    #[test]
    fn a_plain_policy_holds_everywhere() {
        let plain = ConsentPolicy { allowed_unless_denied: Purposes::ANALYTICS };
        let policy = PolicySet::from(plain);
        for stamp in [
            ConsentStamp::default(),
            ConsentStamp { granted: Purposes::all(), global_privacy_control: true, ..Default::default() },
        ] {
            let market = MarketId::default();
            assert_eq!(policy.check(SubjectId(7), &market, stamp), plain.check(SubjectId(7), stamp));
        }
    }
}
