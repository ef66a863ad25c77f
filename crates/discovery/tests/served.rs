//! What slots show, on a small shop in which everything worth finding was planted.
//!
//! Four departments of ten products. A shopper looks at products of one department only, and buys a product together with its
//! partner (2k with 2k + 1). Product 39 has texts but no history; product 0 is what everybody looks at; product 30 rises in the
//! last days; product 20 is bought every thirty days.

#![allow(clippy::unwrap_used, reason = "a test that can't set itself up fails")]

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use merx_discovery::recommend::{RecommendEngine, RecommendLearner, RecommendModel, Role};
use merx_domain::{
    Ask, Blocked, Candidate, ConsentStamp, DAY_MS, DecisionId, Device, Engine, EngineError, EventMeaning, Fact,
    FallbackLevel, Goal, HistoryEntry, MarketId, ModelVersion, Overruled, Pin, ProductNumber, Reason, Scenario, Shelf,
    Situation, Slot, SubjectFeatures, TimestampMs,
};
use merx_models::{Interaction, Interactions, ItemContent, Learner, Model, TrainingSet};

const PRODUCTS: u32 = 40;
const DAY_S: i64 = 86_400;
const NOW_S: i64 = 20_000 * DAY_S;
const NOW: TimestampMs = TimestampMs(NOW_S * 1_000);
const EVERYBODYS: u32 = 0;
const RISING: u32 = 30;
const STAPLE: u32 = 20;
const COLD: u32 = 39;

fn department(product: u32) -> u32 {
    product / 10
}

fn entry(item: u32, at_s: i64, meaning: EventMeaning) -> Interaction {
    Interaction { item, at_s, meaning }
}

/// A visit a shopper: four looks within a department, and a pair in one order.
fn training_set() -> TrainingSet {
    let (mut histories, mut baskets, mut markets) = (Interactions::new(), Interactions::new(), Vec::new());
    for shopper in 0..1_200u32 {
        let start_s = NOW_S - i64::from(1_200 - shopper) * 90 * 60;
        let of = |step: u32| {
            let place = (shopper / 4 * 3 + step * 7) % if shopper % 4 == 3 { 9 } else { 10 };
            shopper % 4 * 10 + place
        };
        let mut row: Vec<Interaction> =
            (0..4).map(|step| entry(of(step), start_s + i64::from(step) * 60, EventMeaning::Viewed)).collect();
        row.push(entry(EVERYBODYS, start_s + 240, EventMeaning::Viewed));
        if shopper > 1_120 {
            row.push(entry(RISING, start_s + 250, EventMeaning::Viewed));
        }
        let pair = of(0) & !1;
        let order = [pair, pair + 1].map(|item| entry(item, start_s + 300, EventMeaning::Purchased));
        if pair + 1 != COLD {
            row.extend(order);
            baskets.push_row(order);
        }
        histories.push_row(row);
        markets.push((shopper % 4 == 1).into());
    }
    for shopper in 0..60 {
        let bought =
            (0..5).map(|time| entry(STAPLE, NOW_S - (150 - 30 * time + shopper % 3) * DAY_S, EventMeaning::Purchased));
        histories.push_row(bought);
        markets.push(0);
    }
    let token_names = (0..4).map(|department| format!("category=d{department}")).collect();
    let content = ItemContent {
        tokens: (0..PRODUCTS).map(|product| vec![department(product)]).collect(),
        token_names,
        price_minor: vec![1_000; PRODUCTS as usize],
        since_s: Vec::new(),
    };
    let market_names = ["de", "gb"].map(|name| MarketId::new(name).unwrap()).to_vec();
    let item_count = PRODUCTS as usize;
    TrainingSet { item_count, histories, markets, market_names, baskets, content, now_s: NOW_S }
}

fn model() -> Arc<RecommendModel> {
    static MODEL: OnceLock<Arc<RecommendModel>> = OnceLock::new();
    Arc::clone(MODEL.get_or_init(|| Arc::new(RecommendLearner.fit(&training_set(), 1).unwrap())))
}

