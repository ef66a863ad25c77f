//! What experiments change about decisions, whom they leave alone, and what is written down of it.

#![allow(clippy::unwrap_used, reason = "a test that can't set itself up fails")]

use std::sync::Arc;

use compact_str::CompactString;
use merx_decide::{
    Act, Arm, AuditLog, Automation, AutomationError, Automations, BoostDefinition, Case, Catalogue, CatalogueEntry,
    Change, Costs, Dealer, DecisionRecord, Definitions, ExperimentDefinition, ExperimentsError, ExposureLog,
    FeatureSource, Guardrail, Measure, Mode, OWN_EXPOSURE, Objectives, Pipeline, PipelineSettings, Reach, Recorder,
    RecorderSettings, Request, RequestShelf, SlotRules, Surface, Taken, Variant, Wish,
};
use merx_domain::experiment::{
    ArmDefinition, BUCKETS, BucketRange, Experiment, ExperimentId, ExperimentKind, ExperimentState, Holdout, LayerId,
    Targeting, UnitKind,
};
use merx_domain::{
    Answer, Ask, Candidate, Clock, ConsentPolicy, ConsentStamp, Decision, DecisionId, Device, Engine, EngineError,
    EventKind, FallbackLevel, Grant, MarketId, ModelVersion, Product, ProductId, ProductNumber, Proposal, Purposes,
    Scenario, Shelf, Situation, Slot, SlotAnswer, SubjectFeatures, SubjectId, TimestampMs,
};
use merx_store::{EventLog, LogSettings, Records, Store};

const NOW: TimestampMs = TimestampMs(1_795_228_774_000);
const ANNA: Act<'_> = Act { by: "anna", at: NOW };
const BERT: Act<'_> = Act { by: "bert", at: NOW };

struct Still;

impl Clock for Still {
    fn now(&self) -> TimestampMs {
        NOW
    }
}

/// Lists what the shelf lets through, scored by its boosts; levels and versions show in the model. Without its models once it is broken.
#[derive(Default)]
struct Lister {
    broken: std::sync::atomic::AtomicBool,
}

impl Engine for Lister {
    type Ask = Ask;
    type Answer = Answer;

    fn name(&self) -> &'static str {
        "recommend"
    }

    fn propose(
        &self,
        level: FallbackLevel,
        pinned: Option<ModelVersion>,
        _situation: &Situation,
        ask: &Ask,
        _features: &SubjectFeatures,
        shelf: &dyn Shelf,
        _late: &dyn Fn() -> bool,
    ) -> Result<Proposal<Answer>, EngineError> {
        if level <= FallbackLevel::PreviousModel && self.broken.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(EngineError::NoModel);
        }
        let fill = |(number, slot): (usize, &Slot)| {
            let item = |product: ProductNumber| Candidate {
                product,
                score: shelf.fact(number, product).boost,
                reasons: Vec::new(),
            };
            let items = shelf.listing(number, slot.count).into_iter().map(item).collect();
            SlotAnswer { name: slot.name.clone(), items }
        };
        let slots = ask.slots.iter().enumerate().map(fill).collect();
        let model = (level == FallbackLevel::LiveModel).then(|| pinned.unwrap_or(ModelVersion(7)));
        Ok(Proposal { answer: Answer { slots }, model })
    }
}

/// Subject 77 was shown arm "b" of everything on another device.
struct People;

impl FeatureSource for People {
    fn consent(&self, _subject: SubjectId) -> ConsentStamp {
        ConsentStamp::default()
    }

    fn subject_features(&self, _grant: &Grant, _now: TimestampMs) -> SubjectFeatures {
        SubjectFeatures::default()
    }

    fn shown_arms(&self, grant: &Grant) -> Vec<(ExperimentId, CompactString)> {
        let returned = grant.subject() == SubjectId(77) && grant.allows(Purposes::ANALYTICS);
        returned.then(|| (ExperimentId::new("home"), "b".into())).into_iter().collect()
    }
}

struct House {
    pipeline: Pipeline<Lister>,
    dealer: Arc<Dealer>,
    automations: Arc<Automations>,
    recorder: Arc<Recorder>,
    records: Arc<dyn Records>,
    log: Arc<dyn EventLog>,
    catalogue: Arc<Catalogue>,
    _folder: tempfile::TempDir,
}

fn definitions(records: &Arc<dyn Records>, holdout: u16) -> Definitions {
    let holdout = Holdout { salt: "everything".into(), share: holdout };
    Definitions::open(Arc::clone(records), holdout, ["conversion".into()].into()).unwrap()
}

