//! Adds CEL rules to a schema: relations between fields, and fields that are immutable. The rules of each kind are
//! defined beside it.
//!
//! Each rule belongs to one object of the schema. Its message tells the author of the manifest what to do, because it
//! is the only text they see.

use serde_json::{Value, json};

use crate::patterns::{KEY, KEY_LENGTH_MAX};

/// One rule.
pub(crate) struct Rule {
    /// The object that it validates, as a JSON pointer into the schema.
    pub(crate) object: &'static str,
    /// The CEL expression.
    pub(crate) expression: &'static str,
    /// Message that tells the author what to do.
    pub(crate) message: &'static str,
}

/// Keys of a map that a spec must not set.
pub(crate) struct Reserved {
    /// The object that contains the map, as a JSON pointer into the schema.
    pub(crate) object: &'static str,
    /// Name of the map.
    pub(crate) map: &'static str,
    /// Pattern of the reserved keys.
    pub(crate) keys: &'static str,
}

/// Rules for a requirement of a selector, for nodes or for other objects.
const REQUIREMENT: [(&str, &str); 3] = [
    (
        "!(self.operator in ['In', 'NotIn']) || (has(self.values) && size(self.values) > 0)",
        "operator In or NotIn needs values",
    ),
    (
        "!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) || size(self.values) == 0",
        "operator Exists or DoesNotExist has no values",
    ),
    (
        "!(self.operator in ['Gt', 'Lt']) || (has(self.values) && size(self.values) == 1 && \
         self.values.all(value, value.matches('^[0-9]{1,18}$')))",
        "operator Gt or Lt needs one value, an integer",
    ),
];

/// Adds rules to a schema.
pub(crate) fn add(schema: &mut Value, rules: &[Rule]) {
    for rule in rules {
        add_to(object(schema, rule.object), rule.expression, rule.message);
    }
}

/// Adds a rule for each map with reserved keys.
pub(crate) fn reserve(schema: &mut Value, reserved: &[Reserved]) {
    for Reserved { object: at, map, keys } in reserved {
        add_to(
            object(schema, at),
            &format!("!has(self.{map}) || self.{map}.all(key, !key.matches('{keys}'))"),
            &format!(
                "{map}: keys of memoryengine.io and app.kubernetes.io, and keys by which Kubernetes or kubectl identify an \
                 object, are reserved: choose another prefix"
            ),
        );
    }
}

fn object<'a>(schema: &'a mut Value, pointer: &str) -> &'a mut Value {
    schema.pointer_mut(pointer).expect("each rule names an object of the schema")
}

/// The map whose keys are claims of tokens, and no keys of Kubernetes.
const CLAIMS: &str = "requiredClaims";
/// Maximum length of the name of a claim, or of a pointer to one.
const CLAIM_LENGTH_MAX: usize = 512;

/// Adds rules to every map of the spec, for the keys that Kubernetes accepts, and to every requirement of a selector.
pub(crate) fn add_to_maps_and_selectors(schema: &mut Value) {
    if schema.get("additionalProperties").is_some() {
        let expression = format!("self.all(key, size(key) <= {KEY_LENGTH_MAX} && key.matches(r'{KEY}'))");
        add_to(
            schema,
            &expression,
            "a key is a name of letters, digits, '-', '_' and '.', at most 63, with a DNS name and '/' before it or without",
        );
    }
    for (name, property) in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten()
    {
        if name == CLAIMS {
            let expression = format!("self.all(key, size(key) > 0 && size(key) <= {CLAIM_LENGTH_MAX})");
            add_to(property, &expression, &format!("a claim has 1 to {CLAIM_LENGTH_MAX} characters"));
            continue;
        }
        add_to_maps_and_selectors(property);
        if name == "matchExpressions" {
            let operators = property["items"]["properties"]["operator"].to_string();
            for (expression, message) in REQUIREMENT {
                // Label selectors do not support the numeric operators.
                if !expression.contains("Gt") || operators.contains("\"Gt\"") {
                    add_to(&mut property["items"], expression, message);
                }
            }
        }
    }
    if let Some(items) = schema.get_mut("items") {
        add_to_maps_and_selectors(items);
    }
}

fn add_to(object: &mut Value, expression: &str, message: &str) {
    let rules = object
        .as_object_mut()
        .expect("a schema is an object")
        .entry("x-kubernetes-validations")
        .or_insert_with(|| json!([]));
    rules.as_array_mut().expect("rules are a list").push(json!({"rule": expression, "message": message}));
}
