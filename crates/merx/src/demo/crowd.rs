//! Shoppers who visit the demo shop while it is open: simulated people with planted tastes who send the requests that a page
//! would, and know the API and nothing else of Merx.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use compact_str::CompactString;
use merx_domain::{Clock, ProductId, ProductNumber, Purposes};
use merx_numeric::rng::Rng;
use merx_serve::Client;
use merx_simulate::{Shop as Simulated, Shopper, Truth};
use serde_json::{Value, json};

use crate::demo::stage::DemoStage;

/// People who come back and back, so that something can be learnt of them while somebody watches.
const REGULARS: u32 = 600;
/// Searches to choose from.
const QUERIES: usize = 2_000;
const SEARCHES: f64 = 0.4;
/// Hits of a search that a visit opens at most.
const OPENED: usize = 3;
/// Who comes because everybody talks about a product, and who of them takes it.
const COME_FOR_TREND: f64 = 0.5;
const TAKE_TREND: f64 = 0.3;
/// Who looks at a block of the home page looks at the next one too, and who follows a department.
const LOOK_ON: f64 = 0.7;
const OPEN_DEPARTMENT: f64 = 0.05;

pub(super) struct Crowd {
    client: Client,
    clock: Arc<dyn Clock>,
    simulated: Arc<Simulated>,
    stage: Arc<DemoStage>,
    queries: Vec<CompactString>,
    visits: Arc<AtomicU64>,
    /// Makes this run's order and message ids its own.
    run: String,
    rng: Rng,
}

impl Crowd {
    pub(super) fn new(client: Client, clock: Arc<dyn Clock>, simulated: Arc<Simulated>, stage: Arc<DemoStage>) -> Self {
        let queries = simulated.events().filter_map(|event| event.query).take(QUERIES).collect();
        let (run, visits) = (format!("{:x}", clock.now().0), stage.counter());
        let rng = Rng::from_seed(clock.now().0 as u64);
        Self { client, clock, simulated, stage, queries, visits, run, rng }
    }

    /// One visit, from the home page to the order.
    pub(super) fn visit(&mut self) -> Result<()> {
        let number = self.visits.fetch_add(1, Ordering::Relaxed);
        let index = self.rng.below(self.simulated.config().shoppers.clamp(1, REGULARS) as usize) as u32;
        let shopper = self.simulated.shopper(index);
        let mut rng = self.rng.split(number);
        let simulated = Arc::clone(&self.simulated);
        let mut visit = Visit {
            crowd: self,
            truth: simulated.truth(self.clock.now()),
            visitor: format!("regular-{index}"),
            market: simulated.config().markets[shopper.market].id.to_string(),
            id: format!("{}-{number}", self.run),
            shopper: &shopper,
            messages: Vec::new(),
            basket: Vec::new(),
        };
        visit.arrive(&mut rng)?;
        if rng.chance(SEARCHES) {
            visit.search(&mut rng)?;
        }
        visit.check_out(&mut rng);
        visit.tell()
    }
}

/// What was put into the basket.
struct Taken {
    product: ProductId,
    price_minor: i64,
    currency: String,
    decision: Option<String>,
}

struct Visit<'a> {
    crowd: &'a Crowd,
    truth: Truth<'a>,
    shopper: &'a Shopper,
    visitor: String,
    market: String,
    id: String,
    messages: Vec<Value>,
    basket: Vec<Taken>,
}

