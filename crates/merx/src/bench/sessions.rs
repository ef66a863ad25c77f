//! Whole visits of a simulated day, each request sent when it is due and not when the server has time (open loop): a request that finds no
//! connection free waits, and its waiting counts (Schroeder, Wierman, Harchol-Balter, "Open versus closed", NSDI 2006).

use std::collections::{BTreeMap, HashMap};
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use merx_domain::{DAY_MS, Event, EventKind, HOUR_MS, MINUTE_MS, SubjectId};
use merx_numeric::rng::Rng;
use merx_simulate::{Shop as Simulated, ShopConfig};
use merx_train::protocols::Figure;
use serde_json::{Value, json};

use super::Passed;
use super::load::{answer, now};
use super::server::{Process, SEED, Server, Shop, figure, processor_s};

/// A pause of this many milliseconds ends a visit.
const VISIT_ENDS_MS: i64 = 30 * MINUTE_MS;
/// People think for so much less time than they do: a visit of five minutes takes fifteen seconds.
const HURRY: i64 = 20;
const LONGEST_THOUGHT_MS: i64 = 3_000;
/// Looks at memory and open files in the course of a measurement.
const LOOKS: u32 = 10;
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(crate) struct LoadArguments {
    /// Products of the simulated shop.
    #[arg(long, default_value_t = 5_000)]
    products: u32,
    #[arg(long, default_value_t = 10_000)]
    shoppers: u32,
    #[arg(long, default_value_t = 30)]
    days: u32,
    /// Visits that begin in a second; one measurement each.
    #[arg(long, value_delimiter = ',', default_values_t = [20.0])]
    sessions_per_s: Vec<f64>,
    /// How long each measurement takes.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Visits begin as on the busiest day of the shop, 24 hours of it in a measurement; else evenly.
    #[arg(long)]
    day: bool,
    /// Processes that serve the shop, one measurement each. More than one need services (--config or --set storage.records=URL ..).
    #[arg(long, value_delimiter = ',', default_values_t = [1])]
    replicas: Vec<usize>,
    /// Connections to each process.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    connections: u64,
    /// Each connection sends its next request when it has its answer, whatever is due (closed loop): with --connections 1 one at a time.
    #[arg(long)]
    closed: bool,
    /// A part of the requests alone, to tell what each costs.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Programs on this machine whose processor time is told too: postgres,redis-server ..
    #[arg(long, value_delimiter = ',')]
    beside: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Decisions,
    Layout,
    Recommend,
    Search,
    Suggest,
    // Orders too.
    Events,
}

impl Part {
    fn has(self, kind: Kind) -> bool {
        match self {
            Self::Decisions => kind.is_decision(),
            Self::Layout => kind == Kind::Layout,
            Self::Recommend => kind == Kind::Recommend,
            Self::Search => kind == Kind::Search,
            Self::Suggest => kind == Kind::Suggest,
            Self::Events => !kind.is_decision(),
        }
    }
}

/// What a request asks for; figures are told by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Layout,
    Recommend,
    Search,
    Suggest,
    Events,
    Order,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Layout => "layout",
            Self::Recommend => "recommend",
            Self::Search => "search",
            Self::Suggest => "suggest",
            Self::Events => "events",
            Self::Order => "order",
        }
    }

    pub(crate) fn is_decision(self) -> bool {
        !matches!(self, Self::Events | Self::Order)
    }

    fn path(self) -> &'static str {
        match self {
            Self::Layout => "/v1/layout",
            Self::Recommend => "/v1/recommend",
            Self::Search => "/v1/search",
            Self::Suggest => "/v1/suggest",
            Self::Events | Self::Order => "/v1/batch",
        }
    }
}

/// A request and when it is due.
pub(crate) struct Due {
    pub(crate) at: Duration,
    pub(crate) kind: Kind,
    body: String,
}

