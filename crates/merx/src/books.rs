//! The shop's books: the ledger of its log and the count of its decisions, kept as both grow, and the pages made of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use compact_str::CompactString;
use merx_decide::{Arm, RecordError};
use merx_domain::search::SearchAnswer;
use merx_domain::{
    Answer, Currency, DAY_MS, DecisionId, FallbackLevel, ModelVersion, Money, ProductId, Purposes, SubjectId,
    TimestampMs,
};
use merx_measure::fairness::{FairnessPage, Shown, fairness};
use merx_measure::shop::{
    Allowed, AutomationQuestion, Beside, KpiPage, KpiQuestion, Ledger, QualityPage, Question, Rows, SegmentsPage,
    ValuePage, ValueQuestion, Watched, Witnesses, kpi_page, quality_page, segments_page, value_page,
};
use merx_measure::{Arm as Measured, Effect, Moments, Observation, Scale, Sequential};
use merx_serve::{FairnessQuestion, ModelSegment, SearchReports, SearchSpan, ShopperGroups};
use merx_store::{StoreError, Value};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::layouts::LAYOUT;
use crate::search_log::Reports;
use crate::searching::SEARCH;
use crate::shop::{RECOMMEND, Shop};

/// Events that a question waits for; a log that is further ahead is followed behind it.
const AT_ONCE: usize = 200_000;
/// A decision is on record so long after its moment at the latest.
const RECORDED_AFTER_MS: i64 = 2_000;
/// Of the log's end, where clicks on the newest decisions stand.
const CLICKS_LOOKED_AT: u64 = 200_000;
/// Months of a report that names no beginning.
const USUAL_DAYS: i64 = 365;

pub(crate) struct Books {
    ledger: Mutex<Ledger>,
    counts: Mutex<Counts>,
    /// Experiments that somebody asked about, the one asked about last at the end.
    watched: Mutex<Vec<Watched>>,
    /// The last count of segments, and when it was made.
    segments: Mutex<Option<(TimestampMs, SegmentsPage)>>,
}

/// A count of segments looks at everybody: it stays good so long.
const SEGMENTS_FOR_MS: i64 = 5 * merx_domain::MINUTE_MS;
/// People whom a count of segments looks at, those who came last.
const MOST_COUNTED: usize = 1_000_000;

/// Experiments whose rows are kept, and how many rows in all; beyond them a report reads the log.
const MOST_WATCHED: usize = 16;
const MOST_ROWS: usize = 30_000_000;

/// Decisions by engine and day.
#[derive(Default)]
struct Counts {
    days: BTreeMap<(String, i32), u64>,
    /// Everything before is counted.
    until: Option<TimestampMs>,
}

impl Books {
    pub(crate) fn new(currency: Currency) -> Self {
        Self {
            ledger: Mutex::new(Ledger::new(currency)),
            counts: Mutex::default(),
            watched: Mutex::default(),
            segments: Mutex::default(),
        }
    }

    /// Somebody was erased: nothing of them may stay in memory.
    pub(crate) fn forget(&self) {
        self.ledger.lock().forget();
        self.watched.lock().clear();
        *self.segments.lock() = None;
    }

    /// Reads what is new, so that questions find little to wait for. Returns how many events are left.
    pub(crate) fn catch_up(&self, shop: &Shop) -> Result<u64, StoreError> {
        self.count(shop)?;
        self.follow(shop, &mut self.ledger.lock())
    }

    fn follow(&self, shop: &Shop, ledger: &mut Ledger) -> Result<u64, StoreError> {
        let recorder = &shop.recorder;
        let engines = |ids: &[DecisionId]| -> FxHashMap<DecisionId, CompactString> {
            let found = recorder.engines(ids).unwrap_or_else(|error| {
                tracing::error!(%error, "who decided could not be read: what they led to is not counted");
                Vec::new()
            });
            found.into_iter().map(|(id, engine)| (id, engine.into())).collect()
        };
        let sells = |id: &ProductId| shop.projection.number(id).is_some();
        ledger.catch_up(&*shop.store.log, &Witnesses { engines: &engines, sells: &sells }, AT_ONCE)?;
        let end = shop.store.log.end()?.map_or(0, |end| end.0);
        Ok(end.saturating_sub(ledger.at().map_or(0, |at| at.0)))
    }

