//! Which arms a decision meets, and what a flag says.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use compact_str::CompactString;
use merx_domain::experiment::{
    Assignment, BUCKETS, Bandit, BanditPolicy, Experiment, ExperimentId, ExperimentKind, ExperimentState, Refusal,
    Traits, Unit, context, unit_key,
};
use merx_domain::search::SearchAsk;
use merx_domain::{
    Ask, DecisionId, Device, Event, EventContext, EventId, EventKind, Filter, Goal, Grant, LayoutAsk, MarketId,
    Purposes, Slot, SubjectId, TimestampMs,
};
use merx_features::OWN_EXPOSURE;

use super::definition::{PreparedVariant, Surface};
use super::definitions::{Definitions, Live, LiveDetail};
use super::exposures::ExposureLog;
use crate::pipeline::FeatureSource;
use crate::shelf::SlotRules;

/// An engine's question as experiments see it.
pub trait Adjust {
    /// Whether an experiment on this surface has a say here. Every arm MUST get the same answer: it decides who counts.
    fn meets(&self, surface: &Surface) -> bool;

    /// Applies what an arm changes. `rules` are the shelf's, by slot.
    fn adjust(&mut self, surface: &Surface, variant: &PreparedVariant, rules: &mut Vec<SlotRules>);
}

fn is_of(slot: &Slot, slots: &[CompactString]) -> bool {
    slots.is_empty() || slots.iter().any(|name| slot.name == *name || slot.scenario.name() == *name)
}

fn both(own: Option<Filter>, other: &Filter) -> Filter {
    match own {
        Some(own) => Filter::All(vec![own, other.clone()]),
        None => other.clone(),
    }
}

impl Adjust for Ask {
    fn meets(&self, surface: &Surface) -> bool {
        matches!(surface, Surface::Recommend { slots } if self.slots.iter().any(|slot| is_of(slot, slots)))
    }

    fn adjust(&mut self, surface: &Surface, variant: &PreparedVariant, rules: &mut Vec<SlotRules>) {
        let Surface::Recommend { slots: names } = surface else { return };
        rules.resize_with(self.slots.len().max(rules.len()), SlotRules::default);
        self.goals.resize(self.slots.len(), Goal::default());
        let met = self.slots.iter_mut().zip(&mut self.goals).zip(rules).filter(|((slot, _), _)| is_of(slot, names));
        for ((slot, goal), rules) in met {
            *goal = variant.change.goal.unwrap_or(*goal);
            slot.scenario = variant.change.scenario.unwrap_or(slot.scenario);
            slot.count = variant.change.count.unwrap_or(slot.count);
            slot.diversity = variant.change.diversity.unwrap_or(slot.diversity);
            if let Some(filter) = &variant.filter {
                rules.filter = Some(both(rules.filter.take(), filter));
            }
            rules.boosts.extend(variant.boosts.iter().cloned());
        }
    }
}

impl Adjust for SearchAsk {
    fn meets(&self, surface: &Surface) -> bool {
        *surface == Surface::Search
    }

    fn adjust(&mut self, _surface: &Surface, variant: &PreparedVariant, _rules: &mut Vec<SlotRules>) {
        self.typo_tolerance = variant.change.typo_tolerance.unwrap_or(self.typo_tolerance);
        if let Some(filter) = &variant.filter {
            self.filter = Some(both(self.filter.take(), filter));
        }
    }
}

/// Orders of blocks are a bandit of their own.
impl Adjust for LayoutAsk {
    fn meets(&self, _surface: &Surface) -> bool {
        false
    }

    fn adjust(&mut self, _surface: &Surface, _variant: &PreparedVariant, _rules: &mut Vec<SlotRules>) {}
}

/// Who asks, as far as dealing goes.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// What the person allows; `None` where nobody is known.
    pub grant: Option<&'a Grant>,
    pub session: Option<&'a str>,
    pub market: &'a MarketId,
    pub device: Device,
    /// As the caller names them.
    pub segments: &'a [CompactString],
    pub now: TimestampMs,
}