/// Measures each number of processes under each rate.
pub(crate) fn load(arguments: &LoadArguments, passed: &Passed, print: &mut dyn FnMut(&Figure)) -> Result<()> {
    let shop = Shop { products: arguments.products, shoppers: arguments.shoppers, days: arguments.days };
    let mut most = 0;
    for &replicas in &arguments.replicas {
        if replicas == 0 || replicas < most {
            bail!("--replicas: numbers from 1 that grow; processes are only added");
        }
        most = replicas;
    }
    if arguments.sessions_per_s.iter().any(|rate| !(0.01..=100_000.0).contains(rate)) {
        bail!("--sessions-per-s: rates from 0.01 to 100000");
    }
    let visits = busiest_day(&shop)?;
    let server = Server::start_with(&shop, passed, &[])?;
    let mut joined: Vec<Process> = Vec::new();
    let mut run = 0;
    for &replicas in &arguments.replicas {
        while joined.len() + 1 < replicas {
            joined.push(server.join(passed)?);
        }
        for &rate in &arguments.sessions_per_s {
            run += 1;
            let seconds = Duration::from_secs(arguments.seconds);
            let mut plan = plan(&visits, rate, seconds, arguments.day, run);
            plan.retain(|due| arguments.only.is_none_or(|only| only.has(due.kind)));
            let processes: Vec<&Process> = std::iter::once(&server.process).chain(&joined).collect();
            let settings = json!({"products": shop.products, "shoppers": shop.shoppers, "replicas": replicas,
                "sessions_per_s": rate, "seconds": arguments.seconds, "day": arguments.day,
                "connections": arguments.connections, "closed": arguments.closed, "only": arguments.only.map(|only| format!("{only:?}").to_lowercase())});
            let drive = Drive { plan: &plan, processes: &processes, key: &server.secret_key, arguments };
            drive.run(seconds, &settings, print)?;
        }
    }
    Ok(())
}

/// What one visitor does on the busiest day: when they come, in milliseconds of the day, and what they do how long after the step before.
pub(crate) struct Visit {
    begins_ms: i64,
    steps: Vec<(i64, Event)>,
}

pub(crate) fn busiest_day(shop: &Shop) -> Result<Vec<Visit>> {
    let config = ShopConfig {
        products: shop.products,
        shoppers: shop.shoppers,
        days: shop.days,
        seed: SEED,
        ..ShopConfig::default()
    };
    let simulated = Simulated::new(config);
    let day_of = |event: &Event| event.occurred_at.0.div_euclid(DAY_MS);
    let mut days: BTreeMap<i64, u64> = BTreeMap::new();
    for event in simulated.events() {
        *days.entry(day_of(&event)).or_default() += 1;
    }
    let busiest = days.iter().max_by_key(|(_, count)| **count).map(|(day, _)| *day).context("nobody comes")?;
    let mut of_subject: HashMap<SubjectId, Vec<Event>> = HashMap::new();
    for event in simulated.events().filter(|event| day_of(event) == busiest) {
        of_subject.entry(event.subject).or_default().push(event);
    }
    let mut visits = Vec::new();
    for (_, mut events) in of_subject {
        events.sort_by_key(|event| event.occurred_at);
        let mut last: Option<i64> = None;
        for event in events {
            let at = event.occurred_at.0;
            match visits.last_mut() {
                Some(Visit { steps, .. }) if last.is_some_and(|last| at - last < VISIT_ENDS_MS) => {
                    steps.push((at - last.unwrap_or(at), event));
                }
                _ => visits.push(Visit { begins_ms: at.rem_euclid(DAY_MS), steps: vec![(0, event)] }),
            }
            last = Some(at);
        }
    }
    visits.sort_by_key(|visit| (visit.begins_ms, visit.steps[0].1.id));
    Ok(visits)
}

/// Requests in the order in which they are due. What is left of a visit at the end is put at the beginning, so that the load is the same
/// throughout.
pub(crate) fn plan(visits: &[Visit], per_s: f64, length: Duration, day: bool, run: u64) -> Vec<Due> {
    let count = (per_s * length.as_secs_f64()).round().max(1.0) as usize;
    let mut rng = Rng::from_seed(SEED).split(run);
    let mut plan = Vec::new();
    for number in 0..count {
        let visit = &visits[rng.below(visits.len())];
        let begins = if day {
            // Within its hour: a small shop's visits stand for many, which do not come at the same moment.
            let at_ms = visit.begins_ms as f64 + rng.uniform() * HOUR_MS as f64;
            at_ms / DAY_MS as f64 % 1.0
        } else {
            (number as f64 + rng.uniform()) / count as f64
        };
        let mut at = length.mul_f64(begins.clamp(0.0, 0.999_999));
        for (step, (thought_ms, event)) in visit.steps.iter().enumerate() {
            at += Duration::from_millis((thought_ms / HURRY).clamp(0, LONGEST_THOUGHT_MS) as u64);
            let within = Duration::from_nanos((at.as_nanos() % length.as_nanos()) as u64);
            let mut due = |kind, body: Value| plan.push(Due { at: within, kind, body: body.to_string() });
            requests(event, step, &format!("{run}-{number}-{step}"), &mut due);
        }
    }
    plan.sort_by_key(|due| due.at);
    plan
}

