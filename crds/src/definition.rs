//! Builds the CustomResourceDefinition as it is installed: the derived definition plus what the derive cannot express.

use kube_core::CustomResourceExt;
use serde_json::{Value, json};

/// The definition of one kind, ready to be applied. `add_rules` adds the CEL rules of the kind.
///
/// The schema sets `status.observedGeneration: -1` as a default. kstatus treats a resource without a status as
/// finished; without the default, a pipeline that waits would continue before the operator has reconciled the resource.
pub(crate) fn definition<K: CustomResourceExt>(add_rules: fn(&mut Value)) -> Value {
    let mut crd = to_yaml_value(&K::crd());
    let schema = crd
        .pointer_mut("/spec/versions/0/schema/openAPIV3Schema")
        .expect("the derive makes one version with a schema");
    schema["properties"]["status"]["default"] = json!({"observedGeneration": -1});
    drop_numeric_formats(schema);
    add_rules(schema);
    crd
}

/// Serialises without null values, which would appear in the YAML.
#[must_use]
pub fn to_yaml_value<T: serde::Serialize>(object: &T) -> Value {
    serde_json::to_value(object).expect("API types serialise to JSON")
}

/// Removes formats such as `uint8`: they come from Rust, and the API server warns about formats that OpenAPI does not
/// define.
fn drop_numeric_formats(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("format").and_then(Value::as_str).is_some_and(|f| f.starts_with("uint")) {
                map.remove("format");
            }
            map.values_mut().for_each(drop_numeric_formats);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_numeric_formats),
        _ => {}
    }
}
