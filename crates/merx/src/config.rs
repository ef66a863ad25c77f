//! Configuration: the compiled-in default, then a file, then the environment, then flags. Every value knows where it
//! came from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use toml::{Table, Value};

pub(crate) const DEFAULT: &str = include_str!("../../../config/default.toml");
const ENVIRONMENT_PREFIX: &str = "MERX_";
/// Read elsewhere, or of the same prefix for another reason.
const ENVIRONMENT_SECRETS: [&str; 7] = [
    "MERX_VAULT_KEY",
    "MERX_VAULT_KEY_FILE",
    "MERX_SHOPIFY_SECRET",
    "MERX_OPENDSR_SECRET",
    "MERX_SMTP_PASSWORD",
    "MERX_OIDC_SECRET",
    "MERX_EMBEDDINGS_KEY",
];

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) data: Data,
    pub(crate) storage: crate::storage::Storage,
    pub(crate) server: Server,
    pub(crate) limits: Limits,
    pub(crate) market: Market,
    pub(crate) consent: Consent,
    pub(crate) vault: Vault,
    pub(crate) privacy: Privacy,
    pub(crate) recommend: Recommend,
    pub(crate) search: Search,
    pub(crate) experiments: Experiments,
    pub(crate) slo: Slo,
    pub(crate) alerts: AlertsConfig,
    pub(crate) oidc: OidcConfig,
    pub(crate) record: Record,
    pub(crate) retention: Retention,
    pub(crate) train: Train,
    pub(crate) jobs: Jobs,
    pub(crate) lake: Lake,
    pub(crate) log: Log,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Data {
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    pub(crate) listen: std::net::SocketAddr,
    pub(crate) advertise: String,
    pub(crate) max_body_bytes: usize,
    pub(crate) request_timeout_ms: u64,
    pub(crate) cors_origins: Vec<String>,
    pub(crate) shutdown_grace_ms: u64,
    pub(crate) public_keys_name_customers: bool,
    pub(crate) public_keys_list_products: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Jobs {
    pub(crate) here: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) requests_per_second: f64,
    pub(crate) burst: u32,
    pub(crate) queued_events: usize,
    pub(crate) decisions_at_once: usize,
    pub(crate) longest_wait_ms: u64,
    pub(crate) newcomers_per_second: f64,
    pub(crate) newcomers_burst: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Market {
    pub(crate) default: merx_domain::MarketId,
    pub(crate) currency: merx_domain::Currency,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Consent {
    pub(crate) allowed_unless_denied: Vec<Purpose>,
    pub(crate) categories: BTreeMap<String, Vec<Purpose>>,
    #[serde(default)]
    pub(crate) regions: BTreeMap<String, merx_domain::RegionDocument>,
}

/// The region of markets that no other region names.
const ELSEWHERE: &str = "default";

impl Consent {
    /// As the policy engine reads it.
    pub(crate) fn document(&self) -> merx_domain::PolicyDocument {
        let names = merx_domain::Purposes::NAMES;
        let allowed = purposes(&self.allowed_unless_denied);
        let allowed = names.iter().filter(|(purpose, _)| allowed.contains(*purpose));
        let elsewhere = merx_domain::RegionDocument {
            allowed_unless_denied: allowed.map(|(_, name)| (*name).to_owned()).collect(),
            ..Default::default()
        };
        let mut regions = self.regions.clone();
        regions.entry(ELSEWHERE.to_owned()).or_insert(elsewhere);
        merx_domain::PolicyDocument { default_region: ELSEWHERE.to_owned(), regions }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Purpose {
    Necessary,
    Analytics,
    Personalisation,
    Marketing,
    AutomatedDecisions,
    SaleSharing,
}

/// The set of several purposes.
pub(crate) fn purposes(list: &[Purpose]) -> merx_domain::Purposes {
    use merx_domain::Purposes;
    let one = |purpose: &Purpose| match purpose {
        Purpose::Necessary => Purposes::NECESSARY,
        Purpose::Analytics => Purposes::ANALYTICS,
        Purpose::Personalisation => Purposes::PERSONALISATION,
        Purpose::Marketing => Purposes::MARKETING,
        Purpose::AutomatedDecisions => Purposes::AUTOMATED_DECISIONS,
        Purpose::SaleSharing => Purposes::SALE_SHARING,
    };
    list.iter().map(one).fold(Purposes::empty(), |all, one| all | one)
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vault {
    pub(crate) key_file: PathBuf,
    pub(crate) key_command: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Privacy {
    pub(crate) deadline_days: u32,
    pub(crate) proof_days: u32,
    pub(crate) keep_reads_days: u32,
    pub(crate) also_scan: Vec<PathBuf>,
    pub(crate) controller_id: String,
    pub(crate) processor_domain: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recommend {
    pub(crate) deadline_ms: u32,
    pub(crate) holdout: f64,
    pub(crate) holdout_salt: String,
    pub(crate) static_list: Vec<merx_domain::ProductId>,
    pub(crate) slots: BTreeMap<String, SlotConfig>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SlotConfig {
    pub(crate) scenario: merx_domain::Scenario,
    pub(crate) count: usize,
    #[serde(default)]
    pub(crate) diversity: f32,
    #[serde(default)]
    pub(crate) goal: merx_domain::Goal,
    #[serde(default)]
    pub(crate) filter: Option<String>,
    #[serde(default)]
    pub(crate) boosts: Vec<BoostConfig>,
    #[serde(default)]
    pub(crate) static_list: Vec<merx_domain::ProductId>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BoostConfig {
    pub(crate) field: String,
    pub(crate) strength: f32,
}

impl SlotConfig {
    /// The boosts as the shelf knows them.
    pub(crate) fn boosts(&self) -> Result<Vec<merx_decide::Boost>> {
        let boost = |boost: &BoostConfig| {
            if !(-1.0..=10.0).contains(&boost.strength) {
                bail!("strength = {}: expected -1 to 10", boost.strength);
            }
            let field =
                merx_decide::BoostField::parse(&boost.field).with_context(|| format!("field {:?}", boost.field))?;
            Ok(merx_decide::Boost { field, strength: boost.strength })
        };
        self.boosts.iter().map(boost).collect()
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Search {
    pub(crate) index: String,
    pub(crate) languages: Vec<merx_discovery::search::text::Language>,
    pub(crate) meaning: bool,
    pub(crate) deadline_ms: u32,
    pub(crate) holdout: f64,
    pub(crate) holdout_salt: String,
    pub(crate) popularity: f32,
    pub(crate) margin: f32,
    pub(crate) stock: f32,
    pub(crate) newness: f32,
    pub(crate) clicks: f32,
    pub(crate) personal: f32,
    pub(crate) encoder: Encoder,
}

/// Who says what texts mean, beside the shop's own encoder.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Encoder {
    pub(crate) kind: String,
    pub(crate) folder: PathBuf,
    pub(crate) most_tokens: usize,
    pub(crate) url: String,
    pub(crate) model: String,
    pub(crate) key_file: PathBuf,
    pub(crate) batch: usize,
    pub(crate) timeout_ms: u64,
    pub(crate) texts_per_day: u64,
    pub(crate) tokens_per_day: u64,
    pub(crate) dimensions: usize,
    pub(crate) query_prefix: String,
    pub(crate) product_prefix: String,
    pub(crate) text_bytes: usize,
    pub(crate) wait_ms: u64,
    pub(crate) kept_queries: usize,
    pub(crate) warmed_queries: usize,
    pub(crate) least_cosine: f32,
}

impl Encoder {
    fn check(&self) -> Result<()> {
        let missing = |key: &str| bail!("search.encoder.{key} is empty, and kind = {:?} needs it", self.kind);
        match self.kind.as_str() {
            "own" => {}
            "sentence" if self.folder.as_os_str().is_empty() => return missing("folder"),
            "sentence" => {}
            "endpoint" if self.model.is_empty() => return missing("model"),
            "endpoint" if !self.url.starts_with("https://") && !self.url.starts_with("http://") => {
                bail!("search.encoder.url = {:?}: expected an address that begins with https:// or http://", self.url)
            }
            "endpoint" => {}
            other => bail!("search.encoder.kind = {other:?}: expected own, sentence or endpoint"),
        }
        let counts = [("batch", self.batch, 2_048), ("kept_queries", self.kept_queries, 10_000_000)];
        for (key, value, most) in counts {
            if !(1..=most).contains(&value) {
                bail!("search.encoder.{key} = {value}: expected 1 to {most}");
            }
        }
        if !(100..=600_000).contains(&self.timeout_ms) {
            bail!("search.encoder.timeout_ms = {}: expected 100 to 600000", self.timeout_ms);
        }
        if self.wait_ms > 1_000 {
            bail!("search.encoder.wait_ms = {}: expected 0 to 1000", self.wait_ms);
        }
        if !(0.0..=1.0).contains(&self.least_cosine) {
            bail!("search.encoder.least_cosine = {}: expected 0 to 1", self.least_cosine);
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Experiments {
    pub(crate) holdout: f64,
    pub(crate) holdout_salt: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Slo {
    pub(crate) fallback_share: f64,
    pub(crate) trouble_share: f64,
    pub(crate) slow_share: f64,
    pub(crate) slow_ms: f64,
}

/// Sign-in to the console by an issuer; none where its address is empty.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OidcConfig {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) public_url: String,
    pub(crate) label: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) name_claim: String,
    pub(crate) roles_claim: String,
    #[serde(default)]
    pub(crate) roles: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlertsConfig {
    /// Filters by the names of groups.
    #[serde(default)]
    pub(crate) fairness_groups: BTreeMap<String, String>,
    pub(crate) smtp_host: String,
    pub(crate) smtp_port: u16,
    pub(crate) smtp_security: String,
    pub(crate) smtp_user: String,
    pub(crate) mail_from: String,
    pub(crate) mail_to: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) queue: usize,
    pub(crate) keep_days: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retention {
    pub(crate) events_days: u32,
    #[serde(default)]
    pub(crate) kinds: BTreeMap<String, u32>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Train {
    pub(crate) every_hours: u32,
    pub(crate) window_days: u32,
    pub(crate) held_out: f64,
    pub(crate) gate_margin: f64,
    pub(crate) gate_coverage: f64,
    pub(crate) gate_latency_ms: f64,
    pub(crate) label_queue: String,
    pub(crate) seed: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lake {
    pub(crate) export: bool,
    pub(crate) after_events: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) level: String,
    pub(crate) format: String,
}

/// A configuration and, by dotted key, the value in force and its origin.
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) values: BTreeMap<String, (Value, String)>,
}

/// Lays the sources over each other. `environment` is all variables; `flags` are `section.key=value`.
pub(crate) fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: &[String],
) -> Result<Loaded> {
    let mut values = BTreeMap::new();
    let default: Table = DEFAULT.parse().context("config/default.toml")?;
    lay(&mut values, "", &default, "default");
    let known: Vec<String> = values.keys().cloned().collect();
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let table: Table = text.parse().with_context(|| format!("{} is not valid TOML", path.display()))?;
        lay(&mut values, "", &table, &format!("file {}", path.display()));
    }
    let mut variables: Vec<(String, String)> = environment
        .into_iter()
        .filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX) && !ENVIRONMENT_SECRETS.contains(&name.as_str()))
        .collect();
    variables.sort();
    for (name, text) in variables {
        let key = name[ENVIRONMENT_PREFIX.len()..].to_lowercase().replace("__", ".");
        // A variable of another tool may share the prefix: one without a section can't be meant for us.
        if key.contains('.') {
            set(&mut values, &known, &key, &text, &format!("environment {name}"))?;
        }
    }
    for flag in flags {
        let Some((key, text)) = flag.split_once('=') else { bail!("--set {flag}: expected section.key=value") };
        set(&mut values, &known, key.trim(), text.trim(), "flag --set")?;
    }
    let table = nest(&values)?;
    let config: Config = table.try_into().context("configuration")?;
    check(&config)?;
    Ok(Loaded { config, values })
}

fn lay(values: &mut BTreeMap<String, (Value, String)>, prefix: &str, table: &Table, origin: &str) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) => lay(values, &path, inner, origin),
            _ => {
                values.insert(path, (value.clone(), origin.to_owned()));
            }
        }
    }
}

fn set(
    values: &mut BTreeMap<String, (Value, String)>,
    known: &[String],
    key: &str,
    text: &str,
    origin: &str,
) -> Result<()> {
    let open_section =
        ["recommend.slots.", "consent.categories.", "consent.regions.", "retention.kinds.", "alerts.fairness_groups."]
            .iter()
            .any(|section| key.starts_with(section));
    if !known.iter().any(|name| name == key) && !open_section {
        let near = known.iter().min_by_key(|name| distance(name, key)).cloned().unwrap_or_default();
        bail!("{origin}: there is no setting {key}; did you mean {near}?");
    }
    // What is not a TOML value is a text: `--set server.listen=0.0.0.0:80` needs no quotes.
    let value = format!("value = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"))
        .filter(|value| !matches!(values.get(key), Some((Value::String(_), _))) || value.is_str())
        .unwrap_or_else(|| Value::String(text.to_owned()));
    values.insert(key.to_owned(), (value, origin.to_owned()));
    Ok(())
}

/// Edit distance, for "did you mean".
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn nest(values: &BTreeMap<String, (Value, String)>) -> Result<Table> {
    let mut root = Table::new();
    for (path, (value, origin)) in values {
        let mut table = &mut root;
        let mut parts: Vec<&str> = path.split('.').collect();
        let last = parts.pop().unwrap_or_default();
        for part in parts {
            let inner = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
            let Value::Table(next) = inner else { bail!("{origin}: {path}: {part} is a value, not a section") };
            table = next;
        }
        table.insert(last.to_owned(), value.clone());
    }
    Ok(root)
}

/// What types can't say.
fn check(config: &Config) -> Result<()> {
    let share = |name: &str, value: f64| {
        if (0.0..=1.0).contains(&value) { Ok(()) } else { bail!("{name} = {value}: expected a share from 0 to 1") }
    };
    config.storage.check()?;
    share("recommend.holdout", config.recommend.holdout)?;
    share("search.holdout", config.search.holdout)?;
    share("experiments.holdout", config.experiments.holdout)?;
    share("train.held_out", config.train.held_out)?;
    share("train.gate_margin", config.train.gate_margin)?;
    share("train.gate_coverage", config.train.gate_coverage)?;
    share("slo.fallback_share", config.slo.fallback_share)?;
    share("slo.trouble_share", config.slo.trouble_share)?;
    share("slo.slow_share", config.slo.slow_share)?;
    let search = &config.search;
    let weights = [
        ("popularity", search.popularity),
        ("margin", search.margin),
        ("stock", search.stock),
        ("newness", search.newness),
        ("clicks", search.clicks),
    ];
    for (name, weight) in weights {
        if !(-1.0..=1.0).contains(&weight) {
            bail!("search.{name} = {weight}: expected -1 to 1");
        }
    }
    if !(1.0..=3.0).contains(&search.personal) {
        bail!("search.personal = {}: expected 1 to 3", search.personal);
    }
    search.encoder.check()?;
    if !["text", "json"].contains(&config.log.format.as_str()) {
        bail!("log.format = {:?}: expected text or json", config.log.format);
    }
    if let Err(mistakes) = merx_domain::PolicySet::read(0, &config.consent.document()) {
        let words: Vec<String> = mistakes.iter().map(|mistake| format!("consent.{mistake}")).collect();
        bail!("{}", words.join("; "));
    }
    for name in config.retention.kinds.keys() {
        if merx_domain::EventKind::from_track_name(name).is_none() {
            let known = merx_domain::EventKind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
            bail!("retention.kinds: there is no event {name:?}; known: {known}");
        }
    }
    for (name, slot) in &config.recommend.slots {
        if slot.count == 0 || slot.count > 100 {
            bail!("recommend.slots.{name}.count = {}: expected 1 to 100", slot.count);
        }
        if let Some(filter) = &slot.filter {
            merx_domain::Filter::parse(filter).with_context(|| format!("recommend.slots.{name}.filter"))?;
        }
        slot.boosts().with_context(|| format!("recommend.slots.{name}.boosts"))?;
    }
    Ok(())
}

/// Prints the values in force, a line each.
pub(crate) fn print(loaded: &Loaded, json: bool) {
    let width = loaded.values.keys().map(String::len).max().unwrap_or(0);
    for (key, (value, origin)) in &loaded.values {
        let value = match value.as_str() {
            Some(address) if key.starts_with("storage.") => &Value::String(crate::storage::shown(address)),
            _ => value,
        };
        if json {
            println!("{}", serde_json::json!({ "key": key, "value": value, "origin": origin }));
        } else {
            println!("{key:width$} = {value}  # {origin}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> Vec<(String, String)> {
        Vec::new()
    }

    #[test]
    fn the_default_is_complete() {
        let loaded = load(None, none(), &[]).unwrap();
        assert_eq!(loaded.config.server.listen.port(), 8080);
        assert!(loaded.values.values().all(|(_, origin)| origin == "default"));
    }

    #[test]
    fn later_sources_win_and_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shop.toml");
        std::fs::write(&file, "[server]\nlisten = \"127.0.0.1:1\"\n[record]\nkeep_days = 5\n").unwrap();
        let environment = vec![
            ("MERX_SERVER__LISTEN".to_owned(), "127.0.0.1:2".to_owned()),
            ("MERX_VAULT_KEY".to_owned(), "secret".to_owned()),
            ("MERX_HOME".to_owned(), "elsewhere".to_owned()),
        ];
        let loaded = load(Some(&file), environment.clone(), &["server.listen=127.0.0.1:3".to_owned()]).unwrap();
        assert_eq!(loaded.config.server.listen.port(), 3);
        assert_eq!(loaded.values["server.listen"].1, "flag --set");
        assert_eq!(loaded.config.record.keep_days, 5);
        let loaded = load(Some(&file), environment, &[]).unwrap();
        assert_eq!(loaded.values["server.listen"].1, "environment MERX_SERVER__LISTEN");
        assert!(!loaded.values.values().any(|(value, _)| value.as_str() == Some("secret")));
    }

    #[test]
    fn mistakes_are_named() {
        let fails = |flag: &str| format!("{:#}", load(None, none(), &[flag.to_owned()]).err().unwrap());
        assert!(fails("server.lsten=1").contains("did you mean server.listen"));
        assert!(fails("recommend.holdout=2").contains("0 to 1"));
        assert!(fails("search.encoder.kind=neural").contains("own, sentence or endpoint"));
        assert!(fails("search.encoder.kind=sentence").contains("folder is empty"));
        assert!(fails("retention.kinds.Pgae=3").contains("there is no event \"Pgae\""));
        assert!(
            fails("consent.regions.ccpa={markets=[\"US-CA\"],never=[\"profit\"]}").contains("no purpose \"profit\"")
        );
        assert!(fails("server.listen=nowhere").contains("listen"));
        assert!(fails("train").contains("section.key=value"));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shop.toml");
        std::fs::write(&file, "[server]\nlistn = \"x\"\n").unwrap();
        assert!(format!("{:#}", load(Some(&file), none(), &[]).err().unwrap()).contains("listn"));
    }
}