    /// Counts decisions up to a moment ago, at most a month at once.
    fn count(&self, shop: &Shop) -> Result<(), StoreError> {
        const MOST_DAYS: i64 = 31;
        let mut counts = self.counts.lock();
        let until = shop.clock.now().plus_ms(-RECORDED_AFTER_MS);
        let Some(mut from) = counts.until.or(shop.recorder.oldest().map_err(record_error)?) else { return Ok(()) };
        for _ in 0..MOST_DAYS {
            let end = TimestampMs((i64::from(from.day()) + 1) * DAY_MS).min(until);
            if end <= from {
                break;
            }
            for (engine, count) in shop.recorder.counts(from, end).map_err(record_error)? {
                *counts.days.entry((engine, from.day())).or_default() += count;
            }
            from = end;
            counts.until = Some(end);
        }
        Ok(())
    }

    fn decisions(&self, engine: &str, from: i32) -> u64 {
        let counts = self.counts.lock();
        counts.days.range((engine.to_owned(), from)..=(engine.to_owned(), i32::MAX)).map(|(_, count)| count).sum()
    }

    // ---- What automations earn ----

    pub(crate) fn value(
        &self,
        shop: &Shop,
        from: Option<TimestampMs>,
        window_days: usize,
    ) -> Result<ValuePage, StoreError> {
        self.count(shop)?;
        let mut ledger = self.ledger.lock();
        let behind = self.follow(shop, &mut ledger)?;
        let now = shop.clock.now();
        let from = from.unwrap_or(now.plus_ms(-USUAL_DAYS * DAY_MS));
        let automations = shop.automations.list();
        let sides: Vec<Option<Side<'_>>> = automations.iter().map(|automation| side(shop, automation)).collect();
        let currency = shop.config.market.currency;
        let major = |minor: i64| Money::new(minor, currency).major_f64();
        let questions: Vec<AutomationQuestion<'_>> = automations
            .iter()
            .zip(&sides)
            .map(|(automation, side)| AutomationQuestion {
                name: automation.name.clone(),
                kpi: automation.kpi.clone(),
                mode: if automation.killed { "killed".to_owned() } else { automation.mode.to_string() },
                acts: automation.acts_at(now),
                since: automation.mode_since,
                goes_without: side.as_ref().map(|side| &*side.goes_without),
                without_share: side.as_ref().map_or(0.0, |side| side.share),
                one_time_cost: major(automation.costs.one_time_minor),
                monthly_cost: major(automation.costs.monthly_minor),
                thousand_decisions_cost: major(automation.costs.per_thousand_decisions_minor),
                decisions: Some(self.decisions(&automation.name, from.max(automation.mode_since).day())),
            })
            .collect();
        let page = value_page(&ledger, &ValueQuestion { now, from, window_days }, &questions);
        Ok(ValuePage { events_behind: behind, ..page })
    }

    /// Tells each automation that has a budget what it has cost since the month began.
    pub(crate) fn tell_costs(&self, shop: &Shop) -> anyhow::Result<()> {
        let budgeted = shop.automations.list().into_iter().filter(|one| one.monthly_budget_minor.is_some());
        let budgeted: Vec<_> = budgeted.collect();
        if budgeted.is_empty() {
            return Ok(());
        }
        self.count(shop)?;
        let now = shop.clock.now();
        let month = merx_measure::shop::month_number(now);
        let this_month = |at: &TimestampMs| merx_measure::shop::month_number(*at) == month;
        let days_away = |days: i64| TimestampMs((i64::from(now.day()) + days) * DAY_MS);
        let begins_at = (0..=30).map(|days| days_away(-days)).take_while(this_month).last().unwrap_or(now);
        let ends_at = (1..=31).map(days_away).find(|at| !this_month(at)).unwrap_or(now);
        for automation in budgeted {
            let decisions = i128::from(self.decisions(&automation.name, begins_at.day()));
            let by_decision = decisions * i128::from(automation.costs.per_thousand_decisions_minor) / 1_000;
            let spent = i128::from(automation.costs.monthly_minor) + by_decision;
            let spent = i64::try_from(spent).unwrap_or(i64::MAX);
            shop.automations.tell_spent(&automation.name, spent, ends_at, now)?;
        }
        Ok(())
    }

