//! The server under load: its own binary in another process, asked over loopback.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use merx_serve::Client;
use merx_simulate::{Shop as Simulated, ShopConfig};
use merx_train::protocols::Figure;
use serde_json::{Value, json};

use super::Passed;
use super::load::{Load, Measured};

/// A server that isn't up after this long never will be.
const START_TIMEOUT: Duration = Duration::from_secs(3_600);
const POLL: Duration = Duration::from_millis(100);
/// Shoppers looked at for a history; requests come from those who have one.
const ASKED: u32 = 20_000;

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// Products of the simulated shop.
    #[arg(long, default_value_t = 100_000)]
    products: u32,
    #[arg(long, default_value_t = 50_000)]
    shoppers: u32,
    #[arg(long, default_value_t = 60)]
    days: u32,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 4)]
    connections: u64,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ServeSearchArguments {
    /// Products of the simulated shop.
    #[arg(long, default_value_t = 50_000)]
    products: u32,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 4)]
    connections: u64,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// By words alone, without what is near by meaning.
    #[arg(long)]
    lexical: bool,
    /// Facets counted beside each search.
    #[arg(long, value_delimiter = ',')]
    facets: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct IngestArguments {
    /// Events in a request.
    #[arg(long, default_value_t = 500)]
    batch: u64,
    #[arg(long, default_value_t = 8)]
    connections: u64,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ReadExperimentArguments {
    #[arg(long, default_value_t = 5_000)]
    shoppers: u32,
    /// Requests that meet the experiment before its report is read.
    #[arg(long, default_value_t = 20_000)]
    requests: u64,
    /// How often the report is read.
    #[arg(long, default_value_t = 20)]
    times: u64,
}

#[derive(Debug, Args)]
pub(crate) struct MemoryArguments {
    #[arg(long, default_value_t = 200_000)]
    products: u32,
    /// One server each.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000, 1_000_000])]
    shoppers: Vec<u32>,
    #[arg(long, default_value_t = 30)]
    days: u32,
}

/// Computed recommendations for shoppers with a history, over HTTP.
pub(crate) fn serve(arguments: &ServeArguments, passed: &Passed, print: &mut dyn FnMut(&Figure)) -> Result<()> {
    let shop = Shop { products: arguments.products, shoppers: arguments.shoppers, days: arguments.days };
    let server = Server::start_with(&shop, passed, &[])?;
    let simulated = Simulated::new(ShopConfig { shoppers: shop.shoppers, seed: SEED, ..ShopConfig::default() });
    let asking = with_history(&server, &simulated)?;
    let body = |number: u64| {
        // A fixed walk over the shoppers that visits neighbours in time far apart.
        let subject = &asking[(number * 7_919 % asking.len() as u64) as usize];
        json!({"subject_id": subject, "slots": [{"scenario": "for_you", "count": 10}]}).to_string()
    };
    let load = Load {
        address: server.process.address,
        key: &server.secret_key,
        path: "/v1/recommend",
        body: &body,
        connections: arguments.connections,
        duration: Duration::from_secs(arguments.seconds),
    };
    let settings = json!({"products": shop.products, "shoppers": shop.shoppers, "days": shop.days,
        "connections": arguments.connections, "slots": 1, "count": 10});
    let before = server.process.processor_s()?;
    let measured = load.drive()?;
    let spent_us = (server.process.processor_s()? - before) * 1e6;
    report("recommend", &measured, &settings, print);
    print(&figure("processor_us_per_request", spent_us / measured.count() as f64, "us", "recommend", &settings));
    print(&figure("resident_mib", server.process.resident_mib()?, "MiB", "recommend", &settings));
    Ok(())
}

/// Searches over HTTP, of what shoppers of the simulated shop type, misspellings included.
pub(crate) fn serve_search(
    arguments: &ServeSearchArguments,
    passed: &Passed,
    print: &mut dyn FnMut(&Figure),
) -> Result<()> {
    let (shoppers, days) = (2_000, 30);
    let shop = Shop { products: arguments.products, shoppers, days };
    let meaning = format!("search.meaning={}", !arguments.lexical);
    let server = Server::start_with(&shop, passed, &[&meaning])?;
    let products = arguments.products;
    let simulated = Simulated::new(ShopConfig { products, shoppers, days, seed: SEED, ..ShopConfig::default() });
    let typed: Vec<String> =
        simulated.events().filter_map(|event| event.query).map(|query| query.to_string()).collect();
    if typed.is_empty() {
        bail!("nobody searched");
    }
    let body = |number: u64| {
        let query = &typed[(number * 7_919 % typed.len() as u64) as usize];
        json!({"query": query, "count": 20, "facets": arguments.facets}).to_string()
    };
    let load = Load {
        address: server.process.address,
        key: &server.secret_key,
        path: "/v1/search",
        body: &body,
        connections: arguments.connections,
        duration: Duration::from_secs(arguments.seconds),
    };
    let settings = json!({"products": products, "queries": typed.len(), "connections": arguments.connections,
        "count": 20, "lexical": arguments.lexical, "facets": arguments.facets});
    let before = server.process.processor_s()?;
    let measured = load.drive()?;
    let spent_us = (server.process.processor_s()? - before) * 1e6;
    report("search", &measured, &settings, print);
    print(&figure("processor_us_per_request", spent_us / measured.count() as f64, "us", "search", &settings));
    print(&figure("resident_mib", server.process.resident_mib()?, "MiB", "search", &settings));
    Ok(())
}

/// Shoppers of whom the server knows something: those who cost most.
fn with_history(server: &Server, simulated: &Simulated) -> Result<Vec<String>> {
    let shoppers = simulated.config().shoppers;
    let client = Client::remote(&format!("http://{}", server.process.address), &server.secret_key)?;
    let mut known = Vec::new();
    for shopper in (0..shoppers).step_by((shoppers / ASKED).max(1) as usize) {
        let subject = simulated.subject_id(shopper).to_string();
        let slots = json!([{"scenario": "recently_viewed", "count": 1}]);
        let answer = client.post("/v1/recommend", &json!({"subject_id": subject, "slots": slots}))?;
        if answer["slots"][0]["items"].as_array().is_some_and(|items| !items.is_empty()) {
            known.push(subject);
        }
    }
    if known.is_empty() {
        bail!("no shopper has a history: the shop needs more shoppers or days");
    }
    Ok(known)
}

/// Events over HTTP until they are on disk.
pub(crate) fn ingest(arguments: &IngestArguments, passed: &Passed, print: &mut dyn FnMut(&Figure)) -> Result<()> {
    let server = Server::start_with(&Shop { products: 500, shoppers: 500, days: 30 }, passed, &[])?;
    let batch = arguments.batch.max(1);
    let body = |number: u64| {
        let event = |place: u64| {
            let id = number * batch + place;
            json!({"type": "track", "event": "Product Viewed", "anonymousId": format!("visitor-{}", id % 50_000),
                "messageId": format!("load-{id}"),
                "properties": {"product_id": format!("P{:06}", id % 500), "price": 18.99, "currency": "EUR"},
                "context": {"locale": "de-DE", "page": {"path": format!("/product/{}", id % 500)}}})
        };
        json!({"batch": (0..batch).map(event).collect::<Vec<Value>>()}).to_string()
    };
    let load = Load {
        address: server.process.address,
        key: &server.secret_key,
        path: "/v1/batch",
        body: &body,
        connections: arguments.connections,
        duration: Duration::from_secs(arguments.seconds),
    };
    let settings = json!({"batch": batch, "connections": arguments.connections, "visitors": 50_000});
    let before = server.process.processor_s()?;
    let measured = load.drive()?;
    let spent_us = (server.process.processor_s()? - before) * 1e6;
    print(&figure("events_per_s", measured.per_s() * batch as f64, "events/s", "ingest", &settings));
    report("ingest", &measured, &settings, print);
    let events = measured.count() as f64 * batch as f64;
    print(&figure("processor_us_per_event", spent_us / events, "us", "ingest", &settings));
    Ok(())
}

/// The report of an experiment that runs, over what the log says of those who met it.
pub(crate) fn read_experiment(
    arguments: &ReadExperimentArguments,
    passed: &Passed,
    print: &mut dyn FnMut(&Figure),
) -> Result<()> {
    const EXPERIMENT: &str = "/v1/experiments/measured";
    let shop = Shop { products: 500, shoppers: arguments.shoppers, days: 30 };
    let server = Server::start_with(&shop, passed, &[])?;
    let merchant = Client::remote(&format!("http://{}", server.process.address), &server.admin_key)?;
    let definition = json!({"surface": {"kind": "recommend", "slots": ["home"]}, "metrics": ["conversion", "revenue_per_visitor"],
        "arms": [{"name": "control", "percent": 50}, {"name": "varied", "percent": 50, "change": {"diversity": 0.9}}]});
    merchant.put(EXPERIMENT, &definition)?;
    merchant.post(&format!("{EXPERIMENT}/start"), &json!({}))?;
    let simulated = Simulated::new(ShopConfig { shoppers: shop.shoppers, seed: SEED, ..ShopConfig::default() });
    let secret = Client::remote(&format!("http://{}", server.process.address), &server.secret_key)?;
    for number in 0..arguments.requests {
        let subject = simulated.subject_id((number % u64::from(shop.shoppers)) as u32).to_string();
        secret.post("/v1/recommend", &json!({"subject_id": subject, "slots": [{"scenario": "home", "count": 5}]}))?;
    }
    while secret.get("/health/ready")?["log_lag_events"] != 0 {
        std::thread::sleep(POLL);
    }
    let settings = json!({"requests": arguments.requests, "shoppers": shop.shoppers, "times": arguments.times});
    let mut elapsed_ms = Vec::new();
    for _ in 0..arguments.times.max(1) {
        let begun = super::load::now();
        merchant.get(&format!("{EXPERIMENT}/report"))?;
        elapsed_ms.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    elapsed_ms.sort_by(f64::total_cmp);
    let median = elapsed_ms[elapsed_ms.len() / 2];
    print(&figure("report_p50_ms", median, "ms", "experiment", &settings));
    print(&figure("report_slowest_ms", elapsed_ms.last().copied().unwrap_or(median), "ms", "experiment", &settings));
    Ok(())
}

/// What a server holds in memory once everything is loaded, by number of shoppers.
pub(crate) fn memory(arguments: &MemoryArguments, print: &mut dyn FnMut(&Figure)) -> Result<()> {
    for &shoppers in &arguments.shoppers {
        let shop = Shop { products: arguments.products, shoppers, days: arguments.days };
        let server = Server::start_with(&shop, &Passed { config: None, set: Vec::new() }, &[])?;
        let settings = json!({"products": shop.products, "shoppers": shoppers, "days": shop.days});
        print(&figure("resident_mib", server.process.resident_mib()?, "MiB", "memory", &settings));
        print(&figure("data_folder_mib", folder_mib(server.folder.path())?, "MiB", "memory", &settings));
    }
    Ok(())
}

pub(super) fn figure(metric: &str, value: f64, unit: &'static str, set: &str, settings: &Value) -> Figure {
    let settings = settings.clone();
    Figure { metric: metric.to_owned(), value, unit, interval: None, set: set.to_owned(), settings }
}

fn report(set: &str, measured: &Measured, settings: &Value, print: &mut dyn FnMut(&Figure)) {
    print(&figure("requests_per_s", measured.per_s(), "requests/s", set, settings));
    for (name, share) in [("latency_p50_ms", 0.5), ("latency_p99_ms", 0.99), ("latency_p999_ms", 0.999)] {
        print(&figure(name, measured.quantile_ms(share), "ms", set, settings));
    }
}

pub(super) const SEED: u64 = 7;

pub(crate) struct Shop {
    pub(crate) products: u32,
    pub(crate) shoppers: u32,
    pub(crate) days: u32,
}

/// A server of its own over a simulated shop in a temporary folder; both go when it is dropped. What the configuration puts on services stays
/// there: they should be fresh.
pub(super) struct Server {
    pub(super) process: Process,
    pub(super) secret_key: String,
    admin_key: String,
    folder: tempfile::TempDir,
}

impl Server {
    /// Fills and trains in a process that ends, so that what serves holds only what serving needs. `settings` go before those passed.
    pub(super) fn start_with(shop: &Shop, passed: &Passed, settings: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir().context("a temporary folder")?;
        let data = folder.path().join("shop");
        let demo = || {
            let mut command = demo(shop, &data);
            passed.to(&mut command);
            command.args(settings.iter().flat_map(|setting| ["--set", setting]));
            command
        };
        let fill = demo().arg("--no-serve").status()?;
        if !fill.success() {
            bail!("the simulated shop could not be made");
        }
        let (process, ready) = Process::start(demo(), &folder.path().join("ready.json"))?;
        let field = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
        let server = Self { process, secret_key: field("secret_key"), admin_key: field("admin_key"), folder };
        if server.secret_key.is_empty() {
            bail!("the services hold a shop with keys already: begin with fresh ones");
        }
        wait_for_jobs(&field("url"), &server.admin_key)?;
        wait_for_index(&field("url"), &server.secret_key)?;
        Ok(server)
    }

    /// One more process for the same shop, which lies on services.
    pub(super) fn join(&self, passed: &Passed) -> Result<Process> {
        let folder = tempfile::tempdir_in(self.folder.path())?.keep();
        std::fs::copy(self.folder.path().join("shop/vault.key"), folder.join("vault.key"))
            .context("the vault's key")?;
        let mut command = own_binary();
        command.arg("serve").arg("--data").arg(&folder).stdout(Stdio::null());
        passed.to(&mut command);
        let (process, ready) = Process::start(command, &folder.join("ready.json"))?;
        wait_for_index(ready["url"].as_str().unwrap_or_default(), &self.secret_key)?;
        Ok(process)
    }
}

/// A process that serves; it ends when this is dropped.
pub(super) struct Process {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Process {
    /// Also what it wrote about itself: addresses and keys.
    fn start(mut command: Command, ready_file: &Path) -> Result<(Self, Value)> {
        let child = command.args(["--set", "server.listen=127.0.0.1:0", "--ready-file"]).arg(ready_file).spawn()?;
        let mut process = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let ready = wait_for(ready_file, &mut process.child)?;
        let url = ready["url"].as_str().unwrap_or_default();
        process.address = url.trim_start_matches("http://").parse().context("the server's address")?;
        Ok((process, ready))
    }

    /// Processor time so far, in all its threads. Unlike rates and latencies it hardly hangs on what else runs.
    pub(super) fn processor_s(&self) -> Result<f64> {
        processor_s(&self.child.id().to_string())
    }

    /// The same of each thread that lives, added up by name.
    pub(super) fn threads_s(&self) -> Result<BTreeMap<String, f64>> {
        let mut spent = BTreeMap::new();
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))?.flatten() {
            // A thread may be gone by now.
            let read = |file| std::fs::read_to_string(thread.path().join(file)).unwrap_or_default();
            let ns = read("schedstat").split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok());
            *spent.entry(read("comm").trim().to_owned()).or_default() += ns.unwrap_or(0.0) / 1e9;
        }
        Ok(spent)
    }

    pub(super) fn resident_mib(&self) -> Result<f64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&path).context("resident memory is read from /proc, which is Linux's")?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).map(|rest| rest.trim_end_matches("kB"));
        Ok(kib.and_then(|kib| kib.trim().parse::<f64>().ok()).with_context(|| path)? / 1024.0)
    }

    pub(super) fn open_files(&self) -> Result<f64> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count() as f64)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processor time of a process, by its number or `self`.