impl House {
    fn new(holdout: u16) -> Self {
        Self::with_holdouts(holdout, 0.0)
    }

    /// The shop's own holdout in 10,000, and the engine's share.
    fn with_holdouts(holdout: u16, of_engine: f64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_embedded(folder.path(), merx_decide::MIGRATIONS, LogSettings::default()).unwrap();
        let recorder = Arc::new(Recorder::new(Arc::clone(&store.records), RecorderSettings::default()));
        let exposures = Arc::new(ExposureLog::new(Arc::clone(&store.log)));
        let definitions = Arc::new(definitions(&store.records, holdout));
        let dealer = Arc::new(Dealer::new(definitions, exposures, Arc::new(People)));
        let automations = Arc::new(Automations::open(Arc::clone(&store.records), &["recommend"], NOW).unwrap());
        let settings = PipelineSettings {
            consent: ConsentPolicy { allowed_unless_denied: Purposes::ANALYTICS | Purposes::PERSONALISATION }.into(),
            holdout: of_engine,
            holdout_salt: "test".to_owned(),
            deadline_ms: 1_000,
        };
        let catalogue = Arc::new(Catalogue::default());
        for number in 0..10 {
            let mut product = Product::new(ProductId::new(format!("p{number}")).unwrap(), format!("p{number}"), NOW);
            product.category_path = vec![if number % 2 == 0 { "Even" } else { "Odd" }.into()];
            catalogue.put(ProductNumber(number), CatalogueEntry::new(&product, None));
        }
        let pipeline = Pipeline::new(
            Arc::new(Lister::default()),
            Arc::new(People),
            Arc::clone(&recorder),
            Arc::new(Still),
            Arc::clone(&dealer),
            Arc::clone(&automations),
            settings,
        )
        .watching(Arc::clone(&catalogue));
        let (records, log) = (store.records, store.log);
        Self { pipeline, dealer, automations, recorder, records, log, catalogue, _folder: folder }
    }

    fn run(&self, definition: ExperimentDefinition) {
        let id = definition.experiment.id.clone();
        self.dealer.definitions.put(definition, ANNA).unwrap();
        self.dealer.definitions.start(&id, ANNA).unwrap();
    }

    fn decide(&self, subject: u128, consent: ConsentStamp) -> Decision<Answer> {
        self.decide_in(subject, consent, None)
    }

    fn decide_in(&self, subject: u128, consent: ConsentStamp, campaign: Option<&str>) -> Decision<Answer> {
        let situation = Situation {
            decision: DecisionId(subject + 1),
            subject: Some(SubjectId(subject)),
            market: MarketId::default(),
            device: Device::Phone,
            now: NOW,
            seed: 1,
            consent,
        };
        let slot = |name: &str| Slot {
            name: name.to_owned(),
            scenario: Scenario::Popular,
            count: 4,
            products: Vec::new(),
            exclude: Vec::new(),
            diversity: 0.0,
        };
        let rules = vec![SlotRules::default(); 2];
        let mut shelf = RequestShelf::new(self.catalogue.read(), MarketId::default(), NOW, rules, &[]);
        let ask = Ask::new(vec![slot("home"), slot("basket")]);
        let campaign = campaign.map(Into::into);
        self.pipeline.decide(Request { campaign, ..Request::new(situation, ask) }, &mut shelf)
    }

    /// Exposures in the log: subject and arm.
    fn exposures(&self) -> Vec<(u128, String)> {
        self.dealer.exposures.flush();
        let events = self.log.read(None, 10_000).unwrap();
        let exposure = |event: merx_domain::Event| {
            assert_eq!((event.kind, event.custom_name.as_deref()), (EventKind::ExperimentViewed, Some(OWN_EXPOSURE)));
            (event.subject.0, event.properties["variation_id"].trim_matches('"').to_owned())
        };
        events.into_iter().map(|(_, event)| exposure(event)).collect()
    }
}

fn arm_of(decision: &Decision<Answer>) -> Option<&str> {
    decision.experiments.first().map(|assignment| assignment.arm.as_str())
}

