//! The binary: command line, configuration, wiring. The only crate that names a backend.

mod background;
mod bandits;
mod bench;
mod books;
mod capacity;
mod config;
mod courier;
mod demo;
mod directory;
mod drifting;
mod encoding;
mod experiments;
mod governing;
mod housekeeping;
mod import;
mod inspector;
mod issuer;
mod jobs;
mod lake;
mod layouts;
mod lead;
mod manual;
mod master_key;
mod memory;
mod migrate;
mod operate;
mod posts;
mod presence;
mod privacy;
mod projection;
mod rehearse;
mod replica;
mod reports;
mod retention;
mod search_log;
mod search_training;
mod searching;
mod serving;
mod shop;
#[cfg(test)]
mod simulation;
mod storage;
mod tallies;
mod training;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::operate::Desk;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The intelligence layer of an online shop: its data in, decisions out.
#[derive(Parser)]
#[command(name = "merx", version, about, propagate_version = true)]
struct Arguments {
    /// Configuration file (TOML); only what differs from the default.
    #[arg(long, global = true, env = "MERX_CONFIG")]
    config: Option<PathBuf>,
    /// One setting: section.key=value. May be given several times.
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The folder that holds everything (the same as --set data.folder=DIR).
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print every setting in force and where its value came from.
    Config {
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Ask every service of the configuration whether it can do what is needed.
    Doctor,
    /// Move a stopped shop from the data folder to the services of the configuration, or back. May be broken off and run again.
    Migrate {
        /// Where to; the other side is read and stays as it is.
        #[arg(long, value_enum)]
        to: migrate::Side,
    },
    /// Serve the HTTP API.
    Serve {
        /// Write address and new keys here (JSON) once requests are answered.
        #[arg(long, value_name = "FILE")]
        ready_file: Option<PathBuf>,
    },
    /// Work for a shop on services beside `merx serve`: lead it, apply its events, train, export, answer requests for privacy.
    Work {
        /// Do only these jobs, and never lead. May be given several times.
        #[arg(long, value_enum, value_name = "JOBS")]
        only: Vec<posts::Work>,
        /// Write address and new keys here (JSON) once requests are answered.
        #[arg(long, value_name = "FILE")]
        ready_file: Option<PathBuf>,
    },
    /// Make a seeded shop, train, serve it, and print the first calls to try.
    Demo(demo::DemoArguments),
    /// Fit the models on the log; what passes the gate goes live.
    Train {
        /// Train at once; without it, say when the schedule does.
        #[arg(long)]
        now: bool,
        #[command(flatten)]
        server: operate::ServerArguments,
    },
    /// Versions of models.
    Models {
        #[command(subcommand)]
        action: Option<ModelsAction>,
        #[command(flatten)]
        server: operate::ServerArguments,
    },
    /// Decide a recorded decision again and compare the answers bit for bit.
    Replay {
        /// The decision's id, or `latest:N` for the newest N.
        decision: String,
        #[command(flatten)]
        server: operate::ServerArguments,
    },
    /// Explain a recorded decision in words.
    Why {
        decision: merx_domain::DecisionId,
        #[command(flatten)]
        server: operate::ServerArguments,
    },
    /// Experiments and flags.
    Experiments {
        #[command(subcommand)]
        action: Option<experiments::ExperimentsAction>,
        #[command(flatten)]
        server: operate::ServerArguments,
    },
    /// What engines may do by themselves.
    Automations {
        #[command(subcommand)]
        action: Option<governing::AutomationsAction>,
        #[command(flatten)]
        server: operate::ServerArguments,
    },
    /// Modes that wait for a second person.
    Approvals {
        #[command(subcommand)]
        action: Option<governing::ApprovalsAction>,
        #[command(flatten)]
        server: operate::ServerArguments,
    },
    /// Who changed what.
    Audit {
        #[command(subcommand)]
        action: governing::AuditAction,
        #[command(flatten)]
        server: operate::ServerArguments,
    },
    /// What people ask about their data: access, erasure, and the proof of it.
    Privacy {
        #[command(subcommand)]
        action: PrivacyAction,
        #[command(flatten)]
        server: operate::ServerArguments,
    },
    /// The vault that keeps what names people.
    Vault {
        #[command(subcommand)]
        action: VaultAction,
        #[command(flatten)]
        server: operate::ServerArguments,
    },
    /// API keys.
    Keys {
        #[command(subcommand)]
        action: Option<KeysAction>,
        #[command(flatten)]
        server: operate::ServerArguments,
    },
    /// People who sign in to the console with a password.
    Users {
        #[command(subcommand)]
        action: Option<UsersAction>,
        #[command(flatten)]
        server: operate::ServerArguments,
    },
    /// Read files into the shop: catalogue, orders, stock, events.
    Import(import::ImportArguments),
    /// Play a peak or a demand shock on a simulated shop under this configuration, and say what it would breach.
    Rehearse(rehearse::RehearseArguments),
    /// What machines, memory, storage and money a shop of a size needs, and what it would run into first.
    Capacity(capacity::CapacityArguments),
    /// Measure, one JSON object a line.
    Bench {
        #[command(subcommand)]
        command: bench::BenchCommand,
    },
    /// Print the OpenAPI description of the HTTP API.
    Openapi,
    /// Write the pages of the manual that are made from this binary.
    #[command(hide = true)]
    Manual {
        /// The folder they go to: docs/reference.
        folder: PathBuf,
    },
}

#[derive(Subcommand)]
enum ModelsAction {
    /// All versions with their metrics (the default).
    List,
    /// Print a version's card: data, metrics, limits, approvals.
    Card {
        version: u32,
        /// recommend, search or layout.
        #[arg(long, default_value = "recommend")]
        model: String,
    },
    /// Make a version live.
    Promote {
        version: u32,
        /// recommend, search or layout.
        #[arg(long, default_value = "recommend")]
        model: String,
    },
    /// Make the previous version live again.
    Rollback {
        /// recommend, search or layout.
        #[arg(long, default_value = "recommend")]
        model: String,
    },
}

#[derive(Subcommand)]
enum PrivacyAction {
    /// Write down everything that is held of a person (JSON).
    Export {
        #[command(flatten)]
        person: operate::PersonArguments,
        /// Where to; without it, to standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Forget a person: destroy their key, remove their data everywhere, and look whether anything is left.
    Erase {
        #[command(flatten)]
        person: operate::PersonArguments,
        /// Take nothing under these names from now on either.
        #[arg(long)]
        suppress: bool,
    },
    /// Look through every byte for a person; ends with an error where something is found.
    Verify {
        #[command(flatten)]
        person: operate::PersonArguments,
        /// An earlier erasure, whose pseudonyms are looked for.
        #[arg(long, value_name = "ID")]
        request: Option<String>,
    },
    /// The register of requests, newest first.
    Requests,
    /// Who looked at people's data, newest first.
    Reads,
}

#[derive(Subcommand)]
enum VaultAction {
    /// Wrap every person's key with a new master key.
    Rotate,
}

#[derive(Subcommand)]
enum UsersAction {
    /// All users with their roles (the default).
    List,
    /// Make a user. The password is read from standard input; at a terminal one is made and shown this once.
    Add {
        /// The name to sign in with.
        name: String,
        #[arg(long, value_parser = ["owner", "merchandiser", "analyst", "support", "auditor"])]
        role: String,
    },
    /// Give a user another password, in the same way. Their sessions end.
    Password { name: String },
    /// Let a user sign in no more.
    Remove { name: String },
}

#[derive(Subcommand)]
enum KeysAction {
    /// All keys, without their secrets (the default).
    List,
    /// Make a key. It is shown this once.
    Create {
        /// How far it reaches.
        #[arg(value_parser = ["public", "secret", "admin", "owner", "merchandiser", "analyst", "support", "auditor"])]
        scope: String,
        /// What it is for, in words.
        #[arg(long, default_value = "")]
        label: String,
    },
    /// Make a key worthless.
    Revoke {
        /// Its id, as the list has it.
        id: String,
    },
}

fn main() {
    memory::give_back_soon();
    end_quietly_with_the_reader();
    let arguments = Arguments::parse();
    if let Err(error) = run(arguments) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

/// `merx models | head -1`: whoever reads has read enough, which is no error of ours.
fn end_quietly_with_the_reader() {
    let otherwise = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let words = panic.payload().downcast_ref::<String>();
        if words.is_some_and(|words| words.starts_with("failed printing to stdout") && words.contains("Broken pipe")) {
            std::process::exit(0);
        }
        otherwise(panic);
    }));
}

