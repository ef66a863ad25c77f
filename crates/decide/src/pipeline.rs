//! The way of every decision, on one page.

use std::sync::Arc;

use compact_str::CompactString;
use merx_domain::experiment::ExperimentId;
use merx_domain::{
    Clock, ConsentStamp, Decision, Engine, EngineError, FallbackLevel, Grant, MarketId, ModelVersion, Proposal,
    Purposes, Situation, Stakes, SubjectFeatures, SubjectId, TimestampMs,
};

use crate::automations::{Automations, Place, Seen, Taken};
use crate::catalogue::Catalogue;
use crate::experiments::{Adjust, Asker, Dealer, Dealt};
use crate::policy::PolicyBook;
use crate::record::{Arm, DecisionRecord, Recorder};
use crate::shadow::{Job, ShadowQueue};
use crate::shelf::{RecordingShelf, ReplayShelf, RequestShelf, ShelfTrace};

/// Where the pipeline learns about a person. Only what needs no grant can be had without one.
pub trait FeatureSource: Send + Sync {
    /// The last word on consent that events brought.
    fn consent(&self, subject: SubjectId) -> ConsentStamp;
    fn subject_features(&self, grant: &Grant, now: TimestampMs) -> SubjectFeatures;
    /// Arms of experiments that a person was shown before, on whichever device; none without a grant for analytics.
    fn shown_arms(&self, grant: &Grant) -> Vec<(ExperimentId, CompactString)>;
}

#[derive(Debug, Clone)]
pub struct PipelineSettings {
    pub consent: PolicyBook,
    /// Share of subjects, 0 to 1, that no model touches: they get the popularity level, so that what models earn
    /// can be measured.
    pub holdout: f64,
    /// Names the holdout; another name draws other subjects.
    pub holdout_salt: String,
    pub deadline_ms: u32,
}

/// What is asked: everything that varies is in here, so that the same request on the same state is decided alike.
#[derive(Debug, Clone)]
pub struct Request<A> {
    pub situation: Situation,
    pub ask: A,
    pub deadline_ms: Option<u32>,
    /// The visit, as the caller names it: what experiments by session deal.
    pub session: Option<CompactString>,
    /// The campaign that the page belongs to: automations may have another mode there.
    pub campaign: Option<CompactString>,
    /// What experiments may be targeted at.
    pub segments: Vec<CompactString>,
}

impl<A> Request<A> {
    pub fn new(situation: Situation, ask: A) -> Self {
        Self { situation, ask, deadline_ms: None, session: None, campaign: None, segments: Vec::new() }
    }
}

/// Decides with one engine.
pub struct Pipeline<E: Engine> {
    engine: Arc<E>,
    features: Arc<dyn FeatureSource>,
    recorder: Arc<Recorder>,
    clock: Arc<dyn Clock>,
    dealer: Arc<Dealer>,
    automations: Arc<Automations>,
    settings: PipelineSettings,
    shadows: Option<ShadowQueue<E>>,
}

impl<E: Engine<Ask: Adjust + 'static> + 'static> Pipeline<E> {
    pub fn new(
        engine: Arc<E>,
        features: Arc<dyn FeatureSource>,
        recorder: Arc<Recorder>,
        clock: Arc<dyn Clock>,
        dealer: Arc<Dealer>,
        automations: Arc<Automations>,
        settings: PipelineSettings,
    ) -> Self {
        Self { engine, features, recorder, clock, dealer, automations, settings, shadows: None }
    }

    /// From now on what is only watched (modes `shadow` and `suggest`, and a version that [`Self::watch_version`] names) is computed behind
    /// the answer, with what the catalogue says then.
    pub fn watching(mut self, catalogue: Arc<Catalogue>) -> Self {
        self.shadows = Some(ShadowQueue::start(Arc::clone(&self.engine), Arc::clone(&self.recorder), catalogue));
        self
    }

    /// A version that is tried in the shadow of live decisions, a part of them; `None`: no longer.
    pub fn watch_version(&self, version: Option<ModelVersion>) {
        if let Some(shadows) = &self.shadows {
            shadows.watch_version(version);
        }
    }

    /// Returns when everything that is watched so far has been computed and recorded.
    pub fn settle(&self) {
        if let Some(shadows) = &self.shadows {
            shadows.flush();
        }
        self.recorder.flush();
    }

    /// Proposals that were to be watched and were not, for too many waited.
    pub fn unwatched(&self) -> u64 {
        self.shadows.as_ref().map_or(0, ShadowQueue::unwatched)
    }

    pub fn engine(&self) -> &E {
        &self.engine
    }