/// Arms "a", the control, and "b", half and half.
fn experiment(id: &str, slots: &[&str], change: Change) -> ExperimentDefinition {
    let arm = |name: &str| ArmDefinition { name: name.into(), share: BUCKETS / 2 };
    ExperimentDefinition {
        experiment: Experiment {
            id: ExperimentId::new(id),
            kind: ExperimentKind::Test,
            state: ExperimentState::Draft,
            unit: UnitKind::Subject,
            layer: LayerId::new(id),
            range: BucketRange::ALL,
            ramp: BUCKETS,
            salt: id.into(),
            arms: vec![arm("a"), arm("b")],
            targeting: Targeting::default(),
            metrics: vec!["conversion".into()],
            starts_at: NOW,
            ends_at: None,
        },
        title: String::new(),
        hypothesis: String::new(),
        owner: String::new(),
        surface: Surface::Recommend { slots: slots.iter().map(|slot| CompactString::from(*slot)).collect() },
        bandit: None,
        variants: vec![Variant::default(), Variant { change, ..Variant::default() }],
    }
}

#[test]
fn an_arm_changes_its_slot_and_nothing_else_and_the_record_says_so() {
    let house = House::new(0);
    let boosts = vec![BoostDefinition { field: "category = even".into(), strength: 2.0 }];
    let filter = Some("category = even".to_owned());
    house.run(experiment("home", &["home"], Change { count: Some(2), boosts, filter, ..Change::default() }));
    let mut seen = [0, 0];
    for subject in 0..60 {
        let decision = house.decide(subject, ConsentStamp::default());
        let slots = &decision.answer.slots;
        let changed = arm_of(&decision) == Some("b");
        seen[usize::from(changed)] += 1;
        assert_eq!(slots[0].items.len(), if changed { 2 } else { 4 });
        let boosted = slots[0].items.iter().all(|item| item.product.0 % 2 == 0 && item.score == 3.0);
        assert_eq!(boosted, changed);
        assert_eq!(slots[1].items.len(), 4, "the other slot");
        let record = house.recorder.get(decision.id).unwrap();
        assert_eq!(record.experiments, decision.experiments);
        assert_eq!(record.experiments[0].propensity(), 0.5);
        assert_eq!(house.pipeline.replay(&record).unwrap(), decision.answer);
        assert_eq!(DecisionRecord::from_bytes(&record.to_bytes()).unwrap(), record);
    }
    assert!(seen[0] > 15 && seen[1] > 15, "{seen:?}");
}

#[test]
fn an_arm_can_choose_the_model_or_leave_it_out() {
    for (change, expected) in [
        (Change { model_version: Some(ModelVersion(3)), ..Change::default() }, (FallbackLevel::LiveModel, Some(3))),
        (Change { serve: Some(FallbackLevel::Popularity), ..Change::default() }, (FallbackLevel::Popularity, None)),
    ] {
        let house = House::new(0);
        house.run(experiment("home", &[], change));
        for subject in 0..20 {
            let decision = house.decide(subject, ConsentStamp::default());
            let got = (decision.fallback, decision.model.map(|version| version.0));
            let expected = if arm_of(&decision) == Some("b") { expected } else { (FallbackLevel::LiveModel, Some(7)) };
            assert_eq!(got, expected);
        }
    }
}

#[test]
fn exposures_are_logged_once_a_day_of_whoever_may_be_measured() {
    let house = House::new(0);
    house.run(experiment("home", &["home"], Change::default()));
    house.run(experiment("elsewhere", &["cart"], Change::default()));
    let refuses = ConsentStamp { denied: Purposes::ANALYTICS, ..ConsentStamp::default() };
    let mut expected = Vec::new();
    for subject in 0..20 {
        for _ in 0..3 {
            let decision = house.decide(subject, ConsentStamp::default());
            assert_eq!(decision.experiments.len(), 1, "the slot of the other experiment is not on this page");
            expected.push((subject, arm_of(&decision).unwrap().to_owned()));
        }
        assert!(house.decide(1_000 + subject, refuses).experiments.is_empty());
    }
    expected.dedup();
    assert_eq!(house.exposures(), expected);
}

#[test]
fn whoever_is_held_out_meets_no_model_and_no_experiment() {
    let house = House::new(3_000);
    house.run(experiment("home", &[], Change::default()));
    let mut held = 0;
    for subject in 0..200 {
        let decision = house.decide(subject, ConsentStamp::default());
        assert_eq!(decision.held_out, house.dealer.is_held_out(Some(SubjectId(subject))));
        assert_eq!(decision.held_out, decision.experiments.is_empty());
        let level = if decision.held_out { FallbackLevel::Popularity } else { FallbackLevel::LiveModel };
        assert_eq!(decision.fallback, level);
        assert_eq!(house.recorder.get(decision.id).unwrap().held_out, decision.held_out);
        held += u32::from(decision.held_out);
    }
    assert!((40..80).contains(&held), "{held} of 200 at 30 %");
    assert_eq!(house.exposures().len(), 200 - held as usize);
}