/// An arm that a decision met.
#[derive(Debug, Clone)]
pub struct Dealt {
    pub assignment: Assignment,
    pub surface: Surface,
    pub variant: Arc<PreparedVariant>,
    kind: ExperimentKind,
    /// The unit where it is no subject.
    unit: Option<CompactString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvaluationReason {
    /// Everybody gets this arm.
    Static,
    /// Everybody of whom the targeting holds gets this arm.
    TargetingMatch,
    /// The arm was drawn.
    Split,
    /// Not in the experiment: what the control gets.
    Default,
    /// It doesn't run.
    Disabled,
}

/// What a flag says to somebody.
#[derive(Debug, Clone)]
pub struct Evaluation {
    pub experiment: ExperimentId,
    pub value: Option<serde_json::Value>,
    /// The arm whose value it is.
    pub variant: Option<CompactString>,
    pub reason: EvaluationReason,
    /// Where the asker is in the experiment.
    pub assignment: Option<Assignment>,
    pub dealt: Option<Dealt>,
}

/// Deals arms to whoever decides or asks for a flag.
pub struct Dealer {
    pub definitions: Arc<Definitions>,
    pub exposures: Arc<ExposureLog>,
    features: Arc<dyn FeatureSource>,
    bandits: ArcSwap<BTreeMap<ExperimentId, Published>>,
}

/// The policy of a bandit from an epoch on, and the one before: within an epoch nobody's arm moves.
#[derive(Debug, Clone)]
struct Published {
    policy: BanditPolicy,
    from_epoch: i64,
    before: BanditPolicy,
}

impl Dealer {
    pub fn new(definitions: Arc<Definitions>, exposures: Arc<ExposureLog>, features: Arc<dyn FeatureSource>) -> Self {
        Self { definitions, exposures, features, bandits: ArcSwap::default() }
    }

    /// A bandit's policy from the epoch after `now` on. Until the first one its arms have their own shares.
    pub fn publish(&self, id: &ExperimentId, bandit: &Bandit, policy: BanditPolicy, now: TimestampMs) {
        let epoch = bandit.epoch(now.0);
        let mut bandits = BTreeMap::clone(&self.bandits.load());
        let before = match bandits.get(id) {
            // Published twice in an epoch: the first of them never counted.
            Some(known) if known.from_epoch > epoch => known.before.clone(),
            Some(known) => known.policy.clone(),
            None => BanditPolicy::Shares(self.own_shares(id)),
        };
        bandits.insert(id.clone(), Published { policy, from_epoch: epoch + 1, before });
        self.bandits.store(Arc::new(bandits));
    }

    fn own_shares(&self, id: &ExperimentId) -> Vec<u16> {
        let stored = self.definitions.get(id);
        stored.map(|stored| stored.definition.experiment.arms.iter().map(|arm| arm.share).collect()).unwrap_or_default()
    }

    /// The arm that somebody gets: by their lot, or of a bandit by its policy.
    fn assigned(
        &self,
        live: &Live,
        place: usize,
        hand: &mut Hand,
        asker: &Asker<'_>,
    ) -> Result<(Assignment, Option<i64>), Refusal> {
        let (experiment, detail) = (&live.plan.experiments()[place], &live.details[place]);
        let Some(bandit) = &detail.bandit else {
            let earlier = hand.earlier(&*self.features, &experiment.id);
            let drawn = live.plan.assign_one(experiment, &hand.unit, &hand.traits, asker.now, earlier.as_ref());
            return drawn.map(|assignment| (assignment, None));
        };
        let epoch = bandit.epoch(asker.now.0);
        let bandits = self.bandits.load();
        let shares = match bandits.get(&experiment.id) {
            Some(known) => {
                let policy = if known.from_epoch <= epoch { &known.policy } else { &known.before };
                policy.shares(&context(asker.market, asker.device))
            }
            None => experiment.arms.iter().map(|arm| arm.share).collect(),
        };
        let drawn = live.plan.draw_one(experiment, &hand.unit, &hand.traits, asker.now, &shares, epoch);
        drawn.map(|assignment| (assignment, Some(epoch)))
    }

    /// Whether nothing automatic may touch this subject.
    pub fn is_held_out(&self, subject: Option<SubjectId>) -> bool {
        self.definitions.holdout().share > 0
            && subject.is_some_and(|subject| self.definitions.live().plan.is_held_out(subject))
    }

    /// Of all subjects, 0 to 1.
    pub(crate) fn holdout_share(&self) -> f64 {
        f64::from(self.definitions.holdout().share) / f64::from(BUCKETS)
    }