/// What the pages of a shop send where this happens.
fn requests(event: &Event, step: usize, message: &str, due: &mut dyn FnMut(Kind, Value)) {
    let subject = event.subject.to_string();
    if step == 0 {
        let blocks = ["for_you", "departments", "trending", "new"].map(|id| json!({ "id": id }));
        due(Kind::Layout, json!({"subject_id": subject, "page": "home", "blocks": blocks}));
        due(Kind::Recommend, json!({"subject_id": subject, "slots": [{"scenario": "for_you", "count": 10}]}));
    }
    if let Some(query) = &event.query {
        for typed in [3, 6] {
            let begun: String = query.chars().take(typed).collect();
            due(Kind::Suggest, json!({"text": begun, "subject_id": subject}));
        }
        due(Kind::Search, json!({"query": query, "count": 20, "facets": ["brand"], "subject_id": subject}));
    }
    let product = event.lines.first().map(|line| line.product.to_string());
    if let (EventKind::ProductViewed, Some(product)) = (event.kind, &product) {
        let slots = json!([{"scenario": "similar", "count": 8, "products": [product]},
            {"scenario": "bought_together", "count": 3, "products": [product]}]);
        due(Kind::Recommend, json!({"subject_id": subject, "slots": slots}));
    }
    let is_order = event.kind == EventKind::OrderCompleted;
    let mut properties = json!({});
    if let Some(query) = &event.query {
        properties["query"] = json!(query);
    }
    if is_order {
        let line = |line: &merx_domain::EventLine| json!({"product_id": line.product, "quantity": line.quantity, "price": 19.9});
        properties["order_id"] = json!(format!("load-{message}"));
        properties["products"] = event.lines.iter().map(line).collect();
        properties["currency"] = json!("EUR");
    } else if let Some(product) = product {
        properties["product_id"] = json!(product);
    }
    let told = json!({"type": "track", "event": event.kind.name(), "anonymousId": format!("load-{subject}"),
        "messageId": format!("load-{message}"), "properties": properties});
    due(if is_order { Kind::Order } else { Kind::Events }, json!({"batch": [told]}));
}

/// What became of the requests of a kind.
#[derive(Debug, Default)]
struct Outcome {
    /// From when it was due until its answer.
    latencies_us: Vec<u64>,
    /// Turned away in words: 429 or 503.
    refused: u64,
    /// Anything else that is no answer.
    failed: u64,
    /// What the first of these said.
    failure: Option<String>,
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.latencies_us.extend(other.latencies_us);
        self.refused += other.refused;
        self.failed += other.failed;
        self.failure = self.failure.take().or(other.failure);
    }

    fn fail(&mut self, words: impl FnOnce() -> String) {
        self.failed += 1;
        self.failure.get_or_insert_with(words);
    }

    fn quantile_ms(&self, share: f64) -> f64 {
        let place = (self.latencies_us.len() as f64 * share) as usize;
        self.latencies_us.get(place).or(self.latencies_us.last()).map_or(0.0, |us| *us as f64 / 1e3)
    }
}

type Outcomes = BTreeMap<Kind, Outcome>;

/// One measurement.
struct Drive<'a> {
    plan: &'a [Due],
    processes: &'a [&'a Process],
    key: &'a str,
    arguments: &'a LoadArguments,
}

