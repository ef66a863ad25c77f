//! Follows the log for experiments whose shares follow what arms bring, and hands their policies to the dealer.
//!
//! Nothing is stored: what a bandit knows is read off the log again after a restart.

use std::collections::BTreeMap;

use anyhow::Result;
use merx_decide::{ExperimentDefinition, OWN_EXPOSURE};
use merx_domain::experiment::{Bandit, ExperimentId, ExperimentState, Reward, context};
use merx_domain::{Event, EventKind, EventMeaning, HOUR_MS, Purposes, SubjectId};
use merx_measure::bandit::{BanditPage, Learner, Played};
use merx_store::{LogOffset, StoreError};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::shop::Shop;

const BATCH: usize = 10_000;
/// Pseudonyms of one person that rewards are looked up under.
const MOST_ALIASES: usize = 8;

#[derive(Default)]
pub(crate) struct Bandits(Mutex<BTreeMap<ExperimentId, Followed>>);

struct Followed {
    bandit: Bandit,
    learner: Learner,
    /// Who turned out to be somebody.
    aliases: FxHashMap<SubjectId, Vec<SubjectId>>,
    at: Option<LogOffset>,
    published_epoch: Option<i64>,
}

impl Bandits {
    /// Somebody was erased: what is known is read off the log again.
    pub(crate) fn forget(&self) {
        self.0.lock().clear();
    }

    /// Brings every running bandit up to the log and tells the dealer, once an epoch.
    pub(crate) fn publish(&self, shop: &Shop) -> Result<()> {
        let now = shop.clock.now();
        for stored in shop.dealer.definitions.list() {
            let definition = &stored.definition;
            let Some(bandit) = definition.bandit else { continue };
            if definition.experiment.state != ExperimentState::Running {
                continue;
            }
            let mut all = self.0.lock();
            let followed = follow(shop, &mut all, definition, bandit)?;
            let epoch = bandit.epoch(now.0);
            if followed.published_epoch != Some(epoch) {
                followed.published_epoch = Some(epoch);
                let policy = followed.learner.policy(epoch as u64);
                shop.dealer.publish(&definition.experiment.id, &bandit, policy, now);
            }
        }
        Ok(())
    }

    pub(crate) fn page(
        &self,
        shop: &Shop,
        definition: &ExperimentDefinition,
    ) -> Result<Option<BanditPage>, StoreError> {
        let Some(bandit) = definition.bandit else { return Ok(None) };
        let mut all = self.0.lock();
        let followed = follow(shop, &mut all, definition, bandit)?;
        let names: Vec<String> = definition.experiment.arms.iter().map(|arm| arm.name.to_string()).collect();
        Ok(Some(followed.learner.page(&names, bandit.epoch(shop.clock.now().0) as u64)))
    }
}

fn follow<'a>(
    shop: &Shop,
    all: &'a mut BTreeMap<ExperimentId, Followed>,
    definition: &ExperimentDefinition,
    bandit: Bandit,
) -> Result<&'a mut Followed, StoreError> {
    let experiment = &definition.experiment;
    let window_ms = i64::from(bandit.window_hours) * HOUR_MS;
    let fresh = || Followed {
        bandit,
        learner: Learner::new(bandit.kind, experiment.arms.len(), bandit.floor, window_ms),
        aliases: FxHashMap::default(),
        at: None,
        published_epoch: None,
    };
    let followed = all.entry(experiment.id.clone()).or_insert_with(fresh);
    if followed.bandit != bandit {
        *followed = fresh();
    }
    loop {
        let events = shop.store.log.read(followed.at, BATCH)?;
        let Some((last, _)) = events.last() else { break };
        followed.at = Some(*last);
        events.iter().for_each(|(_, event)| followed.take(definition, event));
    }
    followed.learner.tick(shop.clock.now().0);
    Ok(followed)
}

impl Followed {
    fn take(&mut self, definition: &ExperimentDefinition, event: &Event) {
        if let Some(from) = event.merged_from.filter(|from| *from != event.subject) {
            let aliases = self.aliases.entry(event.subject).or_default();
            if aliases.len() < MOST_ALIASES {
                aliases.push(from);
            }
        }
        if event.consent.denied.contains(Purposes::ANALYTICS) {
            return;
        }
        let at_ms = event.occurred_at.0;
        if event.kind == EventKind::ExperimentViewed {
            if let Some(played) = played(definition, event) {
                self.learner.play(event.subject.0, played);
            }
            return;
        }
        let counts = match self.bandit.reward {
            Reward::Click => event.kind.meaning() == EventMeaning::Viewed,
            Reward::Order => event.kind == EventKind::OrderCompleted,
        };
        if counts {
            // What somebody does signed in also belongs to what they were shown before.
            let aliases = self.aliases.get(&event.subject).map_or(&[][..], Vec::as_slice);
            let who = aliases.iter().chain([&event.subject]);
            who.for_each(|who| self.learner.reward(who.0, at_ms));
        }
    }
}

fn played(definition: &ExperimentDefinition, event: &Event) -> Option<Played> {
    if event.custom_name.as_deref() != Some(OWN_EXPOSURE) {
        return None;
    }
    let text = |name: &str| serde_json::from_str::<String>(event.properties.get(name)?).ok();
    let experiment = &definition.experiment;
    if text("experiment_id")? != experiment.id.as_str() {
        return None;
    }
    let arm = text("variation_id")?;
    let place = experiment.arms.iter().position(|known| known.name == arm)?;
    Some(Played {
        arm: place as u16,
        propensity: event.properties.get("propensity")?.parse().ok()?,
        context: context(&event.context.market, event.context.device),
        at_ms: event.occurred_at.0,
    })
}
