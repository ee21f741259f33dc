//! The reports of the admin port: named checks, models, durations, variables.

use std::fs;

use engine_core::wire::{BreakerState, MetricsReport, ModelRole, ModelState, ModelsHealth};
use serde_json::{Value, json};

use crate::process::{Running, eventually, segment};
use crate::services::Service;

#[test]
fn each_check_has_a_line_and_a_failed_one_its_reason() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    for path in ["/readyz?verbose", "/readyz?verbose=1&x=y"] {
        let answer = engine.admin(path);
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "[+]shutdown ok\n[+]log ok\n[+]projection ok\n[+]following ok\nreadyz check passed\n")
        );
    }
    assert_eq!(engine.admin("/readyz").body, "ok\n");
    for query in ["for=reads", "for=writes", "x=y&for=reads", "verbose&for=writes"] {
        assert_eq!(engine.admin(&format!("/readyz?{query}")).status, 200, "{query}");
    }
    for query in ["for=bogus", "for", "for=", "for=reads&for=writes", "for=READS", "verbose&for=bogus"] {
        let answer = engine.admin(&format!("/readyz?{query}"));
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.body, "the parameter `for` must be reads or writes, once\n");
    }
    let alive = engine.admin("/livez?verbose");
    assert_eq!(
        (alive.status, alive.body.as_str()),
        (200, "[+]threads ok\n[+]catalogs ok\n[+]embeddings ok\nlivez check passed\n")
    );
    assert_eq!(engine.save("the kettle is blue").status, 201);
    assert!(engine.terminate().success());

    // A log whose first line does not verify has nothing that can be read.
    let mut bytes = fs::read(segment(data.path())).unwrap();
    bytes[10] ^= 1;
    fs::write(segment(data.path()), bytes).unwrap();
    let engine = Running::spawn(data.path());
    eventually("the fault is found", || engine.health()["reasons"][0] == "log_corrupt");
    let answer = engine.admin("/readyz?verbose");
    assert_eq!(answer.status, 503);
    let lines: Vec<&str> = answer.body.lines().collect();
    assert!(lines.contains(&"[-]log failed: the log does not verify, and no event can be read"), "{lines:?}");
    assert_eq!(lines.last(), Some(&"readyz check failed"));
    assert_eq!(engine.admin("/readyz").status, 503);
    assert_eq!(engine.admin("/livez?verbose").status, 200);
}

fn models(engine: &Running) -> ModelsHealth {
    serde_json::from_value(engine.admin("/health/models").json()).unwrap()
}

