//! What a decision falls back on, by what right it is personal, whom no model touches, and that it can be made again.

#![allow(clippy::unwrap_used, reason = "a test that can't set itself up fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use compact_str::CompactString;
use merx_decide::{
    Adjust, Arm, AuditLog, Automations, Catalogue, CatalogueEntry, Dealer, Definitions, ExposureLog, FeatureSource,
    Pipeline, PipelineSettings, PreparedVariant, Recorder, RecorderSettings, Request, RequestShelf, SlotRules, Surface,
};
use merx_domain::experiment::{ExperimentId, Holdout};
use merx_domain::{
    Clock, ConsentPolicy, ConsentStamp, Decision, DecisionId, Device, Engine, EngineError, EventMeaning, FallbackLevel,
    Grant, HistoryEntry, MarketId, ModelVersion, Product, ProductId, ProductNumber, Proposal, Purposes, Shelf,
    Situation, Stakes, SubjectFeatures, SubjectId, TimestampMs,
};
use merx_store::{LogSettings, Records, Row, Scrub, Store, StoreError, Transaction, Value};

const NOW: TimestampMs = TimestampMs(1_000_000);

struct Still;

impl Clock for Still {
    fn now(&self) -> TimestampMs {
        NOW
    }
}

/// What the engine does when it is asked for a level.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Does {
    Answers,
    HasNoModel,
    Fails,
    /// Works until the deadline has passed.
    TakesTooLong,
}

/// Answers with its level, what it was told of the person, and what the shelf says of product 0.
struct Scripted([Does; 4], Stakes);

type Answer = (u8, usize, bool);

/// Nothing is asked, and no experiment has a say.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct NoQuestion;

impl Adjust for NoQuestion {
    fn meets(&self, _surface: &Surface) -> bool {
        false
    }

    fn adjust(&mut self, _surface: &Surface, _variant: &PreparedVariant, _rules: &mut Vec<SlotRules>) {}
}

impl Engine for Scripted {
    type Ask = NoQuestion;
    type Answer = Answer;

    fn name(&self) -> &'static str {
        "scripted"
    }

    fn stakes(&self) -> Stakes {
        self.1
    }

    fn propose(
        &self,
        level: FallbackLevel,
        pinned: Option<ModelVersion>,
        _situation: &Situation,
        _ask: &NoQuestion,
        features: &SubjectFeatures,
        shelf: &dyn Shelf,
        late: &dyn Fn() -> bool,
    ) -> Result<Proposal<Answer>, EngineError> {
        let place = FallbackLevel::CHAIN.iter().position(|known| *known == level).unwrap();
        let does = if pinned.is_some() { Does::Answers } else { self.0[place] };
        match does {
            Does::HasNoModel => Err(EngineError::NoModel),
            Does::Fails => Err(EngineError::Refused("broken".to_owned())),
            Does::TakesTooLong => {
                while !late() {
                    std::hint::spin_loop();
                }
                Err(EngineError::Late)
            }
            Does::Answers => {
                let free = shelf.fact(0, ProductNumber(0)).blocked.is_none();
                let model = (place < 3).then_some(ModelVersion(place as u32 + 1));
                Ok(Proposal { answer: (place as u8, features.history.len(), free), model })
            }
        }
    }
}

/// Everybody looked at one product and has said the same about consent.
struct Known(ConsentStamp);

impl FeatureSource for Known {
    fn consent(&self, _subject: SubjectId) -> ConsentStamp {
        self.0
    }

    fn subject_features(&self, _grant: &Grant, now: TimestampMs) -> SubjectFeatures {
        let entry = HistoryEntry { product: ProductNumber(0), meaning: EventMeaning::Viewed, at: now };
        SubjectFeatures { history: vec![entry], ..SubjectFeatures::default() }
    }

    fn shown_arms(&self, _grant: &Grant) -> Vec<(ExperimentId, CompactString)> {
        Vec::new()
    }
}

/// Records on a disk that can be made to fail once.
struct Disk {
    records: Arc<dyn Records>,
    fails: AtomicBool,
    /// Whether what failed was written all the same.
    loses_answers: AtomicBool,
}

impl Records for Disk {
    fn query(&self, sql: &str, parameters: &[Value]) -> merx_store::Result<Vec<Row>> {
        self.records.query(sql, parameters)
    }