#[test]
fn who_comes_back_on_another_device_keeps_the_arm() {
    let drawn_a = |salt: &str| {
        let house = House::new(0);
        let mut definition = experiment("home", &[], Change::default());
        definition.experiment.salt = salt.into();
        house.run(definition);
        let refuses = ConsentStamp { denied: Purposes::PERSONALISATION, ..ConsentStamp::default() };
        let kept = [ConsentStamp::default(), refuses].map(|consent| house.decide(77, consent));
        assert!(kept.iter().all(|decision| arm_of(decision) == Some("b")), "whatever the lot says");
        arm_of(&house.decide(78, ConsentStamp::default())) == Some("a")
    };
    let salts = ["1", "2", "3", "4", "5", "6", "7", "8"];
    assert!(salts.into_iter().any(drawn_a), "others follow the lot");
}

#[test]
fn only_sound_experiments_go_live_and_they_outlive_a_restart() {
    let house = House::new(0);
    let definitions_now = &house.dealer.definitions;
    let put = |definition: ExperimentDefinition| definitions_now.put(definition, ANNA);
    let codes = |result: Result<_, ExperimentsError>| match result {
        Err(ExperimentsError::Invalid(problems)) => {
            problems.iter().map(|problem| format!("{} {}", problem.at, problem.code)).collect::<Vec<_>>()
        }
        Err(other) => vec![other.to_string()],
        Ok(_) => Vec::new(),
    };
    let mut wrong = experiment("home", &[], Change { filter: Some("price <".into()), ..Change::default() });
    wrong.experiment.arms[1].share = 4_000;
    wrong.experiment.metrics = vec!["luck".into()];
    let found = codes(put(wrong).map(|_| ()));
    assert_eq!(found, ["arms[1].change.filter invalid_filter", "metrics unknown_metric", "arms arms_dont_add_up"]);
    let searching = ExperimentDefinition {
        surface: Surface::Search,
        ..experiment("home", &[], Change { diversity: Some(0.5), ..Change::default() })
    };
    assert_eq!(codes(put(searching).map(|_| ())), ["arms[1].change.diversity not_on_this_surface"]);

    let in_layer = |id: &str, from, to| {
        let mut definition = experiment(id, &[], Change::default());
        definition.experiment.layer = LayerId::new("page");
        definition.experiment.range = BucketRange { from, to };
        definition
    };
    house.run(in_layer("first", 0, 6_000));
    put(in_layer("second", 5_000, BUCKETS)).unwrap();
    let start = |id: &str| codes(definitions_now.start(&ExperimentId::new(id), ANNA).map(|_| ()));
    assert_eq!(start("second"), ["layer overlapping_layer"]);
    put(in_layer("second", 6_000, BUCKETS)).unwrap();
    assert!(start("second").is_empty());
    assert!(put(in_layer("second", 7_000, BUCKETS)).is_err(), "it runs: its units would be dealt anew");
    let mut narrower = in_layer("second", 6_000, BUCKETS);
    narrower.experiment.ramp = 10;
    assert_eq!(put(narrower).unwrap().revision, 4);
    let version = definitions_now.version();

    // Another process reads what this one wrote.
    let reopened = definitions(&house.records, 0);
    assert_eq!((reopened.list(), reopened.version()), (definitions_now.list(), version));
    definitions_now.end(&ExperimentId::new("first"), ANNA).unwrap();
    assert!(definitions_now.version() > version);
    assert!(start("first")[0].contains("ended"));
    assert!(definitions_now.remove(&ExperimentId::new("first"), ANNA).is_err(), "what has run stays listed");
    assert!(house.decide(1, ConsentStamp::default()).experiments.iter().all(|one| one.experiment.as_str() == "second"));
}

/// Format 1 ended where the arms begin, format 2 before the campaign: their bytes are those of format 3 but for the number and the last
/// five, or one.
#[test]
fn records_of_earlier_formats_stay_readable() {
    let house = House::new(0);
    let decision = house.decide(5, ConsentStamp::default());
    let record = house.recorder.get(decision.id).unwrap();
    let bytes = record.to_bytes();
    for (format, missing) in [(1, 5), (2, 1)] {
        let earlier = [&[0, format], &bytes[2..bytes.len() - missing]].concat();
        assert_eq!(DecisionRecord::from_bytes(&earlier).unwrap(), record);
        assert!(DecisionRecord::from_bytes(&earlier[..earlier.len() - 1]).is_err());
    }
}