/// Everything is free but what is blocked; prices rise within a department.
#[derive(Default)]
struct Table {
    blocked: BTreeMap<u32, Blocked>,
    boosts: BTreeMap<u32, f32>,
    listed: Vec<u32>,
}

impl Shelf for Table {
    fn fact(&self, _slot: usize, product: ProductNumber) -> Fact {
        Fact {
            blocked: self.blocked.get(&product.0).copied(),
            boost: self.boosts.get(&product.0).copied().unwrap_or(1.0),
            price_minor: i64::from(1_000 + product.0 % 10 * 250),
            created_at: NOW.plus_ms(-i64::from(PRODUCTS - product.0) * DAY_MS),
        }
    }

    fn listing(&self, _slot: usize, limit: usize) -> Vec<ProductNumber> {
        let free = (0..PRODUCTS).rev().filter(|product| !self.blocked.contains_key(product));
        free.map(ProductNumber).take(limit).collect()
    }

    fn static_list(&self, _slot: usize) -> Vec<ProductNumber> {
        self.listed.iter().copied().map(ProductNumber).collect()
    }
}

fn slot(scenario: Scenario, count: usize, products: &[u32]) -> Slot {
    Slot {
        name: scenario.name().to_owned(),
        scenario,
        count,
        products: products.iter().copied().map(ProductNumber).collect(),
        exclude: Vec::new(),
        diversity: 0.0,
    }
}

/// Somebody who did this to these products, the last a minute ago, a minute between them, all in this session.
fn shopper(acts: &[(u32, EventMeaning)]) -> SubjectFeatures {
    let at = |place: usize| NOW.plus_ms(-60_000 * (acts.len() - place) as i64);
    let entries = acts.iter().enumerate();
    let history: Vec<HistoryEntry> = entries
        .map(|(place, (product, meaning))| HistoryEntry {
            product: ProductNumber(*product),
            meaning: *meaning,
            at: at(place),
        })
        .collect();
    SubjectFeatures { session_started_at: Some(at(0)), history, ..SubjectFeatures::default() }
}

fn looked_at(products: &[u32]) -> SubjectFeatures {
    shopper(&products.iter().map(|product| (*product, EventMeaning::Viewed)).collect::<Vec<_>>())
}

fn situation(market: &str) -> Situation {
    Situation {
        decision: DecisionId(1),
        subject: None,
        market: MarketId::new(market).unwrap(),
        device: Device::Phone,
        now: NOW,
        seed: 1,
        consent: ConsentStamp::default(),
    }
}

fn engine() -> RecommendEngine {
    let engine = RecommendEngine::new(Box::new(|_| None));
    engine.serve(Some((ModelVersion(2), model())), Some((ModelVersion(1), model())));
    engine
}

fn ask_at(
    level: FallbackLevel,
    slots: &[Slot],
    features: &SubjectFeatures,
    shelf: &Table,
    market: &str,
) -> Vec<Vec<Candidate>> {
    let ask = Ask::new(slots.to_vec());
    let proposal = engine().propose(level, None, &situation(market), &ask, features, shelf, &|| false).unwrap();
    proposal.answer.slots.into_iter().map(|slot| slot.items).collect()
}

fn ask(slots: &[Slot], features: &SubjectFeatures, shelf: &Table) -> Vec<Vec<Candidate>> {
    ask_at(FallbackLevel::LiveModel, slots, features, shelf, "de")
}

fn one(slot: Slot, features: &SubjectFeatures) -> Vec<u32> {
    numbers(&ask(&[slot], features, &Table::default())[0])
}

fn numbers(items: &[Candidate]) -> Vec<u32> {
    items.iter().map(|item| item.product.0).collect()
}

/// How many of the products are of a department.
fn of_department(products: &[u32], wanted: u32) -> usize {
    products.iter().filter(|product| department(**product) == wanted).count()
}