    fn transaction(
        &self,
        work: &mut dyn FnMut(&mut dyn Transaction) -> merx_store::Result<()>,
    ) -> merx_store::Result<()> {
        if !self.fails.swap(false, Ordering::SeqCst) {
            return self.records.transaction(work);
        }
        if self.loses_answers.load(Ordering::SeqCst) {
            self.records.transaction(work)?;
        }
        Err(StoreError::NoSpace { what: "records", detail: "the disk is full".to_owned() })
    }

    fn scrub(&self, scrub: Scrub) -> merx_store::Result<()> {
        self.records.scrub(scrub)
    }
}

struct House {
    pipeline: Pipeline<Scripted>,
    recorder: Arc<Recorder>,
    records: Arc<dyn Records>,
    disk: Arc<Disk>,
    catalogue: Catalogue,
    _folder: tempfile::TempDir,
}

impl House {
    fn new(script: [Does; 4], said: ConsentStamp, allowed_unless_denied: Purposes, holdout: f64) -> Self {
        Self::at_stakes(Stakes::Low, script, said, allowed_unless_denied, holdout)
    }

    fn at_stakes(
        stakes: Stakes,
        script: [Does; 4],
        said: ConsentStamp,
        allowed_unless_denied: Purposes,
        holdout: f64,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_embedded(folder.path(), merx_decide::MIGRATIONS, LogSettings::default()).unwrap();
        let features = Arc::new(Known(said));
        let holdouts = Holdout { salt: "everything".into(), share: 0 };
        let definitions = Definitions::open(Arc::clone(&store.records), holdouts, Default::default()).unwrap();
        let exposures = Arc::new(ExposureLog::new(Arc::clone(&store.log)));
        let dealer = Arc::new(Dealer::new(Arc::new(definitions), exposures, Arc::clone(&features) as _));
        let automations = Arc::new(Automations::open(Arc::clone(&store.records), &["scripted"], NOW).unwrap());
        let records = store.records;
        let disk = Arc::new(Disk {
            records: Arc::clone(&records),
            fails: AtomicBool::new(false),
            loses_answers: AtomicBool::new(false),
        });
        let recorder = Arc::new(Recorder::new(Arc::clone(&disk) as _, RecorderSettings::default()));
        let settings = PipelineSettings {
            consent: ConsentPolicy { allowed_unless_denied }.into(),
            holdout,
            holdout_salt: "test".to_owned(),
            deadline_ms: 1,
        };
        let engine = Arc::new(Scripted(script, stakes));
        let pipeline =
            Pipeline::new(engine, features, Arc::clone(&recorder), Arc::new(Still), dealer, automations, settings);
        let catalogue = Catalogue::default();
        let product = Product::new(ProductId::new("p0").unwrap(), "p0", NOW);
        catalogue.put(ProductNumber(0), CatalogueEntry::new(&product, None));
        Self { pipeline, recorder, records, disk, catalogue, _folder: folder }
    }

    fn answering(said: ConsentStamp, allowed_unless_denied: Purposes) -> Self {
        Self::new([Does::Answers; 4], said, allowed_unless_denied, 0.0)
    }

    fn at_high_stakes() -> Self {
        Self::at_stakes(Stakes::High, [Does::Answers; 4], ConsentStamp::default(), Purposes::all(), 0.0)
    }

    fn is_on_disk(&self, id: DecisionId) -> bool {
        let rows =
            self.records.query("SELECT id FROM decisions WHERE id = $1", &[Value::Bytes(id.to_bytes().to_vec())]);
        !rows.unwrap().is_empty()
    }

    /// The record of one decision in the place of another's.
    fn write_over(&self, from: DecisionId, to: DecisionId) {
        let sql = "UPDATE decisions SET body = (SELECT body FROM decisions WHERE id = $1) WHERE id = $2";
        let ids = [from, to].map(|id| Value::Bytes(id.to_bytes().to_vec()));
        self.records.transaction(&mut |transaction| transaction.execute(sql, &ids).map(drop)).unwrap();
    }

