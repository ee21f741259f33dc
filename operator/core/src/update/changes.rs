//! What an update changes, in words.

use kube_core::DynamicObject;
use serde_json::Value;

use crate::drift::differences;

/// Longest value in a text, characters.
const VALUE_CHARS_MAX: usize = 120;
/// Longest text of one change, bytes. The schema of the status has the same maximum.
const CHANGE_BYTES_MAX: usize = 512;
/// Annotation whose value stands for the configuration, which is compared by itself.
const CONFIG_HASH: &str = "memoryengine.io/config-hash";

/// The changes from the old template and configuration to the new ones. If the old template is not known, the fields of
/// the new one are compared with the live object, which also has the defaults of Kubernetes.
pub(super) fn listed(
    old: Option<&Value>,
    live: &DynamicObject,
    old_config: Option<&str>,
    new: &Value,
    new_config: &str,
) -> Vec<String> {
    let mut found = Vec::new();
    match old {
        Some(old) => compare("pod", Some(old), Some(new), &mut found),
        None => {
            let there = differences(new, &live.data["spec"]["template"]);
            found.extend(there.into_iter().map(|one| format!("pod{}", one.path)));
        }
    }
    found.retain(|change| !change.contains(CONFIG_HASH));
    let yaml = |text: &str| serde_yaml::from_str::<Value>(text).ok();
    let old_config = old_config.and_then(yaml);
    compare("configuration", old_config.as_ref(), yaml(new_config).as_ref(), &mut found);
    let more = found.len().saturating_sub(crds::UPDATE_CHANGES_MAX);
    if more > 0 {
        found.truncate(crds::UPDATE_CHANGES_MAX - 1);
        found.push(format!("and {} more", more + 1));
    }
    found.iter().map(|change| shortened(change, CHANGE_BYTES_MAX)).collect()
}

fn compare(path: &str, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<String>) {
    match (old, new) {
        (old, new) if old == new => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                compare(&format!("{path}.{key}"), old.get(key), new.get(key), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) if named(old) && named(new) => {
            let name = |item: &Value| item["name"].as_str().unwrap_or_default().to_owned();
            let of = |list: &[Value], wanted: &str| list.iter().find(|item| name(item) == wanted).cloned();
            let mut names: Vec<String> = old.iter().chain(new).map(name).collect();
            names.sort_unstable();
            names.dedup();
            for one in &names {
                let path = format!("{path}[{one}]");
                compare(&path, of(old, one).as_ref(), of(new, one).as_ref(), found);
            }
            if found.is_empty() {
                found.push(format!("{path}: another order"));
            }
        }
        (old, new) => found.push(format!("{path}: {} → {}", shown(old), shown(new))),
    }
}

fn named(list: &[Value]) -> bool {
    list.iter().all(|item| item["name"].is_string())
}

fn shown(value: Option<&Value>) -> String {
    let text = match value {
        None => return "none".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    match text.chars().count() > VALUE_CHARS_MAX {
        true => text.chars().take(VALUE_CHARS_MAX).chain(['…']).collect(),
        false => text,
    }
}

fn shortened(text: &str, max: usize) -> String {
    let text: String = text.chars().map(|one| if one.is_control() { ' ' } else { one }).collect();
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