impl Drive<'_> {
    fn run(&self, length: Duration, settings: &Value, print: &mut dyn FnMut(&Figure)) -> Result<()> {
        let next: Vec<AtomicUsize> = self.processes.iter().map(|_| AtomicUsize::new(0)).collect();
        let before = self.spent_s()?;
        let own_before = processor_s("self")?;
        let network_before = network_bytes()?;
        let is_over = AtomicBool::new(false);
        let begun = now();
        let (outcomes, looks) = std::thread::scope(|scope| {
            let watching = scope.spawn(|| self.watch(begun, length, &is_over));
            let workers: Vec<_> = (0..self.processes.len())
                .flat_map(|place| (0..self.arguments.connections).map(move |_| place))
                .map(|place| {
                    let (next, address) = (&next[place], self.processes[place].address);
                    scope.spawn(move || self.connection(place, address, next, begun))
                })
                .collect();
            let mut outcomes = Outcomes::new();
            let mut problem = None;
            for worker in workers {
                match worker.join() {
                    Ok(Ok(own)) => own.into_iter().for_each(|(kind, own)| outcomes.entry(kind).or_default().add(own)),
                    Ok(Err(error)) => problem = Some(error),
                    Err(_) => problem = Some(anyhow::anyhow!("a connection of the load broke off")),
                }
            }
            is_over.store(true, Relaxed);
            let looks = watching.join().unwrap_or_else(|_| bail!("watching the processes broke off"));
            problem.map_or_else(|| Ok((outcomes, looks?)), Err)
        })?;
        let elapsed_s = begun.elapsed().as_secs_f64();
        let mut say = |set: &str, metric: &str, value: f64, unit| print(&figure(metric, value, unit, set, settings));
        let mut answered = 0;
        for (kind, mut outcome) in outcomes {
            outcome.latencies_us.sort_unstable();
            let (set, count) = (kind.name(), outcome.latencies_us.len());
            answered += count;
            say(set, "answered_per_s", count as f64 / elapsed_s, "requests/s");
            say(set, "refused", outcome.refused as f64, "requests");
            say(set, "failed", outcome.failed as f64, "requests");
            if let Some(failure) = &outcome.failure {
                eprintln!("{set}: the first of {} that failed: {failure}", outcome.failed);
            }
            say(
                set,
                "latency_mean_ms",
                outcome.latencies_us.iter().sum::<u64>() as f64 / count.max(1) as f64 / 1e3,
                "ms",
            );
            let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)];
            for (name, share) in quantiles {
                say(set, &format!("latency_{name}_ms"), outcome.quantile_ms(share), "ms");
            }
        }
        say("all", "offered_per_s", self.plan.len() as f64 / length.as_secs_f64(), "requests/s");
        say("all", "answered_per_s", answered as f64 / elapsed_s, "requests/s");
        let network = (network_bytes()? - network_before) / answered.max(1) as f64;
        say("all", "network_bytes_per_request", network, "bytes");
        for (name, spent) in self.spent_s()? {
            let spent = spent - before.get(&name).copied().unwrap_or(0.0);
            // A process has some thirty threads, most of which hardly do anything.
            if name.starts_with("merx/") && spent < elapsed_s / 1e3 {
                continue;
            }
            say(&name, "processor_share", spent / elapsed_s, "cores");
            say(&name, "processor_us_per_request", spent * 1e6 / answered.max(1) as f64, "us");
        }
        let own = processor_s("self")? - own_before;
        say("generator", "processor_share", own / elapsed_s, "cores");
        say("generator", "processor_us_per_request", own * 1e6 / answered.max(1) as f64, "us");
        for (at_s, resident_mib, open_files) in looks {
            let settings = json!({"at_s": at_s, "load": settings});
            print(&figure("resident_mib", resident_mib, "MiB", "merx", &settings));
            print(&figure("open_files", open_files, "files", "merx", &settings));
        }
        Ok(())
    }

    /// Processor time so far of all Merx processes, of their threads by name, and of the programs beside them.
    fn spent_s(&self) -> Result<BTreeMap<String, f64>> {
        let mut spent = BTreeMap::new();
        for process in self.processes {
            for (thread, own) in process.threads_s()? {
                *spent.entry(format!("merx/{thread}")).or_default() += own;
            }
        }
        let merx: Result<Vec<f64>> = self.processes.iter().map(|process| process.processor_s()).collect();
        spent.insert("merx".to_owned(), merx?.iter().sum());
        for entry in std::fs::read_dir("/proc").context("/proc")?.flatten() {
            let Ok(name) = std::fs::read_to_string(entry.path().join("comm")) else { continue };
            let name = name.trim();
            if self.arguments.beside.iter().any(|beside| beside == name) {
                // A process may be gone by now.
                let own = processor_s(&entry.file_name().to_string_lossy()).unwrap_or(0.0);
                *spent.entry(name.to_owned()).or_default() += own;
            }
        }
        Ok(spent)
    }

    /// Seconds from the beginning, memory and open files of all Merx processes.
    fn watch(&self, begun: Instant, length: Duration, is_over: &AtomicBool) -> Result<Vec<(f64, f64, f64)>> {
        let mut looks = Vec::new();
        for look in 0..=LOOKS {
            let at = begun + length * look / LOOKS;
            while now() < at && !is_over.load(Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
            }
            let (mut resident_mib, mut open_files) = (0.0, 0.0);
            for process in self.processes {
                resident_mib += process.resident_mib()?;
                open_files += process.open_files()?;
            }
            looks.push((begun.elapsed().as_secs_f64(), resident_mib, open_files));
        }
        Ok(looks)
    }

    /// Sends what is due to one of the processes, one request under way at a time.
    fn connection(&self, place: usize, address: SocketAddr, next: &AtomicUsize, begun: Instant) -> Result<Outcomes> {
        let mut outcomes = Outcomes::new();
        let mut line: Option<Line> = None;
        loop {
            let number = next.fetch_add(1, Relaxed) * self.processes.len() + place;
            let Some(due) = self.plan.get(number) else { return Ok(outcomes) };
            let at = if self.arguments.closed { now() } else { begun + due.at };
            std::thread::sleep(at.saturating_duration_since(now()));
            let outcome = outcomes.entry(due.kind).or_default();
            let mut open = match line.take() {
                Some(open) => open,
                None => Line::open(address)?,
            };
            match open.ask(due, self.key) {
                Ok((200..=299, _)) => outcome.latencies_us.push(at.elapsed().as_micros() as u64),
                Ok((429 | 503, _)) => outcome.refused += 1,
                Ok((status, words)) => {
                    outcome.fail(|| format!("{status}: {}", String::from_utf8_lossy(&words)));
                }
                Err(error) => {
                    outcome.fail(|| format!("{error:#}"));
                    continue;
                }
            }
            line = Some(open);
        }
    }
}

