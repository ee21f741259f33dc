//! The engine's configuration: fields of the spec are passed on, omitted fields stay omitted, and validation refuses
//! what the engine would refuse.

use std::sync::Arc;

use crds::{
    Embedding, EmbeddingProvider, Guard, Identifiers, Limits, Mcp, MemoryEngineSpec, Monitoring, Phase,
    Policy, PolicyException, Retention, Rollout, RolloutRehearsal, SameText, Saving, Tracing, Writer,
};
use engine_core::{
    configuration::{self, Author},
    digest::Hash,
    limits::{NAME_CHARS_MAX, RETENTION_AGE_DAYS_MAX},
    policy::{Finds, Kind, detectors},
    wire::{NotApplied, Unknown},
};
use operator_core::{
    anchor::expected::expected_history,
    build::engine_config,
    children::CHILDREN,
    notices::notices,
    observed::EngineReport,
    plan::Done,
    status::{Outcome, status},
    validate::validate,
};
use serde_json::{Value, json};

use crate::external_services::{embedding_service, rerank};
use crate::world::{
    carry_out, condition, engine, health, observed, planned, settings, settled, status_of, status_of_faults,
    valid,
};

/// A text in an exception. It must not appear in anything that the operator writes.
const TEXT: &str = "help@example.org";

fn exception() -> PolicyException {
    PolicyException {
        detector: "email".into(),
        sha256: None,
        value: Some(TEXT.into()),
        reason: "everybody writes to it".into(),
        reviewer: "platform".into(),
        expires: Some("2027-01-01T00:00:00Z".into()),
    }
}

