//! The result of judging manifests, as text, JSON or SARIF.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Judged, ManifestFinding, Severity};

/// The form of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For tools that show the results of static analysis: SARIF 2.1.0.
    Sarif,
}

/// Renders the result.
#[must_use]
pub fn render(judged: &[Judged], format: Format, version: &str) -> String {
    match format {
        Format::Text => text(judged),
        Format::Json => pretty(&json!({"engines": judged.iter().map(engine).collect::<Vec<_>>()})),
        Format::Sarif => pretty(&sarif(judged, version)),
    }
}

fn pretty(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).expect("plain values are JSON");
    format!("{text}\n")
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Withheld => "withheld",
    }
}

fn text(judged: &[Judged]) -> String {
    let mut text = String::new();
    for Judged { place, engine, findings } in judged {
        let is_fine = findings.is_empty();
        let _infallible =
            writeln!(text, "{}:{}: {engine}{}", place.file, place.line, if is_fine { ": ok" } else { "" });
        for ManifestFinding { severity, rule, text: what } in findings {
            let _infallible = writeln!(text, "  {} [{rule}] {what}", word(*severity));
        }
    }
    let count = |wanted| {
        let findings = judged.iter().flat_map(|one| &one.findings);
        findings.filter(|finding| finding.severity == wanted).count()
    };
    let _infallible = writeln!(
        text,
        "{} engines, {} errors, {} withheld",
        judged.len(),
        count(Severity::Error),
        count(Severity::Withheld)
    );
    text
}

fn engine(judged: &Judged) -> Value {
    let findings = judged.findings.iter().map(
        |finding| json!({"severity": word(finding.severity), "rule": finding.rule, "text": finding.text}),
    );
    json!({
        "file": judged.place.file,
        "line": judged.place.line,
        "engine": judged.engine,
        "findings": findings.collect::<Vec<_>>(),
    })
}

fn sarif(judged: &[Judged], version: &str) -> Value {
    let mut rules: Vec<&str> =
        judged.iter().flat_map(|one| &one.findings).map(|finding| finding.rule.as_str()).collect();
    rules.sort_unstable();
    rules.dedup();
    let results = judged.iter().flat_map(|one| {
        one.findings.iter().map(|finding| {
            json!({
                "ruleId": finding.rule,
                "level": if finding.severity == Severity::Error { "error" } else { "warning" },
                "message": {"text": format!("{}: {}", one.engine, finding.text)},
                "locations": [{"physicalLocation": {
                    "artifactLocation": {"uri": one.place.file},
                    "region": {"startLine": one.place.line},
                }}],
            })
        })
    });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "memory-operator",
                "version": version,
                "rules": rules.iter().map(|rule| json!({"id": rule})).collect::<Vec<_>>(),
            }},
            "results": results.collect::<Vec<_>>(),
        }],
    })
}
