//! References of a spec to other objects, and texts that reach what the operator writes: nothing in them means anything
//! beside itself. The fields are taken from the schema, so that a new one is tested too.

use crds::{MemoryEngineSpec, ServiceMetadata};
use operator_core::{
    build::{engine_config, service, stateful_set},
    manifest::judge_file,
    validate::validate,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::configurations::full;
use crate::world::{engine, observed, settings};

/// Forms of a name that would lead elsewhere, or would mean something where the name is written.
const HOSTILE: [&str; 14] = [
    "../x",
    "ns/name",
    "/etc/passwd",
    "a\0b",
    "a\nb: c",
    "a\"b",
    "a'b",
    "{{ .Values }}",
    "",
    " name",
    "n\u{430}me",
    "{\"a\": 1}",
    "a: b",
    "$(id)",
];

/// A text field of the schema: its path, with `[]` for the items of a list, and its schema.
struct Field {
    path: String,
    schema: Value,
}

fn fields(path: &str, schema: &Value, found: &mut Vec<Field>) {
    if let Some(properties) = schema["properties"].as_object() {
        for (name, child) in properties {
            fields(&format!("{path}.{name}"), child, found);
        }
    } else if schema["items"].is_object() {
        fields(&format!("{path}[]"), &schema["items"], found);
    } else if schema["type"] == "string" && schema["enum"].is_null() {
        found.push(Field { path: path.to_owned(), schema: schema.clone() });
    }
}

/// Every field that names another object, or an entry of one: by its name, or because it has the pattern of such names.
fn references() -> Vec<Field> {
    let definition = crds::memory_engine_crd();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut found = Vec::new();
    fields("spec", schema, &mut found);
    let pattern_of = |path: &str| {
        let field = found.iter().find(|field| field.path == path);
        field.map(|field| field.schema["pattern"].clone()).expect("the field exists")
    };
    let patterns = [
        "spec.tls.secretRef.name",
        "spec.writer.storage.className",
        "spec.access.adminTokenSecretRef.key",
        "spec.exposure.public.gateway.parentRef.namespace",
    ]
    .map(pattern_of);
    let is_named = |path: &str| {
        let parts = || path.split(['.', '[', ']']);
        parts().any(|part| part.ends_with("Ref") || part.ends_with("Secrets"))
            || path.ends_with("SecretName")
            || path.to_lowercase().ends_with("classname")
    };
    // A name of another part of the spec, which must be there.
    let is_of_the_spec = |path: &str| path == "spec.rollout.drills.accessKey";
    found.retain(|field| is_named(&field.path) || patterns.contains(&field.schema["pattern"]));
    found.retain(|field| !is_of_the_spec(&field.path));
    found
}

/// What is found about this field, if it has this value and nothing else is in the spec.
fn found(path: &str, value: &Value) -> Vec<String> {
    let mut spec = value.clone();
    for part in path.trim_start_matches("spec.").rsplit('.') {
        let (name, is_list) = part.strip_suffix("[]").map_or((part, false), |name| (name, true));
        spec = json!({name: if is_list { json!([spec]) } else { spec }});
    }
    let manifest = json!({
        "apiVersion": crds::API_VERSION, "kind": "MemoryEngine", "metadata": {"name": "notes"}, "spec": spec,
    });
    let text = serde_yaml::to_string(&manifest).expect("YAML");
    let judged = judge_file("a.yaml", &text, &settings()).expect("YAML");
    let place = format!("{} ", path.replace("[]", "[0]"));
    let texts = judged.into_iter().flat_map(|one| one.findings).map(|finding| finding.text);
    texts.filter(|text| text.starts_with(&place)).collect()
}

/// No reference leaves the namespace of the engine, and none is more than a name where it is written. A name with a dot
/// is one: there is no form with a namespace.
#[test]
fn no_reference_is_more_than_a_name() {
    let references = references();
    assert!(references.len() >= 18, "only {} references", references.len());
    for Field { path, schema } in &references {
        let good = if path.ends_with("kind") { "Issuer" } else { "name" };
        assert_eq!(found(path, &json!(good)), Vec::<String>::new(), "{path}");
        let longest = schema["maxLength"].as_u64().and_then(|longest| usize::try_from(longest).ok());
        let long = "a".repeat(longest.unwrap_or_else(|| panic!("{path} is not bounded")) + 1);
        for value in HOSTILE.into_iter().chain([long.as_str()]) {
            // An empty class of a volume stands for no class, which leads nowhere.
            if value.is_empty() && path == "spec.writer.storage.className" {
                continue;
            }
            assert!(!found(path, &json!(value)).is_empty(), "{path} accepts {value:?}");
        }
        for value in [json!(7), json!(["name"]), json!({"name": "name"})] {
            assert!(!found(path, &value).is_empty(), "{path} accepts {value}");
        }
    }
}

/// Texts that mean something in YAML, JSON, a shell, a template, a log line or a header.
fn texts() -> impl Strategy<Value = String> {
    let hostile = prop::sample::select(vec![
        "a\nserver: evil",
        "\"}, \"evil\": {\"",
        "'; evil; '",
        "{{ evil }}",
        "$(EVIL)",
        "- evil\n- evil",
        "!!binary evil",
        "&anchor *anchor",
        "# evil",
        "\u{2028}evil\u{85}",
        "\0evil",
        "\r\nx-evil: 1",
        "~",
        "null",
        "0x10",
        "on",
    ]);
    prop_oneof![hostile.prop_map(str::to_owned), "\\PC{1,40}", any::<String>()]
}

fn spec(text: &str) -> MemoryEngineSpec {
    let mut spec = full();
    let exception =
        spec.policy.as_mut().and_then(|policy| policy.exceptions.first_mut()).expect("an exception");
    (exception.reason, exception.reviewer) = (text.to_owned(), text.to_owned());
    let http = spec.embedding.as_mut().and_then(|embedding| embedding.http.as_mut()).expect("a service");
    http.model = text.to_owned();
    spec.rerank.as_mut().expect("a service").model = text.to_owned();
    let annotations = [("example.org/note".to_owned(), text.to_owned())];
    spec.service =
        Some(ServiceMetadata { annotations: annotations.clone().into(), ..ServiceMetadata::default() });
    spec.writer.pod_annotations = annotations.into();
    spec
}

/// Where the texts of [`spec`] stand in the configuration of the engine.
const PLACES: [&str; 4] =
    ["/policy/exceptions/0/reason", "/policy/exceptions/0/reviewer", "/embedding/model", "/rerank/model"];

proptest! {
    /// Whatever a text has in it, what is written has the same fields as with a plain text, and the text as the value.
    #[test]
    fn a_text_of_a_spec_stays_one_value(text in texts()) {
        let written = |text: &str| {
            let mut resource = engine();
            resource.spec = spec(text);
            let valid = validate(&observed(resource).engine, &settings()).ok()?;
            let config: Value = serde_yaml::from_str(&engine_config(&valid)).expect("the configuration is YAML");
            Some((config, json!(service(&valid)), json!(stateful_set(&valid))))
        };
        let (plain, plain_service, plain_set) = written("plain").expect("a valid spec");
        let Some((config, service, set)) = written(&text) else {
            // Refused, as a text that no engine takes.
            return Ok(());
        };
        let replaced = |value: &Value| value.to_string().replace(&json!(text).to_string(), "\"plain\"");
        let note = "/metadata/annotations/example.org~1note";
        prop_assert_eq!(service.pointer(note), Some(&json!(text)));
        prop_assert_eq!(set.pointer("/spec/template/metadata/annotations/example.org~1note"), Some(&json!(text)));
        for place in PLACES {
            prop_assert_eq!(config.pointer(place), Some(&json!(text)), "{}", place);
        }
        if text.len() > 8 {
            prop_assert_eq!(replaced(&config), plain.to_string());
            prop_assert_eq!(replaced(&service), plain_service.to_string());
            let without_hash = |set: &Value| {
                let mut set = set.clone();
                set["spec"]["template"]["metadata"]["annotations"]["memoryengine.io/config-hash"] = Value::Null;
                replaced(&set)
            };
            prop_assert_eq!(without_hash(&set), without_hash(&plain_set));
        }
    }
}
