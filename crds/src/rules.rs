//! What the API server checks by CEL: relations between fields, and what may not change.
//!
//! Each rule belongs to one object of the schema. A message says what to do, because it is all that the person
//! who applied the manifest gets to see.

use serde_json::{Value, json};

/// One rule: the object it belongs to, as a JSON pointer into the schema; the expression; what to do.
struct Rule {
    object: &'static str,
    expression: &'static str,
    message: &'static str,
}

const ROOT: &str = "";
const STORAGE: &str = "/properties/spec/properties/writer/properties/storage";
const RESOURCES: &str = "/properties/spec/properties/writer/properties/resources";

/// Names are short because a StatefulSet appends a hash to them in a label of 63 characters, and begin with a letter
/// because Services are called the same.
const RULES: [Rule; 9] = [
    Rule {
        object: ROOT,
        expression: "size(self.metadata.name) <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        message: "metadata.name must be at most 40 characters: lower-case letters, digits and '-', starting with a letter, \
                  because Services are named after it",
    },
    Rule {
        object: STORAGE,
        expression: "quantity(string(self.size)).compareTo(quantity('32Mi')) >= 0 && \
                     quantity(string(self.size)).compareTo(quantity('64Ti')) <= 0",
        message: "size must be between 32Mi and 64Ti",
    },
    // A growth that the class does not allow has not happened: it may be taken back, as far as the claim's own size.
    Rule {
        object: ROOT,
        expression: "quantity(string(self.spec.writer.storage.size))\
                     .compareTo(quantity(string(oldSelf.spec.writer.storage.size))) >= 0 || \
                     (has(oldSelf.status) && has(oldSelf.status.storage) && \
                     quantity(string(self.spec.writer.storage.size))\
                     .compareTo(quantity(oldSelf.status.storage.requested)) >= 0)",
        message: "size cannot shrink: volumes only grow. To move to a smaller volume, make a new engine and copy the memories",
    },
    Rule {
        object: STORAGE,
        expression: "has(self.className) == has(oldSelf.className) && \
                     (!has(self.className) || self.className == oldSelf.className)",
        message: "className cannot change: a volume stays in its class. To change it, make a new engine and copy the memories",
    },
    Rule {
        object: STORAGE,
        expression: "self.accessMode == oldSelf.accessMode",
        message: "accessMode cannot change: it is fixed when the volume is made",
    },
    Rule {
        object: RESOURCES,
        expression: "!has(self.limits.memory) || quantity(string(self.limits.memory)).compareTo(quantity('32Mi')) >= 0",
        message: "limits.memory must be at least 32Mi: an engine cannot start with less",
    },
    Rule {
        object: RESOURCES,
        expression: "!has(self.limits.cpu) || quantity(string(self.limits.cpu)).compareTo(quantity('10m')) >= 0",
        message: "limits.cpu must be at least 10m: an engine cannot start with less",
    },
    Rule {
        object: RESOURCES,
        expression: "!has(self.limits.memory) || !has(self.requests.memory) || \
                     quantity(string(self.requests.memory)).compareTo(quantity(string(self.limits.memory))) <= 0",
        message: "requests.memory must not exceed limits.memory",
    },
    Rule {
        object: RESOURCES,
        expression: "!has(self.limits.cpu) || !has(self.requests.cpu) || \
                     quantity(string(self.requests.cpu)).compareTo(quantity(string(self.limits.cpu))) <= 0",
        message: "requests.cpu must not exceed limits.cpu",
    },
];

/// Adds every rule to the schema.
pub(crate) fn add(schema: &mut Value) {
    for rule in &RULES {
        let object = schema.pointer_mut(rule.object).expect("each rule names an object of the schema");
        let rules = object
            .as_object_mut()
            .expect("a schema is an object")
            .entry("x-kubernetes-validations")
            .or_insert_with(|| json!([]));
        let added = json!({"rule": rule.expression, "message": rule.message});
        rules.as_array_mut().expect("rules are a list").push(added);
    }
}
