//! Detects whether a live object still has the applied values.
//!
//! Server-side apply owns fields, not objects: fields that others add belong to them and are no drift. The operator
//! compares before it applies, so that an unchanged engine causes no writes.

use std::fmt::Display;

use crds::Quantity;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::build::hex;

/// Keys by which the API server merges lists of objects. They are tried in this order.
const MERGE_KEYS: [&str; 7] = ["uid", "name", "containerPort", "port", "mountPath", "topologyKey", "type"];
/// Maps whose values the API server rewrites in canonical form (1024Mi becomes 1Gi).
const QUANTITY_MAPS: [&str; 2] = ["requests", "limits"];
/// Keys that distinguish two items of a merged list that have the same value for the first key.
const SECOND_MERGE_KEYS: [&str; 1] = ["whenUnsatisfiable"];
/// Lists that the API server replaces as a whole. An additional item is drift; in a NetworkPolicy or a
/// RoleBinding it would open access, in a route it would add a gateway.
const ATOMIC_FIELDS: [&str; 11] = [
    "ingress",
    "egress",
    "accessModes",
    "tolerations",
    "args",
    "policyTypes",
    "affinity",
    "subjects",
    "parentRefs",
    "targetRefs",
    "caCertificateRefs",
];
/// Maps that the API server replaces as a whole. An additional key is drift: in a selector, it can make a Service
/// select no pod, or a NetworkPolicy protect no pod.
const ATOMIC_MAPS: [&str; 3] = ["selector", "nodeSelector", "matchLabels"];

/// One field that differs. Two differences are equal if both the wanted and the live values are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Path of the field.
    pub path: String,
    /// Hash of the wanted value and the live value.
    values: String,
}

/// The path of the first field of `wanted` that is missing in `live` or has another value there.
#[must_use]
pub fn first_difference(wanted: &Value, live: &Value) -> Option<String> {
    differences(wanted, live).into_iter().next().map(|difference| difference.path)
}

/// Every field of `wanted` that is missing in `live` or has another value there.
#[must_use]
pub fn differences(wanted: &Value, live: &Value) -> Vec<Difference> {
    let mut found = Found(Vec::new());
    found.compare("", wanted, live, false);
    found.0
}

struct Found(Vec<Difference>);

impl Found {
    fn add(&mut self, path: &str, wanted: &dyn Display, live: &dyn Display) {
        let mut hash = Sha256::new();
        hash.update(wanted.to_string());
        hash.update([0]);
        hash.update(live.to_string());
        self.0.push(Difference { path: path.to_owned(), values: hex(&hash.finalize()) });
    }

    fn compare(&mut self, path: &str, wanted: &Value, live: &Value, atomic: bool) {
        match (wanted, live) {
            (Value::Object(wanted), Value::Object(live)) => self.compare_objects(path, wanted, live, atomic),
            (Value::Array(wanted), Value::Array(live)) => self.compare_lists(path, wanted, live, atomic),
            _ if wanted != live => self.add(path, wanted, live),
            _ => {}
        }
    }

    fn compare_objects(
        &mut self,
        path: &str,
        wanted: &Map<String, Value>,
        live: &Map<String, Value>,
        atomic: bool,
    ) {
        let quantities = QUANTITY_MAPS.iter().any(|map| path.ends_with(map));
        for (key, value) in wanted {
            let path = format!("{path}.{key}");
            match live.get(key) {
                // The API server does not store empty maps and lists.
                None if is_empty(value) => {}
                None => self.add(&path, value, &"nothing"),
                Some(live) if quantities && same_quantity(value, live) => {}
                Some(live) if ATOMIC_MAPS.contains(&key.as_str()) && has_more(value, live) => {
                    self.add(&path, value, live);
                }
                Some(live) => {
                    self.compare(&path, value, live, atomic || ATOMIC_FIELDS.contains(&key.as_str()));
                }
            }
        }
    }

    fn compare_lists(&mut self, path: &str, wanted: &[Value], live: &[Value], atomic: bool) {
        let Some(key) = merge_key(wanted).filter(|_| !atomic) else {
            if wanted.len() != live.len() {
                return self.add(path, &Value::from(wanted), &Value::from(live));
            }
            for (i, (wanted, live)) in wanted.iter().zip(live).enumerate() {
                self.compare(&format!("{path}[{i}]"), wanted, live, atomic);
            }
            return;
        };
        for item in wanted {
            let path = format!("{path}[{}]", item[key]);
            let same = |candidate: &&Value| {
                candidate[key] == item[key]
                    && SECOND_MERGE_KEYS.iter().all(|second| candidate.get(second) == item.get(second))
            };
            match live.iter().find(same) {
                Some(live) => self.compare(&path, item, live, atomic),
                None => self.add(&path, item, &"nothing"),
            }
        }
    }
}

/// Whether the live map has a key that is not wanted.
fn has_more(wanted: &Value, live: &Value) -> bool {
    let (Value::Object(wanted), Value::Object(live)) = (wanted, live) else { return false };
    live.keys().any(|key| !wanted.contains_key(key))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn merge_key(items: &[Value]) -> Option<&'static str> {
    MERGE_KEYS.into_iter().find(|key| {
        !items.is_empty() && items.iter().all(|item| item.get(key).is_some_and(|v| !v.is_object()))
    })
}