    /// Always an answer: what is late, missing or refused becomes a recorded fallback. Experiments may change what is asked and
    /// the rules of the shelf; the record holds what was asked in the end. At high stakes this waits for the disk.
    pub fn decide(&self, mut request: Request<E::Ask>, shelf: &mut RequestShelf<'_>) -> Decision<E::Answer>
    where
        E::Answer: Default,
    {
        let begun = Stopwatch::start();
        let deadline_us = u64::from(request.deadline_ms.unwrap_or(self.settings.deadline_ms)) * 1_000;
        let late = || begun.elapsed_us() > deadline_us;

        let grant = self.check_consent(&mut request.situation);
        let held_out = self.dealer.is_held_out(request.situation.subject);
        let arm = self.arm(request.situation.subject);
        let taken = self.take(&request.situation, request.campaign.as_deref(), arm);
        let dealt = self.deal(&mut request, shelf, grant.as_ref(), arm, taken);
        let course = Course::of(arm, taken, &dealt);
        let planned = course.levels.first().copied().unwrap_or(FallbackLevel::Nothing);
        let shelf = &*shelf;
        let features = self.fetch(grant.as_ref(), request.situation.now);

        let mut trouble = Vec::new();
        let question = Question { situation: &request.situation, ask: &request.ask, features: &features, shelf };
        let (fallback, proposal, trace) = self.first_answer(&course, &question, &late, &mut trouble);

        let mut decision = Decision {
            id: request.situation.decision,
            at: request.situation.now,
            engine: self.engine.name(),
            answer: proposal.answer,
            model: proposal.model,
            fallback,
            granted: grant.map_or(Purposes::NECESSARY, |grant| grant.purposes()),
            experiments: dealt.iter().map(|dealt| dealt.assignment.clone()).collect(),
            held_out,
            trouble,
            latency_us: u32::try_from(begun.elapsed_us()).unwrap_or(u32::MAX),
        };
        let met = self.propensity(&request.situation, request.campaign.as_deref(), arm, taken);
        let situation = request.situation;
        let mut record = DecisionRecord::of(
            &decision,
            situation,
            &request.ask,
            shelf.rules(),
            features,
            arm.with_propensity(met),
            trace,
        );
        record.taken = taken;
        record.campaign = request.campaign;
        let is_recorded = self.engine.stakes() == Stakes::High;
        if is_recorded && let Err(error) = self.recorder.record_first(&record) {
            decision.trouble.push(format!("not served, for it could not be recorded: {error}"));
            self.be_safe(&mut decision, &mut record, &request.ask, shelf);
        }
        if taken.acts() && matches!(arm, Arm::Treated { .. }) {
            // Where an arm goes without models nothing fell back to where it is.
            let fell_back = decision.fallback > planned.max(FallbackLevel::PreviousModel);
            let seen = Seen { fell_back, troubled: !decision.trouble.is_empty(), latency_us: decision.latency_us };
            self.automations.count(self.engine.name(), decision.at, seen);
        }
        if !dealt.is_empty() {
            let shown = Some((decision.id, decision.latency_us));
            self.dealer.show(
                &dealt,
                &asker(&record.situation, &request.session, &request.segments, grant.as_ref()),
                shown,
            );
        }
        let watched = self.shadows.as_ref().and_then(|shadows| Some((shadows, shadows.wants(&record)?)));
        if let Some((shadows, version)) = watched {
            if !is_recorded {
                self.recorder.record(record.clone());
            }
            shadows.watch(Job { record, ask: request.ask, rest: shelf.rest(), version });
        } else if !is_recorded {
            self.recorder.record(record);
        }
        decision
    }

    /// What a request would be answered now, by the models: nobody's lot is drawn, nothing is counted, and nothing recorded.
    pub fn preview(&self, mut request: Request<E::Ask>, shelf: &RequestShelf<'_>) -> Decision<E::Answer>
    where
        E::Answer: Default,
    {
        let begun = Stopwatch::start();
        let deadline_us = u64::from(request.deadline_ms.unwrap_or(self.settings.deadline_ms)) * 1_000;
        let late = || begun.elapsed_us() > deadline_us;
        let grant = self.check_consent(&mut request.situation);
        let features = self.fetch(grant.as_ref(), request.situation.now);
        let course = Course { levels: &FallbackLevel::CHAIN, version: None };
        let mut trouble = Vec::new();
        let question = Question { situation: &request.situation, ask: &request.ask, features: &features, shelf };
        let (fallback, proposal, _) = self.first_answer(&course, &question, &late, &mut trouble);
        Decision {
            id: request.situation.decision,
            at: request.situation.now,
            engine: self.engine.name(),
            answer: proposal.answer,
            model: proposal.model,
            fallback,
            granted: grant.map_or(Purposes::NECESSARY, |grant| grant.purposes()),
            experiments: Vec::new(),
            held_out: false,
            trouble,
            latency_us: u32::try_from(begun.elapsed_us()).unwrap_or(u32::MAX),
        }
    }

    /// Turns a decision that can't be proven later into one that needs no proof.
    fn be_safe(
        &self,
        decision: &mut Decision<E::Answer>,
        record: &mut DecisionRecord,
        ask: &E::Ask,
        shelf: &RequestShelf<'_>,
    ) where
        E::Answer: Default,
    {
        let question = Question { situation: &record.situation, ask, features: &record.features, shelf };
        let (fallback, safe, trace) = self.first_answer(&Course::SAFE, &question, &|| false, &mut decision.trouble);
        (decision.fallback, decision.answer, decision.model) = (fallback, safe.answer, safe.model);
        record.served_instead(decision, trace);
        self.recorder.record_over(record);
    }

    /// The answer of the first level that has one.
    fn first_answer(
        &self,
        course: &Course,
        question: &Question<'_, E::Ask>,
        late: &dyn Fn() -> bool,
        trouble: &mut Vec<String>,
    ) -> (FallbackLevel, Proposal<E::Answer>, ShelfTrace)
    where
        E::Answer: Default,
    {
        for level in course.levels {
            let recording = RecordingShelf::new(question.shelf);
            // The levels below the models are cheap and must answer even when the models took all the time.
            let never = || false;
            let late: &dyn Fn() -> bool = if *level <= FallbackLevel::PreviousModel { late } else { &never };
            match self.engine.propose(
                *level,
                course.version(*level),
                question.situation,
                question.ask,
                question.features,
                &recording,
                late,
            ) {
                Ok(proposal) => return (*level, proposal, recording.into_trace()),
                // A shop without a trained model is not in trouble: the chain is how it starts.
                Err(EngineError::NoModel) => {}
                Err(error) => trouble.push(format!("{level:?}: {error}")),
            }
        }
        (FallbackLevel::Nothing, Proposal { answer: E::Answer::default(), model: None }, ShelfTrace::default())
    }

    /// What the automation may do for this request. Whom no model touches it doesn't touch either.
    fn take(&self, situation: &Situation, campaign: Option<&str>, arm: Arm) -> Taken {
        match arm {
            Arm::Holdout { .. } => Taken::Live,
            Arm::Treated { .. } => {
                let place = Place { market: &situation.market, campaign };
                self.automations.take(self.engine.name(), place, situation.subject, situation.now)
            }
        }
    }

    /// Decides again from a record: the same model, features and facts, hence the same answer.
    pub fn replay(&self, record: &DecisionRecord) -> Result<E::Answer, EngineError>
    where
        E::Answer: Default,
    {
        let refused = |error: &dyn std::fmt::Display| EngineError::Refused(error.to_string());
        if record.fallback == FallbackLevel::Nothing {
            return Ok(E::Answer::default());
        }
        let ask = record.ask::<E::Ask>().map_err(|error| refused(&error))?;
        let shelf = ReplayShelf::new(&record.trace);
        let answer = self.engine.propose(
            record.fallback,
            record.model,
            &record.situation,
            &ask,
            &record.features,
            &shelf,
            &|| false,
        )?;
        if let Some(problem) = shelf.problem() {
            return Err(EngineError::Refused(problem));
        }
        Ok(answer.answer)
    }

    /// The stored word on consent, then the request's. The situation keeps what was in force.
    fn check_consent(&self, situation: &mut Situation) -> Option<Grant> {
        let subject = situation.subject?;
        situation.consent = self.features.consent(subject).then(situation.consent);
        Some(self.settings.consent.check_in(subject, &situation.market, situation.consent))
    }

    /// What a person of this market allows who now says `consent`.
    pub fn grant(&self, subject: SubjectId, market: &MarketId, consent: ConsentStamp) -> Grant {
        self.settings.consent.check_in(subject, market, self.features.consent(subject).then(consent))
    }

    /// Whether somebody of this market of whom this is all that was said may be measured.
    pub fn may_measure(&self, market: &MarketId, consent: ConsentStamp) -> bool {
        self.settings.consent.check_in(SubjectId(0), market, consent).allows(Purposes::ANALYTICS)
    }

    /// Whether what is shown to somebody of this market who now says `consent` may follow what they do.
    pub fn may_personalise(&self, subject: Option<SubjectId>, market: &MarketId, consent: ConsentStamp) -> bool {
        let said = subject.map_or(consent, |subject| self.features.consent(subject).then(consent));
        let grant = self.settings.consent.check_in(subject.unwrap_or(SubjectId(0)), market, said);
        grant.allows(Purposes::PERSONALISATION)
    }

    /// The arms of the experiments that the ask meets; what they change is applied. Where no model may decide there is nothing to
    /// experiment with.
    fn deal(
        &self,
        request: &mut Request<E::Ask>,
        shelf: &mut RequestShelf<'_>,
        grant: Option<&Grant>,
        arm: Arm,
        taken: Taken,
    ) -> Vec<Dealt> {
        if matches!(arm, Arm::Holdout { .. }) || !taken.acts() || !self.dealer.deals_anything() {
            return Vec::new();
        }
        let asker = asker(&request.situation, &request.session, &request.segments, grant);
        self.dealer.deal(&mut request.ask, shelf.rules_mut(), &asker)
    }

    /// Which side of the holdouts the subject is on, the shop's own and this engine's, and how likely that was.
    pub fn arm(&self, subject: Option<SubjectId>) -> Arm {
        let treated = self.treated_share(subject);
        let in_own = || Arm::holds(&self.settings.holdout_salt, self.settings.holdout, subject);
        if self.dealer.is_held_out(subject) || in_own() {
            return Arm::Holdout { propensity: 1.0 - treated };
        }
        Arm::Treated { propensity: treated }
    }

    /// Of people like this one, those in none of the two holdouts. They are drawn independently of each other.
    fn treated_share(&self, subject: Option<SubjectId>) -> f64 {
        if subject.is_none() { 1.0 } else { (1.0 - self.dealer.holdout_share()) * (1.0 - self.settings.holdout) }
    }

    /// How likely this person was to meet the engine, if they did, and else how likely not to: two holdouts and a canary draw lots
    /// independently of each other.
    fn propensity(&self, situation: &Situation, campaign: Option<&str>, arm: Arm, taken: Taken) -> f64 {
        let is_known = situation.subject.is_some();
        let chance = match taken {
            // No lot: whoever came at this moment got nothing.
            Taken::Capped => 0.0,
            _ => {
                let place = Place { market: &situation.market, campaign };
                self.automations.chance(self.engine.name(), place, is_known, situation.now)
            }
        };
        let meets = self.treated_share(situation.subject) * chance;
        if matches!(arm, Arm::Treated { .. }) && taken.acts() { meets } else { 1.0 - meets }
    }

    fn fetch(&self, grant: Option<&Grant>, now: TimestampMs) -> SubjectFeatures {
        match grant {
            Some(grant) if grant.allows(Purposes::PERSONALISATION) => self.features.subject_features(grant, now),
            _ => SubjectFeatures::default(),
        }
    }

    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }
}

fn asker<'a>(
    situation: &'a Situation,
    session: &'a Option<CompactString>,
    segments: &'a [CompactString],
    grant: Option<&'a Grant>,
) -> Asker<'a> {
    Asker {
        grant,
        session: session.as_deref(),
        market: &situation.market,
        device: situation.device,
        segments,
        now: situation.now,
    }
}

