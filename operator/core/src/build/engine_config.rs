//! The content of `config.yaml`: the engine's configuration schema with the values from the resource. Fields that the
//! spec omits are also omitted here: the engine has its own defaults, and while the hash of the file is unchanged, no
//! pod is restarted.

use crds::PolicyException;
use engine_core::{
    configuration::{
        Access, AccessKey, Backup, Configuration, Deployment, DeploymentMode, Embedding, Exception, Guard,
        Identifiers, Identity, Integrity, Limits, LogLevel, Logging, Mcp, Policy, Provider, Rehearsal,
        Rerank, Retention, Rotation, SameText, Saving, Shutdown, Tls, Tracing,
    },
    digest::Hash,
};

use super::access::{admin_token_path, client_authority_path, key_paths, reader_token_path};
use super::access_issuer::{access_certificate, access_issuer, scope};
use super::backup;
use super::external_service::{embedding_key_path, embedding_service, rerank_key_path};
use super::{API_TLS_PATH, TLS_PATH};
use crate::validate::{Valid, ValidBackup};

/// The content of `config.yaml`. The pod template contains a hash of it, so that a change replaces the pod.
#[must_use]
pub fn engine_config(valid: &Valid) -> String {
    // The keys of a JSON value are sorted. Moving a field in the schema therefore does not change the text.
    let value = serde_json::to_value(configuration(valid)).expect("plain values are JSON");
    serde_yaml::to_string(&value).expect("plain values are YAML")
}

fn configuration(valid: &Valid) -> Configuration {
    Configuration {
        engine: Identity { namespace: Some(valid.namespace.clone()), name: Some(valid.name.clone()) },
        log: Logging { level: Some(level(valid.log_level)) },
        shutdown: Shutdown {
            drain_seconds: Some(valid.drain_seconds.unsigned_abs()),
            delay_seconds: valid.stop_delay_seconds.map(i64::unsigned_abs),
        },
        rotation: Rotation {
            max_segment_bytes: Some(valid.max_segment_bytes),
            max_segment_age_seconds: Some(valid.max_segment_age_seconds.unsigned_abs().into()),
        },
        integrity: Integrity {
            verify_interval_seconds: Some(valid.verify_interval_seconds.unsigned_abs().into()),
        },
        policy: valid.policy.as_ref().map(policy).unwrap_or_default(),
        retention: valid.retention.as_ref().map(retention).unwrap_or_default(),
        saving: valid.saving.as_ref().map(saving).unwrap_or_default(),
        embedding: valid.embedding.as_ref().map(embedding).unwrap_or_default(),
        rerank: valid.rerank.as_ref().map(rerank).unwrap_or_default(),
        mcp: mcp(valid),
        deployment: deployment(valid),
        limits: valid.limits.as_ref().map(limits).unwrap_or_default(),
        guard: valid.guard.as_ref().map(guard).unwrap_or_default(),
        access: access(valid),
        tls: valid.tls.as_ref().map(|_| tls(valid)).unwrap_or_default(),
        tracing: valid.tracing.as_ref().map(tracing).unwrap_or_default(),
        backup: valid.backup.as_ref().map(backup_section).unwrap_or_default(),
        rehearsal: rehearsal(valid),
        ..Configuration::default()
    }
}

/// Converts a number that validation has found not to be negative.
fn checked(number: Option<i32>) -> Option<u32> {
    number.map(i32::unsigned_abs)
}

/// Converts a list; an empty list becomes `None`, so that the configuration omits it as the spec does.
fn listed<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}

fn level(level: crds::LogLevel) -> LogLevel {
    match level {
        crds::LogLevel::Error => LogLevel::Error,
        crds::LogLevel::Warn => LogLevel::Warn,
        crds::LogLevel::Info => LogLevel::Info,
        crds::LogLevel::Debug => LogLevel::Debug,
        crds::LogLevel::Trace => LogLevel::Trace,
    }
}

fn policy(policy: &crds::Policy) -> Policy {
    let crds::Policy { block, redact, exceptions, identifiers } = policy.clone();
    Policy {
        block,
        redact,
        exceptions: listed(exceptions.into_iter().map(exception).collect()),
        identifiers: identifiers.map(|identifiers| match identifiers {
            crds::Identifiers::Pseudonymise => Identifiers::Pseudonymise,
            crds::Identifiers::Refuse => Identifiers::Refuse,
            crds::Identifiers::Keep => Identifiers::Keep,
        }),
    }
}