    fn decide(&self, subject: Option<u128>, consent: ConsentStamp) -> Decision<Answer> {
        let situation = Situation {
            decision: DecisionId(u128::from(subject.is_some()) << 100 | subject.unwrap_or(0)),
            subject: subject.map(SubjectId),
            market: MarketId::default(),
            device: Device::Phone,
            now: NOW,
            seed: 1,
            consent,
        };
        let mut shelf = RequestShelf::new(self.catalogue.read(), MarketId::default(), NOW, Vec::new(), &[]);
        self.pipeline.decide(Request::new(situation, NoQuestion), &mut shelf)
    }
}

#[test]
fn what_fails_falls_to_the_next_level_and_is_written_down() {
    use Does::{Answers, Fails, HasNoModel, TakesTooLong};
    use FallbackLevel::{LiveModel, Nothing, Popularity, PreviousModel, StaticList};
    let cases = [
        ([Answers, Answers, Answers, Answers], LiveModel, Some(1), 0),
        ([Fails, Answers, Answers, Answers], PreviousModel, Some(2), 1),
        ([HasNoModel, Answers, Answers, Answers], PreviousModel, Some(2), 0),
        ([TakesTooLong, TakesTooLong, Answers, Answers], Popularity, Some(3), 2),
        ([Fails, HasNoModel, Answers, Answers], Popularity, Some(3), 1),
        ([HasNoModel, HasNoModel, HasNoModel, Answers], StaticList, None, 0),
        ([Fails, Fails, Fails, Answers], StaticList, None, 3),
        ([Fails, Fails, Fails, Fails], Nothing, None, 4),
    ];
    for (script, level, model, troubles) in cases {
        let house = House::new(script, ConsentStamp::default(), Purposes::all(), 0.0);
        let decision = house.decide(Some(1), ConsentStamp::default());
        assert_eq!(decision.fallback, level, "{script:?}");
        assert_eq!(decision.model, model.map(ModelVersion), "{script:?}");
        assert_eq!(decision.trouble.len(), troubles, "{script:?}: {:?}", decision.trouble);
        let record = house.recorder.get(decision.id).unwrap();
        assert_eq!((record.fallback, record.model, &record.trouble), (level, decision.model, &decision.trouble));
    }
}

#[test]
fn only_who_allows_it_gets_a_personal_answer() {
    let personal = Purposes::PERSONALISATION;
    let yes = ConsentStamp { granted: personal, ..Default::default() };
    let no = ConsentStamp { denied: personal, ..Default::default() };
    let signal = ConsentStamp { global_privacy_control: true, ..Default::default() };
    let silent = ConsentStamp::default();
    let none = Purposes::empty();
    // What events brought, what the request says, what the shop does where nobody said anything; is it personal?
    let cases = [
        (silent, silent, personal, true),
        (silent, silent, none, false),
        (yes, silent, none, true),
        (no, silent, personal, false),
        (yes, no, personal, false),
        (no, yes, none, true),
        (silent, signal, personal, true),
        (no, signal, personal, false),
    ];
    for (said, says, allowed, expected) in cases {
        let house = House::answering(said, allowed);
        let decision = house.decide(Some(1), says);
        assert_eq!(decision.granted.contains(personal), expected, "{said:?} {says:?} {allowed:?}");
        assert_eq!(decision.answer.1, usize::from(expected), "entries of the history that reached the engine");
        assert_eq!(house.recorder.get(decision.id).unwrap().features.history.len(), usize::from(expected));
    }
    let stranger = House::answering(yes, personal).decide(None, yes);
    assert_eq!((stranger.answer.1, stranger.granted), (0, Purposes::NECESSARY), "of nobody nothing is known");
}

#[test]
fn no_model_touches_the_holdout() {
    let house = House::new([Does::Answers; 4], ConsentStamp::default(), Purposes::all(), 0.3);
    let mut held = 0;
    for subject in 0..200 {
        let decision = house.decide(Some(subject), ConsentStamp::default());
        let arm = house.pipeline.arm(Some(SubjectId(subject)));
        let expected = match arm {
            Arm::Holdout { .. } => FallbackLevel::Popularity,
            Arm::Treated { .. } => FallbackLevel::LiveModel,
        };
        assert_eq!(decision.fallback, expected);
        assert_eq!(house.recorder.get(decision.id).unwrap().arm, arm);
        held += usize::from(matches!(arm, Arm::Holdout { .. }));
    }
    assert!((40..80).contains(&held), "{held} of 200 at 30 %");
    assert_eq!(house.decide(None, ConsentStamp::default()).fallback, FallbackLevel::LiveModel);
}

