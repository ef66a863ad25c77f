//! Commands of the operator: train, versions, keys, replay, why. They speak the API: to a running server, or to the folder
//! through the same routes in this process.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use merx_domain::DecisionId;
use merx_serve::{App, Client, Keys, Scope};
use merx_store::StoreError;
use serde_json::{Value, json};

use crate::config::Config;
use crate::housekeeping::Housekeeping;
use crate::posts::Role;
use crate::serving;
use crate::shop::Shop;

const POLL: Duration = Duration::from_millis(100);

/// Whom to ask.
#[derive(Debug, Args)]
pub(crate) struct ServerArguments {
    /// Ask the server that runs here (http://HOST:PORT) instead of opening the data folder.
    #[arg(long, global = true, env = "MERX_URL", value_name = "URL")]
    url: Option<String>,
    /// The admin key to ask it with.
    #[arg(long, global = true, env = "MERX_ADMIN_KEY", value_name = "KEY", hide_env_values = true)]
    key: Option<String>,
}

/// Who is meant: everybody whom one of these names.
#[derive(Debug, Default, Args)]
pub(crate) struct PersonArguments {
    /// The shop's id of a customer.
    #[arg(long, value_name = "ID")]
    user_id: Vec<String>,
    /// What a browser or app calls its visitor.
    #[arg(long, value_name = "ID")]
    anonymous_id: Vec<String>,
    #[arg(long, value_name = "ADDRESS")]
    email: Vec<String>,
    #[arg(long, value_name = "NUMBER")]
    phone: Vec<String>,
    /// A pseudonym, as decisions and the lake have it.
    #[arg(long, value_name = "HEX")]
    subject: Vec<String>,
}

impl PersonArguments {
    fn request(&self, kind: &str) -> Value {
        let of = |kind: &'static str, values: &[String]| {
            values.iter().map(move |value| json!({ "kind": kind, "value": value })).collect::<Vec<_>>()
        };
        let names = [
            of("user_id", &self.user_id),
            of("anonymous_id", &self.anonymous_id),
            of("email", &self.email),
            of("phone", &self.phone),
        ];
        json!({ "kind": kind, "names": names.concat(), "subject_ids": self.subject })
    }
}

/// Who answers.
pub(crate) struct Desk {
    pub(crate) client: Client,
    /// Does the jobs where the folder is open in this process.
    _housekeeping: Option<Housekeeping>,
}

impl Desk {
    pub(crate) fn open(server: &ServerArguments, config: Config) -> Result<Self> {
        match &server.url {
            Some(url) => {
                let key = server.key.as_deref().context("--url needs --key, an admin key (or MERX_ADMIN_KEY)")?;
                Ok(Self { client: Client::remote(url, key)?, _housekeeping: None })
            }
            None => Self::of_folder(config),
        }
    }

