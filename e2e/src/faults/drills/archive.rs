//! The archive of a drill, and the commands that read it.

use std::collections::BTreeSet;
use std::fs::{self, FileTimes};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use engine_core::archive::name::PieceName;
use serde_json::Value;

use super::super::s3::Gateway;
use super::fuse::Fuse;

/// Each byte of the key-encryption key. It protects memories that are not secret.
pub(super) const KEY: u8 = 0x5a;
/// Backups that stay in a drill.
pub(super) const KEPT: u64 = 2;
/// The bucket of all archives of a campaign.
pub(super) const BUCKET: &str = "drills";
/// Every step of the archive is due so often: the shortest interval there is.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);
/// How much older an object is made that waits for its age. More than the age at which probes are removed.
const AGED: Duration = Duration::from_secs(2 * 3_600);

/// The archive of one engine: a directory, or a prefix of a bucket.
#[derive(Debug)]
pub(super) struct Archive {
    engine: PathBuf,
    /// The folder with its objects as files. The object store keeps them as files too.
    root: PathBuf,
    options: Vec<Choice>,
}

/// An option of the commands, the same as a key of the configuration, and its value.
type Choice = (&'static str, &'static str, Option<String>);

/// The options with the key-encryption key.
fn key(place: &Path) -> Result<Vec<Choice>> {
    let key = place.join("key");
    super::super::s3::write_secret(&key, &format!("{KEY:02x}").repeat(32))?;
    Ok(vec![("--key-encryption-key-file", "keyEncryptionKeyFile", Some(shown(&key)))])
}

/// What a command has said.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: Option<i32>,
    pub(super) was_killed: bool,
    pub(super) answer: Value,
    /// What it printed, for people.
    pub(super) text: String,
}

impl Archive {
    /// An empty archive for the log with this number: in a bucket if there is a store, otherwise in a directory.
    pub(super) fn new(engine: &Path, place: &Path, gateway: Option<&Gateway>, log: u64) -> Result<Archive> {
        if let Some(gateway) = gateway {
            return Archive::in_buckets(engine, place, gateway, (BUCKET, BUCKET), &format!("log-{log}"));
        }
        let (root, mut options) = (place.join("store"), key(place)?);
        options.push(("--store", "url", Some(format!("file://{}", root.display()))));
        Ok(Archive { engine: engine.to_owned(), root, options })
    }

    /// An empty archive with the pieces in one bucket and the keys in another.
    pub(super) fn in_buckets(
        engine: &Path,
        place: &Path,
        gateway: &Gateway,
        (pieces, keys): (&str, &str),
        prefix: &str,
    ) -> Result<Archive> {
        let mut options = key(place)?;
        options.extend([
            ("--store", "url", Some(format!("s3://{pieces}/{prefix}"))),
            ("--keys-store", "keysUrl", Some(format!("s3://{keys}/{prefix}"))),
            ("--endpoint", "endpoint", Some(gateway.endpoint())),
            ("--allow-http", "allowHttp", None),
            ("--credentials-directory", "credentialsDirectory", Some(shown(&gateway.credentials()))),
        ]);
        Ok(Archive { engine: engine.to_owned(), root: gateway.files(pieces).join(prefix), options })
    }

    /// The section of the configuration.
    pub(super) fn configuration(&self, kept: u64) -> String {
        let mut text = format!(
            "backup:\n  archiveIntervalSeconds: {}\n  keepBackups: {kept}\n  keepDays: 0\n",
            INTERVAL.as_secs()
        );
        for (_, key, value) in &self.options {
            let value = value.as_ref().map_or(Value::Bool(true), |value| Value::from(value.as_str()));
            text += &format!("  {key}: {value}\n");
        }
        text
    }

    /// Runs `memory-engine backup` with these arguments.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn run(&self, arguments: &[&str], fuse: Option<&Fuse>) -> Result<Said> {
        let mut command = Command::new(&self.engine);
        command.arg("backup").args(arguments);
        for (option, _, value) in &self.options {
            command.arg(option).args(value);
        }
        command.envs(fuse.map(Fuse::environment).unwrap_or_default());
        let output = command.output().context("`memory-engine backup` cannot be started")?;
        let text = [&output.stdout[..], &output.stderr[..]].concat();
        Ok(Said {
            code: output.status.code(),
            was_killed: output.status.signal() == Some(9),
            answer: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            text: String::from_utf8_lossy(&text).trim().to_owned(),
        })
    }

    /// The files of all objects, and of what is none.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        if self.root.exists() {
            walk(&self.root, &mut found)?;
        }
        Ok(found)
    }

    /// Removes every piece that has this event: what the control of the campaign does.
    pub(super) fn lose(&self, seq: u64) -> Result<()> {
        for path in self.files()? {
            let parts: Vec<_> = path.iter().rev().take(2).map(|part| part.to_string_lossy()).collect();
            let name = PieceName::parse(&format!("{}/{}", parts[1], parts[0]));
            if name.is_some_and(|name| (name.first_seq..=name.last_seq).contains(&seq)) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Lets time pass for what a killed process has left: probes are removed when they are old, and a pin ends by
    /// itself. Returns the number of pins.
    pub(super) fn age(&self) -> Result<usize> {
        let mut pins = 0;
        for path in self.files()? {
            let is_in = |folder: &str| path.iter().any(|part| part == folder);
            if is_in("pins") {
                fs::remove_file(&path)?;
                pins += 1;
            } else if is_in("probes") {
                let times = FileTimes::new().set_modified(SystemTime::now() - AGED);
                fs::File::options().write(true).open(&path)?.set_times(times)?;
            }
        }
        Ok(pins)
    }

    /// What no object names: uploads that were not finished, probes, and pins.
    pub(super) fn leftovers(&self) -> Result<Vec<String>> {
        let is_left = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_staged = name.rsplit_once('#').is_some_and(|(_, number)| number.parse::<u64>().is_ok());
            is_staged || path.iter().any(|part| part == "probes" || part == "pins")
        };
        Ok(self.files()?.into_iter().filter(is_left).map(|path| shown(&path)).collect())
    }
}

/// Names of all backups of the only log in the archive.
pub(super) fn backups(list: &Value) -> BTreeSet<String> {
    let backups = list[0]["backups"].as_array();
    let names = backups.into_iter().flatten().filter(|backup| backup["left"] == false);
    names.filter_map(|backup| Some(backup["name"].as_str()?.to_owned())).collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { walk(&path, found)? } else { found.push(path) }
    }
    Ok(())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
