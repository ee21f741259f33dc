//! References of a spec to other objects, against the real API server: no form of a name leaves the namespace.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::input::checked;
use crate::world::{in_namespace, refusal};

/// Forms of a name that would lead elsewhere, or would mean something where the name is written.
const HOSTILE: [&str; 11] = [
    "../x",
    "ns/name",
    "a\nb",
    "a\"b",
    "a'b",
    "{{ .Values }}",
    "",
    " name",
    "n\u{430}me",
    "{\"a\": 1}",
    "$(id)",
];

/// The paths of the text fields below `schema` that name another object, or an entry of one.
fn references(path: &str, schema: &Value, found: &mut Vec<(String, usize)>) {
    if let Some(properties) = schema["properties"].as_object() {
        for (name, child) in properties {
            references(&format!("{path}.{name}"), child, found);
        }
    } else if schema["items"].is_object() {
        references(&format!("{path}[]"), &schema["items"], found);
    } else if schema["type"] == "string" && schema["enum"].is_null() {
        let is_reference =
            path.split(['.', '[', ']']).any(|part| part.ends_with("Ref") || part.ends_with("Secrets"));
        if is_reference || path.ends_with("SecretName") || path.to_lowercase().ends_with("classname") {
            let longest = schema["maxLength"].as_u64().unwrap_or_default();
            found.push((path.to_owned(), usize::try_from(longest).unwrap_or_default()));
        }
    }
}

/// A spec with nothing but this value at this path.
fn spec(path: &str, value: &str) -> Value {
    path.trim_start_matches("spec.").rsplit('.').fold(json!(value), |inner, part| {
        match part.strip_suffix("[]") {
            Some(name) => json!({name: [inner]}),
            None => json!({part: inner}),
        }
    })
}

/// Each hostile form is refused at each reference, with the name of the field.
#[tokio::test(flavor = "multi_thread")]
async fn no_reference_crosses_a_namespace() {
    in_namespace("references", async |world| {
        let definition = crds::memory_engine_crd();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let mut found = Vec::new();
        references("spec", schema, &mut found);
        ensure!(found.len() >= 18, "only {} references", found.len());
        let mut tried = 0;
        for (path, longest) in &found {
            let long = "a".repeat(longest + 1);
            for value in HOSTILE.into_iter().chain([long.as_str()]) {
                // An empty class of a volume stands for no class, which leads nowhere.
                if value.is_empty() && path == "spec.writer.storage.className" {
                    continue;
                }
                let said = refusal(checked(world, "notes", &json!({"spec": spec(path, value)})).await)?;
                let place = path.replace("[]", "[0]");
                ensure!(said.contains(&place), "{path} = {value:?}: {said}");
                tried += 1;
            }
        }
        println!("references {}, hostile values {tried}, accepted 0", found.len());
        Result::Ok(())
    })
    .await;
}
