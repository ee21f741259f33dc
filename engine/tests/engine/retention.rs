//! Retention: a plan, and its execution, which does exactly what the plan contains.

use std::fs;

use serde_json::{Value, json};

use crate::process::{Answer, Running};

fn post(engine: &Running, path: &str, headers: &str, body: &Value) -> Answer {
    engine.post(path, headers, &body.to_string())
}

fn plan(engine: &Running, rules: &Value) -> Value {
    let answer = post(engine, "/v1/retention/plan", "", &json!({"rules": rules}));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Returns the request that executes this plan.
fn request(plan: &Value) -> Value {
    json!({"plan_hash": plan["plan_hash"], "rules": plan["rules"], "as_of": plan["as_of"], "applied_seq": plan["applied_seq"]})
}

fn apply(engine: &Running, request: &Value) -> Answer {
    post(engine, "/v1/retention/apply", "", request)
}

fn fill(engine: &Running, project: &str, count: usize) {
    let memories: Vec<Value> = (0..count)
        .map(|n| json!({"content": format!("{project} number {n} of many"), "project": project}))
        .collect();
    assert_eq!(post(engine, "/v1/memories/batch", "", &json!({"memories": memories})).status, 201);
}

#[test]
fn exactly_the_plan_is_carried_out() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    fill(&engine, "a", 100);
    fill(&engine, "b", 10);
    let rules = json!({"max_entries_per_project": 90});
    let made = plan(&engine, &rules);
    assert_eq!(
        (&made["memories"], &made["by_rule"]),
        (&json!(10), &json!({"age": 0, "entries": 10, "both": 0}))
    );
    assert_eq!(made["by_project"].as_array().unwrap().len(), 1, "b loses nothing: {made}");
    assert_eq!(
        (&made["by_project"][0]["total"], &made["spikes"], &made["more"]),
        (&json!(100), &json!([]), &json!(false))
    );
    assert_eq!(made["ids"].as_array().unwrap().len(), 10);
    let again = json!({"rules": rules, "as_of": made["as_of"], "offset": 8, "limit": 5});
    let again = post(&engine, "/v1/retention/plan", "", &again).json();
    assert_eq!((&again["plan_hash"], again["ids"].as_array().unwrap().len()), (&made["plan_hash"], 2));
    assert_eq!(engine.total(""), 110, "a plan changes nothing");

    // Memories saved after the plan are not part of it and do not change it.
    fill(&engine, "a", 5);
    for (field, other) in [
        ("as_of", json!("2026-01-01T00:00:00Z")),
        ("applied_seq", json!(99)),
        ("plan_hash", json!("0".repeat(64))),
        ("rules", json!({"max_entries_per_project": 89})),
    ] {
        let mut changed = request(&made);
        changed[field] = other;
        let refused = apply(&engine, &changed);
        assert_eq!((refused.status, refused.code().as_str()), (409, "PLAN_CHANGED"), "{field}");
    }
    let key = "idempotency-key: run\r\n";
    let done = post(&engine, "/v1/retention/apply", key, &request(&made));
    assert_eq!(done.status, 201, "{done:?}");
    let done = done.json();
    assert_eq!((&done["memories"], &done["complete"]), (&json!(10), &json!(true)), "{done}");
    assert_eq!((engine.total("project=a"), engine.total("project=b")), (95, 10));
    assert_eq!(engine.total("q=number+9&project=a"), 0);
    let audit = engine.get("/v1/events?type=retention.applied").json()["events"][0].clone();
    assert_eq!((&audit["id"], &audit["payload"]["plan_hash"]), (&done["audit"]["id"], &made["plan_hash"]));
    assert_eq!(
        (&audit["payload"]["memories"], &audit["payload"]["by_project"]),
        (&json!(10), &json!({"a": 10}))
    );
    let again = post(&engine, "/v1/retention/apply", key, &request(&made));
    assert_eq!((again.status, &again.json()["audit"]), (200, &done["audit"]), "{again:?}");
    assert_eq!(apply(&engine, &request(&made)).code(), "PLAN_CHANGED", "it is done");
    let files = fs::read_to_string(data.path().join("log/00000000000000000001.jsonl")).unwrap_or_default();
    assert!(!files.contains("a number 3 of many"));
    let metrics = engine.admin("/metrics").body;
    for line in [
        "memory_retention_removed_total{engine=\"\"} 10",
        "memory_retention_runs_total{outcome=\"applied\",engine=\"\"} 1",
        "memory_retention_runs_total{outcome=\"refused\",engine=\"\"} 5",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}

#[test]
fn a_spike_is_refused_until_its_size_is_named() {
    let data = tempfile::tempdir().unwrap();
    let config = data.path().join("config.yaml");
    fs::write(&config, "retention: {maxEntriesPerProject: 5, spikeGuardPercent: 40}\n").unwrap();
    let engine = Running::spawn_with(data.path(), &["--config".as_ref(), config.as_os_str()]);
    crate::process::eventually("ready", || engine.admin("/readyz").status == 200);
    fill(&engine, "a", 10);
    fill(&engine, "b", 8);
    let made = post(&engine, "/v1/retention/plan", "", &json!({})).json();
    assert_eq!(
        (&made["memories"], &made["rules"]["max_entries_per_project"]),
        (&json!(8), &json!(5)),
        "{made}"
    );
    assert_eq!(made["spikes"].as_array().unwrap().len(), 1, "a would lose 50 %, b 37.5 %: {made}");
    for named in [json!(null), json!(7), json!(9)] {
        let mut asked = request(&made);
        asked["override_spike_guard"] = named.clone();
        let refused = apply(&engine, &asked);
        assert_eq!((refused.status, refused.code().as_str()), (409, "SPIKE_GUARD"), "{named}");
        assert!(refused.json()["error"]["hint"].as_str().unwrap().contains("override_spike_guard: 8"));
    }
    assert_eq!(engine.total(""), 18);
    let mut asked = request(&made);
    (asked["override_spike_guard"], asked["reason"]) = (json!(8), json!("spring cleaning"));
    assert_eq!(apply(&engine, &asked).status, 201);
    assert_eq!(engine.total(""), 10);
    let audit = engine.get("/v1/events?type=retention.applied").json()["events"][0]["payload"].clone();
    assert_eq!((&audit["spike_guard_overridden"], &audit["reason"]), (&json!(8), &json!("spring cleaning")));
    let nothing = post(&engine, "/v1/retention/plan", "", &json!({})).json();
    assert_eq!(
        (&nothing["memories"], apply(&engine, &request(&nothing)).status),
        (&json!(0), 201),
        "a run is recorded"
    );
}

#[test]
fn what_is_only_to_be_ended_stays_as_the_past() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    fill(&engine, "a", 50);
    fill(&engine, "kept", 50);
    let rules =
        json!({"max_entries_per_project": 45, "action": "invalidate", "projects": [{"project": "kept"}]});
    let made = plan(&engine, &rules);
    assert_eq!(made["memories"], 5, "{made}");
    assert_eq!(apply(&engine, &request(&made)).status, 201);
    assert_eq!(
        (engine.total("project=a"), engine.total("project=a&known_at=100"), engine.total("project=kept")),
        (45, 50, 50)
    );
    assert_eq!(plan(&engine, &rules)["memories"], 0, "an ended memory is not ended again");
    let refused = [
        json!({"rules": {}}),
        json!({}),
        json!({"rules": {"max_age_days": 0}}),
        json!({"rules": {"max_age_days": 1}, "as_of": "2999-01-01T00:00:00Z"}),
        json!({"rules": {"max_age_days": 1}, "limit": 1001}),
        json!({"rules": {"max_age_days": 1, "colour": "red"}}),
    ];
    for body in refused {
        assert_eq!(post(&engine, "/v1/retention/plan", "", &body).status, 400, "{body}");
    }
}