fn names(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

pub(crate) fn full() -> MemoryEngineSpec {
    let hashed = PolicyException {
        detector: "github-token".into(),
        sha256: Some("1".repeat(64)),
        value: None,
        expires: None,
        ..exception()
    };
    MemoryEngineSpec {
        policy: Some(Policy {
            block: names(&["github-token"]),
            redact: names(&[]),
            exceptions: vec![exception(), hashed],
            identifiers: Some(Identifiers::Refuse),
        }),
        retention: Some(Retention {
            max_age_days: Some(365),
            max_entries_per_project: Some(10_000),
            spike_guard_percent: Some(30),
            ..Retention::default()
        }),
        saving: Some(Saving { same_text: Some(SameText::SaveOnce) }),
        embedding: Some(Embedding { provider: EmbeddingProvider::Http, http: Some(embedding_service()) }),
        rerank: Some(rerank()),
        mcp: Some(Mcp {
            allowed_hosts: vec!["proxy.example.org:8443".into(), "[fd00::1]".into()],
            server_memory_tools: true,
            server_memory_project: Some("house".into()),
        }),
        limits: Some(Limits {
            requests_per_second: Some(50),
            burst: Some(200),
            connections_per_address: Some(512),
            keep_alive_seconds: Some(630),
        }),
        guard: Some(Guard {
            enabled: Some(true),
            consecutive_failures: Some(5),
            slow_millis: Some(400),
            slow_window: Some(30),
            slow_samples_min: Some(10),
            slow_max_age_seconds: Some(600),
            hold_seconds: Some(120),
            hold_max_seconds: Some(1_800),
            probe_budget_millis: Some(250),
            probe_successes: Some(2),
            probe_interval_millis: Some(2_000),
            idle_probe_seconds: Some(30),
        }),
        writer: Writer { stop_delay_seconds: Some(15), ..Writer::default() },
        rollout: Some(Rollout {
            rehearsal: Some(RolloutRehearsal { since_seconds: Some(86_400), questions: None }),
            ..Rollout::default()
        }),
        monitoring: Some(Monitoring {
            tracing: Some(Tracing {
                endpoint: "http://collector.observability:4318/v1/traces".to_owned(),
                sampling_rate_per_million: Some(10_000),
            }),
        }),
        ..MemoryEngineSpec::default()
    }
}

fn text_of(spec: MemoryEngineSpec) -> String {
    let mut engine = engine();
    engine.spec = spec;
    engine_config(&valid(&observed(engine)))
}

/// The configuration as operators wrote it before these sections existed. If the text changed, an upgrade of the
/// operator would restart every engine.
const BEFORE: &str = "\
engine:
  name: notes
  namespace: team
integrity:
  verifyIntervalSeconds: 86400
log:
  level: info
rotation:
  maxSegmentAgeSeconds: 86400
  maxSegmentBytes: 67108864
shutdown:
  drainSeconds: 20
";

#[test]
fn a_section_that_is_left_out_changes_no_byte_and_restarts_nobody() {
    assert_eq!(text_of(MemoryEngineSpec::default()), BEFORE);
    let empty = MemoryEngineSpec {
        policy: Some(Policy::default()),
        retention: Some(Retention::default()),
        saving: Some(Saving::default()),
        mcp: Some(Mcp::default()),
        limits: Some(Limits::default()),
        ..MemoryEngineSpec::default()
    };
    assert_eq!(text_of(empty), BEFORE, "a section without any field");
    // The stored text is the configuration with every section, in the form in which the operator has written every
    // section since it first existed.
    assert_eq!(text_of(full()), include_str!("config_full.yaml"));
    // Checks that a change of the configuration changes the text.
    let embedding = Some(Embedding::default());
    assert!(
        text_of(MemoryEngineSpec { embedding: embedding.clone(), ..MemoryEngineSpec::default() })
            .starts_with("embedding:\n  provider: builtin\n")
    );
    assert_ne!(text_of(MemoryEngineSpec { embedding, ..MemoryEngineSpec::default() }), BEFORE);
}

#[test]
fn what_is_said_reaches_the_engine() {
    let config: Value = serde_yaml::from_str(&text_of(full())).unwrap();
    let reviewed = |detector: &str, sha256: &str| {
        json!({
            "detector": detector, "sha256": sha256, "reason": "everybody writes to it", "reviewer": "platform",
        })
    };
    let mut with_end = reviewed("email", &Hash::of(TEXT.as_bytes()).to_string());
    with_end["expires"] = json!("2027-01-01T00:00:00Z");
    let policy = json!({
        "block": ["github-token"],
        "redact": [],
        "exceptions": [with_end, reviewed("github-token", &"1".repeat(64))],
        "identifiers": "Refuse",
    });
    assert_eq!(config["policy"], policy);
    assert_eq!(
        config["retention"],
        json!({"maxAgeDays": 365, "maxEntriesPerProject": 10_000, "spikeGuardPercent": 30})
    );
    assert_eq!(config["rehearsal"], json!({"record": true, "questions": 1_000, "sinceSeconds": 86_400}));
    assert_eq!(config["saving"], json!({"sameText": "SaveOnce"}));
    let embedding = json!({
        "provider": "http", "url": "https://models.example.org/v1/embeddings", "model": "small", "dimension": 512,
        "apiKeyFile": "/run/memory-engine/embedding-key/key", "timeoutSeconds": 20, "queryTimeoutMillis": 400,
        "batch": 32, "maxRequestsPerMinute": 1200, "maxTokensPerMinute": u32::MAX, "costPerMillionTokens": 0.02,
    });
    assert_eq!(config["embedding"], embedding);
    let rerank = json!({
        "url": "https://models.example.org:8443/v1/rerank", "model": "cross", "top": 20,
        "apiKeyFile": "/run/memory-engine/rerank-key/key", "timeoutSeconds": 3, "maxRequestsPerMinute": 60,
        "maxTokensPerMinute": 100_000, "costPerMillionTokens": 2.0,
    });
    assert_eq!(config["rerank"], rerank);
    assert_eq!(
        config["mcp"],
        json!({
            "allowedHosts": ["proxy.example.org:8443", "[fd00::1]"],
            "serverMemoryTools": true, "serverMemoryProject": "house",
        })
    );
    assert_eq!(
        config["limits"],
        json!({"requestsPerSecond": 50, "burst": 200, "connectionsPerAddress": 512, "keepAliveSeconds": 630})
    );
}

/// The engine parses the file that the operator writes and finds no fault.
#[test]
fn the_engine_can_read_what_is_written() {
    let config: Value = serde_yaml::from_str(&text_of(full())).unwrap();
    let (read, not_applied) = configuration::read(&config, Author::Person).unwrap();
    assert_eq!(not_applied, []);
    assert_eq!(serde_json::to_value(&read).unwrap(), config, "reading loses nothing");
    let settings = read.policy.settings().unwrap();
    assert_eq!(settings.faults(), []);
    assert_eq!(settings.redact.as_deref(), Some(&[][..]), "an empty list is not the default");
    assert_eq!(settings.identifiers, engine_core::policy::Identifiers::Refuse);
    for one in [Identifiers::Pseudonymise, Identifiers::Refuse, Identifiers::Keep] {
        let read: engine_core::policy::Identifiers = serde_yaml::from_str(one.as_str()).unwrap();
        assert_eq!(format!("{read:?}"), one.as_str());
    }
    assert!(settings.exceptions[0].expires.is_some());
}

/// Neither the operator's output nor any debug text contains the text of an exception.
#[test]
fn the_text_of_an_exception_stays_in_the_resource() {
    let mut engine = engine();
    engine.spec = full();
    engine.metadata.annotations = None;
    let mut world = observed(engine);
    let plan = planned(&world);
    carry_out(&mut world, &plan, usize::MAX);
    let valid = valid(&world);
    let done = Done::default();
    let outcome = Outcome::Applied { valid: &valid, plan: &plan, done: &done };
    let said = json!(status(&world, &expected_history(&world), &outcome)).to_string();
    let written =
        json!(CHILDREN.wanted(&valid).into_iter().map(|(_, child)| child).collect::<Vec<_>>()).to_string();
    for (what, text) in [
        ("objects", written),
        ("status", said),
        ("plan", format!("{plan:?}")),
        ("spec", format!("{valid:?}")),
        ("resource", format!("{:?}", world.engine)),
    ] {
        assert!(!text.contains(TEXT), "{what}");
    }
    let mut bad = full();
    let exceptions = &mut bad.policy.as_mut().unwrap().exceptions;
    exceptions[0].sha256 = Some("0".repeat(64));
    exceptions[0].reason = String::new();
    exceptions[0].expires = Some("soon".into());
    let said = faults(bad).join("\n");
    assert!(said.lines().count() == 3 && !said.contains(TEXT), "{said}");
}

pub(crate) fn faults(spec: MemoryEngineSpec) -> Vec<String> {
    let mut engine = engine();
    engine.spec = spec;
    validate(&engine, &settings()).expect_err("it is at fault").iter().map(ToString::to_string).collect()
}

/// Applies `change` to a spec and checks that validation finds as many faults as `expected` has texts, and that each
/// fault contains its text.
#[track_caller]
pub(crate) fn check(change: impl FnOnce(&mut MemoryEngineSpec), expected: &[&str]) {
    let mut spec = full();
    change(&mut spec);
    let found = faults(spec);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (fault, part) in found.iter().zip(expected) {
        assert!(fault.contains(part), "{fault} does not contain {part}");
    }
}

#[test]
fn a_policy_that_the_engine_would_refuse_is_refused() {
    let policy = |change: fn(&mut Policy)| {
        move |spec: &mut MemoryEngineSpec| {
            change(spec.policy.as_mut().expect("there is one"));
        }
    };
    check(
        policy(|policy| policy.block = names(&["github", "jwt", "jwt"])),
        &[
            "spec.policy.block names \"github\", which is not one of: private-key",
            "spec.policy.block names \"jwt\" twice",
        ],
    );
    // The name of a detector is not a kind of personal data.
    check(policy(|policy| policy.redact = names(&["us-ssn"])), &["spec.policy.redact names \"us-ssn\""]);
    check(
        policy(|policy| policy.exceptions[0].detector = "mail".into()),
        &["spec.policy.exceptions[0].detector names \"mail\""],
    );
    check(
        policy(|policy| policy.exceptions[1].value = Some("x".into())),
        &["spec.policy.exceptions[1] needs either sha256"],
    );
    check(policy(|policy| policy.exceptions[0].value = None), &["spec.policy.exceptions[0] needs either"]);
    check(
        policy(|policy| policy.exceptions[1].reviewer = " ".into()),
        &["spec.policy.exceptions[1] needs a reason and a reviewer"],
    );
    check(
        policy(|policy| policy.exceptions[1].expires = Some("2027-13-01T00:00:00Z".into())),
        &["spec.policy.exceptions[1].expires is not an RFC 3339 time"],
    );
    check(
        policy(|policy| policy.exceptions = vec![exception(); 257]),
        &["spec.policy.exceptions has 257 items, the limit is 256"],
    );
}

#[test]
fn numbers_and_names_that_the_engine_would_refuse_are_refused() {
    check(
        |spec| {
            let days = i32::try_from(RETENTION_AGE_DAYS_MAX).unwrap() + 1;
            let (most, guard) = (Some(0), Some(101));
            spec.retention = Some(Retention {
                max_age_days: Some(days),
                max_entries_per_project: most,
                spike_guard_percent: guard,
                ..Retention::default()
            });
        },
        &[
            "spec.retention.maxAgeDays",
            "spec.retention.maxEntriesPerProject",
            "spec.retention.spikeGuardPercent",
        ],
    );
    check(
        |spec| {
            let limits = spec.limits.as_mut().expect("there are some");
            (limits.requests_per_second, limits.connections_per_address) = (None, Some(513));
        },
        &["spec.limits.connectionsPerAddress", "spec.limits.burst has no effect without"],
    );
    check(
        |spec| {
            let mcp = spec.mcp.as_mut().expect("there is one");
            mcp.allowed_hosts = vec!["http://a.b".into(); 65];
            (mcp.server_memory_tools, mcp.server_memory_project) = (false, Some("a\tb".into()));
        },
        &[
            &["spec.mcp.allowedHosts has 65 items"],
            [MANY_HOSTS; 65].as_slice(),
            &[
                "spec.mcp.serverMemoryProject must not have control characters",
                "spec.mcp.serverMemoryProject has no effect without spec.mcp.serverMemoryTools: true",
            ],
        ]
        .concat(),
    );
}

const MANY_HOSTS: &str = "is not a host";

/// Faults in these sections are reported in the conditions like any other, and a running engine is left unchanged.
#[test]
fn a_fault_is_said_in_the_conditions() {
    let mut engine = engine();
    engine.spec.policy = Some(Policy { block: names(&["github"]), ..Policy::default() });
    let faults = validate(&engine, &settings()).unwrap_err();
    let world = observed(engine);
    let status = status_of_faults(&world, &faults);
    assert_eq!(condition(&status, "Stalled"), "True/InvalidSpec");
    assert_eq!(condition(&status, "Ready"), "False/InvalidSpec");
    assert_eq!(status.phase, Some(Phase::Failed));
    let said = &status.conditions.iter().find(|one| one.type_ == "Ready").unwrap().message;
    assert!(said.contains("spec.policy.block names \"github\""), "{said}");
}

/// The schema of a field of the resource in the CRD.
fn in_definition(field: &str) -> Value {
    let definition = crds::memory_engine_crd();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let step = |schema: Value, name: &str| schema["properties"][name].clone();
    field.split('.').fold(schema.clone(), step)
}

/// The bounds, allowed values and defaults in the CRD equal those in the engine's schema. If a bound in the CRD were
/// tighter, it would refuse values that the engine accepts. If it were wider, a fault would only be reported in a
/// condition. Another default would change the engine.
#[test]
fn the_definition_says_of_every_field_what_the_schema_says() {
    let mut numbers = 0;
    for (section, key) in configuration::keys() {
        let Some(field) = key.field else { continue };
        let found = in_definition(field);
        assert!(
            found["type"].is_string() || found["x-kubernetes-int-or-string"] == true,
            "there is no {field}"
        );
        match key.kind {
            // The field is a quantity. A CRD schema cannot express its bounds.
            configuration::Kind::Integer { bytes: true, .. } => {
                assert!(found["default"].as_str().is_some_and(|size| size == "64Mi"), "{field}");
                continue;
            }
            configuration::Kind::Integer { min, max, .. } => {
                numbers += 1;
                let bound = |name: &str| found[name].as_f64().map(|bound| format!("{bound}"));
                assert_eq!(bound("minimum"), Some(min.to_string()), "{field}");
                assert_eq!(bound("maximum"), Some(max.to_string()), "{field}");
            }
            configuration::Kind::Enum(words) => {
                let words = json!(words);
                let extra = found["enum"]
                    .as_array()
                    .expect("words")
                    .iter()
                    .filter(|word| !word.is_null() && !words.as_array().expect("a list").contains(word));
                assert_eq!(extra.count(), 0, "{field} has a word that the engine does not know");
            }
            configuration::Kind::Checked { .. } => {
                assert_eq!(found["maxItems"], json!(configuration::ALLOWED_HOSTS_MAX), "{field}");
            }
            _ => {}
        }
        // If an optional section is omitted, the engine's defaults apply.
        if let (Some(default), Some(stated)) = (key.default, found.get("default")) {
            assert_eq!(*stated, default(), "{section}.{}", key.name);
        }
    }
    assert!(numbers >= 9, "{numbers}");
}

#[test]
fn the_definition_bounds_what_the_engine_bounds() {
    let field = |section: &str, name: &str, bound: &str| {
        in_definition(&format!("spec.{section}.{name}"))[bound].as_f64().expect("a bound")
    };
    assert_eq!(format!("{}", field("mcp", "serverMemoryProject", "maxLength")), NAME_CHARS_MAX.to_string());
    let secrets = detectors().filter(|one| one.finds == Finds::Secret).count();
    for (name, known) in [("block", secrets), ("redact", Kind::ALL.len())] {
        let most = field("policy", name, "maxItems");
        assert!(
            f64::from(u32::try_from(known).unwrap()) <= most,
            "{known} names for {name}, {most} may be listed"
        );
    }
    let is_name = |name: &str| {
        name.len() <= 64 && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    assert!(detectors().all(|one| is_name(one.name)) && Kind::ALL.iter().all(|kind| is_name(&kind.name())));
}

/// An engine with an older image keeps running without the parts of the configuration that it does not know, and the
/// status names these parts.
#[test]
fn what_an_older_engine_does_not_apply_is_a_condition() {
    let mut world = settled();
    assert_eq!(condition(&status_of(&world), "ConfigurationApplied"), "True/ConfigurationInEffect");
    let part = |key: &str, unknown| NotApplied { key: key.into(), unknown };
    let mut report = health(None);
    report.version = "0.0.9".into();
    report.not_applied = vec![
        part("limits.burst", Unknown::Key),
        part("log", Unknown::Section),
        part("policy.block", Unknown::Value),
        part("policy.exceptions[1].projects", Unknown::Key),
        part("somebody.wrote", Unknown::Key),
    ];
    world.writer_mut().report = EngineReport::Answered(Box::new(report));
    let status = status_of(&world);
    assert_eq!(condition(&status, "ConfigurationApplied"), "False/EngineTooOld");
    assert_eq!(condition(&status, "Ready"), "True/Serving", "its memories are served");
    let message = |status: &crds::MemoryEngineStatus| {
        let condition = status.conditions.iter().find(|one| one.type_ == "ConfigurationApplied");
        condition.expect("a condition").message.clone()
    };
    assert_eq!(
        message(&status),
        "the engine is version 0.0.9 and does not know these parts of its configuration, which have no effect: \
         limits.burst (spec.limits.burst, known since 0.1.0), log (spec.logging, known since 0.1.0), \
         policy.block (a value of spec.policy.block), policy.exceptions[1].projects (inside of \
         spec.policy.exceptions), somebody.wrote. Set spec.image to a version that knows them, or remove the fields"
    );
    let events = notices(Some(&status_of(&settled())), &status);
    assert!(events.iter().any(|event| event.warning && event.reason == "EngineTooOld"), "{events:?}");
    // The verdict stays while the engine cannot be queried, but it is not carried over to a new spec.
    Arc::make_mut(&mut world.engine).status = Some(status.clone());
    world.writer_mut().report = EngineReport::Unreachable("refused".into());
    assert_eq!(message(&status_of(&world)), message(&status));
    Arc::make_mut(&mut world.engine).metadata.generation = Some(99);
    assert_eq!(condition(&status_of(&world), "ConfigurationApplied"), "Unknown/EngineStarting");
}
