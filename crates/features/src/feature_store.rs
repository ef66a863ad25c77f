//! Here is an event, or a shopper: what do we write down, what do we know now?

use std::sync::Arc;

use compact_str::CompactString;
use merx_domain::experiment::ExperimentId;
use merx_domain::{
    Affinity, Event, EventMeaning, Grant, ProductNumber, Purposes, SubjectFeatures, SubjectId, TimestampMs,
};
use merx_store::{OnlineKey, OnlineStore, Result, StoreError};

use crate::affinities::AffinityTo;
use crate::arms::{ShownArm, ShownArms};
use crate::covisitation::{Covisitation, meeting_weight};
use crate::feature::Feature;
use crate::history::Preceding;
use crate::product::ProductState;
use crate::product_statistics::{ProductAct, ProductStatistics, ProductStatisticsValue};
use crate::searches::{Search, Searches};
use crate::signal::{Moment, Products, declines};
use crate::subject::SubjectState;

/// Space of the online store that holds what is known of subjects.
pub const SUBJECT_SPACE: u8 = 1;
/// Space of the online store that holds what is known of products.
pub const PRODUCT_SPACE: u8 = 2;

/// Space of the online store that holds the arms that subjects were shown.
pub const ARM_SPACE: u8 = 3;

/// Space of the online store that holds what subjects searched for.
pub const SEARCH_SPACE: u8 = 4;

/// Runs every feature on every event, and answers what is known.
///
/// Events of one subject must be applied in the order of the log; different subjects may go in parallel, though the
/// bits of product features then depend on who came first.
pub struct FeatureStore {
    store: Arc<dyn OnlineStore>,
}

impl FeatureStore {
    pub fn new(store: Arc<dyn OnlineStore>) -> Self {
        Self { store }
    }

    /// Writes down what an event says about its subject and its products.
    ///
    /// A subject who declines personalisation is not written about, and what was known of them is dropped here. Their
    /// acts still count for the products, without a trace of who it was.
    pub fn apply(&self, event: &Event, products: &dyn Products) -> Result<()> {
        self.apply_to_arms(event)?;
        let mut moment = Moment::resolve(event, products);
        let preceding = if declines(event.consent) {
            for subject in [Some(event.subject), event.merged_from].into_iter().flatten() {
                self.store.remove(subject_key(subject))?;
                self.store.remove(search_key(subject))?;
            }
            Vec::new()
        } else {
            if let Some(from) = event.merged_from.filter(|from| *from != event.subject) {
                self.merge(from, event.subject)?;
            }
            if let Some(search) = Search::of(event) {
                self.change_searches(event.subject, vec![search])?;
            }
            self.apply_to_subject(event.subject, &mut moment)?
        };
        self.apply_to_products(&moment, &preceding)
    }

    /// What experiments showed a person is no feature of theirs and outlives a refusal to be personalised to; a refusal to be
    /// measured ends it.
    fn apply_to_arms(&self, event: &Event) -> Result<()> {
        if event.consent.denied.contains(Purposes::ANALYTICS) {
            return self.store.remove(arm_key(event.subject));
        }
        if let Some(from) = event.merged_from.filter(|from| *from != event.subject) {
            let others = self.read_arms(from)?;
            if !others.0.is_empty() {
                self.change_arms(event.subject, others.0)?;
                self.store.remove(arm_key(from))?;
            }
        }
        match ShownArm::of(event) {
            Some(shown) => self.change_arms(event.subject, vec![shown]),
            None => Ok(()),
        }
    }

    fn change_arms(&self, subject: SubjectId, shown: Vec<ShownArm>) -> Result<()> {
        self.change(arm_key(subject), "shown arms", |bytes| {
            let mut arms = ShownArms::from_bytes(bytes)?;
            shown.iter().cloned().for_each(|one| arms.add(one));
            arms.to_bytes(bytes);
            Some(())
        })
    }

    /// The arms that a person was shown, on whichever device; none without a grant for analytics.
    pub fn arms(&self, grant: &Grant) -> Result<Vec<(ExperimentId, CompactString)>> {
        if !grant.allows(Purposes::ANALYTICS) {
            return Ok(Vec::new());
        }
        let arms = self.read_arms(grant.subject())?;
        Ok(arms.0.into_iter().map(|shown| (shown.experiment, shown.arm)).collect())
    }

    fn read_arms(&self, subject: SubjectId) -> Result<ShownArms> {
        let mut arms = None;
        self.store.read(arm_key(subject), &mut |bytes| arms = ShownArms::from_bytes(bytes.unwrap_or_default()))?;
        arms.ok_or_else(|| damage("shown arms"))
    }