pub(super) fn processor_s(process: &str) -> Result<f64> {
    const TICKS_PER_S: f64 = 100.0;
    let path = format!("/proc/{process}/stat");
    let text = std::fs::read_to_string(&path).context("processor time is read from /proc, which is Linux's")?;
    // Behind the name, which may hold spaces: fields 14 and 15 of the whole (`man 5 proc`).
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let ticks: Option<Vec<f64>> = fields.map(|field| field.parse().ok()).collect();
    Ok(ticks.with_context(|| path)?.iter().sum::<f64>() / TICKS_PER_S)
}

/// The running binary is the one to measure, wherever it lies.
fn own_binary() -> Command {
    Command::new(std::env::current_exe().unwrap_or_else(|_| "merx".into()))
}

fn demo(shop: &Shop, data: &Path) -> Command {
    let mut command = own_binary();
    // Nobody but the load asks.
    command.args(["demo", "--visits-per-minute", "0"]);
    command.args(["--products", &shop.products.to_string(), "--shoppers", &shop.shoppers.to_string()]);
    command.args(["--days", &shop.days.to_string(), "--seed", &SEED.to_string(), "--data"]).arg(data);
    command.stdout(Stdio::null());
    command
}

fn wait_for(ready_file: &Path, process: &mut Child) -> Result<Value> {
    let polls = (START_TIMEOUT.as_millis() / POLL.as_millis()) as u32;
    for _ in 0..polls {
        if let Ok(text) = std::fs::read_to_string(ready_file) {
            return Ok(serde_json::from_str(&text)?);
        }
        if let Some(status) = process.try_wait()? {
            bail!("the server stopped: {status}");
        }
        std::thread::sleep(POLL);
    }
    bail!("the server is not up after {START_TIMEOUT:?}")
}

