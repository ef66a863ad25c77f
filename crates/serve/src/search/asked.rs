//! A search that has been read and found sound, and what is checked on the way to it.

use compact_str::CompactString;
use merx_decide::{Arm, CatalogueReader, Request, RequestShelf};
use merx_domain::search::{SearchAnswer, SearchAsk};
use merx_domain::{ConsentStamp, Decision, Device, Filter, MarketId, Situation};

use crate::app::App;
use crate::problem::{Code, Mistakes, Problem};
use crate::recommend::{Who, known_or_made};

/// A longer query is no query.
const MOST_QUERY_BYTES: usize = 512;
/// Nobody looks deeper, and every hit before would have to be ranked.
pub(crate) const REACHABLE: usize = 1_000;

pub(crate) struct Asked {
    pub(crate) who: Who,
    pub(crate) market: MarketId,
    pub(crate) device: Device,
    pub(crate) consent: ConsentStamp,
    pub(crate) deadline_ms: Option<u32>,
    pub(crate) session: Option<CompactString>,
    pub(crate) campaign: Option<CompactString>,
    pub(crate) ask: SearchAsk,
}

/// A decision, and what its answer is written from.
pub(crate) struct Decided<'a> {
    pub(crate) decision: Decision<SearchAnswer>,
    pub(crate) arm: Arm,
    pub(crate) market: &'a MarketId,
    pub(crate) catalogue: &'a CatalogueReader<'a>,
}

impl Asked {
    /// Asks the pipeline; the catalogue stands still until `write` is done.
    pub(crate) fn decide<T>(mut self, app: &App, write: impl FnOnce(&Decided<'_>) -> T) -> Result<T, Problem> {
        // It may wait: nothing is held still for it.
        app.parts.searches.prepare(&mut self.ask);
        let subject = known_or_made(app, &self.who, &self.market, self.consent);
        let now = app.parts.clock.now();
        let (decision, seed) = app.ids.decision(now.0);
        let market = self.market;
        let mut shelf = RequestShelf::new(app.parts.catalogue.read(), market.clone(), now, Vec::new(), &[]);
        let situation = Situation {
            decision,
            subject,
            market: market.clone(),
            device: self.device,
            now,
            seed,
            consent: self.consent,
        };
        let request = Request {
            deadline_ms: self.deadline_ms,
            session: self.session,
            campaign: self.campaign,
            segments: self.ask.segments.iter().map(CompactString::from).collect(),
            ..Request::new(situation, self.ask)
        };
        let decision = app.parts.searches.decide(request, &mut shelf);
        app.metrics.count_decision(decision.fallback);
        app.activity.count_decision(now, decision.fallback);
        let arm = app.parts.searches.arm(subject);
        Ok(write(&Decided { decision, arm, market: &market, catalogue: shelf.catalogue() }))
    }

    /// The answer without a decision, for counts beside a search.
    pub(crate) fn look<T>(
        &self,
        app: &App,
        write: impl FnOnce(&SearchAnswer, &CatalogueReader<'_>) -> T,
    ) -> Result<T, Problem> {
        let situation = nobody(app, self.market.clone());
        let catalogue = app.parts.catalogue.read();
        let shelf = RequestShelf::new(catalogue, self.market.clone(), situation.now, Vec::new(), &[]);
        let answer = app.parts.searches.look(&situation, &self.ask, &shelf);
        let answer = answer.map_err(|error| Problem::because(Code::Unavailable, error.to_string()))?;
        Ok(write(&answer, shelf.catalogue()))
    }
}

/// The situation of somebody of whom nothing is known.
pub(crate) fn nobody(app: &App, market: MarketId) -> Situation {
    let now = app.parts.clock.now();
    let (decision, seed) = app.ids.decision(now.0);
    Situation { decision, subject: None, market, device: Device::Unknown, now, seed, consent: ConsentStamp::default() }
}

pub(crate) fn check_ready(app: &App) -> Result<(), Problem> {
    if app.parts.searches.is_ready() {
        return Ok(());
    }
    Err(Problem::because(Code::Unavailable, "the search index is being built").retry_after(1))
}

pub(crate) fn market(app: &App, asked: Option<String>, mistakes: &mut Mistakes) -> MarketId {
    match asked {
        Some(market) => mistakes.taken("market".into(), "invalid_id", MarketId::new(market)).unwrap_or_default(),
        None => app.parts.settings.default_market.clone(),
    }
}

pub(crate) fn check_query(at: &str, text: &str, mistakes: &mut Mistakes) {
    if text.len() > MOST_QUERY_BYTES {
        let detail = format!("{} bytes are more than {MOST_QUERY_BYTES}", text.len());
        mistakes.add(at.to_owned(), "too_long", detail);
    }
}

/// The same for protocols that name no places.
pub(crate) fn check_length(text: &str) -> Result<(), Problem> {
    let mut mistakes = Mistakes::default();
    check_query("query", text, &mut mistakes);
    if mistakes.0.is_empty() { Ok(()) } else { Err(Problem::mistakes(mistakes.0)) }
}

pub(crate) fn check_field(app: &App, at: String, field: &str, mistakes: &mut Mistakes) {
    if !app.parts.searches.has_field(field) {
        mistakes.add(at, "unknown_field", format!("no product has a field {:?}", shortened(field)));
    }
}

/// Every field that a filter names.
pub(crate) fn check_filter(app: &App, at: &str, filter: &Filter, mistakes: &mut Mistakes) {
    match filter {
        Filter::All(parts) | Filter::Any(parts) => {
            parts.iter().for_each(|part| check_filter(app, at, part, mistakes));
        }
        Filter::Not(part) => check_filter(app, at, part, mistakes),
        Filter::Compare { field, .. } | Filter::In { field, .. } | Filter::Exists { field } => {
            check_field(app, at.to_owned(), field, mistakes);
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}
