//! Compares the tables of metrics with the page that documents them.

#![expect(
    clippy::disallowed_methods,
    reason = "the test writes the generated page and reads the committed one"
)]

use std::{fmt::Write as _, fs};

use engine_core::metrics::{LabelValues, Metric, MetricKind, table, table_faults};
use operator_core::metrics;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/metrics.md");

#[test]
fn the_table_of_the_operator_follows_the_conventions() {
    assert_eq!(table_faults(metrics::ALL, "memory_operator_"), [] as [String; 0]);
    let both = [table::ALL, metrics::ALL].concat();
    assert_eq!(table_faults(&both, "memory_"), [] as [String; 0], "no name is used twice");
}

fn labels(metric: &Metric) -> String {
    let label = |label: &engine_core::metrics::Label| match label.values {
        LabelValues::Closed(values) => format!("`{}`: {}", label.name, values.join(", ")),
        LabelValues::From(described) => format!("`{}`: {described}", label.name),
    };
    metric.labels.iter().map(label).collect::<Vec<_>>().join("; ")
}

fn rows(table: &[&Metric]) -> String {
    let mut text = String::from("| name | type | unit | labels | |\n|---|---|---|---|---|\n");
    for metric in table {
        let kind = match metric.kind {
            MetricKind::Histogram(buckets) => {
                format!("histogram, {} to {}", buckets[0], buckets[buckets.len() - 1])
            }
            kind => kind.as_str().to_owned(),
        };
        let Metric { name, unit, help, .. } = metric;
        writeln!(text, "| `{name}` | {kind} | {} | {} | {help} |", unit.as_str(), labels(metric))
            .expect("a string takes everything");
    }
    text
}

fn page() -> String {
    format!(
        "# Metrics\n\n<!-- Written by `make generate` from engine/core/src/metrics/table.rs and operator/core/src/metrics.rs. \
         -->\n\n\
         Engines serve their metrics at `/metrics` of the administration port (8081), the operator at `/metrics` of its\n\
         port 8080. Both use the Prometheus text format. Label values are chosen by the program, never by a client, so\n\
         the number of series is bounded. Gauges have the value of the moment of the scrape. Series end with the process:\n\
         those of a section that was removed from the configuration are gone after the restart.\n\n\
         ## Engine\n\nEvery sample has the label `engine`, `namespace/name` of the resource.\n\n{}\n\
         ## Operator\n\n{}\n\
         ## Process\n\nBoth programs expose these metrics of their own process.\n\n{}",
        rows(table::ALL),
        rows(metrics::ALL),
        rows(table::process::ALL)
    )
}

#[test]
fn the_committed_page_of_metrics_is_current() {
    let page = page();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(PAGE, &page).expect("the page can be written");
    }
    let committed = fs::read_to_string(PAGE).unwrap_or_default();
    assert!(committed == page, "docs/guide/metrics.md is stale: run `make generate`");
}
