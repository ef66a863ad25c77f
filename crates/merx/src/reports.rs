//! What experiments were worth: the log, the catalogue's costs and the clock, handed to `measure`.

use std::sync::Arc;

use merx_decide::ExperimentDefinition;
use merx_domain::experiment::ExperimentKind;
use merx_domain::{Money, ProductId, VariantId};
use merx_measure::shop::{HoldoutPage, Page, PageError, Question, SegmentBy, holdout_page, page};
use merx_serve::Reports;
use merx_store::StoreError;

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
        page(&*shop.store.log, &question)
    }

    fn holdout(&self) -> Result<HoldoutPage, StoreError> {
        let shop = &self.0;
        let held_out = |subject| shop.dealer.is_held_out(Some(subject));
        holdout_page(&*shop.store.log, shop.config.market.currency, &held_out)
    }
}
