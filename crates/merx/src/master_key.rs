//! Where the vault's master key comes from: the environment, a file that the environment names, a command that asks a key manager, or a
//! file of our own.
//!
//! Each may give several keys: the one in use first, then those that a rotation has not left behind yet. So a rotation
//! that a crash broke off goes on, and nothing is ever sealed with a key that is not on disk, or with the key manager.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use merx_ingest::vault::{MasterKey, Vault, VaultError};
use parking_lot::Mutex;

use crate::config;
use crate::training::stopwatch;

const ENVIRONMENT: &str = "MERX_VAULT_KEY";
/// Names a file that somebody else keeps (a mounted secret): it is read again and never written.
const ENVIRONMENT_FILE: &str = "MERX_VAULT_KEY_FILE";
const PAUSE: Duration = Duration::from_secs(1);

enum Source {
    /// Words that somebody else keeps.
    Given {
        from: String,
        text: String,
    },
    File(PathBuf),
}

fn source(settings: &config::Vault, folder: &Path) -> Result<Source> {
    match (std::env::var(ENVIRONMENT), std::env::var_os(ENVIRONMENT_FILE)) {
        (Ok(_), Some(_)) => bail!("{ENVIRONMENT} and {ENVIRONMENT_FILE} are both set: leave one of them out"),
        (Ok(text), None) => return Ok(Source::Given { from: format!("environment {ENVIRONMENT}"), text }),
        (Err(_), Some(path)) => return given_file(Path::new(&path)),
        (Err(_), None) => {}
    }
    if let Some((program, arguments)) = settings.key_command.split_first() {
        return Ok(Source::Given { from: format!("vault.key_command ({program})"), text: ask(program, arguments)? });
    }
    let configured = &settings.key_file;
    let path = if configured.as_os_str().is_empty() { folder.join("vault.key") } else { configured.clone() };
    Ok(Source::File(path))
}

fn given_file(path: &Path) -> Result<Source> {
    let from = format!("{} ({ENVIRONMENT_FILE})", path.display());
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {from}"))?;
    Ok(Source::Given { from, text })
}

/// What the command says goes nowhere but into the key; its complaints do not name it.
fn ask(program: &str, arguments: &[String]) -> Result<String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("vault.key_command: {program} can't be run"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("vault.key_command: {program} ended with {}: {}", output.status, words.trim());
    }
    String::from_utf8(output.stdout).context("vault.key_command: what it printed is not text")
}

fn parse(from: &str, text: &str) -> Result<Vec<MasterKey>> {
    let keys = text.split([',', ' ', '\n', '\r', '\t']).filter(|part| !part.is_empty());
    let keys: Vec<MasterKey> =
        keys.map(|part| MasterKey::from_hex(part).context(from.to_owned())).collect::<Result<_>>()?;
    if keys.is_empty() {
        bail!("{from}: it gives no key");
    }
    Ok(keys)
}

/// The key in use, then older ones. A file is made where there is none.
pub(crate) fn read(settings: &config::Vault, folder: &Path) -> Result<Vec<MasterKey>> {
    match source(settings, folder)? {
        Source::Given { from, text } => parse(&from, &text),
        Source::File(path) if path.exists() => read_file(&path),
        Source::File(path) => Ok(vec![MasterKey::load_or_create(&path)?]),
    }
}

/// The keys as they are given now. No file is made: a new key would open nothing.
fn given(settings: &config::Vault, folder: &Path) -> Result<Vec<MasterKey>> {
    match source(settings, folder)? {
        Source::Given { from, text } => parse(&from, &text),
        Source::File(path) => read_file(&path),
    }
}

/// The same again, at most once a second: a command may take its time, and who lacks a key lacks it for every person.
pub(crate) fn again(
    settings: &config::Vault,
    folder: &Path,
) -> impl Fn() -> Result<Vec<MasterKey>, VaultError> + use<> {
    let (settings, folder, last) = (settings.clone(), folder.to_owned(), Mutex::new(None::<Instant>));
    move || {
        let mut last = last.lock();
        if last.is_some_and(|last| last.elapsed() < PAUSE) {
            return Err(VaultError::WrongMasterKey);
        }
        *last = Some(stopwatch());
        given(&settings, &folder).map_err(|error| {
            tracing::error!(
                error = format!("{error:#}"),
                "the vault's master key was exchanged, and the new one can't be read"
            );
            VaultError::WrongMasterKey
        })
    }
}

fn read_file(path: &Path) -> Result<Vec<MasterKey>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&path.display().to_string(), &text)
}

/// Wraps every key of the vault with another master key: of a file a new one that is written down first; else the first
/// one that is given now. Afterwards only that one opens the vault.
pub(crate) fn rotate(settings: &config::Vault, folder: &Path, vault: &Vault) -> Result<u64> {
    match source(settings, folder)? {
        Source::Given { from, text } => {
            let keys = parse(&from, &text)?;
            let Some(new) = keys.first() else { bail!("{from}: it gives no key") };
            let wrapped = vault.rotate(new.clone())?;
            if wrapped == 0 {
                bail!("{from} gives the key that is in use: put a new one in front of it, and ask again");
            }
            Ok(wrapped)
        }
        Source::File(path) => {
            let mut keys = read_file(&path)?;
            // A second key in the file: a rotation was broken off, and goes on.
            if keys.len() == 1 {
                keys.insert(0, MasterKey::random()?);
                replace_file(&path, &keys)?;
            }
            let wrapped = vault.rotate(keys[0].clone())?;
            replace_file(&path, &keys[..1])?;
            Ok(wrapped)
        }
    }
}

/// The file is the old one or the new one, whenever the process ends.
fn replace_file(path: &Path, keys: &[MasterKey]) -> Result<()> {
    let beside = path.with_extension("key.writing");
    let fail = || format!("cannot write {}", beside.display());
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).with_context(fail),
        _ => {}
    }
    MasterKey::save_all(keys, &beside).with_context(fail)?;
    std::fs::rename(&beside, path).with_context(|| format!("cannot replace {}", path.display()))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(parent).and_then(|folder| folder.sync_all()).with_context(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_somebody_else_keeps_is_read_each_time_and_gives_several_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mounted");
        let keys = |path: &Path| match given_file(path) {
            Ok(Source::Given { from, text }) => parse(&from, &text).map(|keys| keys.len()),
            Ok(Source::File(_)) => bail!("it would be written"),
            Err(error) => Err(error),
        };
        let missing = format!("{:#}", keys(&path).unwrap_err());
        assert!(missing.contains("MERX_VAULT_KEY_FILE") && missing.contains("mounted"), "{missing}");
        let (old, new) = ("a1".repeat(32), "b2".repeat(32));
        std::fs::write(&path, format!("{old}\n")).unwrap();
        assert_eq!(keys(&path).unwrap(), 1);
        std::fs::write(&path, format!("{new},{old}\n")).unwrap();
        assert_eq!(keys(&path).unwrap(), 2);
        std::fs::write(&path, "secret words\n").unwrap();
        let wrong = format!("{:#}", keys(&path).unwrap_err());
        assert!(!wrong.contains("secret words"), "{wrong}");
    }
}