    fn change_searches(&self, subject: SubjectId, made: Vec<Search>) -> Result<()> {
        self.change(search_key(subject), "searches", |bytes| {
            let mut searches = Searches::from_bytes(bytes)?;
            made.iter().cloned().for_each(|one| searches.add(one));
            searches.to_bytes(bytes);
            Some(())
        })
    }

    /// What a person searched for, newest first; nothing without a grant for personalisation.
    pub fn searches(&self, grant: &Grant) -> Result<Vec<CompactString>> {
        if !grant.allows(Purposes::PERSONALISATION) {
            return Ok(Vec::new());
        }
        let searches = self.read_searches(grant.subject())?;
        Ok(searches.0.into_iter().rev().map(|search| search.text).collect())
    }

    fn read_searches(&self, subject: SubjectId) -> Result<Searches> {
        let mut searches = None;
        self.store
            .read(search_key(subject), &mut |bytes| searches = Searches::from_bytes(bytes.unwrap_or_default()))?;
        searches.ok_or_else(|| damage("searches"))
    }

    fn apply_to_subject(&self, subject: SubjectId, moment: &mut Moment<'_>) -> Result<Vec<Preceding>> {
        let mut preceding = Vec::new();
        self.change(subject_key(subject), "subject features", |bytes| {
            if moment.touches.is_empty() && !bytes.is_empty() {
                return SubjectState::prolong(bytes, moment);
            }
            let mut state = SubjectState::from_bytes(bytes)?;
            preceding = state.apply(moment);
            state.to_bytes(bytes);
            Some(())
        })?;
        Ok(preceding)
    }

    /// `preceding` is in the order of the touches; empty where the subject is not known.
    fn apply_to_products(&self, moment: &Moment<'_>, preceding: &[Preceding]) -> Result<()> {
        for (place, touch) in moment.touches.iter().enumerate().filter(|(_, touch)| !touch.repeat) {
            let others = match touch.meaning {
                EventMeaning::Viewed => preceding.get(place).map_or(&[][..], Preceding::products),
                _ => &[],
            };
            let number = touch.facts.number;
            let meetings: Vec<_> =
                others.iter().enumerate().map(|(back, other)| (*other, meeting_weight(back))).collect();
            let act = ProductAct { at: moment.at, meaning: touch.meaning, quantity: touch.quantity };
            self.change_product(number, Some(&act), moment.at, &meetings)?;
            for (other, weight) in meetings {
                self.change_product(other, None, moment.at, &[(number, weight)])?;
            }
        }
        Ok(())
    }

    fn change_product(
        &self,
        number: ProductNumber,
        act: Option<&ProductAct>,
        at: TimestampMs,
        others: &[(ProductNumber, f32)],
    ) -> Result<()> {
        self.change(product_key(number), "product features", |bytes| {
            let mut state = ProductState::from_bytes(bytes)?;
            state.apply(act, at, others);
            state.to_bytes(bytes);
            Some(())
        })
    }

    /// What was known of `from` becomes known of `subject`.
    fn merge(&self, from: SubjectId, subject: SubjectId) -> Result<()> {
        let searches = self.read_searches(from)?;
        if !searches.0.is_empty() {
            self.change_searches(subject, searches.0)?;
            self.store.remove(search_key(from))?;
        }
        let Some(other) = self.read_subject(from)? else { return Ok(()) };
        self.change(subject_key(subject), "subject features", |bytes| {
            let mut state = SubjectState::from_bytes(bytes)?;
            state.merge(&other);
            state.to_bytes(bytes);
            Some(())
        })?;
        self.store.remove(subject_key(from))
    }

    /// Drops everything known of a subject.
    pub fn forget(&self, subject: SubjectId) -> Result<()> {
        self.store.remove(arm_key(subject))?;
        self.store.remove(search_key(subject))?;
        self.store.remove(subject_key(subject))
    }

    /// Whether anything is written down about a subject.
    pub fn knows(&self, subject: SubjectId) -> Result<bool> {
        let mut knows = false;
        self.store.read(subject_key(subject), &mut |bytes| knows = bytes.is_some())?;
        Ok(knows)
    }

