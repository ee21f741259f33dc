//! Judges manifests without a cluster, with the checks of the operator: for the pipeline of a repository that a GitOps
//! tool applies.

mod report;
mod schema;

use std::sync::LazyLock;

use crds::{API_VERSION, MemoryEngine};
use serde_json::Value;

pub use report::{Format, render};

use crate::{
    exposure::spec_findings,
    settings::Settings,
    validate::{Fault, validate},
};

/// Maximum size of a manifest, bytes. The API server accepts less for one object.
pub const MANIFEST_BYTES_MAX: u64 = 8 << 20;

/// Where the API server or the operator would report a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The API server refuses the manifest, or the operator does not carry it out: `Stalled` with `InvalidSpec`.
    Error,
    /// The engine runs, but is not exposed: `Exposed` is false.
    Withheld,
}

/// Something that is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFinding {
    /// How the cluster would react.
    pub severity: Severity,
    /// A word for the kind of finding: `Schema`, `InvalidSpec`, or the reason of the condition `Exposed`.
    pub rule: String,
    /// What is wrong, and what to do.
    pub text: String,
}

/// One MemoryEngine in a manifest, with everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Where it stands: file and line.
    pub place: Place,
    /// `NAMESPACE/NAME`, or the name alone.
    pub engine: String,
    /// The findings, worst first.
    pub findings: Vec<ManifestFinding>,
}

/// A document in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Path of the file, as it was given.
    pub file: String,
    /// First line of the document, from 1.
    pub line: usize,
}

/// The definition of the kind. It is the same for every manifest, and making it takes longer than judging one.
static DEFINITION: LazyLock<Value> = LazyLock::new(crds::memory_engine_crd);

/// Judges every MemoryEngine in the text of a file. Other objects are skipped.
///
/// # Errors
/// A document is not YAML; the text says which and why.
pub fn judge_file(file: &str, text: &str, settings: &Settings) -> Result<Vec<Judged>, String> {
    let mut judged = Vec::new();
    for (line, document) in documents(text) {
        let place = Place { file: file.to_owned(), line };
        let value: Value = serde_yaml::from_str(&document)
            .map_err(|fault| format!("{file}, document at line {line}: not YAML: {fault}"))?;
        judged.extend(engines_in(value).iter().map(|engine| judge(&place, engine, settings)));
    }
    Ok(judged)
}

/// The MemoryEngines in the text of a file, in the order in which [`judge_file`] judges them. What is not YAML has
/// none.
#[must_use]
pub fn engines(text: &str) -> Vec<Value> {
    let values = documents(text).into_iter().filter_map(|(_, text)| serde_yaml::from_str(&text).ok());
    values.flat_map(engines_in).collect()
}

fn engines_in(value: Value) -> Vec<Value> {
    match value["kind"].as_str() {
        Some("MemoryEngine") => vec![value],
        Some("List") => {
            let items = value["items"].as_array().cloned().unwrap_or_default();
            items.into_iter().flat_map(engines_in).collect()
        }
        _ => Vec::new(),
    }
}

/// The documents of a YAML stream, each with its first line.
fn documents(text: &str) -> Vec<(usize, String)> {
    let mut found = vec![(1, String::new())];
    for (index, line) in text.lines().enumerate() {
        if line == "---" || line.starts_with("--- ") {
            let rest = line.get(4..).unwrap_or_default();
            found.push((index + 2, format!("{rest}\n")));
        } else if let Some((_, document)) = found.last_mut() {
            document.push_str(line);
            document.push('\n');
        }
    }
    found.retain(|(_, document)| {
        document.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
    });
    found
}

fn judge(place: &Place, value: &Value, settings: &Settings) -> Judged {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    let name = text("/metadata/name").unwrap_or("without a name");
    let engine =
        text("/metadata/namespace").map_or(name.to_owned(), |namespace| format!("{namespace}/{name}"));
    Judged { place: place.clone(), engine, findings: findings(value, settings) }
}

fn findings(value: &Value, settings: &Settings) -> Vec<ManifestFinding> {
    let error =
        |rule: &str, text: String| ManifestFinding { severity: Severity::Error, rule: rule.to_owned(), text };
    if value["apiVersion"] != API_VERSION {
        let text = format!("apiVersion is {}: write {API_VERSION}", value["apiVersion"]);
        return vec![error("Schema", text)];
    }
    let schema = &DEFINITION["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let wrong = schema::faults("spec", &value["spec"], schema);
    if !wrong.is_empty() {
        let texts =
            wrong.into_iter().map(|fault| error("Schema", format!("{} {}", fault.path, fault.problem)));
        return texts.collect();
    }
    let engine: MemoryEngine = match serde_json::from_value(value.clone()) {
        Ok(engine) => engine,
        Err(fault) => return vec![error("Schema", fault.to_string())],
    };
    match validate(&engine, settings) {
        Err(faults) => faults.iter().map(|fault: &Fault| error("InvalidSpec", fault.to_string())).collect(),
        Ok(valid) if valid.public.is_none() => Vec::new(),
        Ok(valid) => {
            let found = spec_findings(&valid).into_iter().map(|finding| ManifestFinding {
                severity: Severity::Withheld,
                rule: finding.check.reason().as_str(),
                text: format!("not exposed: {}", finding.text),
            });
            found.collect()
        }
    }
}

#[cfg(test)]
mod tests;
