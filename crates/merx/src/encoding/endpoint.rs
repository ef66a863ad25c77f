//! Embeddings endpoints that speak OpenAI's protocol: `POST BASE/embeddings` with `{model, input, dimensions?}`.
//!
//! The shop's texts leave the house here, and nowhere else in search. Calls are bounded in size, time, number and frequency: what fails is
//! left alone for a while that grows, or that the endpoint asks for; meanwhile it isn't called.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use merx_domain::{Clock, TimestampMs};
use merx_models::{EncodeError, TextEncoder, TextRole, unit};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;

use super::budget::Budget;

/// A vector of 4,096 components has about 50 kB as text.
const MOST_BYTES_A_TEXT: u64 = 128 << 10;
/// A shopper waits: what takes longer than this is of no use to anybody.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);
const FIRST_PAUSE_MS: i64 = 1_000;
const LONGEST_PAUSE_MS: i64 = 5 * 60_000;
/// Of what an endpoint says about its refusal.
const MOST_WORDS: usize = 200;

/// A key that can't be printed.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// Without the key, where somebody repeats it.
    fn hide(&self, text: &str) -> String {
        text.replace(&self.0, "***")
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

#[derive(Debug, Clone)]
pub(crate) struct EndpointSettings {
    /// `BASE`, without `/embeddings`.
    pub(crate) url: String,
    pub(crate) model: String,
    /// Asked for and checked; 0: as many as the endpoint answers.
    pub(crate) dimensions: usize,
    pub(crate) batch: usize,
    pub(crate) timeout: Duration,
    pub(crate) query_prefix: String,
    pub(crate) product_prefix: String,
    pub(crate) key: Option<Secret>,
}

impl EndpointSettings {
    /// Names the space of its vectors.
    pub(crate) fn id(&self) -> String {
        let Self { url, model, dimensions, query_prefix, product_prefix, .. } = self;
        let told = format!("{} {model} {dimensions} {query_prefix:?} {product_prefix:?}", url.trim_end_matches('/'));
        format!("endpoint:{model}:{}", &blake3::hash(told.as_bytes()).to_hex()[..12])
    }
}

/// What fails is not tried again before a moment.
#[derive(Debug, Default)]
struct Breaker {
    failures: u32,
    until: Option<(TimestampMs, EncodeError)>,
}

pub(crate) struct Endpoint {
    id: String,
    settings: EndpointSettings,
    agent: ureq::Agent,
    clock: Arc<dyn Clock>,
    budget: Arc<Budget>,
    breaker: Mutex<Breaker>,
    dimensions: OnceLock<usize>,
}

struct Failure {
    error: EncodeError,
    retry_after_ms: Option<i64>,
}

impl From<EncodeError> for Failure {
    fn from(error: EncodeError) -> Self {
        Self { error, retry_after_ms: None }
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Embedding>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Embedding {
    #[serde(default)]
    index: Option<usize>,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    total_tokens: Option<u64>,
}

impl Endpoint {
    pub(crate) fn new(settings: EndpointSettings, budget: Arc<Budget>, clock: Arc<dyn Clock>) -> Self {
        // Keys and texts go where the operator said and nowhere else: redirects are failures.
        let config = ureq::Agent::config_builder().max_redirects(0).http_status_as_error(false).build();
        let dimensions = OnceLock::new();
        if settings.dimensions > 0 {
            let _ = dimensions.set(settings.dimensions);
        }
        let (id, breaker) = (settings.id(), Mutex::default());
        Self { id, settings, agent: config.into(), clock, budget, breaker, dimensions }
    }

    /// Vectors and the tokens that they cost.
    fn call(&self, texts: &[&str], role: TextRole) -> Result<(Vec<Vec<f32>>, Option<u64>), Failure> {
        let (prefix, timeout) = match role {
            TextRole::Query => (&self.settings.query_prefix, self.settings.timeout.min(QUERY_TIMEOUT)),
            TextRole::Product => (&self.settings.product_prefix, self.settings.timeout),
        };
        let input: Vec<String> = texts.iter().map(|text| format!("{prefix}{text}")).collect();
        let mut body = json!({ "model": self.settings.model, "input": input });
        if self.settings.dimensions > 0 {
            body["dimensions"] = json!(self.settings.dimensions);
        }
        let url = format!("{}/embeddings", self.settings.url.trim_end_matches('/'));
        let request = self.agent.post(&url).config().timeout_global(Some(timeout)).build();
        let request = request.header("content-type", "application/json");
        let request = match &self.settings.key {
            Some(Secret(key)) => request.header("authorization", format!("Bearer {key}")),
            None => request,
        };
        let unreachable = |error: ureq::Error| EncodeError::Unavailable(format!("it can't be reached: {error}"));
        let mut response = request.send(body.to_string().as_str()).map_err(unreachable)?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let retry_after_ms =
            retry_after.and_then(|seconds| seconds.trim().parse::<i64>().ok()).map(|s| s.saturating_mul(1_000));
        let most_bytes = MOST_BYTES_A_TEXT * (texts.len() as u64 + 1);
        let text = response.body_mut().with_config().limit(most_bytes).read_to_string();
        if status != 200 {
            let error = self.refusal(status, &text.unwrap_or_default());
            return Err(Failure { error, retry_after_ms });
        }
        let text = text.map_err(unreachable)?;
        let answer: Answer = serde_json::from_str(&text)
            .map_err(|_| EncodeError::Unavailable("it answers 200 with what is no list of embeddings".to_owned()))?;
        let tokens = answer.usage.as_ref().and_then(|usage| usage.total_tokens);
        Ok((self.in_order(answer.data, texts.len())?, tokens))
    }

    fn refusal(&self, status: u16, text: &str) -> EncodeError {
        let told: Option<serde_json::Value> = serde_json::from_str(text).ok();
        let message = told.as_ref().and_then(|told| told["error"]["message"].as_str()).unwrap_or_default();
        let message: String = message.chars().filter(|c| !c.is_control()).take(MOST_WORDS).collect();
        let message = self.settings.key.as_ref().map_or(message.clone(), |key| key.hide(&message));
        let words = |what: &str| match message.is_empty() {
            true => format!("it answers {status}{what}"),
            false => format!("it answers {status}{what}: {message}"),
        };
        match status {
            // What they say of a key is not repeated.
            401 | 403 => EncodeError::Refused(format!("it answers {status}: the key is missing or wrong")),
            429 => EncodeError::Unavailable(words(" (too many calls)")),
            408 | 425 | 500.. => EncodeError::Unavailable(words("")),
            300..=399 => EncodeError::Refused(format!("it answers {status}: redirects are not followed")),
            _ => EncodeError::Refused(words("")),
        }
    }

    /// One vector of the right length a text, in the order of the texts.
    fn in_order(&self, data: Vec<Embedding>, count: usize) -> Result<Vec<Vec<f32>>, EncodeError> {
        let wrong = |problem: String| EncodeError::Refused(problem);
        if data.len() != count {
            return Err(wrong(format!("it answers {} vectors to {count} texts", data.len())));
        }
        let mut vectors: Vec<Option<Vec<f32>>> = vec![None; count];
        for (place, Embedding { index, embedding }) in data.into_iter().enumerate() {
            let expected = *self.dimensions.get_or_init(|| embedding.len());
            if embedding.len() != expected {
                let found = embedding.len();
                return Err(wrong(format!("it answers vectors of {found} components where {expected} were expected")));
            }
            let slot = vectors.get_mut(index.unwrap_or(place)).filter(|slot| slot.is_none());
            let slot = slot.ok_or_else(|| wrong("it numbers its vectors so that some are missing".to_owned()))?;
            *slot = Some(unit(embedding).ok_or_else(|| wrong("it answers with what is no vector".to_owned()))?);
        }
        Ok(vectors.into_iter().flatten().collect())
    }

    fn check_breaker(&self) -> Result<(), EncodeError> {
        match &self.breaker.lock().until {
            Some((until, error)) if self.clock.now() < *until => Err(error.clone()),
            _ => Ok(()),
        }
    }

    fn trip(&self, failure: &Failure) {
        let mut breaker = self.breaker.lock();
        let doubled = FIRST_PAUSE_MS << breaker.failures.min(16);
        let pause_ms = match failure.error {
            EncodeError::Refused(_) => LONGEST_PAUSE_MS,
            _ => failure.retry_after_ms.unwrap_or(doubled).clamp(0, LONGEST_PAUSE_MS),
        };
        breaker.failures += 1;
        breaker.until = Some((self.clock.now().plus_ms(pause_ms), failure.error.clone()));
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("settings", &self.settings).field("breaker", &self.breaker).finish()
    }
}

impl TextEncoder for Endpoint {
    fn id(&self) -> &str {
        &self.id
    }

    fn encode(&self, texts: &[&str], role: TextRole) -> Result<Vec<Vec<f32>>, EncodeError> {
        let mut found = Vec::with_capacity(texts.len());
        for batch in texts.chunks(self.batch()) {
            self.check_breaker()?;
            let taken = self.budget.take(batch, role)?;
            let uncounted = |error| EncodeError::Unavailable(format!("its budget can't be counted: {error}"));
            match self.call(batch, role) {
                Ok((vectors, tokens)) => {
                    *self.breaker.lock() = Breaker::default();
                    self.budget.settle(&taken, tokens).map_err(uncounted)?;
                    found.extend(vectors);
                }
                Err(failure) => {
                    self.trip(&failure);
                    self.budget.failed(&taken).map_err(uncounted)?;
                    return Err(failure.error);
                }
            }
        }
        Ok(found)
    }

    fn batch(&self) -> usize {
        self.settings.batch.max(1)
    }

    fn is_repeatable(&self) -> bool {
        false
    }
}