impl Visit<'_> {
    /// The home page with its rows, or straight to what everybody talks about.
    fn arrive(&mut self, rng: &mut Rng) -> Result<()> {
        if let Some(product) = self.crowd.stage.trend(self.crowd.clock.now()).filter(|_| rng.chance(COME_FOR_TREND)) {
            self.track("Product Viewed", json!({ "product_id": product }));
            if rng.chance(TAKE_TREND) {
                let detail =
                    self.crowd.client.get(&format!("/v1/storefront/products?ids={product}&market={}", self.market))?;
                self.take(&detail["products"][0], &product, None);
            }
            return Ok(());
        }
        self.message(json!({ "type": "page", "name": "Home", "properties": { "path": "/" } }));
        self.home(rng)
    }

    /// The home page as it is laid out: looks at one block after the other, and loses patience.
    fn home(&mut self, rng: &mut Rng) -> Result<()> {
        let blocks = ["for_you", "departments", "trending", "new", "recently_viewed"].map(|id| json!({ "id": id }));
        let request = json!({ "anonymous_id": self.visitor, "market": self.market, "page": "home", "blocks": blocks });
        let layout = self.crowd.client.post("/v1/layout", &request)?;
        let decision = text(&layout["decision_id"]);
        for (place, block) in layout["blocks"].as_array().into_iter().flatten().enumerate() {
            let told = json!({ "promotion_id": block["id"], "position": place + 1, "decision_id": decision });
            self.track("Promotion Viewed", told.clone());
            let used = match block["id"].as_str().unwrap_or_default() {
                "for_you" => self.rows(json!([{ "scenario": "home", "name": "home" }]), rng)?,
                "departments" => rng.chance(OPEN_DEPARTMENT),
                scenario => self.rows(json!([{ "scenario": scenario, "count": 8 }]), rng)?,
            };
            if used {
                self.track("Promotion Clicked", told);
            }
            if !rng.chance(LOOK_ON) {
                break;
            }
        }
        Ok(())
    }

    /// Rows of recommendations: looks along them, opens and takes what they like, and looks at what goes with it.
    /// Whether anything was opened.
    fn rows(&mut self, slots: Value, rng: &mut Rng) -> Result<bool> {
        let mut used = false;
        let request = json!({ "anonymous_id": self.visitor, "market": self.market, "slots": slots });
        let answer = self.crowd.client.post("/v1/recommend", &request)?;
        for slot in answer["slots"].as_array().into_iter().flatten() {
            let (decision, name) = (text(&answer["decision_id"]), text(&slot["name"]));
            let items: Vec<&Value> = slot["items"].as_array().into_iter().flatten().collect();
            let shown: Vec<ProductNumber> = items.iter().filter_map(|item| self.number(item)).collect();
            if shown.is_empty() || shown.len() != items.len() {
                continue;
            }
            let products: Vec<Value> = (1..)
                .zip(&items)
                .map(|(at, item)| json!({ "product_id": item["product_id"], "position": at }))
                .collect();
            self.track("Recommendation Shown", json!({ "decision_id": decision, "slot": name, "products": products }));
            let response = self.truth.respond(self.shopper, &[], &shown, rng);
            used |= !response.clicked.is_empty();
            for (place, product) in shown.iter().enumerate().filter(|(_, product)| response.clicked.contains(product)) {
                self.open(items[place], place, &decision, Some(&name));
                if response.carted.contains(product) {
                    self.take_item(items[place], &decision);
                }
            }
        }
        Ok(used)
    }

    fn search(&mut self, rng: &mut Rng) -> Result<()> {
        if self.crowd.queries.is_empty() {
            return Ok(());
        }
        let query = &self.crowd.queries[rng.below(self.crowd.queries.len())];
        let request = json!({ "query": query, "count": 20, "anonymous_id": self.visitor, "market": self.market });
        let answer = self.crowd.client.post("/v1/search", &request)?;
        let decision = text(&answer["decision_id"]);
        self.track("Products Searched", json!({ "query": query, "decision_id": decision }));
        let hits: Vec<&Value> = answer["hits"].as_array().into_iter().flatten().collect();
        let shown: Vec<ProductNumber> = hits.iter().filter_map(|hit| self.number(hit)).collect();
        if shown.len() != hits.len() {
            return Ok(());
        }
        for place in self.truth.respond_to_search(self.shopper, &shown, rng).into_iter().take(OPENED) {
            self.open(hits[place], place, &decision, None);
            if rng.chance(f64::from(self.truth.expected_cart(self.shopper, shown[place]))) {
                self.take_item(hits[place], &decision);
            }
        }
        Ok(())
    }

    fn open(&mut self, item: &Value, place: usize, decision: &str, slot: Option<&str>) {
        let product = &item["product_id"];
        self.track(
            "Product Clicked",
            json!({ "product_id": product, "position": place + 1, "decision_id": decision, "slot": slot }),
        );
        self.track("Product Viewed", json!({ "product_id": product, "decision_id": decision }));
    }

    fn take_item(&mut self, item: &Value, decision: &str) {
        if let Ok(product) = text(&item["product_id"]).parse() {
            self.take(item, &product, Some(decision.to_owned()));
        }
    }

    fn take(&mut self, item: &Value, product: &ProductId, decision: Option<String>) {
        let price = &item["price"];
        let (Some(price_minor), Some(currency)) = (price["minor"].as_i64(), price["currency"].as_str()) else { return };
        let currency = currency.to_owned();
        self.track("Product Added", json!({ "product_id": product, "quantity": 1, "decision_id": decision }));
        self.basket.push(Taken { product: product.clone(), price_minor, currency, decision });
    }

    fn check_out(&mut self, rng: &mut Rng) {
        let Some(first) = self.basket.first() else { return };
        if rng.chance(f64::from(self.shopper.abandonment)) {
            return;
        }
        let (currency, decision) =
            (first.currency.clone(), self.basket.iter().find_map(|taken| taken.decision.clone()));
        let lines: Vec<Value> = self
            .basket
            .iter()
            .map(|taken| json!({ "product_id": taken.product, "quantity": 1, "price": major(taken.price_minor) }))
            .collect();
        let total: i64 = self.basket.iter().map(|taken| taken.price_minor).sum();
        let products: Vec<ProductId> = self.basket.drain(..).map(|taken| taken.product).collect();
        self.crowd.stage.sold(&products);
        let order = json!({ "order_id": self.id, "products": lines, "revenue": major(total), "total": major(total),
            "currency": currency, "decision_id": decision });
        self.track("Order Completed", order);
    }

    fn track(&mut self, event: &str, properties: Value) {
        self.message(json!({ "type": "track", "event": event, "properties": properties }));
    }

    fn message(&mut self, mut message: Value) {
        message["messageId"] = format!("{}-{}", self.id, self.messages.len()).into();
        message["anonymousId"] = self.visitor.clone().into();
        message["timestamp"] = self.crowd.clock.now().to_string().into();
        message["context"] = json!({ "market": self.market, "consent": { "categoryPreferences": self.consent() }, "library": { "name": "crowd" } });
        self.messages.push(message);
    }

    /// What they answered when the shop asked.
    fn consent(&self) -> Value {
        let stamp = self.shopper.consent;
        let categories = [
            ("Analytics", Purposes::ANALYTICS),
            ("Personalisation", Purposes::PERSONALISATION),
            ("Marketing", Purposes::MARKETING),
        ];
        let answered = |purpose| (stamp.granted | stamp.denied).contains(purpose);
        let said = categories.into_iter().filter(|(_, purpose)| answered(*purpose));
        let said = said.map(|(category, purpose)| (category.to_owned(), stamp.granted.contains(purpose).into()));
        Value::Object(said.collect())
    }

    fn number(&self, item: &Value) -> Option<ProductNumber> {
        self.crowd.simulated.product_number(&item["product_id"].as_str()?.parse().ok()?)
    }

    fn tell(self) -> Result<()> {
        self.crowd.client.post("/v1/batch", &json!({ "batch": self.messages }))?;
        Ok(())
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn major(minor: i64) -> f64 {
    minor as f64 / 100.0
}
