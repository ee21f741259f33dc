//! The CustomResourceDefinition as installed: what the derive makes, plus what it cannot say.

use kube_core::CustomResourceExt;
use serde_json::{Value, json};

/// The definition of one kind, ready to be applied. `add_rules` adds the CEL rules of the kind.
///
/// A status that says `observedGeneration: -1` is the schema's default: kstatus takes a resource without any
/// status for finished, so without it a pipeline that waits would go on before the operator has looked.
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

/// Serialises without the nulls that YAML would show.
#[must_use]
pub fn to_yaml_value<T: serde::Serialize>(object: &T) -> Value {
    serde_json::to_value(object).expect("API types serialise to JSON")
}

/// `uint8` and the like are Rust's, not OpenAPI's: the API server warns about formats it does not know.
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
