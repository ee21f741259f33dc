//! Whether a live object still says what was applied.
//!
//! Server-side apply owns fields, not objects: what others add beside ours is theirs and no drift. Comparing
//! instead of applying every time is what keeps an unchanged engine at no writes at all.

use crds::Quantity;
use serde_json::{Map, Value};

/// Keys by which the API server merges lists of objects, in the order they are tried.
const MERGE_KEYS: [&str; 7] = ["uid", "name", "containerPort", "port", "mountPath", "topologyKey", "type"];
/// Maps whose values the API server rewrites in its own spelling (1024Mi becomes 1Gi).
const QUANTITY_MAPS: [&str; 2] = ["requests", "limits"];
/// Keys that tell two items of such a list apart when they agree in the first.
const SECOND_MERGE_KEYS: [&str; 1] = ["whenUnsatisfiable"];
/// Fields the API server replaces as a whole: an item more is drift, and in a NetworkPolicy it is a hole.
const ATOMIC_FIELDS: [&str; 7] =
    ["ingress", "egress", "accessModes", "tolerations", "args", "policyTypes", "affinity"];

/// The path of the first field of `wanted` that `live` does not have, or has with another value.
#[must_use]
pub fn first_difference(wanted: &Value, live: &Value) -> Option<String> {
    difference("", wanted, live, false)
}

fn difference(path: &str, wanted: &Value, live: &Value, atomic: bool) -> Option<String> {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => object_difference(path, wanted, live, atomic),
        (Value::Array(wanted), Value::Array(live)) => list_difference(path, wanted, live, atomic),
        _ => (wanted != live).then(|| path.to_owned()),
    }
}

fn object_difference(
    path: &str,
    wanted: &Map<String, Value>,
    live: &Map<String, Value>,
    atomic: bool,
) -> Option<String> {
    let quantities = QUANTITY_MAPS.iter().any(|map| path.ends_with(map));
    wanted.iter().find_map(|(key, value)| {
        let path = format!("{path}.{key}");
        match live.get(key) {
            // The API server does not keep empty maps and lists.
            None if is_empty(value) => None,
            None => Some(path),
            Some(live) if quantities && same_quantity(value, live) => None,
            Some(live) => difference(&path, value, live, atomic || ATOMIC_FIELDS.contains(&key.as_str())),
        }
    })
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn list_difference(path: &str, wanted: &[Value], live: &[Value], atomic: bool) -> Option<String> {
    let Some(key) = merge_key(wanted).filter(|_| !atomic) else {
        if wanted.len() != live.len() {
            return Some(path.to_owned());
        }
        let mut pairs = wanted.iter().zip(live).enumerate();
        return pairs.find_map(|(i, (w, l))| difference(&format!("{path}[{i}]"), w, l, atomic));
    };
    wanted.iter().find_map(|item| {
        let path = format!("{path}[{}]", item[key]);
        let same = |candidate: &&Value| {
            candidate[key] == item[key]
                && SECOND_MERGE_KEYS.iter().all(|second| candidate.get(second) == item.get(second))
        };
        match live.iter().find(same) {
            Some(live) => difference(&path, item, live, atomic),
            None => Some(path),
        }
    })
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

    /// Two rules about one topology differ in what to do when they cannot be kept; terms of an affinity have no name at all.
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
    fn a_changed_or_missing_field_is_found() {
        check(&json!({"a": {"b": 1}}), &json!({"a": {"b": 2}}), Some(".a.b"));
        check(&json!({"a": 1}), &json!({}), Some(".a"));
        check(&json!({"ports": [{"port": 1}]}), &json!({"ports": [{"port": 2}]}), Some(".ports[1]"));
        check(&json!({"modes": ["A"]}), &json!({"modes": ["A", "B"]}), Some(".modes"));
        check(&json!({"rules": [{"from": [{}]}]}), &json!({"rules": []}), Some(".rules"));
        // A port more in a NetworkPolicy rule is a hole, not somebody else's business.
        check(
            &json!({"ingress": [{"ports": [{"port": 1}]}]}),
            &json!({"ingress": [{"ports": [{"port": 1}, {"port": 2}]}]}),
            Some(".ingress[0].ports"),
        );
        check(&json!({"egress": []}), &json!({"egress": [{}]}), Some(".egress"));
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
        // As the API server writes what is no whole number of the unit.
        check(&json!({"requests": {"cpu": "0.0001"}}), &json!({"requests": {"cpu": "100u"}}), None);
        check(&json!({"requests": {"cpu": "0.0000001"}}), &json!({"requests": {"cpu": "100n"}}), None);
        check(&json!({"limits": {"memory": "1Pi"}}), &json!({"limits": {"memory": "1024Ti"}}), None);
    }
}