/// Converts an exception. If it has a text, only the hash of the text is passed on: the engine needs no more, and a
/// user who can read the ConfigMap but not the resource does not learn the text.
fn exception(exception: PolicyException) -> Exception {
    let PolicyException { detector, sha256, value, reason, reviewer, expires } = exception;
    let hashed = value.map(|value| Hash::of(value.as_bytes()).to_string());
    Exception { detector, sha256: sha256.or(hashed), value: None, reason, reviewer, expires }
}

/// Whoever is compared with a canary keeps questions for it.
fn rehearsal(valid: &Valid) -> Rehearsal {
    let Some(wanted) = valid.rollout.as_ref().and_then(|rollout| rollout.rehearsal) else {
        return Rehearsal::default();
    };
    Rehearsal {
        record: Some(true),
        questions: Some(wanted.questions),
        since_seconds: Some(wanted.since_seconds),
    }
}

fn retention(retention: &crds::Retention) -> Retention {
    // The other fields are the operator's.
    let crds::Retention { max_age_days, max_entries_per_project, spike_guard_percent, .. } = *retention;
    Retention {
        max_age_days: checked(max_age_days),
        max_entries_per_project: checked(max_entries_per_project).map(u64::from),
        spike_guard_percent: checked(spike_guard_percent).and_then(|percent| percent.try_into().ok()),
    }
}

fn saving(saving: &crds::Saving) -> Saving {
    let crds::Saving { same_text } = saving;
    Saving {
        same_text: same_text.map(|word| match word {
            crds::SameText::SaveAndReport => SameText::SaveAndReport,
            crds::SameText::SaveOnce => SameText::SaveOnce,
        }),
    }
}

/// Converts a number whose type in the configuration is another one.
fn number<T: TryFrom<u32>>(number: Option<i32>) -> Option<T> {
    checked(number).and_then(|number| number.try_into().ok())
}

/// Converts a number of requests or tokens, which validation has found to be within the bounds of the configuration.
fn per_minute(number: Option<i64>) -> Option<u32> {
    number.and_then(|number| number.try_into().ok())
}

fn embedding(embedding: &crds::Embedding) -> Embedding {
    let provider = match embedding.provider {
        crds::EmbeddingProvider::Builtin => Provider::BuiltIn,
        crds::EmbeddingProvider::Hashing => Provider::Hashing,
        crds::EmbeddingProvider::Off => Provider::Off,
        crds::EmbeddingProvider::Http => Provider::Http,
    };
    let service = embedding_service(embedding).cloned().map(http_embedding).unwrap_or_default();
    Embedding { provider: Some(provider), ..service }
}

fn http_embedding(service: crds::EmbeddingService) -> Embedding {
    let crds::EmbeddingService {
        url,
        model,
        dimension,
        key_secret_ref,
        timeout_seconds,
        query_timeout_millis,
        batch,
        max_requests_per_minute,
        max_tokens_per_minute,
        cost_per_million_tokens,
    } = service;
    Embedding {
        url: Some(url),
        model: Some(model),
        dimension: number(dimension),
        api_key_file: key_secret_ref.map(|_| embedding_key_path()),
        timeout_seconds: number(timeout_seconds),
        query_timeout_millis: number(query_timeout_millis),
        batch: number(batch),
        max_requests_per_minute: per_minute(max_requests_per_minute),
        max_tokens_per_minute: per_minute(max_tokens_per_minute),
        cost_per_million_tokens,
        ..Embedding::default()
    }
}

fn rerank(rerank: &crds::Rerank) -> Rerank {
    let crds::Rerank {
        url,
        model,
        top,
        key_secret_ref,
        timeout_seconds,
        max_requests_per_minute,
        max_tokens_per_minute,
        cost_per_million_tokens,
    } = rerank.clone();
    Rerank {
        url: Some(url),
        model: Some(model),
        top: number(top),
        api_key_file: key_secret_ref.map(|_| rerank_key_path()),
        timeout_seconds: number(timeout_seconds),
        max_requests_per_minute: per_minute(max_requests_per_minute),
        max_tokens_per_minute: per_minute(max_tokens_per_minute),
        cost_per_million_tokens,
    }
}

/// Omitted for the default, so that the file of an engine without this field does not change.
fn deployment(valid: &Valid) -> Deployment {
    let is_production = valid.deployment_mode == crds::DeploymentMode::Production;
    Deployment { mode: is_production.then_some(DeploymentMode::Production) }
}

