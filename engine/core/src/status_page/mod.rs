//! The status page of an engine: one HTML document without scripts, for people. It is a function of [`StatusFacts`].
//!
//! [`html`] escapes, [`rows`], [`shown`] and [`figures`] are the parts, and each file of sections shows some facts.

mod activity_sections;
mod data_sections;
mod facts;
mod figures;
mod html;
mod mode_section;
mod rows;
mod shown;
#[cfg(test)]
mod tests;

pub use facts::{Means, StatusFacts};

use crate::wire::{DegradedReason, EngineStatus};
use html::Html;

/// What a browser may load for the page: nothing, except the style and the icon that are inside of it. It may not be
/// framed by another page either.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
                                           base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// How the page looks, light and dark.
const STYLE: &str = include_str!("style.css");

/// Reports of the admin port that programs read, and what they are.
const LINKS: [(&str, &str); 6] = [
    ("/health", "health (JSON)"),
    ("/mode", "mode and transitions (JSON)"),
    ("/health/models", "models (JSON)"),
    ("/metrics/json", "durations (JSON)"),
    ("/metrics", "metrics (Prometheus)"),
    ("/readyz?verbose", "readiness checks (text)"),
];

/// The page.
#[must_use]
pub fn status_page(shown: &StatusFacts) -> String {
    let mut html = Html::default();
    head(&mut html, shown);
    html.raw("<body>\n");
    header(&mut html, shown);
    html.raw("<main>\n");
    mode_section::add(&mut html, shown);
    data_sections::add(&mut html, shown);
    activity_sections::add(&mut html, shown);
    html.raw("</main>\n<footer><nav aria-label=\"Reports for programs\"><h2>Reports for programs</h2><ul>\n");
    for (path, what) in LINKS {
        html.raw("<li><a href=\"").raw(path).raw("\">").raw(what).raw("</a></li>\n");
    }
    html.raw("</ul></nav></footer>\n</body>\n</html>\n");
    html.finish()
}

fn head(html: &mut Html, shown: &StatusFacts) {
    html.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.raw("<meta name=\"color-scheme\" content=\"light dark\">\n");
    if shown.is_refreshing {
        html.raw("<meta http-equiv=\"refresh\" content=\"10\">\n");
    }
    // A browser would ask for /favicon.ico otherwise.
    html.raw("<link rel=\"icon\" href=\"data:,\">\n<title>").text(word(shown.health.status)).raw(", ");
    html.text(shown.mode.mode.effective.as_str()).raw(" – memory engine</title>\n<style>\n").raw(STYLE);
    html.raw("</style>\n</head>\n");
}

fn header(html: &mut Html, shown: &StatusFacts) {
    let (status, mode) = (shown.health.status, &shown.mode.mode);
    html.raw("<header>\n<h1>Memory engine</h1>\n<p>Status: <strong class=\"");
    html.raw(if status == EngineStatus::Ok { "good" } else { "bad" }).raw("\">").text(word(status));
    html.raw("</strong>. Mode: ").code(mode.effective.as_str());
    if mode.effective != mode.wanted {
        html.raw(", wanted: ").code(mode.wanted.as_str());
    }
    html.raw(".</p>\n");
    if !shown.health.reasons.is_empty() {
        html.raw("<ul>\n");
        for reason in &shown.health.reasons {
            html.raw("<li>").text(explained(*reason)).raw("</li>\n");
        }
        html.raw("</ul>\n");
    }
    html.raw("<p class=\"made\">As of <time datetime=\"").text(&shown.now.to_string()).raw("\">");
    html.text(&shown.now.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()).raw("</time>. ");
    // Whoever reads slowly, or with a screen reader, can stop the page from changing.
    html.raw(if shown.is_refreshing {
        "Refreshes every 10 seconds. <a href=\"/?refresh=off\">Stop refreshing</a>"
    } else {
        "Does not refresh. <a href=\"/\">Refresh every 10 seconds</a>"
    });
    html.raw("</p>\n</header>\n");
}

fn word(status: EngineStatus) -> &'static str {
    match status {
        EngineStatus::Ok => "ok",
        EngineStatus::Degraded => "degraded",
    }
}

fn explained(reason: DegradedReason) -> &'static str {
    match reason {
        DegradedReason::LogOpening => "The log is being opened.",
        DegradedReason::VolumeFull => "No space is left on the volume; writes are refused.",
        DegradedReason::IoError => "A write or a sync failed; writes are refused until one succeeds.",
        DegradedReason::LogCorrupt => "The log does not verify; writes are refused.",
        DegradedReason::ProjectionRebuilding => "The projection is being rebuilt; reads are refused.",
        DegradedReason::ProjectionFailed => "The projection cannot be opened or built; reads are refused.",
        DegradedReason::EmbeddingUnavailable => {
            "The embedding service does not answer; searches use the built-in vectors."
        }
        DegradedReason::RerankUnavailable => "The reranker does not answer; results keep their order.",
        DegradedReason::PseudonymKeyLost => {
            "The key of the pseudonyms is missing; writes with personal data in names are refused."
        }
        DegradedReason::ConfigurationInvalid => {
            "The configuration file is invalid or cannot be read; what was read before is in force."
        }
        DegradedReason::ModeForced => "The guard or a person allows less than is wanted.",
        DegradedReason::ModeUnreadable => {
            "The file mode/mode.json cannot be read, so that reads are refused. Set a mode with `memory-engine mode want`, \
             or repair or remove the file."
        }
        DegradedReason::Unknown => "Something else does not work.",
    }
}
