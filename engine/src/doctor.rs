//! `memory-engine doctor`: checks everything in a data directory and reports what to do about each fault.

use std::fmt::Write;
use std::fs;
use std::io::{self, IsTerminal};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::Value;

use crate::rebuild::rebuild;
use crate::stdout::{self, print_json};
use crate::verify::verify;
use engine_log::storage::space;
use engine_log::{LogDirectory, OpenError};
use engine_projection::{Examined, Place};

/// The report that `doctor` prints. `ok` determines the exit code.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Whether nothing is broken, or everything that was broken is repaired.
    pub(crate) ok: bool,
    /// Whether an engine is running on the directory. If so, `doctor` repairs nothing and does not check the full-text
    /// index, because the engine checks it itself.
    engine_running: bool,
    checks: Vec<Check>,
}

/// One check.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    outcome: Outcome,
    /// Description of what was found.
    detail: String,
    /// What the user should do; empty if nothing.
    hint: &'static str,
}

/// Result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Ok,
    Broken,
    Repaired,
    Skipped,
}

impl Check {
    fn new(name: &'static str, outcome: Outcome, detail: impl Into<String>) -> Check {
        Check { name, outcome, detail: detail.into(), hint: "" }
    }

    fn judged(name: &'static str, found: Result<String, String>, hint: &'static str) -> Check {
        match found {
            Ok(detail) => Check::new(name, Outcome::Ok, detail),
            Err(detail) => Check { hint, ..Check::new(name, Outcome::Broken, detail) },
        }
    }
}

const PROJECTION_CHECKS: [&str; 4] =
    ["projection", "projection.place", "projection.rows", "projection.index"];
const LOG_HINT: &str = "a log cannot be repaired: `memory-engine verify` reports where it is broken; restore it from a backup that verifies";
const PROJECTION_HINT: &str = "stop the engine and run `memory-engine doctor --repair`, or have a running engine rebuild it: POST /rebuild on its admin port";
const SPACE_HINT: &str = "grow the volume; writes resume automatically";
const KEYS_HINT: &str =
    "`chmod 600` the file, or `memory-engine doctor --repair`; rotate the key if others had access";

/// Runs all checks. With `repair`, rebuilds the projection from the log and corrects the mode of key files.
///
/// # Errors
/// There is no log, something cannot be read, or a repair is requested while an engine is running.
pub(crate) fn doctor(data: &Path, repair: bool) -> anyhow::Result<Report> {
    if !data.join("log").is_dir() {
        bail!("there is no log in {data:?}");
    }
    let engine_running = is_running(data)?;
    if repair && engine_running {
        bail!(
            "an engine is running on {data:?}: stop it to repair, or have it rebuild the projection with POST /rebuild on its admin port"
        );
    }
    let mut checks = run_checks(data, engine_running)?;
    if repair {
        repair_data(data, &mut checks)?;
    }
    let ok = checks.iter().all(|check| check.outcome != Outcome::Broken);
    Ok(Report { ok, engine_running, checks })
}

fn is_running(data: &Path) -> anyhow::Result<bool> {
    match LogDirectory::lock(data) {
        Ok(_) => Ok(false),
        Err(OpenError::InUse(_)) => Ok(true),
        Err(fault) => Err(fault.into()),
    }
}

fn run_checks(data: &Path, engine_running: bool) -> anyhow::Result<Vec<Check>> {
    // The projection is read before the log. A running engine appends in the meantime, and a projection is never ahead
    // of its log.
    let examined = engine_projection::examine(&engine_projection::directory(data), !engine_running);
    let examined = examined.context("cannot check the projection")?;
    let log = verify(data).with_context(|| format!("cannot read the log in {data:?}"))?;
    let log = serde_json::to_value(log)?;
    let mut checks = vec![check_log(&log)];
    checks.extend(check_projection(examined, &log, engine_running));
    checks.push(check_space(data));
    checks.push(check_keys(data));
    Ok(checks)
}

fn check_log(log: &Value) -> Check {
    let found = match log["ok"].as_bool() {
        Some(true) => Ok(format!("{} events verify", log["events"])),
        _ => Err(log["detail"].as_str().unwrap_or("it does not verify").to_owned()),
    };
    Check::judged("log", found, LOG_HINT)
}

fn check_projection(examined: Option<Examined>, log: &Value, engine_running: bool) -> Vec<Check> {
    let [present, place_name, rows_name, index_name] = PROJECTION_CHECKS;
    let Some(examined) = examined else {
        return vec![Check::judged(present, Err("there is no projection".into()), PROJECTION_HINT)];
    };
    let Examined { database, place, rows, words } = examined;
    let index = match words {
        Some(found) => {
            let found = found.map(|()| "every word of every memory is found".to_owned());
            Check::judged(index_name, found, PROJECTION_HINT)
        }
        None => Check::new(
            index_name,
            Outcome::Skipped,
            "the running engine checks it: see checked_at in /health",
        ),
    };
    vec![
        Check::new(present, Outcome::Ok, database.display().to_string()),
        Check::judged(
            place_name,
            place.and_then(|place| check_position(&place, log, engine_running)),
            PROJECTION_HINT,
        ),
        Check::judged(
            rows_name,
            rows.map(|digest| format!("pages are intact, rows have the digest {digest}")),
            PROJECTION_HINT,
        ),
        index,
    ]
}

