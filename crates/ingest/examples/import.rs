//! Imports files into a data folder and prints what became of their rows.
//!
//! `cargo run --release -p merx-ingest --example import -- DATA_FOLDER FILE..`

use std::error::Error;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use merx_domain::{Clock, SystemClock};
use merx_ingest::import::{ImportOptions, MappingChoice, plan, run};
use merx_ingest::vault::{DEFAULT_CACHED_IDENTITIES, MasterKey, Vault};
use merx_ingest::{Ingest, MIGRATIONS};
use merx_store::{LogSettings, Store};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let folder = arguments.next().ok_or("usage: import DATA_FOLDER FILE..")?;
    let files: Vec<PathBuf> = arguments.collect();

    // A store, its vault, and the way in.
    let store = Store::open_embedded(&folder, MIGRATIONS, LogSettings::default())?;
    let key = MasterKey::load_or_create(&folder.join("master.key"))?;
    let vault = Vault::open(Arc::clone(&store.records), vec![key], DEFAULT_CACHED_IDENTITIES)?;
    let ingest = Ingest::new(Arc::clone(&store.records), Arc::clone(&store.log), vault);

    // One look at the files: what they are, how many rows they have.
    let clock = SystemClock;
    let started = clock.now();
    let plan = plan(&files, &MappingChoice::Detect, started)?;
    for file in &plan.files {
        println!("{}: {:?}, {} rows", file.path.display(), file.mapping.entity, file.rows);
    }
    println!("looked through in {} ms", clock.now().since(started));

    // The import. A progress callback that answers `Break` interrupts it; run again, it goes on from there.
    let options = ImportOptions { dry_run: false, rejects: Some(folder.join("rejects.jsonl")), at: started };
    let started = clock.now();
    let report = run(plan, &ingest, &options, &mut |_| ControlFlow::Continue(()))?;
    let elapsed_ms = clock.now().since(started);
    println!("{}", serde_json::to_string_pretty(&report)?);
    println!("{} rows in {elapsed_ms} ms", report.total.read);
    Ok(())
}