#[test]
fn for_you_finds_the_department_that_was_looked_at_and_nothing_seen() {
    for wanted in [1, 2] {
        let seen = [wanted * 10 + 1, wanted * 10 + 4];
        let shown = one(slot(Scenario::ForYou, 6, &[]), &looked_at(&seen));
        // Beside them the product that every visit ends with.
        assert!(of_department(&shown, wanted) >= 4 && shown.contains(&EVERYBODYS), "{shown:?}");
        assert!(seen.iter().all(|product| !shown.contains(product)), "{shown:?}");
    }
}

#[test]
fn one_event_turns_the_answer_towards_its_department() {
    let stranger = one(slot(Scenario::ForYou, 6, &[]), &SubjectFeatures::default());
    assert_eq!(stranger.len(), 6);
    assert!(stranger.contains(&EVERYBODYS), "a stranger gets what everybody wants: {stranger:?}");
    assert_eq!(stranger, one(slot(Scenario::Popular, 6, &[]), &SubjectFeatures::default()), "and nothing is guessed");
    let before = of_department(&stranger, 2);
    let after = of_department(&one(slot(Scenario::ForYou, 6, &[]), &looked_at(&[23])), 2);
    assert!(after >= 4 && after > before, "{before} before, {after} after");
}

#[test]
fn each_scenario_shows_what_its_name_says() {
    let looking = looked_at(&[12, 15]);
    let similar = one(slot(Scenario::Similar, 5, &[14]), &looking);
    assert!(of_department(&similar, 1) >= 4 && !similar.contains(&14), "{similar:?}");

    assert_eq!(one(slot(Scenario::BoughtTogether, 1, &[24]), &looking), [25]);
    assert_eq!(one(slot(Scenario::CompleteBasket, 2, &[12, 26]), &looking)[..2].iter().max(), Some(&27));
    let completed = one(slot(Scenario::CompleteBasket, 2, &[12, 26]), &looking);
    assert!(completed.contains(&13) && completed.contains(&27), "{completed:?}");

    let next = one(slot(Scenario::ContinueSession, 4, &[]), &looking);
    assert!(of_department(&next, 1) >= 3 && !next.contains(&15), "{next:?}");

    let dearer = one(slot(Scenario::Upsell, 3, &[11]), &looking);
    assert!(
        !dearer.is_empty() && dearer.iter().all(|product| department(*product) == 1 && product % 10 > 1),
        "{dearer:?}"
    );

    assert_eq!(one(slot(Scenario::Popular, 1, &[]), &looking), [EVERYBODYS]);
    assert_eq!(one(slot(Scenario::Trending, 1, &[]), &looking), [RISING]);

    let new = one(slot(Scenario::New, 5, &[]), &SubjectFeatures::default());
    assert!(new.iter().all(|product| *product >= 30) && new.contains(&COLD), "{new:?}");
    let recent = one(slot(Scenario::RecentlyViewed, 5, &[]), &looked_at(&[12, 15, 12, 18]));
    assert_eq!(recent, [18, 12, 15]);
}

#[test]
fn what_is_due_comes_back_and_what_was_bought_once_does_not() {
    let bought = |days_ago: &[i64]| {
        let entries = days_ago.iter().map(|days| HistoryEntry {
            product: ProductNumber(STAPLE),
            meaning: EventMeaning::Purchased,
            at: NOW.plus_ms(-days * DAY_MS),
        });
        SubjectFeatures { history: entries.collect(), ..SubjectFeatures::default() }
    };
    let due = ask(&[slot(Scenario::BuyAgain, 3, &[])], &bought(&[90, 60, 30]), &Table::default()).remove(0);
    assert_eq!(numbers(&due), [STAPLE]);
    assert!(matches!(due[0].reasons[0], Reason::DueAgain { interval_days, elapsed_days }
        if (interval_days - 30.0).abs() < 0.1 && (elapsed_days - 30.0).abs() < 0.1));
    assert!(one(slot(Scenario::BuyAgain, 3, &[]), &looked_at(&[STAPLE])).is_empty(), "a look is no purchase");
}