    /// Tells each automation by how much it loses at the least, for its guardrails.
    pub(crate) fn tell_losses(&self, shop: &Shop) -> Result<(), StoreError> {
        let mut ledger = self.ledger.lock();
        if self.follow(shop, &mut ledger)? > 0 {
            return Ok(());
        }
        for automation in shop.automations.list() {
            let Some(side) = side(shop, &automation) else { continue };
            let spent = ledger.spent(merx_measure::shop::month_number(automation.mode_since));
            let mut people: FxHashMap<SubjectId, f64> = FxHashMap::default();
            spent.iter().for_each(|((_, subject), spent)| *people.entry(*subject).or_default() += spent.revenue);
            let mut people: Vec<_> = people.into_iter().collect();
            people.sort_unstable_by_key(|(subject, _)| *subject);
            let arm = |without: bool| {
                let of_side = people.iter().filter(|(subject, _)| (side.goes_without)(*subject) == Some(without));
                Measured::mean(&Moments::of(of_side.map(|(_, revenue)| Observation::value(*revenue))))
            };
            let Ok(effect) = Effect::between(&arm(true), &arm(false), Scale::Relative) else { continue };
            let high = Sequential::default().read(&effect).high;
            let loss = if high < 0.0 { -high } else { 0.0 };
            shop.automations.tell_kpi_loss(&automation.name, loss, effect.units);
        }
        Ok(())
    }

    // ---- Experiments ----

    /// What was shown and done in an experiment: what was read before stays, so that only what is new is read now.
    pub(crate) fn rows(&self, shop: &Shop, question: &Question<'_>) -> Result<Rows, StoreError> {
        let mut watched = self.watched.lock();
        let known = watched.iter().position(|known| known.answers(question)).map(|place| watched.remove(place));
        let mut known = known.unwrap_or_else(|| Watched::new(question.experiment));
        known.catch_up(&*shop.store.log, question, usize::MAX)?;
        let rows = known.rows(question);
        watched.push(known);
        while watched.len() > MOST_WATCHED || watched.iter().map(Watched::kept).sum::<usize>() > MOST_ROWS {
            watched.remove(0);
        }
        Ok(rows)
    }

    // ---- Figures ----

    pub(crate) fn kpis(&self, shop: &Shop, days: i32) -> Result<KpiPage, StoreError> {
        self.count(shop)?;
        let now = shop.clock.now();
        let beside = self.beside(shop, now, days)?;
        let mut ledger = self.ledger.lock();
        let behind = self.follow(shop, &mut ledger)?;
        let page = kpi_page(&ledger, &KpiQuestion { now, days, beside });
        Ok(KpiPage { events_behind: behind, ..page })
    }

    fn beside(&self, shop: &Shop, now: TimestampMs, days: i32) -> Result<Beside, StoreError> {
        let today = now.day();
        let month_begins = today - day_of_month(now) + 1;
        let recommendations = self.decisions(RECOMMEND, month_begins);
        let searches = |from_day: i32, until_day: i32| -> Result<(u64, u64), StoreError> {
            let span = SearchSpan { from_day, until_day, market: None };
            let total = Reports(Arc::clone(&shop.store.records)).overview(&span)?.total;
            Ok((total.searches, total.clicked))
        };
        let units =
            shop.store.records.query("SELECT COALESCE(SUM(quantity), 0) FROM stock_levels WHERE removed = 0", &[])?;
        let units = match units.first().and_then(|row| row.0.first()) {
            Some(Value::Integer(units)) if *units > 0 => Some(*units as u64),
            _ => None,
        };
        let catalogue = shop.catalogue().read();
        let market = &shop.config.market.default;
        let on_sale = catalogue.iter().filter(|(_, entry)| entry.visible && entry.sold_in(market, now));
        let (mut products, mut out) = (0, 0);
        on_sale.for_each(|(_, entry)| {
            products += 1;
            out += u64::from(entry.stock.is_some_and(|stock| stock <= 0));
        });
        Ok(Beside {
            recommendations: Some([recommendations, 0]),
            searches: Some([searches(today - days, today)?, searches(today - 2 * days, today - days)?]),
            units_in_stock: units,
            products: Some((products, out)),
        })
    }

    /// People by segment, as a moment ago. Who doesn't allow to be measured is in none.
    pub(crate) fn people(&self, shop: &Shop) -> Result<SegmentsPage, StoreError> {
        // Held while it is counted: who asks meanwhile waits for the same count.
        let mut kept = self.segments.lock();
        let now = shop.clock.now();
        if let Some((_, page)) = kept.as_ref().filter(|(at, _)| now.since(*at) < SEGMENTS_FOR_MS)
            && page.events_behind == 0
        {
            return Ok(page.clone());
        }
        let (mut people, behind) = {
            let mut ledger = self.ledger.lock();
            let behind = self.follow(shop, &mut ledger)?;
            (ledger.everybody(), behind)
        };
        let left_out = people.len().saturating_sub(MOST_COUNTED);
        if left_out > 0 {
            people.sort_unstable_by_key(|(subject, _, person)| (std::cmp::Reverse(person.last_visit_day), *subject));
            people.truncate(MOST_COUNTED);
        }
        let subjects: Vec<SubjectId> = people.iter().map(|(subject, ..)| *subject).collect();
        let said = shop.ingest.consents.of_each(&subjects)?;
        let policy = shop.policies.book().current();
        let allowed = |subject: SubjectId, market: &merx_domain::MarketId| {
            let stamp = said.get(&subject).copied().unwrap_or_default();
            let grant = policy.check(subject, market, stamp);
            Allowed {
                measured: grant.allows(Purposes::ANALYTICS),
                personalised: grant.allows(Purposes::PERSONALISATION),
            }
        };
        let currency = shop.config.market.currency.to_string();
        let page = segments_page(&people, left_out as u64, &currency, now, &allowed);
        let page = SegmentsPage { events_behind: behind, ..page };
        *kept = Some((now, page.clone()));
        Ok(page)
    }

