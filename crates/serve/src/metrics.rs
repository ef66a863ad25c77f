//! What `/metrics` shows, in the Prometheus text format. Everything is an atomic in a table made at start, so that a
//! request costs two additions and memory never grows.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use merx_domain::FallbackLevel;

/// Upper bounds of the latency buckets, in microseconds.
const BUCKETS_US: [u64; 12] = [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_500_000];

/// Statuses that the server gives; others are counted as 0.
const STATUSES: [u16; 20] =
    [200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 500, 503, 507, 0];

#[derive(Debug, Default)]
struct Route {
    method: String,
    path: String,
    /// Whether a shopper waits for the answer.
    of_shoppers: bool,
    statuses: [AtomicU64; STATUSES.len()],
    /// The last one is for everything slower than the last bound.
    latency: [AtomicU64; BUCKETS_US.len() + 1],
    latency_sum_us: AtomicU64,
}

impl Route {
    fn new(method: String, path: String) -> Self {
        const OF_SHOPPERS: [&str; 5] = ["/v1/recommend", "/v1/search", "/v1/suggest", "/v1/facets", "/1/indexes"];
        let of_shoppers = OF_SHOPPERS.iter().any(|start| path.starts_with(start));
        Self { method, path, of_shoppers, ..Self::default() }
    }

    fn count(&self, status: u16, latency_us: u64) {
        let status = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len() - 1);
        self.statuses[status].fetch_add(1, Relaxed);
        let bucket = BUCKETS_US.iter().position(|bound| latency_us <= *bound).unwrap_or(BUCKETS_US.len());
        self.latency[bucket].fetch_add(1, Relaxed);
        self.latency_sum_us.fetch_add(latency_us, Relaxed);
    }
}

