//! Search over the shop's records: the index, kept current, and what the server asks of it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use merx_decide::{Arm, DecisionRecord, Pipeline, Request, RequestShelf};
use merx_discovery::search::engine::{RankLearner, RankerModel};
use merx_discovery::search::{EngineSettings, MeaningSettings, SearchEngine, SearchOptions};
use merx_domain::search::{SearchAnswer, SearchAsk, SuggestAsk, Suggestion};
use merx_domain::{
    Decision, Engine, EngineError, FallbackLevel, FilterValue, ModelVersion, Product, ProductNumber, Situation,
    SubjectFeatures, SubjectId,
};
use merx_ingest::{ChangeNumber, Ingest};
use merx_models::Learner;
use merx_models::registry::Registry;
use merx_serve::{CatalogueState, Searches};
use parking_lot::Mutex;

use crate::config;
use crate::projection::Projection;

/// The search ranker's name in the registry.
pub(crate) const SEARCH: &str = "search";

/// How long a change of the catalogue may go unseen.
const POLL: Duration = Duration::from_millis(150);
const BATCH: usize = 5_000;

/// An engine without products yet.
pub(crate) fn engine(settings: &config::Search, registry: &Arc<Registry>) -> Result<SearchEngine> {
    let options = SearchOptions {
        language: settings.language,
        meaning: settings.meaning.then(MeaningSettings::default),
        ..SearchOptions::default()
    };
    let registry = Arc::clone(registry);
    let load = move |version: ModelVersion| -> Option<RankerModel> {
        let model = registry.get(SEARCH, version).ok()?;
        RankLearner::default().load(&registry.load(&model).ok()?).ok()
    };
    Ok(SearchEngine::new(EngineSettings::default(), options, Box::new(load))?)
}

pub(crate) struct Searching {
    pipeline: Arc<Pipeline<SearchEngine>>,
    ingest: Arc<Ingest>,
    projection: Arc<Projection>,
    /// How far the index has come; `None` before it was built.
    seen: Mutex<Option<Seen>>,
    /// The same for readers, who can't wait for a change to be written.
    reached: Mutex<Seen>,
    ready: AtomicBool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    products: ChangeNumber,
    stock: ChangeNumber,
}

impl Searching {
    pub(crate) fn new(pipeline: Arc<Pipeline<SearchEngine>>, ingest: Arc<Ingest>, projection: Arc<Projection>) -> Self {
        Self {
            pipeline,
            ingest,
            projection,
            seen: Mutex::default(),
            reached: Mutex::default(),
            ready: AtomicBool::new(false),
        }
    }

    fn engine(&self) -> &SearchEngine {
        self.pipeline.engine()
    }

    /// Builds the index where there is none, else brings it up to the records. Searches go on meanwhile.
    pub(crate) fn catch_up(&self) -> Result<()> {
        let mut seen = self.seen.lock();
        let mut at = match *seen {
            Some(at) => at,
            None => self.build()?,
        };
        // What fails is tried again from here.
        *seen = Some(at);
        *self.reached.lock() = at;
        while self.follow(&mut at)? {
            *seen = Some(at);
            *self.reached.lock() = at;
        }
        self.ready.store(true, Ordering::Release);
        Ok(())
    }

    fn build(&self) -> Result<Seen> {
        self.projection.follow_catalogue()?;
        // Stock that changes while products are read is followed afterwards.
        let stock = self.projection.stock_seen();
        let mut products =
            Products { searching: self, seen: ChangeNumber::default(), page: Vec::new().into_iter(), failed: None };
        self.engine().load(&mut products)?;
        if let Some(error) = products.failed {
            return Err(error).context("reading products for the search index");
        }
        Ok(Seen { products: products.seen, stock })
    }