/// All that a level may depend on.
struct Question<'q, Ask> {
    situation: &'q Situation,
    ask: &'q Ask,
    features: &'q SubjectFeatures,
    shelf: &'q RequestShelf<'q>,
}

/// The levels below the models.
const GENERIC: &[FallbackLevel] = &[FallbackLevel::Popularity, FallbackLevel::StaticList];

/// The levels to try, and the version of the model where an experiment asks for one.
struct Course {
    levels: &'static [FallbackLevel],
    version: Option<ModelVersion>,
}

impl Course {
    /// What needs neither a model nor a record: what the merchant wrote down.
    const SAFE: Self = Self { levels: &[FallbackLevel::StaticList], version: None };

    /// Of several experiments the last one that has a say counts.
    fn of(arm: Arm, taken: Taken, dealt: &[Dealt]) -> Self {
        let levels = if taken.acts() { arm.levels() } else { GENERIC };
        let mut course = Self { levels, version: None };
        for change in dealt.iter().map(|dealt| &dealt.variant.change) {
            if let Some(first) = change.serve {
                let skipped = FallbackLevel::CHAIN.iter().take_while(|level| **level < first).count();
                course.levels = &FallbackLevel::CHAIN[skipped..];
            }
            course.version = change.model_version.or(course.version);
        }
        course
    }

    /// A version that can't be loaded is no reason to go without a model: the next level answers.
    fn version(&self, level: FallbackLevel) -> Option<ModelVersion> {
        self.version.filter(|_| level == FallbackLevel::LiveModel)
    }
}

/// Measures how long a decision takes. Its reading ends a slow level and fills `latency_us`; nothing that a replay
/// computes depends on it.
struct Stopwatch(std::time::Instant);

impl Stopwatch {
    #[allow(clippy::disallowed_methods, reason = "a deadline is a property of this run; a replay has none")]
    fn start() -> Self {
        Self(std::time::Instant::now())
    }

    fn elapsed_us(&self) -> u64 {
        self.0.elapsed().as_micros() as u64
    }
}