/// The names under which clients outside of the cluster reach the engine are allowed without another setting.
fn mcp(valid: &Valid) -> Mcp {
    let crds::Mcp { mut allowed_hosts, server_memory_tools, server_memory_project } =
        valid.mcp.clone().unwrap_or_default();
    let public = valid.essentials.public_hosts.iter();
    let missing: Vec<String> = public.filter(|host| !allowed_hosts.contains(host)).cloned().collect();
    allowed_hosts.extend(missing);
    Mcp {
        allowed_hosts: listed(allowed_hosts),
        server_memory_tools: server_memory_tools.then_some(true),
        server_memory_project,
    }
}

/// The keys themselves are not in the configuration: it names their files.
/// Whether requests without a key are allowed is omitted where it is the engine's default.
fn access(valid: &Valid) -> Access {
    let crds::Access {
        anonymous,
        keys,
        issuers,
        certificates,
        client_authority_secret_ref: _,
        admin_token_secret_ref,
        reader_token_secret_ref,
        rate_limit,
        max_age_days: _,
    } = valid.access.clone().unwrap_or_default();
    let rate = rate_limit.unwrap_or_default();
    Access {
        anonymous: (anonymous.is_some() || !valid.is_anonymous_allowed())
            .then(|| valid.is_anonymous_allowed()),
        keys: listed(keys.into_iter().map(access_key).collect()),
        issuers: listed(issuers.iter().map(access_issuer).collect()),
        certificates: listed(certificates.iter().map(access_certificate).collect()),
        admin_token_file: admin_token_secret_ref.map(|_| admin_token_path()),
        reader_token_file: reader_token_secret_ref.map(|_| reader_token_path()),
        requests_per_second: checked(rate.requests_per_second),
        burst: checked(rate.burst),
        ..Access::default()
    }
}

fn access_key(key: crds::AccessKey) -> AccessKey {
    let crds::AccessKey { name, secret_ref: _, scopes, projects, expires } = key;
    AccessKey {
        files: key_paths(&name),
        name,
        scopes: scopes.into_iter().map(scope).collect(),
        projects,
        expires,
    }
}

/// Both ports have the same certificate, unless that of the memory API is given.
fn tls(valid: &Valid) -> Tls {
    let api = if valid.essentials.given_certificate.is_some() { API_TLS_PATH } else { TLS_PATH };
    let authority = valid.access.as_ref().and_then(|access| access.client_authority_secret_ref.as_ref());
    Tls {
        api_directory: Some(api.to_owned()),
        admin_directory: Some(TLS_PATH.to_owned()),
        client_authority_file: authority.map(|_| client_authority_path()),
    }
}

fn tracing(tracing: &crds::Tracing) -> Tracing {
    let crds::Tracing { endpoint, sampling_rate_per_million } = tracing.clone();
    Tracing {
        endpoint: Some(endpoint),
        sampling_rate_per_million: checked(sampling_rate_per_million),
        ..Tracing::default()
    }
}

fn backup_section(backup: &ValidBackup) -> Backup {
    Backup {
        archive_interval_seconds: checked(backup.spec.archive_interval_seconds).map(u64::from),
        ..backup::access(backup).section()
    }
}

fn limits(limits: &crds::Limits) -> Limits {
    let crds::Limits { requests_per_second, burst, connections_per_address, keep_alive_seconds } = *limits;
    Limits {
        requests_per_second: checked(requests_per_second),
        burst: checked(burst),
        connections_per_address: checked(connections_per_address)
            .and_then(|connections| connections.try_into().ok()),
        keep_alive_seconds: checked(keep_alive_seconds).map(u64::from),
    }
}

/// Converts the parameters of the guard.
pub(crate) fn guard(guard: &crds::Guard) -> Guard {
    let crds::Guard {
        enabled,
        consecutive_failures,
        slow_millis,
        slow_window,
        slow_samples_min,
        slow_max_age_seconds,
        hold_seconds,
        hold_max_seconds,
        probe_budget_millis,
        probe_successes,
        probe_interval_millis,
        idle_probe_seconds,
    } = *guard;
    Guard {
        enabled,
        consecutive_failures: checked(consecutive_failures),
        slow_millis: checked(slow_millis),
        slow_window: checked(slow_window),
        slow_samples_min: checked(slow_samples_min),
        slow_max_age_seconds: checked(slow_max_age_seconds),
        hold_seconds: checked(hold_seconds),
        hold_max_seconds: checked(hold_max_seconds),
        probe_budget_millis: checked(probe_budget_millis),
        probe_successes: checked(probe_successes),
        probe_interval_millis: checked(probe_interval_millis),
        idle_probe_seconds: checked(idle_probe_seconds),
    }
}
