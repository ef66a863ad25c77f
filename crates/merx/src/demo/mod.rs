//! `merx demo`: a seeded shop with planted tastes, trained and served, and people who visit it.

mod crowd;
mod stage;

use std::cell::OnceCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use merx_decide::{Act, Arm};
use merx_domain::{Clock, DAY_MS, MINUTE_MS, MarketId, Product, SECOND_MS, SubjectId, SystemClock, TimestampMs};
use merx_ingest::Identities;
use merx_ingest::vault::VaultError;
use merx_serve::{Client, DemoShop, Keys, Scope};
use merx_simulate::{Shop as Simulated, ShopConfig};
use merx_store::StoreError;
use serde_json::json;

use crate::background::Repeated;
use crate::config::Config;
use crate::demo::crowd::Crowd;
use crate::demo::stage::DemoStage;
use crate::operate::print_training;
use crate::posts::Role;
use crate::serving::{self, Ready, pages};
use crate::shop::Shop;
use crate::training;

const APPEND: usize = 5_000;
const PUT: usize = 1_000;
/// The shopper to try with has seen so many products, where there is one.
const TELLING_HISTORY: usize = 10;
/// Share of people whom nothing automatic touches, so that Home can say what all of it earns.
const HOLDOUT: f64 = 0.1;
const SECOND: Duration = Duration::from_secs(1);
/// The models learn from the first visitors soon, then now and again.
const LEARN_AFTER_MS: i64 = 2 * MINUTE_MS;
const LEARN_EVERY_MS: i64 = 30 * MINUTE_MS;

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    #[arg(long, default_value_t = 5_000)]
    products: u32,
    #[arg(long, default_value_t = 20_000)]
    shoppers: u32,
    #[arg(long, default_value_t = 365)]
    days: u32,
    /// The same seed gives the same shop.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Visits a minute of simulated shoppers, who send real requests while the shop is open; 0: nobody comes but you.
    #[arg(long, default_value_t = 240, value_parser = clap::value_parser!(u32).range(..=6_000))]
    visits_per_minute: u32,
    /// Stop when everything is trained, without serving.
    #[arg(long)]
    no_serve: bool,
    /// Write address and keys here (JSON) once requests are answered.
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
}

pub(crate) fn run(mut config: Config, arguments: &DemoArguments) -> Result<()> {
    let folder = config.data.folder.clone();
    let simulated = simulated(&SystemClock, arguments);
    // Requests that name no market are answered for the simulated shop's first one, in its currency.
    if let (true, Some(first)) = (config.market.default == MarketId::default(), simulated.config().markets.first()) {
        config.market.default = first.id.clone();
        config.market.currency = first.currency;
    }
    if config.experiments.holdout == 0.0 && arguments.visits_per_minute > 0 {
        config.experiments.holdout = HOLDOUT;
    }
    let shop = Arc::new(Shop::open(config)?);
    if shop.store.log.end()?.is_some() {
        println!("{} has data already: serving it as it is (remove the folder to begin anew)", folder.display());
    } else {
        fill(&shop, &simulated)?;
    }
    if shop.engine.live_version().is_none() {
        train(&shop)?;
    }
    if arguments.no_serve {
        shop.projection.snapshot()?;
        return Ok(());
    }
    let example = example(&shop, &simulated)?;
    let stage = Arc::new(DemoStage::new(Arc::clone(&shop)));
    let (own_keys, going_on) = (OnceCell::new(), OnceCell::new());
    let front = |keys: &Keys| {
        let public_key = fresh_key(keys, Scope::Public, "demo shop")?;
        let _ = own_keys.set((public_key.clone(), fresh_key(keys, Scope::Admin, "demo stage")?));
        let (pages, picture) = (pages::SHOP, Box::new(merx_simulate::picture));
        Ok(Some(DemoShop { pages, public_key, picture, stage: Arc::clone(&stage) as _ }))
    };
    let served = serving::serve_with(Arc::clone(&shop), &Role::everything(), front, |ready| {
        if let Some((public, admin)) = own_keys.get() {
            let open = Open { url: &ready.url, public, admin, per_minute: arguments.visits_per_minute };
            let _ = going_on.set(open.begin(&shop, simulated, &stage)?);
        }
        if let Some(path) = &arguments.ready_file {
            write_ready(path, ready)?;
        }
        print_calls(ready, &example);
        Ok(())
    });
    drop(going_on);
    stage.clear()?;
    served
}