    /// What an engine may know of a person now. Empty without a grant for personalisation.
    pub fn subject(&self, grant: &Grant, now: TimestampMs, products: &dyn Products) -> Result<SubjectFeatures> {
        if !grant.allows(Purposes::PERSONALISATION) {
            return Ok(SubjectFeatures::default());
        }
        let Some(state) = self.read_subject(grant.subject())? else { return Ok(SubjectFeatures::default()) };
        let value = state.value(now);
        let affinity = |(sort, key, weight): (AffinityTo, u32, f32)| {
            let name = match sort {
                AffinityTo::Category => products.category_name(key)?.to_owned(),
                AffinityTo::Brand => products.brand_name(key)?.to_owned(),
                AffinityTo::PriceLevel => key.to_string(),
            };
            Some(Affinity { feature: sort.name().to_owned(), key: name, weight })
        };
        Ok(SubjectFeatures {
            history: value.history,
            session_started_at: value.sessions.started_at,
            affinities: value.affinities.into_iter().filter_map(affinity).collect(),
            sessions: value.sessions.count as f32,
            views: value.counters.views,
            carts: value.counters.carts,
            purchases: value.counters.purchases,
        })
    }

    pub fn product(&self, number: ProductNumber, now: TimestampMs) -> Result<ProductStatisticsValue> {
        Ok(ProductStatistics::value(&self.read_product(number)?.statistics, now))
    }

    /// What is looked at in the same sessions as a product, strongest first.
    pub fn neighbours(&self, number: ProductNumber, now: TimestampMs) -> Result<Vec<(ProductNumber, f32)>> {
        Ok(Covisitation::value(&self.read_product(number)?.covisitation, now))
    }

    /// Statistics of every product that was ever touched, in no order.
    pub fn products(
        &self,
        now: TimestampMs,
        visit: &mut dyn FnMut(ProductNumber, ProductStatisticsValue),
    ) -> Result<()> {
        let mut damaged = false;
        self.store.scan(
            PRODUCT_SPACE,
            &mut |id, bytes| match (u32::try_from(id), ProductState::from_bytes(bytes)) {
                (Ok(number), Some(state)) => {
                    visit(ProductNumber(number), ProductStatistics::value(&state.statistics, now));
                }
                _ => damaged = true,
            },
        )?;
        if damaged { Err(damage("product features")) } else { Ok(()) }
    }

    fn read_subject(&self, subject: SubjectId) -> Result<Option<SubjectState>> {
        let mut state = Ok(None);
        self.store.read(subject_key(subject), &mut |bytes| {
            state = match bytes {
                None => Ok(None),
                Some(bytes) => SubjectState::from_bytes(bytes).map(Some).ok_or_else(|| damage("subject features")),
            };
        })?;
        state
    }

    fn read_product(&self, number: ProductNumber) -> Result<ProductState> {
        let mut state = None;
        self.store.read(product_key(number), &mut |bytes| {
            state = ProductState::from_bytes(bytes.unwrap_or_default());
        })?;
        state.ok_or_else(|| damage("product features"))
    }

    /// Changes a value in place; bytes that can't be read are left as they are and reported.
    fn change(
        &self,
        key: OnlineKey,
        what: &'static str,
        mut change: impl FnMut(&mut Vec<u8>) -> Option<()>,
    ) -> Result<()> {
        let mut done = None;
        self.store.update(key, &mut |bytes| done = change(bytes))?;
        done.ok_or_else(|| damage(what))
    }
}

fn subject_key(subject: SubjectId) -> OnlineKey {
    OnlineKey { space: SUBJECT_SPACE, id: subject.0 }
}

fn arm_key(subject: SubjectId) -> OnlineKey {
    OnlineKey { space: ARM_SPACE, id: subject.0 }
}

fn search_key(subject: SubjectId) -> OnlineKey {
    OnlineKey { space: SEARCH_SPACE, id: subject.0 }
}

fn product_key(number: ProductNumber) -> OnlineKey {
    OnlineKey { space: PRODUCT_SPACE, id: u128::from(number.0) }
}

fn damage(what: &'static str) -> StoreError {
    StoreError::Damaged { what, detail: "its bytes are not those of a known format".to_owned() }
}

/// Brings an empty store to what a live one knew at `as_of`: applies the events of the log, in its order, that had been
/// received by then. Ask the same `FeatureStore` for values at `as_of`.
pub fn replay(
    features: &FeatureStore,
    events: impl IntoIterator<Item = Event>,
    as_of: TimestampMs,
    products: &dyn Products,
) -> Result<()> {
    for event in events {
        if event.received_at <= as_of {
            features.apply(&event, products)?;
        }
    }
    Ok(())
}
