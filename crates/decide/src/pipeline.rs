//! The way of every decision, on one page.

use std::sync::Arc;

use merx_domain::{
    Clock, ConsentStamp, Decision, Engine, EngineError, FallbackLevel, Grant, Proposal, Purposes, Situation,
    SubjectFeatures, SubjectId, TimestampMs,
};

use crate::policy::PolicyBook;
use crate::record::{Arm, DecisionRecord, Recorder};
use crate::shelf::{RecordingShelf, ReplayShelf, RequestShelf, ShelfTrace};

/// Where the pipeline learns about a person. Only what needs no grant can be had without one.
pub trait FeatureSource: Send + Sync {
    /// The last word on consent that events brought.
    fn consent(&self, subject: SubjectId) -> ConsentStamp;
    fn subject_features(&self, grant: &Grant, now: TimestampMs) -> SubjectFeatures;
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
}

/// Decides with one engine.
pub struct Pipeline<E: Engine> {
    engine: Arc<E>,
    features: Arc<dyn FeatureSource>,
    recorder: Arc<Recorder>,
    clock: Arc<dyn Clock>,
    settings: PipelineSettings,
}

impl<E: Engine> Pipeline<E> {
    pub fn new(
        engine: Arc<E>,
        features: Arc<dyn FeatureSource>,
        recorder: Arc<Recorder>,
        clock: Arc<dyn Clock>,
        settings: PipelineSettings,
    ) -> Self {
        Self { engine, features, recorder, clock, settings }
    }

    pub fn engine(&self) -> &E {
        &self.engine
    }

    /// Always an answer: what is late, missing or refused becomes a recorded fallback.
    pub fn decide(&self, mut request: Request<E::Ask>, shelf: &RequestShelf<'_>) -> Decision<E::Answer>
    where
        E::Answer: Default,
    {
        let begun = Stopwatch::start();
        let deadline_us = u64::from(request.deadline_ms.unwrap_or(self.settings.deadline_ms)) * 1_000;
        let late = || begun.elapsed_us() > deadline_us;

        let grant = self.check_consent(&mut request.situation);
        let arm = self.arm(request.situation.subject);
        let features = self.fetch(grant.as_ref(), request.situation.now);

        let mut trouble = Vec::new();
        let mut outcome = None;
        for level in arm.levels() {
            let recording = RecordingShelf::new(shelf);
            // The levels below the models are cheap and must answer even when the models took all the time.
            let never = || false;
            let late: &dyn Fn() -> bool = if *level <= FallbackLevel::PreviousModel { &late } else { &never };
            match self.engine.propose(*level, None, &request.situation, &request.ask, &features, &recording, late) {
                Ok(proposal) => {
                    outcome = Some((*level, proposal, recording.into_trace()));
                    break;
                }
                // A shop without a trained model is not in trouble: the chain is how it starts.
                Err(EngineError::NoModel) => {}
                Err(error) => trouble.push(format!("{level:?}: {error}")),
            }
        }
        let (fallback, proposal, trace) = outcome.unwrap_or_else(|| {
            (FallbackLevel::Nothing, Proposal { answer: E::Answer::default(), model: None }, ShelfTrace::default())
        });

        let decision = Decision {
            id: request.situation.decision,
            at: request.situation.now,
            engine: self.engine.name(),
            answer: proposal.answer,
            model: proposal.model,
            fallback,
            granted: grant.map_or(Purposes::NECESSARY, |grant| grant.purposes()),
            trouble,
            latency_us: u32::try_from(begun.elapsed_us()).unwrap_or(u32::MAX),
        };
        self.recorder.record(DecisionRecord::of(
            &decision,
            request.situation,
            &request.ask,
            shelf.rules(),
            features,
            arm,
            trace,
        ));
        decision
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

    /// Which side of the holdout the subject is on.
    pub fn arm(&self, subject: Option<SubjectId>) -> Arm {
        Arm::assign(&self.settings.holdout_salt, self.settings.holdout, subject)
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