    pub(crate) fn data_quality(&self, shop: &Shop) -> Result<QualityPage, StoreError> {
        let mut ledger = self.ledger.lock();
        let behind = self.follow(shop, &mut ledger)?;
        let page = quality_page(ledger.health(), shop.clock.now().day() - 1);
        Ok(QualityPage { events_behind: behind, ..page })
    }

    // ---- Fairness ----

    pub(crate) fn fairness(&self, shop: &Shop, question: &FairnessQuestion) -> Result<FairnessPage, StoreError> {
        let wanted =
            merx_decide::Wanted { limit: question.decisions, engine: Some(RECOMMEND.to_owned()), ..Default::default() };
        let records = shop.recorder.find(&wanted).map_err(record_error)?;
        let ids: rustc_hash::FxHashSet<DecisionId> = records.iter().map(|record| record.id).collect();
        let clicked = clicks(shop, &ids)?;
        let market = &shop.config.market.default;
        let now = shop.clock.now();
        let groups_of = |entry: &merx_decide::CatalogueEntry| -> Vec<u16> {
            let in_group =
                |group: &merx_serve::ProductGroup| group.filter.matches(&|field| entry.values(field, market));
            let places = question.products.iter().enumerate().filter(|(_, group)| in_group(group));
            places.map(|(place, _)| place as u16).collect()
        };
        let mut counts = vec![0; question.products.len()];
        let mut products = 0;
        for (_, entry) in
            shop.catalogue().read().iter().filter(|(_, entry)| entry.visible && entry.sold_in(market, now))
        {
            products += 1;
            groups_of(entry).into_iter().for_each(|group| counts[usize::from(group)] += 1);
        }
        let (mut shoppers, mut rows) = (Vec::<String>::new(), Vec::new());
        for (number, record) in records.iter().enumerate() {
            let Ok(answer) = record.answer::<Answer>() else { continue };
            let name = match question.shoppers {
                ShopperGroups::Device => format!("{:?}", record.situation.device).to_lowercase(),
                ShopperGroups::Market => record.situation.market.to_string(),
            };
            let shopper = shoppers.iter().position(|known| *known == name).unwrap_or_else(|| {
                shoppers.push(name);
                shoppers.len() - 1
            });
            // Looked up a decision at a time: whoever held the catalogue for all of them would keep every decision waiting.
            let catalogue = shop.catalogue().read();
            for slot in &answer.slots {
                for (place, item) in slot.items.iter().enumerate() {
                    let Some(entry) = catalogue.entry(item.product) else { continue };
                    rows.push(Shown {
                        decision: number as u64,
                        product: item.product.0,
                        position: place as u32 + 1,
                        groups: groups_of(entry),
                        clicked: clicked.contains(&(record.id, entry.id.clone())),
                        price: entry.price(&record.situation.market).map(Money::major_f64),
                        shopper: shopper as u16,
                        fell_back: record.fallback > FallbackLevel::PreviousModel,
                    });
                }
            }
        }
        let groups: Vec<(String, u64)> = question.products.iter().map(|group| group.name.clone()).zip(counts).collect();
        Ok(fairness(&rows, &groups, &shoppers, products))
    }
}