/// Read at the moment of the scrape.
pub(crate) struct Gauges {
    pub(crate) recorder_queue: u64,
    pub(crate) unrecorded: u64,
    pub(crate) exposures_lost: u64,
    pub(crate) log_lag: u64,
    pub(crate) dead_letters: u64,
    pub(crate) in_flight: u64,
    /// Decisions that wait for their turn.
    pub(crate) waiting: u64,
    /// Decisions and bodies of events that were turned away.
    pub(crate) shed: (u64, u64),
    pub(crate) leads: u64,
    pub(crate) products: u64,
    /// By kind, how many wait and how many run, in all processes of the shop.
    pub(crate) jobs: [(&'static str, u64, u64); crate::jobs::JobKind::ALL.len()],
    /// How long the job that waits longest has waited.
    pub(crate) oldest_job_s: f64,
    pub(crate) busy_s: f64,
    pub(crate) rejected: std::collections::BTreeMap<&'static str, u64>,
}

pub(crate) struct Metrics {
    /// In the order of the route table.
    routes: Vec<Route>,
    /// Requests to addresses that don't exist.
    elsewhere: Route,
    accepted: AtomicU64,
    duplicate: AtomicU64,
    decisions: [AtomicU64; FallbackLevel::CHAIN.len() + 1],
}

impl Metrics {
    /// Of routes by method and path.
    pub(crate) fn new(routes: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            routes: routes.into_iter().map(|(method, path)| Route::new(method, path)).collect(),
            elsewhere: Route::new("any".to_owned(), "unknown".to_owned()),
            accepted: AtomicU64::new(0),
            duplicate: AtomicU64::new(0),
            decisions: Default::default(),
        }
    }

    /// `route` is its place in the table; `None` for an address that doesn't exist.
    pub(crate) fn count_request(&self, route: Option<usize>, status: u16, latency_us: u64) {
        route.and_then(|route| self.routes.get(route)).unwrap_or(&self.elsewhere).count(status, latency_us);
    }

    /// Whether a shopper waits for this route's answers.
    pub(crate) fn is_of_shoppers(&self, route: usize) -> bool {
        self.routes.get(route).is_some_and(|route| route.of_shoppers)
    }

    pub(crate) fn count_events(&self, accepted: u64, duplicate: u64) {
        self.accepted.fetch_add(accepted, Relaxed);
        self.duplicate.fetch_add(duplicate, Relaxed);
    }

    pub(crate) fn count_decision(&self, fallback: FallbackLevel) {
        self.decisions[place(fallback)].fetch_add(1, Relaxed);
    }

    pub(crate) fn render(&self, gauges: &Gauges) -> String {
        let mut out = String::with_capacity(32 * 1024);
        self.render_requests(&mut out);
        family(&mut out, "merx_events_total", "counter", "Events by what became of them.");
        sample(&mut out, "merx_events_total", "outcome=\"accepted\"", self.accepted.load(Relaxed));
        sample(&mut out, "merx_events_total", "outcome=\"duplicate\"", self.duplicate.load(Relaxed));
        family(&mut out, "merx_events_rejected_total", "counter", "Refused events by reason.");
        for (reason, count) in &gauges.rejected {
            sample(&mut out, "merx_events_rejected_total", &format!("reason=\"{reason}\""), *count);
        }
        family(
            &mut out,
            "merx_decisions_total",
            "counter",
            "Decisions by engine and how far down the chain they went.",
        );
        for level in FallbackLevel::CHAIN.into_iter().chain([FallbackLevel::Nothing]) {
            let labels = format!("engine=\"recommend\",fallback=\"{}\"", crate::recommend::fallback_name(level));
            sample(&mut out, "merx_decisions_total", &labels, self.decisions[place(level)].load(Relaxed));
        }
        family(&mut out, "merx_shed_total", "counter", "Requests that were turned away under overload.");
        sample(&mut out, "merx_shed_total", "kind=\"decision\"", gauges.shed.0);
        sample(&mut out, "merx_shed_total", "kind=\"events\"", gauges.shed.1);
        for (name, kind, help, value) in [
            ("merx_decisions_unrecorded_total", "counter", "Decisions served without a record.", gauges.unrecorded),
            ("merx_exposures_lost_total", "counter", "Shown arms that could not be logged.", gauges.exposures_lost),
            ("merx_recorder_queue", "gauge", "Decision records that wait for the disk.", gauges.recorder_queue),
            ("merx_log_lag_events", "gauge", "Events that projections have not seen yet.", gauges.log_lag),
            ("merx_dead_letters", "gauge", "Events that could not be applied and are set aside.", gauges.dead_letters),
            ("merx_http_requests_in_flight", "gauge", "Requests that are not answered yet.", gauges.in_flight),
            ("merx_decisions_waiting", "gauge", "Decisions that wait for their turn.", gauges.waiting),
            ("merx_leads", "gauge", "Whether this process leads the shop.", gauges.leads),
            ("merx_catalogue_products", "gauge", "Products in the catalogue that decisions look at.", gauges.products),
        ] {
            family(&mut out, name, kind, help);
            sample(&mut out, name, "", value);
        }
        render_jobs(&mut out, gauges);
        out
    }

    fn render_requests(&self, out: &mut String) {
        let mut routes: Vec<&Route> = self.routes.iter().chain([&self.elsewhere]).collect();
        routes.sort_by(|a, b| (&a.path, &a.method).cmp(&(&b.path, &b.method)));
        let used = |route: &&&Route| route.latency.iter().any(|count| count.load(Relaxed) > 0);
        family(out, "merx_http_requests_total", "counter", "Requests by route and status.");
        for route in routes.iter().filter(used) {
            for (status, count) in STATUSES.iter().zip(&route.statuses) {
                let count = count.load(Relaxed);
                if count > 0 {
                    let labels = format!("method=\"{}\",route=\"{}\",status=\"{status}\"", route.method, route.path);
                    sample(out, "merx_http_requests_total", &labels, count);
                }
            }
        }
        family(out, "merx_http_request_seconds", "histogram", "Time from the request's head to its answer.");
        for route in routes.iter().filter(used) {
            let labels = format!("method=\"{}\",route=\"{}\"", route.method, route.path);
            let mut below = 0;
            for (bound, count) in BUCKETS_US.iter().map(|us| (*us as f64 / 1e6).to_string()).zip(&route.latency) {
                below += count.load(Relaxed);
                sample(out, "merx_http_request_seconds_bucket", &format!("{labels},le=\"{bound}\""), below);
            }
            below += route.latency[BUCKETS_US.len()].load(Relaxed);
            sample(out, "merx_http_request_seconds_bucket", &format!("{labels},le=\"+Inf\""), below);
            let sum = route.latency_sum_us.load(Relaxed) as f64 / 1e6;
            let _ = writeln!(out, "merx_http_request_seconds_sum{{{labels}}} {sum}");
            sample(out, "merx_http_request_seconds_count", &labels, below);
        }
    }
}

/// What workers are scaled on: how much waits in the shop, and how busy this process is.
fn render_jobs(out: &mut String, gauges: &Gauges) {
    family(out, "merx_jobs_waiting", "gauge", "Jobs that wait, of the whole shop.");
    for (kind, waiting, _) in gauges.jobs {
        sample(out, "merx_jobs_waiting", &format!("kind=\"{kind}\""), waiting);
    }
    family(out, "merx_jobs_running", "gauge", "Jobs that run, of the whole shop.");
    for (kind, _, running) in gauges.jobs {
        sample(out, "merx_jobs_running", &format!("kind=\"{kind}\""), running);
    }
    family(out, "merx_jobs_oldest_waiting_seconds", "gauge", "How long the job has waited that waits longest.");
    let _ = writeln!(out, "merx_jobs_oldest_waiting_seconds {}", gauges.oldest_job_s);
    family(
        out,
        "merx_jobs_busy_seconds_total",
        "counter",
        "Time that this process has spent on jobs; its rate is its saturation.",
    );
    let _ = writeln!(out, "merx_jobs_busy_seconds_total {}", gauges.busy_s);
}

fn place(fallback: FallbackLevel) -> usize {
    FallbackLevel::CHAIN.iter().position(|level| *level == fallback).unwrap_or(FallbackLevel::CHAIN.len())
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn sample(out: &mut String, name: &str, labels: &str, value: u64) {
    let _ =
        if labels.is_empty() { writeln!(out, "{name} {value}") } else { writeln!(out, "{name}{{{labels}}} {value}") };
}