// ---- Automations ----

fn case() -> Case {
    let words = |text: &str| text.to_owned();
    Case { why: words("better"), expected_effect: words("2 %"), risk: words("clicks"), roll_back: words("off") }
}

#[test]
fn a_mode_counts_from_the_next_decision_on() {
    let house = House::new(0);
    house.run(experiment("home", &[], Change::default()));
    let set =
        |mode: Mode| house.automations.set_mode("recommend", Reach::Everywhere, mode, Case::default(), ANNA).unwrap();
    let served = |subject| {
        let decision = house.decide(subject, ConsentStamp::default());
        house.pipeline.settle();
        let record = house.recorder.get(decision.id).unwrap();
        assert_eq!(house.pipeline.replay(&record).unwrap(), decision.answer);
        assert_eq!(record.taken.acts(), !decision.experiments.is_empty(), "what doesn't act is not experimented with");
        (decision.fallback, record)
    };
    assert_eq!(served(1).0, FallbackLevel::LiveModel);
    set(Mode::Off);
    let (level, record) = served(2);
    assert_eq!((level, record.taken, record.shadow), (FallbackLevel::Popularity, Taken::Off, None));
    set(Mode::Shadow);
    let (level, record) = served(3);
    let shadow = record.shadow.unwrap();
    assert_eq!((level, record.taken, shadow.model), (FallbackLevel::Popularity, Taken::Shadow, Some(ModelVersion(7))));
    assert_eq!(shadow.answer::<Answer>().unwrap().slots.len(), 2);
    set(Mode::Canary { share: 3_000 });
    let inside = (10..210).filter(|subject| served(*subject).1.taken == Taken::Canary).count();
    assert!((40..80).contains(&inside), "{inside} of 200 at 30 %");
    set(Mode::Live);
    house.automations.kill("recommend", true, ANNA).unwrap();
    assert_eq!(served(4).1.taken, Taken::Off);
    house.automations.kill("recommend", false, ANNA).unwrap();
    let capped = Automation { most_per_hour: Some(5), ..house.automations.get("recommend").unwrap() };
    house.automations.describe(capped, Case::default(), ANNA).unwrap();
    let taken: Vec<Taken> = (300..310).map(|subject| served(subject).1.taken).collect();
    assert_eq!(taken, [[Taken::Live; 5], [Taken::Capped; 5]].concat());
    let budgeted = Automation {
        most_per_hour: None,
        monthly_budget_minor: Some(500),
        ..house.automations.get("recommend").unwrap()
    };
    house.automations.describe(budgeted, Case::default(), ANNA).unwrap();
    let tell = |minor| house.automations.tell_spent("recommend", minor, NOW.plus_ms(1_000), NOW).unwrap();
    tell(499);
    assert_eq!(served(320).1.taken, Taken::Live);
    tell(500);
    tell(501);
    assert_eq!(served(321).1.taken, Taken::Capped);
    let spent = house.automations.alerts(10).unwrap();
    assert_eq!(spent.iter().filter(|alert| alert.key.starts_with("spend:")).count(), 1, "told once");
    // A higher budget counts at once; the month's end does too.
    let more = Automation { monthly_budget_minor: Some(900), ..house.automations.get("recommend").unwrap() };
    house.automations.describe(more, Case::default(), ANNA).unwrap();
    assert_eq!(served(322).1.taken, Taken::Live);
    house.automations.tell_spent("recommend", 900, NOW, NOW).unwrap();
    assert_eq!(served(323).1.taken, Taken::Live, "the month is over");
    let elsewhere = MarketId::new("elsewhere").unwrap();
    house.automations.set_mode("recommend", Reach::Market(elsewhere), Mode::Off, Case::default(), ANNA).unwrap();
    assert_eq!(house.automations.get("recommend").unwrap().mode, Mode::Live, "another market");
}