/// The demo shop once it is open.
struct Open<'a> {
    url: &'a str,
    public: &'a str,
    admin: &'a str,
    per_minute: u32,
}

impl Open<'_> {
    /// Opens an experiment, keeps the stage, lets people in and has the models learn from them.
    fn begin(&self, shop: &Arc<Shop>, simulated: Simulated, stage: &Arc<DemoStage>) -> Result<Vec<Repeated>> {
        let (played, clock) = (Arc::clone(stage), Arc::clone(&shop.clock));
        let mut going_on = vec![Repeated::start("stage", SECOND, move |_| played.tick(clock.now()))?];
        if self.per_minute == 0 {
            return Ok(going_on);
        }
        let merchant = Client::remote(self.url, self.admin)?;
        let public = Client::remote(self.url, self.public)?;
        let mut crowd = Crowd::new(public, Arc::clone(&shop.clock), Arc::new(simulated), Arc::clone(stage));
        let mut opened = false;
        let pause = Duration::from_secs(60) / self.per_minute;
        going_on.push(Repeated::start("crowd", pause, move |_| {
            if !opened {
                open_experiment(&merchant)?;
                opened = true;
            }
            crowd.visit()
        })?);
        let merchant = Client::remote(self.url, self.admin)?;
        let (clock, mut due) = (Arc::clone(&shop.clock), shop.clock.now().plus_ms(LEARN_AFTER_MS));
        going_on.push(Repeated::start("learning", SECOND, move |_| {
            if clock.now() >= due {
                merchant.post("/v1/jobs", &json!({ "kind": "training" }))?;
                due = clock.now().plus_ms(LEARN_EVERY_MS);
            }
            Ok(())
        })?);
        Ok(going_on)
    }
}

/// Half of those who see the home page get what is popular, the other half what is theirs.
fn open_experiment(merchant: &Client) -> Result<()> {
    const ADDRESS: &str = "/v1/experiments/demo-personal-home";
    if merchant.get(ADDRESS).is_ok() {
        return Ok(());
    }
    let definition = json!({
        "title": "A personal home page", "owner": "demo",
        "hypothesis": "Who sees what suits them buys more than who sees what sells best.",
        "surface": { "kind": "recommend", "slots": ["home"] },
        "arms": [
            { "name": "popular", "percent": 50, "change": { "serve": "popularity" } },
            { "name": "personal", "percent": 50 },
        ],
        "metrics": ["conversion", "revenue_per_visitor"],
    });
    merchant.put(ADDRESS, &definition)?;
    merchant.post(&format!("{ADDRESS}/start"), &json!({}))?;
    Ok(())
}

/// A shop whose last day is today, so that "now" is inside its story.
fn simulated(clock: &dyn Clock, arguments: &DemoArguments) -> Simulated {
    let today = i64::from(clock.now().day());
    Simulated::new(ShopConfig {
        products: arguments.products,
        shoppers: arguments.shoppers,
        days: arguments.days,
        seed: arguments.seed,
        start: TimestampMs((today - i64::from(arguments.days)) * DAY_MS),
        ..ShopConfig::default()
    })
}