impl Books {
    /// What a version's newest decisions were, by device, market, and whether anything was known of the shopper.
    pub(crate) fn segments(
        &self,
        shop: &Shop,
        engine: &str,
        version: ModelVersion,
    ) -> Result<Vec<ModelSegment>, StoreError> {
        const LOOKED_AT: usize = 10_000;
        let wanted = merx_decide::Wanted { limit: LOOKED_AT, engine: Some(engine.to_owned()), ..Default::default() };
        let mut records = shop.recorder.find(&wanted).map_err(record_error)?;
        records.retain(|record| record.model == Some(version));
        let ids: rustc_hash::FxHashSet<DecisionId> = records.iter().map(|record| record.id).collect();
        let clicked: rustc_hash::FxHashSet<DecisionId> = clicks(shop, &ids)?.into_iter().map(|(id, _)| id).collect();
        let mut segments: BTreeMap<String, (u64, Vec<u32>)> = BTreeMap::new();
        for record in &records {
            let known = if record.features.history.is_empty() { "new shoppers" } else { "known shoppers" };
            let names = [
                "all".to_owned(),
                format!("device {}", format!("{:?}", record.situation.device).to_lowercase()),
                format!("market {}", record.situation.market),
                known.to_owned(),
            ];
            for name in names {
                let segment = segments.entry(name).or_default();
                segment.0 += u64::from(clicked.contains(&record.id));
                segment.1.push(record.latency_us);
            }
        }
        let page = |(segment, (clicks, mut latencies)): (String, (u64, Vec<u32>))| {
            latencies.sort_unstable();
            let place = (latencies.len() * 95 / 100).min(latencies.len() - 1);
            ModelSegment {
                segment,
                decisions: latencies.len() as u64,
                click_rate: clicks as f64 / latencies.len() as f64,
                latency_ms: f64::from(latencies[place]) / 1e3,
            }
        };
        Ok(segments.into_iter().map(page).collect())
    }
}

/// Products that were opened with one of these decisions' ids, as far as the end of the log tells.
pub(crate) fn clicks(
    shop: &Shop,
    ids: &rustc_hash::FxHashSet<DecisionId>,
) -> Result<rustc_hash::FxHashSet<(DecisionId, ProductId)>, StoreError> {
    const BATCH: usize = 5_000;
    let end = shop.store.log.end()?.map_or(0, |end| end.0);
    let mut after = end.checked_sub(CLICKS_LOOKED_AT).map(merx_store::LogOffset);
    let mut clicked = rustc_hash::FxHashSet::default();
    loop {
        let events = shop.store.log.read(after, BATCH)?;
        let Some((last, _)) = events.last() else { return Ok(clicked) };
        after = Some(*last);
        for (_, event) in &events {
            let Some(id) = event.decision.filter(|id| ids.contains(id)) else { continue };
            if event.kind.meaning() == merx_domain::EventMeaning::Viewed {
                clicked.extend(event.lines.iter().map(|line| (id, line.product.clone())));
            }
        }
    }
}

/// Who goes without an automation, and how many of all people that is.
struct Side<'a> {
    goes_without: Box<dyn Fn(SubjectId) -> Option<bool> + 'a>,
    share: f64,
}

/// Those outside the canary, or those in the engine's own holdout; who nothing automatic touches counts on no side.
fn side<'a>(shop: &'a Shop, automation: &merx_decide::Automation) -> Option<Side<'a>> {
    let outside_of_all = move |subject: SubjectId| shop.dealer.is_held_out(Some(subject));
    if let merx_decide::Mode::Canary { share } = automation.mode {
        let automation = automation.clone();
        let share = 1.0 - f64::from(share) / f64::from(merx_domain::experiment::BUCKETS);
        let goes_without = move |subject| match outside_of_all(subject) {
            true => None,
            false => automation.is_in_canary(subject).map(|inside| !inside),
        };
        return Some(Side { goes_without: Box::new(goes_without), share });
    }
    let (share, salt) = match automation.name.as_str() {
        RECOMMEND | LAYOUT => (shop.config.recommend.holdout, &shop.config.recommend.holdout_salt),
        SEARCH => (shop.config.search.holdout, &shop.config.search.holdout_salt),
        _ => return None,
    };
    let goes_without = move |subject| match outside_of_all(subject) {
        true => None,
        false => Some(Arm::holds(salt, share, Some(subject))),
    };
    (share > 0.0).then(|| Side { goes_without: Box::new(goes_without), share })
}

fn day_of_month(now: TimestampMs) -> i32 {
    now.to_string().get(8..10).and_then(|day| day.parse().ok()).unwrap_or(1)
}

pub(crate) fn record_error(error: RecordError) -> StoreError {
    match error {
        RecordError::Store(error) => error,
        other => StoreError::Damaged { what: "decisions", detail: other.to_string() },
    }
}

/// How many hits a recorded search had.
pub(crate) fn hits(record: &merx_decide::DecisionRecord) -> Option<f64> {
    record.answer::<SearchAnswer>().ok().map(|answer| answer.total as f64)
}
