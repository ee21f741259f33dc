//! What happens: durations, caches, models, the process.

use std::collections::BTreeMap;

use super::facts::{Means, StatusFacts};
use super::figures;
use super::html::Html;
use super::rows::{cell, facts, number, row, table, text_row, wide};
use super::shown::{self, bytes, count};
use crate::wire::{
    BreakerState, CacheReport, ConfigurationFile, ConfigurationHealth, Durations, Health, MetricsReport,
    ModelHealth, ModelRole, ModelState, ServiceHealth, SystemReport,
};

/// Adds the sections of durations, caches, models and the process.
pub(super) fn add(html: &mut Html, shown: &StatusFacts) {
    let MetricsReport { window_seconds, operations, stages, caches, system, models } = &shown.metrics;
    wide(html, "durations", "Durations", |html| {
        html.raw("<p>Of the last ").text(&(window_seconds / 60).to_string()).raw(" minutes.</p>");
        durations(html, "Operations", operations, &shown.operation_means, *window_seconds);
        durations(html, "Stages of searches", stages, &shown.stage_means, *window_seconds);
    });
    wide(html, "models", "Models", |html| {
        let columns = ["Model", "Role", "State", "Vectors", "Service"];
        table(html, "Models that searches use", &columns, |html| {
            for model in models {
                self::model(html, model);
            }
        });
    });
    facts(html, "caches", "Caches", |html| {
        if caches.is_empty() {
            text_row(html, "All", "no lookups yet");
        }
        for (name, cache) in caches {
            self::cache(html, name, cache);
        }
    });
    facts(html, "process", "Process", |html| process(html, shown, system));
}

fn durations(
    html: &mut Html,
    caption: &'static str,
    found: &BTreeMap<String, Durations>,
    means: &Means,
    window_s: u64,
) {
    if found.is_empty() {
        html.raw("<p>").raw(caption).raw(": none.</p>");
        return;
    }
    let columns = ["Name", "Samples", "p50", "p95", "p99", "Mean over time"];
    table(html, caption, &columns, |html| {
        for (name, Durations { samples, p50, p95, p99 }) in found {
            html.raw("<tr><th scope=\"row\">").code(name).raw("</th>");
            number(html, &count(*samples as u64));
            for value in [p50, p95, p99] {
                number(html, &shown::seconds(*value));
            }
            html.raw("<td>");
            let means = means.get(name).map_or(&[][..], Vec::as_slice);
            figures::sparkline(html, means, window_s / (means.len() as u64).max(1));
            html.raw("</td></tr>\n");
        }
    });
}

fn cache(html: &mut Html, name: &str, cache: &CacheReport) {
    html.raw("<tr><th scope=\"row\">").code(name).raw("</th><td>");
    let lookups: u64 = cache.outcomes.values().sum();
    match cache.hit_rate {
        Some(rate) => html.text(&format!("{:.0} % hits of {} lookups", rate * 100.0, count(lookups))),
        None => html.text("no lookups yet"),
    };
    let outcomes: Vec<String> =
        cache.outcomes.iter().map(|(outcome, lookups)| format!("{outcome}: {}", count(*lookups))).collect();
    html.raw("<br><small>").text(&outcomes.join(", ")).raw("</small></td></tr>\n");
}

fn model(html: &mut Html, model: &ModelHealth) {
    let ModelHealth { role, name, dimension, state, embedded, total, service } = model;
    html.raw("<tr><th scope=\"row\">").said(name).raw("</th>");
    let role = match role {
        ModelRole::BuiltIn => "built in",
        ModelRole::Embedding => "embedding service",
        ModelRole::Rerank => "reranker",
    };
    cell(html, role);
    let state = match state {
        ModelState::Ready => "ready",
        ModelState::Loading => "loading: some memories have no vector yet",
        ModelState::Unavailable => "unavailable: the service does not answer",
        ModelState::Off => "off",
    };
    cell(html, state);
    let dimension = dimension.map(|dimension| format!("{dimension} dimensions"));
    let embedded =
        embedded.zip(*total).map(|(some, all)| format!("{} of {} memories", count(some), count(all)));
    let vectors: Vec<String> = [dimension, embedded].into_iter().flatten().collect();
    cell(html, if vectors.is_empty() { "–".to_owned() } else { vectors.join(", ") }.as_str());
    cell(html, &service.as_ref().map_or_else(|| "in the process".to_owned(), self::service));
    html.raw("</tr>\n");
}

fn service(service: &ServiceHealth) -> String {
    let ServiceHealth { breaker, last_success_seconds_ago, last_failure_seconds_ago, last_failure } = service;
    let breaker = match breaker {
        BreakerState::Closed => "called",
        BreakerState::Open => "not called: circuit breaker open",
    };
    let ago = |ago: &Option<f64>| ago.map_or_else(|| "never".to_owned(), |ago| format!("{ago:.0} s ago"));
    let failure = last_failure.as_ref().map(|label| format!(" ({label})")).unwrap_or_default();
    let (success, failed) = (ago(last_success_seconds_ago), ago(last_failure_seconds_ago));
    format!("{breaker}; last success {success}, last failure {failed}{failure}")
}

fn process(html: &mut Html, shown: &StatusFacts, system: &SystemReport) {
    let Health { version, started_at, configuration, not_applied, .. } = &shown.health;
    text_row(html, "Version", version);
    row(html, "Up", |html| {
        html.text(&shown::long(shown.now.duration_since(*started_at))).raw(", started ");
        shown::time(html, *started_at, shown.now);
    });
    if let Some(configuration) = configuration {
        text_row(html, "Configuration", &configured(configuration));
    }
    if !not_applied.is_empty() {
        let keys: Vec<&str> = not_applied.iter().map(|part| part.key.as_str()).collect();
        row(html, "Not applied", |html| {
            html.said(&keys.join(", "));
        });
    }
    let figures = [
        ("Memory", system.resident_memory_bytes.map(bytes)),
        ("CPU time", system.cpu_seconds.map(|seconds| format!("{} s", count(seconds)))),
        ("Open files", system.open_files.map(count)),
        ("Threads", system.threads.map(count)),
    ];
    for (name, figure) in figures {
        if let Some(figure) = figure {
            text_row(html, name, &figure);
        }
    }
}

fn configured(configuration: &ConfigurationHealth) -> String {
    let state = match configuration.file {
        ConfigurationFile::None => "no file",
        ConfigurationFile::InForce => "the file is in force",
        ConfigurationFile::RestartRequired => "a part of the file takes effect at the next start",
        ConfigurationFile::Invalid => "the file is invalid; what was read before is in force",
        ConfigurationFile::Unreadable => "the file cannot be read; what was read before is in force",
        ConfigurationFile::Unknown => "unknown",
    };
    match configuration.restart_required.join(", ") {
        none if none.is_empty() => state.to_owned(),
        keys => format!("{state}: {keys}"),
    }
}
