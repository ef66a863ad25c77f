//! What experiments were worth: the log, the catalogue's costs and the clock, handed to `measure`.

use std::sync::Arc;

use merx_decide::ExperimentDefinition;
use merx_domain::experiment::ExperimentKind;
use merx_domain::{Money, ProductId, TimestampMs, VariantId};
use merx_measure::PanelError;
use merx_measure::bandit::BanditPage;
use merx_measure::fairness::FairnessPage;
use merx_measure::shop::{
    HoldoutPage, KpiPage, Page, PageError, QualityPage, Question, Rows, SegmentBy, SegmentsPage, SequencePage,
    ValuePage, holdout_page, page_of, sequence_of,
};
use merx_serve::{DriftPage, FairnessQuestion, Reports};
use merx_store::StoreError;

use crate::drifting;
use crate::shop::Shop;

pub(crate) struct ShopReports(pub(crate) Arc<Shop>);

impl ShopReports {
    /// What was shown and done in an experiment up to now, and what somebody reads from it.
    fn read<T>(
        &self,
        definition: &ExperimentDefinition,
        segment_by: SegmentBy,
        read: impl FnOnce(&Rows, &Question<'_>) -> Result<T, PanelError>,
    ) -> Result<T, PageError> {
        let shop = &self.0;
        // The catalogue that decisions look at knows one cost a product: that of its cheapest variant. Looked up one by
        // one: whoever held the catalogue for the whole log would keep every decision waiting.
        let cost = |product: &ProductId, _: Option<&VariantId>| -> Option<Money> {
            let catalogue = shop.catalogue().read();
            catalogue.entry(catalogue.number(product)?)?.cost()
        };
        let question = Question {
            experiment: &definition.experiment,
            own_exposure: merx_decide::OWN_EXPOSURE,
            told_by_pages: definition.surface == merx_decide::Surface::Flag
                && definition.experiment.kind == ExperimentKind::Test,
            segment_by,
            currency: shop.config.market.currency,
            now: shop.clock.now(),
            cost: &cost,
        };
        let rows = shop.books.rows(shop, &question)?;
        Ok(read(&rows, &question)?)
    }
}

impl Reports for ShopReports {
    fn experiment(&self, definition: &ExperimentDefinition, segment_by: SegmentBy) -> Result<Page, PageError> {
        self.read(definition, segment_by, page_of)
    }

    fn sequence(
        &self,
        definition: &ExperimentDefinition,
        metric: &str,
        looks: usize,
    ) -> Result<SequencePage, PageError> {
        self.read(definition, SegmentBy::default(), |rows, question| sequence_of(rows, question, metric, looks))
    }

    fn bandit(&self, definition: &ExperimentDefinition) -> Result<Option<BanditPage>, StoreError> {
        self.0.bandits.page(&self.0, definition)
    }

    fn holdout(&self) -> Result<HoldoutPage, StoreError> {
        let shop = &self.0;
        let held_out = |subject| shop.dealer.is_held_out(Some(subject));
        let since = merx_decide::holdout_since(&*shop.store.records)?;
        holdout_page(&*shop.store.log, shop.config.market.currency, since, &held_out)
    }

    fn value(&self, from: Option<TimestampMs>, window_days: usize) -> Result<ValuePage, StoreError> {
        self.0.books.value(&self.0, from, window_days)
    }

    fn kpis(&self, days: i32) -> Result<KpiPage, StoreError> {
        self.0.books.kpis(&self.0, days)
    }

    fn people(&self) -> Result<SegmentsPage, StoreError> {
        self.0.books.people(&self.0)
    }

    fn data_quality(&self) -> Result<QualityPage, StoreError> {
        self.0.books.data_quality(&self.0)
    }

    fn drift(&self) -> Result<DriftPage, StoreError> {
        drifting::page(&self.0)
    }

    fn save_reference(&self) -> Result<DriftPage, StoreError> {
        drifting::save(&self.0)
    }

    fn fairness(&self, question: &FairnessQuestion) -> Result<FairnessPage, StoreError> {
        self.0.books.fairness(&self.0, question)
    }
}