#[test]
fn a_product_without_history_is_found_by_what_it_is() {
    let alike = one(slot(Scenario::Similar, 10, &[36]), &SubjectFeatures::default());
    assert!(alike.contains(&COLD), "{alike:?}");
    let of_cold = one(slot(Scenario::Similar, 5, &[COLD]), &SubjectFeatures::default());
    assert!(!of_cold.is_empty() && of_department(&of_cold, 3) == of_cold.len(), "{of_cold:?}");
}

#[test]
fn nothing_blocked_is_shown_at_any_level() {
    let reasons = [Blocked::Hidden, Blocked::OutOfStock, Blocked::NotSoldHere, Blocked::Filtered, Blocked::Unknown];
    let blocked: BTreeMap<u32, Blocked> = (0..PRODUCTS)
        .filter(|product| product % 2 == 0)
        .map(|product| (product, reasons[product as usize / 2 % 5]))
        .collect();
    let shelf = Table { blocked, listed: vec![2, 3, 4, 5], ..Table::default() };
    let features =
        shopper(&[(11, EventMeaning::Viewed), (12, EventMeaning::Viewed), (STAPLE, EventMeaning::Purchased)]);
    for level in FallbackLevel::CHAIN {
        for scenario in Scenario::ALL {
            let slot = slot(scenario, 8, &[14, 15]);
            let shown = numbers(&ask_at(level, &[slot], &features, &shelf, "de")[0]);
            assert!(shown.iter().all(|product| product % 2 == 1), "{level:?} {scenario:?}: {shown:?}");
            assert!(!shown.contains(&15), "the products of the page are not recommended on it");
        }
    }
}

#[test]
fn pages_repeat_nothing_and_slots_share_nothing() {
    let features = looked_at(&[12, 15]);
    let mut seen: Vec<u32> = Vec::new();
    for page in 0..4 {
        let mut slot = slot(Scenario::ForYou, 5, &[]);
        slot.exclude = seen.iter().copied().map(ProductNumber).collect();
        let shown = one(slot, &features);
        assert_eq!(shown.len(), 5, "page {page}");
        assert!(shown.iter().all(|product| !seen.contains(product)), "page {page}: {shown:?} after {seen:?}");
        seen.extend(shown);
    }
    let slots: Vec<Slot> = Scenario::ALL.iter().map(|scenario| slot(*scenario, 3, &[14])).collect();
    for level in FallbackLevel::CHAIN {
        let mut all: Vec<u32> =
            ask_at(level, &slots, &features, &Table::default(), "de").iter().flat_map(|items| numbers(items)).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "{level:?}");
    }
}

#[test]
fn diversity_and_boosts_change_the_order() {
    let features = looked_at(&[12, 15]);
    let departments = |diversity| {
        let shown = one(Slot { diversity, ..slot(Scenario::ForYou, 8, &[]) }, &features);
        let mut departments: Vec<u32> = shown.into_iter().map(department).collect();
        departments.sort_unstable();
        departments.dedup();
        departments.len()
    };
    assert!(departments(0.9) > departments(0.0), "{} against {}", departments(0.9), departments(0.0));

    let plain = one(slot(Scenario::ForYou, 6, &[]), &features);
    let last = *plain.last().unwrap();
    let shelf = Table { boosts: BTreeMap::from([(last, 10.0)]), ..Table::default() };
    assert_eq!(numbers(&ask(&[slot(Scenario::ForYou, 6, &[])], &features, &shelf)[0])[0], last);
    let shelf = Table { boosts: BTreeMap::from([(plain[0], 0.01)]), ..Table::default() };
    assert_ne!(numbers(&ask(&[slot(Scenario::ForYou, 6, &[])], &features, &shelf)[0])[0], plain[0]);
}

