//! Checkov, which looks for mistakes in manifests. `.ci/setup test` installs it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{command, paths};

/// Longest run. It takes seconds; a hang must still end.
const LIMIT: Duration = Duration::from_secs(120);

/// What it found in the manifests of a folder.
#[derive(Debug, PartialEq, Eq)]
pub struct Findings {
    /// Checks that hold.
    pub passed: u64,
    /// Checks that do not hold: the check, and the object.
    pub failed: Vec<String>,
    /// Checks that an annotation of an object switches off.
    pub skipped: u64,
    /// Objects that were checked.
    pub objects: u64,
}

/// Checks every manifest in a folder. Nothing is sent or downloaded.
///
/// # Errors
/// Checkov is not installed, or could not read a manifest.
pub async fn check(folder: &Path) -> Result<Findings> {
    let program = paths::cache_dir().join("checkov-venv/bin/checkov");
    ensure!(program.is_file(), "Checkov is not installed: run .ci/setup test");
    let (program, folder) = (program.display().to_string(), folder.display().to_string());
    let arguments = [
        "--directory",
        &folder,
        "--framework",
        "kubernetes",
        "--output",
        "json",
        "--compact",
        "--skip-download",
        // What is found is in the report. Another exit code is a fault.
        "--soft-fail",
    ];
    let printed = command::run(&program, &arguments, LIMIT).await?;
    parse(&printed)
}

fn parse(printed: &str) -> Result<Findings> {
    let report: Value = serde_json::from_str(printed).with_context(|| format!("Checkov says {printed}"))?;
    let (summary, results) = (&report["summary"], &report["results"]);
    let count =
        |name: &str| summary[name].as_u64().with_context(|| format!("Checkov reports no {name}: {printed}"));
    ensure!(count("parsing_errors")? == 0, "Checkov cannot read {}", results["parsing_errors"]);
    let failed = results["failed_checks"].as_array().into_iter().flatten();
    let failed: Vec<String> = failed
        .map(|one| {
            let text = |name: &str| one[name].as_str().unwrap_or_default();
            format!(
                "{} {}: {} in {}",
                text("check_id"),
                text("check_name"),
                text("resource"),
                text("file_path")
            )
        })
        .collect();
    ensure!(
        count("failed")? == failed.len() as u64,
        "Checkov counts other failures than it lists: {printed}"
    );
    Ok(Findings {
        passed: count("passed")?,
        failed,
        skipped: count("skipped")?,
        objects: count("resource_count")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_without_a_check_is_no_pass() {
        assert!(
            parse(r#"{"passed": 0, "failed": 0, "skipped": 0}"#).is_err(),
            "what it prints about nothing"
        );
        let summary = r#""passed": 9, "failed": 1, "skipped": 0, "resource_count": 2"#;
        let failed =
            r#"{"check_id": "A_1", "check_name": "limits", "resource": "Pod.a.b", "file_path": "/x.yaml"}"#;
        let report = |errors: u8, failed: &str| {
            let results = format!(r#"{{"failed_checks": [{failed}], "parsing_errors": ["/y.yaml"]}}"#);
            parse(&format!(
                r#"{{"summary": {{{summary}, "parsing_errors": {errors}}}, "results": {results}}}"#
            ))
        };
        let found = report(0, failed).unwrap();
        assert_eq!(found.failed, ["A_1 limits: Pod.a.b in /x.yaml"]);
        assert!(report(0, "").is_err(), "a failure that is not listed");
        assert!(report(1, failed).unwrap_err().to_string().contains("/y.yaml"));
    }
}