#[test]
fn a_campaign_has_a_mode_of_its_own_until_it_is_taken_away() {
    let house = House::new(0);
    let sale = || Reach::Campaign("sale".into());
    let set = |reach, mode| house.automations.set_mode("recommend", reach, mode, Case::default(), ANNA).unwrap();
    let asked = std::cell::Cell::new(0);
    let taken = |campaign: Option<&str>| {
        asked.set(asked.get() + 1);
        let decision = house.decide_in(asked.get(), ConsentStamp::default(), campaign);
        house.pipeline.settle();
        let record = house.recorder.get(decision.id).unwrap();
        assert_eq!(record.campaign.as_deref(), campaign);
        assert_eq!(house.pipeline.replay(&record).unwrap(), decision.answer);
        record.taken
    };
    set(sale(), Mode::Off);
    assert_eq!((taken(Some("sale")), taken(Some("other")), taken(None)), (Taken::Off, Taken::Live, Taken::Live));
    house.automations.inherit_mode("recommend", &sale(), ANNA).unwrap();
    assert_eq!(taken(Some("sale")), Taken::Live);

    // More than before takes a second person, for a campaign as anywhere.
    let described = Automation { four_eyes: true, ..house.automations.get("recommend").unwrap() };
    house.automations.describe(described, Case::default(), ANNA).unwrap();
    set(sale(), Mode::Shadow);
    assert!(house.automations.inherit_mode("recommend", &sale(), ANNA).is_err(), "live would be more");
    let Wish::Waiting(asked) = house.automations.set_mode("recommend", sale(), Mode::Live, case(), ANNA).unwrap()
    else {
        panic!("it waits")
    };
    assert_eq!((asked.market, asked.campaign.as_deref()), (None, Some("sale")));
    assert_eq!(taken(Some("sale")), Taken::Shadow);
    house.automations.decide(asked.number, true, "", BERT).unwrap();
    assert_eq!(taken(Some("sale")), Taken::Live);

    // So many campaigns at a time: those that are over are taken away.
    let name = |number: usize| Reach::Campaign(format!("campaign-{number}").into());
    (1..200).for_each(|number| drop(set(name(number), Mode::Off)));
    assert!(house.automations.set_mode("recommend", name(200), Mode::Off, case(), ANNA).is_err());
}

#[test]
fn more_of_an_automation_takes_a_second_person() {
    let house = House::new(0);
    let set = |mode, case, act| house.automations.set_mode("recommend", Reach::Everywhere, mode, case, act);
    let watched = Automation { four_eyes: true, ..house.automations.get("recommend").unwrap() };
    let describe = |wanted, case, act| house.automations.describe(wanted, case, act);
    describe(watched.clone(), Case::default(), ANNA).unwrap();
    assert!(describe(Automation { four_eyes: false, ..watched }, case(), ANNA).is_err());
    assert!(matches!(set(Mode::Shadow, Case::default(), ANNA), Ok(Wish::Granted(_))), "less needs nobody");
    assert!(matches!(set(Mode::Live, Case::default(), ANNA), Err(AutomationError::Invalid { .. })), "no case, no more");
    let Ok(Wish::Waiting(approval)) = set(Mode::Live, case(), ANNA) else { panic!("it waits") };
    assert_eq!(house.automations.get("recommend").unwrap().mode, Mode::Shadow);
    assert!(house.automations.decide(approval.number, true, "", ANNA).is_err(), "who asked can't agree");
    house.automations.decide(approval.number, true, "it held for a week", BERT).unwrap();
    assert_eq!(house.automations.get("recommend").unwrap().mode, Mode::Live);
    assert!(house.automations.decide(approval.number, false, "", BERT).is_err(), "it is decided");
    assert_eq!(house.automations.approvals(10).unwrap().len(), 1);
    let reopened = Automations::open(Arc::clone(&house.records), &["recommend"], NOW).unwrap();
    assert_eq!(reopened.list(), house.automations.list());
}