/// A server that was just filled writes its events to the lake first.
fn wait_for_jobs(url: &str, admin_key: &str) -> Result<()> {
    let client = Client::remote(url, admin_key)?;
    let polls = (START_TIMEOUT.as_millis() / POLL.as_millis()) as u32;
    for _ in 0..polls {
        std::thread::sleep(POLL);
        let jobs = client.get("/v1/jobs")?;
        let ended = |job: &Value| ["done", "failed"].iter().any(|state| job["state"] == *state);
        if jobs["items"].as_array().is_some_and(|jobs| !jobs.is_empty() && jobs.iter().all(ended)) {
            return Ok(());
        }
    }
    bail!("the server's first jobs are not done after {START_TIMEOUT:?}")
}

/// Ready includes that the search index is built.
fn wait_for_index(url: &str, key: &str) -> Result<()> {
    let client = Client::remote(url, key)?;
    let polls = (START_TIMEOUT.as_millis() / POLL.as_millis()) as u32;
    for _ in 0..polls {
        if client.get("/health/ready").is_ok() {
            return Ok(());
        }
        std::thread::sleep(POLL);
    }
    bail!("the server is not ready after {START_TIMEOUT:?}")
}

fn folder_mib(folder: &Path) -> Result<f64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { (folder_mib(&entry.path())? * 1024.0 * 1024.0) as u64 } else { metadata.len() };
    }
    Ok(bytes as f64 / 1024.0 / 1024.0)
}