    /// Whether anything had changed.
    fn follow(&self, at: &mut Seen) -> Result<bool> {
        let products = self.ingest.catalogue.changed_since(at.products, BATCH)?;
        let levels = self.ingest.stock.changed_since(at.stock, BATCH)?;
        if products.is_empty() && levels.is_empty() {
            return Ok(false);
        }
        // From here on the projection knows at least what was just read.
        self.projection.follow_catalogue()?;
        for stored in &products {
            let stock = self.projection.stock_of(&stored.product.id);
            self.engine().put(stored.number, &stored.product, stock)?;
            at.products = stored.change;
        }
        for change in &levels {
            if let Some(number) = self.projection.number(&change.level.product) {
                self.engine().set_stock(number, self.projection.stock_of(&change.level.product));
            }
            at.stock = change.change;
        }
        self.engine().refresh()?;
        Ok(true)
    }
}

/// All products, read a page at a time.
struct Products<'a> {
    searching: &'a Searching,
    seen: ChangeNumber,
    page: std::vec::IntoIter<merx_ingest::StoredProduct>,
    failed: Option<anyhow::Error>,
}

impl Iterator for Products<'_> {
    type Item = (ProductNumber, Product, Option<i64>);

    fn next(&mut self) -> Option<Self::Item> {
        let stored = match self.page.next() {
            Some(stored) => stored,
            None => {
                let read = self.searching.ingest.catalogue.changed_since(self.seen, BATCH);
                self.page = read.map_err(|error| self.failed = Some(error.into())).ok()?.into_iter();
                self.page.next()?
            }
        };
        self.seen = stored.change;
        let stock = self.searching.projection.stock_of(&stored.product.id);
        Some((stored.number, stored.product, stock))
    }
}

impl Searches for Searching {
    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    fn decide(&self, request: Request<SearchAsk>, shelf: &mut RequestShelf<'_>) -> Decision<SearchAnswer> {
        self.pipeline.decide(request, shelf)
    }

    fn look(
        &self,
        situation: &Situation,
        ask: &SearchAsk,
        shelf: &RequestShelf<'_>,
    ) -> Result<SearchAnswer, EngineError> {
        let nobody = SubjectFeatures::default();
        let proposal =
            self.engine().propose(FallbackLevel::LiveModel, None, situation, ask, &nobody, shelf, &|| false)?;
        Ok(proposal.answer)
    }

    fn replay(&self, record: &DecisionRecord) -> Result<SearchAnswer, EngineError> {
        // A command on the folder has not built an index yet.
        if !self.is_ready() {
            self.catch_up().map_err(|error| EngineError::Refused(format!("{error:#}")))?;
        }
        self.pipeline.replay(record)
    }

    fn arm(&self, subject: Option<SubjectId>) -> Arm {
        self.pipeline.arm(subject)
    }

    fn suggest(&self, ask: &SuggestAsk, situation: &Situation) -> Vec<Suggestion> {
        self.engine().suggest(ask, situation)
    }

    fn facet_values(
        &self,
        ask: &SearchAsk,
        field: &str,
        text: &str,
        most: usize,
        situation: &Situation,
    ) -> Result<Vec<(FilterValue, u32)>, EngineError> {
        let found = self.engine().facet_values(ask, field, text, most, situation);
        found.map_err(|error| EngineError::Refused(error.to_string()))
    }

    fn highlight(&self, text: &str, terms: &[String]) -> Vec<Range<usize>> {
        self.engine().highlight(text, terms)
    }

    fn has_field(&self, field: &str) -> bool {
        self.engine().has_field(field)
    }

    fn has_seen(&self, state: CatalogueState) -> bool {
        let reached = *self.reached.lock();
        self.is_ready() && reached.products.0 >= state.products && reached.stock.0 >= state.stock
    }
}

/// The thread that builds the index and keeps it current.
pub(crate) struct Indexer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Indexer {
    pub(crate) fn start(searching: Arc<Searching>) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("search-index".into()).spawn(move || {
            while !stopping.load(Ordering::Relaxed) {
                if let Err(error) = searching.catch_up() {
                    tracing::error!(error = format!("{error:#}"), "search index: trying again");
                }
                std::thread::park_timeout(POLL);
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Indexer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}
