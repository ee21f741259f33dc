//! The text of `config.yaml`. What the spec leaves out is left out here too: the engine has defaults of its own, and
//! the hash of a text that stays the same restarts nobody.

use crds::{Embedding, Limits, Mcp, Policy, PolicyException, Retention, Saving};
use engine_core::digest::Hash;
use serde_json::{Map, Value, json};

use crate::validate::Valid;

/// The text of `config.yaml`. The pod template carries its hash, so that a change makes a new pod.
#[must_use]
pub fn engine_config(valid: &Valid) -> String {
    let mut config = json!({
        "engine": {"namespace": valid.namespace, "name": valid.name},
        "log": {"level": valid.log_level.as_str()},
        "shutdown": {"drainSeconds": valid.drain_seconds},
        "rotation": {
            "maxSegmentBytes": valid.max_segment_bytes,
            "maxSegmentAgeSeconds": valid.max_segment_age_seconds,
        },
        "integrity": {"verifyIntervalSeconds": valid.verify_interval_seconds},
    });
    let sections = [
        ("policy", valid.policy.as_ref().map(policy)),
        ("retention", valid.retention.as_ref().map(retention)),
        ("saving", valid.saving.as_ref().map(saving)),
        ("embedding", valid.embedding.as_ref().map(embedding)),
        ("mcp", valid.mcp.as_ref().map(mcp)),
        ("limits", valid.limits.as_ref().map(limits)),
    ];
    for (name, section) in sections {
        if let Some(section) = section.filter(|section| !section.is_empty()) {
            config[name] = Value::Object(section);
        }
    }
    serde_yaml::to_string(&config).expect("plain values are YAML")
}

type Section = Map<String, Value>;

/// What is said of these; null is what is not.
fn said<const N: usize>(fields: [(&str, Value); N]) -> Section {
    let said = fields.into_iter().filter(|(_, value)| !value.is_null());
    said.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A list that is empty when it is left out.
fn listed(items: Vec<Value>) -> Value {
    if items.is_empty() { Value::Null } else { items.into() }
}

fn policy(policy: &Policy) -> Section {
    let Policy { block, redact, exceptions, identifiers } = policy;
    said([
        ("block", json!(block)),
        ("redact", json!(redact)),
        ("exceptions", listed(exceptions.iter().map(|one| exception(one).into()).collect())),
        ("identifiers", json!(identifiers.map(crds::Identifiers::as_str))),
    ])
}

/// Of a text only the hash is handed on, which is all that the engine keeps of it: those who may read the ConfigMap and
/// not the resource learn nothing more.
fn exception(exception: &PolicyException) -> Section {
    let PolicyException { detector, sha256, value, reason, reviewer, expires } = exception;
    let hashed = value.as_ref().map(|value| Hash::of(value.as_bytes()).to_string());
    said([
        ("detector", json!(detector)),
        ("sha256", json!(sha256.clone().or(hashed))),
        ("reason", json!(reason)),
        ("reviewer", json!(reviewer)),
        ("expires", json!(expires)),
    ])
}

fn retention(retention: &Retention) -> Section {
    let Retention { max_age_days, max_entries_per_project, spike_guard_percent } = *retention;
    said([
        ("maxAgeDays", json!(max_age_days)),
        ("maxEntriesPerProject", json!(max_entries_per_project)),
        ("spikeGuardPercent", json!(spike_guard_percent)),
    ])
}

fn saving(saving: &Saving) -> Section {
    let Saving { same_text } = saving;
    said([("sameText", json!(same_text))])
}

fn embedding(embedding: &Embedding) -> Section {
    let Embedding { provider } = embedding;
    said([("provider", json!(provider.as_str()))])
}

fn mcp(mcp: &Mcp) -> Section {
    let Mcp { allowed_hosts, server_memory_tools, server_memory_project } = mcp;
    said([
        ("allowedHosts", listed(allowed_hosts.iter().map(|host| json!(host)).collect())),
        ("serverMemoryTools", json!(server_memory_tools.then_some(true))),
        ("serverMemoryProject", json!(server_memory_project)),
    ])
}

fn limits(limits: &Limits) -> Section {
    let Limits { requests_per_second, burst, connections_per_address } = *limits;
    said([
        ("requestsPerSecond", json!(requests_per_second)),
        ("burst", json!(burst)),
        ("connectionsPerAddress", json!(connections_per_address)),
    ])
}