#[test]
fn revenue_weighs_what_is_taken_up_by_its_price() {
    let features = looked_at(&[12, 15]);
    let shown = |goal, scenario| {
        let ask = Ask { goals: vec![goal], ..Ask::new(vec![slot(scenario, 8, &[])]) };
        let (level, shelf) = (FallbackLevel::LiveModel, Table::default());
        let proposal = engine().propose(level, None, &situation("de"), &ask, &features, &shelf, &|| false).unwrap();
        proposal.answer.slots[0].items.clone()
    };
    let price = |product: u32| Table::default().fact(0, ProductNumber(product)).price_minor;
    let worth = |items: &[Candidate]| numbers(items).into_iter().map(price).sum::<i64>();
    for scenario in [Scenario::ForYou, Scenario::Popular] {
        let (plain, dear) = (shown(Goal::Interest, scenario), shown(Goal::Revenue, scenario));
        assert!(worth(&dear) > worth(&plain), "{scenario:?}: {} beside {}", worth(&dear), worth(&plain));
        assert_eq!(dear[0].score, 1.0, "beside the best");
        assert!(dear.is_sorted_by(|a, b| a.score >= b.score));
    }
    let uptake = numbers(&shown(Goal::Revenue, Scenario::ForYou));
    assert!(uptake.contains(&15), "what was looked at and left may be taken up after all: {uptake:?}");
    // What likes say still counts: the department that was looked at leads.
    assert!(of_department(&uptake, department(12)) >= 4);
}

#[test]
fn popularity_is_the_markets() {
    let popular = |market| {
        numbers(
            &ask_at(
                FallbackLevel::Popularity,
                &[slot(Scenario::Popular, 8, &[])],
                &looked_at(&[]),
                &Table::default(),
                market,
            )[0],
        )
    };
    // Only shoppers of department 1 live in the second market.
    assert!(of_department(&popular("gb"), 1) >= 6, "{:?}", popular("gb"));
    assert!(of_department(&popular("de"), 1) <= 2, "{:?}", popular("de"));
    assert!(popular("elsewhere").contains(&EVERYBODYS), "a market that was never seen gets the whole shop's");
}

#[test]
fn each_level_answers_by_its_own_means() {
    let features = looked_at(&[12, 15]);
    let for_you = [slot(Scenario::ForYou, 4, &[])];
    let reasons = |level, shelf: &Table| -> Vec<Reason> {
        let items = ask_at(level, &for_you, &features, shelf, "de").remove(0);
        items.into_iter().flat_map(|item| item.reasons).collect()
    };
    let personal = reasons(FallbackLevel::LiveModel, &Table::default());
    assert!(
        personal.iter().any(|reason| matches!(reason, Reason::Viewed { product, .. } if [12, 15].contains(&product.0)))
    );
    let popular = reasons(FallbackLevel::Popularity, &Table::default());
    assert!(!popular.is_empty() && popular.iter().all(|reason| matches!(reason, Reason::Popular { .. })));
    let shelf = Table { listed: vec![33, 31], ..Table::default() };
    assert!(reasons(FallbackLevel::StaticList, &shelf).iter().all(|reason| *reason == Reason::Listed));
    let listed = numbers(&ask_at(FallbackLevel::StaticList, &for_you, &features, &shelf, "de")[0]);
    assert_eq!(listed, [33, 31, 39, 38], "the merchant's list, then the newest");
}

#[test]
fn without_a_model_the_engine_says_so_and_a_late_one_stops() {
    let empty = RecommendEngine::new(Box::new(|_| None));
    let ask = Ask::new(vec![slot(Scenario::ForYou, 3, &[])]);
    let (features, shelf) = (SubjectFeatures::default(), Table::default());
    let propose = |engine: &RecommendEngine, level, late: bool| {
        engine.propose(level, None, &situation("de"), &ask, &features, &shelf, &|| late).map(|proposal| proposal.model)
    };
    for level in &FallbackLevel::CHAIN[..3] {
        assert_eq!(propose(&empty, *level, false), Err(EngineError::NoModel), "{level:?}");
    }
    assert_eq!(propose(&empty, FallbackLevel::StaticList, false), Ok(None));
    assert_eq!(propose(&engine(), FallbackLevel::LiveModel, true), Err(EngineError::Late));
    let versions =
        [FallbackLevel::LiveModel, FallbackLevel::PreviousModel].map(|level| propose(&engine(), level, false));
    assert_eq!(versions, [Ok(Some(ModelVersion(2))), Ok(Some(ModelVersion(1)))]);
}