#[test]
fn a_service_that_fails_degrades_an_engine_that_serves() {
    let (data, service) = (tempfile::tempdir().unwrap(), Service::start());
    let path = data.path().join("config.yaml");
    let address = service.address;
    let config = format!(
        "embedding: {{provider: http, url: 'http://{address}/v1/embeddings', model: small, queryTimeoutMillis: 5000}}\n\
         rerank: {{url: 'http://{address}/v1/rerank', model: cross, timeoutSeconds: 10}}\n\
         guard: {{enabled: false}}\n"
    );
    fs::write(&path, config).unwrap();
    let engine = Running::spawn_with(data.path(), &["--config".as_ref(), path.as_os_str()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    for content in ["the zorbl is in the shed", "the quux is in the attic"] {
        assert_eq!(engine.save(content).status, 201);
    }
    eventually("all have vectors", || engine.admin("/embedding").json()["embedded"] == 2);
    assert_eq!(engine.get("/v1/search?q=plinthoid&project=default").status, 200);
    let found = models(&engine).models;
    let of =
        |found: &ModelsHealth, role| found.models.iter().find(|model| model.role == role).cloned().unwrap();
    let roles: Vec<(ModelRole, &str)> = found.iter().map(|model| (model.role, model.name.as_str())).collect();
    assert_eq!(roles[1..], [(ModelRole::Embedding, "small"), (ModelRole::Rerank, "cross")]);
    let embedding = of(&models(&engine), ModelRole::Embedding);
    assert_eq!((embedding.state, embedding.embedded, embedding.total), (ModelState::Ready, Some(2), Some(2)));
    let state = embedding.service.unwrap();
    assert!(state.breaker == BreakerState::Closed && state.last_success_seconds_ago.is_some(), "{state:?}");
    assert_eq!((state.last_failure, engine.health()["status"].clone()), (None, json!("ok")));

    service.set_down(true);
    // Each query is new, so that no answer comes from the cache.
    for n in 0..6 {
        assert_eq!(engine.get(&format!("/v1/search?q=plinthoid{n}&project=default")).status, 200);
    }
    let embedding = of(&models(&engine), ModelRole::Embedding);
    let state = embedding.service.unwrap();
    assert_eq!((embedding.state, state.breaker), (ModelState::Unavailable, BreakerState::Open));
    assert_eq!(state.last_failure.as_deref(), Some("connection_reset"));
    let health = engine.health();
    assert_eq!(health["status"], "degraded");
    assert!(health["reasons"].as_array().unwrap().contains(&json!("embedding_unavailable")), "{health}");
    assert_eq!(engine.admin("/readyz").status, 200, "it serves");
    let open = "memory_provider_breaker_open{provider=\"embedding\",engine=\"\"} 1";
    assert!(engine.admin("/metrics").body.contains(open));
    assert!(engine.terminate().success());

    // The series of a section end with the process: they are gone when the section is gone.
    fs::write(&path, "{}\n").unwrap();
    let engine = Running::spawn_with(data.path(), &["--config".as_ref(), path.as_os_str()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    assert!(!engine.admin("/metrics").body.contains("provider="));
    assert_eq!(models(&engine).models.len(), 1);
}

#[test]
fn durations_caches_and_the_process_are_reported() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    assert_eq!(engine.save("the kettle is blue").status, 201);
    for _ in 0..3 {
        assert_eq!(engine.get("/v1/search?q=kettle&project=default").status, 200);
    }
    let report: MetricsReport = serde_json::from_value(engine.admin("/metrics/json").json()).unwrap();
    assert_eq!(report.window_seconds, 300);
    assert_eq!((report.operations["append"].samples, report.operations["search"].samples), (1, 1));
    for (name, one) in report.operations.iter().chain(&report.stages) {
        assert!(0.0 < one.p50 && one.p50 <= one.p95 && one.p95 <= one.p99, "{name}: {one:?}");
    }
    for stage in ["embed", "retrieve", "features", "rank", "fusion", "total"] {
        assert_eq!(report.stages[stage].samples, 1, "{stage}");
        assert!(report.stages[stage].p50 <= report.stages["total"].p50, "{stage}");
    }
    let search = &report.caches["search"];
    assert_eq!((search.outcomes["hit"], search.outcomes["miss"]), (2, 1));
    assert!(search.hit_rate.is_some_and(|rate| (0.6..0.7).contains(&rate)));
    let system = report.system;
    assert!(system.resident_memory_bytes.is_some_and(|bytes| bytes > 1 << 20), "{system:?}");
    assert!(
        system.open_files.is_some_and(|files| files > 3) && system.threads.is_some_and(|threads| threads > 3)
    );
}

#[test]
fn variables_are_shown_without_secrets_and_only_those_of_the_engine() {
    let data = tempfile::tempdir().unwrap();
    let variables = [
        ("MEMORY_ENGINE_LIMITS_KEEP_ALIVE_SECONDS", "80"),
        ("MEMORY_ENGINE_RERANK_URL", "http://127.0.0.1:1/?key=hidden"),
        ("MEMORY_ENGINE_RERANK_MODEL", "cross"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer hidden"),
        ("DATABASE_URL", "postgres://user:hidden@db/x"),
    ];
    let engine = Running::spawn_in(data.path(), "127.0.0.1:0", &[], &variables);
    let answer = engine.admin("/config/env");
    assert_eq!(answer.status, 200);
    assert!(!answer.body.contains("hidden") && !answer.body.contains("DATABASE_URL"), "{}", answer.body);
    let shown: Value = answer.json();
    assert_eq!(shown["MEMORY_ENGINE_LIMITS_KEEP_ALIVE_SECONDS"], 80);
    assert_eq!(shown["MEMORY_ENGINE_RERANK_URL"], "http://127.0.0.1:1/?***");
    assert_eq!(shown["OTEL_EXPORTER_OTLP_HEADERS"], "***");
    assert_eq!(engine.get("/config/env").status, 404, "the clients' port does not have it");
    assert!(!engine.said().contains("hidden"));
}
