//! What an endpoint may be sent in a day, counted in records before anything is sent: a crash counts too much rather than too little.

use std::sync::Arc;

use merx_domain::{Clock, DAY_MS};
use merx_models::{EncodeError, TextRole};
use merx_serve::EncoderBudget;
use merx_store::{Records, StoreError, Value};

/// Shoppers' queries keep so many hundredths of the budget, however many products there are.
const PRODUCTS_PERCENT: i64 = 90;
/// About so many bytes are a token; corrected by what the endpoint tells.
const TOKEN_BYTES: usize = 4;

/// 0: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) texts_per_day: u64,
    pub(crate) tokens_per_day: u64,
}

pub(crate) struct Budget {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    encoder: String,
    limits: Limits,
}

/// Tokens that are counted before it is known how many there are.
pub(crate) struct Taken {
    day: i64,
    tokens: i64,
}

impl Budget {
    pub(crate) fn new(records: Arc<dyn Records>, clock: Arc<dyn Clock>, encoder: String, limits: Limits) -> Self {
        Self { records, clock, encoder, limits }
    }

    fn today(&self) -> i64 {
        self.clock.now().0.div_euclid(DAY_MS)
    }

    /// Counts texts that are about to be sent, if they may be.
    pub(crate) fn take(&self, texts: &[&str], role: TextRole) -> Result<Taken, EncodeError> {
        let tokens = texts.iter().map(|text| text.len() / TOKEN_BYTES + 1).sum::<usize>();
        let (day, tokens) = (self.today(), i64::try_from(tokens).unwrap_or(i64::MAX));
        let limits = [self.limits.texts_per_day, self.limits.tokens_per_day].map(|limit| limit_of(limit, role));
        let counts = [day, texts.len() as i64, tokens, limits[0], limits[1]].map(Value::Integer);
        let [day_value, texts_value, tokens_value, most_texts, most_tokens] = counts;
        let encoder = Value::Text(self.encoder.clone());
        let mut taken = false;
        let counted = self.records.transaction(&mut |transaction| {
            transaction.execute(
                "INSERT INTO encoder_usage (day, encoder, texts, tokens, calls, failures) VALUES ($1, $2, 0, 0, 0, 0)
                 ON CONFLICT (day, encoder) DO NOTHING",
                &[day_value.clone(), encoder.clone()],
            )?;
            let rows = transaction.execute(
                "UPDATE encoder_usage SET texts = texts + $3, tokens = tokens + $4, calls = calls + 1
                 WHERE day = $1 AND encoder = $2 AND texts + $3 <= $5 AND tokens + $4 <= $6",
                &[
                    day_value.clone(),
                    encoder.clone(),
                    texts_value.clone(),
                    tokens_value.clone(),
                    most_texts.clone(),
                    most_tokens.clone(),
                ],
            )?;
            taken = rows > 0;
            Ok(())
        });
        counted.map_err(|error| EncodeError::Unavailable(format!("its budget can't be counted: {error}")))?;
        let words = || {
            let of = |limit: u64, unit: &str| (limit > 0).then(|| format!("{limit} {unit}"));
            let limits = [of(self.limits.texts_per_day, "texts"), of(self.limits.tokens_per_day, "tokens")];
            let limits: Vec<String> = limits.into_iter().flatten().collect();
            EncodeError::Spent(format!("the day's budget of {} is spent until midnight UTC", limits.join(" and ")))
        };
        if taken { Ok(Taken { day, tokens }) } else { Err(words()) }
    }

    /// Corrects what was counted by what the endpoint says it was.
    pub(crate) fn settle(&self, taken: &Taken, tokens: Option<u64>) -> Result<(), StoreError> {
        let Some(tokens) = tokens.and_then(|tokens| i64::try_from(tokens).ok()) else { return Ok(()) };
        self.add(
            "UPDATE encoder_usage SET tokens = tokens + $3 WHERE day = $1 AND encoder = $2",
            taken,
            tokens - taken.tokens,
        )
    }

    pub(crate) fn failed(&self, taken: &Taken) -> Result<(), StoreError> {
        self.add("UPDATE encoder_usage SET failures = failures + $3 WHERE day = $1 AND encoder = $2", taken, 1)
    }

    fn add(&self, sql: &str, taken: &Taken, amount: i64) -> Result<(), StoreError> {
        let values = [Value::Integer(taken.day), Value::Text(self.encoder.clone()), Value::Integer(amount)];
        self.records.transaction(&mut |transaction| transaction.execute(sql, &values).map(drop))
    }

    pub(crate) fn status(&self) -> Result<EncoderBudget, StoreError> {
        let sql = "SELECT texts, tokens, calls, failures FROM encoder_usage WHERE day = $1 AND encoder = $2";
        let rows = self.records.query(sql, &[Value::Integer(self.today()), Value::Text(self.encoder.clone())])?;
        let of = |place: usize| rows.first().map_or(0, |row| crate::search_log::count(row, place));
        Ok(EncoderBudget {
            texts_today: of(0),
            texts_per_day: self.limits.texts_per_day,
            tokens_today: of(1),
            tokens_per_day: self.limits.tokens_per_day,
            calls_today: of(2),
            failures_today: of(3),
        })
    }
}

fn limit_of(limit: u64, role: TextRole) -> i64 {
    let limit = if limit == 0 { i64::MAX } else { i64::try_from(limit).unwrap_or(i64::MAX) };
    match role {
        TextRole::Query => limit,
        TextRole::Product => limit / 100 * PRODUCTS_PERCENT + limit % 100 * PRODUCTS_PERCENT / 100,
    }
}