pub(crate) fn fill(shop: &Shop, simulated: &Simulated) -> Result<()> {
    let now = shop.clock.now();
    let products: Vec<Product> = simulated.products().map(in_shop).collect();
    let bar = progress(products.len() as u64, "products");
    for chunk in products.chunks(PUT) {
        shop.ingest.put_products(chunk, now, &mut |_, _| Ok(()))?;
        bar.inc(chunk.len() as u64);
    }
    let stock: Vec<_> = simulated.stock().collect();
    for chunk in stock.chunks(PUT) {
        shop.ingest.put_stock(chunk, &mut |_, _| Ok(()))?;
    }
    bar.finish();
    let bar = progress(0, "events");
    let mut batch = Vec::with_capacity(APPEND);
    let append = |batch: &mut Vec<_>| -> Result<()> {
        bar.inc(batch.len() as u64);
        match shop.store.log.append(std::mem::take(batch)) {
            Ok(_) => Ok(()),
            Err(StoreError::Busy { .. }) => bail!("the log is busy although nobody else writes"),
            Err(error) => Err(error.into()),
        }
    };
    for event in simulated.events() {
        batch.push(event);
        if batch.len() == APPEND {
            append(&mut batch)?;
        }
    }
    append(&mut batch)?;
    bar.finish();
    let bar = progress(0, "features");
    let applied = shop.projection.catch_up()?;
    bar.inc(applied);
    bar.finish();
    Ok(())
}

/// A key of the demo's own; the one of the run before can't be read again, so it goes.
fn fresh_key(keys: &Keys, scope: Scope, label: &str) -> Result<String> {
    let act = Act::of_merx(SystemClock.now());
    for old in keys.list().iter().filter(|key| key.label == label) {
        keys.revoke(&old.id, act)?;
    }
    Ok(keys.mint(scope, label, act)?.0)
}

/// With its addresses in the demo shop.
fn in_shop(product: Product) -> Product {
    let id = &product.id;
    let (url, picture) = (format!("/shop/p/{id}"), format!("/shop/pictures/{id}.svg"));
    Product { url: Some(url), images: vec![picture], ..product }
}

fn train(shop: &Shop) -> Result<()> {
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(std::time::Duration::from_millis(120));
    let result = training::train_all(shop, &|step| {
        bar.set_message(format!("training: {}", step.words));
        Ok(())
    })?;
    bar.finish_and_clear();
    print_training(&result);
    Ok(())
}

