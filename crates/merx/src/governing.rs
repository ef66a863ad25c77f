//! `merx automations`, `merx approvals`, `merx audit`: through the API.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use serde_json::{Value, json};

use crate::operate::{Desk, encoded, list, text};

/// Entries of the audit log that are asked for at once.
const PAGE: usize = 1_000;

#[derive(Debug, Subcommand)]
pub(crate) enum AutomationsAction {
    /// All automations, retired ones too (the default).
    List,
    /// Set a mode. More of an automation may have to wait for somebody else's approval.
    Mode {
        name: String,
        #[arg(value_parser = ["off", "shadow", "suggest", "canary", "live"])]
        mode: String,
        /// Of a canary: the share of shoppers.
        #[arg(long)]
        percent: Option<f64>,
        /// Only there.
        #[arg(long)]
        market: Option<String>,
        /// Only on pages that belong to it.
        #[arg(long, conflicts_with = "market")]
        campaign: Option<String>,
        #[arg(long, default_value = "")]
        why: String,
        #[arg(long, default_value = "")]
        expected_effect: String,
        #[arg(long, default_value = "")]
        risk: String,
        #[arg(long, default_value = "")]
        roll_back: String,
    },
    /// Take the mode of a market or a campaign away: the one for everywhere counts there again.
    #[command(group(clap::ArgGroup::new("place").required(true)))]
    Inherit {
        name: String,
        #[arg(long, group = "place")]
        market: Option<String>,
        #[arg(long, group = "place")]
        campaign: Option<String>,
    },
    /// Stop an automation at once, everywhere.
    Kill { name: String },
    /// Let a stopped automation go on.
    Revive { name: String },
    /// What somebody should know of, newest first.
    Alerts,
    /// Say that somebody knows of an alert.
    Acknowledge { number: u64 },
    /// What each automation earns.
    Value,
    /// The shop's figures.
    Figures {
        /// Whole days up to yesterday.
        #[arg(long, default_value_t = 28)]
        days: u32,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalsAction {
    /// All approvals, newest first (the default).
    List,
    /// Agree. Who asked can't.
    Approve {
        number: u64,
    },
    Refuse {
        number: u64,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditAction {
    /// Walk the chain: nothing may have been altered, left out or put in.
    Verify {
        /// A head that was written down before: nothing may be missing up to it.
        #[arg(long)]
        head: Option<String>,
    },
    /// Write all entries as JSON lines.
    Export {
        /// By default standard output.
        file: Option<PathBuf>,
    },
}

pub(crate) fn automations(desk: &Desk, action: AutomationsAction) -> Result<()> {
    let address = |name: &str, what: &str| format!("/v1/automations/{name}/{what}");
    match action {
        AutomationsAction::List => {
            list(&desk.client.get("/v1/automations")?["items"]).iter().for_each(print_automation);
        }
        AutomationsAction::Mode { name, mode, percent, market, campaign, why, expected_effect, risk, roll_back } => {
            let asked = json!({
                "mode": mode, "canary_percent": percent, "market": market, "campaign": campaign, "why": why,
                "expected_effect": expected_effect, "risk": risk, "roll_back": roll_back,
            });
            let answer = desk.client.post(&address(&name, "mode"), &asked)?;
            match answer["number"].as_u64() {
                Some(number) => println!("it waits for somebody else: merx approvals approve {number}"),
                None => print_automation(&answer),
            }
        }
        AutomationsAction::Inherit { name, market, campaign } => {
            let (field, value) = match (&market, &campaign) {
                (Some(market), _) => ("market", market.as_str()),
                (_, campaign) => ("campaign", campaign.as_deref().unwrap_or_default()),
            };
            let place = format!("mode?{field}={}", encoded(value));
            desk.client.delete(&address(&name, &place))?;
            print_automation(&desk.client.get(&format!("/v1/automations/{name}"))?);
        }
        AutomationsAction::Kill { name } => print_automation(&desk.client.post(&address(&name, "kill"), &json!({}))?),
        AutomationsAction::Revive { name } => {
            print_automation(&desk.client.post(&address(&name, "revive"), &json!({}))?);
        }
        AutomationsAction::Alerts => {
            for alert in list(&desk.client.get("/v1/alerts")?["items"]) {
                println!(
                    "{:4}  {}  {:12} {:9} {}",
                    alert["number"],
                    text(&alert["at"]),
                    text(&alert["state"]),
                    text(&alert["severity"]),
                    text(&alert["words"])
                );
            }
        }
        AutomationsAction::Acknowledge { number } => {
            let alert = desk.client.post(&format!("/v1/alerts/{number}/acknowledge"), &json!({}))?;
            println!("{} is {}", number, text(&alert["state"]));
        }
        AutomationsAction::Value => print_value(&desk.client.get("/v1/value")?),
        AutomationsAction::Figures { days } => {
            for kpi in list(&desk.client.get(&format!("/v1/kpis?days={days}"))?["kpis"]) {
                let value = kpi["value"].as_f64().map(|value| format!("{value:.4}"));
                let value = value.unwrap_or_else(|| format!("not measured: {}", text(&kpi["why_not"])));
                println!("{:28} {value}", text(&kpi["name"]));
            }
        }
    }
    Ok(())
}

fn print_value(page: &Value) {
    let currency = text(&page["currency"]);
    for value in list(&page["automations"]) {
        let words = match value["net"].as_object() {
            Some(net) => {
                let [estimate, low, high] =
                    ["estimate", "low", "high"].map(|end| net[end].as_f64().unwrap_or_default());
                format!("net {estimate:.0} {currency} [{low:.0}, {high:.0}] since {}", text(&value["from"]))
            }
            None => text(&value["why_not"]).to_owned(),
        };
        println!("{:12} {:12} {words}", text(&value["automation"]), text(&value["verdict"]));
    }
}

fn mode_words(mode: &Value) -> String {
    match mode["canary_percent"].as_f64() {
        Some(percent) => format!("canary {percent} %"),
        None => text(&mode["mode"]).to_owned(),
    }
}

fn print_automation(automation: &Value) {
    let markets = automation["markets"].as_object().into_iter().flatten();
    let campaigns = automation["campaigns"].as_object().into_iter().flatten();
    let mut words: Vec<String> = markets.map(|(market, mode)| format!("{market}: {}", mode_words(mode))).collect();
    words.extend(campaigns.map(|(campaign, mode)| format!("campaign {campaign}: {}", mode_words(mode))));
    words.extend(["killed", "retired"].into_iter().filter(|name| automation[*name] == true).map(str::to_owned));
    println!(
        "{:12} {:12} {}  {}  {}",
        text(&automation["name"]),
        mode_words(automation),
        words.join(", "),
        text(&automation["owner"]),
        text(&automation["purpose"])
    );
}

pub(crate) fn approvals(desk: &Desk, action: ApprovalsAction) -> Result<()> {
    let decide = |number: u64, what: &str| desk.client.post(&format!("/v1/approvals/{number}/{what}"), &json!({}));
    match action {
        ApprovalsAction::List => list(&desk.client.get("/v1/approvals")?["items"]).iter().for_each(print_approval),
        ApprovalsAction::Approve { number } => print_approval(&decide(number, "approve")?),
        ApprovalsAction::Refuse { number } => print_approval(&decide(number, "refuse")?),
    }
    Ok(())
}

fn print_approval(approval: &Value) {
    let loosened: Vec<&str> = list(&approval["loosened"]).iter().map(text).collect();
    let what = if loosened.is_empty() { format!("to {}", mode_words(approval)) } else { loosened.join(", ") };
    println!(
        "{:4} {:8} {} {what}: {} (asked by {})",
        approval["number"],
        text(&approval["state"]),
        text(&approval["automation"]),
        text(&approval["why"]),
        text(&approval["asked_by"])
    );
}

pub(crate) fn audit(desk: &Desk, action: AuditAction) -> Result<()> {
    match action {
        AuditAction::Verify { head } => {
            let head = head.map(|head| format!("?head={head}")).unwrap_or_default();
            let found = desk.client.get(&format!("/v1/audit/verification{head}"))?;
            if found["sound"] != true {
                match (found["broken_at"].as_u64(), found["altered"].as_str()) {
                    (Some(number), _) => bail!("entry {number} doesn't follow from the ones before it"),
                    (None, Some(decision)) => bail!("the record of decision {decision} isn't what its entry says"),
                    (None, None) => {
                        bail!("the head that was given is not on the chain: entries are missing at its end")
                    }
                }
            }
            println!("{} entries, each follows from the ones before; head {}", found["entries"], text(&found["head"]));
        }
        AuditAction::Export { file } => {
            let mut out: Box<dyn Write> = match &file {
                Some(path) => {
                    Box::new(std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?)
                }
                None => Box::new(std::io::stdout().lock()),
            };
            let mut after = 0;
            loop {
                let page = desk.client.get(&format!("/v1/audit?after={after}&limit={PAGE}"))?;
                let entries = list(&page["items"]);
                let Some(last) = entries.last() else { break };
                after = last["number"].as_u64().unwrap_or(u64::MAX);
                for entry in entries {
                    writeln!(out, "{entry}")?;
                }
            }
        }
    }
    Ok(())
}
