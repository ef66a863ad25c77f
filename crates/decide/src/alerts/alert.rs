//! What an alert is.

use merx_domain::TimestampMs;
use serde::{Deserialize, Serialize};

/// Where an alert comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// An automation was stepped back.
    #[default]
    Guardrail,
    /// The same, for what it was kept for went down.
    Kpi,
    /// An automation has used up what it may do in an hour.
    Budget,
    /// Answers fail or are late faster than was promised.
    Slo,
    DataQuality,
    Drift,
    Fairness,
    /// Somebody wanted to see whether they are told.
    Test,
}

impl AlertKind {
    pub const ALL: [Self; 8] = [
        Self::Guardrail,
        Self::Kpi,
        Self::Budget,
        Self::Slo,
        Self::DataQuality,
        Self::Drift,
        Self::Fairness,
        Self::Test,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Guardrail => "guardrail",
            Self::Kpi => "kpi",
            Self::Budget => "budget",
            Self::Slo => "slo",
            Self::DataQuality => "data_quality",
            Self::Drift => "drift",
            Self::Fairness => "fairness",
            Self::Test => "test",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Notice,
    #[default]
    Warning,
    Critical,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    #[default]
    Open,
    /// Somebody knows; it is as it was.
    Acknowledged,
    /// It is over.
    Resolved,
}

impl AlertState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }
}

/// Something that an operator should know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// From 1.
    pub number: u64,
    pub at: TimestampMs,
    /// The engine that it is about; empty where it is about none.
    #[serde(default)]
    pub automation: String,
    pub words: String,
    #[serde(default)]
    pub kind: AlertKind,
    #[serde(default)]
    pub severity: Severity,
    /// What it is about: while an alert of a key isn't over, no other of the key is raised.
    #[serde(default)]
    pub key: String,
    #[serde(default)]
    pub state: AlertState,
    /// When it was seen last, and how often in all.
    #[serde(default)]
    pub last_at: Option<TimestampMs>,
    #[serde(default = "once")]
    pub times: u64,
    #[serde(default)]
    pub acknowledged_by: Option<String>,
    #[serde(default)]
    pub acknowledged_at: Option<TimestampMs>,
    #[serde(default)]
    pub resolved_at: Option<TimestampMs>,
    /// The figures behind the words.
    #[serde(default)]
    pub detail: serde_json::Value,
}

fn once() -> u64 {
    1
}

/// What is wrong, from whoever found it.
#[derive(Debug, Clone, PartialEq)]
pub struct Raise {
    pub kind: AlertKind,
    pub severity: Severity,
    pub key: String,
    pub automation: String,
    pub words: String,
    pub detail: serde_json::Value,
}

impl Raise {
    pub fn new(kind: AlertKind, key: impl Into<String>, words: impl Into<String>) -> Self {
        Self {
            kind,
            severity: Severity::default(),
            key: key.into(),
            automation: String::new(),
            words: words.into(),
            detail: serde_json::Value::Null,
        }
    }

    pub fn with_detail(self, detail: serde_json::Value) -> Self {
        Self { detail, ..self }
    }

    pub fn of(self, automation: &str) -> Self {
        Self { automation: automation.to_owned(), ..self }
    }

    pub fn with_severity(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }

    pub(super) fn alert(self, now: TimestampMs) -> Alert {
        Alert {
            number: 0,
            at: now,
            automation: self.automation,
            words: self.words,
            kind: self.kind,
            severity: self.severity,
            key: self.key,
            state: AlertState::Open,
            last_at: None,
            times: 1,
            acknowledged_by: None,
            acknowledged_at: None,
            resolved_at: None,
            detail: self.detail,
        }
    }
}