#[test]
fn a_recorded_decision_is_made_again_from_its_record() {
    let house = House::answering(ConsentStamp::default(), Purposes::all());
    let decision = house.decide(Some(7), ConsentStamp::default());
    assert_eq!(decision.answer, (0, 1, true));
    // Since then the product has been hidden: the record knows what the shelf said at the time.
    house.catalogue.remove(ProductNumber(0));
    let record = house.recorder.get(decision.id).unwrap();
    assert_eq!(house.pipeline.replay(&record).unwrap(), decision.answer);
    assert_eq!(record.answer::<Answer>().unwrap(), decision.answer);
    let mut other = record;
    other.trace.facts[0].1 = ProductNumber(9);
    assert!(house.pipeline.replay(&other).is_err(), "a question that was not recorded is an error, not a guess");
}

#[test]
fn at_high_stakes_a_decision_is_on_disk_and_in_the_audit_log_before_it_is_served() {
    let house = House::at_high_stakes();
    let audit = AuditLog::new(Arc::clone(&house.records));
    for subject in 0..20 {
        let decision = house.decide(Some(subject), ConsentStamp::default());
        assert!(house.is_on_disk(decision.id), "nothing was flushed");
        assert_eq!((decision.fallback, decision.trouble.len()), (FallbackLevel::LiveModel, 0));
        let entries = audit.about(&decision.id.to_string(), 10).unwrap();
        let said: serde_json::Value = serde_json::from_str(&entries[0].detail).unwrap();
        let record = house.recorder.get(decision.id).unwrap();
        assert_eq!((entries.len(), said["record_hash"].as_str()), (1, Some(record.hash().to_hex().as_str())));
    }
    let found = audit.verify(None).unwrap();
    assert_eq!((found.entries, found.decisions, found.is_sound()), (20, 20, true));
    // Somebody writes another record over one of them; the entries themselves still follow from each other.
    house.write_over(DecisionId(1 << 100 | 3), DecisionId(1 << 100 | 7));
    let found = audit.verify(None).unwrap();
    assert_eq!((found.broken_at, found.altered), (None, Some(DecisionId(1 << 100 | 7).to_string())));
    // At low stakes nobody waits, and the audit log is not concerned.
    let low = House::answering(ConsentStamp::default(), Purposes::all());
    low.recorder.get(low.decide(Some(1), ConsentStamp::default()).id).unwrap();
    assert_eq!(AuditLog::new(Arc::clone(&low.records)).verify(None).unwrap().entries, 0);
}

#[test]
fn at_high_stakes_what_cant_be_recorded_isnt_served() {
    for loses_answers in [false, true] {
        let house = House::at_high_stakes();
        house.disk.loses_answers.store(loses_answers, Ordering::SeqCst);
        house.disk.fails.store(true, Ordering::SeqCst);
        let decision = house.decide(Some(1), ConsentStamp::default());
        assert_eq!((decision.answer.0, decision.fallback, decision.model), (3, FallbackLevel::StaticList, None));
        assert!(decision.trouble[0].contains("the disk is full"), "{:?}", decision.trouble);
        // What is on record in the end is what was served, whatever became of the first writing.
        let record = house.recorder.get(decision.id).unwrap();
        assert_eq!((record.answer::<Answer>().unwrap(), record.fallback), (decision.answer, decision.fallback));
        assert_eq!(record.trouble, decision.trouble);
        assert_eq!(house.pipeline.replay(&record).unwrap(), decision.answer);
        // An entry of its own says so, whether or not there is one of what was not served.
        let audit = AuditLog::new(Arc::clone(&house.records));
        let entries = 1 + u64::from(loses_answers);
        let found = audit.verify(None).unwrap();
        assert_eq!((found.entries, found.decisions, found.is_sound()), (entries, 1, true), "{found:?}");
        let next = house.decide(Some(2), ConsentStamp::default());
        assert_eq!(next.fallback, FallbackLevel::LiveModel);
        // Whoever writes over it again is found out.
        house.write_over(next.id, decision.id);
        assert_eq!(audit.verify(None).unwrap().altered, Some(decision.id.to_string()));
    }
}