/// Checks whether the projection can have been built from this log.
fn check_position(place: &Place, log: &Value, engine_running: bool) -> Result<String, String> {
    let head_seq = log["head_seq"].as_u64().unwrap_or_default();
    if log["log_id"].as_str().is_some_and(|log_id| log_id != place.log_id) {
        return Err("it was built from another log".into());
    }
    let Some(lag) = head_seq.checked_sub(place.seq) else {
        return Err(format!("it has applied event {}, the log ends at {head_seq}", place.seq));
    };
    if lag == 0 && place.hash.is_some() && log["head_hash"].as_str() != place.hash.as_deref() {
        return Err("it was built from another history".into());
    }
    let catches_up = if lag == 0 || engine_running { "" } else { ", which the next start applies" };
    Ok(format!("applied through event {}, lag {lag}{catches_up}", place.seq))
}

fn check_space(data: &Path) -> Check {
    let found = match space(data) {
        Err(fault) => Err(fault.to_string()),
        Ok(space) => {
            let detail = format!("{} of {} bytes are free", space.available, space.capacity);
            if space.admits(0) { Ok(detail) } else { Err(detail) }
        }
    };
    Check::judged("space", found, SPACE_HINT)
}

/// Checks the permissions of the key files: other users must not be able to read a key. A group may read it, because on
/// a cluster the volume's group is the pod's own group.
fn check_keys(data: &Path) -> Check {
    let keys = match key_files(data) {
        Err(fault) => return Check::judged("keys", Err(fault.to_string()), KEYS_HINT),
        Ok(keys) if keys.is_empty() => return Check::new("keys", Outcome::Skipped, "there are none"),
        Ok(keys) => keys,
    };
    let open: Vec<String> = keys
        .iter()
        .filter(|(_, mode)| mode & 0o007 != 0)
        .map(|(path, mode)| format!("{path:?} has mode {mode:o}"))
        .collect();
    let found = if open.is_empty() {
        Ok(format!("{} files, not accessible to others", keys.len()))
    } else {
        Err(open.join(", "))
    };
    Check::judged("keys", found, KEYS_HINT)
}

fn key_files(data: &Path) -> io::Result<Vec<(PathBuf, u32)>> {
    let file = |entry: io::Result<fs::DirEntry>| {
        let entry = entry?;
        Ok((entry.path(), entry.metadata()?.permissions().mode() & 0o777))
    };
    let mut files = Vec::new();
    for directory in ["keys", "access"] {
        match fs::read_dir(data.join(directory)) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
            entries => files.extend(entries?.map(file).collect::<io::Result<Vec<_>>>()?),
        }
    }
    Ok(files)
}

/// Repairs what can be repaired and runs all checks again.
fn repair_data(data: &Path, checks: &mut Vec<Check>) -> anyhow::Result<()> {
    let broken = |checks: &[Check], names: &[&str]| {
        checks.iter().any(|check| check.outcome == Outcome::Broken && names.contains(&check.name))
    };
    if broken(checks, &["keys"]) {
        for (path, mode) in key_files(data)? {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o770))?;
        }
    }
    // A projection cannot be built from a log that does not verify.
    if broken(checks, &PROJECTION_CHECKS) && !broken(checks, &["log"]) {
        rebuild(data).context("cannot rebuild the projection")?;
    }
    let before = std::mem::replace(checks, run_checks(data, false)?);
    for check in checks.iter_mut().filter(|check| check.outcome == Outcome::Ok) {
        let was_broken = |old: &Check| {
            // If the projection was missing, the checks of its parts did not run the first time.
            old.outcome == Outcome::Broken
                && (old.name == check.name
                    || old.name == "projection" && check.name.starts_with("projection"))
        };
        if before.iter().any(was_broken) {
            check.outcome = Outcome::Repaired;
        }
    }
    Ok(())
}

/// Prints lines on a terminal, and JSON everywhere else or if `json` is set.
pub(crate) fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    if json || !io::stdout().is_terminal() {
        return print_json(report);
    }
    let mut out = String::new();
    for check in &report.checks {
        let mark = match check.outcome {
            Outcome::Ok => "ok      ",
            Outcome::Broken => "BROKEN  ",
            Outcome::Repaired => "repaired",
            Outcome::Skipped => "skipped ",
        };
        writeln!(out, "{mark}  {:<18} {}", check.name, check.detail)?;
        if !check.hint.is_empty() {
            writeln!(out, "          {:<18} → {}", "", check.hint)?;
        }
    }
    let verdict = if report.ok { "nothing is broken" } else { "something is broken" };
    writeln!(out, "{verdict}")?;
    stdout::print(&out)
}