#[test]
fn looser_limits_take_a_second_person_and_tighter_ones_nobody() {
    let house = House::new(0);
    let guardrail = Guardrail { measure: Measure::FallbackShare, at_most: 0.3, fewest: 20, window_minutes: 10 };
    let first = Automation {
        guardrails: vec![guardrail],
        most_per_hour: Some(100),
        ends_at: Some(NOW.plus_ms(1_000)),
        four_eyes: true,
        costs: Costs { monthly_minor: 500, ..Costs::default() },
        ..house.automations.get("recommend").unwrap()
    };
    let describe = |wanted: &Automation, case, act| house.automations.describe(wanted.clone(), case, act);
    describe(&first, Case::default(), ANNA).unwrap();
    let with = |change: &dyn Fn(&mut Automation)| {
        let mut changed = house.automations.get("recommend").unwrap();
        change(&mut changed);
        changed
    };
    let looser: [&dyn Fn(&mut Automation); 8] = [
        &|one| one.guardrails.clear(),
        &|one| one.guardrails[0].at_most = 0.31,
        &|one| one.guardrails[0].fewest = 21,
        &|one| one.guardrails[0].window_minutes = 11,
        &|one| one.most_per_hour = Some(101),
        &|one| one.most_per_hour = None,
        &|one| one.ends_at = None,
        &|one| one.costs.monthly_minor = 499,
    ];
    for change in looser {
        let before = house.automations.get("recommend").unwrap();
        assert!(matches!(describe(&with(change), Case::default(), ANNA), Err(AutomationError::Invalid { .. })));
        let Ok(Wish::Waiting(asked)) = describe(&with(change), case(), ANNA) else { panic!("it waits") };
        assert_eq!(asked.terms.as_ref().unwrap().loosened.len(), 1);
        assert_eq!(house.automations.get("recommend").unwrap(), before, "nothing counts yet");
        assert!(house.automations.decide(asked.number, true, "", ANNA).is_err(), "who asked can't agree");
        house.automations.decide(asked.number, false, "", BERT).unwrap();
        assert_eq!(house.automations.get("recommend").unwrap(), before);
    }
    let tighter = with(&|one| {
        one.guardrails[0].at_most = 0.2;
        one.most_per_hour = Some(50);
        one.owner = "anna".to_owned();
    });
    assert!(matches!(describe(&tighter, Case::default(), ANNA), Ok(Wish::Granted(_))));

    let raised = with(&|one| one.most_per_hour = Some(80));
    let Ok(Wish::Waiting(early)) = describe(&raised, case(), ANNA) else { panic!("it waits") };
    let Ok(Wish::Waiting(late)) = describe(&raised, case(), ANNA) else { panic!("it waits") };
    house.automations.set_mode("recommend", Reach::Everywhere, Mode::Shadow, Case::default(), ANNA).unwrap();
    house.automations.decide(early.number, true, "peak", BERT).unwrap();
    let now = house.automations.get("recommend").unwrap();
    assert_eq!((now.most_per_hour, now.mode, now.guardrails[0].at_most), (Some(80), Mode::Shadow, 0.2));
    let outdated = house.automations.decide(late.number, true, "", BERT);
    assert!(matches!(outdated, Err(AutomationError::Refused(_))), "it was described anew since");
    let entries = AuditLog::new(Arc::clone(&house.records)).about("recommend", 3).unwrap();
    assert!(entries.iter().any(|entry| entry.action == "approval.approved" && entry.actor == "bert"));
}

/// Draws many people through two holdouts and a canary: what the records say of their chances is how often it happened, so that weighting by
/// them gives everybody.
#[test]
fn recorded_propensities_are_how_often_it_happens() {
    const PEOPLE: u128 = 6_000;
    let house = House::with_holdouts(1_000, 0.2);
    let set = |mode| house.automations.set_mode("recommend", Reach::Everywhere, mode, Case::default(), ANNA).unwrap();
    let modes = [(Mode::Canary { share: 3_000 }, 0.9 * 0.8 * 0.3), (Mode::Live, 0.9 * 0.8), (Mode::Off, 0.0)];
    for (round, (mode, meets)) in modes.into_iter().enumerate() {
        set(mode);
        let first = round as u128 * PEOPLE;
        let (mut model, mut weights, mut generic_weights) = (0, 0.0, 0.0);
        let mut sample = Vec::new();
        for subject in first..first + PEOPLE {
            let decision = house.decide(subject, ConsentStamp::default());
            let met = decision.fallback == FallbackLevel::LiveModel;
            if subject % 5 == 0 {
                sample.push((decision.id, met));
            }
            model += u32::from(met);
        }
        house.pipeline.settle();
        let ids: Vec<DecisionId> = sample.iter().map(|(id, _)| *id).collect();
        let records = house.recorder.several(&ids).unwrap();
        assert_eq!(records.len(), sample.len());
        for (id, met) in &sample {
            let record = records.iter().find(|record| record.id == *id).unwrap();
            let (Arm::Treated { propensity } | Arm::Holdout { propensity }) = record.arm;
            let expected = if *met { meets } else { 1.0 - meets };
            assert!((propensity - expected).abs() < 1e-9, "{mode}: {propensity}, {expected}");
            *(if *met { &mut weights } else { &mut generic_weights }) += 1.0 / propensity;
        }
        let share = f64::from(model) / PEOPLE as f64;
        // Four standard errors of a share.
        assert!((share - meets).abs() <= 4.0 * (meets * (1.0 - meets) / PEOPLE as f64).sqrt(), "{mode}: {share}");
        for (side, is_empty) in [(weights, meets == 0.0), (generic_weights, meets == 1.0)] {
            let people = side / sample.len() as f64;
            assert!(if is_empty { people == 0.0 } else { (people - 1.0).abs() < 0.25 }, "{mode}: {people}");
        }
    }
}