    fn of_folder(config: Config) -> Result<Self> {
        let shop = Arc::new(Shop::open(config).map_err(with_hint)?);
        let board = shop.job_board();
        let keys = Arc::new(Keys::open(Arc::clone(&shop.store.records))?);
        let key = keys.lend(Scope::Admin, shop.clock.now())?;
        let app = App::new(serving::parts(&shop, keys, Arc::clone(&board))?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let housekeeping = Housekeeping::start(shop, board, &Role::everything(), false)?;
        Ok(Self { client: Client::Within { app, runtime, key }, _housekeeping: Some(housekeeping) })
    }

    /// Trains now, or says when it is due.
    pub(crate) fn train(&self, now: bool) -> Result<()> {
        if !now {
            match self.client.get("/v1/jobs")?["next_training_at"].as_str() {
                Some(due) => println!("the next training is due at {due}; --now trains at once"),
                None => println!("no training is scheduled; --now trains at once"),
            }
            return Ok(());
        }
        let job = self.client.post("/v1/jobs", &json!({ "kind": "training" }))?;
        print_training(&self.follow(&job)?);
        Ok(())
    }

    /// Shows the steps of a job until it has ended, and returns its result.
    fn follow(&self, job: &Value) -> Result<Value> {
        let path = format!("/v1/jobs/{}", job["id"]);
        let mut shown = Value::Null;
        loop {
            let job = self.client.get(&path)?;
            if job["step"] != shown && job["state"] == "running" {
                shown = job["step"].clone();
                eprintln!("{}", shown.as_str().unwrap_or_default());
            }
            match job["state"].as_str() {
                Some("done") => return Ok(job["result"].clone()),
                Some("failed") => bail!("{}", job["error"].as_str().unwrap_or("the job failed")),
                _ => std::thread::sleep(POLL),
            }
        }
    }

    pub(crate) fn list_models(&self) -> Result<()> {
        let models = self.client.get("/v1/models")?;
        let models = list(&models["items"]);
        if models.is_empty() {
            println!("no model was trained yet: merx train --now");
        }
        for model in models {
            let metrics = model["metrics"].as_object().into_iter().flatten();
            let metrics = metrics.map(|(name, value)| format!("{name} {:.4}", number(value)));
            println!(
                "{} v{:<3} {:9} {}  {}",
                text(&model["name"]),
                model["version"].as_u64().unwrap_or_default(),
                text(&model["stage"]),
                text(&model["trained_at"]),
                metrics.collect::<Vec<_>>().join(", ")
            );
        }
        Ok(())
    }

    pub(crate) fn print_card(&self, model: &str, version: u32) -> Result<()> {
        let card = self.client.get(&format!("/v1/models/{model}/{version}/card"))?;
        print!("{}", text(&card["markdown"]));
        Ok(())
    }

    pub(crate) fn promote(&self, model: &str, version: u32) -> Result<()> {
        let live = self.client.post(&format!("/v1/models/{model}/promote"), &json!({ "version": version }))?;
        println!("{model} v{} is live", live["version"]);
        Ok(())
    }

    pub(crate) fn roll_back(&self, model: &str) -> Result<()> {
        let live = self.client.post(&format!("/v1/models/{model}/rollback"), &json!({}))?;
        println!("{model} v{} is live again", live["version"]);
        Ok(())
    }

    /// Puts a request into the register and waits until it is done.
    fn ask_for_person(&self, request: &Value) -> Result<Value> {
        let asked = self.client.post("/v1/privacy/requests", request)?;
        let path = format!("/v1/privacy/requests/{}", text(&asked["id"]));
        let mut shown = Value::Null;
        loop {
            let request = self.client.get(&path)?;
            match request["state"].as_str() {
                Some("pending" | "running") => {}
                _ => return Ok(request),
            }
            let jobs = self.client.get("/v1/jobs")?;
            let running = list(&jobs["items"]).iter().find(|job| job["kind"] == "privacy" && job["state"] == "running");
            if let Some(job) = running.filter(|job| job["step"] != shown) {
                shown = job["step"].clone();
                eprintln!("{}", text(&shown));
            }
            std::thread::sleep(POLL);
        }
    }

    pub(crate) fn export_person(&self, person: &PersonArguments, out: Option<&Path>) -> Result<()> {
        let request = self.ask_for_person(&person.request("access"))?;
        if request["state"] != "completed" {
            bail!("{}", request["error"].as_str().unwrap_or("the request was not completed"));
        }
        if request["report"]["pseudonyms"] == 0 {
            bail!("nobody is known by these names");
        }
        let data = self.client.get(&format!("/v1/privacy/requests/{}/data", text(&request["id"])))?;
        let data = serde_json::to_string_pretty(&data)?;
        match out {
            Some(path) => std::fs::write(path, data + "\n").with_context(|| format!("cannot write {}", path.display())),
            None => {
                println!("{data}");
                Ok(())
            }
        }
    }

    pub(crate) fn erase_person(&self, person: &PersonArguments, suppress: bool) -> Result<()> {
        let mut request = person.request("erasure");
        request["suppress"] = suppress.into();
        let request = self.ask_for_person(&request)?;
        println!("request {}: {}", text(&request["id"]), text(&request["state"]));
        if request["state"] != "completed" {
            bail!("{}", request["error"].as_str().unwrap_or("the request was not completed"));
        }
        let report = &request["report"];
        println!(
            "erased {} pseudonyms, {} names, {} events, {} rows of the lake",
            report["pseudonyms"], report["names"], report["removed"]["events"], report["removed"]["lake_rows"]
        );
        for (table, rows) in report["removed"]["rows"].as_object().into_iter().flatten() {
            println!("  {table}: {rows} rows");
        }
        for model in list(&report["models"]) {
            let (name, version, status) = (text(&model["name"]), &model["version"], text(&model["status"]));
            println!(
                "  model {name} v{version} ({status}) was fitted on events of theirs; it holds no row of a person"
            );
        }
        if !list(&report["models"]).is_empty() {
            match report["retraining_due_at"].as_str() {
                Some(due) => println!("  the next training, without them, is due at {due}"),
                None => println!("  no training is scheduled: merx train --now"),
            }
        }
        print_verification(&report["verification"]);
        Ok(())
    }

    pub(crate) fn verify_person(&self, person: &PersonArguments, request: Option<&str>) -> Result<()> {
        let mut asked = person.request("verification");
        if let Some(id) = request {
            asked["request_id"] = id.into();
        }
        let request = self.ask_for_person(&asked)?;
        if request["state"] != "completed" {
            bail!("{}", request["error"].as_str().unwrap_or("the request was not completed"));
        }
        let verification = &request["report"]["verification"];
        print_verification(verification);
        match list(&verification["findings"]).len() {
            0 => Ok(()),
            count => bail!("something is left in {count} places"),
        }
    }

    pub(crate) fn list_privacy_requests(&self) -> Result<()> {
        for request in list(&self.client.get("/v1/privacy/requests?limit=1000")?["items"]) {
            println!(
                "{} {:12} {:9} {:8} received {} due {}",
                text(&request["id"]),
                text(&request["kind"]),
                text(&request["state"]),
                text(&request["source"]),
                text(&request["received_at"]),
                text(&request["due_at"])
            );
        }
        Ok(())
    }

    pub(crate) fn list_personal_reads(&self) -> Result<()> {
        for read in list(&self.client.get("/v1/privacy/reads?limit=1000")?["items"]) {
            println!(
                "{} {:12} {:9} {}  {}",
                text(&read["at"]),
                text(&read["who"]),
                text(&read["what"]),
                read["subject_id"].as_str().unwrap_or("several, or erased"),
                text(&read["why"])
            );
        }
        Ok(())
    }

    pub(crate) fn rotate_vault(&self) -> Result<()> {
        let rotated = self.client.post("/v1/vault/rotate", &json!({}))?;
        println!(
            "{} keys are wrapped with the new master key; the old one opens nothing any more",
            rotated["keys_wrapped"]
        );
        Ok(())
    }

    pub(crate) fn list_keys(&self) -> Result<()> {
        for key in list(&self.client.get("/v1/keys")?["items"]) {
            let (id, scope) = (text(&key["id"]), text(&key["scope"]));
            println!("{id} {scope:6} {}  {}", text(&key["created_at"]), text(&key["label"]));
        }
        Ok(())
    }

    pub(crate) fn create_key(&self, scope: &str, label: &str) -> Result<()> {
        let made = self.client.post("/v1/keys", &json!({ "scope": scope, "label": label }))?;
        println!("{}", text(&made["key"]));
        eprintln!("key {} is shown this once", text(&made["id"]));
        Ok(())
    }

    pub(crate) fn revoke_key(&self, id: &str) -> Result<()> {
        self.client.delete(&format!("/v1/keys/{id}"))?;
        println!("key {id} is revoked");
        Ok(())
    }

    pub(crate) fn list_users(&self) -> Result<()> {
        for user in list(&self.client.get("/v1/users")?["items"]) {
            println!("{:24} {:12} {}", text(&user["name"]), text(&user["role"]), text(&user["changed_at"]));
        }
        Ok(())
    }

    pub(crate) fn add_user(&self, name: &str, role: &str) -> Result<()> {
        let users = self.client.get("/v1/users")?;
        if list(&users["items"]).iter().any(|user| user["name"] == name) {
            bail!("there is a user {name} already: see merx users password");
        }
        self.put_user(name, role)
    }

    pub(crate) fn set_password(&self, name: &str) -> Result<()> {
        let users = self.client.get("/v1/users")?;
        let user = list(&users["items"]).iter().find(|user| user["name"] == name);
        let role = text(&user.with_context(|| format!("there is no user {name}"))?["role"]).to_owned();
        self.put_user(name, &role)
    }

    fn put_user(&self, name: &str, role: &str) -> Result<()> {
        let (password, made) = read_password()?;
        let path = format!("/v1/users/{}", encoded(name));
        self.client.put(&path, &json!({ "role": role, "password": password }))?;
        if made {
            println!("{password}");
            eprintln!("the password of {name} is shown this once");
        }
        Ok(())
    }

    pub(crate) fn remove_user(&self, name: &str) -> Result<()> {
        self.client.delete(&format!("/v1/users/{}", encoded(name)))?;
        println!("{name} may no longer sign in");
        Ok(())
    }

    fn latest_decisions(&self, count: usize) -> Result<Vec<String>> {
        /// As many as the API lists at once.
        const PAGE: usize = 1_000;
        let mut ids: Vec<String> = Vec::new();
        while ids.len() < count {
            let before = ids.last().map(|id| format!("&before={id}")).unwrap_or_default();
            let page = self.client.get(&format!("/v1/decisions?limit={}{before}", PAGE.min(count - ids.len())))?;
            let items = list(&page["items"]);
            if items.is_empty() {
                break;
            }
            ids.extend(items.iter().map(|decision| text(&decision["decision_id"]).to_owned()));
        }
        Ok(ids)
    }

    /// `decision` is an id, or `latest:N`.
    pub(crate) fn replay(&self, decision: &str) -> Result<()> {
        let ids = match decision.strip_prefix("latest:") {
            Some(count) => self.latest_decisions(count.parse().context("latest:N needs a number")?)?,
            None => vec![decision.parse::<DecisionId>()?.to_string()],
        };
        let (mut different, mut overtaken) = (0, 0);
        for id in &ids {
            let replay = self.client.post(&format!("/v1/decisions/{id}/replay"), &json!({}))?;
            if replay["identical"] == true {
                continue;
            }
            if list(&replay["changed_since"]).is_empty() {
                different += 1;
                println!("{id}: differs\n  recorded {}\n  now      {}", replay["recorded"], replay["replayed"]);
            } else {
                overtaken += 1;
                println!("{id}: can't be made again, the shop has changed since: {}", texts(&replay["changed_since"]));
            }
        }
        if different > 0 {
            bail!("{different} of {} decisions differ", ids.len());
        }
        if overtaken > 0 {
            println!("{overtaken} of {} decisions were made on another state of the shop and not compared", ids.len());
        }
        println!("{} decided again, each answer equal bit for bit", ids.len() - overtaken);
        Ok(())
    }

    pub(crate) fn why(&self, decision: DecisionId) -> Result<()> {
        let why = self.client.get(&format!("/v1/decisions/{decision}/why"))?;
        println!("{decision}: {}", texts(&why["words"]));
        let mut slot = "";
        for item in list(&why["items"]) {
            if text(&item["slot"]) != slot {
                slot = text(&item["slot"]);
                println!("{slot}");
            }
            println!(
                "  {:2}. {}: {}",
                item["position"].as_u64().unwrap_or_default(),
                text(&item["name"]),
                texts(&item["reasons"])
            );
        }
        Ok(())
    }
}

/// A folder that a server has open is no dead end.
fn with_hint(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<StoreError>() {
        Some(StoreError::Locked { .. }) => {
            let hint = "ask the process that has it open: --url http://HOST:PORT --key ADMIN_KEY (or MERX_URL, MERX_ADMIN_KEY)";
            anyhow::anyhow!("{error:#}\n{hint}")
        }
        _ => error,
    }
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Without the minus of a sum over nothing.
pub(crate) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default() + 0.0
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn texts(value: &Value) -> String {
    list(value).iter().map(text).collect::<Vec<_>>().join("; ")
}

fn print_verification(verification: &Value) {
    println!(
        "looked through {} files, {} bytes, {} rows for {}",
        verification["files"],
        verification["bytes"],
        verification["rows"],
        list(&verification["looked_for"]).iter().map(text).collect::<Vec<_>>().join(", ")
    );
    let short = list(&verification["compared_with_values"]);
    if !short.is_empty() {
        let short = short.iter().map(text).collect::<Vec<_>>().join(", ");
        println!("too short to be looked for in bytes, compared with whole values that senders gave: {short}");
    }
    let services = list(&verification["not_searched"]);
    if !services.is_empty() {
        println!("not searched byte by byte: {}", services.iter().map(text).collect::<Vec<_>>().join(", "));
    }
    match list(&verification["findings"]) {
        [] if services.is_empty() => println!("nothing is left"),
        [] => println!("nothing is left in the data folder"),
        findings => {
            for finding in findings {
                println!("found {} x {} in {}", text(&finding["needle"]), finding["count"], text(&finding["place"]));
            }
        }
    }
}

/// What came of a training, as its job says it.
pub(crate) fn print_training(result: &Value) {
    let metric = |name: &str| number(&result["metrics"][name]);
    println!(
        "trained v{} in {:.1} s on {} events of {} shoppers and {} products: NDCG@20 {:.4}, recall@20 {:.4}, coverage \
         {:.3} on {} held-out questions; {}",
        result["version"],
        number(&result["seconds"]),
        result["events"],
        result["shoppers"],
        result["products"],
        metric("ndcg@20"),
        metric("recall@20"),
        metric("coverage@20"),
        metric("questions"),
        if result["promoted"] == true { "live" } else { "not promoted" }
    );
    for words in list(&result["gate"]) {
        println!("  gate {}", text(words));
    }
    let search = &result["search"];
    let metric = |name: &str| number(&search["metrics"][name]);
    match search["skipped"].as_str() {
        Some(why) => println!("search: {why}"),
        None if search["version"].is_null() => {}
        None => println!(
            "search: trained v{} in {:.1} s on {} searches, {} of them clicked: weighed DCG@10 {:.4}, untaught {:.4} \
             (difference {:.4} to {:.4}) on {} held-out searches; {}",
            search["version"],
            number(&search["seconds"]),
            search["searches"],
            search["clicked_searches"],
            metric("weighed_dcg@10"),
            metric("untaught_weighed_dcg@10"),
            metric("difference_low"),
            metric("difference_high"),
            metric("searches"),
            if search["promoted"] == true { "live" } else { "not promoted" }
        ),
    }
    for words in list(&search["gate"]) {
        println!("  gate {}", text(words));
    }
    if search["proposed_synonyms"].as_u64().is_some_and(|count| count > 0) {
        println!("  {} synonyms proposed: GET /v1/search/synonym-proposals", search["proposed_synonyms"]);
    }
}

/// The first line of standard input; at a terminal, where typing would show it, one of 128 random bits. Whether it was made.
fn read_password() -> Result<(String, bool)> {
    if std::io::stdin().is_terminal() {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        return Ok((bits.iter().map(|byte| format!("{byte:02x}")).collect(), true));
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok((line.trim_end_matches(['\n', '\r']).to_owned(), false))
}

/// As it may stand in a path.
pub(crate) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