/// What went over this machine's own network so far: load, servers and services all speak over it.
fn network_bytes() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/net/dev").context("traffic is read from /proc, which is Linux's")?;
    let received =
        text.lines().find_map(|line| line.trim().strip_prefix("lo:")?.split_whitespace().next()?.parse().ok());
    received.context("/proc/net/dev has no lo")
}

/// A connection that is kept open.
struct Line {
    writer: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Line {
    fn open(address: SocketAddr) -> Result<Self> {
        let writer = TcpStream::connect_timeout(&address, TIMEOUT).context("connecting to the server")?;
        writer.set_nodelay(true)?;
        writer.set_read_timeout(Some(TIMEOUT))?;
        let reader = BufReader::new(writer.try_clone()?);
        Ok(Self { writer, reader })
    }

    fn ask(&mut self, due: &Due, key: &str) -> Result<(u16, Vec<u8>)> {
        let request = format!(
            "POST {} HTTP/1.1\r\nhost: load\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{}",
            due.kind.path(),
            due.body.len(),
            due.body
        );
        self.writer.write_all(request.as_bytes())?;
        answer(&mut self.reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_offers_what_was_asked_for_evenly_or_as_the_day_goes() {
        let shop = Shop { products: 200, shoppers: 3_000, days: 20 };
        let visits = busiest_day(&shop).unwrap();
        let length = Duration::from_secs(20);
        for day in [false, true] {
            let plan = plan(&visits, 50.0, length, day, 1);
            assert!(plan.is_sorted_by_key(|due| due.at) && plan.iter().all(|due| due.at < length));
            let homes = plan.iter().filter(|due| due.kind == Kind::Layout).count();
            assert_eq!(homes, 1_000, "a visit begins with a home page");
            let early = plan.iter().filter(|due| due.at < length / 2).count() as f64 / plan.len() as f64;
            assert!((0.45..0.55).contains(&early) != day, "{early} in the first half; as of a day: {day}");
            assert!(plan.iter().any(|due| due.kind == Kind::Order));
        }
    }
}
