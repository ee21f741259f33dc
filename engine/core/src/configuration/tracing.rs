//! `tracing`: where traces are sent to.

use super::key::Key;
use super::reader::Section;
use super::section::section;
use super::service::Address;

/// Samples of a million when every trace is recorded.
pub const SAMPLES_MAX: u64 = 1_000_000;
/// Bounds of the number of spans that wait to be sent. A span takes about a kilobyte, so that the highest is well below
/// 16 MiB.
const QUEUE: (u64, u64) = (512, 8_192);

section! {
    /// Where traces are sent to. Traces are off when the section is absent.
    "tracing" => Tracing, check check_address {
        /// complete URL of the collector, which receives OTLP over HTTP, such as `http://collector:4318/v1/traces`:
        /// [traces](logs-and-traces.md#traces)
        "endpoint" endpoint: String, since "0.1.0"
            => Key::text().absent("no traces").field("spec.monitoring.tracing.endpoint");
        /// how many of a million traces are recorded, where the caller did not decide
        "samplingRatePerMillion" sampling_rate_per_million: u32, or 1_000_000, since "0.1.0"
            => Key::integer(0, SAMPLES_MAX).field("spec.monitoring.tracing.samplingRatePerMillion");
        /// timeout of a request to the collector
        "timeoutSeconds" timeout_seconds: u64, or 5, since "0.1.0" => Key::integer(1, 60);
        /// spans that may wait to be sent; further spans are dropped and counted
        "maxQueuedSpans" max_queued_spans: usize, or 4_096, since "0.1.0" => Key::integer(QUEUE.0, QUEUE.1);
    }
}

fn check_address(tracing: &Tracing, faults: &mut Vec<String>) {
    if tracing.endpoint.as_deref().is_some_and(|endpoint| Address::of(endpoint).is_none()) {
        let section = Tracing::NAME;
        faults.push(format!(
            "{section}.endpoint must be a complete URL, http:// or https://, without user and password"
        ));
    }
}