    /// Whether anything runs that deals people, so that it is worth to know who asks.
    pub fn deals_anything(&self) -> bool {
        !self.definitions.live().details.is_empty()
    }

    /// Deals the arms of every experiment that the ask meets, and applies what they change.
    pub fn deal<A: Adjust>(&self, ask: &mut A, rules: &mut Vec<SlotRules>, asker: &Asker<'_>) -> Vec<Dealt> {
        let live = self.definitions.live();
        if live.details.is_empty() {
            return Vec::new();
        }
        let mut hand = Hand::new(asker);
        let mut dealt = Vec::new();
        // Who is met is decided before any arm changes the ask, or one experiment's arms would choose the next one's people.
        let pairs = live.plan.experiments().iter().zip(&live.details).enumerate();
        let met: Vec<_> = pairs.filter(|(_, (_, detail))| ask.meets(&detail.surface)).collect();
        for (place, (experiment, detail)) in met {
            let drawn = self.assigned(&live, place, &mut hand, asker).ok();
            if let Some(one) = drawn.and_then(|(assignment, epoch)| hand.dealt(experiment, detail, assignment, epoch)) {
                ask.adjust(&one.surface, &one.variant, rules);
                dealt.push(one);
            }
        }
        dealt
    }

    /// What a flag says; `None`: there is no such flag.
    pub fn evaluate(&self, id: &ExperimentId, asker: &Asker<'_>) -> Option<Evaluation> {
        let live = self.definitions.live();
        let Some(place) = live.plan.experiments().iter().position(|experiment| experiment.id == *id) else {
            return self.resting(id);
        };
        let (experiment, detail) = (&live.plan.experiments()[place], &live.details[place]);
        let mut hand = Hand::new(asker);
        let drawn = self.assigned(&live, place, &mut hand, asker);
        let control = || detail.variants.first().and_then(|variant| variant.value.clone());
        let outside = |reason, variant| Evaluation {
            experiment: id.clone(),
            value: control(),
            variant,
            reason,
            assignment: None,
            dealt: None,
        };
        Some(match drawn {
            Err(Refusal::NotRunning) => outside(EvaluationReason::Disabled, None),
            // No arm's name: a page that told it as shown would count those outside to the control.
            Err(_) => outside(EvaluationReason::Default, None),
            Ok((assignment, epoch)) => {
                let reason = match (experiment.arms.len(), experiment.targeting == Default::default()) {
                    (1, true) => EvaluationReason::Static,
                    (1, false) => EvaluationReason::TargetingMatch,
                    _ => EvaluationReason::Split,
                };
                let dealt = hand.dealt(experiment, detail, assignment.clone(), epoch);
                Evaluation {
                    experiment: id.clone(),
                    value: dealt.as_ref().and_then(|dealt| dealt.variant.value.clone()),
                    variant: Some(assignment.arm.clone()),
                    reason,
                    assignment: Some(assignment),
                    dealt,
                }
            }
        })
    }

    /// A flag that doesn't run says what its control would.
    fn resting(&self, id: &ExperimentId) -> Option<Evaluation> {
        let stored = self.definitions.get(id).ok()?;
        let value = stored.definition.variants.first().and_then(|variant| variant.value.clone());
        Some(Evaluation {
            experiment: id.clone(),
            value,
            variant: None,
            reason: EvaluationReason::Disabled,
            assignment: None,
            dealt: None,
        })
    }

    /// Every flag, for who asks for all at once: what runs and has a value.
    pub fn evaluate_all(&self, asker: &Asker<'_>) -> Vec<Evaluation> {
        let stored = self.definitions.list();
        let running = stored.iter().filter(|stored| {
            stored.definition.experiment.state == ExperimentState::Running
                && stored.definition.variants.iter().any(|variant| variant.value.is_some())
        });
        running.filter_map(|stored| self.evaluate(&stored.definition.experiment.id, asker)).collect()
    }

    /// The value that an arm carries.
    pub fn value(&self, assignment: &Assignment) -> Option<serde_json::Value> {
        let live = self.definitions.live();
        let place = live.plan.experiments().iter().position(|experiment| experiment.id == assignment.experiment)?;
        live.details[place].variants.get(assignment.place)?.value.clone()
    }