fn run(arguments: Arguments) -> Result<()> {
    let passed = bench::Passed { config: arguments.config.clone(), set: arguments.set.clone() };
    let mut flags = arguments.set;
    if let Some(folder) = arguments.data {
        flags.push(format!("data.folder={}", folder.display()));
    }
    let loaded = config::load(arguments.config.as_deref(), std::env::vars(), &flags)?;
    let config = loaded.config.clone();
    match arguments.command {
        Command::Config { json } => {
            config::print(&loaded, json);
            Ok(())
        }
        Command::Doctor => {
            start_log(&config, "error")?;
            storage::doctor(&config)
        }
        Command::Migrate { to } => {
            start_log(&config, "warn")?;
            migrate::run(&config, to)
        }
        Command::Import(arguments) => {
            start_log(&config, "warn")?;
            import::run(&shop::Shop::open(config)?, &arguments)
        }
        Command::Bench { command } => {
            start_log(&config, "warn")?;
            bench::run(command, &passed)
        }
        Command::Capacity(arguments) => capacity::run(&arguments),
        Command::Rehearse(arguments) => {
            start_log(&config, "warn")?;
            rehearse::run(config, &arguments)
        }
        Command::Openapi => {
            print!("{}", merx_serve::openapi_json());
            Ok(())
        }
        Command::Manual { folder } => manual::write(&folder),
        Command::Serve { ready_file } => {
            start_log(&config, "info")?;
            housekeeping::let_answers_go_first()?;
            let role = posts::Role::of_server(&config)?;
            serving::serve(config, &role, |ready| tell_ready(ready, ready_file.as_deref(), "serves"))
        }
        Command::Work { only, ready_file } => {
            start_log(&config, "info")?;
            housekeeping::let_answers_go_first()?;
            let role = posts::Role::of_worker(&config, &only)?;
            serving::serve(config, &role, |ready| tell_ready(ready, ready_file.as_deref(), "works"))
        }
        Command::Demo(demo) => {
            start_log(&config, "warn")?;
            housekeeping::let_answers_go_first()?;
            demo::run(config, &demo)
        }
        Command::Train { now, server } => {
            start_log(&config, "warn")?;
            Desk::open(&server, config)?.train(now)
        }
        Command::Models { action, server } => {
            start_log(&config, "warn")?;
            let desk = Desk::open(&server, config)?;
            match action.unwrap_or(ModelsAction::List) {
                ModelsAction::List => desk.list_models(),
                ModelsAction::Card { version, model } => desk.print_card(&model, version),
                ModelsAction::Promote { version, model } => desk.promote(&model, version),
                ModelsAction::Rollback { model } => desk.roll_back(&model),
            }
        }
        Command::Experiments { action, server } => {
            start_log(&config, "warn")?;
            let desk = Desk::open(&server, config)?;
            experiments::run(&desk, action.unwrap_or(experiments::ExperimentsAction::List))
        }
        Command::Automations { action, server } => {
            start_log(&config, "warn")?;
            let action = action.unwrap_or(governing::AutomationsAction::List);
            governing::automations(&Desk::open(&server, config)?, action)
        }
        Command::Approvals { action, server } => {
            start_log(&config, "warn")?;
            let action = action.unwrap_or(governing::ApprovalsAction::List);
            governing::approvals(&Desk::open(&server, config)?, action)
        }
        Command::Audit { action, server } => {
            start_log(&config, "warn")?;
            governing::audit(&Desk::open(&server, config)?, action)
        }
        Command::Keys { action, server } => {
            start_log(&config, "warn")?;
            let desk = Desk::open(&server, config)?;
            match action.unwrap_or(KeysAction::List) {
                KeysAction::List => desk.list_keys(),
                KeysAction::Create { scope, label } => desk.create_key(&scope, &label),
                KeysAction::Revoke { id } => desk.revoke_key(&id),
            }
        }
        Command::Users { action, server } => {
            start_log(&config, "warn")?;
            let desk = Desk::open(&server, config)?;
            match action.unwrap_or(UsersAction::List) {
                UsersAction::List => desk.list_users(),
                UsersAction::Add { name, role } => desk.add_user(&name, &role),
                UsersAction::Password { name } => desk.set_password(&name),
                UsersAction::Remove { name } => desk.remove_user(&name),
            }
        }
        Command::Privacy { action, server } => {
            start_log(&config, "warn")?;
            let desk = Desk::open(&server, config)?;
            match action {
                PrivacyAction::Export { person, out } => desk.export_person(&person, out.as_deref()),
                PrivacyAction::Erase { person, suppress } => desk.erase_person(&person, suppress),
                PrivacyAction::Verify { person, request } => desk.verify_person(&person, request.as_deref()),
                PrivacyAction::Requests => desk.list_privacy_requests(),
                PrivacyAction::Reads => desk.list_personal_reads(),
            }
        }
        Command::Vault { action: VaultAction::Rotate, server } => {
            start_log(&config, "warn")?;
            Desk::open(&server, config)?.rotate_vault()
        }
        Command::Replay { decision, server } => {
            start_log(&config, "warn")?;
            Desk::open(&server, config)?.replay(&decision)
        }
        Command::Why { decision, server } => {
            start_log(&config, "warn")?;
            Desk::open(&server, config)?.why(decision)
        }
    }
}

fn tell_ready(ready: &serving::Ready, file: Option<&Path>, does: &str) -> Result<()> {
    if let Some(path) = file {
        demo::write_ready(path, ready)?;
    }
    println!("Merx {does} at {}", ready.url);
    demo::print_keys(ready);
    Ok(())
}

/// `quiet` is the level of commands that print for people, unless the configuration names another.
fn start_log(config: &config::Config, quiet: &str) -> Result<()> {
    let level = if config.log.level == "info" { quiet } else { &config.log.level };
    let filter = tracing_subscriber::EnvFilter::try_new(level)?;
    let colours = std::io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    if config.log.format == "json" {
        subscriber.json().init()
    } else {
        subscriber.init()
    }
    Ok(())
}
