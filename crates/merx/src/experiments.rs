//! `merx experiments`: definitions, their life, and their reports, through the API.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Subcommand;
use serde_json::{Value, json};

use crate::operate::{Desk, list, number, text};

#[derive(Debug, Subcommand)]
pub(crate) enum ExperimentsAction {
    /// All experiments and flags (the default).
    List,
    /// Make a draft, or change an experiment, from a JSON file.
    Put {
        id: String,
        /// The definition; `-` reads standard input.
        file: PathBuf,
        /// Only say what would keep it from going live.
        #[arg(long)]
        dry_run: bool,
    },
    /// Print a definition as JSON.
    Show { id: String },
    /// Let a draft run.
    Start { id: String },
    /// End an experiment for good.
    End { id: String },
    /// Remove a draft.
    Remove { id: String },
    /// Say what an experiment was worth.
    Report {
        id: String,
        /// What segments are told apart by.
        #[arg(long, default_value = "device", value_parser = ["device", "market", "newness"])]
        segment_by: String,
        /// Print the whole report as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say what everything automatic earns, by month.
    Holdout,
    /// How many shoppers and days it takes to find a lift.
    Plan {
        /// Conversion without the change, 0 to 1.
        #[arg(long)]
        share: f64,
        /// The relative lift to be found: 0.05 is 5 % more.
        #[arg(long)]
        lift: f64,
        /// New shoppers a day.
        #[arg(long)]
        units_per_day: Option<f64>,
    },
}

pub(crate) fn run(desk: &Desk, action: ExperimentsAction) -> Result<()> {
    let address = |id: &str, rest: &str| format!("/v1/experiments/{id}{rest}");
    match action {
        ExperimentsAction::List => print_list(&desk.client.get("/v1/experiments")?),
        ExperimentsAction::Put { id, file, dry_run: true } => {
            print_check(&desk.client.post(&address(&id, "/check"), &definition(&file)?)?)
        }
        ExperimentsAction::Put { id, file, dry_run: false } => {
            print_state(&desk.client.put(&address(&id, ""), &definition(&file)?)?);
        }
        ExperimentsAction::Show { id } => {
            println!("{}", serde_json::to_string_pretty(&desk.client.get(&address(&id, ""))?)?);
        }
        ExperimentsAction::Start { id } => print_state(&desk.client.post(&address(&id, "/start"), &json!({}))?),
        ExperimentsAction::End { id } => print_state(&desk.client.post(&address(&id, "/end"), &json!({}))?),
        ExperimentsAction::Remove { id } => {
            desk.client.delete(&address(&id, ""))?;
            println!("{id} is gone");
        }
        ExperimentsAction::Report { id, segment_by, json } => {
            let report = desk.client.get(&address(&id, &format!("/report?segment_by={segment_by}")))?;
            if json {
                println!("{}", serde_json::to_string_pretty(&report)?);
            } else {
                print_report(&report);
            }
        }
        ExperimentsAction::Holdout => print_holdout(&desk.client.get("/v1/holdout")?),
        ExperimentsAction::Plan { share, lift, units_per_day } => {
            let asked = json!({ "share": share, "lift": lift, "units_per_day": units_per_day });
            let plan = desk.client.post("/v1/experiment-plan", &asked)?;
            let days = plan["days"].as_u64().map(|days| format!(", {days} days")).unwrap_or_default();
            println!("{} shoppers of both arms{days}", plan["units"]);
        }
    }
    Ok(())
}

fn definition(file: &Path) -> Result<Value> {
    let text = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin()).context("standard input")?
    } else {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?
    };
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))
}

fn print_list(experiments: &Value) {
    let experiments = list(&experiments["items"]);
    if experiments.is_empty() {
        println!("there are no experiments: merx experiments put ID FILE");
    }
    for experiment in experiments {
        let arms = list(&experiment["arms"]).iter();
        let arms = arms.map(|arm| format!("{} {} %", text(&arm["name"]), arm["percent"]));
        println!(
            "{:24} {:8} {:5} {}  {}",
            text(&experiment["id"]),
            text(&experiment["state"]),
            text(&experiment["kind"]),
            arms.collect::<Vec<_>>().join(", "),
            text(&experiment["title"])
        );
    }
}

fn print_state(experiment: &Value) {
    println!("{} is {} (revision {})", text(&experiment["id"]), state_words(experiment), experiment["revision"]);
}

fn state_words(experiment: &Value) -> &str {
    match text(&experiment["state"]) {
        "draft" => "a draft",
        state => state,
    }
}

fn print_check(check: &Value) {
    if check["sound"] == true {
        println!("sound: it can go live");
    }
    for mistake in list(&check["errors"]) {
        println!("{}: {} ({})", text(&mistake["at"]), text(&mistake["detail"]), text(&mistake["code"]));
    }
}

fn percent(value: &Value) -> String {
    value.as_f64().map_or_else(|| "open".to_owned(), |share| format!("{:+.1} %", 100.0 * share))
}

fn print_report(report: &Value) {
    let trust = &report["trust"];
    let arms = list(&report["arms"]).iter().map(|arm| format!("{} {}", text(&arm["name"]), arm["units"]));
    println!("{}: {}", text(&report["experiment"]), arms.collect::<Vec<_>>().join(", "));
    if trust["sample_ratio_mismatch"] == true {
        println!(
            "  the arms don't hold the planned shares (p {:.1e}): no figure can be trusted",
            number(&trust["sample_ratio_p_value"])
        );
    }
    for metric in list(&report["metrics"]) {
        let role = if metric["decides"] == true { "" } else { " (watched)" };
        println!("  {}{role}", text(&metric["name"]));
        for comparison in list(&metric["comparisons"]) {
            let interval = &comparison["sequential"];
            let chance = comparison["belief"]["chance_to_win"].as_f64();
            println!(
                "    {:16} {:10} lift {} [{}, {}]{}",
                text(&comparison["arm"]),
                text(&comparison["verdict"]),
                percent(&comparison["lift"]),
                percent(&interval["low"]),
                percent(&interval["high"]),
                chance.map(|chance| format!(", chance to win {:.0} %", 100.0 * chance)).unwrap_or_default()
            );
        }
    }
    for course in list(&report["course"]) {
        println!("  {} over days since exposure: {}", text(&course["arm"]), text(&course["verdict"]));
    }
    for note in list(&report["notes"]) {
        println!("  note: {}", text(note));
    }
}

fn print_holdout(page: &Value) {
    for month in list(&page["months"]) {
        println!(
            "{}  held out {:7} visitors {:9.2}, treated {:7} visitors {:9.2}  lift {}",
            text(&month["month"]),
            month["held_out_visitors"],
            number(&month["held_out"]),
            month["treated_visitors"],
            number(&month["treated"]),
            percent(&month["lift"])
        );
    }
    let ends = [&page["increment"], &page["increment_low"], &page["increment_high"]].map(number);
    println!("gained {:.0} {} (from {:.0} to {:.0})", ends[0], text(&page["currency"]), ends[1], ends[2]);
}