    /// Writes down that arms were shown, once a unit, arm and day. `decision` is what showed them, with what it took.
    pub fn show(&self, dealt: &[Dealt], asker: &Asker<'_>, decision: Option<(DecisionId, u32)>) {
        let Some(grant) = asker.grant.filter(|grant| grant.allows(Purposes::ANALYTICS)) else { return };
        for one in dealt.iter().filter(|one| one.kind == ExperimentKind::Test) {
            let id = exposure_id(one, grant.subject(), asker.now);
            if self.exposures.is_new(id, asker.now) {
                self.exposures.log(exposure(id, one, grant.subject(), asker, decision));
            }
        }
    }
}

/// One asker's unit and traits, and the arms they were shown earlier, read when they are first needed.
struct Hand {
    unit: Unit,
    traits: Traits,
    grant: Option<Grant>,
    now: TimestampMs,
    earlier: Option<Vec<(ExperimentId, CompactString)>>,
}

impl Hand {
    fn new(asker: &Asker<'_>) -> Self {
        // Who doesn't want to be measured is in no experiment that deals people.
        let measured = asker.grant.filter(|grant| grant.allows(Purposes::ANALYTICS));
        let session = asker.session.filter(|_| measured.is_some()).map(CompactString::new);
        Self {
            unit: Unit { subject: measured.map(|grant| grant.subject()), session },
            traits: Traits { market: asker.market.clone(), device: asker.device, segments: asker.segments.to_vec() },
            grant: measured.copied(),
            now: asker.now,
            earlier: None,
        }
    }

    fn earlier(&mut self, features: &dyn FeatureSource, experiment: &ExperimentId) -> Option<CompactString> {
        let grant = self.grant.as_ref()?;
        let earlier = self.earlier.get_or_insert_with(|| features.shown_arms(grant));
        earlier.iter().find(|(known, _)| known == experiment).map(|(_, arm)| arm.clone())
    }

    fn dealt(
        &self,
        experiment: &Experiment,
        detail: &LiveDetail,
        assignment: Assignment,
        epoch: Option<i64>,
    ) -> Option<Dealt> {
        let variant = Arc::clone(detail.variants.get(assignment.place)?);
        let subject_deals = experiment.unit == merx_domain::experiment::UnitKind::Subject;
        let unit = unit_key(experiment.unit, &self.unit, &self.traits, self.now).filter(|_| !subject_deals);
        // Of a bandit each epoch is an exposure of its own.
        let unit = unit.or(epoch.map(|epoch| compact_str::format_compact!("epoch {epoch}")));
        Some(Dealt { assignment, surface: detail.surface.clone(), variant, kind: experiment.kind, unit })
    }
}

/// The same for the same unit, arm and day, so that the log stores it once.
fn exposure_id(dealt: &Dealt, subject: SubjectId, now: TimestampMs) -> EventId {
    let mut hasher = blake3::Hasher::new();
    for part in [dealt.assignment.experiment.as_str(), &dealt.assignment.arm, dealt.unit.as_deref().unwrap_or("")] {
        hasher.update(part.as_bytes()).update(&[0]);
    }
    // A market's slot is one unit, whoever saw it; it is exposed by each of them all the same, for their outcomes count.
    hasher.update(&subject.to_bytes()).update(&now.day().to_be_bytes());
    let mut id = [0; 16];
    hasher.finalize_xof().fill(&mut id);
    EventId(u128::from_be_bytes(id))
}

fn exposure(
    id: EventId,
    dealt: &Dealt,
    subject: SubjectId,
    asker: &Asker<'_>,
    decision: Option<(DecisionId, u32)>,
) -> Event {
    let mut event = Event::new(id, subject, EventKind::ExperimentViewed, asker.now);
    event.context = EventContext { market: asker.market.clone(), device: asker.device, ..EventContext::default() };
    event.custom_name = Some(OWN_EXPOSURE.into());
    event.decision = decision.map(|(id, _)| id);
    let mut keep = |name: &str, value: serde_json::Value| {
        event.properties.insert(name.into(), value.to_string());
    };
    keep("experiment_id", dealt.assignment.experiment.as_str().into());
    keep("variation_id", dealt.assignment.arm.as_str().into());
    keep("propensity", dealt.assignment.propensity().into());
    if let Some(unit) = &dealt.unit {
        keep("unit", unit.as_str().into());
    }
    if let Some((_, latency_us)) = decision {
        keep("latency_us", latency_us.into());
    }
    event
}
