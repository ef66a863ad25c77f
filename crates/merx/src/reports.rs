//! What experiments were worth: the log, the catalogue's costs and the clock, handed to `measure`.

use std::sync::Arc;

use merx_decide::ExperimentDefinition;
use merx_domain::experiment::ExperimentKind;
use merx_domain::{Money, ProductId, TimestampMs, VariantId};
use merx_measure::bandit::BanditPage;
use merx_measure::fairness::FairnessPage;
use merx_measure::shop::{
    HoldoutPage, KpiPage, Page, PageError, QualityPage, Question, SegmentBy, ValuePage, holdout_page, page_of,
};
use merx_serve::{DriftPage, FairnessQuestion, Reports};
use merx_store::StoreError;

use crate::drifting;
use crate::shop::Shop;

pub(crate) struct ShopReports(pub(crate) Arc<Shop>);

impl Reports for ShopReports {
    fn experiment(&self, definition: &ExperimentDefinition, segment_by: SegmentBy) -> Result<Page, PageError> {
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
        Ok(page_of(&rows, &question)?)
    }

    fn bandit(&self, definition: &ExperimentDefinition) -> Result<Option<BanditPage>, StoreError> {
        self.0.bandits.page(&self.0, definition)
    }

    fn holdout(&self) -> Result<HoldoutPage, StoreError> {
        let shop = &self.0;
        let held_out = |subject| shop.dealer.is_held_out(Some(subject));
        holdout_page(&*shop.store.log, shop.config.market.currency, &held_out)
    }

    fn value(&self, from: Option<TimestampMs>, window_days: usize) -> Result<ValuePage, StoreError> {
        self.0.books.value(&self.0, from, window_days)
    }

    fn kpis(&self, days: i32) -> Result<KpiPage, StoreError> {
        self.0.books.kpis(&self.0, days)
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
