//! Precedence, names of variables, old names, and what is shown.

use serde_json::json;

use super::*;

fn resolved(file: &Value, variables: &[(&str, &str)], flags: &[&str]) -> Result<Resolved, Vec<String>> {
    let environment = environment(variables.iter().copied(), Author::Person);
    assert_eq!(environment.faults, [] as [String; 0]);
    let flags = flags.iter().map(|flag| Setting::of_flag(flag).unwrap());
    let settings: Vec<Setting> = environment.settings.into_iter().chain(flags).collect();
    resolve(file, &settings, Author::Person)
}

#[test]
fn a_flag_overrides_a_variable_and_a_variable_the_file() {
    let file = json!({"log": {"level": "warn"}, "limits": {"requestsPerSecond": 1, "burst": 2}});
    let variables = [("MEMORY_ENGINE_LIMITS_BURST", "3"), ("MEMORY_ENGINE_LIMITS_REQUESTS_PER_SECOND", "4")];
    let found = resolved(&file, &variables, &["limits.burst=5"]).unwrap();
    let limits = &found.configuration.limits;
    assert_eq!((limits.requests_per_second, limits.burst), (Some(4), Some(5)));
    assert_eq!(found.configuration.log.level(), LogLevel::Warn);
    let origins = ["log.level", "limits.requestsPerSecond", "limits.burst", "shutdown.drainSeconds"];
    let origins = origins.map(|key| found.origin(key).to_string());
    assert_eq!(origins, ["file", "environment MEMORY_ENGINE_LIMITS_REQUESTS_PER_SECOND", "flag", "default"]);
}

#[test]
fn every_key_has_a_variable_of_its_own_and_can_be_set_by_it() {
    for (section, key) in keys() {
        let rest = variable(section, key.name);
        assert!(
            !rest.contains("_SERVICE_") && !rest.contains("_PORT"),
            "{rest} looks like one of Kubernetes"
        );
    }
    let mut names: Vec<String> = keys().map(|(section, key)| variable(section, key.name)).collect();
    names.extend(names.clone().iter().map(|name| format!("{name}{FILE_SUFFIX}")));
    // The names of flags that are not part of the file.
    names.extend(
        ["DATA", "CONFIG", "LISTEN", "ADMIN_LISTEN", "ANCHOR"].map(|name| format!("MEMORY_ENGINE_{name}")),
    );
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all);
    assert_eq!(variable("limits", "keepAliveSeconds"), "MEMORY_ENGINE_LIMITS_KEEP_ALIVE_SECONDS");
    for (name, text, key, value) in [
        ("MEMORY_ENGINE_MCP_SERVER_MEMORY_TOOLS", "true", "/mcp/serverMemoryTools", json!(true)),
        (
            "MEMORY_ENGINE_MCP_ALLOWED_HOSTS",
            "a.example, b.example:1",
            "/mcp/allowedHosts",
            json!(["a.example", "b.example:1"]),
        ),
        ("MEMORY_ENGINE_POLICY_BLOCK", "[\"jwt\"]", "/policy/block", json!(["jwt"])),
        ("MEMORY_ENGINE_POLICY_REDACT", "email,phone", "/policy/redact", json!(["email", "phone"])),
        ("MEMORY_ENGINE_SAVING_SAME_TEXT", "SaveOnce", "/saving/sameText", json!("SaveOnce")),
        ("MEMORY_ENGINE_ENGINE_NAME", "7", "/engine/name", json!("7")),
    ] {
        let found = resolved(&Value::Null, &[(name, text)], &[]).unwrap();
        let file = serde_json::to_value(&found.configuration).unwrap();
        assert_eq!(file.pointer(key), Some(&value), "{name}");
    }
}