fn same_quantity(wanted: &Value, live: &Value) -> bool {
    let amount = |value: &Value| value.as_str().and_then(|text| Quantity(text.to_owned()).milli().ok());
    amount(wanted).is_some_and(|wanted| Some(wanted) == amount(live))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(wanted: &Value, live: &Value, expected: Option<&str>) {
        assert_eq!(first_difference(wanted, live).as_deref(), expected, "wanted {wanted}, live {live}");
    }

    #[test]
    fn what_others_added_is_no_drift() {
        check(&json!({"a": 1}), &json!({"a": 1, "b": 2}), None);
        check(
            &json!({"containers": [{"name": "engine", "image": "x"}]}),
            &json!({"containers": [{"name": "sidecar"}, {"name": "engine", "image": "x", "tty": false}]}),
            None,
        );
        check(&json!({"nodeSelector": {}}), &json!({}), None);
    }

    /// Two spread constraints for one topology differ in `whenUnsatisfiable`; terms of an affinity have no merge key at
    /// all.
    #[test]
    fn items_that_agree_in_one_key_are_two() {
        let rule = |what: &str, skew: i32| json!({"topologyKey": "zone", "whenUnsatisfiable": what, "maxSkew": skew});
        let wanted =
            json!({"topologySpreadConstraints": [rule("ScheduleAnyway", 1), rule("DoNotSchedule", 2)]});
        let live =
            json!({"topologySpreadConstraints": [rule("DoNotSchedule", 2), rule("ScheduleAnyway", 1)]});
        check(&wanted, &live, None);
        let term = |app: &str| json!({"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": app}}});
        let affinity = |terms: &[Value]| json!({"affinity": {"podAffinity": {"required": terms}}});
        check(&affinity(&[term("a"), term("b")]), &affinity(&[term("a"), term("b")]), None);
        check(
            &affinity(&[term("a")]),
            &affinity(&[term("a"), term("b")]),
            Some(".affinity.podAffinity.required"),
        );
    }

    #[test]
    fn a_key_more_in_a_selector_is_drift() {
        let service = |selector: Value| json!({"spec": {"selector": selector}});
        check(&service(json!({"app": "a"})), &service(json!({"app": "a", "x": "y"})), Some(".spec.selector"));
        let guarded = |labels: Value| json!({"podSelector": {"matchLabels": labels}});
        let more = guarded(json!({"app": "a", "x": "y"}));
        check(&guarded(json!({"app": "a"})), &more, Some(".podSelector.matchLabels"));
    }

    #[test]
    fn a_changed_or_missing_field_is_found() {
        check(&json!({"a": {"b": 1}}), &json!({"a": {"b": 2}}), Some(".a.b"));
        check(&json!({"a": 1}), &json!({}), Some(".a"));
        check(&json!({"ports": [{"port": 1}]}), &json!({"ports": [{"port": 2}]}), Some(".ports[1]"));
        check(&json!({"modes": ["A"]}), &json!({"modes": ["A", "B"]}), Some(".modes"));
        check(&json!({"rules": [{"from": [{}]}]}), &json!({"rules": []}), Some(".rules"));
        // An additional port in a NetworkPolicy rule opens access, and so is drift.
        check(
            &json!({"ingress": [{"ports": [{"port": 1}]}]}),
            &json!({"ingress": [{"ports": [{"port": 1}, {"port": 2}]}]}),
            Some(".ingress[0].ports"),
        );
        check(&json!({"egress": []}), &json!({"egress": [{}]}), Some(".egress"));
    }

    /// A difference consists of a path and two values: another value at the same path is another difference.
    #[test]
    fn every_difference_is_found_with_its_values() {
        let wanted = json!({"a": 1, "b": {"c": [1]}, "d": 2, "args": ["x"]});
        let found = |live: Value| differences(&wanted, &live);
        let paths: Vec<String> =
            found(json!({"a": 2, "b": {}, "d": 2, "args": []})).into_iter().map(|d| d.path).collect();
        assert_eq!(paths, [".a", ".args", ".b.c"]);
        let one = found(json!({"a": 2, "b": {"c": [1]}, "d": 2, "args": ["x"]}));
        assert_eq!(one, found(json!({"a": 2, "b": {"c": [1]}, "d": 2, "args": ["x"], "e": 1})));
        assert_ne!(one, found(json!({"a": 3, "b": {"c": [1]}, "d": 2, "args": ["x"]})));
        assert_ne!(one, differences(&json!({"a": 5}), &json!({"a": 2})));
    }

    #[test]
    fn quantities_are_compared_as_amounts() {
        check(&json!({"requests": {"storage": "1024Mi"}}), &json!({"requests": {"storage": "1Gi"}}), None);
        check(
            &json!({"requests": {"storage": "1Gi"}}),
            &json!({"requests": {"storage": "2Gi"}}),
            Some(".requests.storage"),
        );
        check(&json!({"label": "1024Mi"}), &json!({"label": "1Gi"}), Some(".label"));
        // The API server writes a value in a smaller unit if it is not an integer multiple of the unit.
        check(&json!({"requests": {"cpu": "0.0001"}}), &json!({"requests": {"cpu": "100u"}}), None);
        check(&json!({"requests": {"cpu": "0.0000001"}}), &json!({"requests": {"cpu": "100n"}}), None);
        check(&json!({"limits": {"memory": "1Pi"}}), &json!({"limits": {"memory": "1024Ti"}}), None);
    }
}