#[test]
fn a_breached_guardrail_steps_the_mode_back_and_says_so() {
    let house = House::new(0);
    let guardrail = Guardrail { measure: Measure::FallbackShare, at_most: 0.3, fewest: 20, window_minutes: 10 };
    let guarded = Automation { guardrails: vec![guardrail], ..house.automations.get("recommend").unwrap() };
    house.automations.describe(guarded, Case::default(), ANNA).unwrap();
    (0..30).for_each(|subject| drop(house.decide(subject, ConsentStamp::default())));
    assert_eq!(house.automations.watch(NOW, &Objectives::NONE).unwrap(), []);
    let change = Change { serve: Some(FallbackLevel::Popularity), ..Change::default() };
    let mut everybody = experiment("home", &[], change.clone());
    everybody.variants[0].change = change;
    house.run(everybody);
    (30..70).for_each(|subject| drop(house.decide(subject, ConsentStamp::default())));
    assert_eq!(house.automations.watch(NOW, &Objectives::NONE).unwrap(), [], "an arm without models is no fallback");
    house.dealer.definitions.end(&ExperimentId::new("home"), ANNA).unwrap();
    house.pipeline.engine().broken.store(true, std::sync::atomic::Ordering::Relaxed);
    (70..140).for_each(|subject| drop(house.decide(subject, ConsentStamp::default())));
    let alerts = house.automations.watch(NOW, &Objectives::NONE).unwrap();
    assert_eq!(alerts.len(), 1);
    assert!(alerts[0].words.contains("stepped back to canary 10 %"), "{}", alerts[0].words);
    assert_eq!(house.automations.get("recommend").unwrap().mode, Mode::Canary { share: 1_000 });
    assert_eq!(
        house.automations.watch(NOW, &Objectives::NONE).unwrap(),
        [],
        "what was seen before says nothing of the new mode"
    );
    assert_eq!(house.automations.alerts(10).unwrap(), alerts);
}

#[test]
fn the_audit_chain_shows_whatever_was_touched() {
    let house = House::new(0);
    house.run(experiment("home", &[], Change::default()));
    house.automations.kill("recommend", true, BERT).unwrap();
    let audit = AuditLog::new(Arc::clone(&house.records));
    let entries = audit.read(0, 100).unwrap();
    let told: Vec<(&str, &str)> = entries.iter().map(|entry| (entry.actor.as_str(), entry.action.as_str())).collect();
    assert_eq!(told, [("anna", "experiment.put"), ("anna", "experiment.start"), ("bert", "automation.killed")]);
    let sound = audit.verify(None).unwrap();
    assert!(sound.is_sound() && sound.entries == 3);
    assert!(audit.verify(Some(entries[1].hash)).unwrap().is_sound(), "an older head is still on the chain");
    let tampered = |sql: &str, broken_at: Option<u64>| {
        let undo = House::new(0);
        undo.run(experiment("home", &[], Change::default()));
        undo.automations.kill("recommend", true, BERT).unwrap();
        undo.records.transaction(&mut |transaction| transaction.execute(sql, &[]).map(|_| ())).unwrap();
        let audit = AuditLog::new(Arc::clone(&undo.records));
        let found = audit.verify(Some(sound.head)).unwrap();
        assert_eq!(found.broken_at, broken_at, "{sql}");
        assert!(!found.is_sound());
    };
    tampered("UPDATE audit SET actor = 'carl' WHERE number = 1", Some(1));
    tampered("UPDATE audit SET detail = 'null' WHERE number = 2", Some(2));
    tampered("DELETE FROM audit WHERE number = 2", Some(2));
    tampered("UPDATE audit SET at_ms = at_ms + 1 WHERE number = 3", Some(3));
    // Only a head that was written down shows that the end is gone.
    tampered("DELETE FROM audit WHERE number = 3", None);
}
