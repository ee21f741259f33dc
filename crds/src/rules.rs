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
const ROTATION: &str = "/properties/spec/properties/rotation";
const EXCEPTION: &str = "/properties/spec/properties/policy/properties/exceptions/items";
const MCP: &str = "/properties/spec/properties/mcp";
const LIMITS: &str = "/properties/spec/properties/limits";
const LOG: &str = "/properties/status/properties/log";
const ACCEPTED: &str = "/properties/status/properties/log/properties/acceptedRollbacks/items";

/// Names are short because a StatefulSet appends a hash to them in a label of 63 characters, and begin with a letter
/// because Services are called the same.
const RULES: [Rule; 23] = [
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
    Rule {
        object: ROTATION,
        expression: "quantity(string(self.maxSegmentSize)).compareTo(quantity('1Mi')) >= 0 && \
                     quantity(string(self.maxSegmentSize)).compareTo(quantity('1Gi')) <= 0",
        message: "maxSegmentSize must be between 1Mi and 1Gi",
    },
    Rule {
        object: EXCEPTION,
        expression: "has(self.sha256) != has(self.value)",
        message: "an exception needs either sha256 or value: sha256 keeps the text out of this resource",
    },
    Rule {
        object: MCP,
        expression: "!has(self.serverMemoryProject) || self.serverMemoryTools",
        message: "serverMemoryProject needs serverMemoryTools: true",
    },
    Rule {
        object: LIMITS,
        expression: "!has(self.burst) || has(self.requestsPerSecond)",
        message: "burst needs requestsPerSecond: it is how many may come at once on top of that rate",
    },
    // At the root: on the status alone, `status: null` would take the anchor away without any rule being asked.
    Rule {
        object: ROOT,
        expression: "!has(oldSelf.status) || !has(oldSelf.status.log) || (has(self.status) && has(self.status.log))",
        message: "status.log cannot be removed: it holds the anchor of the log",
    },
    Rule {
        object: LOG,
        expression: "!has(oldSelf.origin) || (has(self.origin) && self.origin == oldSelf.origin)",
        message: "origin cannot change: the anchor is of one log for ever",
    },
    Rule {
        object: LOG,
        expression: "(!has(oldSelf.size) || has(self.size)) && (!has(oldSelf.root) || has(self.root)) && \
                     (!has(oldSelf.key) || has(self.key)) && (!has(oldSelf.anchoredAt) || has(self.anchoredAt))",
        message: "size, root, key and anchoredAt cannot be removed: they are the anchor of the log",
    },
    Rule {
        object: LOG,
        expression: "has(self.origin) == has(self.size) && has(self.origin) == has(self.root) && \
                     has(self.origin) == has(self.key) && has(self.origin) == has(self.anchoredAt)",
        message: "an anchor is origin, size, root, key and anchoredAt together",
    },
    Rule {
        object: LOG,
        expression: "!has(oldSelf.size) || !has(self.size) || self.size >= oldSelf.size || \
                     size(self.acceptedRollbacks) > size(oldSelf.acceptedRollbacks)",
        message: "size cannot shrink unless a rollback is accepted with it: a log only grows",
    },
    Rule {
        object: LOG,
        expression: "!has(oldSelf.size) || !has(self.size) || self.size != oldSelf.size || self.root == oldSelf.root || \
                     size(self.acceptedRollbacks) > size(oldSelf.acceptedRollbacks)",
        message: "root cannot change at the same size unless a rollback is accepted with it: that would be another history",
    },
    Rule {
        object: LOG,
        expression: "oldSelf.acceptedRollbacks.all(old, self.acceptedRollbacks.exists(new, new.number == old.number))",
        message: "acceptedRollbacks only grows",
    },
    Rule {
        object: LOG,
        expression: "self.acceptedRollbacks.all(one, one.number <= size(self.acceptedRollbacks))",
        message: "acceptedRollbacks are numbered from 1 without gaps",
    },
    // What was accepted has to be what the anchor is from then on.
    Rule {
        object: LOG,
        expression: "size(self.acceptedRollbacks) <= size(oldSelf.acceptedRollbacks) || (has(self.size) && \
                     self.acceptedRollbacks.exists(one, one.number == size(self.acceptedRollbacks) && \
                     one.toSize <= self.size && (one.toSize != self.size || one.toRoot == self.root)))",
        message: "the newest of acceptedRollbacks must lead to the anchor",
    },
    Rule {
        object: ACCEPTED,
        expression: "self == oldSelf",
        message: "an accepted rollback cannot be changed: it is history",
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