#[test]
fn every_fault_is_named_with_its_origin() {
    let file = json!({"log": {"level": "loud"}, "shutdown": []});
    let variables = [("MEMORY_ENGINE_LIMITS_BURST", "many"), ("MEMORY_ENGINE_SHUTDOWN_DRAIN_SECONDS", "5")];
    let faults = resolved(&file, &variables, &["rotation.maxSegmentBytes=1"]).unwrap_err();
    let expected = [
        "log.level must be error, warn, info, debug or trace",
        "shutdown must be a mapping",
        "rotation.maxSegmentBytes must be an integer from 1048576 to 1073741824 (flag)",
        "limits.burst must be an integer from 1 to 1000000 (environment MEMORY_ENGINE_LIMITS_BURST)",
    ];
    assert_eq!(faults, expected);
    for (flag, says) in [
        ("limits.burst", "--set needs KEY=VALUE"),
        ("limits.bust=1", "known are limits.requestsPerSecond, limits.burst"),
        ("bust=1", "its section must be one of engine, log"),
        ("sk-9hidden=1", "there is no key \"…\""),
    ] {
        let fault = Setting::of_flag(flag).unwrap_err();
        assert!(fault.contains(says) && !fault.contains("hidden"), "{fault}");
    }
}

#[test]
fn variables_that_set_no_key_are_found_and_those_of_others_are_left_alone() {
    let variables = [
        ("MEMORY_ENGINE_LIMITS_BURTS", "3"),
        ("MEMORY_ENGINE_SERVICE_HOST", "10.0.0.1"),
        ("MEMORY_ENGINE_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("MEMORY_ENGINE_LOG_SERVICE_PORT", "8080"),
        ("MEMORY_ENGINE_LOG_PORT", "tcp://10.0.0.1:8080"),
        ("MEMORY_ENGINE_DATA", "/data"),
        ("MEMORY_ENGINE_LOG_LEVEL", ""),
        ("PATH", "/bin"),
    ];
    let found = environment(variables.into_iter(), Author::Person);
    assert_eq!(found.faults.len(), 1);
    assert!(found.faults[0].starts_with("the variable MEMORY_ENGINE_LIMITS_BURTS sets no key; known are "));
    assert_eq!((found.settings.len(), found.warnings.len()), (0, 0));
    let found = environment(variables.into_iter(), Author::Operator);
    assert_eq!((found.faults.len(), found.warnings.len()), (0, 1));
    let both = [("MEMORY_ENGINE_ENGINE_NAME", "a"), ("MEMORY_ENGINE_ENGINE_NAME_FILE", "/b")];
    let found = environment(both.into_iter(), Author::Person);
    assert_eq!(
        found.faults,
        ["MEMORY_ENGINE_ENGINE_NAME and MEMORY_ENGINE_ENGINE_NAME_FILE are both set: remove one of them"]
    );
    let files = environment(both[1..].iter().copied(), Author::Person).files;
    assert_eq!((files[0].key.as_str(), files[0].path.as_str()), ("engine.name", "/b"));
}

#[test]
fn old_names_have_an_effect_or_are_reported_as_ignored() {
    let old = [("RAG_TOP_K", "5"), ("FUSION_LTR_WEIGHT", "0.7"), ("FUSION_CONCEPTUAL_WEIGHT", "0.3")];
    let found = environment(old.into_iter(), Author::Person);
    assert_eq!(found.warnings.len(), 3);
    assert!(found.warnings[0].ends_with("retrieval.searchLimit: use MEMORY_ENGINE_RETRIEVAL_SEARCH_LIMIT"));
    assert!(found.warnings[1..].iter().all(|warning| warning.contains("has no effect: set the weights")));
    let limit = |variables: &[(&str, &str)]| {
        resolved(&json!({"retrieval": {"searchLimit": 9}}), variables, &[]).unwrap().configuration.retrieval
    };
    assert_eq!(limit(&old).search_limit(), 5);
    let both = [("RAG_TOP_K", "5"), ("MEMORY_ENGINE_RETRIEVAL_SEARCH_LIMIT", "7")];
    assert_eq!(limit(&both).search_limit(), 7, "the new name overrides the old one");
    // Every replacement is a key.
    let all = environment(old_names().map(|name| (name, "5")), Author::Person);
    assert_eq!(all.warnings.len(), old_names().count());
    assert!(all.settings.iter().all(|setting| find(&setting.key).is_some()) && !all.settings.is_empty());
}

#[test]
fn secrets_are_masked() {
    for (url, shown) in [
        ("https://a/v1", "https://a/v1"),
        ("https://user:pass@word@a/v1?key=secret", "https://***@a/v1?***"),
        ("postgres://u:p?a#b@c/d", "postgres://***@c/d"),
        ("no url", "no url"),
        ("https://a?key=secret@x", "https://***@x"),
    ] {
        assert_eq!(masked_url(url), shown);
    }
    let exception =
        json!({"detector": "email", "value": "secret@example.org", "reason": "r", "reviewer": "w"});
    let file = json!({
        "policy": {"exceptions": [exception]},
        "rerank": {"url": "https://a/?key=secret", "model": "m", "apiKeyFile": "/run/key"},
    });
    let shown = shown(&resolved(&file, &[], &[]).unwrap());
    assert_eq!(shown.len(), keys().count());
    let text = serde_json::to_string(&shown).unwrap();
    assert!(
        !text.contains("secret") && text.contains("/run/key") && text.contains("https://a/?***"),
        "{text}"
    );
    let debug = format!("{:?}", Setting::of_flag("engine.name=secret").unwrap());
    assert!(!debug.contains("secret"), "{debug}");
}

#[test]
fn variables_are_shown_by_an_allow_list() {
    assert_eq!(shown_variable("MEMORY_ENGINE_LIMITS_BURST", "5"), Some(json!(5)));
    assert_eq!(shown_variable("MEMORY_ENGINE_LIMITS_BURST_FILE", "/run/burst"), Some(json!("/run/burst")));
    assert_eq!(
        shown_variable("MEMORY_ENGINE_RERANK_URL", "https://u:p@a/?k=s"),
        Some(json!("https://***@a/?***"))
    );
    assert_eq!(shown_variable("RAG_TOP_K", "5"), Some(json!("5")));
    let exceptions = json!([{"detector": "email", "value": "secret@example.org"}]).to_string();
    let shown = shown_variable("MEMORY_ENGINE_POLICY_EXCEPTIONS", &exceptions).unwrap();
    assert_eq!(shown, json!([{"detector": "email", "value": "***"}]));
    for name in ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"] {
        assert_eq!(shown_variable(name, "authorization=Bearer secret"), Some(json!("***")), "{name}");
    }
    let key_file = shown_variable("MEMORY_ENGINE_RERANK_API_KEY_FILE", "/run/key");
    assert_eq!(key_file, Some(json!("/run/key")), "the path of a file is no secret");
    for name in ["PATH", "DATABASE_URL", "MEMORY_ENGINE_", "MEMORY_ENGINE_API_KEY", "MEMORY_ENGINE_DATA_FILE"]
    {
        assert_eq!(shown_variable(name, "secret"), None, "{name}");
    }
}

#[test]
fn every_key_is_explained() {
    for (section, key) in keys() {
        let text = explain(&format!("{section}.{}", key.name)).unwrap();
        assert!(text.contains(&variable(section, key.name)) && !text.contains("]("), "{text}");
    }
    let text = explain("log.level").unwrap();
    for line in [
        "  minimum severity of messages\n",
        "  default: info\n",
        "  reload: live",
        "  resource: logging.level\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(explain("log.levl").unwrap_err().contains("known are log.level"));
}

#[test]
fn what_differs_is_found_by_value_and_not_by_spelling() {
    let of = |file: Value| resolved(&file, &[], &[]).unwrap().configuration;
    let (one, other) =
        (of(json!({})), of(json!({"log": {"level": "info"}, "saving": {"sameText": "SaveOnce"}})));
    let names: Vec<&str> = differing(&one, &other).into_iter().map(|(_, key)| key.name).collect();
    assert_eq!(names, ["sameText"], "a default that the file sets is no difference");
}