/// Of a bar whose length is known: rate and time left.
pub(crate) fn bar_style() -> ProgressStyle {
    let template = "{msg:12} {wide_bar} {human_pos}/{human_len}  {per_sec}  {eta}";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

pub(crate) fn progress(length: u64, what: &str) -> ProgressBar {
    let bar = if length > 0 {
        ProgressBar::new(length).with_style(bar_style())
    } else {
        let style = ProgressStyle::with_template("{msg:12} {spinner} {human_pos}  {per_sec}  {elapsed}");
        ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
    };
    bar.with_message(what.to_owned())
}

/// A shopper and a product to try with.
struct Example {
    subject: String,
    product: String,
    product_name: String,
    /// Somebody new.
    visitor: String,
}

fn example(shop: &Shop, simulated: &Simulated) -> Result<Example> {
    let now = shop.clock.now();
    let policy = merx_domain::ConsentPolicy { allowed_unless_denied: merx_domain::Purposes::all() };
    let visitor = visitor(shop)?;
    let mut example = None;
    let mut longest = 0;
    for shopper in 0..simulated.config().shoppers {
        let subject = simulated.subject_id(shopper);
        if is_held_out(shop, subject) {
            continue;
        }
        let stamp = merx_decide::FeatureSource::consent(shop.projection.as_ref(), subject);
        let grant = policy.check(subject, stamp);
        let features = merx_decide::FeatureSource::subject_features(shop.projection.as_ref(), &grant, now);
        let reader = shop.catalogue().read();
        let last = features.history.iter().rev().find_map(|entry| reader.entry(entry.product));
        if let (true, Some(entry)) = (features.history.len() > longest, last) {
            longest = features.history.len();
            example = Some(Example {
                subject: subject.to_string(),
                product: entry.id.to_string(),
                product_name: entry.name.to_string(),
                visitor: visitor.clone(),
            });
        }
        if longest >= TELLING_HISTORY {
            break;
        }
    }
    example.context("no shopper of the simulated shop has a history")
}

/// Whoever is held out is shown nothing learnt: no example of it.
fn is_held_out(shop: &Shop, subject: SubjectId) -> bool {
    matches!(shop.pipeline.arm(Some(subject)), Arm::Holdout { .. })
}

/// The name of a visitor who meets the models.
fn visitor(shop: &Shop) -> Result<String> {
    const TRIED: u32 = 200;
    for number in 1..=TRIED {
        let name = format!("visitor-{number}");
        let names = Identities { anonymous_id: Some(name.as_str().into()), ..Identities::default() };
        let made = shop.ingest.vault.with_subjects(&[&names], shop.clock.now(), |resolved| {
            Ok::<_, VaultError>((resolved.first().map(|resolved| resolved.subject), Vec::new()))
        })?;
        if made.is_some_and(|subject| !is_held_out(shop, subject)) {
            return Ok(name);
        }
    }
    bail!("{TRIED} visitors in a row are held out")
}

pub(crate) fn write_ready(path: &std::path::Path, ready: &Ready) -> Result<()> {
    let mut document = serde_json::Map::new();
    document.insert("url".into(), ready.url.clone().into());
    for (scope, key) in &ready.new_keys {
        document.insert(format!("{}_key", scope.name()), key.clone().into());
    }
    let beside = path.with_extension("writing");
    std::fs::write(&beside, serde_json::to_string(&document)?).with_context(|| beside.display().to_string())?;
    std::fs::rename(&beside, path).with_context(|| path.display().to_string())
}

pub(crate) fn print_keys(ready: &Ready) {
    for (scope, key) in &ready.new_keys {
        println!("{:>8} key  {key}", scope.name());
    }
    if !ready.new_keys.is_empty() {
        println!("  Keys are shown this once; make others with `merx keys create`.");
    }
}

fn print_calls(ready: &Ready, example: &Example) {
    let url = &ready.url;
    let key = |scope: &str| {
        let found = ready.new_keys.iter().find(|(known, _)| known.name() == scope).map(|(_, key)| key.as_str());
        found.map_or_else(|| format!("${}_KEY", scope.to_uppercase()), str::to_owned)
    };
    let (public, secret, visitor) = (key("public"), key("secret"), &example.visitor);
    let event_at = TimestampMs(SystemClock.now().0 / SECOND_MS * SECOND_MS);
    println!("\nMerx serves at {url}   (console: {url}/console, reference: {url}/docs, stop with Ctrl-C)\n");
    if !pages::SHOP.is_empty() {
        println!("  A shop to click through:  {url}/shop/\n");
    }
    print_keys(ready);
    println!("\n1. What a known shopper should see, and why:");
    println!(
        "   curl -s {url}/v1/recommend -H 'Authorization: Bearer {secret}' -H 'Content-Type: application/json' \\\n     \
         -d '{{\"subject_id\":\"{}\",\"slots\":[{{\"scenario\":\"for_you\",\"count\":5}}]}}'",
        example.subject
    );
    println!("\n2. What goes with \"{}\":", example.product_name);
    println!(
        "   curl -s {url}/v1/recommend -H 'Authorization: Bearer {public}' -H 'Content-Type: application/json' \\\n     \
         -d '{{\"slots\":[{{\"scenario\":\"similar\",\"count\":4,\"products\":[\"{0}\"]}},\
         {{\"scenario\":\"bought_together\",\"count\":3,\"products\":[\"{0}\"]}}]}}'",
        example.product
    );
    println!("\n3. A new visitor looks at it ..");
    println!(
        "   curl -s {url}/v1/track -u '{public}:' -H 'Content-Type: application/json' \\\n     \
         -d '{{\"anonymousId\":\"{visitor}\",\"event\":\"Product Viewed\",\"timestamp\":\"{event_at}\",\
         \"properties\":{{\"product_id\":\"{}\"}}}}'",
        example.product
    );
    println!("\n   .. and the next answer knows:");
    println!(
        "   curl -s {url}/v1/recommend -H 'Authorization: Bearer {public}' -H 'Content-Type: application/json' \\\n     \
         -d '{{\"anonymous_id\":\"{visitor}\",\"slots\":[{{\"scenario\":\"continue_session\",\"count\":5}}]}}'"
    );
    println!("\n4. Any decision again, with the decision_id of an answer:");
    println!("   curl -s {url}/v1/decisions/ID/why -H 'Authorization: Bearer {secret}'");
    println!("   curl -s -X POST {url}/v1/decisions/ID/replay -H 'Authorization: Bearer {secret}'\n");
}