#[test]
fn a_saved_model_answers_alike_and_a_pinned_version_is_loaded() {
    let bytes = model().save();
    let loading = bytes.clone();
    let engine = RecommendEngine::new(Box::new(move |version| {
        (version == ModelVersion(9)).then(|| RecommendLearner.load(&loading).unwrap())
    }));
    let ask_of = Ask::new(Scenario::ALL.iter().map(|scenario| slot(*scenario, 4, &[14])).collect());
    let (features, shelf) = (looked_at(&[12, 15]), Table::default());
    let propose = |engine: &RecommendEngine, version| {
        let pinned = Some(ModelVersion(version));
        engine.propose(FallbackLevel::LiveModel, pinned, &situation("de"), &ask_of, &features, &shelf, &|| false)
    };
    let saved = propose(&engine, 9).unwrap();
    assert_eq!(saved.answer, propose(&self::engine(), 2).unwrap().answer);
    assert_eq!(propose(&engine, 8), Err(EngineError::NoModel));
    assert!(RecommendLearner.load(&bytes[..bytes.len() / 2]).is_err());
    assert!(RecommendLearner.load(&[]).is_err());
}

#[test]
fn settings_are_chosen_once_and_kept_for_the_last_fit() {
    let chosen = model();
    let plan = chosen.plan.as_ref().expect("there is enough to choose by");
    assert!(chosen.member(Role::ForYou).is_some());
    let again = RecommendLearner.refit(&chosen, &training_set(), 1).unwrap();
    assert_eq!(again.plan.as_ref().unwrap().settings(), plan.settings());
    assert_eq!(again.save(), RecommendLearner.refit(&chosen, &training_set(), 1).unwrap().save());
    let mut small = training_set();
    small.histories = Interactions::new();
    small.histories.push_row(training_set().histories.row(0).iter().copied());
    let tiny = RecommendLearner.fit(&small, 1).unwrap();
    assert!(tiny.plan.is_none() && tiny.member(Role::Popular).is_some(), "a shop of one visit has what is popular");
}

#[test]
fn what_a_merchant_pins_stands_there_on_every_level_and_what_they_hide_nowhere() {
    let pin = |product: u32, place: usize| Pin { product: ProductNumber(product), place };
    let rules = Overruled {
        rules: vec!["sale".to_owned()],
        pins: vec![pin(COLD, 0), pin(25, 2), pin(12, 1)],
        hidden: vec![ProductNumber(EVERYBODYS), ProductNumber(RISING)],
    };
    let features = looked_at(&[1, 2]);
    let shelf = Table { blocked: BTreeMap::from([(12, Blocked::OutOfStock)]), ..Table::default() };
    for level in FallbackLevel::CHAIN {
        let slots = [slot(Scenario::Popular, 5, &[]), slot(Scenario::ForYou, 4, &[])];
        let later = Overruled { pins: vec![pin(3, 0)], ..Overruled::NONE };
        let ask = Ask { overruled: vec![rules.clone(), later], ..Ask::new(slots.to_vec()) };
        let proposal = engine().propose(level, None, &situation("de"), &ask, &features, &shelf, &|| false).unwrap();
        let shown: Vec<Vec<u32>> =
            proposal.answer.slots.iter().map(|slot| slot.items.iter().map(|item| item.product.0).collect()).collect();
        assert_eq!((shown[0].len(), shown[0][0]), (5, COLD), "{level:?}: {shown:?}");
        assert!(shown[0].contains(&25) && !shown[0].contains(&12), "{level:?}: what is sold out is not pinned");
        assert!(!shown[0].contains(&EVERYBODYS) && !shown[0].contains(&RISING), "{level:?}: {shown:?}");
        assert_eq!(shown[1][0], 3, "{level:?}: no earlier slot takes what is pinned in a later one");
        assert!(!shown[0].contains(&3));
        assert_eq!(proposal.answer.slots[0].items[0].reasons[0], Reason::Pinned);
    }
}
