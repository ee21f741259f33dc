//! The committed definition matches the types. `UPDATE=1 cargo test -p crds` rewrites it.
#![expect(clippy::disallowed_methods, reason = "this test is the generator: it reads and writes the file")]

use std::path::Path;

const HEADER: &str = "# Generated from crds/src by `UPDATE=1 cargo test -p crds`. Do not edit.\n";
/// Maximum size: a larger object does not fit the `last-applied-configuration` annotation of `kubectl apply`.
const SIZE_MAX: usize = 256 * 1024;

/// The definitions, with the names of their files.
fn definitions() -> [(&'static str, serde_json::Value); 2] {
    [("memoryengines", crds::memory_engine_crd()), ("memorybackups", crds::memory_backup_crd())]
}

#[test]
fn the_generated_definitions_are_current() {
    for (name, crd) in definitions() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("generated/{name}.yaml"));
        let yaml = serde_yaml::to_string(&crd).expect("a CRD is YAML");
        let wanted = format!("{HEADER}{}", quoted(&yaml));
        assert!(wanted.len() < SIZE_MAX, "{name} has {} bytes", wanted.len());
        if std::env::var("UPDATE").is_ok() {
            std::fs::write(&path, &wanted).expect("crds/generated can be written");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == wanted, "{} is stale: run UPDATE=1 cargo test -p crds", path.display());
    }
}

/// Quotes the words that are booleans in YAML 1.1, which the tools of Kubernetes read.
fn quoted(yaml: &str) -> String {
    const WORDS: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];
    let quoted = |line: &str| {
        let word = line.rsplit([' ', '-']).next().unwrap_or_default();
        let is_value = line.trim_start() == format!("- {word}") || line.ends_with(&format!(": {word}"));
        match WORDS.contains(&word.to_ascii_lowercase().as_str()) && is_value {
            true => format!("{}'{word}'\n", &line[..line.len() - word.len()]),
            false => format!("{line}\n"),
        }
    };
    yaml.lines().map(quoted).collect()
}

#[test]
fn words_that_old_yaml_takes_for_booleans_are_quoted() {
    let yaml = "enum:\n- Off\n- Offer\n- true\nmode: on\ntext: switch it off\n";
    let expected = "enum:\n- 'Off'\n- Offer\n- true\nmode: 'on'\ntext: switch it off\n";
    assert_eq!(quoted(yaml), expected);
}

/// Every leaf field of the spec has a description and bounds.
#[test]
fn every_leaf_is_documented_and_bounded() {
    let mut faults = Vec::new();
    for (name, crd) in definitions() {
        let properties = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties").expect("a schema");
        for part in ["spec", "status"] {
            walk(&format!("{name} {part}"), &properties[part], &mut faults);
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn walk(path: &str, schema: &serde_json::Value, faults: &mut Vec<String>) {
    if schema.get("description").is_none() {
        faults.push(format!("{path}: no description"));
    }
    let has = |key: &str| schema.get(key).is_some();
    let bounded = match schema.get("type").and_then(|t| t.as_str()) {
        Some("string") => has("maxLength") || has("enum"),
        Some("integer" | "number") => has("minimum"),
        Some("array") => has("maxItems"),
        Some("boolean") => true,
        Some("object") => has("properties") || has("maxProperties"),
        _ => has("x-kubernetes-int-or-string") && has("maxLength"),
    };
    if !bounded {
        faults.push(format!("{path}: no bound"));
    }
    if let Some(items) = schema.get("items") {
        let is_bounded = items.get("maxLength").is_some() || items.get("enum").is_some();
        if items.get("type").is_some_and(|kind| kind == "string") && !is_bounded {
            faults.push(format!("{path}[]: no bound"));
        }
        for (name, child) in items.get("properties").and_then(|p| p.as_object()).into_iter().flatten() {
            walk(&format!("{path}[].{name}"), child, faults);
        }
    }
    for (name, child) in schema.get("properties").and_then(|p| p.as_object()).into_iter().flatten() {
        walk(&format!("{path}.{name}"), child, faults);
    }
}
